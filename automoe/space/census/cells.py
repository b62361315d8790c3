"""`Cell`: the architectures of one arrangement, of known dimensions and depths; `cells_of` cuts a space into them.

A constraint falls where its sizes are known: on dimensions and depths, when the cells are made; on layers, in the
stacks of a side; on totals (`experts`, `expert_layers`), where the stacks of both sides are joined. One that sets
layers against totals is met by cells of given totals: the totals are then known before the layers are.

Shape suffixes: N genomes, G genes of a genome, E totals of the encoder, D totals of the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, product

import numpy as np
import numpy.typing as npt

from automoe.space.census.arrangements import arrangements_of
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
    """
    of_totals = [each for each in space.constraints if _totals_in(each)]
    tracked = {side: tuple(name for name in TOTALS if any(f"{side}.{name}" in each.variables for each in of_totals))
               for side in SIDES}  # fmt: skip
    given = sorted({name for each in of_totals if each.layer_side is not None for name in _totals_in(each)})
    of_totals = [each for each in of_totals if each.layer_side is None]
    stacks = {side: Stacks(space, side, tracked[side], ordered=ordered) for side in SIDES}
    layout = layout_of(space)
    for sizes in _known_sizes(space):
        arrangements = arrangements_of(space, {side: sizes[f"{side}.layers"] for side in SIDES})
        for arrangement, totals in product(arrangements, _possible_totals(space, given, sizes)):
            encoder, decoder = (stacks[side].stack(arrangement.sides[side], {**sizes, **totals}) for side in SIDES)
            base_G = np.full(len(layout.genes), OFF, dtype=np.int64)
            for side, (dim, depth) in layout.sides.items():
                base_G[dim], base_G[depth] = sizes[f"{side}.dim"], sizes[f"{side}.layers"]
            if layout.pattern is not None:
                base_G[layout.pattern] = arrangement.pattern + 1
            met_ED = _met(of_totals, sizes, totals, _columns("encoder", encoder, tracked["encoder"], axis=0),
                          _columns("decoder", decoder, tracked["decoder"], axis=1))  # fmt: skip
            if met_ED.any():
                yield Cell(base_G=base_G, encoder=encoder, decoder=decoder, met_ED=met_ED)


def _known_sizes(space: SearchSpace) -> Iterator[dict[str, int]]:
    """Dimensions and depths that meet the constraints on them."""
    names = [f"{side}.{size}" for side in SIDES for size in ("dim", "layers")]
    constraints = [each for each in space.constraints if each.variables <= set(names)]
    for values in product(space.encoder.dim, space.encoder.depth, space.decoder.dim, space.decoder.depth):
        sizes = dict(zip(names, values, strict=True))
        if all(each.holds(sizes) for each in constraints):
            yield sizes


def _possible_totals(space: SearchSpace, names: list[str], sizes: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """All values that the named totals could have, some of which no architecture may have."""
    ranges = []
    for name in names:
        side, _, total = name.partition(".")
        choices: SideChoices = getattr(space, side)
        layers = choices.layers[: sizes[f"{side}.layers"]]
        most = len(layers) if total == "expert_layers" else sum(layer.experts.count[-1] for layer in layers)
        ranges.append(range(most + 1))
    for values in product(*ranges):
        yield dict(zip(names, values, strict=True))


def _columns(side: str, stack: Stack, tracked: tuple[str, ...], axis: int) -> dict[str, Ints]:
    """The totals of a stack by name, along one of two axes."""
    found: list[Totals] = list(stack.num_by_totals)
    shape = (-1, 1) if axis == 0 else (1, -1)
    columns = {f"{side}.{name}": np.array([totals[place] for totals in found], dtype=np.int64).reshape(shape)
               for place, name in enumerate(tracked)}  # fmt: skip
    return {"": np.zeros(len(found), dtype=np.int64).reshape(shape), **columns}


def _met(
    constraints: list[Constraint],
    sizes: Mapping[str, int],
    given: Mapping[str, int],
    encoder: Mapping[str, Ints],
    decoder: Mapping[str, Ints],
) -> Bools:
    """Which pairs of totals meet the constraints and are those that are given; of shape (E, D)."""
    met_ED = np.ones((encoder[""].size, decoder[""].size), dtype=np.bool_)
    known = {**sizes, **encoder, **decoder}
    for name, value in given.items():
        met_ED &= known[name] == value
    for constraint in constraints:
        met_ED &= constraint.holds(known)
    return met_ED


def _totals_in(constraint: Constraint) -> list[str]:
    return sorted(constraint.variables & {f"{side}.{total}" for side in SIDES for total in TOTALS})
