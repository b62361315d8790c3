"""Sequence-level distillation (Kim & Rush 2016, section 3.2): the teacher's translation of every training source.

The same source is translated once, however often it stands in the corpus. A killed generation goes on where it was
and ends in the same targets as an undisturbed one.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automoe.data.ids import IdArray, id_files, write_ids
from automoe.decoding import Int64Array, SearchConfig, Stepper
from automoe.distill.longest import longest_of
from automoe.distill.parts import check_made_from, made_from, read_sealed, translate_in_parts
from automoe.errors import DataError
from automoe.files import sealed_json, sha256_of, write_atomically

_TARGETS = "targets"
_SUMMARY = "targets.json"
_ENDLESS_SHARE = 0.01
"""More translations than this without an end are the sign of a bad teacher."""


@dataclass(frozen=True, kw_only=True)
class TargetsSummary:
    """What the translations of a corpus are like, and what they took."""

    sentences: int
    distinct: int
    """Different sources: so many were translated."""
    tokens: int
    """Tokens of all translations, the end symbols included."""
    endless: int
    """Translations that were cut off at the longest length that the search allows or the teacher knows."""
    length_ratio: float | None
    """Tokens for one token of the references; None: there were no references."""
    seconds: float
    """Time spent on translating, in all processes together that finished a part."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceTargets:
    """One translation for each source of a corpus, in its order."""

    ids: IdArray
    """Their tokens, the end symbol last, mapped from the disk."""
    summary: TargetsSummary


def translate_sources(
    stepper: Stepper,
    sources: IdArray,
    search: SearchConfig,
    folder: Path,
    *,
    made_by: str,
    vocab_size: int,
    batch_size: int = 32,
    references: IdArray | None = None,
) -> SequenceTargets:
    """Writes the best translation of each source as the id array `folder/targets`, or goes on with that.

    A source of S tokens is translated whole, however long, in at most `search.limit(S) + 1` tokens: 2 S + 11 unless
    the search says otherwise. A training whose `max_tokens` is at least that for the longest source can take all
    targets. A source that is the end symbol alone has the end symbol as its translation.

    Args:
        stepper: the teacher; of a `BoundedStepper` translations may also be cut off at its longest length.
        sources: token ids of the sentences, each with its end symbol.
        search: beam, length penalty and limits of the length.
        folder: made if it is missing. It holds `targets.npy`, `targets.offsets.npy` and, last of all, `targets.json`;
            before that also `parts/`.
        made_by: names the teacher and its weights (a hash): what another one translated is refused.
        vocab_size: tokens of the teacher's vocabulary.
        batch_size: sentences that are translated together. It changes the speed; and the scores in their last bits,
            those of int8 models in more.
        references: translations of the sources, which the lengths are compared with. They stand in for translations
            that found no end, which are loops of a few words and hold many tokens; without references these are kept.

    Raises:
        RunError: the folder holds translations by another teacher or search, or of other sources.
        DataError: what was finished earlier is damaged.
        AutoMoEError: the teacher's scores are not numbers.
    """
    recipe = made_from(sources, made_by, search)
    if not (folder / _SUMMARY).exists():
        rows, distinct = _distinct(sources)
        translations, seconds = translate_in_parts(
            stepper, distinct, search, folder, made_by=made_by, batch_size=batch_size, warn=_warn
        )
        targets = [translations[row] for row in rows]
        limits = _limits(sources.lengths, search, longest_of([stepper]))
        endless = (np.array(list(map(len, targets))) >= limits) & (sources.lengths > 1)
        if references is not None:
            targets = [references[row] if endless[row] else target_L for row, target_L in enumerate(targets)]
        write_ids(folder / _TARGETS, targets, vocab_size)
        tokens = sum(map(len, targets))
        summary = TargetsSummary(
            sentences=len(rows),
            distinct=len(distinct),
            tokens=tokens,
            endless=int(endless.sum()),
            length_ratio=None if references is None else tokens / references.num_tokens,
            seconds=round(seconds, 3),
        )
        files = {file.name: sha256_of(file) for file in id_files(folder / _TARGETS)}
        form = {**recipe, "summary": asdict(summary), "files": files}
        write_atomically(folder / _SUMMARY, sealed_json(form))
    check_made_from(_read_summary(folder), recipe, folder / _SUMMARY, folder)
    finished = read_targets(folder)
    _warn_of_endless(finished.summary, replaced=references is not None)
    shutil.rmtree(folder / "parts", ignore_errors=True)
    return finished


def read_targets(folder: Path) -> SequenceTargets:
    """Opens what `translate_sources` finished in `folder`, after comparing it with its checksums.

    Raises:
        DataError: it is missing, unfinished or damaged.
    """
    form = _read_summary(folder)
    for file in id_files(folder / _TARGETS):
        if not file.is_file() or sha256_of(file) != form["files"][file.name]:
            raise _damaged(file, folder)
    return SequenceTargets(ids=IdArray.open(folder / _TARGETS), summary=TargetsSummary(**form["summary"]))


def _distinct(sources: IdArray) -> tuple[list[int], list[Int64Array]]:
    """For each source its place among the different ones, and those, in the order of the corpus."""
    places: dict[bytes, int] = {}
    rows: list[int] = []
    distinct: list[Int64Array] = []
    for ids in sources:
        row = places.setdefault(ids.tobytes(), len(distinct))
        if row == len(distinct):
            distinct.append(ids)
        rows.append(row)
    return rows, distinct


def _limits(source_lengths: Int64Array, search: SearchConfig, longest: int | None) -> Int64Array:
    """For each source the most tokens of a translation, whose last can be nothing but the end symbol."""
    limits = np.array([search.limit(length) + 1 for length in source_lengths.tolist()], dtype=np.int64)
    return limits if longest is None else np.minimum(limits, longest)


def _warn_of_endless(summary: TargetsSummary, *, replaced: bool) -> None:
    if summary.endless > _ENDLESS_SHARE * summary.sentences:
        share = f"{summary.endless} of {summary.sentences} translations ({summary.endless / summary.sentences:.1%})"
        instead = "; the references stand in for them" if replaced else ""
        _warn(f"{share} found no end and were cut off at the longest length that is allowed: a poor teacher{instead}")


def _warn(message: str) -> None:
    print(f"teacher: warning: {message}", file=sys.stderr, flush=True)


def _read_summary(folder: Path) -> dict[str, Any]:
    file = folder / _SUMMARY
    form = read_sealed(file) if file.is_file() else None
    if form is None:
        raise _damaged(file, folder)
    return form


def _damaged(file: Path, folder: Path) -> DataError:
    hint = f"Move the folder {folder} away and run the same command again: it is then made anew"
    return DataError("the teacher's translations are missing or damaged", file=file, hint=hint)
