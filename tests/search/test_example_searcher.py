"""A searcher of another package, installed as a package is: found by its entry point, checked by the contract."""

import sys
import tomllib
from importlib import invalidate_caches
from pathlib import Path

import pytest

from automoe.errors import ConfigError
from automoe.search import InProcess, make_searcher, run_search
from automoe.search.searcher import find_searcher, options_of
from automoe.testing import SearcherContract, problem_of, small_space
from automoe.testing.problems import quality
from tests.search.analytic import new_archive

PACKAGE = Path(__file__).parent / "example_searcher"


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """What pip leaves of the package on the path."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "site" / f"example_searcher-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in points.items())
             for group, points in project["entry-points"].items()]  # fmt: skip
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(info.parent))
    monkeypatch.syspath_prepend(str(PACKAGE))
    invalidate_caches()
    yield
    sys.modules.pop("example_annealing", None)


class TestAnnealing(SearcherContract):
    num_asks = 120
    num_brief = 30

    def make(self, problem, seed):
        return make_searcher("annealing", problem, {}, seed)


def test_a_search_with_it_fills_an_archive(tmp_path):
    problem = problem_of(small_space(), "loss", "flops_g")
    archive = new_archive(tmp_path, small_space())
    searcher = make_searcher("annealing", problem, {"cooling": 0.5}, 1)
    outcome = run_search(searcher, problem, archive, InProcess(quality), evaluations=30)
    assert (outcome.evaluated, len({record.digest for record in archive.records})) == (30, 30)


def test_its_options_are_checked_and_it_is_named_among_the_searchers():
    assert options_of("annealing", {"cooling": 0.9}).cooling == 0.9
    with pytest.raises(ConfigError, match=r"search\.options\.cooling=2\.0"):
        options_of("annealing", {"cooling": 2.0})
    with pytest.raises(ConfigError, match="Did you mean 'annealing'"):
        find_searcher("anealing")
