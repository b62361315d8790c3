"""Makes the benchmarks' models: random weights, as a bundle and, if dense, for CTranslate2 and fairseq too.

    python experiments/benchmarks/runtime/models.py FOLDER NAME...

Decoding random weights is like decoding trained ones (`automoe.nn.random_weights`): beams differ. Padding and end
symbol are unlikely, so that engines that treat what is forbidden differently emit the same tokens.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from automoe.space import Architecture, DecoderArch, DecoderLayerArch, EncoderArch, EncoderLayerArch

if TYPE_CHECKING:
    from automoe.nn import Transformer

UNEQUAL = (512, 256, 256, 128, 128, 128)
GROWTH = (1, 2, 4, 8, 16, 64)
"""Numbers of experts of the growth series."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """Sizes of a model whose layers are all alike."""

    layers: int
    """On each side."""
    dim: int
    heads: int
    widths: tuple[int, ...]
    """Of each layer's experts."""
    vocab_size: int

    @property
    def is_dense(self) -> bool:
        """Whether CTranslate2 and fairseq's own model can hold it."""
        return len(self.widths) == 1

    @property
    def arch(self) -> Architecture:
        """As AutoMoE describes it."""
        heads, dim = self.heads, self.dim
        encoder = EncoderLayerArch(heads=heads, qkv_dim=dim, expert_widths=self.widths)
        decoder = DecoderLayerArch(
            heads=heads, qkv_dim=dim, expert_widths=self.widths, cross_heads=heads, cross_qkv_dim=dim
        )
        return Architecture(
            encoder=EncoderArch(dim=self.dim, layers=(encoder,) * self.layers),
            decoder=DecoderArch(dim=self.dim, layers=(decoder,) * self.layers),
        )


def _small(*widths: int) -> Model:
    return Model(layers=3, dim=256, heads=4, widths=widths, vocab_size=6000)


def _tiny(*widths: int) -> Model:
    return Model(layers=1, dim=32, heads=2, widths=widths, vocab_size=200)


MODELS = {
    "tiny": _tiny(64),
    "tiny-6x": _tiny(*[64] * 6),
    "tiny-6x-unequal": _tiny(64, 32, 32, 16, 16, 16),
    "small": _small(512),
    "small-6x": _small(*[512] * 6),
    "small-6x-unequal": _small(*UNEQUAL),
    "base": Model(layers=6, dim=512, heads=8, widths=(2048,), vocab_size=32000),
    **{f"growth-{count}": _small(*[512] * count) for count in GROWTH},
}


def make(name: str, folder: Path) -> None:
    """Writes a model into `folder`/NAME: `bundle`, and `ctranslate2` and `fairseq` if it is dense."""
    import torch

    from automoe.decoding import SearchConfig
    from automoe.export import export_bundle
    from automoe.nn import Transformer, TransformerConfig
    from automoe.nn.random_weights import randomise

    model = MODELS[name]
    transformer = Transformer.without_weights(model.arch, TransformerConfig(vocab_size=model.vocab_size))
    transformer.to_empty(device="cpu").eval()
    randomise(transformer, torch.Generator().manual_seed(0))
    segmenter, pieces = _segmenter(model.vocab_size)
    here = folder / name
    export_bundle(
        transformer,
        here / "bundle",
        segmenter_model=segmenter,
        placeholder_pattern=None,
        source_language="xx",
        target_language="yy",
        max_source_tokens=256,
        decoding=SearchConfig().to_dict(),
        info={},
    )
    if model.is_dense:
        write_for_others(transformer, pieces, here)


def write_for_others(transformer: Transformer, pieces: list[str], folder: Path) -> None:
    """Writes a dense model for CTranslate2 and for fairseq."""
    import torch

    from automoe.export.ctranslate2 import write_model
    from automoe.export.fairseq_checkpoint import CHECKPOINT_FILE, checkpoint_of, dictionary_text

    (folder / "fairseq").mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint_of(transformer, "xx", "yy"), folder / "fairseq" / CHECKPOINT_FILE)
    for language in ("xx", "yy"):
        (folder / "fairseq" / f"dict.{language}.txt").write_text(dictionary_text(pieces), encoding="utf-8")
    for precision in ("float32", "int8"):
        (folder / "ctranslate2" / precision).mkdir(parents=True, exist_ok=True)
        write_model(transformer, pieces, folder / "ctranslate2" / precision, quantization=precision)


def _segmenter(vocab_size: int) -> tuple[bytes, list[str]]:
    """A SentencePiece model of made-up words, `w4` to `wN`, which no one trains, and its pieces."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    kind = sentencepiece_model_pb2.ModelProto.SentencePiece
    specials = [("<s>", kind.CONTROL), ("<pad>", kind.CONTROL), ("</s>", kind.CONTROL), ("<unk>", kind.UNKNOWN)]
    words = [(f"\u2581w{index}", kind.NORMAL) for index in range(len(specials), vocab_size)]
    for piece, type_ in specials + words:
        model.pieces.add(piece=piece, score=-10.0 if type_ == kind.NORMAL else 0.0, type=type_)
    trainer = model.trainer_spec
    trainer.model_type, trainer.vocab_size = trainer.UNIGRAM, vocab_size
    trainer.bos_id, trainer.pad_id, trainer.eos_id, trainer.unk_id = 0, 1, 2, 3
    model.normalizer_spec.name = "identity"
    return model.SerializeToString(), [piece for piece, _ in specials + words]


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        make(wanted, Path(sys.argv[1]))
