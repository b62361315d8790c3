"""Architectures of a small space, with latencies of a made-up machine."""

from __future__ import annotations

from functools import cache

import numpy as np

from automoe.predictor import CalibratedPredictor, make_predictor
from automoe.space import Architecture, DecoderLayerChoices, ExpertChoices, LayerChoices, SearchSpace, SideChoices

EXPERTS = ExpertChoices(count=(1, 2, 4), width=(32, 64, 128), per_expert=True)
SPACE = SearchSpace(
    name="small",
    encoder=SideChoices(dim=(32, 64), depth=(1, 2), layers=(LayerChoices(heads=(2,), experts=EXPERTS),) * 2),
    decoder=SideChoices(
        dim=(32, 64),
        depth=(1, 2, 3),
        layers=(DecoderLayerChoices(heads=(2,), experts=EXPERTS, cross_layers=(1, 2)),) * 3,
    ),
)

ONE = ExpertChoices(count=(1,), width=(32,))
HEADS = SearchSpace(
    name="heads",
    encoder=SideChoices(dim=(32,), depth=(1,), layers=(LayerChoices(heads=(1, 2, 4), experts=ONE),)),
    decoder=SideChoices(
        dim=(32,),
        depth=(1,),
        layers=(DecoderLayerChoices(heads=(1, 2, 4), experts=ONE, cross_layers=(1,)),),
    ),
)
"""Its architectures differ in no physical feature."""


def architectures(count: int, seed: int = 0, space: SearchSpace = SPACE) -> list[Architecture]:
    """Different architectures, the largest and the smallest first."""
    rng = np.random.default_rng(seed)
    found = dict.fromkeys([space.largest(), space.smallest()])
    while len(found) < count:
        found[space.sample(rng)] = None
    return list(found)


def latency_ms(arch: Architecture) -> float:
    """Overhead of every layer and expert, and a little for width; the decoder runs 20 times, the encoder once."""
    once = sum(0.1 + 0.05 * len(layer.expert_widths) for layer in arch.encoder.layers)
    step = sum(
        0.2 + 0.04 * len(layer.expert_widths) + 1e-6 * arch.decoder.dim * sum(layer.expert_widths)
        for layer in arch.decoder.layers
    )
    return 2.0 + once + 20 * step


def measured(count: int, noise: float, seed: int = 0) -> tuple[list[Architecture], np.ndarray]:
    """Architectures and latencies with relative noise."""
    archs = architectures(count, seed)
    rng = np.random.default_rng(seed + 1)
    return archs, np.array([latency_ms(arch) for arch in archs]) * np.exp(noise * rng.standard_normal(count))


def make(kind: str, coverage: float = 0.9, **settings: object) -> CalibratedPredictor:
    """An unfitted predictor; one that needs another device starts from a machine that is three times as fast."""
    if kind == "transfer":
        settings["base"] = other_device()
    return make_predictor(kind, coverage, **settings)


@cache
def other_device() -> CalibratedPredictor:
    """What is known of another machine."""
    predictor = make_predictor("ridge")
    archs, values_N = measured(120, 0.02, seed=50)
    predictor.fit(archs, values_N / 3)
    return predictor
