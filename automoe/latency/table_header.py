"""`TableHeader`: under which circumstances a table was measured; its first line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from automoe.errors import AutoMoEError
from automoe.machine import identity_of

FORMAT = 3
"""Version of the table's form; a reader refuses any other."""
_TEXTS = (
    *("space_digest", "space_name", "device", "backend", "precision", "routing"),
    *("panel_digest", "reference_digest"),
)
_FREE = ("space_name", "versions", "reference_baseline_ms")


@dataclass(frozen=True, kw_only=True)
class TableHeader:
    """What all rows of a measured table have in common."""

    space_digest: str
    """Digest of the search space that the architectures were drawn from."""
    space_name: str
    device: str
    """Such as "cpu-1t": see `ProfileConfig.device_name`."""
    backend: str
    """What ran the models."""
    precision: str
    """In which they were run."""
    beam: int
    batch: int
    """Sentences translated together; all times are per sentence nevertheless."""
    threads: int
    routing: str
    """Who decided which expert a token got: see `ProfileConfig.routing`."""
    repeats: int
    max_repeats: int
    tolerance: float
    """Until when each row was measured: see `ProfileConfig`."""
    lengths: tuple[int, ...] | None
    """Of sentences of random tokens, end symbols counted; None for real sentences."""
    panel_digest: str
    """Digest of the sentences; see `Panel`."""
    reference_digest: str
    """Digest of the reference architecture."""
    machine: dict[str, Any]
    """What was measured on, as `describe_machine` found it when the table was begun; a table is only continued on the
    machine that began it, by `identity_of`."""
    versions: dict[str, str]
    """Versions of what ran when the table was begun; for people."""
    reference_baseline_ms: float | None = None
    """What the reference took in the first measurement, or in all of a settled table; None before the first."""

    def circumstances(self) -> dict[str, Any]:
        """What has to be the same for a table to be continued, by name, in the order of the header.

        The name of the space is a label, versions and most of the machine are for people, and the baseline is known
        from the first measurement on.
        """
        form = asdict(self) | {"machine": identity_of(self.machine, self.device)}
        return {name: value for name, value in form.items() if name not in _FREE}

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
        _check_values(form)
        lengths = form["lengths"]
        return cls(**{name: form[name] for name in names} | {"lengths": lengths and tuple(lengths)})


def _check_values(form: Mapping[str, Any]) -> None:
    baseline = form["reference_baseline_ms"]
    if not isinstance(baseline, int | float) or isinstance(baseline, bool) or not 0 < baseline < float("inf"):
        raise AutoMoEError("is not a positive number", key="reference_baseline_ms", value=baseline, allowed="> 0")
    for name in ("beam", "batch", "threads", "repeats", "max_repeats"):
        if type(form[name]) is not int or form[name] < 1:
            raise AutoMoEError("is not a whole number above 0", key=name, value=form[name])
    tolerance, lengths = form["tolerance"], form["lengths"]
    if not isinstance(tolerance, int | float) or isinstance(tolerance, bool) or not 0 <= tolerance < 1:
        raise AutoMoEError("is no share", key="tolerance", value=tolerance, allowed="0 <= share < 1")
    if lengths is not None and not (isinstance(lengths, list) and lengths and all(map(_is_length, lengths))):
        allowed = "a list of whole numbers >= 2, or null"
        raise AutoMoEError("is no list of lengths", key="lengths", value=lengths, allowed=allowed)
    for name in _TEXTS:
        if not isinstance(form[name], str):
            raise AutoMoEError("is no text", key=name, value=form[name])
    if not isinstance(form["machine"], dict):
        raise AutoMoEError("describes no machine", key="machine", value=form["machine"])


def _is_length(value: Any) -> bool:
    return type(value) is int and value >= 2
