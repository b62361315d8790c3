"""`automoe space describe|lint FILE`: what a search space or an architecture holds, and what is wrong with it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from automoe.commands.cost import CostOptions, add_cost_options, cost_options, costs_table
from automoe.space import Architecture, Gene, SearchSpace, architecture_table, find_space, lint, read_space_file


def add_parser(subparsers: Any) -> None:
    """Adds the sub-parser `space` with `describe` and `lint`."""
    parser = subparsers.add_parser("space", help="describe or check the YAML file of a search space")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    describe = actions.add_parser("describe", help="sizes, genes, and the smallest and largest architecture")
    describe.add_argument("file", metavar="FILE", help="a YAML file, or the name of a space that comes with AutoMoE")
    describe.add_argument("--json", action="store_true", help="print JSON")
    add_cost_options(describe)
    describe.set_defaults(run=run, describe=True)
    check = actions.add_parser("lint", help="list all mistakes of a file; exit status 1 if there are any")
    check.add_argument("file", metavar="FILE", help="a space or an architecture: a file, or the name of a space")
    check.add_argument(
        "--json", action="store_true", help="print JSON: a list of the mistakes, empty if there are none"
    )
    check.set_defaults(run=run, describe=False)


def run(args: argparse.Namespace) -> int:
    """Runs `describe` or `lint`; returns the exit status."""
    return _describe(args) if args.describe else _lint(args)


def _describe(args: argparse.Namespace) -> int:
    file = read_space_file(find_space(args.file))
    space, options = file.space, cost_options(args, file)
    if args.json:
        sys.stdout.write(json.dumps(_description(space, options), indent=2) + "\n")
        return 0
    lines = [
        f"space {space.name} ({space.digest})",
        f"{space.num_architectures:,} architectures ({space.num_raw:,} if the experts of a layer had an order)",
        "",
        *_genes_table(space.genes()),
    ]
    for label, arch in _extremes(space).items():
        lines += [
            "",
            f"{label} architecture ({arch.digest})",
            architecture_table(arch),
            "",
            *costs_table(arch, options),
        ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _lint(args: argparse.Namespace) -> int:
    mistakes = lint(find_space(args.file))
    if args.json:
        sys.stdout.write(json.dumps([mistake.fields() for mistake in mistakes], indent=2) + "\n")
        return 1 if mistakes else 0
    for mistake in mistakes:
        sys.stdout.write(f"{mistake}\n")
    if not mistakes:
        sys.stdout.write("no mistakes\n")
    return 1 if mistakes else 0


def _description(space: SearchSpace, options: CostOptions) -> dict[str, Any]:
    return {
        "name": space.name,
        "digest": space.digest,
        "num_architectures": space.num_architectures,
        "num_raw": space.num_raw,
        "genes": [
            {"name": gene.name, "choices": list(gene.choices), "follows": gene.follows, "slots": gene.slots}
            for gene in space.genes()
        ],
        "cost_options": asdict(options),
        **{
            label: {
                "digest": arch.digest,
                "architecture": arch.to_dict(),
                "costs": options.costs(arch).to_dict(),
            }
            for label, arch in _extremes(space).items()
        },
    }


def _extremes(space: SearchSpace) -> dict[str, Architecture]:
    return {"smallest": space.smallest(), "largest": space.largest()}


def _genes_table(genes: tuple[Gene, ...]) -> list[str]:
    rows = [("gene", "times", "choices")]
    for gene in genes:
        choices = " ".join(map(str, gene.choices))
        rows.append((gene.name, str(gene.slots), f"as {gene.follows}" if gene.follows else choices))
    width = max(len(row[0]) for row in rows)
    return [f"{name:<{width}}  {slots:>5}  {choices}" for name, slots, choices in rows]
