"""`Pool`: evaluates architectures, in this process or in many."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from automoe.search.evaluator import Evaluator, Quality
from automoe.space import Architecture


class Finished(NamedTuple):
    """An evaluated architecture."""

    digest: str
    quality: Quality


class Pool(Protocol):
    """Evaluates what is submitted, in any order."""

    @property
    def slots(self) -> int:
        """How many architectures should be under way at once to keep every worker busy."""
        ...

    @property
    def left_over(self) -> Sequence[Architecture]:
        """What was submitted by a search that was killed and will come from `next` unasked."""
        ...

    def submit(self, arch: Architecture) -> None:
        """Takes an architecture to evaluate; the same one is evaluated once."""
        ...

    def next(self) -> Finished:
        """Waits for the next one that is finished.

        Raises:
            RuntimeError: nothing was submitted that is not finished.
            AutoMoEError: evaluating failed, or nobody is left to do it.
        """
        ...


class InProcess:
    """Evaluates in this process, one after the other, in the order of submission."""

    slots = 1
    left_over: Sequence[Architecture] = ()

    def __init__(self, evaluate: Evaluator) -> None:
        self._evaluate = evaluate
        self._waiting: deque[Architecture] = deque()

    def submit(self, arch: Architecture) -> None:
        """See `Pool.submit`."""
        self._waiting.append(arch)

    def next(self) -> Finished:
        """See `Pool.next`."""
        if not self._waiting:
            raise RuntimeError("nothing was submitted")
        arch = self._waiting.popleft()
        return Finished(arch.digest, self._evaluate(arch))


class AllAtOnce:
    """Evaluates in this process all that was submitted at once: for predictors, which take many as fast as one."""

    left_over: Sequence[Architecture] = ()

    def __init__(self, evaluate: Callable[[Sequence[Architecture]], Sequence[Quality]], slots: int = 1) -> None:
        self.slots = slots
        self._evaluate = evaluate
        self._waiting: list[Architecture] = []
        self._finished: deque[Finished] = deque()

    def submit(self, arch: Architecture) -> None:
        """See `Pool.submit`."""
        self._waiting.append(arch)

    def next(self) -> Finished:
        """See `Pool.next`."""
        if not self._finished:
            archs, self._waiting = self._waiting, []
            if not archs:
                raise RuntimeError("nothing was submitted")
            qualities = self._evaluate(archs)
            self._finished.extend(
                Finished(arch.digest, quality) for arch, quality in zip(archs, qualities, strict=True)
            )
        return self._finished.popleft()


class Remembering:
    """A pool that does not evaluate again what is known from elsewhere.

    Args:
        pool: evaluates what is not known.
        known: qualities by digest, of the same weights on the same sentences.
        left_over: what a killed search had submitted, beside what the pool knows of.
    """

    def __init__(self, pool: Pool, known: Mapping[str, Quality], left_over: Sequence[Architecture] = ()) -> None:
        self._pool, self._known = pool, known
        self._left_over = {arch.digest: arch for arch in left_over}
        self._remembered: deque[Finished] = deque()

    @property
    def slots(self) -> int:
        """See `Pool.slots`."""
        return self._pool.slots

    @property
    def left_over(self) -> Sequence[Architecture]:
        """See `Pool.left_over`."""
        return tuple((self._left_over | {arch.digest: arch for arch in self._pool.left_over}).values())

    def submit(self, arch: Architecture) -> None:
        """See `Pool.submit`."""
        digest = arch.digest
        self._left_over.pop(digest, None)
        if digest in self._known:
            self._remembered.append(Finished(digest, self._known[digest]))
        else:
            self._pool.submit(arch)

    def next(self) -> Finished:
        """See `Pool.next`."""
        return self._remembered.popleft() if self._remembered else self._pool.next()
