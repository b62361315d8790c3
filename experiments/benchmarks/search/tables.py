"""Three spaces of which every architecture's loss is known, so that a search can be judged against the optimum.

a   the losses of 5,376 sub-transformers of a quickstart supernet (`make_table.py` made `tables/a.csv`)
b   a formula over 9,288 architectures, with an interaction of the sides (`loss_of_formula`)
c   b, and to every loss noise of 5 % of the range, drawn with a seed: searched with it, judged without

Shape suffixes: N architectures, G genes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from automoe.cost import population_costs
from automoe.search import Quality
from automoe.space import Architecture, Census, GenomeCodec, read_space

HERE = Path(__file__).parent
VOCAB_SIZE, PRE_NORM = 4000, True
BUDGET_QUANTILE = 0.4
"""The budget is met by this share of the architectures."""
NOISE = 0.05
"""Standard deviation of the noise of table c, as a share of the range of the losses."""
NOISE_SEED = 20

Floats = npt.NDArray[np.float64]
NAMES = ("a", "b", "c")


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """All architectures of a space with their losses and FLOPs."""

    name: str
    codec: GenomeCodec
    genome_NG: npt.NDArray[np.int64]
    loss_N: Floats
    """What a search is told."""
    true_N: Floats
    """What it is judged by."""
    flops_g_N: Floats
    row_of: Mapping[bytes, int]
    """The place of a genome."""

    def row(self, arch: Architecture) -> int:
        """The place of an architecture."""
        return self.row_of[self.codec.encode(arch).tobytes()]

    def evaluate(self, arch: Architecture) -> Quality:
        """The loss that a search is told."""
        return Quality(float(self.loss_N[self.row(arch)]))

    @property
    def max_flops_g(self) -> float:
        """The budget, just above what an architecture costs."""
        return float(np.quantile(self.flops_g_N, BUDGET_QUANTILE, method="lower")) * (1 + 1e-9)

    def gap(self, archs: Sequence[Architecture]) -> float:
        """How far the best of these that keep the budget is from the optimum, as a share of the feasible range."""
        feasible_N = self.true_N[self.flops_g_N <= self.max_flops_g]
        found = [self.true_N[row] for row in map(self.row, archs) if self.flops_g_N[row] <= self.max_flops_g]
        best = min(found, default=feasible_N.max())
        return float((best - feasible_N.min()) / np.ptp(feasible_N))


def load(name: str) -> Table:
    """One of the tables by name."""
    space = read_space(HERE / "spaces" / ("enumerated.yaml" if name == "a" else "formula.yaml"))
    codec = GenomeCodec(space)
    genome_NG = Census(space).enumerate()
    true_N = _recorded(codec, genome_NG) if name == "a" else loss_of_formula(codec, genome_NG)
    noise_N = np.random.default_rng(NOISE_SEED).normal(0, NOISE * np.ptp(true_N), len(true_N))
    costs = population_costs(codec, genome_NG, vocab_size=VOCAB_SIZE, pre_norm=PRE_NORM)
    return Table(
        name=name,
        codec=codec,
        genome_NG=genome_NG,
        loss_N=true_N + noise_N if name == "c" else true_N,
        true_N=true_N,
        flops_g_N=costs["flops"] / 1e9,
        row_of={genome_G.tobytes(): row for row, genome_G in enumerate(genome_NG)},
    )


def loss_of_formula(codec: GenomeCodec, genome_NG: npt.NDArray[np.int64]) -> Floats:
    """A loss that falls with the size of both sides, and with their product: neither pays without the other.

    The strength of a side is the sum over its layers of log2(expert width) + 0.6 log2(experts), where every layer
    counts 0.8 times as much as the one before, times its dimension to the power 0.3; scaled to 0...1 over the space.
    With e and d, the strengths of encoder and decoder: loss = 6 - e - 0.8 d - 1.2 e d + 0.3 (e - d)^2.
    """
    strength = {side: np.zeros(len(genome_NG)) for side in ("encoder", "decoder")}
    for layer in codec.layer_sizes(genome_NG):
        width_N = np.maximum(layer.width_NE[:, 0], 1)
        gain_N = np.log2(width_N) + 0.6 * np.log2(np.maximum(layer.num_experts_N, 1))
        strength[layer.side] += layer.present_N * 0.8**layer.index * gain_N * layer.dim_N**0.3
    e_N, d_N = ((each_N - each_N.min()) / np.ptp(each_N) for each_N in strength.values())
    return np.asarray(6 - e_N - 0.8 * d_N - 1.2 * e_N * d_N + 0.3 * (e_N - d_N) ** 2)


def _recorded(codec: GenomeCodec, genome_NG: npt.NDArray[np.int64]) -> Floats:
    with (HERE / "tables" / "a.csv").open() as stream:
        losses = {row["digest"]: float(row["loss"]) for row in csv.DictReader(stream)}
    return np.array([losses[codec.decode(genome_G).digest] for genome_G in genome_NG])
