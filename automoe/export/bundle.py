"""`export_bundle`: a trained standalone model becomes a bundle that `automoe translate` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automoe.bundle import CARD_FILE, SEGMENTER_FILE, WEIGHTS_FILE, Bundle, BundleManifest, write_bundle
from automoe.cost import costs
from automoe.export.model_card import model_card
from automoe.nn import Transformer
from automoe.nn.model_folder import weights_as_bytes


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

    Raises:
        BundleError: `folder` holds something that is no bundle.
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
    files: dict[str, bytes | Path] = {
        WEIGHTS_FILE: weights_as_bytes(transformer),
        SEGMENTER_FILE: segmenter_model,
        CARD_FILE: model_card(arch, costs_of_model, manifest).encode(),
    }
    return write_bundle(folder, manifest, files)
