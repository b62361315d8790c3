"""Our beam search finds what fairseq's `SequenceGenerator` finds, hypothesis by hypothesis."""

from __future__ import annotations

import numpy as np
import pytest

from automoe.decoding import EOS, PAD, SearchConfig, beam_search
from tests.decoding.hash_model import HashModel, HashStepper

torch = pytest.importorskip("torch")
fairseq = pytest.importorskip("fairseq")

from fairseq.data import Dictionary  # noqa: E402
from fairseq.sequence_generator import SequenceGenerator  # noqa: E402


class Encoder(torch.nn.Module):
    def forward_torchscript(self, net_input):
        return {"source": net_input["src_tokens"]}

    def reorder_encoder_out(self, encoder_out, order):
        return {"source": encoder_out["source"].index_select(0, order)}


class Decoder(torch.nn.Module):
    def __init__(self, model: HashModel):
        super().__init__()
        self.model = model

    def forward(self, tokens, encoder_out):
        rows = [
            self.model.log_probs_V([token for token in source if token != PAD], prefix[1:])
            for source, prefix in zip(encoder_out["source"].tolist(), tokens.tolist(), strict=True)
        ]
        return torch.from_numpy(np.stack(rows))[:, None], None


class HashFairseqModel(torch.nn.Module):
    """The hash model behind the few methods of a fairseq model that its generator calls."""

    def __init__(self, model: HashModel):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder(model)

    def max_decoder_positions(self):
        return 1024

    def get_normalized_probs(self, decoder_out, log_probs, sample=None):
        return decoder_out[0]


@pytest.mark.parametrize("seed", range(12))
def test_beam_search_equals_fairseqs_generator(seed):
    rng = np.random.default_rng(seed)
    model = HashModel(int(rng.choice([9, 40])), seed, end_bias=float(rng.choice([-2.0, 0.0, 1.5])))
    beam = int(rng.integers(1, 7))
    penalty = float(rng.choice([0.0, 0.6, 1.0, 1.5]))
    # Sources of one length: fairseq's longest output follows from the longest source of the batch.
    sources = [np.append(rng.integers(3, 9, size=4), EOS) for _ in range(5)]

    dictionary = Dictionary(bos="<s>", pad="<pad>", eos="</s>", unk="<unk>")
    for index in range(model.vocab_size - len(dictionary)):
        dictionary.add_symbol(f"word{index}")
    assert (dictionary.pad(), dictionary.eos(), len(dictionary)) == (PAD, EOS, model.vocab_size)
    generator = SequenceGenerator(
        [HashFairseqModel(model)], dictionary, beam_size=beam, max_len_a=1.0, max_len_b=3, len_penalty=penalty
    )
    theirs = generator.generate(None, {"net_input": {"src_tokens": torch.from_numpy(np.stack(sources))}})

    config = SearchConfig(beam=beam, length_penalty=penalty, max_ratio=1.0, max_extra=3)
    ours = beam_search(HashStepper(model), sources, config)
    for our_nbest, their_nbest in zip(ours, theirs, strict=True):
        assert [h.tokens.tolist() for h in our_nbest] == [h["tokens"].tolist() for h in their_nbest]
        np.testing.assert_allclose(
            [h.normalised for h in our_nbest], [float(h["score"]) for h in their_nbest], rtol=1e-6
        )
