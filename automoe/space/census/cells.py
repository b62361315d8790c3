"""`Cell`: the architectures of one arrangement, of known dimensions and depths; `cells_of` cuts a space into them.

A constraint falls where its sizes are known: on dimensions and depths, when the cells are made; on layers, in the
stacks of a side; on totals (`experts`, `expert_layers`), where the stacks of both sides are joined. One that sets
layers against totals is met by cells of given totals: the totals are then known before the layers are.

Shape suffixes: N genomes, G genes of a genome, E totals of the encoder, D totals of the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, product

import numpy as np
import numpy.typing as npt

from automoe.errors import SpaceError
from automoe.space.census.arrangements import Arrangement, arrangements_of
from automoe.space.census.layer_chain import Totals, draw_index
from automoe.space.census.stacks import Stack, Stacks, joined
from automoe.space.constraints import Constraint
from automoe.space.expert_layers import SIDES
from automoe.space.genes import SideChoices
from automoe.space.genome.layout import OFF, layout_of
from automoe.space.search_space import SearchSpace

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TOTALS = ("expert_layers", "experts")
"""Sizes of a side that its layers add up to."""
_MOST_TOTALS = 20_000
"""Pairs of totals of both sides for each of which the layers' choices are looked at: some seconds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """Architectures that differ in their layers' genes only."""

    base_G: Ints
    """A genome with the dimensions, the depths and the arrangement's pattern; all other genes are 0."""
    encoder: Stack
    decoder: Stack
    met_ED: Bools
    """Which totals of the encoder go with which of the decoder, each in the order of its `num_by_totals`."""

    @cached_property
    def num_by_encoder(self) -> list[int]:
        """The number of architectures for each of the encoder's totals."""
        of_encoder = list(self.encoder.num_by_totals.values())
        of_decoder = list(self.decoder.num_by_totals.values())
        nums = [0] * len(of_encoder)
        for place in np.flatnonzero(self.met_ED.any(axis=1)):
            nums[place] = of_encoder[place] * sum(compress(of_decoder, self.met_ED[place]))
        return nums

    @cached_property
    def num(self) -> int:
        """The number of architectures."""
        return sum(self.num_by_encoder)

    def listed(self) -> Ints:
        """All architectures, as genomes of shape (N, G)."""
        parts = [np.empty((0, len(self.base_G)), dtype=np.int64)]
        of_decoder = list(self.decoder.num_by_totals)
        for totals, met_D in zip(self.encoder.num_by_totals, self.met_ED, strict=True):
            if met_D.any():
                decoders = [self.decoder.listed(of_decoder[place]) for place in np.flatnonzero(met_D)]
                parts.append(joined(self.encoder.listed(totals), np.concatenate(decoders)))
        return np.concatenate(parts) + self.base_G

    def draw(self, num: int, rng: np.random.Generator) -> Ints:
        """Draws architectures uniformly, as genomes of shape (N, G)."""
        genome_NG = np.tile(self.base_G, (num, 1))
        of_encoder = draw_index(self.num_by_encoder, num, rng)
        of_decoder = np.empty_like(of_encoder)
        num_D = list(self.decoder.num_by_totals.values())
        for place in np.unique(of_encoder):
            rows, met = np.flatnonzero(of_encoder == place), np.flatnonzero(self.met_ED[place])
            of_decoder[rows] = met[draw_index([num_D[each] for each in met], len(rows), rng)]
        for stack, place_N in ((self.encoder, of_encoder), (self.decoder, of_decoder)):
            totals = list(stack.num_by_totals)
            rows_by_totals = {totals[place]: np.flatnonzero(place_N == place) for place in np.unique(place_N)}
            stack.draw(genome_NG, rows_by_totals, rng)
        return genome_NG


def cells_of(space: SearchSpace, *, ordered: bool) -> Iterator[Cell]:
    """Cuts a space into cells that have no architecture in common; empty ones are left out.

    Args:
        space: the space.
        ordered: whether experts that change places make another architecture, in the cells' numbers.

    Raises:
        SpaceError: a constraint holds layers against totals of too many values.
    """
    refuse_uncountable(space)
    rules = _Rules(space)
    stacks = {side: Stacks(space, side, rules.tracked[side], ordered=ordered) for side in SIDES}
    layout = layout_of(space)
    for sizes in _known_sizes(space):
        for arrangement in arrangements_of(space, {side: sizes[f"{side}.layers"] for side in SIDES}):
            base_G = np.full(len(layout.genes), OFF, dtype=np.int64)
            for side, (dim, depth) in layout.sides.items():
                base_G[dim], base_G[depth] = sizes[f"{side}.dim"], sizes[f"{side}.layers"]
            if layout.pattern is not None:
                base_G[layout.pattern] = arrangement.pattern + 1
            # Most totals leave layers the same choices as others do: one cell is made of all these.
            given: dict[tuple[Stack, Stack], list[dict[str, int]]] = {}
            for totals in rules.possible_totals(arrangement, sizes):
                encoder, decoder = (
                    stacks[side].stack(arrangement.sides[side], {**sizes, **totals}) for side in SIDES
                )
                given.setdefault((encoder, decoder), []).append(totals)
            for (encoder, decoder), of_stacks in given.items():
                met_ED = rules.met(sizes, of_stacks, encoder, decoder)
                if met_ED.any():
                    yield Cell(base_G=base_G, encoder=encoder, decoder=decoder, met_ED=met_ED)


