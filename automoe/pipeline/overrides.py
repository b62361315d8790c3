"""The arguments of a run command before Hydra sees them: what it would refuse without need, or word badly."""

from __future__ import annotations

import re
from collections.abc import Sequence

from automoe.errors import ConfigError
from automoe.resources import resource_folder

_FLAGS_WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir",
                     "-cd", "--experimental-rerun"}  # fmt: skip
_FLAGS_WITH_OPTIONAL_VALUE = {"--info", "-i"}
_EXCLUSIVE_FLAGS = {"--run", "-r", "--multirun", "-m", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"}
_OTHER_BOUND = {"max": "max_ratio", "max_ratio": "max"}


def arranged(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra understands them: what the user meant, overrides first, flags behind them.

    Raises:
        ConfigError: flags that exclude each other, an argument that is no setting, a group that names no file.
    """
    flags, overrides = _split(arguments)
    _check_flags(flags)
    for override in overrides:
        _check_override(override)
    return [*_without_default_bounds(overrides), *_with_whole_budgets(overrides), *flags]


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides: argparse takes no override behind a flag that stands behind one."""
    flags: list[str] = []
    overrides: list[str] = []
    before = ""
    for argument in arguments:
        is_value = before in _FLAGS_WITH_VALUE or (
            before in _FLAGS_WITH_OPTIONAL_VALUE and re.fullmatch(r"[a-z-]+", argument)
        )
        (flags if is_value or argument.startswith("-") else overrides).append(argument)
        before = "" if is_value else argument
    return flags, overrides


def _check_flags(flags: Sequence[str]) -> None:
    """Hydra raises a bare ValueError for these."""
    names = {flag.partition("=")[0] for flag in flags}
    exclusive = [flag for flag in flags if flag.partition("=")[0] in _EXCLUSIVE_FLAGS]
    if len(exclusive) > 1:
        raise ConfigError(" ".join(exclusive), problem="exclude each other")
    if "--resolve" in flags and not {"--cfg", "-c", "--help", "-h"} & names:
        raise ConfigError("--resolve", problem="belongs to --cfg")


def _check_override(override: str) -> None:
    """What Hydra words badly, answers with a bare error of Python, or passes over."""
    if override.startswith("~"):
        return
    key, equals, value = override.partition("=")
    if not equals or not key.lstrip("+"):
        raise ConfigError(override or "''", problem="is no setting", allowed="KEY=VALUE, such as training.lr=0.001")
    group = resource_folder("conf") / key.lstrip("+")
    names = value.strip()[1:-1].split(",") if value.strip().startswith("[") else [value]
    if group.is_dir() and any(
        re.fullmatch(r"[-+]?[0-9.]+|true|false|null|[\[{].*", name.strip().lower()) for name in names
    ):
        options = ", ".join(sorted(path.stem for path in group.glob("*.yaml")))
        raise ConfigError(key, value, "there is no such file", allowed=options)


def _with_whole_budgets(overrides: Sequence[str]) -> list[str]:
    """A list or mapping given for a budget or one limit of it replaces what is there; Hydra alone would mix them.

    The prefixes let Hydra add a limit to a budget that was replaced; and they differ, because `--multirun` keeps only
    one override of each spelling.
    """
    replacing: list[str] = []
    for override in overrides:
        setting = re.fullmatch(r"\+*(budget(?:\.[\w.]+)?)=(.*)", override, re.DOTALL)
        if setting is None:
            replacing.append(override)
        elif re.search(r"[\[{]", setting[2]):
            replacing += [f"++{setting[1]}=null", f"+{setting[1]}={setting[2]}"]
        else:
            replacing.append(f"++{setting[1]}={setting[2]}")
    return replacing


def _without_default_bounds(overrides: Sequence[str]) -> list[str]:
    """Takes the default's `max_ratio` away where only `max` is given, and the other way round."""
    values: dict[tuple[str, str], str] = {}
    for override in overrides:
        bound = re.fullmatch(r"[+~]*budget\.(\w+)\.(max|max_ratio)(?:=(.*))?", override, re.DOTALL)
        if bound:
            values[bound[1], bound[2]] = "null" if override.startswith("~") else str(bound[3])
    return [
        f"budget.{cost}.{_OTHER_BOUND[bound]}=null"
        for (cost, bound), value in values.items()
        if value != "null" and (cost, _OTHER_BOUND[bound]) not in values  # who gives both is told so
    ]
