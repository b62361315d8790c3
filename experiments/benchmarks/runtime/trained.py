"""Takes trained models out of a finished run: real words, real ends of sentences, real routing.

    python experiments/benchmarks/runtime/trained.py FOLDER RUN_FOLDER

`shipped` is the run's model, `largest` the largest sub-transformer of its supernet (experts in every layer), `dense`
the largest one without experts, which CTranslate2 can hold too. All have a shortlist of the run's training data.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from automoe.bundle import read_bundle
from automoe.space import Architecture, DecoderArch, EncoderArch

if TYPE_CHECKING:
    from automoe.data import PreparedData

NAMES = ("shipped", "largest", "dense")


def corpus(run: Path) -> PreparedData:
    """The corpus of a run."""
    from automoe.data import PreparedData

    return PreparedData.open(run / "data" / "current")


def without_experts(arch: Architecture) -> Architecture:
    """The same sizes with the widest expert of each layer alone, and cross-attention to the last encoder layer."""
    encoder = tuple(replace(layer, expert_widths=layer.expert_widths[:1], top_k=1) for layer in arch.encoder.layers)
    decoder = tuple(
        replace(layer, expert_widths=layer.expert_widths[:1], top_k=1, cross_layers=1)
        for layer in arch.decoder.layers
    )
    return Architecture(
        encoder=EncoderArch(dim=arch.encoder.dim, layers=encoder),
        decoder=DecoderArch(dim=arch.decoder.dim, layers=decoder),
    )


def make(run: Path, folder: Path) -> None:
    """Writes the models of `NAMES` into folders of these names."""
    from models import write_for_others

    from automoe.data.alignment import build_shortlist
    from automoe.export import export_bundle
    from automoe.nn.model_folder import read_model
    from automoe.runtime.torch_backend import load_transformer
    from automoe.supernet.placement import supernet_placement

    prepared, shipped = corpus(run), read_bundle(run / "export" / "current" / "bundle")
    supernet = read_model(run / "supernet" / "current")
    dense = without_experts(supernet.maximum)
    transformers = {
        "shipped": load_transformer(shipped),
        "largest": supernet,
        "dense": supernet.extract(dense, supernet_placement(dense)).eval(),
    }
    vocab_size = supernet.config.vocab_size
    shortlist = build_shortlist(prepared.ids("train", "src"), prepared.ids("train", "tgt"), vocab_size)
    for name, transformer in transformers.items():
        export_bundle(
            transformer,
            folder / name / "bundle",
            segmenter_model=prepared.segmenter.model,
            placeholder_pattern=prepared.summary.placeholder_pattern,
            source_language=prepared.source_lang,
            target_language=prepared.target_lang,
            max_source_tokens=shipped.manifest.max_source_tokens,
            decoding=shipped.manifest.decoding,
            info={},
            shortlist=shortlist,
        )
    write_for_others(transformers["dense"], prepared.segmenter.pieces(), folder / "dense")


if __name__ == "__main__":
    make(Path(sys.argv[2]), Path(sys.argv[1]))
