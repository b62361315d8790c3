"""Every size of every layer, kept apart, as the group of features `sizes`: for tables of many rows.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automoe.predictor.predictor import FloatArray
from automoe.space import Architecture, DecoderLayerArch, EncoderLayerArch

_COMMON = ("exists", "heads", "qkv_dim", "experts", "total_width", "widest", "narrowest", "top_k")
_CROSS = ("cross_heads", "cross_qkv_dim", "cross_layers")


def layer_sizes(
    archs: Sequence[Architecture], encoder_layers: int, decoder_layers: int
) -> tuple[FloatArray, tuple[str, ...]]:
    """Every size of the first layers; all features of a layer that an architecture lacks are 0.

    Args:
        archs: the architectures.
        encoder_layers: encoder layers that there is room for; what is deeper has its first layers here.
        decoder_layers: decoder layers likewise.

    Returns:
        x_NF and the names of the features, such as "decoder.2.experts".
    """
    names: list[str] = []
    for side, depth in (("encoder", encoder_layers), ("decoder", decoder_layers)):
        sizes = _COMMON if side == "encoder" else _COMMON + _CROSS
        names += [f"{side}.dim", f"{side}.layers"] + [f"{side}.{i}.{size}" for i in range(depth) for size in sizes]
    place = {name: column for column, name in enumerate(names)}
    x_NF = np.zeros((len(archs), len(names)))
    for row, arch in enumerate(archs):
        for side, sizes_of_side in (("encoder", arch.encoder), ("decoder", arch.decoder)):
            x_NF[row, place[f"{side}.dim"]] = sizes_of_side.dim
            x_NF[row, place[f"{side}.layers"]] = len(sizes_of_side.layers)
        for side, index, layer in arch.layers():
            begin = place.get(f"{side}.{index}.exists")
            if begin is not None:
                values = _layer_sizes(layer)
                x_NF[row, begin : begin + len(values)] = values
    return x_NF, tuple(names)


def _layer_sizes(layer: EncoderLayerArch) -> list[int]:
    """In the order of `_COMMON` and `_CROSS`."""
    widths = layer.expert_widths
    sizes = [1, layer.heads, layer.qkv_dim, len(widths), sum(widths), widths[0], widths[-1], layer.top_k]
    if isinstance(layer, DecoderLayerArch):
        sizes += [layer.cross_heads, layer.cross_qkv_dim, layer.cross_layers]
    return sizes
