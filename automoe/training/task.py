"""fairseq task `automoe_translation`: reads what the data stage prepared, as it is.

No dictionary file and no fairseq-preprocess: the vocabulary is the segmenter's, in the segmenter's order.
"""

# No `from __future__ import annotations` here: fairseq reads the types of the arguments at run time.

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask, register_task
from omegaconf import MISSING

from automoe.data import IdArray, PreparedData
from automoe.data.prepare import SIDES
from automoe.decoding.segmenter import Segmenter
from automoe.training.arguments import spell_out
from automoe.training.same import SEGMENTER, TARGETS
from automoe.training.targets import REFERENCES, identity_of, read_targets

UPDATE = "update"
"""Key of a training batch under which a criterion finds the number of optimiser steps before this one."""


@dataclass
class AutoMoETranslationConfig(FairseqDataclass):
    """Arguments of the task."""

    data: str = field(default=MISSING, metadata={"help": "folder that `automoe data` prepared"})
    max_positions: int = field(default=1024, metadata={"help": "longest sentence in tokens"})
    train_targets: Optional[str] = field(  # noqa: UP045  fairseq cannot read the type `str | None`
        default=None,
        metadata={
            "help": "id array without its endings (.npy, .offsets.npy): a translation for each training pair, to be "
            "learnt in place of the reference"
        },
    )
    keep_references: bool = field(
        default=False, metadata={"help": "learn the references too: every source stands twice"}
    )


class IdSentences:
    """Id arrays as fairseq's datasets want them: indexable, each sentence a tensor that ends in `</s>`.

    Args:
        parts: of equal length; their sentences follow each other.
    """

    def __init__(self, *parts: IdArray) -> None:
        self._parts = parts
        self.sizes: np.ndarray = np.concatenate([ids.lengths for ids in parts])

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> torch.Tensor:
        part, sentence = divmod(int(index), len(self._parts[0]))
        return torch.from_numpy(self._parts[part][sentence])


@register_task("automoe_translation", dataclass=AutoMoETranslationConfig)
class AutoMoETranslationTask(FairseqTask):
    """Translation between the two languages of a prepared corpus with one joint vocabulary."""

    def __init__(self, cfg: AutoMoETranslationConfig, prepared: PreparedData) -> None:
        super().__init__(cfg)
        self.prepared = prepared
        self.translations: IdArray | None = None
        """What the training set has for targets in place of the references or beside them, once it is loaded."""
        self.targets_identity = REFERENCES
        """See `targets.identity_of`; of a task whose training set is loaded."""
        self._dictionary = dictionary_of(prepared.segmenter)
        self.state.merge_state_dict({SEGMENTER: prepared.summary.segmenter})

    @classmethod
    def setup_task(cls, cfg: AutoMoETranslationConfig, **kwargs: Any) -> "AutoMoETranslationTask":
        """Opens the prepared corpus (fairseq's way of making a task)."""
        return cls(cfg, PreparedData.open(Path(cfg.data)))

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> None:
        """Makes `train`, `valid` or `test` available; other targets are for `train` alone.

        Raises:
            DataError: these targets are missing or damaged, or no translations of the training set.
        """
        sources, targets = ([self.prepared.ids(split, side)] for side in SIDES)
        if split == "train":
            targets = self._train_targets(targets)
        source, target = IdSentences(*sources * len(targets)), IdSentences(*targets)
        self.datasets[split] = LanguagePairDataset(
            source,
            source.sizes,
            self._dictionary,
            target,
            target.sizes,
            self._dictionary,
            left_pad_source=False,
            left_pad_target=False,
        )

    def _train_targets(self, references: list[IdArray]) -> list[IdArray]:
        path = None if self.cfg.train_targets is None else Path(self.cfg.train_targets)
        self.targets_identity = identity_of(path, keep_references=self.cfg.keep_references)
        self.state.merge_state_dict({TARGETS: self.targets_identity})
        if path is None:
            return references
        self.translations = read_targets(path, self.prepared)
        return [*(references if self.cfg.keep_references else []), self.translations]

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """As fairseq's; `cfg`, which checkpoints keep, then holds the architecture itself."""
        spell_out(cfg)
        return super().build_model(cfg, from_checkpoint)

    def build_criterion(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """As fairseq's; `cfg`, which checkpoints keep, then holds the search space itself."""
        spell_out(cfg)
        return super().build_criterion(cfg, from_checkpoint)

    def train_step(
        self,
        sample: dict[str, Any],
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
    ) -> tuple[Any, Any, dict[str, Any]]:
        """As fairseq's; the batch tells the criterion its update, so that what it draws needs no state."""
        sample = {**sample, UPDATE: update_num}
        return super().train_step(  # type: ignore[no-any-return]
            sample, model, criterion, optimizer, update_num, ignore_grad
        )

    def get_batch_iterator(self, dataset: Any, **settings: Any) -> Any:
        """As fairseq's, but for `required_batch_size_multiple`: rounding batches to eights loses sentences."""
        return super().get_batch_iterator(dataset, **{**settings, "required_batch_size_multiple": 1})

    def max_positions(self) -> tuple[int, int]:
        """Longest source and target, in tokens."""
        return self.cfg.max_positions, self.cfg.max_positions

    @property
    def source_dictionary(self) -> Dictionary:
        """The joint vocabulary."""
        return self._dictionary

    @property
    def target_dictionary(self) -> Dictionary:
        """The joint vocabulary."""
        return self._dictionary


def dictionary_of(segmenter: Segmenter) -> Dictionary:
    """A fairseq Dictionary with the same symbol under each id as the segmenter."""
    dictionary = Dictionary()  # already holds <s> <pad> </s> <unk> as 0 1 2 3, as the segmenter does
    for piece in segmenter.pieces()[len(dictionary) :]:
        dictionary.add_symbol(piece)
    assert len(dictionary) == segmenter.vocab_size, "SentencePiece pieces are distinct"
    return dictionary
