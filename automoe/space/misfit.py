"""Says which size of an architecture a search space lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from automoe.errors import SpaceError
from automoe.space.architecture import Architecture, DecoderArch, DecoderLayerArch, EncoderArch, EncoderLayerArch
from automoe.space.expert_layers import SIDES, ExpertLayers
from automoe.space.feasible import broken_error, first_broken
from automoe.space.genes import (
    Choices,
    DecoderLayerChoices,
    ExpertChoices,
    LayerChoices,
    Shared,
    SideChoices,
    at_most,
)
from automoe.space.roles import FREE_PATTERN
from automoe.space.search_space import SearchSpace

Part = tuple[str, Any, bool, str]
"""Key, value, whether the space has it, and what it has instead."""


def misfit_of(arch: Architecture, space: SearchSpace) -> SpaceError | None:
    """The error that names the first part of `arch` that `space` cannot make; None if `arch` is in `space`."""
    if arch in space:
        return None
    misfit = next((part for part in _parts(arch, space) if not part[2]), None)
    if misfit is None:
        broken = first_broken(space.constraints, arch)
        if broken is None:
            raise AssertionError(f"nothing says why {arch} is not in {space.name!r}")
        return broken_error(space.name, broken)
    key, value, _, allowed = misfit
    return SpaceError(
        f"the architecture is not in the space {space.name!r}",
        key=key,
        value=value,
        allowed=allowed,
        hint="Take an architecture of this space, or add the value to the space's choices",
    )


def _parts(arch: Architecture, space: SearchSpace) -> Iterator[Part]:
    sides: dict[str, EncoderArch | DecoderArch] = {"encoder": arch.encoder, "decoder": arch.decoder}
    for name, choices in space.sides.items():
        yield _part(f"{name}.dim", sides[name].dim, choices.dim)
        yield _part(f"{name}.layers", len(sides[name].layers), choices.depth)
    alike = [pattern for pattern in space.patterns or (FREE_PATTERN,) if _is_arranged(arch, pattern)]
    yield "expert_layers", _arrangement(arch), bool(alike), " or ".join(map(str, space.patterns))
    for name, side in sides.items():
        choices = space.under(alike[0], name, len(side.layers))
        for index, (layer, chosen) in enumerate(zip(side.layers, choices.layers, strict=False)):
            for key, *rest in _layer_parts(layer, chosen, side.dim, len(arch.encoder.layers)):
                yield (f"{name}.layers[{index}].{key}", *rest)
        for group in choices.shared:
            yield _shared_part(name, group, side.layers, choices)


def _is_arranged(arch: Architecture, pattern: ExpertLayers) -> bool:
    """Whether exactly the layers have experts that the pattern names."""
    depths = {"encoder": len(arch.encoder.layers), "decoder": len(arch.decoder.layers)}
    return pattern.is_free or all(
        (layer.num_experts > 1) == pattern.has_experts(side, index, depths[side])
        for side, index, layer in arch.layers()
    )


def _arrangement(arch: Architecture) -> str:
    """Which layers have experts, in words."""
    found = {side: [str(index) for name, index, layer in arch.layers() if name == side and layer.num_experts > 1]
             for side in SIDES}  # fmt: skip
    return ", ".join(f"{side} {' '.join(indices)}" for side, indices in found.items() if indices) or "none"


def _shared_part(side: str, group: Shared, layers: tuple[EncoderLayerArch, ...], choices: SideChoices) -> Part:
    name = {"experts": "num_experts", "expert_width": "expert_widths"}.get(group.key, group.key)
    present = [index for index in group.layers if index < len(layers)]
    values = [getattr(layers[index], name) for index in present]
    shown = [list(value) if isinstance(value, tuple) else value for value in values]
    places = ",".join(map(str, present))
    agrees = group.holds(layers, choices.layers[group.layers[0]])
    return f"{side}.layers[{places}].{group.key}", shown, agrees, "one value, which these layers share"


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
