"""Translations to learn in place of the references, or beside them: an id array, one for each training pair.

Such are the translations of a teacher (sequence-level distillation, Kim & Rush 2016, section 3.2).

Shape suffixes: N sentences, A tokens of all sentences.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from automoe.data import IdArray, PreparedData
from automoe.data.ids import id_files
from automoe.decoding import EOS
from automoe.errors import DataError, TrainingError
from automoe.files import digest_of, sha256_of

REFERENCES = "references"
"""Identity of the corpus's own targets."""


def read_targets(path: Path, prepared: PreparedData) -> IdArray:
    """Opens the translations of a training set.

    Args:
        path: the id array, without an ending.
        prepared: the corpus.

    Raises:
        DataError: it is missing or damaged, has more or fewer sentences than the training set, ids that the
            vocabulary has not, or a sentence that does not end in `</s>`.
    """
    targets, pairs = IdArray.open(path), len(prepared.ids("train", "src"))
    if len(targets) != pairs:
        raise _unfit(path, f"holds {len(targets)} sentences, the corpus has {pairs} training pairs")
    ends_N = np.cumsum(targets.lengths)
    vocab_size = prepared.summary.vocab_size
    [strange] = np.nonzero((targets.flat_A < 0) | (targets.flat_A >= vocab_size))
    if len(strange):
        sentence, found = int(np.searchsorted(ends_N, strange[0], side="right")), int(targets.flat_A[strange[0]])
        raise _unfit(path, f"sentence {sentence + 1} has the id {found}, the vocabulary has {vocab_size} pieces")
    ended_N = targets.lengths > 0
    ended_N[ended_N] = targets.flat_A[ends_N[ended_N] - 1] == EOS
    if not ended_N.all():
        raise _unfit(path, f"sentence {int(np.argmin(ended_N)) + 1} does not end in </s>, the id {EOS}")
    return targets


def digest_of_targets(path: Path) -> str:
    """Tells an id array from others by what it holds; `path` has no ending.

    Raises:
        DataError: it is missing or damaged.
    """
    IdArray.open(path)
    return digest_of([sha256_of(file) for file in id_files(path)], length=64)


def identity_of(path: Path | None, *, keep_references: bool) -> str:
    """Tells one choice of training targets from another: the references, translations by what they hold, or both.

    Raises:
        DataError: the translations are missing or damaged.
        TrainingError: the references are to be kept beside no translations.
    """
    if path is None:
        if keep_references:
            raise TrainingError(
                "there are no other targets beside which the references could be kept",
                key="keep_references",
                hint="Name them by --train-targets",
            )
        return REFERENCES
    digest = digest_of_targets(path)
    return f"{REFERENCES} and {digest}" if keep_references else digest


def _unfit(path: Path, problem: str) -> DataError:
    return DataError(problem, file=id_files(path)[0], hint="Make the translations anew, from this corpus")
