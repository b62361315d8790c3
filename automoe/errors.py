"""The one family of errors that a user can mend, and the one place that words them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ABSENT: Any = object()


class AutoMoEError(Exception):
    """Something that a user can mend: it says what, where, what is allowed, and how to fix it.

    Args:
        problem: what is wrong, in a few words.
        file: the file that holds the mistake.
        line: its line, counted from 1.
        key: the key (dotted path) or the argument.
        value: the value that was given.
        allowed: what would have been accepted.
        hint: what to do about it, as a sentence.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        key: str | None = None,
        value: Any = _ABSENT,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.line = line
        self.key = key
        self.value = None if value is _ABSENT else value
        self.has_value = value is not _ABSENT
        self.allowed = allowed
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        place = "" if self.file is None else f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        if self.key is None:
            subject = ""
        elif self.has_value:
            subject = f"{self.key}={_shown(self.value)}: "
        else:
            subject = f"{self.key}: "
        allowed = f" (allowed: {self.allowed})" if self.allowed else ""
        hint = f". {self.hint}" if self.hint else ""
        return f"{place}{subject}{self.problem}{allowed}{hint}"

    def fields(self) -> dict[str, Any]:
        """The arguments that make this error again, for another process; the value as it is shown."""
        names = ("problem", "file", "line", "key", "allowed", "hint")
        return {name: getattr(self, name) for name in names} | (
            {"value": _shown(self.value)} if self.has_value else {}
        )

    def __reduce__(self) -> tuple[Any, ...]:  # the message alone would not rebuild the fields
        return _rebuild, (type(self), self.__dict__)


class ConfigError(AutoMoEError):
    """A configuration value that is not allowed: `ConfigError("beam", 0, allowed=">= 1")`."""

    def __init__(self, key: str, value: Any = _ABSENT, problem: str = "is not allowed", **fields: Any) -> None:
        super().__init__(problem, key=key, value=value, **fields)


class SpaceError(AutoMoEError):
    """A search space or an architecture that is malformed, or one that does not fit another."""


class DataError(AutoMoEError):
    """A corpus that is missing, damaged or of the wrong form."""


class BundleError(AutoMoEError):
    """A bundle that is damaged, incomplete or of another version."""


class RunError(AutoMoEError):
    """A run folder that cannot be used: of another version, locked, damaged or lacking a stage."""


class TrainingError(AutoMoEError):
    """A training that cannot start or go on."""


class DependencyError(AutoMoEError):
    """A package of an extra that is not installed: `DependencyError("torch", extra="torch")`."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"the package {package!r} is not installed",
            hint=f"Install it with: pip install 'automoe[{extra}]'",
        )


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The sentence "Did you mean ...?" for the known word nearest to `word`, or None if none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else None


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _rebuild(kind: type[AutoMoEError], fields: dict[str, Any]) -> AutoMoEError:
    error = kind.__new__(kind)
    error.__dict__.update(fields)
    error.args = (str(error),)
    return error
