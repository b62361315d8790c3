import argparse
import json

import pytest

from automoe.commands import cost as command
from automoe.cost import costs
from automoe.errors import SpaceError
from automoe.space import Architecture, find_architecture, read_architecture
from tests.space.test_hat import HAT


@pytest.fixture
def run(capsys):
    def call(*arguments: str) -> str:
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        args = parser.parse_args(["cost", *arguments])
        assert args.run(args) == 0
        return capsys.readouterr().out

    return call


def test_the_table_shows_the_layers_and_every_cost(run):
    shown = run("tiny", "--vocab-size", "1000")
    arch = read_architecture(find_architecture("tiny"))
    assert str(arch) in shown
    for value in costs(arch, vocab_size=1000, pre_norm=True).to_dict().values():
        assert f"{value:,}" in shown


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_json_says_the_architecture_the_options_and_all_costs(run, norm):
    answer = json.loads(run("tiny", "--json", "--norm", norm, "--vocab-size", "77"))
    arch = Architecture.from_dict(answer["architecture"])
    assert arch == read_architecture(find_architecture("tiny"))
    assert answer["digest"] == arch.digest
    assert answer["costs"] == costs(arch, vocab_size=77, pre_norm=norm == "pre").to_dict()


def test_a_file_of_hat_is_read_as_it_was_published(run, tmp_path):
    (tmp_path / "hat.yml").write_text(HAT)
    assert json.loads(run(str(tmp_path / "hat.yml"), "--json"))["architecture"]["decoder"]["dim"] == 640


def test_an_unknown_name_is_an_error(run):
    with pytest.raises(SpaceError, match="Did you mean 'tiny'"):
        run("tinny")
