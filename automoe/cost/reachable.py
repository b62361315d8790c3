"""Parameters that tokens really reach, from measured expert loads.

Published sparsities of AutoMoE count experts that no token is ever sent to; here they are counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from automoe.cost.analytic import costs
from automoe.cost.formulas import experts_params
from automoe.space import Architecture


def reachable_params(
    arch: Architecture, loads: Mapping[tuple[str, int], Sequence[int]], *, vocab_size: int, pre_norm: bool
) -> int:
    """`params_total` without the experts that received no token.

    Args:
        arch: the sizes.
        loads: for every expert layer, by (side, layer index), the tokens that each expert received.
        vocab_size: entries of the shared vocabulary.
        pre_norm: as for `costs`.

    Raises:
        ValueError: the loads are not of this architecture.
    """
    total = costs(arch, vocab_size=vocab_size, pre_norm=pre_norm).params_total
    dims = {"encoder": arch.encoder.dim, "decoder": arch.decoder.dim}
    for side, index, layer in arch.layers():
        if layer.num_experts == 1:
            continue
        counts = loads.get((side, index))
        if counts is None or len(counts) != layer.num_experts:
            raise ValueError(f"{side} layer {index} has {layer.num_experts} experts, its loads are {counts}")
        for width, count in zip(layer.expert_widths, counts, strict=True):
            if count == 0:
                total -= experts_params(dims[side], width, 1)
    return total
