"""Search problems without training: quality and costs of an architecture are formulas of its sizes.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from automoe.cost import costs
from automoe.search import COSTS, LATENCY, Interval, Problem, Quality, Record, ResolvedLimit, in_budget_units
from automoe.search.evaluator import Floats
from automoe.space import (
    Architecture,
    DecoderLayerArch,
    DecoderLayerChoices,
    ExpertChoices,
    GenomeCodec,
    LayerChoices,
    SearchSpace,
    SideChoices,
)

_HALF_WIDTH = 0.2
"""Of a latency's interval, relative to its mean."""


class Costs(NamedTuple):
    """One cost of N architectures."""

    mean_N: Floats
    lower_N: Floats
    upper_N: Floats


def small_space() -> SearchSpace:
    """A space of 60 architectures, which a test can exhaust."""
    experts = ExpertChoices(count=(1, 2), width=(16, 32), per_expert=True)
    decoder_layer = DecoderLayerChoices(heads=(2,), experts=ExpertChoices(count=(1, 2), width=(16,)))
    return SearchSpace(
        name="small",
        encoder=SideChoices(dim=(16,), depth=(1,), layers=(LayerChoices(heads=(2,), experts=experts),)),
        decoder=SideChoices(dim=(16, 32), depth=(1, 2), layers=(decoder_layer,) * 2),
    )


def middle_space() -> SearchSpace:
    """A space of some hundred thousand architectures, in which everything varies."""
    experts = ExpertChoices(count=(1, 2, 3), width=(16, 32), per_expert=True)
    layer = DecoderLayerChoices(heads=(1, 2), experts=experts, cross_layers=(1, 2), top_k=(1, 2))
    return SearchSpace(
        name="middle",
        encoder=SideChoices(dim=(16, 32), depth=(1, 2), layers=(LayerChoices(heads=(1, 2), experts=experts),) * 2),
        decoder=SideChoices(dim=(16, 32), depth=(1, 2), layers=(layer,) * 2),
    )


def wmt14_space() -> SearchSpace:
    """AutoMoE's space of up to 6 experts for WMT'14 (Jawahar et al. 2023): about 10^23 architectures."""
    experts = ExpertChoices(count=(1, 2, 3, 4, 5, 6), width=(1024, 2048, 3072))
    layer = LayerChoices(heads=(4, 8), qkv_dim=(512,), experts=experts)
    decoder_layer = DecoderLayerChoices(
        heads=(4, 8), qkv_dim=(512,), experts=experts, cross_heads=(4, 8), cross_layers=(1, 2, 3)
    )
    return SearchSpace(
        name="wmt14",
        encoder=SideChoices(dim=(512, 640), depth=(6,), layers=(layer,) * 6),
        decoder=SideChoices(dim=(512, 640), depth=(1, 2, 3, 4, 5, 6), layers=(decoder_layer,) * 6),
    )


def quality(arch: Architecture) -> Quality:
    """A loss that falls with every size, with diminishing returns, and more with those of deeper layers."""
    dims = {"encoder": arch.encoder.dim, "decoder": arch.decoder.dim}
    strength = sum(
        (1 + 0.1 * index) * (math.log(dims[side]) + 0.3 * math.log(sum(layer.expert_widths)))
        + 0.01 * (layer.heads + layer.top_k + (layer.cross_layers if isinstance(layer, DecoderLayerArch) else 0))
        for side, index, layer in arch.layers()
    )
    loss = 2 + 10 / math.sqrt(strength)
    return Quality(loss=loss, bleu=100 * math.exp(-loss / 3))


def predict_costs(archs: Sequence[Architecture]) -> dict[str, Interval]:
    """Exact costs, and a latency that grows with the decoder and is known to 20 %."""
    rows = [in_budget_units(costs(arch, vocab_size=100, pre_norm=True).to_dict()) for arch in archs]
    found: dict[str, Interval] = {}
    for name in COSTS:
        if name == LATENCY:
            mean_N = np.array([_latency(arch) for arch in archs])
            found[name] = Costs(mean_N, mean_N * (1 - _HALF_WIDTH), mean_N * (1 + _HALF_WIDTH))
        else:
            mean_N = np.array([row[name] for row in rows])
            found[name] = Costs(mean_N, mean_N, mean_N)
    return found


def fit_quality(archs: Sequence[Architecture], value_N: Floats) -> Callable[[Sequence[Architecture]], Floats]:
    """Guesses a quality by ridge regression on the depths, dimensions and experts."""
    design_NF = _features(archs)
    weight_F = np.linalg.solve(design_NF.T @ design_NF + 1e-3 * np.eye(design_NF.shape[1]), design_NF.T @ value_N)
    return lambda others: _features(others) @ weight_F


def problem_of(space: SearchSpace, *objectives: str, limit: float | None = None, guess: bool = False) -> Problem:
    """A search problem.

    Args:
        space: the space.
        objectives: names out of `OBJECTIVES`.
        limit: share of the largest architecture's FLOPs that nothing may exceed.
        guess: whether a quality predictor screens proposals.
    """
    (largest,) = predict_costs([space.largest()])["flops_g"].mean_N
    return Problem(
        codec=GenomeCodec(space),
        predict_costs=predict_costs,
        objectives=objectives,
        limits=() if limit is None else (ResolvedLimit(cost="flops_g", max=limit * float(largest)),),
        fit_quality=fit_quality if guess else None,
        screen=4,
    )


def record_of(problem: Problem, arch: Architecture, *, index: int, generation: int, how: str) -> Record:
    """What the archive would hold of an architecture after its evaluation."""
    loss, bleu = quality(arch)
    (estimates,) = problem.estimates([arch])
    return Record(
        index=index, digest=arch.digest, arch=arch, loss=loss, bleu=bleu if "bleu" in problem.objectives else None,
        costs=estimates, generation=generation, how=how,
    )  # fmt: skip


def all_within(problem: Problem) -> set[Architecture]:
    """All architectures of a small space that keep the limits."""
    codec = problem.codec
    archs = codec.decode_all(codec.space.census.enumerate())
    return {arch for arch, each in zip(archs, problem.estimates(archs), strict=True) if problem.keeps(each)}


def _latency(arch: Architecture) -> float:
    return 1 + sum(1 + 0.2 * layer.num_experts + arch.decoder.dim / 64 for layer in arch.decoder.layers)


def _features(archs: Sequence[Architecture]) -> Floats:
    rows = []
    for arch in archs:
        for_side = []
        for side in (arch.encoder, arch.decoder):
            widths = [width for layer in side.layers for width in layer.expert_widths]
            for_side += [len(side.layers), math.log(side.dim), len(widths), math.log(sum(widths))]
        rows.append([1.0, *for_side])
    return np.array(rows)
