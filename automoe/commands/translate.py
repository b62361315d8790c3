"""`automoe translate BUNDLE [FILE]`: translates lines of text with a bundle."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from automoe.commands.options import options_named
from automoe.errors import DataError
from automoe.files import PARTIAL
from automoe.progress import Progress

if TYPE_CHECKING:
    from automoe.runtime import Translator

CHUNK_LINES = 1000
"""Lines that are read, sorted by length and translated before any of them is written."""
_SHOWN_WARNINGS = 20
_OPTIONS = {
    "batch": "--batch-size",
    "length_penalty": "--length-penalty",
    **{name: f"--{name}" for name in ("beam", "threads", "precision", "shortlist", "backend")},
}
"""The option of each argument of the runtime."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command `translate`."""
    parser = subparsers.add_parser(
        "translate",
        help="translate text with a bundle",
        description="Translates text, one sentence a line, and keeps the order of the lines.",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="text in UTF-8; by default stdin")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="write to this file, once all is done; by default stdout"
    )
    parser.add_argument("--beam", type=int, metavar="N", help="hypotheses that are followed; by default the bundle's")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="sentences at once (default 32)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads to use (default 1)")
    parser.add_argument("--precision", metavar="NAME", help="float32 (default), or int8: faster, a little less exact")
    parser.add_argument(
        "--shortlist",
        action="store_true",
        default=None,
        help="score only tokens that the source's tokens became in training: faster too",
    )
    parser.add_argument(
        "--backend", metavar="NAME", help="what runs the model: onnx (default), torch, or another package's"
    )
    parser.add_argument(
        "--length-penalty", type=float, metavar="X", help="above 1 prefers longer output; by default the bundle's"
    )
    parser.add_argument("--scores", action="store_true", help="write the score and a tab before each line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        The exit status, 0.

    Raises:
        AutoMoEError: the bundle, FILE or OUT cannot be used.
        BrokenPipeError: the reader of stdout has gone away (`cli` ends quietly).
    """
    with _opened_source(args.file) as source, _opened_output(args.output) as output:
        from automoe.runtime import load

        named = {name: getattr(args, name) for name in ("backend", "precision", "shortlist")}
        given = {name: value for name, value in named.items() if value is not None}
        with options_named(_OPTIONS):
            translator = load(args.bundle, threads=args.threads, **given)
            _translate_stream(translator, source, output, args)
    return 0


def _translate_stream(translator: Translator, source: BinaryIO, output: BinaryIO, args: argparse.Namespace) -> None:
    name = "stdin" if args.file == "-" else args.file
    chunk_lines = 1 if source.isatty() else CHUNK_LINES  # someone who types waits for each line
    lines = (line.rstrip(b"\r\n") for line in source)
    first = 1
    with (
        _LineWarnings(name) as line_warnings,
        Progress("translating", unit="line", total=_count_lines(args.file)) as bar,
    ):
        while chunk := list(itertools.islice(lines, chunk_lines)):
            if first == 1:
                chunk[0] = chunk[0].removeprefix(_BYTE_ORDER_MARK)
            line_warnings.first = first
            nbest = translator.translate_nbest(
                [line.decode("utf-8", "surrogateescape") for line in chunk],
                beam=args.beam,
                batch=args.batch_size,
                length_penalty=args.length_penalty,
                on_progress=bar.advance,
                on_warning=line_warnings.add,
            )
            for translations in nbest:
                best = translations[0]
                line = f"{best.score:.4f}\t{best.text}\n" if args.scores else f"{best.text}\n"
                output.write(line.encode())
            output.flush()
            first += len(chunk)


class _LineWarnings:
    """Shows warnings as `FILE:LINE: warning: ...` on stderr; of very many the first ones and their number."""

    def __init__(self, name: str) -> None:
        self.first = 1
        """Number of the line that the index 0 means."""
        self._name, self._count = name, 0

    def add(self, index: int, message: str) -> None:
        self._count += 1
        if self._count <= _SHOWN_WARNINGS:
            print(f"{self._name}:{self.first + index}: warning: {message}", file=sys.stderr)

    def __enter__(self) -> _LineWarnings:
        return self

    def __exit__(self, *_: object) -> None:
        if (hidden := self._count - _SHOWN_WARNINGS) > 0:
            print(f"{self._name}: warning: {hidden} more line(s) like these", file=sys.stderr)


@contextmanager
def _opened_source(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        if sys.stdin is None:
            raise DataError("is closed", file="stdin", hint="Name a FILE to translate")
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 (an error of the body is not one of opening)
    except FileNotFoundError as error:
        raise DataError("there is no such file", file=file) from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", file=file, hint="Give a file of text") from error
    with stream:
        yield stream


@contextmanager
def _opened_output(file: str | None) -> Iterator[BinaryIO]:
    """Stdout, or a file that appears under its name only once the body has ended well."""
    if file is None:
        if sys.stdout is None:
            raise DataError("is closed", file="stdout", hint="Name a file: -o OUT")
        yield sys.stdout.buffer
        return
    path = Path(file)
    if path.is_dir():
        raise DataError("is a folder; the output is a file", file=file)
    special = path.exists() and not path.is_file()  # a pipe or a device is written to, not replaced
    aside = path if special else path.with_name(path.name + PARTIAL)
    try:
        stream = aside.open("wb")
    except OSError as error:
        raise DataError(f"cannot be written ({error.strerror})", file=file) from error
    try:
        with stream:
            yield stream
            stream.flush()
            if not special:
                os.fsync(stream.fileno())
        if not special:
            aside.replace(path)
    finally:
        if not special:
            aside.unlink(missing_ok=True)


def _count_lines(file: str) -> int | None:
    if file == "-" or not Path(file).is_file():
        return None
    with Path(file).open("rb") as stream:
        return sum(1 for _ in stream)
