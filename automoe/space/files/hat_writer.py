"""Writes the sub-transformer files of HAT (Wang et al. 2020) and AutoMoE (Jawahar et al. 2023), which `hat` reads.

Keys stand in the order in which their searches write them. A model without experts becomes a file of HAT; one with
experts becomes a file of AutoMoE, which says the widths of single experts only if those of some layer differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from automoe.errors import SpaceError
from automoe.files import write_atomically
from automoe.space.architecture import Architecture, DecoderArch, DecoderLayerArch, EncoderArch
from automoe.space.files.hat import QKV_DIM

_CROSS_CODES = {1: -1, 2: 1, 3: 2}
"""How the files say that cross-attention sees the last 1, 2 or 3 encoder layers."""
_INSTEAD = "Write it as YAML or JSON of AutoMoE, which hold every architecture"


def write_hat(path: str | Path, arch: Architecture) -> None:
    """Writes an architecture as a sub-transformer file of HAT or AutoMoE; `read_architecture` reads it back.

    Raises:
        SpaceError: as `hat_yaml`.
    """
    write_atomically(Path(path), hat_yaml(arch))


def hat_yaml(arch: Architecture) -> str:
    """The sub-transformer file of an architecture: of HAT if every layer is dense, of AutoMoE otherwise.

    Raises:
        SpaceError: the form cannot hold the architecture; names the layer and why.
    """
    qkv_dim = _only_qkv_dim(arch)
    blocks = [*_sizes(arch)]
    if any(layer.num_experts > 1 for _, _, layer in arch.layers()):
        blocks += _experts(arch)
    if qkv_dim != QKV_DIM:
        blocks.append([f"qkv-dim: {qkv_dim}"])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _only_qkv_dim(arch: Architecture) -> int:
    """The width of all attentions: the form has one for the whole model."""
    first = arch.encoder.layers[0].qkv_dim
    for side, index, layer in arch.layers():
        widths = {"qkv_dim": layer.qkv_dim}
        if isinstance(layer, DecoderLayerArch):
            widths["cross_qkv_dim"] = layer.cross_qkv_dim
        for key, width in widths.items():
            if width != first:
                raise SpaceError(
                    f"the form of HAT has one qkv-dim for all attentions, and encoder.layers[0].qkv_dim is {first}",
                    key=f"{side}.layers[{index}].{key}",
                    value=width,
                    hint=_INSTEAD,
                )
    return first


def _sizes(arch: Architecture) -> Iterator[list[str]]:
    sides: dict[str, EncoderArch | DecoderArch] = {"encoder": arch.encoder, "decoder": arch.decoder}
    yield [f"{name}-embed-dim-subtransformer: {side.dim}" for name, side in sides.items()]
    yield [
        f"{name}-ffn-embed-dim-all-subtransformer: {[layer.expert_widths[0] for layer in side.layers]}"
        for name, side in sides.items()
    ]
    yield [f"{name}-layer-num-subtransformer: {len(side.layers)}" for name, side in sides.items()]
    heads = [
        f"{name}-self-attention-heads-all-subtransformer: {[layer.heads for layer in side.layers]}"
        for name, side in sides.items()
    ]
    cross_heads = [layer.cross_heads for layer in arch.decoder.layers]
    yield [*heads, f"decoder-ende-attention-heads-all-subtransformer: {cross_heads}"]
    codes = [_cross_code(index, layer) for index, layer in enumerate(arch.decoder.layers)]
    yield [f"decoder-arbitrary-ende-attn-all-subtransformer: {codes}"]


def _cross_code(index: int, layer: DecoderLayerArch) -> int:
    if layer.cross_layers not in _CROSS_CODES:
        raise SpaceError(
            "the form of HAT has no code for this many encoder layers",
            key=f"decoder.layers[{index}].cross_layers",
            value=layer.cross_layers,
            allowed=f"1 to {max(_CROSS_CODES)}",
            hint=_INSTEAD,
        )
    return _CROSS_CODES[layer.cross_layers]


def _experts(arch: Architecture) -> Iterator[list[str]]:
    sides: dict[str, EncoderArch | DecoderArch] = {"encoder": arch.encoder, "decoder": arch.decoder}
    yield [f"{name}-n-experts: {[layer.num_experts for layer in side.layers]}" for name, side in sides.items()]
    yield [f"{name}-num-experts-to-route: {[layer.top_k for layer in side.layers]}" for name, side in sides.items()]
    if any(len(set(layer.expert_widths)) > 1 for _, _, layer in arch.layers()):
        # A list of `str` prints quotes, and they are needed: YAML 1.1 reads a bare 3072_1024 as the number 30721024.
        joined = {name: ["_".join(map(str, layer.expert_widths)) for layer in side.layers]
                  for name, side in sides.items()}  # fmt: skip
        yield [f"{name}-each-expert-ffn-dim-listoflist: {widths}" for name, widths in joined.items()]
