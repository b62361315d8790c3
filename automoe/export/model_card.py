"""The model card (`README.md`) of a bundle."""

from __future__ import annotations

from automoe.bundle import BundleManifest
from automoe.cost import Costs
from automoe.space import Architecture, architecture_table


def model_card(arch: Architecture, costs: Costs, manifest: BundleManifest) -> str:
    """Markdown that says what the model is, what it costs and how to load it."""
    languages = f"{manifest.source_language}-{manifest.target_language}"
    info = "\n".join(f"- {key}: {value}" for key, value in manifest.info.items() if not isinstance(value, dict))
    return f"""\
# Translation model {languages}

Made by AutoMoE {manifest.automoe_version}: a Transformer with mixture-of-experts layers.

## Use

Install AutoMoE with the extra `[torch]`. Then, at the command line:

    echo "a sentence" | automoe translate THIS_FOLDER

or in Python: `automoe.load("THIS_FOLDER").translate(["a sentence"])`.

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
| weights in float32 | {costs.memory_bytes / 1e6:.1f} MB |

## Made from

{info}
- decoding by default: {", ".join(f"{key} {value}" for key, value in manifest.decoding.items())}
- longest source: {manifest.max_source_tokens} tokens
"""
