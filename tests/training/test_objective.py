"""The supernet's training and the distillation, as processes of their own."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from fairseq.data import Dictionary

from automoe.data import PreparedData
from automoe.distill import DistillConfig
from automoe.errors import SpaceError, TrainingError
from automoe.nn import TransformerConfig
from automoe.nn.model_folder import read_model, write_model
from automoe.space import find_architecture, read_space
from automoe.supernet import SupernetConfig, panel, supernet_placement, visits
from automoe.supernet.evaluator import SupernetEvaluator, validation_batches
from automoe.training.log import read_log
from automoe.training.registration import AutoMoETransformerModel
from automoe.training.train import DistillObjective, PlainObjective, SupernetObjective, TrainingJob, train
from tests.spaces import small_space
from tests.training.job import kill_when, start, tiny_job

SPACE, CONFIG = small_space(), SupernetConfig(random=2)
SINGLE_PATH = SupernetConfig(rule="single_path", distillation=0.0, panel=0)
NOISY = TransformerConfig(vocab_size=200, capacity_factor=1.0, router_jitter=0.01, expert_dropout=0.2)
RESULTS = ("model.safetensors", "model.json", "training.jsonl")


def supernet_job(data, config=CONFIG, **training):
    objective = SupernetObjective(space=SPACE, config=config)
    return replace(tiny_job(data, **training), architecture=SPACE.largest(), model=NOISY, objective=objective)


@pytest.fixture(scope="module")
def supernet(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("supernet")
    train(supernet_job(data), folder)
    return folder


@pytest.fixture(scope="module")
def single_path(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("single_path")
    train(supernet_job(data, SINGLE_PATH), folder)
    return folder


@pytest.fixture(scope="module")
def inherited(supernet, tmp_path_factory):
    """The smallest sub-transformer of the supernet, as it is there."""
    folder, smallest = tmp_path_factory.mktemp("inherited"), SPACE.smallest()
    write_model(read_model(supernet).extract(smallest, supernet_placement(smallest)), folder)
    return folder


@pytest.fixture(scope="module")
def student(data, supernet, inherited, tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    train(student_job(data, supernet, inherited), folder)
    return folder


def student_job(data, teacher, initial=None, **training):
    """The smallest architecture of the supernet `teacher`, distilled from it."""
    objective = DistillObjective(teachers=(teacher,), config=DistillConfig())
    job = tiny_job(data, **training)
    return replace(job, architecture=SPACE.smallest(), objective=objective, initial=initial)


@pytest.mark.parametrize("objective", [
    PlainObjective(),
    SupernetObjective(space=SPACE, config=CONFIG),
    SupernetObjective(space=SPACE, config=SupernetConfig(rule="single_path", placements="first", distillation=0.0)),
    DistillObjective(teachers=(find_architecture("tiny"),) * 2, config=DistillConfig(share=0.3, initial="random")),
    DistillObjective(teachers=(), config=DistillConfig(share=0.0, targets="both")),
])  # fmt: skip
@pytest.mark.parametrize("initial", [None, find_architecture("tiny")])
def test_job_is_read_back_as_it_was_written(tmp_path, objective, initial):
    job = replace(tiny_job(tmp_path), architecture=SPACE.largest(), objective=objective, initial=initial)
    job.write(tmp_path)
    assert TrainingJob.read(tmp_path) == job


def test_supernet_improves_and_keeps_the_best_mean_of_its_panel(supernet):
    records = read_log(supernet)
    valid = {record["update"]: record for record in records if record["kind"] == "valid"}
    for record in valid.values():
        assert list(record["panel"]) == ["largest", "smallest", "random 1", "random 2"]
        assert record["nll_loss"] == pytest.approx(sum(record["panel"].values()) / 4)
    for name in valid[10]["panel"]:
        assert valid[30]["panel"][name] < valid[10]["panel"][name]
    info = json.loads((supernet / "model.json").read_text())
    best = min(valid.values(), key=lambda record: record["nll_loss"])
    assert (info["update"], info["valid_nll"], info["space"]) == (best["update"], best["nll_loss"], SPACE.digest)


def test_every_sub_transformer_is_logged_with_the_loss_that_the_evaluator_finds(data, supernet):
    update = json.loads((supernet / "model.json").read_text())["update"]
    [logged] = [r["panel"] for r in read_log(supernet) if r["kind"] == "valid" and r["update"] == update]
    evaluator = SupernetEvaluator(read_model(supernet), validation_batches(PreparedData.open(data)))
    for name, visit in panel(SPACE, CONFIG, seed=7).items():
        assert evaluator.loss(visit.arch) == pytest.approx(logged[name], abs=1e-5)


def test_loads_of_a_validation_are_those_of_the_largest_on_the_validation_set(data, supernet):
    update = json.loads((supernet / "model.json").read_text())["update"]
    [logged] = [r["routers"] for r in read_log(supernet) if r["kind"] == "valid" and r["update"] == update]
    evaluator = SupernetEvaluator(read_model(supernet), validation_batches(PreparedData.open(data)))
    loads = evaluator.loads(SPACE.largest())
    assert list(logged) == [f"{side} {layer}" for side, layer in loads]
    for (side, layer), counts in loads.items():
        shares = [count / sum(counts) for count in counts]
        assert logged[f"{side} {layer}"]["loads"] == pytest.approx(shares, abs=1e-3)  # batches differ


def test_single_path_is_trained_and_logs_the_loads_of_what_it_visits(single_path):
    *_, trained, valid = read_log(single_path)
    [visit] = visits(SPACE, SINGLE_PATH, 7, 29)  # the last of 30 updates
    layers = [f"{side} {index}" for side, index, layer in visit.arch.layers() if layer.num_experts > 1]
    assert list(trained["routers"]) == layers
    assert any(trained["routers"][layer]["dropped"] > 0 for layer in layers)
    assert all(report["dropped"] == 0 for report in valid["routers"].values())
    assert trained["distillation"] == 0
    assert valid["nll_loss"] == pytest.approx(sum(valid["panel"].values()) / 2)


def test_killed_supernet_training_ends_with_the_same_bits(data, supernet, tmp_path):
    folder = tmp_path / "killed"
    kill_when("checkpoints/*_00000010.pt", start(supernet_job(data), folder), folder)
    train(supernet_job(data), folder)
    for name in RESULTS:
        assert (folder / name).read_bytes() == (supernet / name).read_bytes(), name
    assert read_log(folder)[-2]["routers"]  # of the last step


def test_single_path_that_was_killed_before_its_last_checkpoint_ends_with_the_same_bits(data, single_path, tmp_path):
    folder = tmp_path / "killed"
    shutil.copytree(single_path, folder)
    for name in ("model.safetensors", "model.json", "checkpoints/checkpoint_00000030.pt"):
        (folder / name).unlink()
    train(supernet_job(data, SINGLE_PATH), folder)
    for name in RESULTS:
        assert (folder / name).read_bytes() == (single_path / name).read_bytes(), name
    assert read_log(folder)[-2]["routers"]


def test_space_of_one_architecture_is_trained_as_that_architecture_alone(data, undisturbed, tmp_path):
    space = read_space(find_architecture("tiny"))
    job = replace(tiny_job(data), objective=SupernetObjective(space=space, config=SupernetConfig()))
    train(job, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()


def test_distillation_begins_with_the_inherited_weights_and_improves_them(data, supernet, student):
    valid = {record["update"]: record["nll_loss"] for record in read_log(student) if record["kind"] == "valid"}
    evaluator = SupernetEvaluator(read_model(supernet), validation_batches(PreparedData.open(data)))
    assert list(valid) == [0, 10, 20, 30]
    assert valid[0] == pytest.approx(evaluator.loss(SPACE.smallest()), abs=1e-5)
    assert min(valid.values()) < valid[0] - 0.005


def test_distillation_that_makes_the_inherited_weights_worse_ends_with_them(data, supernet, inherited, tmp_path):
    job = student_job(data, supernet, inherited, lr=20.0, warmup_updates=1, max_updates=4, validate_every=1)
    train(job, tmp_path)
    valid = {record["update"]: record["nll_loss"] for record in read_log(tmp_path) if record["kind"] == "valid"}
    info = json.loads((tmp_path / "model.json").read_text())
    assert all(valid[update] > valid[0] for update in (2, 3, 4))  # the first step of a warm-up has the rate 0
    assert (info["update"], info["valid_nll"]) == (0, valid[0])
    assert (tmp_path / "model.safetensors").read_bytes() == (inherited / "model.safetensors").read_bytes()


def test_distillation_killed_around_its_first_checkpoint_ends_with_the_same_bits(
    data, supernet, inherited, student, tmp_path
):
    # As a kill leaves it after the validation of what is inherited, before the checkpoint of it.
    (tmp_path / "training.jsonl").write_text('{"kind": "valid", "update": 0, "nll_loss": 5.0}\n')
    job = student_job(data, supernet, inherited)
    kill_when("checkpoints/*_00000000.pt", start(job, tmp_path), tmp_path)
    train(job, tmp_path)
    for name in RESULTS:
        assert (tmp_path / name).read_bytes() == (student / name).read_bytes(), name


def test_supernet_must_hold_its_space(data):
    with pytest.raises(SpaceError, match=r"does not hold every architecture.*Train a supernet"):
        replace(supernet_job(data), architecture=SPACE.smallest())


def test_teacher_of_another_vocabulary_stops_the_training_with_both_sizes(data, supernet, tmp_path):
    model, other = read_model(supernet), tmp_path / "other"
    other.mkdir()
    sizes = replace(model.config, vocab_size=300)
    write_model(type(model)(model.maximum, sizes), other)
    with pytest.raises(TrainingError, match=r"teacher has a vocabulary of 300 pieces, the corpus one of 200"):
        train(student_job(data, other), tmp_path / "out")


def test_one_call_over_many_visits_says_what_a_call_for_each_says(supernet):
    transformer = read_model(supernet)
    model = AutoMoETransformerModel(transformer, Dictionary())
    source, target = torch.randint(4, 200, (2, 5)), torch.randint(4, 200, (2, 4))
    chosen = visits(SPACE, CONFIG, seed=1, update=1)
    for (logits, _), visit in zip(model(source, None, target, visits=chosen), chosen, strict=True):
        assert torch.equal(logits, transformer(source, target, visit.arch, visit.placement).logits_NLV)
