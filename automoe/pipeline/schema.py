"""From frozen dataclasses to a schema that Hydra can fill, and back from plain values to the dataclasses.

Hydra writes into its schema, so a frozen dataclass cannot be one; and it knows neither tuples of any length, nor
paths, nor `Literal`. `schema_of` makes a twin that can be written and has only types it knows. `build` makes the
real thing, whose `__post_init__` then checks the values.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from automoe.errors import AutoMoEError, ConfigError, did_you_mean

T = TypeVar("T")
MISSING = "???"
"""How OmegaConf writes a value that must be given."""


@cache
def schema_of(kind: type) -> type:
    """A twin of the dataclass `kind`, nested ones included, that can be written and holds plain types only."""
    hints = typing.get_type_hints(kind)
    fields: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(kind):
        plain = _plain_type(hints[field.name])
        if dataclasses.is_dataclass(plain):
            fields.append((field.name, plain, dataclasses.field(default_factory=typing.cast(type, plain))))
        elif field.default_factory is not dataclasses.MISSING:
            fields.append(
                (field.name, plain, dataclasses.field(default_factory=_plain_factory(field.default_factory)))
            )
        else:
            default = MISSING if field.default is dataclasses.MISSING else _plain_value(field.default)
            fields.append((field.name, plain, dataclasses.field(default_factory=partial(_same, default))))
    return dataclasses.make_dataclass(kind.__name__, fields)


def keys_of(kind: Any, prefix: str = "") -> list[str]:
    """Every key of the dataclass `kind`, dotted, sections before their members."""
    hints = typing.get_type_hints(kind)
    keys: list[str] = []
    for field in dataclasses.fields(kind):
        keys.append(prefix + field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            keys += keys_of(hints[field.name], f"{prefix}{field.name}.")
    return keys


def build(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Makes the dataclass `kind`, nested ones included, from plain values.

    Args:
        kind: a dataclass.
        values: a value for each of its fields that has no default.
        prefix: dotted path of this section, for messages.

    Raises:
        ConfigError: a key is unknown, a value is missing, or `__post_init__` refuses one.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            raise unknown_key(prefix + name, [prefix + known for known in names])
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if value == MISSING:
            raise ConfigError(prefix + name, problem="must be given", hint=f"Add {prefix}{name}=VALUE")
        arguments[name] = _convert(hints[name], value, prefix + name)
    try:
        return kind(**arguments)
    except AutoMoEError as error:  # a section does not know where in the configuration it stands
        if error.key is None or error.key.startswith(prefix):
            raise
        section = prefix.rstrip(".").rpartition(".")[2] + "."  # a class may name the section that it is made for
        error.key = prefix + error.key.removeprefix(section)
        error.args = (str(error),)
        raise


def unknown_key(key: str, known: list[str]) -> ConfigError:
    """The error of a key that does not exist; names the nearest one, or else all of its section."""
    hint = did_you_mean(key, known)
    if hint is None:  # the last part may be right and the section wrong or left out: lr for training.lr
        last = key.rpartition(".")[2]
        same = [name for name in known if name.rpartition(".")[2] == last]
        hint = f"Did you mean {same[0]!r}?" if same else None
    section = key.rpartition(".")[0]
    allowed = [name for name in known if name.rpartition(".")[0] == section] or [k for k in known if "." not in k]
    return ConfigError(key, problem="unknown key", allowed=None if hint else ", ".join(allowed), hint=hint)


def _convert(hint: Any, value: Any, key: str) -> Any:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        return None
    if origin in (Union, types.UnionType):
        members = [option for option in options if option is not type(None)]
        return _convert(members[0], value, key) if len(members) == 1 else value
    if origin is Literal:
        if value not in options:
            allowed = ", ".join(str(option) for option in options)
            raise ConfigError(key, value, allowed=allowed, hint=did_you_mean(str(value), map(str, options)))
        return value
    if origin is tuple:
        return tuple(_convert(options[0], item, key) for item in value)
    if hint is Path:
        return Path(value)
    if hint is float and not math.isfinite(value):
        raise ConfigError(key, value, "is not a finite number")
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, key + ".")
    return value


def _plain_type(hint: Any) -> Any:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if hint is Path:
        return str
    if origin is Literal:
        return type(options[0])
    if origin is tuple:
        if len(options) != 2 or options[1] is not Ellipsis:
            raise TypeError(f"a configuration's tuple has one type and any length: tuple[X, ...], not {hint}")
        return list[_plain_type(options[0])]  # type: ignore[misc]
    if origin in (Union, types.UnionType):
        return Union[tuple(_plain_type(option) for option in options)]  # noqa: UP007
    return schema_of(typing.cast(type, hint)) if dataclasses.is_dataclass(hint) else hint


def _same(value: Any) -> Any:
    return value


def _plain_factory(factory: Any) -> Any:
    return lambda: _plain_value(factory())


def _plain_value(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
