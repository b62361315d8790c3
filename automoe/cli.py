"""The command line: finds the command, imports that command's room and no other, and words every error.

Run commands (`automoe run seed=2`) take Hydra's overrides; file commands (`automoe status --json`) are argparse.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from automoe.errors import AutoMoEError, ConfigError, did_you_mean
from automoe.files import free_bytes, is_full_disk
from automoe.version import __version__

RUN_COMMANDS = {
    "run": "all stages below, then the model's quality and three translated sentences",
    "data": "corpus -> cleaned and split sentences, vocabulary, token ids",
    "supernet": "training with fairseq: token ids -> the weights that all sub-transformers share",
    "profile": "latency of a sample of sub-transformers, measured here",
    "predictor": "measured table -> latency of every sub-transformer, with intervals",
    "search": "evaluates what a searcher proposes, quality against costs -> archive",
    "worker": "evaluates for a search that runs: here, on another machine, in a batch system",
    "select": "archive and budget -> the best sub-transformer that keeps it",
    "teacher": "who teaches it: the largest, or models of yours; translates the corpus",
    "distill": "its inherited weights, trained on: from the references, a teacher or both",
    "export": "weights -> bundle, a folder that `translate` reads",
    "evaluate": "BLEU and chrF of the bundle on the test set, its latency measured again",
    "report": "one HTML page about all of it",
    "scratch": "some sub-transformers, each trained by itself: what a supernet is judged by",
    "fidelity": "does the supernet order these as their trainings do?",
}
"""Commands that work in a run folder and take overrides."""

FILE_COMMANDS = {
    "translate": "translate sentences with a bundle",
    "convert": "a bundle in another format: CTranslate2, torch.export, fairseq",
    "status": "what each run has finished",
    "archive": "what a search has evaluated: its front, as a table, for Optuna",
    "clean": "remove the results of a run that nothing uses",
    "space": "describe, check or convert a search space",
    "cost": "FLOPs and parameters of an architecture",
    "fairseq-plugin": "print the folder for fairseq-train --user-dir",
}
"""Commands that work on files; each but `fairseq-plugin` is a module of `automoe.commands`."""

_UNUSABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO),
)
"""What the system says of files that only their owner can mend."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments without the program's name; those of the process by default.

    Returns:
        The exit status: 0, 1 if one of several budgets was refused, 2 for a mistake that the user can mend, 130 when
        interrupted, 141 when the reader of our output has gone. A defect of AutoMoE raises.
    """
    try:
        _take_closed_streams()
        status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except AutoMoEError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("automoe: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes stdout once more when it ends
        return 141
    except OSError as error:
        if is_full_disk(error):
            return _fail(_full_disk(error))
        if error.errno in _UNUSABLE and error.filename is not None:
            return _fail(f"{error.filename}: cannot be used: {error.strerror}. Mend it, or name another place")
        raise


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments else ""
    if command in ("", "-h", "--help"):
        print(_help())
        return 0 if command else 2
    if command == "--version":
        print(f"automoe {__version__}")
        return 0
    if command in RUN_COMMANDS:
        return _run_command(command, arguments[1:])
    if command in FILE_COMMANDS:
        return _file_command(command, arguments)
    known = [*RUN_COMMANDS, *FILE_COMMANDS]
    raise ConfigError(
        command, problem="there is no such command", allowed=", ".join(known), hint=did_you_mean(command, known)
    )


def _run_command(command: str, overrides: list[str]) -> int:
    from automoe.pipeline.compose import compose
    from automoe.pipeline.config import RunConfig

    as_json = "--json" in overrides  # ours, not Hydra's, which would refuse it
    overrides = [override for override in overrides if override != "--json"]

    statuses = [0]

    def work(config: RunConfig) -> None:
        status = importlib.import_module("automoe.pipeline.run").run(command, config, as_json=as_json)
        statuses.append(status or 0)

    compose(f"automoe {command}", overrides, RunConfig, work)
    return max(statuses)


def _file_command(command: str, arguments: list[str]) -> int:
    parser = _MixedParser(prog="automoe")
    subparsers = parser.add_subparsers(dest="command", required=True)
    if command == "fairseq-plugin":
        subparsers.add_parser(command, description="Prints the folder that fairseq-train --user-dir takes.")
        parser.parse_args(arguments)
        print(fairseq_plugin_folder())
        return 0
    module = importlib.import_module(f"automoe.commands.{command}")
    module.add_parser(subparsers)
    status: int = module.run(parser.parse_args(arguments))
    return status


class _MixedParser(argparse.ArgumentParser):
    """Takes options between positional arguments too: older argparse refuses FILE in `BUNDLE --beam 1 FILE`."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, which calls this for every sub-parser and, to mix, twice for each."""
        if self._mixing or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def fairseq_plugin_folder() -> Path:
    """The folder that registers our task, models and criterions with fairseq (`--user-dir`)."""
    return Path(__file__).resolve().parent / "training" / "fairseq_plugin" / "automoe_fairseq"


def _help() -> str:
    def listed(commands: dict[str, str]) -> str:
        return "\n".join(f"  {name:<16}{text}" for name, text in commands.items())

    return f"""\
automoe {__version__}: sparse translation models that fit a budget. A run: automoe COMMAND [KEY=VALUE ...]
{listed(RUN_COMMANDS)}
Files: automoe COMMAND [ARGUMENTS]. More: COMMAND --help, --json, automoe run --cfg job, --version
{listed(FILE_COMMANDS)}"""


def _full_disk(error: OSError) -> str:
    """Which file system is full, how much is free, and what is safe."""
    full = "the disk quota is used up" if error.errno == errno.EDQUOT else "the disk is full"
    if isinstance(error.filename, str) and error.filename:
        path = Path(error.filename)
        free = f"{free_bytes(path) / 1e6:.1f} MB are free on the file system of {_mount_point(path)}"
        place = f"{path}: {full}: {free}"
    else:  # `write` names no file
        place = f"{full} where the output goes"
    return (
        f"{place}. Everything that was finished is kept: make room (automoe clean RUN removes what nothing uses) and "
        "run the same command again"
    )


def _mount_point(path: Path) -> Path:
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return next(folder for folder in (existing, *existing.parents) if folder.is_mount())


def _take_closed_streams() -> None:
    """Gives the numbers of closed standard streams to /dev/null: no file of ours may become a child's stdout."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stderr is None:  # print(file=None) would write to stdout
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open to the end of the process)


def _fail(message: str) -> int:
    print(f"automoe: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
