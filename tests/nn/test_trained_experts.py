"""What several experts are for: on a task that is too large for one of them they learn more, and share the work.

The task is a lookup of token pairs. A language is a random cycle through all words; a source sentence names a
language, and its target follows the cycle from some word on. So every word but the first is looked up by the language
and the word before: 64 x 64 pairs, more than one narrow feed-forward network learns. Held out are sentences, not
pairs: the pairs of their words all stand in sentences that are trained on.

Shape suffixes: N sentences, L words, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automoe.decoding.symbols import EOS
from automoe.nn import Decoded, Transformer, TransformerConfig, mean_router_losses
from automoe.nn.router_report import RouterReport, router_report
from tests.architectures import architecture, decoder_layer, encoder_layer

RESERVED, LANGUAGES, WORDS, LENGTH = 4, 64, 64, 9
VOCABULARY = RESERVED + LANGUAGES + WORDS
DIM, WIDTH, EXPERTS = 32, 16, 16
STEPS, BATCH, PEAK_RATE = 1000, 128, 5e-3
SEEDS = (1, 2, 3)
GAIN = 0.4
"""Nats a word by which experts are better, at the least: 0.57 to 0.90 were measured, 0.08 for equal experts."""


class Corpus:
    """Sentences of all languages from all words on, a tenth of them held out."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        cycles = torch.stack([torch.randperm(WORDS, generator=generator) for _ in range(LANGUAGES)])
        starts = torch.arange(WORDS)[:, None] + torch.arange(LENGTH)
        target_NL = (RESERVED + LANGUAGES + cycles[:, starts % WORDS]).flatten(0, 1)
        language_N = RESERVED + torch.arange(LANGUAGES).repeat_interleave(WORDS)
        self.source_NS = torch.stack([language_N, torch.full_like(language_N, EOS)], dim=1)
        self.target_NL = target_NL
        shuffled_N = torch.randperm(len(target_NL), generator=generator)
        self.held_out_N, self.train_N = shuffled_N.tensor_split([len(target_NL) // 10])

    def batches(self, seed: int) -> Iterator[Tensor]:
        """Sentences to train on, drawn with replacement."""
        generator = torch.Generator().manual_seed(seed)
        for _ in range(STEPS):
            yield self.train_N[torch.randint(len(self.train_N), (BATCH,), generator=generator)]

    def loss(self, model: Transformer, sentence_N: Tensor) -> tuple[Tensor, Decoded]:
        """Cross-entropy of the words that can be looked up, in nats a word; and what the model said."""
        target_NL = self.target_NL[sentence_N]
        decoded = model(self.source_NS[sentence_N], target_NL[:, :-1])
        return F.cross_entropy(decoded.logits_NLV.flatten(0, 1), target_NL[:, 1:].flatten()), decoded


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of a training."""

    held_out: float
    """Cross-entropy of held-out sentences, in nats a word."""
    router: RouterReport | None
    """Of the decoder's expert layer on held-out sentences; None if it is dense."""


@cache
def trained(experts: int, seed: int, *, balance: float = 0.01, equal: bool = False) -> Trained:
    """Trains a Transformer whose decoder layer has so many experts, each as wide as a dense layer.

    Args:
        experts: 1 is the dense Transformer of the same FLOPs.
        seed: of the task, the weights and the batches.
        balance: coefficient of the load-balancing loss.
        equal: the experts share one set of weights, so that there is nothing to choose.
    """
    corpus = Corpus(seed)
    torch.manual_seed(seed)
    layers = [decoder_layer(*[WIDTH] * experts, heads=2)]
    arch = architecture(DIM, [encoder_layer(WIDTH, heads=2)], DIM, layers)
    model = Transformer(arch, TransformerConfig(vocab_size=VOCABULARY, dropout=0.0))
    if equal:
        make_equal(model.decoder_layers[-1].experts)
    optimiser = torch.optim.Adam(model.parameters(), lr=PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, STEPS, pct_start=0.1)
    for sentence_N in corpus.batches(seed):
        loss, decoded = corpus.loss(model, sentence_N)
        balance_loss, z_loss = mean_router_losses(list(decoded.routings.values()), loss)
        optimiser.zero_grad()
        (loss + balance * balance_loss + 0.001 * z_loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        held_out, decoded = corpus.loss(model, corpus.held_out_N)
    routing = decoded.routings.get(("decoder", 0))
    report = None if routing is None else router_report(routing.loads_E().tolist())
    return Trained(held_out=float(held_out), router=report)


def make_equal(layer: nn.Module) -> None:
    """Lets all experts of a layer use the weights of the first one."""
    for name in ("w1", "b1", "w2", "b2"):
        weights = getattr(layer, name)
        setattr(layer, name, nn.ParameterList([weights[0]] * len(weights)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_experts_learn_what_a_dense_transformer_of_the_same_flops_does_not(seed):
    assert trained(EXPERTS, seed).held_out < trained(1, seed).held_out - GAIN


@pytest.mark.slow
def test_experts_that_are_all_equal_gain_nothing_of_this():
    assert trained(EXPERTS, SEEDS[0], equal=True).held_out > trained(1, SEEDS[0]).held_out - GAIN


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_balance_loss_spreads_the_load_and_leaves_no_expert_idle(seed):
    balanced, free = trained(EXPERTS, seed).router, trained(EXPERTS, seed, balance=0.0).router
    assert balanced.cv < free.cv
    assert min(balanced.loads) > 0.1 / EXPERTS
