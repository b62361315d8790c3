"""The tensors of a bundle: which there must be, and reading them without PyTorch.

Shape suffixes: none; a safetensors file is a length, a JSON header and the tensors, one after the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.bundle.manifest import EXPORT_AGAIN
from automoe.errors import BundleError

JOINT = "+"
"""In the file of the int8 weights `a+b` is one tensor of the two of these names, `b` below `a`."""
SCALE = ".scale"
"""Ends the name of the scales that belong to int8 weights."""
_DTYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8}

Tensors = dict[str, npt.NDArray[Any]]


def tensor_shapes(architecture: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, list[int]]:
    """Names and shapes of all tensors of a model.

    Args:
        architecture: `BundleManifest.architecture`.
        model: `BundleManifest.model`.

    Raises:
        KeyError, TypeError: they are no such things.
    """
    encoder, decoder = architecture["encoder"], architecture["decoder"]
    shapes = {"embedding": [model["vocab_size"], max(encoder["dim"], decoder["dim"])]}
    for side, arch in (("encoder", encoder), ("decoder", decoder)):
        dim = arch["dim"]
        for index, layer in enumerate(arch["layers"]):
            prefix = f"{side}_layers.{index}"
            shapes |= _attention(f"{prefix}.self_attention", dim, dim, layer["qkv_dim"])
            norms = ["self_norm", "expert_norm"]
            if side == "decoder":
                shapes |= _attention(f"{prefix}.cross_attention", dim, encoder["dim"], layer["cross_qkv_dim"])
                norms.append("cross_norm")
            for norm in norms:
                shapes |= _norm(f"{prefix}.{norm}", dim)
            shapes |= _experts(f"{prefix}.experts", dim, layer["expert_widths"])
        if model["pre_norm"]:
            shapes |= _norm(f"{side}_norm", dim)
    return shapes


def read_tensors(path: Path) -> Tensors:
    """The tensors of a safetensors file by name, mapped and not loaded.

    Raises:
        BundleError: it is no such file, or a cut one.
    """
    data = np.memmap(path, mode="r") if path.stat().st_size else np.empty(0, np.uint8)
    try:
        start = 8 + int.from_bytes(data[:8].tobytes(), "little")
        header = json.loads(data[8:start].tobytes())
        header.pop("__metadata__", None)
        for name, entry in header.items():
            if entry["dtype"] not in _DTYPES:
                raise BundleError(
                    "is of a type that no weight has",
                    file=path,
                    key=name,
                    value=entry["dtype"],
                    allowed=", ".join(_DTYPES),
                    hint=EXPORT_AGAIN,
                )
        return {name: _tensor(data[start:], entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"is no safetensors file ({error})", file=path, hint=EXPORT_AGAIN) from error


def read_layout(path: Path) -> str:
    """`tensor_layout` of a safetensors file."""
    with path.open("rb") as file:
        length = file.read(8)
        return tensor_layout(length + file.read(int.from_bytes(length, "little")))


def tensor_layout(header: bytes) -> str:
    """Digest of where the tensors of a file lie: of its length and JSON header, and of no value."""
    return hashlib.sha256(header).hexdigest()[:16]


def check_tensors(tensors: Tensors, shapes: Mapping[str, list[int]], path: Path) -> None:
    """Checks that a file holds the tensors of a model, all and no others, and that all values are finite.

    Args:
        tensors: of the file; in float32, or as 8-bit weights with scales.
        shapes: what the model has.
        path: the file, for errors.

    Raises:
        BundleError: names the first tensor that is missing, too many, of a wrong shape, or not finite.
    """
    parts = {part: name for name in tensors if not name.endswith(SCALE) for part in name.split(JOINT)}
    scales = {name + SCALE for name, tensor in tensors.items() if tensor.dtype == np.int8}
    if missing := sorted((shapes.keys() - parts.keys()) | (scales - tensors.keys())):
        raise BundleError(f"lacks {len(missing)} tensor(s)", file=path, key=missing[0], hint=EXPORT_AGAIN)
    if surplus := sorted(parts.keys() - shapes.keys()):
        problem = f"holds {len(surplus)} tensor(s) too many for its architecture"
        raise BundleError(problem, file=path, key=surplus[0], hint=EXPORT_AGAIN)
    for name, tensor in tensors.items():
        if not name.endswith(SCALE):
            _check_shape(name, tensor, shapes, path)
        if not _is_finite(tensor):
            raise BundleError(
                "holds values that are infinite or not numbers (NaN)",
                file=path,
                key=name,
                hint="The training diverged; export an earlier checkpoint",
            )


def _check_shape(name: str, tensor: npt.NDArray[Any], shapes: Mapping[str, list[int]], path: Path) -> None:
    wanted = [shapes[part] for part in name.split(JOINT)]
    shape = [sum(part[0] for part in wanted), *wanted[0][1:]]
    transposed = tensor.dtype == np.int8 and name != "embedding"
    if list(tensor.shape) != (shape[::-1] if transposed else shape):
        raise BundleError(
            "has the wrong shape",
            file=path,
            key=name,
            value=list(tensor.shape),
            allowed=str(shape),
            hint=EXPORT_AGAIN,
        )


def _is_finite(tensor: npt.NDArray[Any]) -> bool:
    """Whether all values are numbers; extremes are found several times as fast as a mask of all is made."""
    return tensor.dtype == np.int8 or tensor.size == 0 or bool(np.isfinite([tensor.min(), tensor.max()]).all())


def _tensor(data: npt.NDArray[np.uint8], entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    begin, end = entry["data_offsets"]
    return data[begin:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _attention(prefix: str, query_dim: int, memory_dim: int, qkv_dim: int) -> dict[str, list[int]]:
    shapes = {f"{prefix}.output_weight": [query_dim, qkv_dim], f"{prefix}.output_bias": [query_dim]}
    for part, dim in (("query", query_dim), ("key", memory_dim), ("value", memory_dim)):
        shapes |= {f"{prefix}.{part}_weight": [qkv_dim, dim], f"{prefix}.{part}_bias": [qkv_dim]}
    return shapes


def _norm(prefix: str, dim: int) -> dict[str, list[int]]:
    return {f"{prefix}.weight": [dim], f"{prefix}.bias": [dim]}


def _experts(prefix: str, dim: int, widths: list[int]) -> dict[str, list[int]]:
    shapes = {f"{prefix}.router_weight": [len(widths), dim]} if len(widths) > 1 else {}
    for index, width in enumerate(widths):
        shapes |= {f"{prefix}.w1.{index}": [width, dim], f"{prefix}.b1.{index}": [width]}
        shapes |= {f"{prefix}.w2.{index}": [dim, width], f"{prefix}.b2.{index}": [dim]}
    return shapes
