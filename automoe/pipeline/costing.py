"""What a sub-transformer costs, for searching: latency predicted, everything else computed exactly.

Shape suffixes: N architectures, G genes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from automoe.cost import costs, population_costs
from automoe.files import read_json
from automoe.pipeline.files import PREDICTOR_FILE
from automoe.predictor import Prediction, Predictor, predictor_from_dict
from automoe.search import LATENCY, in_budget_units
from automoe.space import Architecture, GenomeCodec, SearchSpace


class CostModel:
    """The costs of architectures of one space; a `search.CostPredictor`.

    Args:
        space: the space.
        predictor: fitted to measured latencies.
        vocab_size: entries of the vocabulary.
        pre_norm: as the model is.
    """

    def __init__(self, space: SearchSpace, predictor: Predictor, *, vocab_size: int, pre_norm: bool) -> None:
        self.codec = GenomeCodec(space)
        self._predictor = predictor
        self._sizes: dict[str, Any] = {"vocab_size": vocab_size, "pre_norm": pre_norm}

    def __call__(self, archs: Sequence[Architecture], /) -> Mapping[str, Prediction]:
        """All costs by name, in the units of budgets."""
        genome_NG = np.stack([self.codec.encode(arch) for arch in archs])
        exact_N = in_budget_units(population_costs(self.codec, genome_NG, **self._sizes))
        return {LATENCY: self._predictor.predict(archs)} | {
            name: Prediction.exact(values_N) for name, values_N in exact_N.items()
        }

    def with_predictor(self, predictor: Predictor) -> CostModel:
        """The same with another predictor of latencies."""
        return CostModel(self.codec.space, predictor, **self._sizes)

    def exact(self, arch: Architecture) -> dict[str, float]:
        """The costs of one architecture that need no prediction."""
        return in_budget_units(costs(arch, **self._sizes).to_dict())


def cost_model(folder: Path, space: SearchSpace, *, vocab_size: int, pre_norm: bool) -> CostModel:
    """The cost model from the finished folder of the stage `predictor`."""
    predictor = predictor_from_dict(read_json(folder / PREDICTOR_FILE))
    return CostModel(space, predictor, vocab_size=vocab_size, pre_norm=pre_norm)
