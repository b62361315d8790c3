import argparse
import json
import os

import pytest

from automoe.commands import cost as command
from automoe.cost import costs
from automoe.errors import SpaceError
from automoe.space import Architecture, find_architecture, parse_arch_info, read_architecture
from tests.cost.test_analytic import PUBLISHED
from tests.space.files.test_hat import HAT


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


@pytest.mark.parametrize("published", PUBLISHED)
def test_a_published_sub_transformer_has_its_published_costs_without_any_norm_being_said(run, tmp_path, published):
    (tmp_path / "hat.yml").write_text("\n".join(published["arch_info"]) + "\n")
    decoder_dim = parse_arch_info(published["arch_info"]).decoder.dim
    vocab_size = str(published["num_embedding_parameters"] // decoder_dim)
    answer = json.loads(run(str(tmp_path / "hat.yml"), "--json", "--vocab-size", vocab_size))
    assert answer["costs"]["flops_hat"] == published["total_flops_without_last_layer"]
    assert answer["costs"]["params_without_embedding"] == published["num_parameters_without_embedding_weights"]


@pytest.mark.parametrize(("hat", "assumed"), [(True, "post"), (False, "pre")])
def test_the_norm_that_nobody_said_follows_the_form_of_the_file_and_is_shown(run, tmp_path, hat, assumed):
    (tmp_path / "hat.yml").write_text(HAT)
    name = str(tmp_path / "hat.yml") if hat else "tiny"
    other = "pre" if assumed == "post" else "post"
    assert f"{assumed}-norm (assumed; --norm {other} for the other)" in run(name)
    for norm in ("pre", "post"):
        shown = run(name, "--norm", norm)
        assert f"{norm}-norm" in shown
        assert "assumed" not in shown
        answer = json.loads(run(name, "--norm", norm, "--json"))["cost_options"]
        assert (answer["pre_norm"], answer["norm_assumed"]) == (norm == "pre", False)
    assert json.loads(run(name, "--json"))["cost_options"]["norm_assumed"]


def test_an_architecture_may_come_through_a_pipe(run):
    reading, writing = os.pipe()
    os.write(writing, find_architecture("tiny").read_bytes())
    os.close(writing)
    shown = json.loads(run(f"/dev/fd/{reading}", "--json"))  # what is read from a pipe can be read once
    os.close(reading)
    assert shown["digest"] == read_architecture(find_architecture("tiny")).digest


def test_an_unknown_name_is_an_error(run):
    with pytest.raises(SpaceError, match="Did you mean 'tiny'"):
        run("tinny")
