"""The scores of the test set: computed as its target language wants it, and complete for every system."""

import json
import shutil

import pytest

pytest.importorskip("sacrebleu")

from automoe.cost import costs
from automoe.data import PreparedData
from automoe.files import sealed_json
from automoe.nn.model_folder import read_model
from automoe.pipeline.evaluate import COPY, INHERITS, LARGEST, MODEL
from automoe.pipeline.systems import TestSet


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
    assert set(systems) == {*folders, COPY}
    for system, folder in folders.items():
        model = read_model(tiny_run.run_dir / folder)
        expected = costs(model.maximum, vocab_size=model.config.vocab_size, pre_norm=model.config.pre_norm)
        assert systems[system]["costs"].items() >= expected.to_dict().items()
        assert systems[system]["costs"]["params_reachable"] <= expected.params_total
        latency = systems[system]["latency"]
        assert 0 < latency["low_ms"] <= latency["ms"] <= latency["high_ms"]


def test_the_budget_is_judged_by_the_bundle_that_was_measured_again(tiny_run):
    scores = json.loads((tiny_run.run_dir / "evaluate/current/scores.json").read_bytes())
    (limit,) = scores["budget"]
    assert limit["value"] == scores["systems"][MODEL]["latency"]["ms"]
    assert limit["kept"] == (limit["value"] <= limit["max"])
