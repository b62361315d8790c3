"""Errors of a training name the keys of its own section of the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from automoe.errors import AutoMoEError
from automoe.training.config import TrainingConfig

_NAMES = "|".join(field.name for field in fields(TrainingConfig))
_KEY = re.compile(rf"(?<![\w.])(?=training\.(?:{_NAMES})\b)")
"""Where a key stands, as a training calls it wherever its settings are."""


@contextmanager
def training_of(section: str) -> Iterator[None]:
    """Within, a training runs whose settings stand in `SECTION.training`, not in `training`, the supernet's.

    Raises:
        AutoMoEError: what was raised within, with the keys that the user can set.
    """
    try:
        yield
    except AutoMoEError as error:
        for part in ("key", "problem", "hint"):
            if (text := getattr(error, part)) is not None:
                setattr(error, part, _KEY.sub(f"{section}.", text))
        error.args = (str(error),)
        raise
