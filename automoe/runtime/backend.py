"""Backends: what runs a bundle's model. One file each here, `NAME_backend.py`, or an entry point elsewhere.

A backend is a module with a function `open_stepper` of the form `OpenStepper`. Another package adds one with
the entry point `automoe.backends`: `NAME = "its.module"`. One that runs models elsewhere than on the CPU has a
function `check_device` of the form `CheckDevice` too.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from automoe.bundle import PRECISIONS, Bundle
from automoe.decoding.stepper import Stepper
from automoe.errors import ConfigError, DependencyError, did_you_mean

ENTRY_POINTS = "automoe.backends"
DEFAULT_BACKEND = "onnx"
CAST_PRECISIONS: dict[str, tuple[str, ...]] = {"torch": ("bfloat16",)}
"""Precisions beside `automoe.bundle.PRECISIONS` that a backend casts the float32 weights of any bundle to: they are
measured in, and no bundle holds them."""
_SUFFIX = "_backend"
_EXTRAS = {"onnx": "runtime"}
"""The extra of a backend's packages, where it is not named like the backend."""


class OpenStepper(Protocol):
    """Loads the model of a bundle whose files were found whole."""

    def __call__(
        self,
        bundle: Bundle,
        *,
        threads: int = 1,
        precision: str = PRECISIONS[0],
        shortlist: bool = False,
        device: str = "cpu",
    ) -> Stepper:
        """Returns the model, ready to translate on `threads` threads.

        Args:
            bundle: the bundle.
            threads: threads within an operation.
            precision: one of `automoe.bundle.PRECISIONS`, or of the backend's in `CAST_PRECISIONS`.
            shortlist: whether to score only the tokens that a source's tokens can become.
            device: where the model runs: "cpu", "cuda", "cuda:1".

        Raises:
            ConfigError: this backend cannot do that, or not with this bundle, or the device is not there.
            BundleError: the bundle does not hold what this backend needs, or what it holds does not fit together.
        """


class CheckDevice(Protocol):
    """Says whether models can run somewhere."""

    def __call__(self, device: str, key: str) -> None:
        """Returns if the device is there.

        Args:
            device: as in `OpenStepper`.
            key: where the user gave it, for the message.

        Raises:
            ConfigError: it is not; the message names what is.
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
    return cast(OpenStepper, _import_backend(name, key).open_stepper)


def check_device(backend: str, device: str, key: str = "device") -> None:
    """Checks that a backend can run models on a device of this machine; nothing is loaded for it.

    Args:
        backend: name of the backend.
        device: "cpu", "cuda", "cuda:1".
        key: where the user gave the device, for the message.

    Raises:
        ConfigError: the backend runs on the CPU alone, or the device is not there, or there is no such backend.
        DependencyError: the packages that the backend needs are not installed.
    """
    if device == "cpu":
        return
    check = getattr(_import_backend(backend, "backend"), "check_device", None)
    if check is None:
        raise only_on_cpu(backend, device, key)
    cast(CheckDevice, check)(device, key)


def graphs_for(backend: str, precision: str, key: str = "precision") -> tuple[str, ...]:
    """The precisions of the ONNX graphs that a bundle must hold for a backend to run it in this one.

    Args:
        backend: its name.
        precision: in which it shall run.
        key: where the user gave it, for the message.

    Raises:
        ConfigError: the backend does not know the precision.
    """
    casts = CAST_PRECISIONS.get(backend)
    known = PRECISIONS if casts is None else (PRECISIONS[0], *casts)
    if precision not in known:
        hint = None if casts is None else f"Use the backend {DEFAULT_BACKEND}"
        raise ConfigError(
            key, precision, f"is not known to the backend {backend}", allowed=", ".join(known), hint=hint
        )
    return (precision,) if casts is None else ()


def only_on_cpu(backend: str, device: str, key: str = "device") -> ConfigError:
    """The error for a device that a backend of the CPU is asked for."""
    problem = f"the backend {backend} runs on the CPU alone"
    return ConfigError(key, device, problem, allowed="cpu", hint="The backend torch runs on GPUs")


def _import_backend(name: str, key: str) -> ModuleType:
    modules = _backend_modules()
    if name not in modules:
        raise ConfigError(
            key, name, "there is no such backend", allowed=", ".join(modules), hint=did_you_mean(name, modules)
        )
    try:
        return importlib.import_module(modules[name])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("automoe"):
            raise
        raise DependencyError(error.name, extra=_EXTRAS.get(name, name)) from error


def _backend_modules() -> dict[str, str]:
    """Module of each backend by name, our own first; another package cannot take their names."""
    modules = {entry.name: entry.module for entry in entry_points(group=ENTRY_POINTS)}
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if found.name.endswith(_SUFFIX):
            modules[found.name.removesuffix(_SUFFIX)] = f"{__package__}.{found.name}"
    return modules
