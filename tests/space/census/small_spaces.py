"""Random small spaces with patterns, shared genes and constraints, and all their architectures by brute force."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from automoe.space import DecoderLayerChoices, ExpertChoices, LayerChoices, SearchSpace, SideChoices
from automoe.space.constraints import Constraint
from automoe.space.expert_layers import ExpertLayers
from automoe.space.genes import Shared

MOST = 2000
"""Gene combinations that brute force goes through."""

PATTERNS = ("free", "none", "all", "every 2", "first 1", "last 1", "encoder", "decoder", "encoder last 1")
CONSTRAINTS = (
    "decoder.layers <= encoder.layers",
    "decoder.dim * encoder.layers <= 12",
    "encoder.dim == decoder.dim",
    "encoder.experts + decoder.experts <= 5",
    "decoder.expert_layers <= encoder.expert_layers",
    "encoder.experts % 2 == 1 or decoder.layers == 2",
    "decoder.expert_layers != 1",
    "encoder.layer.expert_width <= 2 * encoder.dim",
    "encoder.layer.expert_width * encoder.layer.heads >= 12",
    "decoder.layer.expert_width // decoder.layer.experts <= 8",
    "decoder.layer.top_k < decoder.layer.experts or decoder.layer.experts == 1",
    "decoder.layer.cross_qkv_dim == decoder.layer.qkv_dim",
    "decoder.layer.cross_heads <= decoder.layer.heads",
    "decoder.layer.cross_layers == encoder.layers",
    "decoder.layer.qkv_dim >= encoder.dim",
    "encoder.layer.experts <= decoder.experts",
    "decoder.layer.top_k * encoder.expert_layers <= 2",
    "encoder.layer.heads != 1 and encoder.layer.top_k == encoder.layer.experts",
)


@st.composite
def small_spaces(draw) -> SearchSpace:
    encoder_depth = draw(_some(1, 2, 3))
    patterns = draw(st.lists(st.sampled_from(PATTERNS), max_size=3, unique=True)) if draw(st.booleans()) else []
    sides = {}
    for side, depth in (("encoder", encoder_depth), ("decoder", draw(_some(1, 2)))):
        of_side = _layers(side, encoder_depth[-1], may_be_dense=not patterns)
        alike = draw(st.booleans())
        layers = [draw(of_side)] * depth[-1] if alike else [draw(of_side) for _ in range(depth[-1])]
        shared = tuple(group for key in _values(layers[0]) if (group := draw(_groups(key, layers))))
        sides[side] = SideChoices(dim=draw(_some(4, 8)), depth=depth, layers=tuple(layers), shared=shared)
    constraints = draw(st.lists(st.sampled_from(CONSTRAINTS), max_size=2, unique=True))
    space = SearchSpace(
        name="small",
        **sides,
        constraints=tuple(map(Constraint.parse, constraints)),
        expert_layers=tuple(map(ExpertLayers.parse, patterns)),
    )
    assume(sum(1 for _ in zip(_combinations(space), range(MOST + 1), strict=False)) <= MOST)
    return space


def brute_force(space: SearchSpace) -> tuple[int, list[dict[str, Any]]]:
    """The number of gene combinations, and the architectures, each as a dictionary of names of genes to values."""
    found = [model for model in _combinations(space) if _is_in(space, model)]
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


def _some(*values: int):
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(
        lambda some: tuple(sorted(some))
    )


@st.composite
def _layers(draw, side: str, encoder_depth: int, may_be_dense: bool) -> LayerChoices:
    count = draw(_some(1, 2, 3) if may_be_dense else st.sampled_from(((2,), (1, 2), (2, 3))))
    experts = ExpertChoices(count=count, width=draw(_some(8, 12, 16)), per_expert=draw(st.booleans()))
    if may_be_dense and draw(st.integers(0, 9)) == 0:
        experts = ExpertChoices.fixed(draw(st.sampled_from(((8,), (16, 8), (8, 8)))))
    few = st.sampled_from(((1,), (2,), (1, 2)))
    top_k = draw(st.sampled_from(((1,), (1, 2), (2,), (1, 3), (1, 2, 3))))
    common = {"heads": draw(few), "experts": experts, "qkv_dim": draw(st.sampled_from((None, None, (4,), (4, 8))))}
    common["top_k"] = tuple(k for k in top_k if k <= experts.count[-1]) or (1,)
    if side == "encoder":
        return LayerChoices(**common)
    cross = tuple(k for k in draw(st.sampled_from(((1,), (1, 2), (2,), (3,), (1, 3)))) if k <= encoder_depth) or (1,)
    return DecoderLayerChoices(
        **common,
        cross_heads=draw(st.sampled_from((None, None, (2,), (1, 2)))),
        cross_qkv_dim=draw(st.sampled_from((None, None, (4, 8)))),
        cross_layers=cross,
    )


@st.composite
def _groups(draw, key: str, layers: list[LayerChoices]) -> Shared | None:
    """Some layers that can have a gene in common, or None."""
    members = draw(st.lists(st.sampled_from(range(len(layers))), unique=True)) if draw(st.booleans()) else []
    if len(members) < 2 or len({_values(layers[member])[key] for member in members}) > 1:
        return None
    choices = _values(layers[members[0]])[key]
    return None if choices is None else Shared(key=key, layers=tuple(sorted(members)))


def _values(layer: LayerChoices) -> dict[str, Any]:
    """The choices by key, as far as they can be shared."""
    keys = ("heads", "qkv_dim", "top_k", "cross_heads", "cross_qkv_dim", "cross_layers")
    values = {key: getattr(layer, key) for key in keys if hasattr(layer, key)}
    experts = layer.experts
    width = None if experts.per_expert or experts.widths is not None else experts.width
    return {**values, "experts": experts.count if experts.widths is None else None, "expert_width": width}


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


def _is_in(space: SearchSpace, model: dict[str, Any]) -> bool:
    patterns = space.expert_layers or (ExpertLayers.parse("free"),)
    return (
        any(_fits(space, model, pattern) for pattern in patterns)
        and all(_shares(group, model, side, getattr(space, side)) for side in ("encoder", "decoder")
                for group in getattr(space, side).shared)
        and all(_meets(constraint, model) for constraint in space.constraints)
    )  # fmt: skip


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


def _meets(constraint: Constraint, model: dict[str, Any]) -> bool:
    sizes = {}
    for side in ("encoder", "decoder"):
        counts = [layer["experts"] for layer in model[side]["layers"]]
        sizes |= {f"{side}.dim": model[side]["dim"], f"{side}.layers": len(counts), f"{side}.experts": sum(counts)}
        sizes[f"{side}.expert_layers"] = sum(count > 1 for count in counts)
    side = constraint.layer_side
    if side is None:
        return bool(constraint.holds(sizes))
    for layer in model[side]["layers"]:
        of_layer = {f"{side}.layer.{key}": value for key, value in layer.items() if key != "widths"}
        name = f"{side}.layer.expert_width"
        if not all(constraint.holds(sizes | of_layer | {name: width}) for width in layer["widths"]):
            return False
    return True


def _frozen(model: dict[str, Any], in_order: bool) -> Any:
    def layer_form(layer: dict[str, Any]) -> Any:
        widths = layer["widths"] if in_order else tuple(sorted(layer["widths"]))
        return tuple(sorted((layer | {"widths": widths}).items()))

    return tuple((side, sizes["dim"], tuple(map(layer_form, sizes["layers"]))) for side, sizes in model.items())
