"""What the card says of how a model was made and measured: only what is known, each by its name."""

from types import SimpleNamespace

import pytest

from automoe.pipeline import card
from automoe.pipeline.stage import Inputs

HERE = {"processor": "Abacus", "gpus": []}
MEASURED = {
    **{
        "ms": 2.0,
        "low_ms": 1.9,
        "high_ms": 2.1,
        "raw_ms": 3.0,
        "threads": 1,
        "backend": "onnx",
        "beam": 5,
        "batch": 1,
    },
    **{"precision": "float32", "device": "cpu-1t", "gpu": None, "machine": HERE, "machine_of_the_table": HERE},
}
GPUS = {**MEASURED, "device": "cuda", "gpu": "Two", "machine": {"processor": "Abacus", "gpus": ["One", "Two"]}}


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (MEASURED, "on Abacus"),
        (MEASURED | {"machine": HERE | {"gpus": ["One"]}}, "on Abacus"),  # which was not computed with
        (
            MEASURED | {"machine_of_the_table": {"processor": "Slide rule"}},
            "on Abacus (3.00 ms by the clock), scaled to Slide rule, where the run's table was measured",
        ),
        (GPUS | {"machine_of_the_table": GPUS["machine"]}, "on Abacus, Two"),
        (
            GPUS | {"machine_of_the_table": {"processor": "Abacus", "gpus": ["Three", "Three"]}},
            "on Abacus, Two (3.00 ms by the clock), scaled to Abacus, Three, where the run's table was measured",
        ),
    ],
)
def test_the_machine_is_what_was_computed_with_and_another_is_what_differs_in_that(measured, said):
    assert card._latency(measured).circumstances.endswith(f"one sentence at a time, {said}")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"initial": "teacher", "share": 0}, True),
        ({"initial": "inherited", "share": 0}, False),
        ({"initial": "random", "share": 0, "targets": "both"}, True),
        ({"initial": "inherited", "share": 0.5, "temperature": 1.0}, True),
    ],
)
def test_who_taught_is_named_where_anything_was_taken_from_a_teacher(tiny_run, config, named):
    folders = {name: tiny_run.run_dir / name / "current" for name in ("data", "teacher", "select", "search")}
    said = card._distillation(Inputs(folders=folders, maybe_seed=None), config, tiny_run.run_dir / "distill/current")
    assert ("teacher" in said) == named


@pytest.mark.parametrize(
    ("searched", "said"),
    [
        ({"objectives": ["bleu", "loss"], "sentences": 3}, {"BLEU": "12.30 on 3 sentences of the validation set"}),
        (
            {"objectives": ["flops_g"], "sentences": 3},
            {"validation loss": "1.2346 nats a token on 3 sentences of the validation set"},
        ),
        ({}, {}),
    ],
)
def test_what_the_model_was_chosen_by_is_named_with_its_sentences_where_they_are_known(
    tiny_run, monkeypatch, searched, said
):
    folders = {name: tiny_run.run_dir / name / "current" for name in ("data", "select", "search")}
    manifest = SimpleNamespace(identity=SimpleNamespace(config={"search": searched}))
    records = [
        SimpleNamespace(
            digest=card.read_json(folders["select"] / "selection.json")["digest"], bleu=12.3, loss=1.23456
        )
    ]
    monkeypatch.setattr(card, "read_manifest", lambda folder: manifest)
    monkeypatch.setattr(card, "evaluated_records", lambda inputs: records)
    told = card._choice(Inputs(folders=folders, maybe_seed=None))
    assert told == {f"chosen by the {name} of its inherited weights": value for name, value in said.items()}
