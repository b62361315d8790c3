"""Measures sub-transformers of a trained supernet: what `profile`, `select` and `evaluate` share."""

from __future__ import annotations

from pathlib import Path

from automoe.data import PreparedData
from automoe.errors import DataError
from automoe.latency import MeasuredTable, Panel, Profiler, TableHeader, panel, read_table
from automoe.latency.config import ProfileConfig
from automoe.nn import Transformer
from automoe.pipeline.manifest import machine, versions
from automoe.pipeline.shipping import Shipyard
from automoe.space import Architecture, SearchSpace
from automoe.supernet.evaluator import SupernetEvaluator, validation_batches

_LOAD_SENTENCES = 100
"""Validation sentences on which the loads of the experts are counted."""
_BUNDLES = "bundles.partial"


class Bench:
    """One supernet on this machine, ready to be measured.

    Args:
        supernet: the trained weights.
        prepared: the corpus that it was trained with.
        space: the space that it holds.
        config: how to measure.
        beam: hypotheses that are followed, as in use.
        folder: a stage's folder, for bundles that live for a moment.
    """

    def __init__(
        self,
        supernet: Transformer,
        prepared: PreparedData,
        space: SearchSpace,
        config: ProfileConfig,
        beam: int,
        folder: Path,
    ) -> None:
        self._supernet, self._space, self._config, self._beam = supernet, space, config, beam
        self.panel = sentences_of(prepared, config)
        self._shipyard = Shipyard(
            supernet,
            prepared,
            folder / _BUNDLES,
            backend=config.backend,
            precision=config.precision,
            threads=config.threads,
        )
        self._evaluator = SupernetEvaluator(supernet, validation_batches(prepared, limit=_LOAD_SENTENCES))

    @property
    def header(self) -> TableHeader:
        """The circumstances of measurements on this bench."""
        config = self._config
        return TableHeader(
            space_digest=self._space.digest,
            space_name=self._space.name,
            device=config.device,
            backend=config.backend,
            precision=config.precision,
            beam=self._beam,
            threads=config.threads,
            repeats=config.repeats,
            panel_digest=self.panel.digest,
            reference_digest=self._space.smallest().digest,
            machine={"processor": machine()["processor"]},
            versions=versions(),
        )

    def profiler(self, baseline_ms: float | None) -> Profiler:
        """Times architectures beside the smallest of the space, so that the reference itself takes little time.

        Args:
            baseline_ms: what the smallest took by the table that is gone on with; None begins a table.
        """
        smallest = self._space.smallest()
        return Profiler(
            self._shipyard.open, self.panel, smallest, self._config, beam=self._beam, baseline_ms=baseline_ms
        )

    def loads(self, arch: Architecture) -> dict[str, list[float]]:
        """Share of the tokens of each expert, by layer, with inherited weights."""
        return {
            f"{side} {layer}": [round(count / sum(counts), 4) for count in counts]
            for (side, layer), counts in self._evaluator.loads(arch).items()
        }


def sentences_of(prepared: PreparedData, config: ProfileConfig) -> Panel:
    """The validation sentences that every model translates while it is timed."""
    sources, targets = prepared.ids("valid", "src"), prepared.ids("valid", "tgt")
    lengths = [len(targets[row]) - 1 for row in range(len(targets))]
    return panel([sources[row] for row in range(len(sources))], lengths, config.sentences)


def recorded_table(path: Path, space: SearchSpace, config: ProfileConfig, beam: int) -> MeasuredTable:
    """Reads a table and checks that it was measured for this space and as this run would measure.

    Raises:
        DataError, SpaceError, AutoMoEError: it is missing, damaged, or of another space, device, backend, precision
            or beam.
    """
    if not path.is_file():
        hint = "Name a table.jsonl, such as runs/NAME/profile/current/table.jsonl"
        raise DataError("there is no such file", file=path, key="profile.table", hint=hint)
    table = read_table(path)
    table.check(space_digest=space.digest, space_name=space.name, device=config.device)
    _check_circumstance(table, "backend", config.backend, "Set profile.backend to that of the table")
    _check_circumstance(table, "precision", config.precision, "Set profile.precision to that of the table")
    _check_circumstance(table, "beam", beam, "Set decoding.beam to that of the table")
    return table


def check_sentences(table: MeasuredTable, prepared: PreparedData, space: SearchSpace, config: ProfileConfig) -> None:
    """Checks that a table was measured on the sentences of this corpus, beside the reference of this space.

    Raises:
        DataError: it was not.
    """
    hint = "Use the corpus and profile.sentences that it was measured with, or measure here (profile.table=null)"
    _check_circumstance(table, "panel_digest", sentences_of(prepared, config).digest, hint)
    _check_circumstance(table, "reference_digest", space.smallest().digest, hint)


def _check_circumstance(table: MeasuredTable, name: str, wanted: object, hint: str) -> None:
    found = getattr(table.header, name)
    if found != wanted:
        raise DataError(
            "was measured under other circumstances than this run asks for",
            file=table.path,
            line=1,
            key=name,
            value=found,
            allowed=str(wanted),
            hint=hint,
        )
