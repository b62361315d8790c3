"""Hydra at the border: overrides and YAML groups come in, plain frozen dataclasses go out.

Hydra keeps what it is known for (`--cfg job`, `--help`, `--config-dir`, `--multirun`, `-cn`); its errors are worded
anew, because they name its own classes and show tracebacks. Nothing behind this module sees a DictConfig.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from automoe.errors import ConfigError, DependencyError, did_you_mean
from automoe.pipeline.overrides import arranged
from automoe.pipeline.schema import build, keys_of, schema_of, unknown_key
from automoe.resources import resource_folder

if TYPE_CHECKING:
    from omegaconf import DictConfig

T = TypeVar("T")
_KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false", "String": "a text"}


def compose(command: str, arguments: Sequence[str], kind: type[T], work: Callable[[T], None]) -> None:
    """Composes the configuration and does the work with it; with `--multirun` once for each combination.

    Flags that only show something (`--help`, `--cfg job`, `--info`) do no work.

    Args:
        command: how the program was called, for the help text: "automoe data".
        arguments: overrides and Hydra's flags.
        kind: the dataclass of the whole configuration.
        work: takes the configuration.

    Raises:
        ConfigError: an unknown key or option, a value of the wrong type, a malformed override.
        DependencyError: Hydra is not installed.
        SystemExit: after `--help` and the like.
    """
    try:
        import hydra
        from hydra.core.hydra_config import HydraConfig
        from hydra.errors import HydraException
        from hydra.types import RunMode
        from omegaconf.errors import OmegaConfBaseException
    except ModuleNotFoundError as error:
        raise DependencyError("hydra-core", extra="train") from error

    composed: list[DictConfig] = []

    def task(config: DictConfig) -> None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            work(_settings_of(config, kind))
        else:  # the work is done outside of Hydra, so that a failure's traceback is free of it
            composed.append(config)

    arguments = arranged(arguments)
    decorated = hydra.main(version_base="1.3", config_path=str(resource_folder("conf")), config_name="config")(task)
    try:
        with _hydra_called_as(command, arguments), _schema_stored(schema_of(cast(type, kind))):
            decorated()
        settings = [_settings_of(config, kind) for config in composed]
    except (HydraException, OmegaConfBaseException) as error:
        raise _reworded(error, kind) from error
    except ValueError as error:
        mistake = _name_in_a_list(error, arguments)
        if mistake is None:
            raise
        raise mistake from error
    for setting in settings:
        work(setting)


def _settings_of(config: DictConfig, kind: type[T]) -> T:
    from omegaconf import OmegaConf

    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True)
    return build(kind, values)


@contextmanager
def _schema_stored(schema: Any) -> Iterator[None]:
    """Shows Hydra our schema and its own; others (fairseq's is called `config`, as our file is) would be mixed in."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    everything = store.repo
    store.repo = {"hydra": everything["hydra"]}
    store.store(name="schema", node=_with_open_dicts(schema))
    try:
        yield
    finally:
        store.repo = everything


def _with_open_dicts(schema: Any) -> Any:
    """The schema as OmegaConf's node, in which Hydra takes any key below a field that is a dict."""
    from omegaconf import DictConfig, OmegaConf

    def open_dicts(node: DictConfig) -> None:
        for value in node.values():
            if isinstance(value, DictConfig):
                if OmegaConf.get_type(value) is dict:
                    OmegaConf.set_struct(value, False)  # the whole configuration is closed later
                else:
                    open_dicts(value)

    config: DictConfig = OmegaConf.structured(schema)
    open_dicts(config)
    return config


@contextmanager
def _hydra_called_as(command: str, arguments: Sequence[str]) -> Iterator[None]:
    """Gives Hydra its command line, and has it raise its errors instead of printing them."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [command, *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _reworded(error: Exception, kind: Any) -> ConfigError:
    """Hydra's or OmegaConf's error in the words of a user."""
    missing = getattr(error, "missing_cfg_file", None)
    if missing is not None:
        options = [str(option) for option in getattr(error, "options", None) or ()]
        group, _, choice = str(missing).rpartition("/")
        return ConfigError(
            group or "--config-name",
            choice,
            "there is no such file",
            allowed=", ".join(options) or None,
            hint=did_you_mean(choice, options),
        )
    where = re.match(r"In '([^']+)'", str(error))
    place = f" (in the configuration file {where[1]}.yaml)" if where else ""
    chain = [link for link in (error.__cause__, error, error.__context__) if link is not None]
    cause = next((link for link in chain if getattr(link, "full_key", None)), error)
    key = getattr(cause, "full_key", None)
    first = str(getattr(cause, "msg", None) or cause).splitlines()[0]
    if key and re.match(r"Key '.*' (is )?not in ", first):
        unknown = unknown_key(key, keys_of(kind))
        return ConfigError(key, problem=unknown.problem + place, allowed=unknown.allowed, hint=unknown.hint)
    if key:
        return _wrong_value(key, first, cause, kind, place)
    group_override = re.match(r"Could not override '([^']*)'", str(error))
    if group_override:
        return unknown_key(group_override[1].replace("/", "."), keys_of(kind))
    return _malformed(error)


def _wrong_value(key: str, first: str, cause: BaseException, kind: Any, place: str) -> ConfigError:
    """A key that exists and cannot be what was given; `first` is the first line of OmegaConf's message."""
    mismatch = re.match(r"Value '(.*)' (?:of type '.*' could not be converted to|is not a valid) (\w+)", first)
    if mismatch:
        return ConfigError(key, mismatch[1], f"is not {_KINDS.get(mismatch[2], mismatch[2])}{place}")
    if "not Optional" in first or "NoneType is not a subclass of" in first:
        return ConfigError(key, problem=f"must not be null{place}")
    if "is not a ListConfig" in first:
        value = getattr(cause, "value", None)
        return ConfigError(key, value, f"is not a list{place}", hint=f"Write {key}=[{value}]")
    if first == "list index out of range":
        whole = key.rpartition("[")[0]
        return ConfigError(key, problem=f"is beyond the end of the list{place}", hint=f"Write {whole}=[A, B]")
    mixed = first == "Cannot merge DictConfig with ListConfig"
    if mixed and getattr(cause, "object_type", None) is list:
        return ConfigError(key, problem=f"is a list, not a mapping{place}", hint=f"Write {key}=[A, B]")
    if mixed or "not a subclass of" in first or re.match(r"Cannot assign .* to Dict", first):
        members = [name for name in keys_of(kind) if name.startswith(key + ".")] or [f"{key}.NAME=VALUE"]
        return ConfigError(key, problem=f"is a section: set the keys in it{place}", allowed=", ".join(members))
    if re.match(r"Cannot convert .* to string", first):
        return ConfigError(key, problem=f"is not a text{place}")
    return ConfigError(key, problem=f"cannot be set: {first}{place}")


def _name_in_a_list(error: ValueError, arguments: Sequence[str]) -> ConfigError | None:
    """OmegaConf's bare error for an override such as `search.objectives.first=3`; None if it is another error."""
    name = re.match(r"invalid literal for int\(\) with base 10: '(.*)'", str(error))
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if name is None or not str(frame.f_globals.get("__name__")).startswith("omegaconf."):
        return None
    keys = [argument.partition("=")[0].lstrip("+~") for argument in arguments]
    key = next((key for key in keys if name[1] in key.split(".")), name[1])
    whole = key.partition(f".{name[1]}")[0]
    return ConfigError(key, problem=f"{whole} is a list, which has no names", hint=f"Write {whole}=[A, B]")


def _malformed(error: Exception) -> ConfigError:
    override = getattr(error, "override", None)
    ambiguous = re.match(r"Ambiguous value for argument '\+*([^=']*)=([^']*)'", str(error))
    if ambiguous:
        return ConfigError(
            ambiguous[1],
            ambiguous[2],
            "is several values",
            hint=f"Add --multirun to run with each of them; a list is written {ambiguous[1]}=[{ambiguous[2]}], "
            f"a text with commas '{ambiguous[1]}=\"{ambiguous[2]}\"'",
        )
    text = " ".join(str(error).partition("See https")[0].split())
    if override is None:
        return ConfigError("configuration", problem=f"cannot be read: {text}")
    key, _, value = str(override).lstrip("+").partition("=")
    quoted = value if value.startswith(("'", '"')) else f'"{value}"'
    return ConfigError(
        key,
        value,
        "holds a character that needs quotes",
        hint=f"Put quotes inside quotes: '{key}={quoted}' (Hydra says: {text.partition(': ')[2] or text})",
    )
