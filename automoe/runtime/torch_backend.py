"""The backend `torch`: runs a bundle's safetensors with PyTorch. The one file of this room that imports torch."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from automoe.bundle import MANIFEST_FILE, WEIGHTS_FILE, Bundle
from automoe.decoding.stepper import Stepper
from automoe.errors import AutoMoEError, BundleError
from automoe.nn import TorchStepper, Transformer, TransformerConfig
from automoe.space import Architecture

_EXPORT_AGAIN = "Export the bundle again"


def open_stepper(bundle: Bundle, *, threads: int) -> Stepper:
    """Builds the bundle's Transformer, in float32 on the CPU.

    Args:
        bundle: the bundle.
        threads: threads within an operation, for the whole process (PyTorch knows no other way).

    Raises:
        BundleError: the architecture cannot be built, or the weights are not its weights.
    """
    torch.set_num_threads(threads)
    transformer = _empty_transformer(bundle)
    weights = _read_weights(bundle.path(WEIGHTS_FILE))
    _check_weights(weights, transformer.state_dict(), bundle.path(WEIGHTS_FILE))
    weights = {name: tensor.to(torch.float32) for name, tensor in weights.items()}
    transformer.load_state_dict(weights, assign=True)
    return TorchStepper(transformer.eval())


def _empty_transformer(bundle: Bundle) -> Transformer:
    try:
        arch = Architecture.from_dict(bundle.manifest.architecture)
        config = TransformerConfig.from_dict(bundle.manifest.model)
    except (AutoMoEError, KeyError, TypeError) as error:
        raise BundleError(
            f"describes no model that this AutoMoE can build ({error!s})",
            file=bundle.folder / MANIFEST_FILE,
            hint=f"Use AutoMoE {bundle.manifest.automoe_version}, which wrote it",
        ) from error
    return Transformer.without_weights(arch, config)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise BundleError(f"is no safetensors file ({error})", file=path, hint=_EXPORT_AGAIN) from error


def _check_weights(weights: dict[str, Tensor], wanted: dict[str, Tensor], path: Path) -> None:
    """Checks names, shapes, types and values of all tensors."""
    if missing := sorted(wanted.keys() - weights.keys()):
        raise BundleError(f"lacks {len(missing)} tensor(s)", file=path, key=missing[0], hint=_EXPORT_AGAIN)
    if surplus := sorted(weights.keys() - wanted.keys()):
        raise BundleError(
            f"holds {len(surplus)} tensor(s) too many for its architecture",
            file=path,
            key=surplus[0],
            hint=_EXPORT_AGAIN,
        )
    for name, tensor in weights.items():
        shape = list(wanted[name].shape)
        if list(tensor.shape) != shape:
            raise BundleError(
                "has the wrong shape",
                file=path,
                key=name,
                value=list(tensor.shape),
                allowed=str(shape),
                hint=_EXPORT_AGAIN,
            )
        if not tensor.is_floating_point():
            raise BundleError("is not of floating point", file=path, key=name, value=str(tensor.dtype))
        if not bool(tensor.isfinite().all()):
            raise BundleError(
                "holds values that are infinite or not numbers (NaN)",
                file=path,
                key=name,
                hint="The training diverged; export an earlier checkpoint",
            )
