"""`LayerSizes`: the sizes of one layer in many architectures, as columns.

Shape suffixes: N architectures, E experts of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.space.architecture import Architecture, DecoderLayerArch

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class LayerSizes:
    """The sizes of one layer in N architectures; those of architectures without the layer mean nothing."""

    side: str
    index: int
    present_N: Bools
    """Which architectures are deep enough to have the layer."""
    dim_N: Ints
    heads_N: Ints
    qkv_dim_N: Ints
    num_experts_N: Ints
    top_k_N: Ints
    width_NE: Ints
    """Widths of the experts, widest first, 0 where there is none."""


@dataclass(frozen=True, kw_only=True)
class DecoderLayerSizes(LayerSizes):
    """The sizes of one decoder layer in N architectures."""

    cross_heads_N: Ints
    cross_qkv_dim_N: Ints
    cross_layers_N: Ints


def layer_sizes_of(arch: Architecture) -> tuple[LayerSizes, ...]:
    """The sizes of all layers of one architecture, as columns of one row."""
    found: list[LayerSizes] = []
    for side, index, layer in arch.layers():
        common: dict[str, Any] = {
            "side": side,
            "index": index,
            "present_N": np.ones(1, dtype=np.bool_),
            "dim_N": _column(arch.encoder.dim if side == "encoder" else arch.decoder.dim),
            "heads_N": _column(layer.heads),
            "qkv_dim_N": _column(layer.qkv_dim),
            "num_experts_N": _column(layer.num_experts),
            "top_k_N": _column(layer.top_k),
            "width_NE": np.array([layer.expert_widths], dtype=np.int64),
        }
        if isinstance(layer, DecoderLayerArch):
            found.append(
                DecoderLayerSizes(
                    **common,
                    cross_heads_N=_column(layer.cross_heads),
                    cross_qkv_dim_N=_column(layer.cross_qkv_dim),
                    cross_layers_N=_column(layer.cross_layers),
                )
            )
        else:
            found.append(LayerSizes(**common))
    return tuple(found)


def _column(value: int) -> Ints:
    return np.array([value], dtype=np.int64)
