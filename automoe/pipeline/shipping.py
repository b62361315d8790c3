"""Any sub-transformer as it would be shipped: its own weights, in a bundle, in the runtime that users have.

What is profiled, measured on demand, exported and evaluated all comes from here, so that none of them can differ.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from automoe.bundle import PRECISIONS, Bundle, read_bundle
from automoe.data import PreparedData
from automoe.decoding import Stepper
from automoe.decoding.shortlist import Shortlist
from automoe.export import export_bundle
from automoe.nn import Transformer
from automoe.pipeline.config import DecodingConfig
from automoe.runtime.backend import check_device, find_backend, graphs_for
from automoe.space import Architecture
from automoe.supernet.placement import supernet_placement


def ship(
    transformer: Transformer,
    folder: Path,
    prepared: PreparedData,
    decoding: DecodingConfig,
    info: Mapping[str, Any],
    *,
    precisions: Sequence[str] = PRECISIONS,
    shortlist: Shortlist | None = None,
) -> Bundle:
    """Writes a standalone model as a bundle.

    Args:
        transformer: its largest architecture is what is exported.
        folder: the bundle's folder; a bundle that is there already is replaced.
        prepared: the corpus that it was trained with: segmenter, languages.
        decoding: the defaults of translation.
        info: for people.
        precisions: those that ONNX Runtime shall be able to run it in.
        shortlist: which tokens the source's tokens can become, if translation may be restricted to them.
    """
    return export_bundle(
        transformer,
        folder,
        segmenter_model=prepared.segmenter.model,
        placeholder_pattern=prepared.summary.placeholder_pattern,
        source_language=prepared.source_lang,
        target_language=prepared.target_lang,
        max_source_tokens=decoding.max_source_tokens,
        decoding=decoding.search().to_dict(),
        info=info,
        precisions=precisions,
        shortlist=shortlist,
    )


def sub_transformer(supernet: Transformer, arch: Architecture) -> Transformer:
    """A standalone model of this architecture with the weights that it inherits."""
    return supernet.extract(arch, supernet_placement(arch))


class Shipyard:
    """Opens sub-transformers of a supernet in the shipped runtime, for measuring.

    With every backend they pass through a bundle on the disk, also where the weights could be handed on: what is
    measured is then what `load` runs, to the layout of its weights in memory. It takes milliseconds.

    Args:
        supernet: the trained weights.
        prepared: the corpus.
        folder: where bundles are put for the moment; it is emptied.
        backend: what runs them.
        precision: what it runs them in.
        threads: threads of the backend.
        device: where it runs them.
        prepare: changes each extracted sub-transformer before it is shipped, such as its routers.

    Raises:
        ConfigError: there is no such backend, or it cannot run on that device.
    """

    def __init__(
        self,
        supernet: Transformer,
        prepared: PreparedData,
        folder: Path,
        *,
        backend: str,
        precision: str,
        threads: int,
        device: str = "cpu",
        prepare: Callable[[Transformer], None] | None = None,
    ) -> None:
        check_device(backend, device, "profile.device")
        self._supernet, self._prepared, self._folder = supernet, prepared, folder
        self._open = partial(find_backend(backend), threads=threads, precision=precision, device=device)
        self._prepare = prepare
        self._graphs = graphs_for(backend, precision)

    def open(self, arch: Architecture) -> Stepper:
        """The sub-transformer with its inherited weights, prepared, ready to decode."""
        bundle = self._folder / "bundle"
        model = sub_transformer(self._supernet, arch)
        if self._prepare is not None:
            self._prepare(model)
        ship(model, bundle, self._prepared, DecodingConfig(), {}, precisions=self._graphs)
        try:
            return self._open(read_bundle(bundle))
        finally:
            shutil.rmtree(bundle)  # the stepper holds what it needs
