"""`SearcherContract`: the laws that every searcher keeps, as tests that the package of a searcher inherits.

    from automoe.testing import SearcherContract

    class TestMySearcher(SearcherContract):
        def make(self, problem, seed):
            return MySearcher(problem, MyOptions(), seed)

pytest collects the class; nothing else is needed, neither files nor weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from automoe.search import Candidate, Problem, Record, Searcher
from automoe.space import Architecture
from automoe.testing.problems import all_within, middle_space, problem_of, record_of, small_space, wmt14_space

_WORD = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_WORKERS = 4


class Play:
    """A search of a searcher on a problem, every answer of which is checked.

    Args:
        searcher: newly made.
        problem: the one that it was made for.
    """

    def __init__(self, searcher: Searcher, problem: Problem) -> None:
        self.searcher, self.problem = searcher, problem
        self.records: list[Record] = []
        self.answers: list[list[Candidate]] = []

    def ask(self, num: int, pending: Sequence[Architecture] = ()) -> list[Candidate]:
        """Asks, and checks the answer.

        Raises:
            AssertionError: the answer breaks a law.
        """
        answer = self.searcher.ask(num, pending)
        self._check(answer, num, set(pending))
        self.answers.append(answer)
        return answer

    def tell(self, candidates: Sequence[Candidate]) -> None:
        """Evaluates and tells."""
        begin = len(self.records)
        generation = self.records[-1].generation + 1 if self.records else 0
        new = [
            record_of(self.problem, arch, index=index, generation=generation, how=how)
            for index, (arch, how) in enumerate(candidates, start=begin)
        ]
        self.records += new
        self.searcher.tell(new)

    def by_generations(self, num: int) -> Play:
        """Asks and tells until `num` architectures were told, or until nothing is asked any more."""
        while len(self.records) < num:
            candidates = self.ask(min(self.searcher.batch, num - len(self.records)))
            if not candidates:
                break
            self.tell(candidates)
        return self

    def one_by_one(self, num: int, seed: int = 0) -> Play:
        """The same with several workers, which end in a random order: asks for one whenever a worker is free."""
        rng = np.random.default_rng(seed)
        pending: list[Candidate] = []
        while len(self.records) < num:
            while len(pending) < min(_WORKERS, num - len(self.records)):
                answer = self.ask(1, [candidate.arch for candidate in pending])
                if not answer:
                    break
                pending += answer
            if not pending:
                break
            self.tell([pending.pop(int(rng.integers(len(pending))))])
        return self

    @property
    def digests(self) -> list[list[str]]:
        """What was asked: digests by answer."""
        return [[candidate.arch.digest for candidate in answer] for answer in self.answers]

    def _check(self, answer: Sequence[Candidate], num: int, pending: set[Architecture]) -> None:
        assert len(answer) <= num, f"asked for {len(answer)} architectures where at most {num} were allowed"
        told = {record.arch for record in self.records}
        here: set[Architecture] = set()
        for arch, how in answer:
            assert arch in self.problem.codec.space, f"{arch.digest} is not in the space"
            assert arch not in here, f"{arch.digest} is twice in one answer"
            assert arch not in told, f"{arch.digest} was told already"
            assert arch not in pending, f"{arch.digest} is pending"
            assert _WORD.fullmatch(how), f"how {how!r} is not a short word of small letters"
            here.add(arch)
        estimates = self.problem.estimates([candidate.arch for candidate in answer])
        for candidate, costs in zip(answer, estimates, strict=True):
            assert self.problem.keeps(costs), f"{candidate.arch.digest} breaks the limits"


class SearcherContract:
    """Inherit it, and say how a searcher is made; see the module's text."""

    num_asks: ClassVar[int] = 300
    """Architectures that are asked for without a repeat in the large space. Lower it for a slow searcher."""
    num_brief: ClassVar[int] = 40
    """The same for the laws that are checked on every kind of problem; it should be a few generations."""

    def make(self, problem: Problem, seed: int) -> Searcher:
        """A searcher that was told nothing yet; every test makes several."""
        raise NotImplementedError

    def problems(self) -> dict[str, Problem]:
        """The kinds of problems that every law is checked on, by name; override it for what a searcher cannot do."""
        space = middle_space()
        return {
            "one objective": problem_of(space, "loss"),
            "several objectives": problem_of(space, "loss", "bleu", "latency_ms", "flops_g"),
            "a cost alone": problem_of(space, "flops_g"),
            "limits": problem_of(space, "loss", "flops_g", limit=0.5),
            "guesses": problem_of(space, "loss", "flops_g", guess=True),
        }

    def test_it_asks_for_new_architectures_of_the_space_within_the_limits(self) -> None:
        """By generations, on every kind of problem."""
        for name, problem in self.problems().items():
            play = Play(self.make(problem, 1), problem).by_generations(self.num_brief)
            assert len(play.records) == self.num_brief, f"{name}: gave up after {len(play.records)}"

    def test_it_asks_for_new_ones_when_workers_are_fed_one_by_one(self) -> None:
        """Asynchronously, on every kind of problem."""
        for name, problem in self.problems().items():
            play = Play(self.make(problem, 1), problem).one_by_one(self.num_brief // 2)
            assert len(play.records) == self.num_brief // 2, f"{name}: gave up after {len(play.records)}"

    def test_it_repeats_nothing_in_many_asks(self) -> None:
        """In the large space."""
        problem = problem_of(wmt14_space(), "loss", "flops_g")
        play = Play(self.make(problem, 1), problem).by_generations(self.num_asks)
        assert len(play.records) == self.num_asks, f"gave up after {len(play.records)}"

    def test_it_asks_at_most_what_it_may(self) -> None:
        """Whatever its batch is."""
        problem = problem_of(middle_space(), "loss")
        play = Play(self.make(problem, 1), problem)
        batch = play.searcher.batch
        assert batch >= 1, f"the batch is {batch}"
        for num in (1, max(batch // 2, 1), batch, 2 * batch, 1):
            play.tell(play.ask(num))

    def test_it_exhausts_a_small_space(self) -> None:
        """Every architecture that keeps the limits is asked for once; nothing is asked only when none is left."""
        for limit in (None, 0.8):
            problem = problem_of(small_space(), "loss", "flops_g", limit=limit)
            self._exhausts(Play(self.make(problem, 1), problem).by_generations(10_000))

    def test_it_exhausts_a_small_space_when_workers_are_fed_one_by_one(self) -> None:
        """As above."""
        problem = problem_of(small_space(), "loss", "flops_g", limit=0.8)
        self._exhausts(Play(self.make(problem, 1), problem).one_by_one(10_000))

    def test_it_finds_what_keeps_tight_limits(self) -> None:
        """Where of 500 samples one is within them, and the space is too large to be listed."""
        problem = problem_of(middle_space(), "loss", "flops_g", limit=0.13)
        play = Play(self.make(problem, 1), problem).by_generations(self.num_brief)
        assert len(play.records) == self.num_brief, f"gave up after {len(play.records)}"

    def test_it_asks_for_nothing_where_nothing_keeps_the_limits(self) -> None:
        """Neither at the beginning nor when it was told of something."""
        problem = problem_of(middle_space(), "loss", "flops_g", limit=0.01)
        play = Play(self.make(problem, 1), problem)
        assert play.ask(play.searcher.batch) == []
        play.tell([Candidate(problem.codec.space.smallest(), "foreign")])
        assert play.ask(1) == []

    def test_it_says_that_nothing_is_left_while_the_last_ones_are_pending(self) -> None:
        """And asks for what is left if only a part is pending."""
        problem = problem_of(small_space(), "loss")
        play = Play(self.make(problem, 1), problem)
        pending: list[Architecture] = []
        everything = all_within(problem)
        while len(pending) < len(everything):
            answer = play.ask(7, pending)
            assert answer, f"nothing was asked although {len(everything) - len(pending)} are left"
            pending += [candidate.arch for candidate in answer]
        assert play.ask(1, pending) == []

    def test_the_same_seed_asks_the_same(self) -> None:
        """For the same that was told."""
        for name, problem in self.problems().items():
            one, two = (Play(self.make(problem, 3), problem).by_generations(self.num_brief) for _ in range(2))
            assert one.digests == two.digests, f"{name}: the same seed asks another time for something else"

    def test_another_seed_asks_for_something_else(self) -> None:
        """So that several runs show the spread."""
        problem = problem_of(middle_space(), "loss", "flops_g")
        one, two = (Play(self.make(problem, seed), problem).by_generations(self.num_brief) for seed in (3, 4))
        assert one.digests != two.digests, "all seeds ask for the same"

    def test_a_new_searcher_that_is_told_the_archive_goes_on_alike(self) -> None:
        """After some of the generations."""
        for name, problem in self.problems().items():
            play = Play(self.make(problem, 3), problem).by_generations(self.num_brief)
            digests = play.digests
            for stop in range(0, len(digests), max(len(digests) // 5, 1)):
                resumed, begin = self.make(problem, 3), 0
                for generation in digests[:stop]:
                    if resumed.replayed:
                        resumed.ask(min(resumed.batch, self.num_brief - begin))
                    resumed.tell(play.records[begin : begin + len(generation)])
                    begin += len(generation)
                asked = resumed.ask(min(resumed.batch, self.num_brief - begin))
                same = [candidate.arch.digest for candidate in asked] == digests[stop]
                assert same, f"{name}: told {begin} records, a new searcher goes on with something else"

    def test_it_bears_to_be_told_what_it_did_not_propose(self) -> None:
        """At the beginning and between its own, also what breaks the limits."""
        for name, problem in self.problems().items():
            play = Play(self.make(problem, 1), problem)
            codec, rng = problem.codec, np.random.default_rng(7)
            for num in (30, 2, 1):
                told = {record.arch for record in play.records}
                others = [codec.decode(genome_G) for genome_G in codec.sample(num, rng)]
                others += [codec.space.largest(), codec.space.smallest()]
                new = [arch for arch in dict.fromkeys(others) if arch not in told]
                play.tell([Candidate(arch, "foreign") for arch in new])
                target = len(play.records) + self.num_brief // 3
                assert len(play.by_generations(target).records) == target, f"{name}: gave up"

    @staticmethod
    def _exhausts(play: Play) -> None:
        missing = all_within(play.problem) - {record.arch for record in play.records}
        assert not missing, f"gave up although {len(missing)} architectures are left"
        assert play.ask(1) == []
