import argparse
import json

import pytest

from automoe.commands import space as command
from automoe.errors import SpaceError
from automoe.space import Architecture, find_space, read_space
from tests.space.test_hat import HAT
from tests.space.test_yaml_file import GOOD


@pytest.fixture
def run(capsys):
    def call(*arguments: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        args = parser.parse_args(["space", *arguments])
        return args.run(args), capsys.readouterr().out

    return call


def test_describe_shows_exact_sizes_every_gene_and_both_extremes(run):
    status, shown = run("describe", "quickstart")
    space = read_space(find_space("quickstart"))
    assert status == 0
    for part in (f"{space.num_architectures:,}", f"{space.num_raw:,}", str(space.smallest()), str(space.largest())):
        assert part in shown
    for gene in space.genes():
        assert gene.name in shown


def test_describe_as_json_can_be_read_back(run):
    answer = json.loads(run("describe", "quickstart", "--json")[1])
    space = read_space(find_space("quickstart"))
    assert answer["num_architectures"] == space.num_architectures
    assert Architecture.from_dict(answer["largest"]["architecture"]) == space.largest()
    assert answer["smallest"]["costs"]["flops"] < answer["largest"]["costs"]["flops"]
    assert len(answer["genes"]) == len(space.genes())


def test_the_costs_of_a_file_of_hat_are_of_post_norm_unless_said_otherwise(run, tmp_path):
    (tmp_path / "hat.yml").write_text(HAT)
    assumed = json.loads(run("describe", str(tmp_path / "hat.yml"), "--json")[1])["cost_options"]
    said = json.loads(run("describe", str(tmp_path / "hat.yml"), "--json", "--norm", "pre")[1])["cost_options"]
    assert (assumed["pre_norm"], assumed["norm_assumed"]) == (False, True)
    assert (said["pre_norm"], said["norm_assumed"]) == (True, False)


def test_lint_prints_a_mistake_a_line_and_fails(run, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("dim: 32", "dim: 3Z").replace("[1, 2]}", "[1, 1]}"))
    status, shown = run("lint", str(path))
    assert status == 1
    assert [line.partition(": ")[0] for line in shown.splitlines()] == [f"{path}:{line}" for line in (4, 7, 10, 14)]


def test_lint_of_a_good_file_says_so_and_succeeds(run, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert run("lint", str(path)) == (0, "no mistakes\n")


def test_lint_as_json_lists_the_fields_of_every_mistake(run, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("dim: 32", "dim: 3Z").replace("[1, 2]}", "[1, 1]}"))
    status, shown = run("lint", str(path), "--json")
    mistakes = json.loads(shown)
    assert status == 1 and [mistake["line"] for mistake in mistakes] == [4, 7, 10, 14]
    assert [str(SpaceError(**mistake)) for mistake in mistakes] == run("lint", str(path))[1].splitlines()
    path.write_text(GOOD)
    assert run("lint", str(path), "--json") == (0, "[]\n")
