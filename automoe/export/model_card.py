"""The model card (`README.md`) of a bundle."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from automoe.bundle import PRECISIONS, BundleManifest
from automoe.cost import Costs
from automoe.space import Architecture, architecture_table


def model_card(
    arch: Architecture,
    costs: Costs,
    manifest: BundleManifest,
    *,
    weights_bytes: Mapping[str, int] | None = None,
    shortlist: bool = False,
) -> str:
    """Markdown that says what the model is, what it costs and how to load it.

    Args:
        arch: its architecture.
        costs: of it.
        manifest: of the bundle.
        weights_bytes: size of the weights for each precision that ONNX Runtime can run it in.
        shortlist: whether the bundle holds one.
    """
    languages = f"{manifest.source_language}-{manifest.target_language}"
    info = "\n".join(f"- {key}: {value}" for key, value in manifest.info.items() if not isinstance(value, dict))
    return f"""\
# Translation model {languages}

Made by AutoMoE {manifest.automoe_version}: a Transformer with mixture-of-experts layers.

## Use

{_use(weights_bytes or {}, shortlist)}

## Architecture {arch.digest}

```
{architecture_table(arch)}
```

"Top k": each token runs the k experts that the layer's router rates highest; "dense" layers have a single one.

## Costs

| what | value |
|---|---|
| parameters | {costs.params_total:,} |
| of these, the embedding table | {costs.params_embedding:,} |
| at most active for one token | {costs.params_active:,} |
| FLOPs of 30 source and 30 target tokens, vocabulary layer left out | {costs.flops:,} |
| FLOPs of the vocabulary layer | {costs.flops_last_layer:,} |
{_sizes(weights_bytes or {PRECISIONS[0]: costs.memory_bytes})}

## Made from

{info}
- decoding by default: {", ".join(f"{key} {value}" for key, value in manifest.decoding.items())}
- longest source: {manifest.max_source_tokens} tokens
"""


def _use(precisions: Collection[str], shortlist: bool) -> str:
    extra, option, argument = "runtime", "", ""
    if not precisions:  # there are no graphs for ONNX Runtime
        extra, option, argument = "torch", " --backend torch", ', backend="torch"'
    parts = [
        f"""\
Install AutoMoE with the extra `[{extra}]`. Then, at the command line:

    echo "a sentence" | automoe translate THIS_FOLDER{option}

or in Python: `automoe.load("THIS_FOLDER"{argument}).translate(["a sentence"])`."""
    ]
    for precision in precisions:
        if precision != PRECISIONS[0]:
            parts.append(
                f"`--precision {precision}`, in Python `precision={precision!r}`: smaller weights, less time; "
                "translations differ a little."
            )
    if shortlist:
        parts.append(
            "`--shortlist`, in Python `shortlist=True`: the output layer scores only tokens that the source's tokens "
            "became in training, which takes less time; translations differ a little."
        )
    return "\n\n".join(parts)


def _sizes(weights_bytes: Mapping[str, int]) -> str:
    rows = (f"| weights in {precision} | {size / 1e6:.1f} MB |" for precision, size in weights_bytes.items())
    return "\n".join(rows)
