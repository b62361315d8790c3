"""The backend `torch`: runs a bundle's safetensors with PyTorch. The one file of this room that imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from automoe.bundle import MANIFEST_FILE, PRECISIONS, WEIGHTS_FILE, Bundle, check_tensors, read_tensors
from automoe.decoding.stepper import Float32Array, Int64Array, Stepper
from automoe.errors import AutoMoEError, BundleError, ConfigError
from automoe.nn import DTYPES, TorchStepper, Transformer, TransformerConfig, find_device
from automoe.space import Architecture


def open_stepper(
    bundle: Bundle,
    *,
    threads: int = 1,
    precision: str = PRECISIONS[0],
    shortlist: bool = False,
    device: str = "cpu",
) -> Stepper:
    """Builds the bundle's Transformer.

    Args:
        bundle: the bundle.
        threads: threads within an operation on the CPU; set for the whole process (PyTorch knows no other way) by
            each `start`.
        precision: float32; or bfloat16, to which the float32 weights are cast (routers compute in float32 anyway).
        shortlist: False.
        device: see `automoe.nn.torch_device.find_device`.

    Raises:
        ConfigError: another precision, or a shortlist: this backend is the reference and has neither. Or a device
            that is not there.
        BundleError: the architecture cannot be built, or the weights are not its weights.
    """
    for key, value, known in (("precision", precision, tuple(DTYPES)), ("shortlist", shortlist, (False,))):
        if value not in known:
            allowed = ", ".join(map(str, known))
            hint = "Use the backend onnx"
            raise ConfigError(key, value, "is not known to the backend torch", allowed=allowed, hint=hint)
    place = find_device(device)  # before anything is read
    return _OnThreads(TorchStepper(load_transformer(bundle).to(place, DTYPES[precision])), threads)


def check_device(device: str, key: str) -> None:
    """See `automoe.runtime.backend.CheckDevice`."""
    find_device(device, key)


class _OnThreads:
    """A stepper that runs on its own number of threads, though other models of the process may want another."""

    def __init__(self, stepper: Stepper, threads: int) -> None:
        self._stepper, self._threads = stepper, threads

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """See `Stepper.start`."""
        torch.set_num_threads(self._threads)
        self._stepper.start(sources, num_candidates)

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """See `Stepper.step`."""
        return self._stepper.step(tokens_N, order_N)


def load_transformer(bundle: Bundle) -> Transformer:
    """The bundle's model: standalone, in float32, in evaluation mode.

    Raises:
        BundleError: the architecture cannot be built, or the weights are not its weights.
    """
    transformer = _empty_transformer(bundle)
    path = bundle.path(WEIGHTS_FILE)
    tensors = read_tensors(path)
    check_tensors(tensors, {name: list(tensor.shape) for name, tensor in transformer.state_dict().items()}, path)
    weights = {name: torch.from_numpy(tensor.astype(np.float32)) for name, tensor in tensors.items()}
    transformer.load_state_dict(weights, assign=True)
    return transformer.eval()


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
