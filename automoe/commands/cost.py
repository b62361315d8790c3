"""`automoe cost ARCH.yaml`: the layers of one architecture and what they cost; measured and predicted, if wanted."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from automoe.commands.cost_measure import add_measure_options, measure, measure_options, measured_lines
from automoe.commands.cost_predict import predict, predicted_lines
from automoe.cost import Costs, costs
from automoe.space import Architecture, SpaceFile, architecture_table, find_architecture, read_space_file

DEFAULT_VOCAB_SIZE = 32_768
"""The vocabulary of HAT's and AutoMoE's WMT'14 En-De experiments."""


@dataclass(frozen=True, kw_only=True)
class CostOptions:
    """What costs depend on beside the architecture."""

    vocab_size: int
    pre_norm: bool
    norm_assumed: bool
    """Whether nobody said where the norms stand: `pre_norm` is then what the form of the file suggests."""

    def costs(self, arch: Architecture) -> Costs:
        """The costs of an architecture under these options."""
        return costs(arch, vocab_size=self.vocab_size, pre_norm=self.pre_norm)


def add_parser(subparsers: Any) -> None:
    """Adds the sub-parser `cost`."""
    parser = subparsers.add_parser("cost", help="FLOPs, parameters, memory and latency of one architecture")
    parser.add_argument(
        "architecture",
        metavar="ARCH.yaml",
        help="an architecture (ours, JSON, or a sub-transformer of HAT or AutoMoE), or the name of a shipped one",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_cost_options(parser)
    parser.add_argument(
        "--predictor", type=Path, metavar="RUN_OR_FILE", help="predict its latency: a run folder or a predictor.json"
    )
    add_measure_options(parser)
    parser.set_defaults(run=run)


def add_cost_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that costs depend on beside the architecture."""
    parser.add_argument(
        "--vocab-size",
        type=int,
        default=DEFAULT_VOCAB_SIZE,
        metavar="N",
        help="entries of the shared vocabulary (default: %(default)s)",
    )
    parser.add_argument(
        "--norm",
        choices=("pre", "post"),
        help="where the layer norms stand (default: post for files of HAT and AutoMoE, as published; pre for others)",
    )


def cost_options(args: argparse.Namespace, file: SpaceFile) -> CostOptions:
    """What the command line says; without `--norm` the form of `file` decides."""
    pre_norm = args.norm == "pre" if args.norm else not file.is_hat
    return CostOptions(vocab_size=args.vocab_size, pre_norm=pre_norm, norm_assumed=args.norm is None)


def run(args: argparse.Namespace) -> int:
    """Prints the table of layers and the costs, or JSON; returns the exit status."""
    wanted = measure_options(args)
    file = read_space_file(find_architecture(args.architecture))
    arch, options = file.architecture(), cost_options(args, file)
    predicted = None if args.predictor is None else predict(arch, args.predictor)
    measured = None
    if wanted is not None:
        measured = measure(arch, wanted, vocab_size=options.vocab_size, pre_norm=options.pre_norm)
    if args.json:
        answer = {
            "digest": arch.digest,
            "architecture": arch.to_dict(),
            "cost_options": asdict(options),
            "costs": options.costs(arch).to_dict(),
            "predicted": predicted,
            "measured": measured,
        }
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return 0
    lines = [f"architecture {arch.digest}", architecture_table(arch), "", *costs_table(arch, options)]
    if predicted is not None:
        lines += ["", *predicted_lines(predicted)]
    if measured is not None:
        lines += ["", *measured_lines(arch, measured)]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def costs_table(arch: Architecture, options: CostOptions) -> list[str]:
    """All costs, one a line: exact, and in a unit for people."""
    cost = options.costs(arch)
    norm = "pre-norm" if options.pre_norm else "post-norm"
    if options.norm_assumed:
        norm += f" (assumed; --norm {'post' if options.pre_norm else 'pre'} for the other)"
    rows = [
        ("FLOPs, budgeted", cost.flops, "matrix products, experts at uniform load"),
        ("FLOPs as HAT counts", cost.flops_hat, "and elementwise products"),
        ("FLOPs of the last layer", cost.flops_last_layer, "projection to the vocabulary"),
        ("FLOPs with last layer", cost.flops_with_last_layer, "budgeted and last layer"),
        ("parameters", cost.params_total, "all that is stored"),
        ("  embedding", cost.params_embedding, "one table for source, target and output"),
        ("  without embedding", cost.params_without_embedding, "as HAT and AutoMoE report"),
        ("active parameters", cost.params_active, "what one token can meet at most"),
        ("  without embedding", cost.params_active_without_embedding, "as AutoMoE reports"),
        ("bytes of memory", cost.memory_bytes, "weights in float32"),
    ]
    lines = [f"costs of one pass over 30 source and 30 target tokens, {options.vocab_size:,} words, {norm}"]
    lines += [f"{name:<24}{value:>18,}  {_short(value):>8}  {note}" for name, value, note in rows]
    return lines


def _short(value: int) -> str:
    for factor, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= factor:
            return f"{value / factor:.2f} {letter}"
    return str(value)
