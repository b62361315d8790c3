"""`LayerChain`: some genes of the layers of one side, layer by layer; it counts, lists and draws what they can be.

Layers choose for themselves but for two things: a gene that they share, and totals over the layers (expert layers,
experts) that somebody asks for. Both are carried from layer to layer, so that all numbers come from one dynamic
programme over the layers. What it counts are exact Python integers.

Shape suffixes: N genomes, G genes of a genome, L genes of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from automoe.space.census.layer_options import LayerOptions
from automoe.space.genes import Shared
from automoe.space.genome.layout import OFF

Ints = npt.NDArray[np.int64]
Totals = tuple[int, ...]
"""Sums over layers, of those of `expert_layers` and `experts` that are asked for."""
State = tuple[tuple[int, bool] | None, ...]
"""For each group of layers with a common gene: its value, and whether some layer justifies it (which only a shared
top_k needs); None outside it."""


@dataclass(kw_only=True)
class Move:
    """Options of one layer between which nothing outside the layer can tell."""

    marks: tuple[int, ...]
    """Values of the shared genes."""
    is_justified: bool
    """Whether the layer has more experts than the next smaller choice of a shared top_k."""
    has_experts: bool
    totals: Totals
    """What the layer adds."""
    options: list[int] = field(default_factory=list)
    ways: list[int] = field(default_factory=list)
    """Of each option."""
    num: int = 0
    """Their sum."""


class LayerChain:
    """Some genes of the layers of one side.

    A shared top_k is chosen once and cut by each layer's experts. So that models are counted once, a choice counts
    only where at least one layer can tell it from the next smaller one.

    Args:
        layers: the options of each layer, first layer first.
        places: where each layer's genes stand in a genome.
        shared: what layers have in common, only layers that are there, and two or more of them.
        tracked: which totals are asked for, out of `expert_layers` and `experts`.
        ordered: whether experts that change places make another model.
    """

    def __init__(
        self,
        layers: tuple[LayerOptions, ...],
        places: tuple[slice, ...],
        shared: tuple[Shared, ...],
        tracked: tuple[str, ...],
        *,
        ordered: bool,
    ) -> None:
        self.layers, self._places = layers, places
        self._groups_of = [[number for number, group in enumerate(shared) if index in group.layers]
                           for index in range(len(layers))]  # fmt: skip
        self._last_layer = [group.layers[-1] for group in shared]
        self._is_cut = [group.key == "top_k" for group in shared]
        """Which groups have a value that layers cut; cross_layers are cut for all alike, before all choices."""
        self.moves = [_moves_of(options, tracked, ordered) for options in layers]
        self.start: State = (None,) * len(shared)
        self.no_totals: Totals = (0,) * len(tracked)
        self._tails: dict[tuple[int, State], dict[Totals, int]] = {}
        self.num_by_totals = self.tails(0, self.start)
        """How many models there are, by their totals; only totals that there are."""

    def tails(self, index: int, state: State) -> dict[Totals, int]:
        """In how many ways the layers from `index` on can go on from a state, by the totals that they add."""
        if index == len(self.layers):
            return {self.no_totals: 1}
        if (index, state) not in self._tails:
            found: dict[Totals, int] = {}
            for move in self.moves[index]:
                if (following := self.step(index, state, move)) is not None:
                    for rest, num in self.tails(index + 1, following).items():
                        totals = tuple(a + b for a, b in zip(move.totals, rest, strict=True))
                        found[totals] = found.get(totals, 0) + move.num * num
            self._tails[index, state] = found
        return self._tails[index, state]

    def step(self, index: int, state: State, move: Move) -> State | None:
        """The state after a layer; None if the move breaks what layers have in common."""
        following = list(state)
        for group, value in zip(self._groups_of[index], move.marks, strict=True):
            common = state[group]
            if common is not None and common[0] != value:
                return None
            is_justified = not self._is_cut[group] or move.is_justified or (common is not None and common[1])
            is_last = self._last_layer[group] == index
            if is_last and not is_justified:
                return None
            following[group] = None if is_last else (value, is_justified)
        return tuple(following)

    def listed(self, totals: Totals, num_genes: int) -> Ints:
        """All models with these totals, as genomes of shape (N, G) in which all other genes are 0."""
        parts = {(self.start, totals): np.full((1, num_genes), OFF, dtype=np.int64)}
        for index, options in enumerate(self.layers):
            grown: dict[tuple[State, Totals], list[Ints]] = {}
            for (state, rest), genome_NG in parts.items():
                for move, following, left, _ in self._ways_on(index, state, rest):
                    layer_NL = np.concatenate([options.listed(option) for option in move.options])
                    joined_NG = np.repeat(genome_NG, len(layer_NL), axis=0)
                    joined_NG[:, self._places[index]] = np.tile(layer_NL, (len(genome_NG), 1))
                    grown.setdefault((following, left), []).append(joined_NG)
            parts = {key: np.concatenate(found) for key, found in grown.items()}
        return np.concatenate([np.empty((0, num_genes), dtype=np.int64), *parts.values()])

    def draw(self, genome_NG: Ints, rows_by_totals: Mapping[Totals, Ints], rng: np.random.Generator) -> None:
        """Draws models uniformly, of the wanted totals each, and writes their genes into genomes.

        Args:
            genome_NG: is changed; the genes of the chain are 0 before.
            rows_by_totals: the rows of `genome_NG` that are to have these totals.
            rng: draws.
        """
        parts = {(self.start, totals): rows for totals, rows in rows_by_totals.items()}
        for index, options in enumerate(self.layers):
            grown: dict[tuple[State, Totals], list[Ints]] = {}
            for (state, rest), rows in parts.items():
                ways_on = list(self._ways_on(index, state, rest))
                way_N = draw_index([num for *_, num in ways_on], len(rows), rng)
                for way in np.unique(way_N):
                    move, following, left, _ = ways_on[way]
                    chosen = rows[way_N == way]
                    option_N = np.array(move.options)[draw_index(move.ways, len(chosen), rng)]
                    genome_NG[chosen, self._places[index]] += options.draw(option_N, rng)
                    grown.setdefault((following, left), []).append(chosen)
            parts = {key: np.concatenate(found) for key, found in grown.items()}

    def _ways_on(self, index: int, state: State, rest: Totals) -> Iterator[tuple[Move, State, Totals, int]]:
        """The moves of a layer after which `rest` can still be met: state and rest after it, and number of models."""
        for move in self.moves[index]:
            if (following := self.step(index, state, move)) is not None:
                left = tuple(a - b for a, b in zip(rest, move.totals, strict=True))
                if num := self.tails(index + 1, following).get(left, 0):
                    yield move, following, left, move.num * num


def draw_index(weights: list[int], num: int, rng: np.random.Generator) -> Ints:
    """Draws indices in proportion to whole numbers of any size.

    Sums are exact; only their ratios to the total are rounded to float64, each by less than 2**-53.
    """
    total = sum(weights)
    cumulative = np.array([part / total for part in accumulate(weights)])
    return np.searchsorted(cumulative, rng.random(num), side="right")


def _moves_of(options: LayerOptions, tracked: tuple[str, ...], ordered: bool) -> list[Move]:
    moves: dict[tuple[tuple[int, ...], bool, bool, Totals], Move] = {}
    rows = zip(options.marks_R, options.justified_R.tolist(), options.num_experts_R.tolist(), strict=True)
    for option, (marks, is_justified, num_experts) in enumerate(rows):
        sizes = {"expert_layers": int(num_experts > 1), "experts": num_experts}
        totals = tuple(sizes[name] for name in tracked)
        key = marks, is_justified, num_experts > 1, totals
        if key not in moves:
            moves[key] = Move(marks=marks, is_justified=is_justified, has_experts=num_experts > 1, totals=totals)
        moves[key].options.append(option)
        moves[key].ways.append(options.ways(option, ordered))
        moves[key].num += moves[key].ways[-1]
    return list(moves.values())
