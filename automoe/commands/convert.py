"""`automoe convert BUNDLE --to FORMAT -o FOLDER`: a bundle in another format."""

from __future__ import annotations

import argparse
from pathlib import Path

from automoe.bundle import read_bundle
from automoe.commands.options import options_named
from automoe.errors import DependencyError
from automoe.terminal import format_size

_OPTIONS = {"quantization": "--quantization", "output": "--output"}
"""The option of each argument of `automoe.export.formats.convert`."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command `convert`."""
    parser = subparsers.add_parser(
        "convert",
        help="a bundle in another format",
        description="Writes a bundle in another format and says how to load it.",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument(
        "--to",
        required=True,
        metavar="FORMAT",
        help="ctranslate2 (dense models), torch (programs of torch.export), fairseq (a checkpoint), or one that "
        "another package adds",
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FOLDER", help="the new folder")
    parser.add_argument(
        "--quantization", metavar="NAME", help="how weights are stored: float32 (default); int8 in ctranslate2"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Converts the bundle and prints one line.

    Returns:
        The exit status, 0.

    Raises:
        AutoMoEError: the bundle or FOLDER cannot be used, there is no such format, or it cannot hold the model.
    """
    try:
        from automoe.export.formats import convert, find_format
        from automoe.runtime.torch_backend import load_transformer
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("automoe"):
            raise
        raise DependencyError(error.name, extra="torch") from error

    form = find_format(args.to, key="--to")
    bundle = read_bundle(args.bundle)
    with options_named(_OPTIONS):
        usage = convert(load_transformer(bundle), bundle, args.output, form, args.quantization)
    size = sum(path.stat().st_size for path in args.output.rglob("*") if path.is_file())
    print(f"wrote {args.output} ({form.name}, {format_size(size)}); to load it: {usage}")
    return 0
