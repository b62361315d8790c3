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
from automoe.search.searchers.tight_limits import near_within
from automoe.space import Architecture

Ints = NDArray[np.int64]
Draw = Callable[[int], tuple[Ints, Sequence[str]]]
"""(number of genomes) -> so many canonical genomes of shape (N, G), and how each came to be."""
Sample = Callable[[int, np.random.Generator], Ints]
"""(number of genomes, draws) -> so many canonical genomes of the space, of shape (N, G)."""
_ROUNDS = 16
_VAIN_ROUNDS = 4
"""Rounds in a row that find nothing, after which drawing is given up."""
_SAMPLES_PER_ROUND = 1024
_FEW_SAMPLES = 64
_LAST_ROUNDS = 60
"""Rounds of samples before a space that cannot be listed is searched beside what is known, as long as they find."""


class Proposals:
    """Architectures that a searcher may ask for, in one call of `ask`.

    Args:
        problem: says the space and the limits.
        seen: genomes, as bytes, that may not be proposed; it is not changed.
        rng: draws.
        pending: architectures that are being evaluated, which may not be proposed either.
        sample: draws what `samples` and `fill` propose; None gives every choice of a gene the same chance.
    """

    def __init__(
        self,
        problem: Problem,
        seen: set[bytes],
        rng: np.random.Generator,
        *,
        pending: Sequence[Architecture] = (),
        sample: Sample | None = None,
    ) -> None:
        self.problem, self.rng, self.pending = problem, rng, pending
        self._codec = problem.codec
        self._sample = self._codec.sample if sample is None else sample
        self._seen = seen | {self._codec.encode(arch).tobytes() for arch in pending}

    def collect(self, draw: Draw, count: int, rounds: int | None = None) -> list[Candidate]:
        """Up to `count` of what `draw` gives; none of them is given again by a later call.

        Args:
            draw: gives proposals, some of which may be seen or break a limit.
            count: the most that is wanted.
            rounds: so often it is drawn at most; None: as long as it makes sense.
        """
        found: list[Candidate] = []
        vain = 0
        for _ in range(_ROUNDS if rounds is None else rounds):
            if len(found) >= count or (rounds is None and vain == _VAIN_ROUNDS):
                break
            genome_NG, how_N = draw(2 * count)
            new = self._admitted(genome_NG, how_N, count - len(found))
            vain = 0 if new else vain + 1
            found += new
        return found

    def anchors(self) -> list[Candidate]:
        """The smallest and the largest architecture of the space, unless they were seen or break a limit."""
        space = self._codec.space
        genomes = [self._codec.encode(arch) for arch in dict.fromkeys((space.smallest(), space.largest()))]
        return self._admitted(np.stack(genomes), ["anchor"] * len(genomes), len(genomes))

    def samples(self, count: int) -> list[Candidate]:
        """Up to `count` samples; fewer where many were seen or break a limit: `fill` looks closer."""

        def few(num: int) -> tuple[Ints, Sequence[str]]:
            return self._samples(num + _FEW_SAMPLES)

        found = self.collect(few, count, rounds=1)
        return found + self.collect(self._many_samples, count - len(found), rounds=_VAIN_ROUNDS)

    def fill(self, count: int) -> list[Candidate]:
        """Up to `count` architectures, wherever they are found; fewer only where no more are found.

        They are samples as far as possible. A space that can be listed is searched through to its last architecture.
        In a larger one under limits that nearly nothing keeps, what is known to keep them leads to others.
        """
        found = self.samples(count)
        if len(found) == count:
            return found
        if self.problem.genome_NG is not None:
            genome_NG = self.rng.permutation(self.problem.genome_NG)
            return found + self._admitted(genome_NG, ["sample"] * len(genome_NG), count - len(found))
        for _ in range(_LAST_ROUNDS // _VAIN_ROUNDS):
            new = self.collect(self._many_samples, count - len(found), rounds=_VAIN_ROUNDS)
            found += new
            if not new or len(found) == count:
                break
        found += self.anchors()[: count - len(found)]
        if len(found) < count and self.problem.limits:
            known = [np.frombuffer(genome, dtype=np.int64) for genome in sorted(self._seen)]
            for genome_NG, how in near_within(self.problem, known, self.rng):
                found += self._admitted(genome_NG, [how] * len(genome_NG), count - len(found))
                if len(found) == count:
                    break
        return found

    def best(self, pool: Sequence[Candidate], known: Sequence[Record], count: int) -> list[Candidate]:
        """The `count` of the pool that are guessed to be best, or its first ones where nothing can guess."""
        guess_N = self.problem.guess(known, [candidate.arch for candidate in pool])
        if guess_N is None:
            return list(pool[:count])
        return [pool[index] for index in np.argsort(guess_N, kind="stable")[:count]]

    def _samples(self, num: int) -> tuple[Ints, Sequence[str]]:
        return self._sample(num, self.rng), ["sample"] * num

    def _many_samples(self, _: int) -> tuple[Ints, Sequence[str]]:
        return self._samples(_SAMPLES_PER_ROUND)

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

    @property
    def sample(self) -> Sample | None:
        """Draws the samples; see `Proposals`."""
        return None

    def ask(self, num: int, pending: Sequence[Architecture] = ()) -> list[Candidate]:
        """See `Searcher.ask`."""
        key = [self._seed, zlib.crc32(type(self).__name__.encode()), len(self.told), len(pending)]
        rng = np.random.default_rng(key)
        proposals = Proposals(self.problem, self._genomes, rng, pending=pending, sample=self.sample)
        found = self.propose(num, proposals)
        return found + proposals.fill(num - len(found)) if len(found) < num else found

    def tell(self, records: Sequence[Record]) -> None:
        """See `Searcher.tell`."""
        self.told += records
        self._genomes |= {self.problem.codec.encode(record.arch).tobytes() for record in records}
