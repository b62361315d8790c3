import logging
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

from automoe.errors import ConfigError, DependencyError
from automoe.search import make_searcher
from automoe.search.searcher import options_of
from automoe.search.searchers.optuna import POPULATIONS, OptunaOptions, OptunaSearcher
from automoe.testing import Play, SearcherContract, middle_space, problem_of, small_space, wmt14_space

optuna = pytest.importorskip("optuna")


def searcher_of(problem, seed=0, **options):
    return OptunaSearcher(problem, OptunaOptions(**options), seed)


class Contract(SearcherContract):
    num_asks = 60
    num_brief = 20
    sampler = ""

    def make(self, problem, seed):
        if self.sampler == "cmaes":
            problem = replace(problem, objectives=problem.objectives[:1])
        population = 1 if self.sampler == "gp" else 6
        return searcher_of(problem, seed, sampler=self.sampler, startup=6, population=population, tries=3)


class TestTPE(Contract):
    sampler = "tpe"


class TestNSGA2(Contract):
    sampler = "nsga2"


class TestCmaEs(Contract):
    sampler = "cmaes"


@pytest.mark.slow
class TestNSGA3(Contract):
    sampler = "nsga3"


@pytest.mark.slow
class TestGP(Contract):
    num_asks = 30
    num_brief = 12
    sampler = "gp"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "num"), [("tpe", 2000), ("nsga2", 2000), ("nsga3", 2000), ("gp", 200), ("cmaes", 200)]
)
def test_many_asks_hold_no_duplicate(sampler, num):
    """`Play` looks at every answer; the sampler itself makes most of the proposals."""
    objectives = ["loss"] if sampler == "cmaes" else ["loss", "latency_ms", "flops_g"]
    problem = problem_of(wmt14_space(), *objectives)
    play = Play(searcher_of(problem, 1, sampler=sampler), problem).by_generations(num)
    assert len({record.digest for record in play.records}) == num
    assert sum(record.how == sampler for record in play.records) > 0.9 * (num - 24)


def test_the_gaussian_process_proposes_and_goes_on_alike():
    problem = problem_of(middle_space(), "loss", "flops_g", limit=0.6)
    play = Play(searcher_of(problem, 2, sampler="gp", startup=6), problem).by_generations(9)
    assert [record.how for record in play.records[6:]] == ["gp"] * 3
    resumed = searcher_of(problem, 2, sampler="gp", startup=6)
    resumed.tell(play.records[:8])
    assert [candidate.arch for candidate in resumed.ask(1)] == [play.records[8].arch]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "cmaes"])
def test_the_sampler_finds_better_than_samples(sampler):
    """It learns: what is proposed last is better on average than what it begins with."""
    problem = problem_of(middle_space(), "loss")
    play = Play(searcher_of(problem, 0, sampler=sampler, startup=20, population=10), problem).by_generations(100)
    losses = {record.index: record.loss for record in play.records}
    samples = [losses[record.index] for record in play.records if record.how == "sample"]
    assert np.mean([losses[index] for index in range(80, 100)]) < np.mean(samples)


@pytest.mark.parametrize("sampler", sorted(POPULATIONS))
def test_it_begins_with_the_smallest_and_the_largest_and_samples(sampler):
    problem = problem_of(small_space(), "loss")
    space = problem.codec.space
    asked = searcher_of(problem, sampler=sampler, startup=5).ask(5)
    assert [candidate.how for candidate in asked] == ["anchor"] * 2 + ["sample"] * 3
    assert [candidate.arch for candidate in asked[:2]] == [space.smallest(), space.largest()]


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "tpe", "cmaes"])
def test_it_does_not_matter_how_often_it_was_asked_or_in_which_parts_it_was_told(sampler):
    problem = problem_of(middle_space(), "loss")
    play = Play(searcher_of(problem, 5, sampler=sampler, startup=8, population=8), problem).by_generations(48)
    at_once, in_parts = (searcher_of(problem, 5, sampler=sampler, startup=8, population=8) for _ in range(2))
    at_once.tell(play.records)
    for record in play.records:
        in_parts.tell([record])
        if record.index % 7 == 0:
            in_parts.ask(2)
    assert at_once.ask(8) == in_parts.ask(8)


def test_cma_es_refuses_several_objectives():
    with pytest.raises(ConfigError, match=r"search\.objectives=\['loss', 'flops_g'\].*allowed: one.*nsga2"):
        searcher_of(problem_of(small_space(), "loss", "flops_g"), sampler="cmaes")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "tbe"}, r"search.options.sampler=tbe: .*Did you mean 'tpe'"),
        ({"population": 1, "sampler": "nsga2"}, r"search.options.population=1: .*>= 2 for nsga2"),
        ({"population": 2.5}, r"search.options.population=2.5: .*allowed"),
        ({"startup": 0}, r"search.options.startup=0: .*>= 1"),
        ({"tries": 0}, r"search.options.tries=0: .*>= 1"),
        ({"trys": 3}, r"search.options.trys=3: .*Did you mean 'tries'"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(options, message):
    with pytest.raises(ConfigError, match=message):
        options_of("optuna", options)


@pytest.mark.parametrize(("sampler", "package"), [("tpe", "optuna"), ("cmaes", "cmaes"), ("gp", "torch")])
def test_a_missing_package_is_named_when_the_searcher_is_made(sampler, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert options_of("optuna", {"sampler": sampler}).sampler == sampler
    with pytest.raises(DependencyError, match=f"'{package}' is not installed"):
        make_searcher("optuna", problem_of(small_space(), "loss"), {"sampler": sampler}, 0)


def test_the_options_need_no_optuna():
    check = "import sys; from automoe.search.searcher import options_of; options_of('optuna', {'sampler': 'gp'}); "
    check += "assert not {'optuna', 'cmaes', 'torch'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("sampler", ["tpe", "nsga3"])
def test_optuna_is_silent_while_it_searches_and_speaks_afterwards(sampler, capfd):
    optuna.logging.set_verbosity(logging.INFO)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        problem = problem_of(small_space(), "loss", "flops_g")
        Play(searcher_of(problem, sampler=sampler, startup=4, population=4), problem).by_generations(12)
    assert not [each for each in caught if issubclass(each.category, optuna.exceptions.ExperimentalWarning)]
    said = capfd.readouterr()
    assert said.out + said.err == "" and optuna.logging.get_verbosity() == logging.INFO
