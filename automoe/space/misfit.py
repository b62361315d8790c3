"""Says which size of an architecture a search space lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from automoe.errors import SpaceError
from automoe.space.architecture import Architecture, DecoderLayerArch, EncoderLayerArch
from automoe.space.genes import Choices, DecoderLayerChoices, ExpertChoices, LayerChoices, at_most
from automoe.space.search_space import SearchSpace

Part = tuple[str, Any, bool, str]
"""Key, value, whether the space has it, and what it has instead."""


def misfit_of(arch: Architecture, space: SearchSpace) -> SpaceError | None:
    """The error that names the first part of `arch` that `space` cannot make; None if `arch` is in `space`."""
    if arch in space:
        return None
    key, value, _, allowed = next(part for part in _parts(arch, space) if not part[2])
    return SpaceError(
        f"the architecture is not in the space {space.name!r}",
        key=key,
        value=value,
        allowed=allowed,
        hint="Take an architecture of this space, or add the value to the space's choices",
    )


def _parts(arch: Architecture, space: SearchSpace) -> Iterator[Part]:
    encoder_depth = len(arch.encoder.layers)
    for name, side, choices in (
        ("encoder", arch.encoder, space.encoder),
        ("decoder", arch.decoder, space.decoder),
    ):
        yield _part(f"{name}.dim", side.dim, choices.dim)
        yield _part(f"{name}.layers", len(side.layers), choices.depth)
        for index, (layer, chosen) in enumerate(zip(side.layers, choices.layers, strict=False)):
            for key, *rest in _layer_parts(layer, chosen, side.dim, encoder_depth):
                yield (f"{name}.layers[{index}].{key}", *rest)


def _layer_parts(layer: EncoderLayerArch, choices: LayerChoices, dim: int, encoder_depth: int) -> Iterator[Part]:
    yield _part("heads", layer.heads, choices.heads)
    yield _part("qkv_dim", layer.qkv_dim, choices.qkv_dim or (dim,))
    widths = list(layer.expert_widths)
    yield "expert_widths", widths, layer.expert_widths in choices.experts, _shown_experts(choices.experts)
    yield _part("top_k", layer.top_k, at_most(choices.top_k, layer.num_experts))
    if isinstance(layer, DecoderLayerArch) and isinstance(choices, DecoderLayerChoices):
        yield _part("cross_heads", layer.cross_heads, choices.cross_heads or (layer.heads,))
        yield _part("cross_qkv_dim", layer.cross_qkv_dim, choices.cross_qkv_dim or (layer.qkv_dim,))
        yield _part("cross_layers", layer.cross_layers, at_most(choices.cross_layers, encoder_depth))


def _part(key: str, value: int, choices: Choices) -> Part:
    return key, value, value in choices, _shown(choices)


def _shown_experts(experts: ExpertChoices) -> str:
    if experts.widths is not None:
        return str(list(experts.widths))
    own = "each" if experts.per_expert else "all"
    return f"{_shown(experts.count)} experts, {own} of width {_shown(experts.width)}"


def _shown(choices: Choices) -> str:
    return " or ".join(map(str, choices))
