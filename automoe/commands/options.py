"""`options_named`: errors that name the option which was typed instead of the argument that it became."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from automoe.errors import ConfigError


@contextmanager
def options_named(options: Mapping[str, str]) -> Iterator[None]:
    """Renames the key of a `ConfigError` of the body.

    Args:
        options: the option of each argument.
    """
    try:
        yield
    except ConfigError as error:
        if error.key is None or error.key not in options:
            raise
        error.key = options[error.key]
        error.has_value = error.has_value and error.value is not True  # nobody types --shortlist=True
        error.args = (str(error),)
        raise
