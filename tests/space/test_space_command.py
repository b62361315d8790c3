import argparse
import json

import pytest

from automoe.commands import space as command
from automoe.errors import ConfigError, SpaceError
from automoe.space import find_architecture, read_architecture, read_space_file
from tests.space.files.test_hat import HAT
from tests.space.files.test_yaml_file import GOOD


@pytest.fixture
def run(capsys):
    def call(*arguments: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        args = parser.parse_args(["space", *arguments])
        return args.run(args), capsys.readouterr().out

    return call


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


FORMS = {"hat": "out.yml", "yaml": "out.yaml", "json": "out.json"}


@pytest.fixture
def hat(tmp_path):
    path = tmp_path / "hat.yml"
    path.write_text(HAT)
    return path


@pytest.mark.parametrize("to", FORMS)
def test_convert_keeps_the_architecture_in_every_form(run, tmp_path, hat, to):
    path = tmp_path / "new" / FORMS[to]
    status, shown = run("convert", str(hat), "--to", to, "-o", str(path))
    assert status == 0 and str(path) in shown
    file = read_space_file(path)
    assert file.architecture() == read_architecture(hat)
    assert file.is_hat == (to == "hat")


@pytest.mark.parametrize("to", FORMS)
def test_what_convert_prints_is_what_it_writes(run, tmp_path, hat, to):
    run("convert", str(hat), "--to", to, "-o", str(tmp_path / FORMS[to]))
    assert run("convert", str(hat), "--to", to) == (0, (tmp_path / FORMS[to]).read_text())


def test_convert_finds_the_architectures_that_come_along_by_name(run):
    form = json.loads(run("convert", "tiny", "--to", "json")[1])
    assert form == read_architecture(find_architecture("tiny")).to_dict()


def test_convert_replaces_no_file(run, tmp_path, hat):
    kept = tmp_path / "out.yaml"
    kept.write_text("mine")
    with pytest.raises(ConfigError, match="is there already") as caught:
        run("convert", str(hat), "--to", "yaml", "-o", str(kept))
    assert caught.value.key == "--output"
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(("to", "name"), [("json", "out.yaml"), ("hat", "out.json"), ("yaml", "out")])
def test_convert_writes_no_file_that_would_be_read_as_another_form(run, tmp_path, hat, to, name):
    with pytest.raises(ConfigError, match="suffix"):
        run("convert", str(hat), "--to", to, "-o", str(tmp_path / name))
    assert [*tmp_path.iterdir()] == [hat]


def test_convert_refuses_a_space_of_several_architectures(run, tmp_path):
    (tmp_path / "mine.yaml").write_text(GOOD)
    with pytest.raises(SpaceError, match="is a search space of"):
        run("convert", str(tmp_path / "mine.yaml"), "--to", "json")
