"""Whether ONNX Runtime translates as PyTorch does, and what 8 bits and a shortlist cost in BLEU.

On all validation and test sentences of a finished run: the run's model, and its supernet's largest sub-transformer,
which has experts in every layer. Float32 is compared token for token; where translations differ, so does their score,
and the gap says how near to a tie it was. BLEU is on the test set.

    python experiments/benchmarks/runtime/agreement.py --run runs/quickstart [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
from trained import corpus

VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {},
    "int8": {"precision": "int8"},
    "float32 shortlist": {"shortlist": True},
    "int8 shortlist": {"precision": "int8", "shortlist": True},
}
GOALS = {"int8": ">= -0.3", "float32 shortlist": ">= -0.2", "int8 shortlist": ""}


def tokens(name: str, sentences: Sequence[str], args: argparse.Namespace) -> list[dict[str, Any]]:
    """ONNX Runtime beside PyTorch in float32, on sentences that reach every expert."""
    from automoe.runtime import load

    bundle = args.work / name / "bundle"
    ours, theirs = (load(bundle, backend=backend).translate_nbest(sentences) for backend in ("onnx", "torch"))
    pairs = [(our[0], their[0]) for our, their in zip(ours, theirs, strict=True)]
    gaps = [abs(our.score - their.score) for our, their in pairs if our.tokens != their.tokens]
    for (our, their), text in zip(pairs, sentences, strict=True):
        if our.tokens != their.tokens:
            print(f"  differs, scores {our.score:.7f} and {their.score:.7f}: {text}")
            print(f"    {our.text}\n    {their.text}")
    noise = [abs(our.score - their.score) for our, their in pairs if our.tokens == their.tokens]
    counted = {
        "sentences": len(pairs),
        "same tokens": len(pairs) - len(gaps),
        "largest score gap where they differ": max(gaps, default=0.0),
        "rounding of scores where they agree": max(noise),
    }
    rows = [{"model": name, "what": what, "value": value} for what, value in counted.items()]
    rows[1]["goal"] = str(len(pairs))
    return rows + _reached(name, args)


def _reached(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """How many of the experts got a token of these sentences."""
    import torch

    from automoe.bundle import read_bundle
    from automoe.data.batches import padded_batches
    from automoe.nn.expert_loads import expert_loads
    from automoe.runtime.torch_backend import load_transformer

    batches = (batch for split in ("valid", "test") for batch in padded_batches(corpus(args.run), split, 4096))
    pairs = ((torch.from_numpy(batch.source_BS), torch.from_numpy(batch.previous_BL)) for batch in batches)
    loads = expert_loads(load_transformer(read_bundle(args.work / name / "bundle")), pairs)
    counts = [count for load_E in loads.values() for count in load_E]
    reached = sum(count > 0 for count in counts)
    return [
        {"model": name, "what": "experts that got tokens", "value": reached, "goal": str(len(counts))},
        {"model": name, "what": "fewest tokens of an expert", "value": min(counts, default=0)},
    ]


def quality(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """BLEU of the test set, in float32 and how much more or less otherwise."""
    from automoe.evaluation import bleu, bleu_tokenizer
    from automoe.runtime import load

    prepared = corpus(args.run)
    sources, references = prepared.text("test", "src"), prepared.text("test", "tgt")
    if args.quick:
        sources, references = sources[:100], references[:100]
    found = {}
    for variant, options in VARIANTS.items():
        texts = load(args.work / name / "bundle", **options).translate(sources)
        found[variant] = bleu(texts, references, tokenize=bleu_tokenizer(prepared.target_lang))
    rows = [{"model": name, "what": "BLEU float32", "value": found["float32"].value}]
    print(f"  {found['float32'].signature}")
    for variant, goal in GOALS.items():
        change = found[variant].value - found["float32"].value
        rows.append({"model": name, "what": f"BLEU {variant}, change", "value": change, "goal": goal})
    return rows


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="a finished run")
    args = common.parse(parser)
    common.make_trained(args.run, args.work)
    sentences = corpus(args.run).text("valid", "src") + corpus(args.run).text("test", "src")
    rows = []
    for name in ("shipped", "largest"):
        print(f"\n{name}")
        rows += tokens(name, sentences[:100] if args.quick else sentences, args)
    common.save(rows + quality("shipped", args), "agreement", args)


if __name__ == "__main__":
    main()
