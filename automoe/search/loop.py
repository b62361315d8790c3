"""The loop of a search: ask the searcher, evaluate what is not in the archive yet, tell, go on.

By generations, the archive depends on the seed and on nothing that happens while it runs: not on the number of
workers, nor on which of them is fast, nor on how often it was killed. Asynchronously no worker waits for a slower
one, and the archive is in the order in which the evaluations end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from automoe.errors import AutoMoEError
from automoe.search.archive import Archive
from automoe.search.evaluator import Estimate, Quality
from automoe.search.pool import Pool
from automoe.search.problem import Problem
from automoe.search.record import Record
from automoe.search.searcher import Candidate, Searcher
from automoe.space import Architecture

OnProgress = Callable[[Record], None]
"""Hears of every record as it is added."""


_MOMENT_SECONDS = 0.1
"""An evaluation that takes longer is written at once, shorter ones after a second or with their generation."""
_PATIENCE_SECONDS = 1.0
_LEFT_OVER = "left-over"
"""Where an architecture came from that a killed search had asked for; who proposed it is not known any more."""


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """How a search ended."""

    evaluated: int
    """Architectures in the archive."""
    exhausted: bool
    """Whether it ended early because no unseen architecture was found."""
    message: str
    """The same in words; it says that the space is exhausted only where that is certain."""


def run_search(
    searcher: Searcher,
    problem: Problem,
    archive: Archive,
    pool: Pool,
    *,
    evaluations: int,
    given: Sequence[Record] = (),
    asynchronous: bool = False,
    on_progress: OnProgress | None = None,
) -> SearchOutcome:
    """Adds to the archive until it holds `evaluations` architectures, or until the searcher finds no more.

    Killed at any moment and run again with the same arguments, it goes on; by generations it ends with the same
    bytes.

    Args:
        searcher: newly made; it is told what the archive holds.
        problem: the one that the searcher was made for.
        archive: empty, or what an earlier run with the same arguments left.
        pool: evaluates.
        evaluations: records at which it ends.
        given: what an earlier search left at the beginning of the archive, as the searcher shall hear of it: for
            example with costs that are predicted anew. They are told, not planned again.
        asynchronous: whether a new architecture is asked for whenever a worker is free, instead of by generations.
        on_progress: hears of each record as it is added.

    Raises:
        AutoMoEError: the archive is of another search, a loss is not a number, or the pool failed.
    """
    search = _Search(searcher, problem, archive, pool, evaluations, given, on_progress)
    return search.run_freely() if asynchronous else search.run_generations()


class _Search:
    def __init__(
        self,
        searcher: Searcher,
        problem: Problem,
        archive: Archive,
        pool: Pool,
        target: int,
        given: Sequence[Record],
        on_progress: OnProgress | None,
    ) -> None:
        self._searcher, self._problem, self._archive, self._pool = searcher, problem, archive, pool
        self._target, self._given = target, given
        _check_begin(archive, given)
        self._unsaved: list[Record] = []
        self._saved_at = self._added_at = time.monotonic()
        self._on_progress = on_progress

    def run_generations(self) -> SearchOutcome:
        """Asks for a generation when the one before is evaluated."""
        generation, begin = self._restore()
        while True:
            room = self._target - begin
            if room <= 0:
                return self._outcome(exhausted=False)
            candidates = self._searcher.ask(min(self._searcher.batch, room))
            if not candidates:
                return self._outcome(exhausted=True)
            self._evaluate(candidates, generation, begin)
            self._searcher.tell(self._archive.records[begin : begin + len(candidates)])
            begin += len(candidates)
            generation += 1

    def run_freely(self) -> SearchOutcome:
        """Keeps every worker busy; a generation is what was asked between two records."""
        self._searcher.tell([*self._given, *self._archive.records[len(self._given) :]])
        pending: dict[str, Candidate] = {}
        for arch in self._pool.left_over:
            if arch.digest not in self._archive:
                pending[arch.digest] = Candidate(arch, _LEFT_OVER)
                self._pool.submit(arch)
        exhausted = False
        while True:
            wanted = min(self._pool.slots, self._target - len(self._archive)) - len(pending)
            while wanted > 0 and not exhausted:
                asked = self._searcher.ask(1, [candidate.arch for candidate in pending.values()])
                exhausted = not asked
                for candidate in asked:
                    pending[candidate.arch.digest] = candidate
                    self._pool.submit(candidate.arch)
                wanted -= 1
            if not pending:
                return self._outcome(exhausted=exhausted)
            digest, quality = self._pool.next()
            candidate = pending.pop(digest)
            (costs,) = self._problem.estimates([candidate.arch])
            self._add(candidate, costs, quality, generation=len(self._archive))
            self._save()
            self._searcher.tell(self._archive.records[-1:])
            exhausted = False

    def _restore(self) -> tuple[int, int]:
        """Tells the searcher all finished generations; the number of the next one, and the records before it.

        The last one may be unfinished: it is planned again.
        """
        records, begin = self._archive.records, len(self._given)
        self._searcher.tell(self._given)
        generation = self._given[-1].generation + 1 if begin else 0
        while begin < len(records) and records[-1].generation > (generation := records[begin].generation):
            size = sum(record.generation == generation for record in records[begin:])
            if self._searcher.replayed:
                self._searcher.ask(min(self._searcher.batch, self._target - begin))
            self._searcher.tell(records[begin : begin + size])
            begin += size
        return generation, begin

    def _evaluate(self, candidates: Sequence[Candidate], generation: int, begin: int) -> None:
        """Evaluates the candidates that are not in the archive; their records begin at the index `begin`."""
        # Predicted all at once, also after a restart: a prediction's last bits may depend on what is in its batch.
        costs = self._problem.estimates([candidate.arch for candidate in candidates])
        done = self._archive.records[begin : begin + len(candidates)]
        for index, (candidate, record) in enumerate(zip(candidates, done, strict=False), start=begin):
            if (candidate.arch.digest, candidate.how) != (record.digest, record.how):
                raise _foreign(self._archive, index)
        digests = [candidate.arch.digest for candidate in candidates]
        for candidate in candidates[len(done) :]:
            self._pool.submit(candidate.arch)
        found: dict[str, Quality] = {}
        try:
            for place in range(len(done), len(candidates)):  # in their order, whatever the order in which they end
                while digests[place] not in found:
                    digest, quality = self._pool.next()
                    found[digest] = quality
                self._add(candidates[place], costs[place], found.pop(digests[place]), generation)
        finally:
            self._save()

    def _add(self, candidate: Candidate, costs: Mapping[str, Estimate], quality: Quality, generation: int) -> None:
        """Notes an evaluated candidate; it is written now, or with the next ones."""
        _check_quality(candidate.arch, quality)
        record = Record(
            index=len(self._archive) + len(self._unsaved), digest=candidate.arch.digest, arch=candidate.arch,
            loss=quality.loss, bleu=quality.bleu, costs=costs, generation=generation, how=candidate.how,
        )  # fmt: skip
        self._unsaved.append(record)
        now = time.monotonic()
        if now - self._added_at > _MOMENT_SECONDS or now - self._saved_at > _PATIENCE_SECONDS:
            self._save()
        self._added_at = now

    def _save(self) -> None:
        records, self._unsaved = self._unsaved, []
        self._archive.add(*records)
        self._saved_at = time.monotonic()
        if self._on_progress is not None:
            for record in records:
                self._on_progress(record)

    def _outcome(self, *, exhausted: bool) -> SearchOutcome:
        num = len(self._archive)
        message = f"{num} architectures were evaluated"
        if exhausted:
            within = " that keeps the limits" if self._problem.limits else ""
            if self._problem.is_exhausted([record.arch for record in self._archive.records]):
                message = f"the search space is exhausted: it has no architecture{within} beside the {num} evaluated"
            else:
                message = f"no further architecture{within} was found beside the {num} evaluated"
        return SearchOutcome(evaluated=num, exhausted=exhausted, message=message)


def _check_quality(arch: Architecture, quality: Quality) -> None:
    for name, value in (("loss", quality.loss), ("BLEU", quality.bleu)):
        if value is not None and not math.isfinite(value):
            hint = "Its weights diverged in training: train with a lower learning rate"
            raise AutoMoEError("is not a number", key=f"{name} of architecture {arch.digest}", value=value, hint=hint)


def _check_begin(archive: Archive, given: Sequence[Record]) -> None:
    """Raises if the archive does not begin with what is given."""
    if len(given) > len(archive):
        raise _foreign(archive, len(archive))
    for index, (record, expected) in enumerate(zip(archive.records, given, strict=False)):
        if record.digest != expected.digest:
            raise _foreign(archive, index)


def _foreign(archive: Archive, index: int) -> AutoMoEError:
    return AutoMoEError(
        "was not made by this search: the seed, the settings or the predicted costs were others",
        file=archive.path,
        line=index + 2,
        hint="Begin another archive",
    )
