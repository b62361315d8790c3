"""`automoe space describe|lint|convert FILE`: what a space holds (see `space_describe`), what is wrong with it, one
architecture in other forms.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from automoe.commands.cost import add_cost_options
from automoe.commands.space_describe import describe
from automoe.errors import ConfigError
from automoe.files import write_atomically
from automoe.search import COSTS, LATENCY
from automoe.space import architecture_yaml, find_architecture, find_space, lint, read_architecture
from automoe.space.files.hat_writer import hat_yaml

_SUFFIXES = {"hat": (".yaml", ".yml"), "yaml": (".yaml", ".yml"), "json": (".json",)}
"""Suffixes by which a file of each form is read back."""


def add_parser(subparsers: Any) -> None:
    """Adds the sub-parser `space` with `describe`, `lint` and `convert`."""
    parser = subparsers.add_parser("space", help="describe or check a search space, convert an architecture")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_describe(actions)
    check = actions.add_parser("lint", help="list all mistakes of a file; exit status 1 if there are any")
    check.add_argument("file", metavar="FILE", help="a space or an architecture: a file, or the name of a space")
    check.add_argument(
        "--json", action="store_true", help="print JSON: a list of the mistakes, empty if there are none"
    )
    convert = actions.add_parser("convert", help="one architecture in another form")
    convert.add_argument(
        "file",
        metavar="FILE",
        help="an architecture (ours, JSON, or a sub-transformer of HAT or AutoMoE), or the name of a shipped one",
    )
    convert.add_argument(
        "--to",
        required=True,
        choices=tuple(_SUFFIXES),
        help="hat (a sub-transformer file of HAT, or of AutoMoE if there are experts), yaml, json (ours)",
    )
    convert.add_argument("-o", "--output", type=Path, metavar="OUT", help="a new file; by default it is printed")


def run(args: argparse.Namespace) -> int:
    """Runs `describe`, `lint` or `convert`; returns the exit status."""
    actions = {"describe": describe, "lint": _lint, "convert": _convert}
    return actions[args.action](args)


def _add_describe(actions: Any) -> None:
    parser = actions.add_parser(
        "describe", help="sizes, genes, the cheapest, median and dearest architecture, the share that meets a budget"
    )
    parser.add_argument("file", metavar="FILE", help="a YAML file, or the name of a space that comes with AutoMoE")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--budget",
        metavar="LIMITS",
        help="'flops_g=1.5,params_m=8', or shares of the dearest: 'flops_g.max_ratio=0.6'",
    )
    exact = ", ".join(cost for cost in COSTS if cost != LATENCY)
    parser.add_argument(
        "--by", metavar="COST", default="flops_g", help=f"what is cheap and dear: {exact} (default: %(default)s)"
    )
    add_cost_options(parser)


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


def _convert(args: argparse.Namespace) -> int:
    arch = read_architecture(find_architecture(args.file))
    if args.to == "json":
        text = json.dumps(arch.to_dict(), indent=2) + "\n"
    else:
        text = hat_yaml(arch) if args.to == "hat" else architecture_yaml(arch)
    if args.output is None:
        sys.stdout.write(text)
        return 0
    path, suffixes = args.output, _SUFFIXES[args.to]
    if path.suffix not in suffixes:
        raise ConfigError(
            "--output", str(path), f"no file of this suffix is read as {args.to}", allowed=", ".join(suffixes)
        )
    if path.exists() or path.is_symlink():
        raise ConfigError("--output", str(path), "is there already", hint="Give a new file, or move this one away")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    print(f"wrote {path} (architecture {arch.digest}, {args.to})")
    return 0
