"""What other searches have evaluated already, of the same weights on the same sentences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from automoe.errors import AutoMoEError
from automoe.search.archive import read_archive
from automoe.search.evaluator import Quality

_OF_COSTS = frozenset({"predictor"})
"""What of an archive's context decides costs alone, which are predicted anew: qualities do not depend on it."""


def known_qualities(
    archives: Iterable[Path], context: Mapping[str, Any], needs_bleu: bool = False
) -> dict[str, Quality]:
    """The qualities in archives whose context agrees with `context` in all that evaluating depends on.

    A file that is damaged is left out with a message on stderr; one that is missing or of another context without.

    Args:
        archives: files, such as those of other searches of the run, finished or not.
        context: of the search that asks: all keys but `predictor` must be there and equal.
        needs_bleu: whether only records with BLEU help; otherwise BLEU is left out, so that a record is the same
            whether it was known or not.

    Returns:
        Qualities by the digest of the architecture.
    """
    wanted = _of_evaluation(context)
    known: dict[str, Quality] = {}
    for path in archives:
        if not path.is_file():
            continue
        try:
            archive = read_archive(path)
        except AutoMoEError as error:
            print(f"nothing is reused from a search that cannot be read: {error}", file=sys.stderr, flush=True)
            continue
        if _of_evaluation(archive.header.context) != wanted:
            continue
        for record in archive.records:
            if record.bleu is not None or not needs_bleu:
                known[record.digest] = Quality(record.loss, record.bleu if needs_bleu else None)
    return known


def _of_evaluation(context: Mapping[str, Any]) -> dict[str, Any]:
    """As read back from JSON: tuples are lists there."""
    kept: dict[str, Any] = json.loads(json.dumps({key: context[key] for key in context if key not in _OF_COSTS}))
    return kept
