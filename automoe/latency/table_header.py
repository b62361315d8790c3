"""`TableHeader`: under which circumstances a table was measured; its first line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from automoe.errors import AutoMoEError

FORMAT = 2
"""Version of the table's form; a reader refuses any other."""


@dataclass(frozen=True, kw_only=True)
class TableHeader:
    """What all rows of a measured table have in common."""

    space_digest: str
    """Digest of the search space that the architectures were drawn from."""
    space_name: str
    device: str
    """Such as "cpu-1t": see `ProfileConfig.device`."""
    backend: str
    """What ran the models."""
    precision: str
    """In which they were run."""
    beam: int
    threads: int
    repeats: int
    panel_digest: str
    """Digest of the sentences; see `Panel`."""
    reference_digest: str
    """Digest of the reference architecture."""
    machine: dict[str, Any]
    """What identifies the machine (its processor), and nothing that changes by itself: a table is only continued on
    the machine that began it."""
    versions: dict[str, str]
    """Versions of what ran when the table was begun; for people."""
    reference_baseline_ms: float | None = None
    """What the reference took in the first measurement, or in all of a settled table; None before the first."""

    def with_baseline(self, reference_ms: float | None) -> TableHeader:
        """The same header with another baseline."""
        return replace(self, reference_baseline_ms=reference_ms)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> TableHeader:
        """Reads the JSON form of `to_dict`.

        Raises:
            AutoMoEError: it is of another format, or lacks something.
        """
        if "format" not in form:
            raise AutoMoEError("the header is missing", hint="The first line of a measured table describes it")
        if form["format"] != FORMAT:
            raise AutoMoEError(
                "is of another version of AutoMoE", key="format", value=form["format"], allowed=str(FORMAT)
            )
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in form]:
            raise AutoMoEError("is missing in the header", key=missing[0])
        baseline = form["reference_baseline_ms"]
        if not isinstance(baseline, int | float) or isinstance(baseline, bool) or not 0 < baseline < float("inf"):
            raise AutoMoEError("is not a positive number", key="reference_baseline_ms", value=baseline, allowed="> 0")
        return cls(**{name: form[name] for name in names})
