"""What `automoe space describe` says, held against a space that is small enough to go through."""

import argparse
import json

import numpy as np
import pytest

from automoe.commands import space as command
from automoe.cost import costs
from automoe.errors import ConfigError
from automoe.search import in_budget_units
from automoe.space import Architecture, GenomeCodec, find_space, read_space
from automoe.space.census import survey
from automoe.space.census.census import Census
from tests.space.files.test_hat import HAT

VOCAB_SIZE = 500
SMALL = """\
name: small
encoder:
  dim: {choice: [8, 16]}
  layers: 2
  layer:
    heads: {choice: [1, 2], share: all}
    experts: {choice: [1, 2]}
    expert_width: {choice: [8, 24], per: expert}
decoder:
  dim: {choice: [8, 16]}
  layers: {choice: [1, 2]}
  layer:
    heads: 2
    cross_layers: {choice: [1, 2]}
    expert_width: {choice: [8, 16]}
expert_layers: {choice: [encoder, none]}
constraints:
  - decoder.dim <= encoder.dim
"""


@pytest.fixture
def describe(capsys):
    def call(*arguments: str) -> str:
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        args = parser.parse_args(["space", "describe", *arguments])
        assert args.run(args) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture
def few_drawn(monkeypatch):
    """So few that a test takes no seconds; how many there are is said."""
    monkeypatch.setattr(survey, "NUM_SAMPLES", 2_000)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def costs_of_all(path, cost: str) -> np.ndarray:
    """One cost of every architecture of a file, ascending, pre-norm."""
    space = read_space(path)
    archs = GenomeCodec(space).decode_all(Census(space).enumerate())
    forms = (costs(arch, vocab_size=VOCAB_SIZE, pre_norm=True).to_dict() for arch in archs)
    return np.sort([in_budget_units(form)[cost] for form in forms])


def test_the_sizes_every_gene_its_sharing_the_patterns_and_the_constraints_are_shown(describe, small):
    shown, space = describe(str(small)), read_space(small)
    census = Census(space)
    for number in (space.num_architectures, space.num_raw):
        assert f"{number:,} " in shown
    assert census.num_expert_placements == 2  # both layers of the encoder, or none
    for line in ("2 placements of expert layers", "constraint decoder.dim <= encoder.dim"):
        assert line in shown.splitlines()
    rows = {line.split()[0]: line for line in shown.splitlines() if line}
    for gene in space.genes():
        assert all(str(choice) in rows[gene.name] for choice in gene.choices)
    assert rows["encoder.layer.heads"].split(maxsplit=1)[1] == "1  1, 2; share: all"
    assert "encoder, none" in rows["expert_layers"]


def test_sizes_are_exact_however_large(describe, few_drawn):
    space = read_space(find_space("hat_wmt14"))
    assert f"{space.num_raw:,} " in describe("hat_wmt14")
    assert json.loads(describe("hat_wmt14", "--json"))["num_raw"] == space.num_raw == 417_846_678_672_384


