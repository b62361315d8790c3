"""A hash says what a result was made from: the same for the same, another for anything else."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import ConfigError
from automoe.pipeline.stage import Inputs, Stage, plan
from tests.pipeline.toy import NUMBERS, REPORT, STAGES, SUMS, Numbers, Toy

NUMBER_PARTS = st.builds(
    Numbers,
    count=st.integers(0, 9),
    factor=st.floats(allow_nan=False, allow_infinity=False),
    names=st.lists(st.text(max_size=3), max_size=3).map(tuple),
    path=st.sampled_from(["a", "b/c"]).map(Path),
    maybe=st.none() | st.integers(),
)
CONFIGS = st.builds(Toy, seed=st.integers(0, 9), numbers=NUMBER_PARTS, power=st.integers(1, 3))


def hashes(config, stages=STAGES):
    return {step.stage.name: step.identity.hash for step in plan(stages, config, "report")}


@given(CONFIGS)
def test_equal_configurations_have_equal_hashes(config):
    assert hashes(config) == hashes(dataclasses.replace(config))


@given(CONFIGS, st.text())
def test_keys_that_no_stage_sees_change_no_hash(config, text):
    assert hashes(dataclasses.replace(config, display=text, run=text, runs_dir=text)) == hashes(config)


@given(NUMBER_PARTS, NUMBER_PARTS)
def test_hashes_of_two_parts_are_equal_only_if_the_parts_are(one, other):
    first, second = (hashes(Toy(numbers=part))["numbers"] for part in (one, other))
    assert (first == second) == (one == other)


@pytest.mark.parametrize(
    "change",
    [{"count": 5}, {"factor": 2.5}, {"names": ("b", "a")}, {"path": Path("x")}, {"maybe": 0}],
    ids=lambda change: next(iter(change)),
)
def test_every_field_of_a_part_changes_its_stage_and_all_that_follow(change):
    changed = hashes(Toy(numbers=Numbers(**change)))
    assert all(changed[stage] != hash for stage, hash in hashes(Toy()).items())


def test_a_part_changes_no_stage_before_it():
    before, after = hashes(Toy()), hashes(Toy(power=3))
    assert after["numbers"] == before["numbers"]
    assert after["sums"] != before["sums"] and after["report"] != before["report"]


def test_the_seed_changes_stages_that_use_it_and_those_that_follow():
    assert all(hash != hashes(Toy(seed=2))[stage] for stage, hash in hashes(Toy()).items())
    alone = Stage(name="report", run=SUMS.run, part=lambda config: None, seeded=False)
    assert hashes(Toy(), [alone]) == hashes(Toy(seed=2), [alone])


def test_a_stage_without_seed_cannot_read_it():
    with pytest.raises(RuntimeError):
        _ = Inputs(folders={}, maybe_seed=None).seed


def test_version_and_external_inputs_change_the_hash():
    seen = {
        hashes(Toy(), [REPORT, SUMS, stage])["numbers"]
        for stage in (
            NUMBERS,
            dataclasses.replace(NUMBERS, version=2),
            dataclasses.replace(NUMBERS, fingerprint=lambda part: {"corpus": "abc"}),
            dataclasses.replace(NUMBERS, fingerprint=lambda part: {"corpus": "abd"}),
        )
    }
    assert len(seen) == 4


def test_a_whole_number_and_its_float_are_one_configuration():
    assert hashes(Toy(numbers=Numbers(factor=3))) == hashes(Toy(numbers=Numbers(factor=3.0)))
    assert hashes(Toy(numbers=Numbers(maybe=1))) != hashes(Toy(numbers=Numbers(maybe=True)))


def test_stages_come_after_what_they_need_and_others_not_at_all():
    assert [step.stage.name for step in plan(STAGES, Toy(), "report")] == ["numbers", "sums", "report"]
    assert [step.stage.name for step in plan(STAGES, Toy(), "sums")] == ["numbers", "sums"]


def test_an_unknown_target_is_named_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"reprot.*Did you mean 'report'"):
        plan(STAGES, Toy(), "reprot")


def test_stages_that_need_each_other_are_a_defect():
    circle = dataclasses.replace(NUMBERS, needs=("report",))
    with pytest.raises(ValueError, match="need each other"):
        plan([circle, SUMS, REPORT], Toy(), "report")
