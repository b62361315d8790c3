"""Measures sub-transformers of a trained supernet: what `profile`, `select` and `evaluate` share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from automoe.data import PreparedData
from automoe.decoding.symbols import PAD
from automoe.errors import DataError
from automoe.latency import MeasuredTable, Panel, Profiler, TableHeader, panel, random_panel, read_table
from automoe.latency.config import EVEN, ProfileConfig
from automoe.latency.sentences import PANEL_SEED
from automoe.machine import describe_machine
from automoe.nn import Transformer
from automoe.nn.even_routing import even_routing
from automoe.nn.expert_loads import expert_loads
from automoe.pipeline.manifest import versions
from automoe.pipeline.shipping import Shipyard, sub_transformer
from automoe.runtime.backend import check_device
from automoe.space import Architecture, SearchSpace
from automoe.supernet.evaluator import validation_batches

_LOAD_SENTENCES = 100
"""Sentences on which the loads of the experts are counted, and by which routers are made even."""
_LOAD_SEED = 1
"""Of the random sentences on which loads are counted, which are others than those that are timed (`PANEL_SEED`)."""
_Sentences = list[tuple[torch.Tensor, torch.Tensor]]
"""Batches of `source_BS` and of what the decoder reads, padded on the right."""
_BUNDLES = "bundles.partial"
_FREE_IN_RECORDED = ("architectures", "doubts", "repeats", "max_repeats", "tolerance")
"""Settings that choose what is measured, and how often: of a recorded table they ask nothing."""


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
        self._load_batches = _load_batches(prepared, config)
        self._shipyard = Shipyard(
            supernet,
            prepared,
            folder / _BUNDLES,
            backend=config.backend,
            precision=config.precision,
            threads=config.threads,
            device=config.device,
            prepare=self._prepare,
        )

    @property
    def header(self) -> TableHeader:
        """The circumstances of measurements on this bench."""
        config = self._config
        return TableHeader(
            space_digest=self._space.digest,
            space_name=self._space.name,
            device=config.device_name,
            backend=config.backend,
            precision=config.precision,
            beam=self._beam,
            batch=config.batch,
            threads=config.threads,
            routing=config.routing,
            repeats=config.repeats,
            max_repeats=config.max_repeats,
            tolerance=config.tolerance,
            lengths=config.lengths,
            panel_digest=self.panel.digest,
            reference_digest=self._space.smallest().digest,
            machine=describe_machine(),
            versions=versions(),
        )

    def profiler(self, baseline_ms: float | None) -> Profiler:
        """Times architectures beside the smallest of the space, so that the reference itself takes little time.

        Args:
            baseline_ms: what the smallest took by the table that is gone on with; None begins a table.
        """
        return Profiler(
            self._shipyard.open,
            self.panel,
            self._space.smallest(),
            self._config,
            beam=self._beam,
            baseline_ms=baseline_ms,
        )

    def loads(self, arch: Architecture) -> dict[str, list[float]]:
        """Share of the tokens of each expert, by layer, in the model that is timed, under teacher forcing."""
        model = sub_transformer(self._supernet, arch).eval()
        self._prepare(model)
        return {
            f"{side} {layer}": [round(count / sum(counts), 4) for count in counts]
            for (side, layer), counts in expert_loads(model, self._load_batches).items()
        }

    def _prepare(self, model: Transformer) -> None:
        """Replaces the routers where loads shall be even."""
        if self._config.routing == EVEN:
            sources = [row_S[row_S != PAD].numpy() for source_BS, _ in self._load_batches for row_S in source_BS]
            even_routing(model, sources)


def check_measurable(config: ProfileConfig) -> None:
    """Checks that this machine has the device to measure on.

    Raises:
        ConfigError: it has not.
    """
    check_device(config.backend, config.device, "profile.device")


def sentences_of(prepared: PreparedData, config: ProfileConfig) -> Panel:
    """The sentences that every model translates while it is timed: of the validation split, or random ones."""
    if config.lengths is not None:
        in_turn = config.lengths * (config.sentences // len(config.lengths))
        return random_panel(in_turn, prepared.summary.vocab_size, PANEL_SEED)
    sources, targets = prepared.ids("valid", "src"), prepared.ids("valid", "tgt")
    lengths = [len(targets[row]) - 1 for row in range(len(targets))]
    return panel([sources[row] for row in range(len(sources))], lengths, config.sentences)


def _load_batches(prepared: PreparedData, config: ProfileConfig) -> _Sentences:
    """Sentences like those that are timed, with a target each."""
    if config.lengths is None:
        batches = validation_batches(prepared, limit=_LOAD_SENTENCES)
        return [(batch.source_BS, batch.previous_BL) for batch in batches]
    each = -(-_LOAD_SENTENCES // len(config.lengths))
    found = []
    for length in config.lengths:
        ids_BS = np.array(random_panel([length] * (2 * each), prepared.summary.vocab_size, _LOAD_SEED).sources)
        source_BS, target_BS = ids_BS[:each], ids_BS[each:]
        previous_BS = np.roll(target_BS, 1, axis=1)  # the end symbol comes first
        found.append((torch.from_numpy(source_BS), torch.from_numpy(previous_BS)))
    return found


def what_is_asked(config: ProfileConfig) -> ProfileConfig:
    """The settings without those that a recorded table does not depend on: what is not read shall not be hashed."""
    if config.table is None:
        return config
    return replace(config, **{name: getattr(ProfileConfig, name) for name in _FREE_IN_RECORDED})


def recorded_table(path: Path, space: SearchSpace, config: ProfileConfig, beam: int) -> MeasuredTable:
    """Reads a table and checks that it was measured for this space and as this run would measure.

    Raises:
        DataError, SpaceError, AutoMoEError: it is missing, damaged, or of another space, device, backend, precision,
            beam, batch, routing or lengths.
    """
    if not path.is_file():
        hint = "Name a table.jsonl, such as runs/NAME/profile/current/table.jsonl"
        raise DataError("there is no such file", file=path, key="profile.table", hint=hint)
    table = read_table(path)
    table.check(space_digest=space.digest, space_name=space.name, device=config.device_name)
    for name in ("backend", "precision", "batch", "routing", "lengths"):
        _check_circumstance(table, name, getattr(config, name), f"Set profile.{name} to that of the table")
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
