"""The scores of the test set: computed as its target language wants it, and complete for every system."""

import json
import shutil

import pytest

pytest.importorskip("sacrebleu")

from automoe.cost import costs
from automoe.data import PreparedData
from automoe.files import sealed_json
from automoe.nn.model_folder import read_model
from automoe.pipeline.systems import (
    COPY,
    INHERITS,
    LARGEST,
    MODEL,
    WITH_SHORTLIST,
    TestSet,
    hypotheses_file,
    in_precision,
)
from automoe.runtime import load

OTHER_USES = {in_precision("int8"): {"precision": "int8"}, WITH_SHORTLIST: {"shortlist": True}}
"""How else the bundle of the run can be run than it was measured."""


@pytest.mark.parametrize(("language", "tokenizer"), [("de", "13a"), ("zh-Hans", "zh"), ("ja", "char")])
def test_the_target_language_chooses_the_tokenizer_of_bleu(tiny_run, tmp_path, language, tokenizer):
    folder = shutil.copytree(tiny_run.run_dir / "data" / "current", tmp_path / "data")
    summary = json.loads((folder / "data.json").read_bytes())
    del summary["checksum"]
    (folder / "data.json").write_text(sealed_json({**summary, "target_lang": language}), "utf-8")
    test = TestSet(PreparedData.open(folder), batch_size=32)
    assert f"tok:{tokenizer}|" in test.scores(test.sources)["BLEU"]["signature"]


def test_costs_of_every_system_are_those_of_its_model(tiny_run):
    systems = json.loads((tiny_run.run_dir / "evaluate/current/scores.json").read_bytes())["systems"]
    folders = {MODEL: "distill/current", INHERITS: "distill/current/inherited", LARGEST: "supernet/current"}
    assert set(systems) == {*folders, *OTHER_USES, COPY}
    for system, folder in folders.items():
        model = read_model(tiny_run.run_dir / folder)
        expected = costs(model.maximum, vocab_size=model.config.vocab_size, pre_norm=model.config.pre_norm)
        assert systems[system]["costs"].items() >= expected.to_dict().items()
        assert systems[system]["costs"]["params_reachable"] <= expected.params_total
        latency = systems[system]["latency"]
        assert 0 < latency["low_ms"] <= latency["ms"] <= latency["high_ms"]


@pytest.mark.parametrize("system", [MODEL, *OTHER_USES])
def test_the_bundle_is_scored_by_what_it_translates_in_each_way_to_run_it(tiny_run, system):
    evaluated, prepared = tiny_run.run_dir / "evaluate/current", PreparedData.open(tiny_run.run_dir / "data/current")
    scored = json.loads((evaluated / "scores.json").read_bytes())["systems"][system]
    test = TestSet(prepared, batch_size=32)
    translations = load(tiny_run.bundle, **OTHER_USES.get(system, {})).translate(test.sources)
    assert (evaluated / hypotheses_file(system)).read_text("utf-8") == "".join(f"{line}\n" for line in translations)
    assert test.scores(translations).items() <= scored.items()
    assert 0 < scored["latency"]["low_ms"] <= scored["latency"]["ms"] <= scored["latency"]["high_ms"]


def test_the_budget_is_as_export_held_it_with_what_was_measured_beside_the_others(tiny_run):
    scores = json.loads((tiny_run.run_dir / "evaluate/current/scores.json").read_bytes())
    (held,) = json.loads((tiny_run.run_dir / "export/current/measured.json").read_bytes())["budget"]
    assert scores["budget"] == [held | {"again": scores["systems"][MODEL]["latency"]["ms"]}]
    assert held["kept"] and held["value"] <= held["max"]


def test_what_export_translated_is_not_translated_again(tiny_run):
    exported, evaluated = (tiny_run.run_dir / stage / "current" for stage in ("export", "evaluate"))
    measured = json.loads((exported / "measured.json").read_bytes())
    model = json.loads((evaluated / "scores.json").read_bytes())["systems"][MODEL]
    del model["latency"]
    assert model == measured["system"]
    assert len({(folder / hypotheses_file(MODEL)).read_bytes() for folder in (exported, evaluated)}) == 1
