"""The model card (`README.md`) of a bundle (Mitchell et al. 2019): what the model is, costs and is worth.

What people gave (languages, the corpus's name, sentences) is escaped; a section whose facts are unknown is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from automoe.bundle import PRECISIONS, BundleManifest
from automoe.cost import Costs
from automoe.export.card_facts import CardFacts
from automoe.export.markdown import escaped, table
from automoe.space import Architecture, architecture_table
from automoe.terminal import format_size


def model_card(
    arch: Architecture,
    costs: Costs,
    manifest: BundleManifest,
    *,
    weights_bytes: Mapping[str, int] | None = None,
    shortlist: bool = False,
    facts: CardFacts | None = None,
) -> str:
    """Markdown that says what the model is, what it costs, how good it is and how to load it.

    Args:
        arch: its architecture.
        costs: of it.
        manifest: of the bundle.
        weights_bytes: size of the weights for each precision that ONNX Runtime can run it in.
        shortlist: whether the bundle holds one.
        facts: of its making and its measurement, which say more than `info`; None where nothing is known of them.
    """
    known = CardFacts() if facts is None else facts
    sections = [
        f"# Translation model {escaped(manifest.source_language)}-{escaped(manifest.target_language)}",
        f"Made by AutoMoE {escaped(manifest.automoe_version)}: {_kind(arch)} that translates from "
        f"{escaped(manifest.source_language)} to {escaped(manifest.target_language)}, sentence by sentence.",
        f"## Use\n\n{_use(weights_bytes or {}, shortlist)}",
        _architecture(arch),
        _budget(known),
        _costs(costs, weights_bytes or {PRECISIONS[0]: costs.memory_bytes}, facts),
        _scores(known),
        _samples(known),
        f"## Data\n\n{_listed(known.data)}" if known.data else "",
        f"## Training\n\n{_listed(known.training)}" if known.training else "",
        f"## Made from\n\n{_info(manifest)}" if facts is None and _info(manifest) else "",
        f"## Signature of the run\n\n`{known.signature}`" if known.signature else "",
        _limits(manifest),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _kind(arch: Architecture) -> str:
    has_experts = any(layer.num_experts > 1 for _, _, layer in arch.layers())
    return "a Transformer with mixture-of-experts layers" if has_experts else "a Transformer"


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


def _architecture(arch: Architecture) -> str:
    return f"""\
## Architecture {arch.digest}

```
{architecture_table(arch)}
```

"Top k": each token runs the k experts that the layer's router rates highest; "dense" layers have a single one."""


def _budget(facts: CardFacts) -> str:
    if not facts.budget:
        return ""
    rows = [
        [line.cost, line.limit, f"{line.value} ({line.how})", "yes" if line.kept else "NO"] for line in facts.budget
    ]
    header = ["what", "at most asked for", "this bundle", "kept"]
    text = "The model was chosen for this budget, and its bundle held against it."
    return f"## Budget\n\n{text}\n\n{table(header, rows)}"


def _costs(costs: Costs, weights_bytes: Mapping[str, int], facts: CardFacts | None) -> str:
    rows = [["parameters", f"{costs.params_total:,}"],
            ["of these, the embedding table", f"{costs.params_embedding:,}"],
            ["at most active for one token", f"{costs.params_active:,}"]]  # fmt: skip
    if facts is not None and facts.params_reachable is not None:
        rows.append(["reached by some token of the test set", f"{facts.params_reachable:,}"])
    rows += [["FLOPs of 30 source and 30 target tokens, vocabulary layer left out", f"{costs.flops:,}"],
             ["the same with elementwise operations, as HAT and AutoMoE count", f"{costs.flops_hat:,}"],
             ["FLOPs of the vocabulary layer", f"{costs.flops_last_layer:,}"],
             ["memory of the weights in float32", format_size(costs.memory_bytes)]]  # fmt: skip
    rows += [[f"weights in {precision}", format_size(size)] for precision, size in weights_bytes.items()]
    text = f"## Costs\n\n{table(['what', 'value'], rows)}"
    if facts is None:
        return text
    if (latency := facts.latency) is None:
        return f"{text}\n\nIts latency was not measured."
    return (
        f"{text}\n\nLatency: {latency.ms:.2f} ms a sentence ({latency.low_ms:.2f} to {latency.high_ms:.2f}), "
        f"{escaped(latency.circumstances)}."
    )


def _scores(facts: CardFacts) -> str:
    if not facts.scores:
        return ""
    rows = [[score.name, f"{score.value:.1f}", escaped(score.signature)] for score in facts.scores]
    return (
        f"## Quality\n\nOn the {facts.test_sentences:,} sentences of the test set, translated by this bundle "
        f"({escaped(facts.scored_with)}).\n\n{table(['metric', 'value', 'sacreBLEU signature'], rows)}"
    )


def _samples(facts: CardFacts) -> str:
    if not facts.samples:
        return ""
    rows = [[escaped(each.source), escaped(each.translation), escaped(each.reference)] for each in facts.samples]
    header = ["source", "this model", "reference"]
    return (
        f"## Translations\n\nSentences of the test set, evenly spread over it, not chosen.\n\n{table(header, rows)}"
    )


def _info(manifest: BundleManifest) -> str:
    """What else who exported it said, a line each."""
    return _listed(
        {
            key.replace("_", " "): str(value)
            for key, value in manifest.info.items()
            if key != "architecture_digest" and isinstance(value, str | int | float)
        }
    )


def _limits(manifest: BundleManifest) -> str:
    limits = [
        f"Longest source: {manifest.max_source_tokens} tokens, the end symbol among them; what is longer is cut "
        "there, with a warning.",
        "Sentences are translated one by one: nothing is known of those around them.",
        "It knows the language of its training data and no other, and repeats what is wrong in them.",
    ]
    if manifest.placeholder_pattern is not None:
        limits.append("Placeholders are hidden from the model and put back; some can get lost, or come twice.")
    decoding = ", ".join(f"{key} {value}" for key, value in manifest.decoding.items())
    if decoding:
        limits.append(f"By default it decodes with {escaped(decoding)}.")
    return f"## Known limits\n\n{_bullets(limits)}"


def _listed(lines: Mapping[str, str]) -> str:
    return _bullets(f"{escaped(name)}: {escaped(text)}" for name, text in lines.items())


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
