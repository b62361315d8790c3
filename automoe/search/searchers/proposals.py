"""Where searchers of genomes get their proposals from: unseen architectures that keep the problem's limits.

Shape suffixes: N genomes, G genes.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from automoe.search.problem import Problem
from automoe.search.record import Record
from automoe.search.searcher import Candidate
from automoe.space import Architecture, Census

Ints = NDArray[np.int64]
Draw = Callable[[int], tuple[Ints, Sequence[str]]]
"""(number of genomes) -> so many canonical genomes of shape (N, G), and how each came to be."""
_ROUNDS = 16
_SAMPLES_PER_ROUND = 1024
_FEW_SAMPLES = 64
_ENUMERABLE = 100_000
"""Architectures of a space that is searched through to its last one."""


class Proposals:
    """Architectures that a searcher may ask for, in one call of `ask`.

    Args:
        problem: says the space and the limits.
        seen: genomes, as bytes, that may not be proposed; it is not changed.
        rng: draws.
    """

    def __init__(self, problem: Problem, seen: set[bytes], rng: np.random.Generator) -> None:
        self.problem, self.rng = problem, rng
        self._codec = problem.codec
        self._seen = set(seen)

    def collect(self, draw: Draw, count: int, rounds: int = _ROUNDS) -> list[Candidate]:
        """Up to `count` of what `draw` gives in some rounds; none of them is given again by a later call."""
        found: list[Candidate] = []
        for _ in range(rounds):
            if len(found) >= count:
                break
            genome_NG, how_N = draw(2 * count)
            found += self._admitted(genome_NG, how_N, count - len(found))
        return found

    def anchors(self) -> list[Candidate]:
        """The smallest and the largest architecture of the space, unless they were seen or break a limit."""
        space = self._codec.space
        genomes = [self._codec.encode(arch) for arch in dict.fromkeys((space.smallest(), space.largest()))]
        return self._admitted(np.stack(genomes), ["anchor"] * len(genomes), len(genomes))

    def samples(self, count: int, how: str = "sample") -> list[Candidate]:
        """Up to `count` samples; there are fewer only if the space has no more, as far as drawing can tell."""

        def few(num: int) -> tuple[Ints, Sequence[str]]:
            return self._codec.sample(num + _FEW_SAMPLES, self.rng), [how] * (num + _FEW_SAMPLES)

        def draw(_: int) -> tuple[Ints, Sequence[str]]:
            return self._codec.sample(_SAMPLES_PER_ROUND, self.rng), [how] * _SAMPLES_PER_ROUND

        found = self.collect(few, count, rounds=1)
        found += self.collect(draw, count - len(found), rounds=4)
        if len(found) == count:
            return found
        census = Census(self._codec.space)
        if census.num_architectures > _ENUMERABLE:
            return found + self.collect(draw, count - len(found), rounds=60)
        genome_NG = self.rng.permutation(census.enumerate())
        return found + self._admitted(genome_NG, [how] * len(genome_NG), count - len(found))

    def best(self, pool: Sequence[Candidate], known: Sequence[Record], count: int) -> list[Candidate]:
        """The `count` of the pool that are guessed to be best, or its first ones where nothing can guess."""
        guess_N = self.problem.guess(known, [candidate.arch for candidate in pool])
        if guess_N is None:
            return list(pool[:count])
        return [pool[index] for index in np.argsort(guess_N, kind="stable")[:count]]

    def _admitted(self, genome_NG: Ints, how_N: Sequence[str], count: int) -> list[Candidate]:
        """The first `count` genomes, different ones, that were not seen and whose costs keep the limits."""
        _, first_N = np.unique(genome_NG, axis=0, return_index=True)
        new = [index for index in np.sort(first_N) if genome_NG[index].tobytes() not in self._seen]
        admitted: list[Candidate] = []
        step = max(2 * count, 64)
        for begin in range(0, len(new), step):
            if len(admitted) >= count:
                break
            places = new[begin : begin + step]
            archs = self._codec.decode_all(genome_NG[places])
            keeps = (
                [self.problem.keeps(costs) for costs in self.problem.estimates(archs)]
                if self.problem.limits
                else [True] * len(archs)
            )
            for index, arch, keep in zip(places, archs, keeps, strict=True):
                if keep and len(admitted) < count:
                    admitted.append(Candidate(arch, how_N[index]))
                    self._seen.add(genome_NG[index].tobytes())
        return admitted


class GenomeSearcher(ABC):
    """What searchers of genomes have in common: they remember what they were told, and draw from an rng of its own
    for each ask, so that they ask the same whenever they were told the same."""

    Options: ClassVar[type]
    replayed: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: Any, seed: int) -> None:
        self.problem, self.options = problem, options
        self.told: list[Record] = []
        self._seed = seed
        self._genomes: set[bytes] = set()

    @property
    @abstractmethod
    def batch(self) -> int:
        """See `Searcher.batch`."""

    @abstractmethod
    def propose(self, num: int, proposals: Proposals) -> list[Candidate]:
        """Up to `num` proposals; where they are fewer, samples follow."""

    def ask(self, num: int, pending: Sequence[Architecture] = ()) -> list[Candidate]:
        """See `Searcher.ask`."""
        codec = self.problem.codec
        key = [self._seed, zlib.crc32(type(self).__name__.encode()), len(self.told), len(pending)]
        seen = self._genomes | {codec.encode(arch).tobytes() for arch in pending}
        proposals = Proposals(self.problem, seen, np.random.default_rng(key))
        found = self.propose(num, proposals)
        return found + proposals.samples(num - len(found)) if len(found) < num else found

    def tell(self, records: Sequence[Record]) -> None:
        """See `Searcher.tell`."""
        self.told += records
        self._genomes |= {self.problem.codec.encode(record.arch).tobytes() for record in records}