@pytest.mark.parametrize("cost", ["flops_g", "params_m", "memory_mb"])
def test_the_ends_and_the_middle_of_a_listed_space_are_those_of_all_its_architectures(describe, small, cost):
    answer = json.loads(describe(str(small), "--json", "--by", cost, "--vocab-size", str(VOCAB_SIZE)))
    values = costs_of_all(small, cost)
    found = [in_budget_units(answer[label]["costs"])[cost] for label in ("cheapest", "median", "dearest")]
    assert found == [values[0], values[(len(values) - 1) // 2], values[-1]]
    assert values[0] < values[-1]
    for label in ("cheapest", "median", "dearest"):
        arch = Architecture.from_dict(answer[label]["architecture"])
        assert arch in read_space(small) and arch.digest == answer[label]["digest"]
        assert answer[label]["exact"]
        assert str(arch) in describe(str(small), "--by", cost, "--vocab-size", str(VOCAB_SIZE))


def test_the_share_of_a_listed_space_that_keeps_a_budget_is_exact(describe, small):
    values = costs_of_all(small, "flops_g")
    limit = float(np.quantile(values, 0.37))
    share = np.mean(values <= limit)
    arguments = (str(small), "--vocab-size", str(VOCAB_SIZE), "--budget", f"flops_g={limit!r}")
    assert json.loads(describe(*arguments, "--json"))["share"] == {
        "value": share, "lower": share, "upper": share, "exact": True
    }  # fmt: skip
    assert f"share {100 * share:.1f} % of the architectures (exact) with flops_g <= " in describe(*arguments)


def test_a_ratio_is_of_the_largest_and_every_limit_has_to_be_kept(describe, small):
    limits = "params_m.max_ratio=0.7,flops_g.max_ratio=0.5"
    answer = json.loads(describe(str(small), "--vocab-size", str(VOCAB_SIZE), "--json", "--budget", limits))
    found = {limit["cost"]: limit["max"] for limit in answer["budget"]}
    wanted = {cost: ratio * costs_of_all(small, cost)[-1] for cost, ratio in (("params_m", 0.7), ("flops_g", 0.5))}
    assert found == pytest.approx(wanted, rel=1e-12)
    alone = [
        json.loads(describe(str(small), "--vocab-size", str(VOCAB_SIZE), "--json", "--budget", limit))
        for limit in limits.split(",")
    ]
    assert 0 < answer["share"]["value"] < min(one["share"]["value"] for one in alone)


def test_the_largest_is_what_a_ratio_is_of_even_where_another_architecture_is_dearer(describe, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("decoder.dim <= encoder.dim", "encoder.dim + decoder.dim == 24"))
    largest = in_budget_units(costs(read_space(path).largest(), vocab_size=VOCAB_SIZE, pre_norm=True).to_dict())
    arguments = (str(path), "--vocab-size", str(VOCAB_SIZE), "--json", "--budget")
    values = {cost: json.loads(describe(*arguments, f"{cost}.max_ratio=0.9"))["budget"][0]["max"] / 0.9
              for cost in ("params_m", "flops_g")}  # fmt: skip
    assert values == pytest.approx({cost: largest[cost] for cost in values}, rel=1e-12)
    assert any(values[cost] < costs_of_all(path, cost)[-1] for cost in values)


def test_a_large_space_refuses_only_what_is_below_its_floor(describe, few_drawn, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: quickstart\nconstraints: encoder.layers + decoder.layers >= 4\n")
    space = read_space(path)
    floor, smallest = (in_budget_units(costs(arch, vocab_size=VOCAB_SIZE, pre_norm=True).to_dict())["params_m"]
                       for arch in (space.floor(), space.smallest()))  # fmt: skip
    assert floor < smallest
    arguments = (str(path), "--vocab-size", str(VOCAB_SIZE), "--budget")
    assert "with params_m" in describe(*arguments, f"params_m={(floor + smallest) / 2}")
    with pytest.raises(ConfigError, match="cannot be met"):
        describe(*arguments, f"params_m={floor * 0.99}")


def test_a_share_of_a_space_too_large_to_list_is_drawn_has_an_interval_and_is_the_same_each_time(describe, few_drawn):
    arguments = ("quickstart", "--vocab-size", str(VOCAB_SIZE), "--budget", "flops_g=0.03")
    share = json.loads(describe(*arguments, "--json"))["share"]
    assert not share["exact"] and 0 < share["lower"] < share["value"] < share["upper"] < 1
    shown = describe(*arguments)
    assert "(2,000 drawn uniformly)" in shown and f"{100 * share['value']:.1f} % [" in shown
    assert "median architecture by flops_g, of 2,000 drawn uniformly" in shown
    assert shown == describe(*arguments)


def test_the_ends_of_a_large_space_are_exact_where_every_size_is_the_least_or_the_most(describe, few_drawn):
    answer = json.loads(describe("multi30k", "--json"))
    space = read_space(find_space("multi30k"))
    assert space.constraints  # least sizes meet them
    for label, arch in (("cheapest", space.smallest()), ("dearest", space.largest())):
        assert answer[label]["exact"] and Architecture.from_dict(answer[label]["architecture"]) == arch


@pytest.mark.parametrize(
    "rule", ["constraints: decoder.layers + encoder.layers >= 4", "expert_layers: {choice: [encoder, decoder]}"]
)
def test_an_end_that_may_not_be_one_is_not_called_exact(describe, few_drawn, tmp_path, rule):
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: quickstart\n{rule}\n")
    assert not json.loads(describe(str(path), "--json"))["cheapest"]["exact"]
    assert "cheapest architecture by flops_g, of 2,000 drawn uniformly" in describe(str(path))


def test_an_architecture_is_a_space_of_one(describe, tmp_path):
    (tmp_path / "hat.yml").write_text(HAT)
    answer = json.loads(describe(str(tmp_path / "hat.yml"), "--json", "--budget", "flops_g=900"))
    assert answer["num_architectures"] == answer["num_expert_placements"] == 1
    assert answer["cheapest"] == answer["median"] == answer["dearest"]
    assert answer["share"]["value"] == 1


def test_the_costs_of_a_file_of_hat_are_of_post_norm_unless_said_otherwise(describe, tmp_path):
    (tmp_path / "hat.yml").write_text(HAT)
    assumed = json.loads(describe(str(tmp_path / "hat.yml"), "--json"))["cost_options"]
    said = json.loads(describe(str(tmp_path / "hat.yml"), "--json", "--norm", "pre"))["cost_options"]
    assert (assumed["pre_norm"], assumed["norm_assumed"]) == (False, True)
    assert (said["pre_norm"], said["norm_assumed"]) == (True, False)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("latency_ms=3", "automoe select"),
        ("flops_g=1,latency_ms=3", "automoe select"),
        ("flop_g=3", "Did you mean 'flops_g'?"),
        ("flops_g", "is no limit"),
        ("", "is no limit"),
        ("flops_g=", "is no limit"),
        ("flops_g=1,5", "is no limit"),
        ("flops_g=fast", "is not a number"),
        ("flops_g=nan", "is not a number"),
        ("flops_g=-1", "> 0"),
        ("flops_g=1e9", r"10\^9 FLOPs"),
        ("flops_g=1,flops_g.max=2", "is given twice"),
        ("flops_g=1,flops_g.max_ratio=0.5", "both max and max_ratio"),
        ("flops_g.max_ratio=2", "0 < ratio < 1"),
        ("flops_g.max_ration=0.5", "Did you mean 'max_ratio'?"),
        ("flops_g=1e-9", "cannot be met"),
    ],
)
def test_a_budget_that_cannot_be_applied_is_refused(describe, small, budget, words):
    with pytest.raises(ConfigError, match=words):
        describe(str(small), "--budget", budget)


@pytest.mark.parametrize("cost", ["latency_ms", "flops", "quality"])
def test_architectures_are_ordered_by_what_can_be_computed_alone(describe, small, cost):
    with pytest.raises(ConfigError) as caught:
        describe(str(small), "--by", cost)
    assert (caught.value.key, caught.value.value) == ("--by", cost)
    assert "flops_g" in caught.value.allowed
