"""What is in a small space, written out plainly: the reference of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import product
from types import SimpleNamespace
from typing import Any

from automoe.space import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    DecoderLayerChoices,
    EncoderArch,
    EncoderLayerArch,
    LayerChoices,
    SearchSpace,
    SideChoices,
)
from automoe.space.expert_layers import ExpertLayers
from automoe.space.genes import Shared

MOST = 2000
"""Gene combinations that are gone through."""


def is_countable(space: SearchSpace) -> bool:
    """Whether a space is small enough to go through."""
    return sum(1 for _ in zip(_combinations(space), range(MOST + 1), strict=False)) <= MOST


def members(space: SearchSpace) -> set[Architecture]:
    """Every architecture of a space."""
    return set(map(arch_of, brute_force(space)[1]))


def strangers(space: SearchSpace) -> set[Architecture]:
    """Architectures that the choices make, but that do not meet all conditions."""
    return set(map(arch_of, _combinations(space))) - members(space)


def arch_of(model: dict[str, Any]) -> Architecture:
    """The architecture of a model."""
    sides = {}
    for side, kind in (("encoder", EncoderLayerArch), ("decoder", DecoderLayerArch)):
        own = [{key: value for key, value in layer.items() if key not in ("experts", "widths")}
               for layer in model[side]["layers"]]  # fmt: skip
        sides[side] = tuple(kind(**sizes, expert_widths=layer["widths"])
                            for sizes, layer in zip(own, model[side]["layers"], strict=True))  # fmt: skip
    return Architecture(
        encoder=EncoderArch(dim=model["encoder"]["dim"], layers=sides["encoder"]),
        decoder=DecoderArch(dim=model["decoder"]["dim"], layers=sides["decoder"]),
    )


def brute_force(space: SearchSpace) -> tuple[int, list[dict[str, Any]]]:
    """The number of gene combinations, and the architectures, each as a dictionary of names of genes to values."""
    arranged = _arranged(replace(space, constraints=()))
    found = [model for model in arranged if all(_meets(each.text, model) for each in space.constraints)]
    raw = {_frozen(model, in_order=True) for model in found}
    return len(raw), list({_frozen(model, in_order=False): model for model in found}.values())


def genome_of(space: SearchSpace, model: dict[str, Any], names: tuple[str, ...]) -> tuple[int, ...]:
    """The canonical genome, gene by gene by name."""
    genes = {"encoder.dim": model["encoder"]["dim"], "decoder.dim": model["decoder"]["dim"]}
    if space.patterns:
        genes["expert_layers"] = 1 + [_fits(space, model, pattern) for pattern in space.patterns].index(True)
    for side in ("encoder", "decoder"):
        layers = model[side]["layers"]
        genes[f"{side}.layers"] = len(layers)
        for index, (layer, choices) in enumerate(zip(layers, getattr(space, side).layers, strict=False)):
            label = f"{side}.layers[{index}]"
            for key in layer.keys() - {"widths"}:
                follows = key not in ("experts", "top_k") and getattr(choices, key) is None
                genes[f"{label}.{key}"] = 0 if follows else layer[key]
            for expert, width in enumerate(sorted(layer["widths"], reverse=True)):
                genes[f"{label}.expert_widths[{expert}]"] = width
    return tuple(genes.get(name, 0) for name in names)


def expert_set(model: dict[str, Any]) -> frozenset[tuple[str, int]]:
    """The layers that have more than one expert."""
    return frozenset((side, index) for side in ("encoder", "decoder")
                     for index, layer in enumerate(model[side]["layers"]) if layer["experts"] > 1)  # fmt: skip


def _combinations(space: SearchSpace) -> Iterator[dict[str, Any]]:
    """Every combination of choices, the number of experts 1 always among them."""
    for dim, depth, decoder_dim, decoder_depth in product(
        space.encoder.dim, space.encoder.depth, space.decoder.dim, space.decoder.depth
    ):
        encoders = [list(_layer_models(layer, dim, depth)) for layer in space.encoder.layers[:depth]]
        decoders = [list(_layer_models(layer, decoder_dim, depth)) for layer in space.decoder.layers[:decoder_depth]]
        for layers in product(*encoders, *decoders):
            yield {
                "encoder": {"dim": dim, "layers": layers[:depth]},
                "decoder": {"dim": decoder_dim, "layers": layers[depth:]},
            }


def _layer_models(layer: LayerChoices, dim: int, encoder_depth: int) -> Iterator[dict[str, Any]]:
    experts = layer.experts
    if experts.widths is not None:
        ways = [experts.widths]
    elif experts.per_expert:
        ways = [way for count in {1, *experts.count} for way in product(experts.width, repeat=count)]
    else:
        ways = [(width,) * count for count in {1, *experts.count} for width in experts.width]
    for heads, qkv_dim, widths in product(layer.heads, layer.qkv_dim or (dim,), ways):
        for k in sorted({min(k, len(widths)) for k in layer.top_k}):
            own = {"heads": heads, "qkv_dim": qkv_dim, "experts": len(widths), "top_k": k, "widths": widths}
            if not isinstance(layer, DecoderLayerChoices):
                yield own
                continue
            seen = sorted({min(number, encoder_depth) for number in layer.cross_layers})
            for cross in product(layer.cross_heads or (heads,), layer.cross_qkv_dim or (qkv_dim,), seen):
                yield own | dict(zip(("cross_heads", "cross_qkv_dim", "cross_layers"), cross, strict=True))


@lru_cache(4)
def _arranged(space: SearchSpace) -> list[dict[str, Any]]:
    """The models that fit a pattern and share what they have to."""
    patterns = space.expert_layers or (ExpertLayers.parse("free"),)
    return [
        model
        for model in _combinations(space)
        if any(_fits(space, model, pattern) for pattern in patterns)
        and all(_shares(group, model, side, getattr(space, side)) for side in ("encoder", "decoder")
                for group in getattr(space, side).shared)
    ]  # fmt: skip


def _fits(space: SearchSpace, model: dict[str, Any], pattern: ExpertLayers) -> bool:
    for side in ("encoder", "decoder"):
        choices, layers = getattr(space, side), model[side]["layers"]
        named = [pattern.is_free or pattern.has_experts(side, index, len(layers)) for index in range(len(layers))]
        for layer, may, is_named in zip(layers, choices.layers, named, strict=False):
            count = layer["experts"]
            if not (count in may.experts.count and (pattern.is_free or count > 1) if is_named else count == 1):
                return False
        for group in choices.shared:
            if group.key == "experts":
                counts = {layers[index]["experts"] for index in group.layers if index < len(layers) and named[index]}
                if len(counts) > 1:
                    return False
    return True


def _shares(group: Shared, model: dict[str, Any], side: str, choices: SideChoices) -> bool:
    layers = [model[side]["layers"][index] for index in group.layers if index < len(model[side]["layers"])]
    if group.key == "experts":  # a matter of patterns
        return True
    if group.key == "expert_width":
        return len({layer["widths"][0] for layer in layers}) <= 1
    if group.key == "top_k":
        return any(
            all(layer["top_k"] == min(k, layer["experts"]) for layer in layers)
            for k in choices.layers[group.layers[0]].top_k
        )
    return len({layer[group.key] for layer in layers}) <= 1


def _meets(text: str, model: dict[str, Any]) -> bool:
    """Python says itself whether a constraint holds, for each layer and each expert."""
    sides = {}
    for side, sizes in model.items():
        counts = [layer["experts"] for layer in sizes["layers"]]
        sides[side] = {"dim": sizes["dim"], "layers": len(counts), "experts": sum(counts),
                       "expert_layers": sum(count > 1 for count in counts)}  # fmt: skip
    layered = [side for side in model if f"{side}.layer." in text]
    if not layered:
        return _holds(text, sides)
    (side,) = layered
    return all(
        _holds(text, sides | {side: sides[side] | {"layer": SimpleNamespace(**layer, expert_width=width)}})
        for layer in model[side]["layers"]
        for width in layer["widths"]
    )


def _holds(text: str, sides: dict[str, dict[str, Any]]) -> bool:
    try:
        names = {side: SimpleNamespace(**sizes) for side, sizes in sides.items()}
        return bool(eval(text, {"__builtins__": {}}, names))
    except ZeroDivisionError:
        return False


def _frozen(model: dict[str, Any], in_order: bool) -> Any:
    def layer_form(layer: dict[str, Any]) -> Any:
        widths = layer["widths"] if in_order else tuple(sorted(layer["widths"]))
        return tuple(sorted((layer | {"widths": widths}).items()))

    return tuple((side, sizes["dim"], tuple(map(layer_form, sizes["layers"]))) for side, sizes in model.items())
