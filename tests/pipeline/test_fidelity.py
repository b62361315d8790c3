"""`automoe scratch` and `automoe fidelity` through the command line, and what they judge by."""

import json
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.data import PreparedData
from automoe.errors import ConfigError
from automoe.evaluation.fidelity import OVERALL, FidelityConfig
from automoe.evaluation.pair_statistics import ACCURACY
from automoe.nn.model_folder import read_model
from automoe.pipeline.config import ScratchSection
from automoe.pipeline.fidelity import BLEU, LOSS, Compared, judged, read_compared
from automoe.pipeline.scratch import drawn, evaluator_of, read_trained
from automoe.space import find_space, read_space
from tests.pipeline.finished import finish

TINY, QUICKSTART = (read_space(find_space(name)) for name in ("tiny", "quickstart"))
KILLER = Path(__file__).parent / "killer"
FEW = """
name: few
encoder: {dim: 16, layers: 1, layer: {heads: 2, expert_width: {choice: [16, 32]}}}
decoder: {dim: 16, layers: {choice: [1, 2]}, layer: {heads: 2, expert_width: 16}}
"""


@settings(max_examples=20)
@given(st.integers(4, 40), st.data())
def test_drawn_architectures_are_distinct_and_so_many_have_the_middle_depth(count, data):
    config = ScratchSection(architectures=count, at_one_depth=data.draw(st.integers(0, count)), draw=count)
    archs = drawn(QUICKSTART, config)
    assert archs == drawn(QUICKSTART, config)
    assert len({arch.digest for arch in archs}) == count
    assert all(arch in QUICKSTART for arch in archs)
    assert sum(len(arch.decoder.layers) == 2 for arch in archs) == config.at_one_depth


def test_another_draw_gives_other_architectures():
    first, second = (drawn(QUICKSTART, ScratchSection(draw=draw)) for draw in (1, 2))
    assert {arch.digest for arch in first}.isdisjoint(arch.digest for arch in second)


def test_in_a_space_of_one_depth_all_have_it():
    one_depth = replace(TINY, decoder=replace(TINY.decoder, depth=(2,)))
    archs = drawn(one_depth, ScratchSection(architectures=10, at_one_depth=3))
    assert len(archs) == 10
    assert {len(arch.decoder.layers) for arch in archs} == {2}


def test_more_architectures_than_the_space_holds_are_refused_with_their_number(tmp_path):
    (tmp_path / "few.yaml").write_text(FEW)
    few = read_space(tmp_path / "few.yaml")
    assert few.num_architectures == 4
    assert len(drawn(few, ScratchSection(architectures=4, at_one_depth=2))) == 4
    with pytest.raises(
        ConfigError, match="3 architectures with 2 decoder layers and 2 others; the space holds 2 and 2"
    ):
        drawn(few, ScratchSection(architectures=5, at_one_depth=3))


@pytest.mark.parametrize(
    ("key", "value"),
    [("architectures", 3), ("at_one_depth", 25), ("at_one_depth", -1), ("draw", -1), ("seeds", ()), ("seeds", (1, 1)),
     ("seeds", (-1,)), ("workers", 0)],
)  # fmt: skip
def test_impossible_settings_are_refused_by_their_key(key, value):
    with pytest.raises(ConfigError, match=f"scratch.{key}="):
        ScratchSection(**{key: value})


def compared(scratch: list[tuple[float, ...]], inherited: list[float]) -> list[Compared]:
    return [
        Compared(
            digest=str(number), decoder_layers=1, params=7, flops=7, scratch_losses=losses,
            scratch_bleus=tuple(-loss for loss in losses), inherited_loss=loss, inherited_bleu=-loss,
        )
        for number, (losses, loss) in enumerate(zip(scratch, inherited, strict=True))
    ]  # fmt: skip


def test_a_lower_loss_and_a_higher_bleu_are_better_on_both_sides():
    scratch = [(4.0, 4.1), (3.0, 3.1), (2.0, 2.1), (1.0, 1.1)]
    for inherited, right in (([40.0, 30.0, 20.0, 10.0], 1.0), ([10.0, 20.0, 30.0, 40.0], 0.0)):
        found = judged(compared(scratch, inherited), FidelityConfig(resamples=100))
        for truth in (LOSS, BLEU):
            for candidate in ("inherited loss", "inherited BLEU"):
                assert found[truth].row(candidate, OVERALL, ACCURACY).estimate.value == right
            assert found[truth].row("parameters", OVERALL, ACCURACY).estimate.value == 0.5  # all are equal
        assert found[LOSS].noise == pytest.approx(0.1 / 2**0.5)


MOMENTS = (
    "rename 1 scratch/.*model.json.partial$",  # the first training has its checkpoints, but not its model
    "write 1 scratch/.*/scratch.jsonl",  # all trainings are finished
    "write 1 fidelity/.*/fidelity.json",
)


@pytest.fixture(scope="module")
def judged_run(tiny_run, tmp_path_factory):
    """A copy of the tiny run whose supernet was judged by a command that was killed three times on its way."""
    runs_dir = tmp_path_factory.mktemp("judged")
    folder = runs_dir / tiny_run.run_dir.name
    shutil.copytree(tiny_run.run_dir, folder, symlinks=True)
    command = tiny_run.command("fidelity", "--json", runs_dir=runs_dir)
    for moment in MOMENTS:
        env = tiny_run.env | {"KILL_AT": moment, "PYTHONPATH": str(KILLER)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    return folder, json.loads(finish(command, tiny_run))


def test_each_training_is_scored_with_the_weights_that_it_holds(judged_run):
    scratch = judged_run[0] / "scratch" / "current"
    data = PreparedData.open(judged_run[0] / "data" / "current")
    trained = read_trained(scratch)
    assert [one.architecture for one in trained] == drawn(
        TINY, ScratchSection(architectures=4, at_one_depth=2, seeds=(3,))
    )
    for one in trained:
        model = read_model(scratch / "trainings" / f"{one.architecture.digest}-3")
        assert model.maximum == one.architecture
        assert evaluator_of(model, data).loss(one.architecture) == one.loss
    assert not list(scratch.rglob("*.pt"))  # checkpoints


def test_inherited_quality_is_that_of_the_runs_supernet(judged_run):
    folder, printed = judged_run
    data = PreparedData.open(folder / "data" / "current")
    evaluator = evaluator_of(read_model(folder / "supernet" / "current"), data)
    rows = {one.digest: one for one in read_compared(folder / "fidelity" / "current")}
    trained = read_trained(folder / "scratch" / "current")
    assert len(rows) == len(trained) == 4
    for one in trained:
        row = rows[one.architecture.digest]
        assert row.inherited_loss == evaluator.loss(one.architecture)
        assert (row.scratch_losses, row.scratch_bleus) == ((one.loss,), (one.bleu,))
        assert row.decoder_layers == len(one.architecture.decoder.layers)
    for truth in (LOSS, BLEU):
        assert printed["truths"][truth]["noise"] is None  # one seed
        assert {row["candidate"] for row in printed["truths"][truth]["rows"]} >= {"inherited loss", "FLOPs"}
