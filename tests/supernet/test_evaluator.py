import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.data import IdArray, PreparedData, prepare
from automoe.decoding import SearchConfig
from automoe.decoding.placeholders import DEFAULT_PATTERN
from automoe.decoding.segmenter import Segmenter
from automoe.decoding.symbols import EOS
from automoe.errors import SpaceError
from automoe.evaluation import bleu
from automoe.export import export_bundle
from automoe.nn import Transformer, TransformerConfig
from automoe.runtime import load
from automoe.supernet import supernet_placement
from automoe.supernet.evaluator import (
    SupernetEvaluator,
    ValidationTexts,
    validation_batches,
    validation_texts,
)
from tests.architectures import MAXIMUM
from tests.data.fixture_corpus import fixture_config
from tests.runtime.tiny_bundle import SENTENCES, segmenter_model
from tests.spaces import small_space

VOCAB, SPACE = 19, small_space()


class Corpus:
    """Thirty random pairs of one to nine tokens."""

    def __init__(self):
        rng = np.random.default_rng(4)
        self.sides = {}
        for side in ("src", "tgt"):
            lengths = rng.integers(1, 10, size=30)
            ids = rng.integers(4, VOCAB, size=lengths.sum())
            ids[np.cumsum(lengths) - 1] = EOS
            self.sides[side] = IdArray(ids, np.r_[0, np.cumsum(lengths)])

    def ids(self, split, side):
        return self.sides[side]


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    model = Transformer(SPACE.largest(), TransformerConfig(vocab_size=VOCAB, dropout=0.3))
    for parameter in model.parameters():  # biases and routers too, so that all of them count
        torch.nn.init.normal_(parameter, std=0.3)
    return model


BATCHES = validation_batches(Corpus(), max_tokens=64)


def sampled(seed):
    return SPACE.sample(np.random.default_rng(seed))


def naive_loss(model, corpus):
    """One pair at a time, without padding; the model alone."""
    nll, tokens = 0.0, 0
    for source, target in zip(corpus.ids("valid", "src"), corpus.ids("valid", "tgt"), strict=True):
        with torch.no_grad():
            logits = model(torch.from_numpy(source)[None], torch.tensor([[EOS, *target[:-1]]])).logits_NLV[0]
        nll -= float(logits.log_softmax(-1)[range(len(target)), target].sum())
        tokens += len(target)
    return nll / tokens


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_loss_is_that_of_the_extracted_model_on_single_sentences(supernet, seed):
    arch = sampled(seed)
    small = supernet.extract(arch, supernet_placement(arch)).eval()
    assert SupernetEvaluator(supernet, BATCHES).loss(arch) == pytest.approx(naive_loss(small, Corpus()), abs=1e-5)


@pytest.mark.parametrize("max_tokens", [9, 30, 1000])
def test_how_sentences_are_batched_and_padded_changes_nothing(supernet, max_tokens):
    batches = validation_batches(Corpus(), max_tokens=max_tokens)
    found = SupernetEvaluator(supernet, batches).loss(sampled(1))
    assert found == pytest.approx(SupernetEvaluator(supernet, BATCHES).loss(sampled(1)), abs=1e-6)


def test_training_mode_and_a_gradient_have_no_part_in_it(supernet):
    supernet.train()
    evaluator = SupernetEvaluator(supernet, BATCHES)
    assert evaluator.loss(sampled(2)) == evaluator.loss(sampled(2))
    assert all(parameter.grad is None for parameter in supernet.parameters())


def test_loads_count_every_token_once_in_every_expert_layer(supernet):
    corpus, arch = Corpus(), next(filter(has_experts_on_both_sides, map(sampled, range(100))))
    loads = SupernetEvaluator(supernet, BATCHES).loads(arch)
    expert_layers = [(side, index) for side, index, layer in arch.layers() if layer.num_experts > 1]
    assert list(loads) == expert_layers
    for side, index in expert_layers:
        assert sum(loads[side, index]) == corpus.ids("valid", "src" if side == "encoder" else "tgt").num_tokens


def has_experts_on_both_sides(arch):
    return {side for side, _, layer in arch.layers() if layer.num_experts > 1} == {"encoder", "decoder"}


def test_an_architecture_of_another_space_is_refused(supernet):
    with pytest.raises(SpaceError, match="no slice"):
        SupernetEvaluator(supernet, BATCHES).loss(MAXIMUM)


SEGMENTER = Segmenter(segmenter_model())


@pytest.fixture(scope="module")
def talker():
    """A supernet with the vocabulary of a segmenter; weights so large that it answers sources differently."""
    torch.manual_seed(1)
    model = Transformer(SPACE.largest(), TransformerConfig(vocab_size=SEGMENTER.vocab_size, dropout=0.3))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def ordinary(model, folder, sentences, decoding):
    """The path of a user: a bundle, loaded and run."""
    export_bundle(
        model, folder, segmenter_model=SEGMENTER.model, placeholder_pattern=DEFAULT_PATTERN, source_language="en",
        target_language="de", max_source_tokens=99, decoding=decoding.to_dict(), info={}, precisions=(),
    )  # fmt: skip
    return load(folder, backend="torch").translate(sentences)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("seed", [3, 4])
def test_bleu_is_that_of_the_extracted_model_translating_as_a_bundle(talker, tmp_path, seed, beam):
    arch, decoding = sampled(seed), SearchConfig(beam=beam, max_ratio=1.0, max_extra=5)
    small = talker.extract(arch, supernet_placement(arch)).eval()
    hypotheses = ordinary(small, tmp_path / "bundle", SENTENCES, decoding)
    assert len(set(hypotheses)) > 4
    references = [*hypotheses[:5], *SENTENCES[5:]]  # some are right
    for batch_size in (3, 100):
        texts = ValidationTexts(
            segmenter=SEGMENTER, sources=SENTENCES, references=references, tokenize="char", decoding=decoding,
            batch_size=batch_size,
        )  # fmt: skip
        evaluator = SupernetEvaluator(talker, (), texts)
        assert evaluator.translations(arch) == hypotheses
        assert evaluator.bleu(arch) == bleu(hypotheses, references, tokenize="char").value
    assert 20 < evaluator.bleu(arch) < 100


def test_bleu_does_not_depend_on_what_was_scored_before(talker):
    texts = ValidationTexts(segmenter=SEGMENTER, sources=SENTENCES, references=SENTENCES, tokenize="char")
    evaluator = SupernetEvaluator(talker, (), texts)
    first, _, again = [evaluator.bleu(sampled(seed)) for seed in (3, 4, 3)]
    assert first == again == SupernetEvaluator(talker, (), texts).bleu(sampled(3))


def test_loss_and_bleu_are_scored_on_the_same_sentences(tmp_path):
    prepare(fixture_config(), tmp_path)
    prepared = PreparedData.open(tmp_path)
    texts = validation_texts(prepared, limit=20)
    encoded = [prepared.segmenter.encode(source).ids_L.tolist() for source in texts.sources]
    batches = validation_batches(prepared, limit=20)
    rows = [row[row != 1].tolist() for batch in batches for row in batch.source_BS]
    assert len(encoded) == 20 and rows == encoded
    assert set(zip(texts.sources, texts.references, strict=True)) <= set(
        zip(prepared.text("valid", "src"), prepared.text("valid", "tgt"), strict=True)
    )
    assert texts.tokenize == "13a"


def test_bleu_without_texts_is_refused(supernet):
    with pytest.raises(ValueError, match="made without texts"):
        SupernetEvaluator(supernet, BATCHES).bleu(sampled(1))
