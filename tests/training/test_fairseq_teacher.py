"""fairseq's own `transformer` as a teacher, from checkpoints that fairseq wrote."""

import argparse
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from automoe.data import PreparedData
from automoe.decoding import EOS, PAD, SearchConfig, beam_search, search
from automoe.distill.longest import longest_of
from automoe.errors import TrainingError
from automoe.export.fairseq_checkpoint import checkpoint_of, dictionary_text
from automoe.nn import Transformer, TransformerConfig
from automoe.training.fairseq_teacher import FairseqStepper
from automoe.training.teachers import copy_teacher, read_teacher, teacher_files
from tests.architectures import architecture, decoder_layer, encoder_layer
from tests.distill.teacher_forced import TeacherForced
from tests.runtime.walks import check_walk, random_walk
from tests.training.stock_models import KINDS, SAME_DICTIONARIES, save_stock

VOCAB = 200
DENSE = architecture(16, [encoder_layer(32)] * 2, 16, [decoder_layer(24)])


@pytest.fixture(scope="module")
def prepared(data):
    return PreparedData.open(data)


@pytest.fixture(scope="module")
def stock(prepared, tmp_path_factory):
    """Of each kind the model as fairseq built it and the folder that was made of its checkpoint."""
    found = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp("stock")
        saved = save_stock(folder / "theirs", prepared.segmenter.pieces(), kind)
        copy_teacher(saved.path, folder / "ours", prepared)
        found[kind] = SimpleNamespace(**vars(saved), folder=folder / "ours")
    return found


def batch(*lengths):
    """Sources of these lengths, padded on the right, and a target."""
    generator = torch.Generator().manual_seed(1)
    source = torch.full((len(lengths), max(lengths)), PAD)
    for row, length in enumerate(lengths):
        source[row, :length] = torch.randint(4, VOCAB, (length,), generator=generator)
        source[row, length - 1] = EOS
    previous = torch.randint(4, VOCAB, (len(lengths), 6), generator=generator)
    previous[:, 0] = EOS
    return source, previous


