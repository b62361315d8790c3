"""What `automoe teacher` prints: who teaches, how well, and what its translations of the corpus are like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from automoe.distill.sequences import read_targets
from automoe.files import read_json
from automoe.pipeline.files import TEACHER
from automoe.pipeline.teacher import translates


def teacher_result(folders: Mapping[str, Path]) -> dict[str, Any]:
    """The JSON form."""
    folder = folders["teacher"]
    translations = asdict(read_targets(folder).summary) if translates(folder) else None
    return {**read_json(folder / TEACHER), "translations": translations}


def teacher_table(made: Mapping[str, Any]) -> str:
    """The same for people."""
    lines = [f"teaches: {'; '.join(made['models'])}, validation loss {made['valid_nll']:.4f} nats a token"]
    if (found := made["translations"]) is not None:
        lines.append(
            f"translated {found['sentences']:,} training sources ({found['distinct']:,} different) in "
            f"{found['seconds']:.0f} s: {found['length_ratio']:.2f} tokens for one of the references, "
            f"{found['endless']:,} without an end"
        )
    return "\n".join([*lines, str(made["folder"])])
