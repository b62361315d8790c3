"""AutoMoE: neural architecture search for heterogeneous mixture-of-experts translation models.

Importing the package loads nothing else; `automoe.load(path)` opens a bundle for translation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from automoe.errors import AutoMoEError
from automoe.version import __version__

if TYPE_CHECKING:
    from automoe.runtime import Translator, load

__all__ = ["AutoMoEError", "Translator", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in ("load", "Translator"):
        from automoe import runtime

        return getattr(runtime, name)
    raise AttributeError(f"module 'automoe' has no attribute {name!r}")
