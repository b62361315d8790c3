"""Our own searchers keep the contract, and the contract notices a searcher that does not."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from automoe.search import Candidate, make_searcher
from automoe.search.searchers.random import RandomOptions, RandomSearch
from automoe.testing import Play, SearcherContract, middle_space, problem_of, small_space, wmt14_space

OWN = {
    "evolution": {"population": 8, "parents": 4},
    "random": {"batch": 10},
    "regularised": {"population": 10, "sample": 3, "batch": 5},
    "automoe": {"parents": 4, "mutants": 6, "crossovers": 6},
    "nsga2": {"population": 10},
    "local": {"starts": 4, "batch": 5},
}
"""Small generations, so that the contract sees several."""


class Own(SearcherContract):
    num_asks, num_brief = 120, 30  # 2,000 in the slow test below
    name = ""
    options = None

    def make(self, problem, seed):
        return make_searcher(self.name, problem, OWN[self.name] if self.options is None else self.options, seed)


class TestEvolution(Own):
    name = "evolution"


class TestRandomSearch(Own):
    name = "random"


class TestUniformRandomSearch(Own):
    name, options = "random", {"batch": 10, "uniform": True}


class TestRegularisedEvolution(Own):
    name = "regularised"


class TestAutoMoEEvolution(Own):
    name = "automoe"


class TestNSGA2(Own):
    name = "nsga2"


class TestLocalSearch(Own):
    name = "local"


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_no_architecture_is_asked_for_twice_in_2000_asks(name):
    problem = problem_of(wmt14_space(), "loss", "flops_g")
    play = Play(make_searcher(name, problem, {}, 1), problem).by_generations(2000)
    assert len({record.digest for record in play.records}) == 2000


@pytest.mark.parametrize("name", OWN)
def test_what_is_asked_does_not_depend_on_how_many_records_are_told_at_once(name):
    problem = problem_of(middle_space(), "loss", "flops_g")
    play = Play(make_searcher(name, problem, OWN[name], 1), problem).by_generations(47)
    expected = play.searcher.ask(7)
    for step in (1, 3, 47):
        other = make_searcher(name, problem, OWN[name], 1)
        for begin in range(0, 47, step):
            other.tell(play.records[begin : begin + step])
        assert other.ask(7) == expected


class Sound(RandomSearch):
    """Keeps all laws; the others break one."""

    def __init__(self, problem, seed):
        super().__init__(problem, RandomOptions(batch=10), seed)


class RepeatsItself(Sound):
    def ask(self, num, pending=()):
        found = super().ask(num, pending)
        return [*found[:-1], found[0]] if len(found) > 1 else found


class AsksForWhatIsKnown(Sound):
    def ask(self, num, pending=()):
        found = super().ask(num, pending)
        return [Candidate(self.told[0].arch, "sample"), *found[1:]] if self.told else found


class AsksForWhatIsPending(Sound):
    def ask(self, num, pending=()):
        return [Candidate(arch, "sample") for arch in pending[:num]] or super().ask(num)


class BreaksLimits(Sound):
    def __init__(self, problem, seed):
        super().__init__(replace(problem, limits=()), seed)


class AsksForMore(Sound):
    def ask(self, num, pending=()):
        return super().ask(num + 1, pending)


class LeavesTheSpace(Sound):
    def ask(self, num, pending=()):
        return [Candidate(wmt14_space().largest(), "sample")]


class TalksTooMuch(Sound):
    def ask(self, num, pending=()):
        return [Candidate(arch, "drawn at random") for arch, _ in super().ask(num, pending)]


class GivesUp(Sound):
    def ask(self, num, pending=()):
        return [] if len(self.told) >= 20 else super().ask(num, pending)


class GivesUpWhileOthersWork(Sound):
    def ask(self, num, pending=()):
        return [] if len(pending) > 40 else super().ask(num, pending)


class IgnoresTheSeed(Sound):
    def __init__(self, problem, seed):
        super().__init__(problem, 0)


class DrawsFromElsewhere(Sound):
    counter = itertools.count()

    def __init__(self, problem, seed):
        super().__init__(problem, next(self.counter))


class RemembersItsAsks(Sound):
    def __init__(self, problem, seed):
        super().__init__(problem, seed)
        self.rng = np.random.default_rng(seed)

    def ask(self, num, pending=()):
        self._seed = int(self.rng.integers(2**31))
        return super().ask(num, pending)


class RemembersAndSaysSo(RemembersItsAsks):
    replayed = True


class FearsStrangers(Sound):
    def __init__(self, problem, seed):
        super().__init__(problem, seed)
        self.own = set()

    def ask(self, num, pending=()):
        found = super().ask(num, pending)
        self.own |= {candidate.arch.digest for candidate in found}
        return found

    def tell(self, records):
        for record in records:
            self.own.remove(record.digest)
        super().tell(records)


class TakesWhatIsNear(Sound):
    def ask(self, num, pending=()):
        found = super().ask(num, pending)
        return found or [Candidate(self.problem.codec.space.largest(), "sample")]


BY_GENERATIONS = "test_it_asks_for_new_architectures_of_the_space_within_the_limits"
ONE_BY_ONE = "test_it_asks_for_new_ones_when_workers_are_fed_one_by_one"
MANY = "test_it_repeats_nothing_in_many_asks"
AT_MOST = "test_it_asks_at_most_what_it_may"
EXHAUSTS = "test_it_exhausts_a_small_space"
EXHAUSTS_ONE_BY_ONE = "test_it_exhausts_a_small_space_when_workers_are_fed_one_by_one"
TIGHT = "test_it_finds_what_keeps_tight_limits"
NOTHING = "test_it_asks_for_nothing_where_nothing_keeps_the_limits"
PENDING = "test_it_says_that_nothing_is_left_while_the_last_ones_are_pending"
SAME = "test_the_same_seed_asks_the_same"
OTHER = "test_another_seed_asks_for_something_else"
RESUMED = "test_a_new_searcher_that_is_told_the_archive_goes_on_alike"
STRANGERS = "test_it_bears_to_be_told_what_it_did_not_propose"

BROKEN = [
    (BY_GENERATIONS, RepeatsItself, "twice in one answer"),
    (BY_GENERATIONS, AsksForWhatIsKnown, "told already"),
    (BY_GENERATIONS, BreaksLimits, "breaks the limits"),
    (BY_GENERATIONS, LeavesTheSpace, "not in the space"),
    (BY_GENERATIONS, TalksTooMuch, "short word"),
    (BY_GENERATIONS, GivesUp, "gave up after 20"),
    (ONE_BY_ONE, AsksForWhatIsPending, "is pending"),
    (MANY, AsksForWhatIsKnown, "told already"),
    (AT_MOST, AsksForMore, "at most 1 were allowed"),
    (EXHAUSTS, GivesUp, "gave up although"),
    (EXHAUSTS_ONE_BY_ONE, GivesUp, "gave up although"),
    (TIGHT, GivesUp, "gave up after 20"),
    (NOTHING, TakesWhatIsNear, "breaks the limits"),
    (PENDING, GivesUpWhileOthersWork, "nothing was asked although"),
    (SAME, DrawsFromElsewhere, "the same seed"),
    (OTHER, IgnoresTheSeed, "all seeds"),
    (RESUMED, RemembersItsAsks, "goes on with something else"),
    (STRANGERS, FearsStrangers, None),
]


class Contract(SearcherContract):
    """Of a kind of searcher that is given, and small."""

    num_asks, num_brief = 30, 30

    def __init__(self, kind):
        self.make = kind

    def problems(self):
        return {
            "one objective": problem_of(small_space(), "loss"),
            "limits": problem_of(small_space(), "loss", "flops_g", limit=0.8),
        }


@pytest.mark.parametrize(("law", "kind", "message"), BROKEN)
def test_the_contract_notices_who_breaks_it(law, kind, message):
    with pytest.raises(KeyError if message is None else AssertionError, match=message):
        getattr(Contract(kind), law)()


def test_every_law_was_seen_to_fail():
    laws = {name for name in dir(SearcherContract) if name.startswith("test_")}
    assert laws == {law for law, _, _ in BROKEN}


def test_a_searcher_with_a_memory_is_asked_again_for_what_the_archive_holds():
    made = []

    class Listening(RemembersAndSaysSo):
        def __init__(self, problem, seed):
            super().__init__(problem, seed)
            self.asked_after = []
            made.append(self)

        def ask(self, num, pending=()):
            self.asked_after.append(len(self.told))
            return super().ask(num, pending)

    getattr(Contract(Listening), RESUMED)()
    assert all(searcher.asked_after[0] == 0 for searcher in made)
