"""`export_bundle`: a trained standalone model becomes a bundle that `automoe translate` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from automoe.bundle import (
    CARD_FILE,
    PRECISIONS,
    SEGMENTER_FILE,
    SHORTLIST_FILE,
    WEIGHTS_FILE,
    Bundle,
    BundleManifest,
    graph_file,
    read_bundle,
    weights_file,
    write_bundle,
)
from automoe.cost import Costs, costs
from automoe.decoding.shortlist import Shortlist
from automoe.errors import DependencyError
from automoe.export.card_facts import CardFacts
from automoe.export.model_card import model_card
from automoe.export.weight_file import Array, WeightFile
from automoe.export.weights import ordered_weights
from automoe.nn import Transformer, TransformerConfig
from automoe.space import Architecture


def export_bundle(
    transformer: Transformer,
    folder: Path,
    *,
    segmenter_model: bytes,
    placeholder_pattern: str | None,
    source_language: str,
    target_language: str,
    max_source_tokens: int,
    decoding: Mapping[str, Any],
    info: Mapping[str, Any],
    precisions: Sequence[str] = PRECISIONS,
    shortlist: Shortlist | None = None,
) -> Bundle:
    """Writes a model and all that translation needs into the new folder `folder`.

    Args:
        transformer: a standalone model: its largest architecture is what is exported.
        folder: the bundle's folder.
        segmenter_model: SentencePiece model of the vocabulary that it was trained with.
        placeholder_pattern: what the segmenter hides from the model.
        source_language: language code.
        target_language: language code.
        max_source_tokens: longer sources are cut.
        decoding: `SearchConfig.to_dict()`, the defaults of translation.
        info: for people, JSON: corpus, training, scores.
        precisions: those that ONNX Runtime shall be able to run it in.
        shortlist: which tokens the source's tokens can become, if translation may be restricted to them.

    Raises:
        BundleError: `folder` holds something that is no bundle.
        AutoMoEError: a weight is not finite.
        DependencyError: onnx is not installed.
    """
    arch, config = transformer.maximum, transformer.config
    costs_of_model = costs(arch, vocab_size=config.vocab_size, pre_norm=config.pre_norm)
    info = {**info, "costs": costs_of_model.to_dict(), "architecture_digest": arch.digest}
    manifest = BundleManifest(
        architecture=arch.to_dict(),
        model=config.to_dict(),
        source_language=source_language,
        target_language=target_language,
        placeholder_pattern=placeholder_pattern,
        max_source_tokens=max_source_tokens,
        decoding=dict(decoding),
        info=info,
    )
    weights = ordered_weights(transformer)
    graphs = _graph_files(transformer, weights, precisions)
    card = model_card(
        arch,
        costs_of_model,
        manifest,
        weights_bytes={precision: len(graphs[weights_file(precision)]) for precision in precisions},
        shortlist=shortlist is not None,
    )
    files: dict[str, bytes | Path] = {
        WEIGHTS_FILE: graphs.get(WEIGHTS_FILE) or WeightFile(WEIGHTS_FILE, weights).to_bytes(),
        SEGMENTER_FILE: segmenter_model,
        CARD_FILE: card.encode(),
        **graphs,
    }
    if shortlist is not None:
        files[SHORTLIST_FILE] = shortlist.to_bytes()
    return write_bundle(folder, manifest, files)


def rewrite_card(folder: Path, facts: CardFacts, info: Mapping[str, Any]) -> Bundle:
    """Replaces the card and adds to the information of a finished bundle, once it was measured; nothing else changes.

    The new bundle is written aside whole; then the old one is removed and the new one renamed. Between the two there
    is none under the name: the folder is meant to be nobody's but the stage's that makes it.

    Args:
        folder: the bundle.
        facts: what the card shall say.
        info: JSON values that are added to `BundleManifest.info`.

    Raises:
        BundleError: there is no whole bundle.
    """
    bundle = read_bundle(folder)
    manifest = replace(bundle.manifest, info={**bundle.manifest.info, **info})
    names = bundle.manifest.files
    card = model_card(
        Architecture.from_dict(manifest.architecture),
        _costs(manifest),
        manifest,
        weights_bytes={
            precision: names[weights_file(precision)].bytes
            for precision in PRECISIONS
            if graph_file("encoder", precision) in names
        },
        shortlist=SHORTLIST_FILE in names,
        facts=facts,
    )
    files: dict[str, bytes | Path] = {name: bundle.path(name) for name in names}
    return write_bundle(folder, manifest, files | {CARD_FILE: card.encode()})


def _costs(manifest: BundleManifest) -> Costs:
    config = TransformerConfig.from_dict(manifest.model)
    arch = Architecture.from_dict(manifest.architecture)
    return costs(arch, vocab_size=config.vocab_size, pre_norm=config.pre_norm)


def _graph_files(
    transformer: Transformer, weights: Mapping[str, Array], precisions: Sequence[str]
) -> dict[str, bytes]:
    try:
        from automoe.export.graphs.files import graph_files
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("automoe"):
            raise
        raise DependencyError(error.name, extra="train") from error
    return graph_files(transformer.maximum, transformer.config, weights, precisions)
