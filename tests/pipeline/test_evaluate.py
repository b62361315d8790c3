"""The scores of the test set: computed as its target language wants it."""

import json
import shutil

import pytest

pytest.importorskip("sacrebleu")

from automoe.files import sealed_json
from automoe.pipeline.config import DecodingConfig
from automoe.pipeline.evaluate import EVALUATE, SCORES
from automoe.pipeline.stage import Inputs


@pytest.mark.parametrize(("language", "tokenizer"), [("de", "13a"), ("zh-Hans", "zh"), ("ja", "char")])
def test_the_target_language_chooses_the_tokenizer_of_bleu(tiny_run, tmp_path, language, tokenizer):
    folders = {stage: tiny_run.run_dir / stage / "current" for stage in EVALUATE.needs}
    folders["data"] = shutil.copytree(folders["data"], tmp_path / "data")
    summary = json.loads((folders["data"] / "data.json").read_bytes())
    del summary["checksum"]
    (folders["data"] / "data.json").write_text(sealed_json({**summary, "target_lang": language}), "utf-8")
    EVALUATE.run(DecodingConfig(beam=1), Inputs(folders=folders, maybe_seed=None), tmp_path)
    scores = json.loads((tmp_path / SCORES).read_bytes())
    for system in ("model", "copy_the_source"):
        assert f"tok:{tokenizer}|" in scores[system]["BLEU"]["signature"]
