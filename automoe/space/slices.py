"""Says which part of an architecture is larger than a model that shall lend it its weights."""

from __future__ import annotations

from collections.abc import Iterator

from automoe.errors import SpaceError
from automoe.space.architecture import Architecture, DecoderLayerArch, EncoderLayerArch

_Excess = tuple[str, int | list[int], str, str]
"""Key, what is asked, what is wrong with it, what there is."""


def slice_error(arch: Architecture, maximum: Architecture) -> SpaceError | None:
    """The error that names the first part of `arch` that is no slice of `maximum`; None if `arch.fits(maximum)`."""
    excess = next(_excesses(arch, maximum), None)
    if excess is None:
        return None
    key, asked, problem, allowed = excess
    return SpaceError(
        f"the architecture is no slice of this model's largest architecture: {problem}",
        key=key,
        value=asked,
        allowed=allowed,
        hint="Take a smaller architecture, or train a supernet whose space holds this one",
    )


def _excesses(arch: Architecture, maximum: Architecture) -> Iterator[_Excess]:
    for name, side, large in (("encoder", arch.encoder, maximum.encoder), ("decoder", arch.decoder, maximum.decoder)):
        yield from _numbers(f"{name}.dim", side.dim, large.dim, "it is wider")
        yield from _numbers(f"{name}.layers", len(side.layers), len(large.layers), "it is deeper")
        for index, (layer, large_layer) in enumerate(zip(side.layers, large.layers, strict=False)):
            yield from _layer_excesses(f"{name}.layers[{index}]", layer, large_layer)


def _layer_excesses(key: str, layer: EncoderLayerArch, large: EncoderLayerArch) -> Iterator[_Excess]:
    yield from _numbers(f"{key}.qkv_dim", layer.qkv_dim, large.qkv_dim, "its attention is wider")
    if isinstance(layer, DecoderLayerArch) and isinstance(large, DecoderLayerArch):
        wider = "its cross-attention is wider"
        yield from _numbers(f"{key}.cross_qkv_dim", layer.cross_qkv_dim, large.cross_qkv_dim, wider)
    widths, rooms = list(layer.expert_widths), list(large.expert_widths)
    there = f"up to {len(rooms)} expert(s), of widths up to {rooms}"
    if len(widths) > len(rooms):
        yield (
            f"{key}.expert_widths",
            widths,
            f"it asks for {len(widths)} experts of a layer that has {len(rooms)}",
            there,
        )
    elif any(width > room for width, room in zip(widths, rooms, strict=False)):
        yield f"{key}.expert_widths", widths, "it asks for wider experts than the layer has", there


def _numbers(key: str, asked: int, there: int, problem: str) -> Iterator[_Excess]:
    if asked > there:
        yield key, asked, problem, f"up to {there}"