def refuse_uncountable(space: SearchSpace) -> None:
    """Nothing, if all cells of a space can be gone through; found without making any.

    Raises:
        SpaceError: as `cells_of`.
    """
    depths = {side: choices.depth[-1] for side, choices in space.sides.items()}
    sizes = {f"{side}.layers": depth for side, depth in depths.items()}
    for arrangement in arrangements_of(space, depths):
        next(_Rules(space).possible_totals(arrangement, sizes), None)


class _Rules:
    """What the constraints of a space ask of the totals of its sides."""

    def __init__(self, space: SearchSpace) -> None:
        of_totals = [each for each in space.constraints if _totals_in(each)]
        self.tracked = {side: tuple(name for name in TOTALS
                                    if any(f"{side}.{name}" in each.variables for each in of_totals))
                        for side in SIDES}  # fmt: skip
        """The totals that anything asks for, by side."""
        self._between = [each for each in of_totals if each.layer_side is None]
        joining = [each for each in of_totals if each.layer_side is not None]
        self._joining = joining
        self._given = {side: [name for name in TOTALS if any(f"{side}.{name}" in each.variables for each in joining)]
                       for side in SIDES}  # fmt: skip
        """Those that have to be known before the layers are."""

    def possible_totals(self, arrangement: Arrangement, sizes: Mapping[str, int]) -> Iterator[dict[str, int]]:
        """All that the given totals can be by the layers' numbers of experts; constraints may forbid some.

        Raises:
            SpaceError: there are too many to go through.
        """
        sums = [_sums(arrangement.sides[side], sizes[f"{side}.layers"], self._given[side]) for side in SIDES]
        if len(sums[0]) * len(sums[1]) > _MOST_TOTALS:
            raise SpaceError(
                f"holds layers against totals, which can take {len(sums[0]) * len(sums[1]):,} values together: too "
                "many to count what meets it",
                key="constraints",
                value="; ".join(constraint.text for constraint in self._joining),
                allowed=f"up to {_MOST_TOTALS:,}",
                hint="Speak of fewer totals (experts, expert_layers) in conditions on layers, or narrow the choices",
            )
        names = [f"{side}.{name}" for side in SIDES for name in self._given[side]]
        for of_encoder, of_decoder in product(*sums):
            yield dict(zip(names, (*of_encoder, *of_decoder), strict=True))

    def met(
        self, sizes: Mapping[str, int], given: Sequence[Mapping[str, int]], encoder: Stack, decoder: Stack
    ) -> Bools:
        """Which pairs of totals of two stacks meet the constraints and are among those given; of shape (E, D)."""
        of_encoder, of_decoder = list(encoder.num_by_totals), list(decoder.num_by_totals)
        met_ED = np.ones((len(of_encoder), len(of_decoder)), dtype=np.bool_)
        known = {**sizes, **self._columns("encoder", of_encoder, 0), **self._columns("decoder", of_decoder, 1)}
        for constraint in self._between:
            met_ED &= constraint.holds(known)
        if any(self._given.values()):
            encoders, decoders = self._named("encoder", of_encoder), self._named("decoder", of_decoder)
            places_E = {totals: np.array([each == totals for each in encoders]) for totals in set(encoders)}
            places_D = {totals: np.array([each == totals for each in decoders]) for totals in set(decoders)}
            given_ED = np.zeros_like(met_ED)
            for totals in given:
                key_E, key_D = (tuple(totals[f"{side}.{name}"] for name in self._given[side]) for side in SIDES)
                if key_E in places_E and key_D in places_D:
                    given_ED |= places_E[key_E][:, None] & places_D[key_D]
            met_ED &= given_ED
        return met_ED

    def _named(self, side: str, found: list[Totals]) -> list[Totals]:
        """Of each totals those that are given."""
        places = [self.tracked[side].index(name) for name in self._given[side]]
        return [tuple(totals[place] for place in places) for totals in found]

    def _columns(self, side: str, found: list[Totals], axis: int) -> dict[str, Ints]:
        """The totals of a stack by name, along one of two axes."""
        shape = (-1, 1) if axis == 0 else (1, -1)
        return {f"{side}.{name}": np.array([totals[place] for totals in found], dtype=np.int64).reshape(shape)
                for place, name in enumerate(self.tracked[side])}  # fmt: skip


def _known_sizes(space: SearchSpace) -> Iterator[dict[str, int]]:
    """Dimensions and depths that meet the constraints on them."""
    names = [f"{side}.{size}" for side in SIDES for size in ("dim", "layers")]
    constraints = [each for each in space.constraints if each.variables <= set(names)]
    for values in product(space.encoder.dim, space.encoder.depth, space.decoder.dim, space.decoder.depth):
        sizes = dict(zip(names, values, strict=True))
        if all(each.holds(sizes) for each in constraints):
            yield sizes


def _sums(choices: SideChoices, depth: int, names: Sequence[str]) -> list[Totals]:
    """What the named totals of a side can be together, ascending."""
    found: set[Totals] = {(0,) * len(names)}
    for layer in choices.layers[:depth]:
        added = {tuple({"expert_layers": int(count > 1), "experts": count}[name] for name in names)
                 for count in layer.experts.count}  # fmt: skip
        found = {tuple(map(sum, zip(sums, more, strict=True))) for sums, more in product(found, added)}
    return sorted(found)


def _totals_in(constraint: Constraint) -> list[str]:
    return sorted(constraint.variables & {f"{side}.{total}" for side in SIDES for total in TOTALS})
