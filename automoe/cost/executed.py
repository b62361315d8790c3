"""FLOPs that a pass really executes, from where its tokens went.

The analytic `flops` of `costs` let the router load all experts evenly. Where experts are of unequal width, what is
executed depends on the routing: a token that goes to an expert of 512 units costs four times one that goes to 128.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from automoe.cost.analytic import costs
from automoe.cost.formulas import experts_macs
from automoe.space import Architecture, EncoderLayerArch

ExpertLoads = Mapping[tuple[str, int], Sequence[float]]
"""For every expert layer, by (side, layer index), what each of its experts got of the tokens: counts, or shares."""


def executed_flops(
    arch: Architecture, loads: ExpertLoads, *, source_tokens: int = 30, target_tokens: int = 30
) -> int:
    """`flops` of a pass in which the tokens went to the experts as `loads` say: 2 x MACs of its matrix products.

    With the counts of that very pass (whole numbers that add up to tokens x top-k) it is exact, as a counter of
    products would have it. With the loads of a corpus it is what a pass of these lengths executes on average,
    rounded layer by layer; at uniform load that is `costs(arch).flops`. The projection to the vocabulary is apart.

    Args:
        arch: the sizes.
        loads: for every expert layer the tokens of each expert; only their proportions count.
        source_tokens: length of the source sentence.
        target_tokens: length of the target sentence.

    Raises:
        ConfigError: a length that is not above 0.
        ValueError: the loads are not of this architecture, negative, or all 0 in a layer.
    """
    # The norms and the vocabulary are no part of `flops`.
    flops = costs(arch, vocab_size=1, pre_norm=True, source_tokens=source_tokens, target_tokens=target_tokens).flops
    executed = executed_expert_flops(arch, loads, source_tokens=source_tokens, target_tokens=target_tokens)
    return flops - uniform_expert_flops(arch, source_tokens=source_tokens, target_tokens=target_tokens) + executed


def executed_expert_flops(
    arch: Architecture, loads: ExpertLoads, *, source_tokens: int = 30, target_tokens: int = 30
) -> int:
    """The part of `executed_flops` that the experts of the expert layers take; dense layers and routers have none.

    Arguments and errors are those of `executed_flops`.
    """
    tokens = {"encoder": source_tokens, "decoder": target_tokens}
    macs = 0
    for side, index, layer in arch.layers():
        if layer.num_experts > 1:
            mean_width = _mean_width(layer, loads.get((side, index)), f"{side} layer {index}")
            products = 2 * tokens[side] * dim_of(arch, side) * layer.top_k * mean_width
            macs += math.floor(products + Fraction(1, 2))
    return 2 * macs


def uniform_expert_flops(arch: Architecture, *, source_tokens: int = 30, target_tokens: int = 30) -> int:
    """`executed_expert_flops` if every expert of a layer gets as many tokens as the others: the analytic value."""
    tokens = {"encoder": source_tokens, "decoder": target_tokens}
    return 2 * sum(
        experts_macs(tokens[side], dim_of(arch, side), sum(layer.expert_widths), layer.num_experts, layer.top_k)
        for side, _, layer in arch.layers()
        if layer.num_experts > 1
    )


def loads_from_json(form: Mapping[str, Sequence[float]]) -> dict[tuple[str, int], Sequence[float]]:
    """The loads as a measured table holds them, by "encoder 0"."""
    found = {}
    for name, load in form.items():
        side, _, index = name.partition(" ")
        found[side, int(index)] = load
    return found


def dim_of(arch: Architecture, side: str) -> int:
    """Model dimension of a side, "encoder" or "decoder"."""
    return arch.encoder.dim if side == "encoder" else arch.decoder.dim


def _mean_width(layer: EncoderLayerArch, load: Sequence[float] | None, name: str) -> Fraction:
    """Width of a token's expert on average, exactly: fractions, since a mean in floating point rounds."""
    if load is None or len(load) != layer.num_experts:
        raise ValueError(f"{name} has {layer.num_experts} experts, its loads are {load}")
    if not all(0 <= part < math.inf for part in load) or not any(load):
        raise ValueError(f"the loads of {name} are no shares of its tokens: {load}")
    parts = [Fraction(float(part)) for part in load]
    weighted = (width * part for width, part in zip(layer.expert_widths, parts, strict=True))
    return sum(weighted, start=Fraction()) / sum(parts, start=Fraction())
