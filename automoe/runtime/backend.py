"""Backends: what runs a bundle's model. One file each here, `NAME_backend.py`, or an entry point elsewhere.

A backend is a module with a function `open_stepper` of the form `OpenStepper`. Another package adds one with
the entry point `automoe.backends`: `NAME = "its.module"`.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

from automoe.bundle import PRECISIONS, Bundle
from automoe.decoding.stepper import Stepper
from automoe.errors import ConfigError, DependencyError, did_you_mean

ENTRY_POINTS = "automoe.backends"
DEFAULT_BACKEND = "onnx"
_SUFFIX = "_backend"
_EXTRAS = {"onnx": "runtime"}
"""The extra of a backend's packages, where it is not named like the backend."""


class OpenStepper(Protocol):
    """Loads the model of a bundle whose files were found whole."""

    def __call__(
        self, bundle: Bundle, *, threads: int = 1, precision: str = PRECISIONS[0], shortlist: bool = False
    ) -> Stepper:
        """Returns the model, ready to translate on `threads` threads.

        Args:
            bundle: the bundle.
            threads: threads within an operation.
            precision: one of `automoe.bundle.PRECISIONS`.
            shortlist: whether to score only the tokens that a source's tokens can become.

        Raises:
            ConfigError: this backend cannot do that, or not with this bundle.
            BundleError: the bundle does not hold what this backend needs, or what it holds does not fit together.
        """


def find_backend(name: str, key: str = "backend") -> OpenStepper:
    """Finds a backend by name; imports it and nothing of the others.

    Args:
        name: its name.
        key: where the user gave it, for the message.

    Raises:
        ConfigError: there is no backend of this name.
        DependencyError: the packages that it needs are not installed.
    """
    modules = _backend_modules()
    if name not in modules:
        raise ConfigError(
            key, name, "there is no such backend", allowed=", ".join(modules), hint=did_you_mean(name, modules)
        )
    try:
        module = importlib.import_module(modules[name])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("automoe"):
            raise
        raise DependencyError(error.name, extra=_EXTRAS.get(name, name)) from error
    return cast(OpenStepper, module.open_stepper)


def _backend_modules() -> dict[str, str]:
    """Module of each backend by name, our own first; another package cannot take their names."""
    modules = {entry.name: entry.module for entry in entry_points(group=ENTRY_POINTS)}
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if found.name.endswith(_SUFFIX):
            modules[found.name.removesuffix(_SUFFIX)] = f"{__package__}.{found.name}"
    return modules
