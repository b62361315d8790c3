"""`find_clashes`: choices of a search space that do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from automoe.space.expert_layers import ExpertLayers
from automoe.space.genes import Choices, DecoderLayerChoices, LayerChoices, Shared, SideChoices
from automoe.space.roles import Role, role_of

ENCODER_KEYS = ("heads", "qkv_dim", "experts", "expert_width", "top_k")
DECODER_KEYS = (*ENCODER_KEYS, "cross_heads", "cross_qkv_dim", "cross_layers")
"""What layers can share."""


@dataclass(frozen=True, kw_only=True)
class Clash:
    """Choices that do not go together: `gene` of a layer (or of the side) can take a `value` that is impossible."""

    side: str
    layer: int | None
    gene: str
    value: int | str | None
    problem: str
    allowed: str | None = None


def find_clashes(
    encoder: SideChoices, decoder: SideChoices, expert_layers: tuple[ExpertLayers, ...] = ()
) -> Iterator[Clash]:
    """Everything that would make some combination of the choices no architecture, or a pattern or group senseless."""
    for side, choices in (("encoder", encoder), ("decoder", decoder)):
        for dim in choices.dim:
            if dim % 2:
                problem = "sinusoidal positions need an even dimension"
                yield Clash(side=side, layer=None, gene="dim", value=dim, problem=problem)
        for index, layer in enumerate(choices.layers):
            for gene, value, problem, allowed in _layer_clashes(layer, choices.dim, encoder.depth[-1]):
                yield Clash(side=side, layer=index, gene=gene, value=value, problem=problem, allowed=allowed)
        yield from _pattern_clashes(side, choices, expert_layers)
        yield from _shared_clashes(side, choices)


def _layer_clashes(
    layer: LayerChoices, dims: Choices, max_encoder_depth: int
) -> Iterator[tuple[str, int, str, str | None]]:
    qkv_dims = layer.qkv_dim or tuple(dim for dim in dims if dim % 2 == 0)  # odd ones are a clash already
    yield from _indivisible("heads", layer.heads, "qkv_dim", qkv_dims)
    if layer.top_k[-1] > layer.experts.count[-1]:
        most = layer.experts.count[-1]
        yield "top_k", layer.top_k[-1], f"the layer has at most {most} expert(s)", f"1 to {most}"
    if isinstance(layer, DecoderLayerChoices):
        if layer.cross_heads or layer.cross_qkv_dim:
            heads, widths = layer.cross_heads or layer.heads, layer.cross_qkv_dim or qkv_dims
            name = "cross_heads" if layer.cross_heads else "cross_qkv_dim"
            yield from _indivisible(name, heads, "cross_qkv_dim", widths)
        if layer.cross_layers[-1] > max_encoder_depth:
            problem = f"the encoder has at most {max_encoder_depth} layer(s)"
            yield "cross_layers", layer.cross_layers[-1], problem, f"1 to {max_encoder_depth}"


def _indivisible(
    gene: str, heads: Choices, dim_name: str, dims: Choices
) -> Iterator[tuple[str, int, str, str | None]]:
    for count in heads:
        odd = [dim for dim in dims if dim % count]
        if odd:
            yield gene, count, f"{dim_name} {odd[0]} cannot be divided into {count} equal heads", None


def _pattern_clashes(side: str, choices: SideChoices, patterns: tuple[ExpertLayers, ...]) -> Iterator[Clash]:
    if all(pattern.is_free for pattern in patterns):
        return
    for index, layer in enumerate(choices.layers[: choices.depth[-1]]):
        widths = layer.experts.widths
        depths = [depth for depth in choices.depth if depth > index]
        asking = [pattern for pattern in patterns
                  if any(role_of(pattern, side, index, depth) is Role.EXPERTS for depth in depths)]  # fmt: skip
        if widths is not None and (asking or len(widths) > 1):
            problem = (
                "widths of single experts say themselves which layers have experts, patterns of expert layers too"
            )
            yield Clash(side=side, layer=index, gene="expert_widths", value=" ".join(map(str, widths)),
                        problem=problem, allowed="experts and expert_width")  # fmt: skip
        elif asking and layer.experts.count[-1] == 1:
            problem = f"the pattern '{asking[0]}' gives this layer experts, but it can only be dense"
            yield Clash(side=side, layer=index, gene="experts", value=1, problem=problem, allowed="a number above 1")


def _shared_clashes(side: str, choices: SideChoices) -> Iterator[Clash]:
    allowed = DECODER_KEYS if side == "decoder" else ENCODER_KEYS
    taken: set[tuple[str, int]] = set()
    for group in choices.shared:
        if group.key not in allowed:
            yield Clash(side=side, layer=None, gene="shared", value=group.key,
                        problem="is nothing that layers can share", allowed=", ".join(allowed))  # fmt: skip
            continue
        absent = [index for index in group.layers if not 0 <= index < len(choices.layers)]
        if absent or not group.layers:
            problem = "the side has no such layer" if absent else "no layer shares it"
            yield Clash(side=side, layer=None, gene=group.key, value=absent[0] if absent else None,
                        problem=problem, allowed=f"0 to {len(choices.layers) - 1}")  # fmt: skip
            continue
        for index in group.layers:
            if (group.key, index) in taken:
                problem = f"layer {index} shares it in two groups"
                yield Clash(side=side, layer=index, gene=group.key, value=index, problem=problem)
            taken.add((group.key, index))
        yield from _group_clashes(side, group, choices.layers)


def _group_clashes(side: str, group: Shared, layers: tuple[LayerChoices, ...]) -> Iterator[Clash]:
    first = layers[group.layers[0]].choices_of(group.key)
    for index in group.layers:
        choices, experts = layers[index].choices_of(group.key), layers[index].experts
        place = {"side": side, "layer": index, "gene": group.key}
        if choices is None:
            problem = "follows another gene, so that layers cannot share it"
            yield Clash(**place, value=None, problem=problem, allowed="choices of its own")  # type: ignore[arg-type]
        elif choices != first:
            problem = f"layers {', '.join(map(str, group.layers))} share it, but have not the same choices"
            allowed = None if first is None else " or ".join(map(str, first))
            shown = " or ".join(map(str, choices))
            yield Clash(**place, value=shown, problem=problem, allowed=allowed)  # type: ignore[arg-type]
        if group.key in ("experts", "expert_width") and experts.widths is not None:
            problem = "widths of single experts cannot be shared between layers"
            yield Clash(**place, value=None, problem=problem, allowed="experts and expert_width")  # type: ignore[arg-type]
        elif group.key == "expert_width" and experts.per_expert:
            problem = "each expert has a width of its own, so that layers cannot share one"
            yield Clash(**place, value="per: expert", problem=problem, allowed="per: layer")  # type: ignore[arg-type]
