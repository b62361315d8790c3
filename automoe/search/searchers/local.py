"""Local search (White et al. 2021): from the best architectures to their neighbours, until no neighbour is better.

Neighbours differ in one gene. With several objectives it is Pareto local search (Paquete et al. 2004): it walks from
every architecture of the front. Where all have been walked from, samples begin anew.

Shape suffixes: N neighbours, G genes, M objectives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automoe.errors import ConfigError
from automoe.search.problem import Problem
from automoe.search.record import Record
from automoe.search.searcher import Candidate
from automoe.search.searchers.proposals import Draw, GenomeSearcher, Proposals
from automoe.search.searchers.ranking import fronts, most_promising

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LocalOptions:
    """Settings of `LocalSearch`."""

    starts: int = 8
    """Samples that are evaluated first; the best ones are walked from first."""
    batch: int = 8
    """Architectures that are asked for at once."""

    def __post_init__(self) -> None:
        for name in ("starts", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), allowed=">= 1")


class LocalSearch(GenomeSearcher):
    """See the module's text.

    An evaluated architecture is a centre as long as none of its evaluated neighbours is better and some neighbour is
    new. So a sample that begins anew is a centre too, however bad, and every centre follows from what was told.
    """

    Options = LocalOptions
    options: LocalOptions

    def __init__(self, problem: Problem, options: LocalOptions, seed: int) -> None:
        super().__init__(problem, options, seed)
        self._record_of: dict[bytes, Record] = {}
        # What was found to be no centre never becomes one again: more told records only add better neighbours.
        self._left: set[str] = set()

    @property
    def batch(self) -> int:
        """See `LocalOptions`."""
        return self.options.batch

    def tell(self, records: Sequence[Record]) -> None:
        """See `Searcher.tell`."""
        super().tell(records)
        self._record_of |= {self.problem.codec.encode(record.arch).tobytes(): record for record in records}

    def propose(self, num: int, proposals: Proposals) -> list[Candidate]:
        """Samples to start from, then neighbours of the best centres."""
        if len(self.told) < self.options.starts:
            return proposals.samples(num)
        ranked = fronts(self.problem, self.told)
        share = math.ceil(num / len(ranked[0]))
        found: list[Candidate] = []
        for centre in (record for front in ranked for record in front if record.digest not in self._left):
            found += self._neighbours(centre, min(share, num - len(found)), proposals)
            if len(found) == num:
                break
        return found

    def _neighbours(self, centre: Record, num: int, proposals: Proposals) -> list[Candidate]:
        """Up to `num` new neighbours of a record; none if it is no centre."""
        codec, problem = self.problem.codec, self.problem
        genome_NG = codec.neighbours(codec.encode(centre.arch))
        new_NG = genome_NG[[genome_G.tobytes() not in self._record_of for genome_G in genome_NG]]
        if not len(new_NG) or self._is_beaten(centre, genome_NG):
            self._left.add(centre.digest)
            return []
        draw = _one_after_another(proposals.rng.permutation(new_NG))
        pool = proposals.collect(draw, problem.screen * num, rounds=len(new_NG))
        if not pool and self._all_break_limits(new_NG):
            self._left.add(centre.digest)
        return most_promising(problem, self.told, pool, num)

    def _is_beaten(self, centre: Record, genome_NG: Ints) -> bool:
        """Whether an evaluated neighbour that keeps the limits is nowhere worse and somewhere better."""
        rows = (self._record_of.get(genome_G.tobytes()) for genome_G in genome_NG)
        rivals = [record for record in rows if record is not None and self.problem.keeps(record.costs)]
        value_NM = self.problem.values([centre, *rivals])
        return bool(((value_NM <= value_NM[0]).all(axis=1) & (value_NM < value_NM[0]).any(axis=1)).any())

    def _all_break_limits(self, genome_NG: Ints) -> bool:
        """Whether none of the genomes keeps the limits; otherwise they are being evaluated."""
        costs = self.problem.estimates(self.problem.codec.decode_all(genome_NG))
        return not any(map(self.problem.keeps, costs))


def _one_after_another(genome_NG: Ints) -> Draw:
    """Deals out genomes until none are left."""
    dealt = 0

    def draw(num: int) -> tuple[Ints, Sequence[str]]:
        nonlocal dealt
        dealt += num
        some_NG = genome_NG[dealt - num : dealt]
        return some_NG, ["neighbour"] * len(some_NG)

    return draw
