"""Translating many sources in parts: what a killed process finished is taken by the next one, and nothing else is.

A part is one file: the translations of 512 sources, what they were made from and by whom, and a checksum of it all.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from automoe.decoding import EOS, Int64Array, SearchConfig, Stepper, search
from automoe.errors import RunError
from automoe.files import is_sealed, sealed_json, write_atomically
from automoe.progress import Progress

_PART_SOURCES = 512
"""What a killed process loses at most."""

Warn = Callable[[str], None]


def made_from(sources: Iterable[Int64Array], made_by: str, config: SearchConfig) -> dict[str, Any]:
    """All that the translations of these sources depend on, as JSON."""
    digest = hashlib.sha256()
    for ids in sources:
        digest.update(len(ids).to_bytes(8, "little"))
        digest.update(ids.astype("<i8").tobytes())
    return {"made_by": made_by, "search": config.to_dict(), "sources": digest.hexdigest()}


def check_made_from(found: Mapping[str, Any], wanted: Mapping[str, Any], file: Path, folder: Path) -> None:
    """Refuses what was made by another teacher, by another search, or from other sources.

    Args:
        found: what `file` says.
        wanted: what `made_from` says.
        file: where it stands.
        folder: what should be moved away.

    Raises:
        RunError: they differ; the message says in what.
    """
    if found["made_by"] != wanted["made_by"]:
        raise _foreign(f"was made by the teacher {found['made_by']}, not by {wanted['made_by']}", file, folder)
    if found["search"] != wanted["search"]:
        keys = sorted(
            key
            for key in {*found["search"], *wanted["search"]}
            if found["search"].get(key) != wanted["search"].get(key)
        )
        was, now = (", ".join(f"{key}={form['search'].get(key)}" for key in keys) for form in (found, wanted))
        raise _foreign(f"was made by another search: {was}, not {now}", file, folder)
    if found["sources"] != wanted["sources"]:
        raise _foreign("was made from other sources", file, folder)


def translate_in_parts(
    stepper: Stepper,
    sources: Sequence[Int64Array],
    config: SearchConfig,
    folder: Path,
    *,
    made_by: str,
    batch_size: int,
    warn: Warn,
) -> tuple[list[Int64Array], float]:
    """The best translation of each source, of which `folder/parts` may hold some already.

    All that is there is looked at before anything is translated, so a wrong folder is refused at once.

    Args:
        stepper: the teacher.
        sources: token ids of the sentences, each with its end symbol; one that is nothing else is not translated.
        config: beam, length penalty and limits of the length.
        folder: made if it is missing.
        made_by: names the teacher.
        batch_size: sentences that are translated together.
        warn: is told of a damaged part, which is made anew.

    Returns:
        The translations in the order of `sources`, and the seconds that they took in all processes together.

    Raises:
        RunError: a part was made by another teacher, by another search, or from other sources.
        AutoMoEError: the teacher's scores are not numbers.
    """
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    wanted = {
        parts / f"{index:06d}.json": sources[first : first + _PART_SOURCES]
        for index, first in enumerate(range(0, len(sources), _PART_SOURCES))
    }
    done: dict[Path, Any] = {}
    for file in sorted(parts.glob("*.json")):
        if (form := read_sealed(file)) is None:
            warn(f"{file} is damaged: its sentences are translated again")
        else:
            check_made_from(form, made_from(wanted.get(file, ()), made_by, config), file, folder)
            done[file] = form
    finished = sum(len(wanted[file]) for file in done)
    with Progress("translating the training set", total=len(sources), unit="sentence", done=finished) as progress:
        for file, part in wanted.items():
            if file not in done:
                begin = time.monotonic()
                targets = _translate(stepper, part, config, batch_size, progress)
                seconds = round(time.monotonic() - begin, 3)
                done[file] = made_from(part, made_by, config) | {"seconds": seconds, "targets": targets}
                write_atomically(file, sealed_json(done[file]))
    forms = [done[file] for file in wanted]
    translations = [np.array(line.split(), dtype=np.int64) for form in forms for line in form["targets"]]
    return translations, sum(form["seconds"] for form in forms)


def read_sealed(file: Path) -> dict[str, Any] | None:
    """The content of a JSON file that `files.sealed_json` made; None if it is damaged."""
    try:
        text = file.read_bytes().decode()
        return json.loads(text) if is_sealed(text) else None
    except ValueError:  # invalid UTF-8 too
        return None


def _translate(
    stepper: Stepper, sources: Sequence[Int64Array], config: SearchConfig, batch_size: int, progress: Progress
) -> list[str]:
    """Translations as ids with spaces between; sentences of like length go together, the longest first."""
    targets = [str(EOS)] * len(sources)
    rows = sorted((row for row, ids in enumerate(sources) if len(ids) > 1), key=lambda row: -len(sources[row]))
    progress.advance(len(sources) - len(rows))
    for first in range(0, len(rows), batch_size):
        batch = rows[first : first + batch_size]
        nbest = search(stepper, [sources[row] for row in batch], config)
        for row, hypotheses in zip(batch, nbest, strict=True):
            targets[row] = " ".join(map(str, hypotheses[0].tokens.tolist()))
        progress.advance(len(batch))
    return targets


def _foreign(problem: str, file: Path, folder: Path) -> RunError:
    return RunError(problem, file=file, hint=f"Nothing was changed. Use another folder, or move {folder} away")
