"""The teacher's translations of the training sources: what they are, and that no kill changes them."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.data.ids import IdArray
from automoe.decoding import EOS, SearchConfig, search
from automoe.distill import parts
from automoe.distill.sequences import read_targets, translate_sources
from automoe.errors import DataError, RunError
from tests.decoding.hash_model import HashModel, HashStepper

VOCAB = 11
SEARCH = SearchConfig(beam=3, max_extra=4)
SENTENCES = st.lists(st.lists(st.integers(4, 6), max_size=2), min_size=1, max_size=12)
"""Few and short ones of three tokens, so that some come twice and some are empty."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "_PART_SOURCES", 3)


def corpus(sentences) -> IdArray:
    ids = [[*sentence, EOS] for sentence in sentences]
    return IdArray(np.concatenate(ids), np.cumsum([0, *map(len, ids)]))


def stepper(seed=0, end_bias=0.0) -> HashStepper:
    return HashStepper(HashModel(VOCAB, seed, end_bias=end_bias))


SOURCES = corpus([[4 + n % 6, 4 + n // 6 % 6, 4 + n % 5][: n % 4] for n in range(24)])


def translate(folder, teacher=None, sources=SOURCES, search=SEARCH, made_by="hash 0", **options):
    return translate_sources(
        teacher or stepper(), sources, search, folder, made_by=made_by, vocab_size=VOCAB, **options
    )


def content(folder):
    """All files by name; of the summary all but the seconds, and the checksum over them."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    lines = files.pop("targets.json", b"").splitlines()
    return files, [line for line in lines if b'"seconds"' not in line and b'"checksum"' not in line]


class DyingStepper(HashStepper):
    """Fails at its third batch, as a full disk or Ctrl-C would end a generation."""

    starts = 0

    def start(self, sources, num_candidates):
        self.starts += 1
        if self.starts == 3:
            raise KeyboardInterrupt
        super().start(sources, num_candidates)


@pytest.fixture
def begun(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        translate(tmp_path / "begun", DyingStepper(HashModel(VOCAB)))
    assert len(list((tmp_path / "begun" / "parts").iterdir())) == 2
    return tmp_path / "begun"


@settings(max_examples=25, deadline=None)
@given(SENTENCES, st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]))
def test_targets_are_what_the_search_finds_sentence_by_sentence(tmp_path_factory, sentences, part, batch_size, beam):
    sources, config = corpus(sentences), SearchConfig(beam=beam, max_extra=4)
    with patch.object(parts, "_PART_SOURCES", part):
        found = translate(tmp_path_factory.mktemp("targets"), None, sources, config, batch_size=batch_size).ids
    assert len(found) == len(sources)
    for source, target in zip(sources, found, strict=True):
        alone = [EOS] if len(source) == 1 else search(stepper(), [source], config)[0][0].tokens.tolist()
        assert target.tolist() == alone
        assert len(target) <= config.limit(len(source)) + 1


def test_targets_of_a_torch_model_are_what_its_search_finds_sentence_by_sentence(tmp_path):
    import torch

    from automoe.nn import TorchStepper, Transformer, TransformerConfig
    from tests.architectures import MAXIMUM

    torch.manual_seed(0)
    teacher = TorchStepper(Transformer(MAXIMUM, TransformerConfig(vocab_size=VOCAB)).double())
    found = translate(tmp_path, teacher, batch_size=2).ids
    for source, target in zip(SOURCES, found, strict=True):
        if len(source) > 1:
            assert target.tolist() == search(teacher, [source], SEARCH)[0][0].tokens.tolist()


def test_a_source_is_translated_once_and_an_empty_one_never(tmp_path):
    asked = []

    class Watched(HashStepper):
        def start(self, sources, num_candidates):
            asked.extend(tuple(source.tolist()) for source in sources)
            super().start(sources, num_candidates)

    sources = corpus([[4], [], [5, 6], [4], [7], [8], [5, 6], []])
    targets = translate(tmp_path, Watched(HashModel(VOCAB)), sources)
    assert sorted(asked) == [(4, EOS), (5, 6, EOS), (7, EOS), (8, EOS)]
    assert targets.summary.sentences == 8 and targets.summary.distinct == 5
    assert targets.ids[0].tolist() == targets.ids[3].tolist() and targets.ids[1].tolist() == [EOS]


def test_a_generation_killed_at_any_moment_ends_in_the_same_bytes(tmp_path):
    code = "import sys; from tests.distill.test_sequences import kill_at_every_moment as run; run(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2 * 8, "a file is written and renamed for every part"


def kill_at_every_moment(root: str) -> None:
    """Kills children before a file is written, renamed or removed (prints how often), and somewhere in time."""
    assert "torch" not in sys.modules, "the targets of an ONNX teacher are made without PyTorch"
    parts._PART_SOURCES = 3
    translate(Path(root) / "whole")
    whole = content(Path(root) / "whole")
    assert set(whole[0]) == {"targets.npy", "targets.offsets.npy"}
    for at_event in range(1, 1000):
        folder = Path(root) / f"event{at_event}"
        if not _killed_child(folder, at_event=at_event):
            break
        translate(folder)
        assert content(folder) == whole
        shutil.rmtree(folder)
    kills, rng = 0, random.Random(0)
    for trial in range(3):
        folder = Path(root) / f"time{trial}"
        while _killed_child(folder, after_s=rng.uniform(0.0, 0.04)):
            kills += 1
            if kills % 5 == 0:  # whoever is killed sooner than after one part never ends
                translate(folder)
        assert content(folder) == whole
    print(at_event - 1)


def _killed_child(folder: Path, at_event: int = 0, after_s: float = 60.0) -> bool:
    """Starts a generation in a child process; whether it was killed before it ended."""
    child = os.fork()
    if child == 0:
        events = 0

        def watch(event, arguments):
            nonlocal events
            writes = event == "open" and (arguments[2] or 0) & os.O_WRONLY
            if (writes or event in ("os.rename", "os.remove", "os.rmdir")) and str(folder) in str(arguments[0]):
                events += 1
                if events == at_event:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        translate(folder)
        os._exit(0)
    end = time.monotonic() + after_s
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.WIFSIGNALED(status)
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            end += 60.0
        time.sleep(0.0005)


OTHERS = {
    "teacher": ({"made_by": "hash 1"}, "made by the teacher hash 0, not by hash 1"),
    "search": ({"search": SearchConfig(beam=2, max_extra=4)}, "made by another search: beam=3, not beam=2"),
    "sources": ({"sources": corpus([[9, 9], [9, 8]])}, "made from other sources"),
    "fewer sources": (
        {"sources": corpus([SOURCES[n][:-1] for n in range(3)])},
        "made from other sources",
    ),
}


@pytest.mark.parametrize(("other", "problem"), OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("is_finished", [False, True])
def test_translations_of_another_teacher_search_or_corpus_are_refused_and_kept(begun, other, problem, is_finished):
    if is_finished:
        translate(begun)
    before = content(begun)
    with pytest.raises(RunError, match=f"{problem}.*Nothing was changed.*move {begun} away"):
        translate(begun, **other)
    assert content(begun) == before
    translate(begun)


DAMAGE = {
    "torn": lambda text: text[:-9],
    "altered": lambda text: text.replace(b'"targets"', b'"targetz"'),
    "empty": lambda text: b"",
    "no text": lambda text: b"\xff" + text,
    "no object": lambda text: b"[]",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_part_is_made_anew_with_a_warning(begun, tmp_path, damage, capsys):
    file = begun / "parts" / "000001.json"
    file.write_bytes(damage(file.read_bytes()))
    translate(begun)
    assert f"teacher: warning: {file} is damaged" in capsys.readouterr().err
    translate(tmp_path / "whole")
    assert content(begun) == content(tmp_path / "whole")


def test_finished_targets_are_taken_without_asking_the_teacher(tmp_path):
    first = translate(tmp_path)
    again = translate(tmp_path, object())
    assert again.summary == first.summary and not (tmp_path / "parts").exists()
    assert [ids.tolist() for ids in again.ids] == [ids.tolist() for ids in read_targets(tmp_path).ids]


@pytest.mark.parametrize("name", ["targets.npy", "targets.offsets.npy", "targets.json"])
def test_damaged_or_missing_targets_are_an_error_that_names_the_file(tmp_path, name):
    translate(tmp_path)
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[:-1])
    for use in (read_targets, translate):
        with pytest.raises(DataError, match=f"{file}: the teacher's translations are missing or damaged"):
            use(tmp_path)
    file.unlink()
    with pytest.raises(DataError, match=f"{file}: the teacher's translations are missing or damaged"):
        read_targets(tmp_path)


@pytest.mark.parametrize(("end_bias", "share"), [(-20.0, 1.0), (20.0, 0.0)])
def test_a_teacher_that_finds_no_end_is_warned_of(tmp_path, end_bias, share, capsys):
    targets = translate(tmp_path, stepper(end_bias=end_bias))
    translated = int((SOURCES.lengths > 1).sum())
    assert targets.summary.endless == share * translated
    warned = f"teacher: warning: {translated} of {len(SOURCES)} translations (75.0%) found no end"
    assert (warned in capsys.readouterr().err) == bool(share)


class BoundedHashStepper(HashStepper):
    """Knows so few positions that each translation is cut off before the search does it."""

    longest = 4

    def step(self, tokens_N, order_N):
        scores_NK, tokens_NK = super().step(tokens_N, order_N)
        if len(self._rows[0][1]) + 1 == self.longest:
            scores_NK = np.where(tokens_NK == EOS, scores_NK, -np.inf).astype(np.float32)
        return scores_NK, tokens_NK


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("kind", [HashStepper, BoundedHashStepper])
def test_references_stand_in_for_translations_without_an_end(tmp_path, capsys, kind, beam):
    teacher, config = kind(HashModel(VOCAB, end_bias=-20.0)), SearchConfig(beam=beam, max_extra=4)
    targets = translate(tmp_path, teacher, search=config, references=SOURCES)
    assert [ids.tolist() for ids in targets.ids] == [ids.tolist() for ids in SOURCES]
    assert targets.summary.endless == (SOURCES.lengths > 1).sum()
    assert "the references stand in for them" in capsys.readouterr().err


def test_the_summary_counts_tokens_and_compares_their_number_with_the_references(tmp_path):
    summary = translate(tmp_path, references=SOURCES).summary
    lengths = read_targets(tmp_path).ids.lengths
    assert summary.tokens == lengths.sum()
    assert summary.length_ratio == lengths.sum() / SOURCES.num_tokens