def theirs_of(pieces, dictionary):
    return torch.tensor([dictionary.index(piece) for piece in pieces])


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_says_of_our_ids_what_fairseq_says_of_its_own(prepared, stock, kind):
    source, previous = batch(7, 5, 7)
    pieces, task, model = prepared.segmenter.pieces(), stock[kind].task, stock[kind].model
    assert (task.target_dictionary.symbols == pieces) == (kind in SAME_DICTIONARIES)
    of_source, of_target = (theirs_of(pieces, d) for d in (task.source_dictionary, task.target_dictionary))
    with torch.no_grad():
        output = model(of_source[source], (source != PAD).sum(dim=1), of_target[previous])
        wanted = model.get_normalized_probs(output, log_probs=True)[..., of_target].softmax(dim=2)
    teacher = read_teacher([stock[kind].folder], prepared)
    found = teacher.logits(source, previous)
    assert teacher.vocab_size == VOCAB and not found.requires_grad
    torch.testing.assert_close(found.softmax(dim=2), wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_on_either_side_and_none_say_the_same(prepared, stock, kind):
    source, previous = batch(8, 4)
    teacher = read_teacher([stock[kind].folder], prepared)
    padded = teacher.logits(source, previous)[1]
    left = torch.stack([source[0], source[1].roll(4)])
    assert left[1, 0] == PAD and left[1, -1] == EOS
    torch.testing.assert_close(teacher.logits(left, previous)[1], padded, atol=2e-5, rtol=0)
    torch.testing.assert_close(teacher.logits(source[1:, :4], previous[1:])[0], padded, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_says_what_it_says_under_teacher_forcing_though_sentences_leave(prepared, stock, kind):
    teacher, rng = read_teacher([stock[kind].folder], prepared), np.random.default_rng(2)
    sources = [np.append(rng.integers(4, VOCAB, size=length), EOS) for length in (3, 8, 5, 1, 6, 4)]
    steps = list(random_walk(rng, sentences=6, vocab_size=VOCAB, beam=3, steps=7))
    check_walk(teacher.stepper(), TeacherForced(teacher), sources, VOCAB, 7, steps)
    # As many rows after two of four sentences have left as before: each still needs its own source.
    leave = [(np.full(4, EOS), np.arange(4)), (np.array([5, 6, 7, 8]), np.array([1, 1, 3, 3]))]
    check_walk(teacher.stepper(), TeacherForced(teacher), sources[:4], VOCAB, 7, leave)


def test_a_search_finds_the_same_in_a_batch_and_alone_with_the_scores_of_teacher_forcing(prepared, stock):
    teacher, search = read_teacher([stock["learned positions"].folder], prepared), SearchConfig(beam=3, max_ratio=1)
    rng = np.random.default_rng(0)
    sources = [np.append(rng.integers(4, VOCAB, size=length), EOS) for length in (3, 8, 1)]
    stepper = teacher.stepper()
    for source, nbest in zip(sources, beam_search(stepper, sources, search), strict=True):
        alone = beam_search(stepper, [source], search)[0]
        assert [found.tokens.tolist() for found in nbest] == [found.tokens.tolist() for found in alone]
        target = torch.from_numpy(nbest[0].tokens)[None]
        log_probs = teacher.logits(torch.from_numpy(source)[None], target.roll(1, dims=1)).log_softmax(dim=2)
        assert nbest[0].score == pytest.approx(float(log_probs.gather(2, target[..., None]).sum()), abs=1e-4)


def test_a_translation_ends_at_the_last_position_that_the_model_knows(prepared, stock):
    stepper = read_teacher([stock["learned positions"].folder], prepared).stepper()
    assert isinstance(stepper, FairseqStepper)
    source = np.array([5, 6, 7, EOS])
    [nbest] = beam_search(stepper, [source], SearchConfig(beam=2, max_extra=50, min_length=29))
    assert [len(found.tokens) for found in nbest] == [30, 30]


@pytest.mark.parametrize("beam", [1, 2])
def test_a_translation_of_an_ensemble_ends_at_the_last_position_that_all_members_know(
    prepared, stock, undisturbed, beam
):
    ensemble = read_teacher([undisturbed, stock["learned positions"].folder], prepared).stepper()
    config = SearchConfig(beam=beam, max_extra=50, min_length=29)
    for _ in range(2):  # the second search counts anew
        for nbest in search(ensemble, [np.array([5, 6, 7, EOS]), np.array([8, EOS])], config):
            assert [len(found.tokens) for found in nbest] == [30] * beam


def test_of_learned_positions_the_longest_translation_is_known_and_of_others_there_is_none(prepared, stock):
    longest = {kind: longest_of([read_teacher([stock[kind].folder], prepared).stepper()]) for kind in KINDS}
    assert longest == {kind: 30 if kind == "learned positions" else None for kind in KINDS}


@pytest.mark.parametrize("pre_norm", [True, False])
def test_what_we_convert_for_fairseq_teaches_what_our_model_says(prepared, tmp_path, pre_norm):
    torch.manual_seed(5)
    ours = Transformer(DENSE, TransformerConfig(vocab_size=VOCAB, pre_norm=pre_norm)).eval()
    torch.save(checkpoint_of(ours, "en", "de"), tmp_path / "checkpoint.pt")
    for language in ("en", "de"):
        (tmp_path / f"dict.{language}.txt").write_text(dictionary_text(prepared.segmenter.pieces()))
    copy_teacher(tmp_path, tmp_path / "teacher", prepared)
    source, previous = batch(7, 5)
    found = read_teacher([tmp_path / "teacher"], prepared).logits(source, previous)
    torch.testing.assert_close(found, ours(source, previous).logits_NLV, atol=1e-4, rtol=0)


def test_a_folder_of_its_own_holds_weights_settings_and_dictionaries_and_nothing_of_the_training(stock):
    found = stock["adaptive softmax"]
    assert sorted(file.name for file in found.folder.iterdir()) == ["checkpoint.pt", "dict.de.txt", "dict.en.txt"]
    assert teacher_files(found.folder) == tuple(sorted(found.folder.iterdir()))
    saved = torch.load(found.folder / "checkpoint.pt", weights_only=True)  # no Namespace either
    assert saved.keys() == {"args", "cfg", "model"}
    assert str(found.path.parent) not in repr(saved["cfg"])


def test_a_checkpoint_of_before_fairseq_0_10_teaches_the_same(prepared, stock, tmp_path):
    kind = "sinusoids, norms before"
    shutil.copytree(stock[kind].path.parent, tmp_path / "old")
    file = tmp_path / "old" / "checkpoint.pt"
    saved = torch.load(file, weights_only=False)
    model = vars(saved["cfg"]["model"])
    settings = {name: value for name, value in model.items() if name not in ("_name", "merge_src_tgt_embed")}
    assert settings["arch"] == "transformer_tiny" and settings["source_lang"] == "en"
    torch.save({"args": argparse.Namespace(**settings), "model": saved["model"]}, file)
    copy_teacher(file, tmp_path / "teacher", prepared)
    new, old = (read_teacher([folder], prepared) for folder in (stock[kind].folder, tmp_path / "teacher"))
    assert torch.equal(new.logits(*batch(5)), old.logits(*batch(5)))


class Unsafe:
    """Not a plain type."""


def rewrite(change):
    """Changes the content of a checkpoint."""

    def done(folder):
        saved = torch.load(folder / "checkpoint.pt", weights_only=False)
        change(saved)
        torch.save(saved, folder / "checkpoint.pt")

    return done


def cut(folder):
    content = (folder / "checkpoint.pt").read_bytes()
    (folder / "checkpoint.pt").write_bytes(content[: len(content) // 2])


def shorten(folder):
    lines = (folder / "dict.en.txt").read_text().splitlines(keepends=True)
    (folder / "dict.en.txt").write_text("".join([*lines[:-5], "nobody 1\n"]))


def set_nan(saved):
    saved["model"]["encoder.layers.0.fc1.bias"][3] = torch.nan


FLAWS = {
    "other architecture": (
        rewrite(lambda saved: setattr(saved["cfg"]["model"], "_name", "lstm")),
        r"checkpoint\.pt: teacher\.models: .*architecture 'lstm'.*allowed: automoe_transformer, .*transformer_iwslt",
    ),
    "no dictionary": (lambda folder: (folder / "dict.de.txt").unlink(), r"dict\.de\.txt: .*is missing.*beside"),
    "other symbols": (
        shorten,
        r"dictionary of 196 symbols lacks 5 of the corpus's pieces \(.*, \.\.\.\)",
    ),
    "NaN": (rewrite(set_nan), r"NaN or infinite, first in 'encoder\.layers\.0\.fc1\.bias'"),
    "code": (rewrite(lambda saved: saved.update(extra=Unsafe())), r"could run code.*Unsafe.*save a dictionary"),
    "torn": (cut, "missing or damaged"),
    "no checkpoint": (rewrite(lambda saved: saved.pop("model")), "is no checkpoint of a fairseq training"),
    "other weights": (
        rewrite(lambda saved: saved["model"].pop("decoder.layers.0.fc1.bias")),
        r"do not belong together.*fc1\.bias",
    ),
    "few positions": (
        lambda folder: None,
        r"the corpus has a sentence of \d+ tokens, the teacher has positions for 9",
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_cannot_teach_is_refused_with_its_reason_and_leaves_nothing_behind(prepared, stock, tmp_path, flaw):
    spoil, problem = FLAWS[flaw]
    if flaw == "few positions":
        save_stock(tmp_path / "theirs", prepared.segmenter.pieces(), "learned positions", "--max-source-positions=9")
    else:
        shutil.copytree(stock["learned positions"].path.parent, tmp_path / "theirs")
    spoil(tmp_path / "theirs")
    with pytest.raises(TrainingError, match=problem):
        copy_teacher(tmp_path / "theirs" / "checkpoint.pt", tmp_path / "teacher", prepared)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]
