import runpy

from automoe.data.splits import split_key
from automoe.decoding.placeholders import DEFAULT_PATTERN
from tests.data.fixture_corpus import FOLDER


def test_the_committed_text_is_what_its_generator_writes():
    generator = runpy.run_path(str(FOLDER / "generate.py"))
    pairs = generator["pairs"]()
    committed = []
    for split in ("test", "valid", "train"):
        sides = [(FOLDER / f"{split}.{language}").read_text("utf-8").splitlines() for language in ("en", "de")]
        committed += zip(*sides, strict=True)
    assert committed == pairs[: len(committed)]


def test_no_held_out_source_stands_in_training():
    keys = {
        split: {split_key(line, DEFAULT_PATTERN) for line in (FOLDER / f"{split}.en").read_text("utf-8").splitlines()}
        for split in ("train", "valid", "test")
    }
    assert not (keys["train"] & keys["valid"] or keys["train"] & keys["test"] or keys["valid"] & keys["test"])
