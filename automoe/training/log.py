"""The record of a training: `training.jsonl`, one line each for training losses and validations.

Where weights were averaged in the end, the last line is the validation of the average, and says of which updates.

Where layers have several experts, a line has `routers`: by layer ("encoder 0") a `RouterReport`, over the batches of
the step or over the validation set. Of a supernet it is that of the largest sub-transformer; but in the training of a
single path that of the one which the step visited.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from automoe.files import write_atomically

FILE = "training.jsonl"
AVERAGE = "average"
"""Kind of the record of averaged weights."""


class TrainingLog:
    """Appends records; a resumed training first drops what is newer than its checkpoint, and torn lines."""

    def __init__(self, folder: Path, *, resumed_at: int | None) -> None:
        """Goes on with the record in `folder` after the update `resumed_at`, or begins a new one (None)."""
        self._path = folder / FILE
        known = [] if resumed_at is None else [r for r in read_log(folder) if r["update"] <= resumed_at]
        kept = [record for record in known if record["kind"] != AVERAGE]  # it will be averaged again
        write_atomically(self._path, "".join(json.dumps(record) + "\n" for record in kept))

    def write(self, kind: str, update: int, **values: Any) -> None:
        """Appends one record; `kind` is `train`, `valid` or `average`."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"kind": kind, "update": update, **values}) + "\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """All whole records of the training in `folder`, oldest first; none if it never began."""
    path = folder / FILE
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:  # a kill tore the last line
            break
    return records
