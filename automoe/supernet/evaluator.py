"""`SupernetEvaluator`: what a sub-transformer with the supernet's weights is worth, without training it.

Shape suffixes: B sentences, S source length, L target length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from automoe.data import PreparedData
from automoe.data.batches import padded_batches, spread_rows
from automoe.decoding import SearchConfig, search
from automoe.decoding.segmenter import Segmenter
from automoe.decoding.symbols import PAD
from automoe.evaluation import bleu, bleu_tokenizer
from automoe.nn import TorchStepper, Transformer
from automoe.nn.expert_loads import ExpertLoads, expert_loads
from automoe.space import Architecture
from automoe.supernet.placement import supernet_placement

GREEDY = SearchConfig(beam=1)


class ValidationBatch(NamedTuple):
    """Token ids of some sentence pairs, padded on the right."""

    source_BS: Tensor
    previous_BL: Tensor
    """The target shifted right: what the decoder reads."""
    target_BL: Tensor


def validation_batches(
    prepared: PreparedData, split: str = "valid", max_tokens: int = 4096, limit: int | None = None
) -> tuple[ValidationBatch, ...]:
    """A split as padded batches for the evaluator; the arguments are those of `data.batches.padded_batches`."""
    return tuple(
        ValidationBatch(*map(torch.from_numpy, batch)) for batch in padded_batches(prepared, split, max_tokens, limit)
    )


@dataclass(frozen=True, kw_only=True)
class ValidationTexts:
    """Sentence pairs as text, and how they are translated."""

    segmenter: Segmenter
    sources: Sequence[str]
    references: Sequence[str]
    """One for each source, in the same order."""
    tokenize: str = "13a"
    """sacreBLEU's tokeniser; see `evaluation.bleu_tokenizer`."""
    decoding: SearchConfig = GREEDY
    batch_size: int = 64
    """Sentences that are translated together."""


def validation_texts(
    prepared: PreparedData, split: str = "valid", limit: int | None = None, decoding: SearchConfig = GREEDY
) -> ValidationTexts:
    """The sentences of `validation_batches` with the same split and limit, to be translated."""
    rows = spread_rows(prepared, split, limit)
    sources, references = prepared.text(split, "src"), prepared.text(split, "tgt")
    return ValidationTexts(
        segmenter=prepared.segmenter,
        sources=[sources[row] for row in rows],
        references=[references[row] for row in rows],
        tokenize=bleu_tokenizer(prepared.target_lang),
        decoding=decoding,
    )


class SupernetEvaluator:
    """Scores architectures with inherited weights, on the experts that `supernet_placement` says.

    On one thread the same architecture has the same scores to the last bit, whatever was scored before.

    Args:
        transformer: the trained supernet; it is put into evaluation mode.
        batches: the sentence pairs to score, on the model's device.
        texts: sentence pairs for BLEU; None where it is not asked for.
    """

    def __init__(
        self, transformer: Transformer, batches: Sequence[ValidationBatch], texts: ValidationTexts | None = None
    ) -> None:
        self._transformer = transformer.eval()
        self._batches = tuple(batches)
        self._texts = texts
        # From the longest to the shortest: those of a batch take about as many steps.
        sources = [] if texts is None else [texts.segmenter.encode(text) for text in texts.sources]
        self._sources = sorted(enumerate(sources), key=lambda item: -len(item[1].ids_L))

    @torch.inference_mode()
    def loss(self, arch: Architecture) -> float:
        """Negative log-likelihood of the targets under teacher forcing, in nats per token.

        Raises:
            SpaceError: the architecture is no slice of the supernet.
        """
        placement = supernet_placement(arch)
        nll, num_tokens = 0.0, 0
        for source_BS, previous_BL, target_BL in self._batches:
            decoded = self._transformer(source_BS, previous_BL, arch, placement)
            logits = decoded.logits_NLV.flatten(0, 1).float()
            nll += float(F.cross_entropy(logits, target_BL.flatten(), ignore_index=PAD, reduction="sum"))
            num_tokens += int((target_BL != PAD).sum())
        return nll / num_tokens

    def bleu(self, arch: Architecture) -> float:
        """BLEU of `translations`, 0 to 100, by sacreBLEU on detokenised text.

        Raises:
            ValueError: the evaluator was made without texts.
            SpaceError: the architecture is no slice of the supernet.
            DependencyError: sacrebleu is not installed.
        """
        hypotheses = self.translations(arch)
        texts = self._given_texts
        return bleu(hypotheses, texts.references, tokenize=texts.tokenize).value

    def translations(self, arch: Architecture) -> list[str]:
        """What the extracted sub-transformer makes of the sources, as a bundle of it would: placeholders put back.

        Raises:
            ValueError, SpaceError: as for `bleu`.
        """
        texts = self._given_texts
        stepper = TorchStepper(self._transformer.extract(arch, supernet_placement(arch)))
        found = [""] * len(texts.sources)
        waiting = [item for item in self._sources if len(item[1].ids_L) > 1]  # of an empty source nothing is asked
        for first in range(0, len(waiting), texts.batch_size):
            batch = waiting[first : first + texts.batch_size]
            nbest = search(stepper, [source.ids_L for _, source in batch], texts.decoding)
            for (row, source), hypotheses in zip(batch, nbest, strict=True):
                found[row] = texts.segmenter.decode(hypotheses[0].tokens.tolist(), source.placeholders)
        return found

    @property
    def _given_texts(self) -> ValidationTexts:
        if self._texts is None:
            raise ValueError("this evaluator was made without texts, which BLEU takes")
        return self._texts

    def loads(self, arch: Architecture) -> ExpertLoads:
        """How many tokens each expert of the extracted sub-transformer processes, by (side, layer index)."""
        model = self._transformer.extract(arch, supernet_placement(arch))
        return expert_loads(model, ((batch.source_BS, batch.previous_BL) for batch in self._batches))
