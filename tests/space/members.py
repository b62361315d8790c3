"""What is in a space with conditions, written out plainly: the reference of the tests."""

from __future__ import annotations

import dataclasses

from automoe.space import Architecture, SearchSpace, SideChoices
from tests.space.test_search_space import enumerate_space


def members(space: SearchSpace) -> set[Architecture]:
    """Every architecture of a space, by making too many and leaving out those that are not in it."""
    return {arch for arch in enumerate_space(without_conditions(space))[1] if belongs(arch, space)}


def is_countable(space: SearchSpace) -> bool:
    """Whether the space is small enough for `members`."""
    return without_conditions(space).num_raw <= 400


def without_conditions(space: SearchSpace) -> SearchSpace:
    """The choices alone; where a pattern can make a layer dense, 1 is among its numbers of experts."""

    def wider(side: SideChoices) -> SideChoices:
        layers = tuple(
            dataclasses.replace(
                layer,
                experts=dataclasses.replace(
                    layer.experts, count=(*layer.experts.count, *([1] if space.patterns else []))
                ),
            )
            for layer in side.layers
        )
        return dataclasses.replace(side, layers=layers, shared=())

    return dataclasses.replace(
        space, encoder=wider(space.encoder), decoder=wider(space.decoder), expert_layers=(), constraints=()
    )


def belongs(arch: Architecture, space: SearchSpace) -> bool:
    """Whether an architecture that the choices alone make meets all conditions."""
    free = not space.expert_layers or any(pattern.is_free for pattern in space.expert_layers)
    arranged = (free and _is_free(arch, space)) or any(
        _is_arranged(arch, space, pattern) for pattern in space.expert_layers if not pattern.is_free
    )
    return arranged and _shares(arch, space) and all(_meets(arch, each.text) for each in space.constraints)


def _sides(arch: Architecture, space: SearchSpace):
    return (("encoder", arch.encoder.layers, space.encoder), ("decoder", arch.decoder.layers, space.decoder))


def _is_free(arch, space) -> bool:
    for _, layers, side in _sides(arch, space):
        if any(layer.num_experts not in side.layers[i].experts.count for i, layer in enumerate(layers)):
            return False
        for group in side.shared:
            if (
                group.key == "experts"
                and len({layer.num_experts for i, layer in enumerate(layers) if i in group.layers}) > 1
            ):
                return False
    return True


def _is_arranged(arch, space, pattern) -> bool:
    for name, layers, side in _sides(arch, space):
        for i, layer in enumerate(layers):
            if (layer.num_experts > 1) != pattern.has_experts(name, i, len(layers)):
                return False
            if layer.num_experts > 1 and layer.num_experts not in side.layers[i].experts.count:
                return False
        for group in side.shared:
            counts = {layer.num_experts for i, layer in enumerate(layers) if i in group.layers} - {1}
            if group.key == "experts" and len(counts) > 1:
                return False
    return True


def _shares(arch, space) -> bool:
    for _, layers, side in _sides(arch, space):
        for group in side.shared:
            own = [layer for i, layer in enumerate(layers) if i in group.layers]
            if group.key == "experts":
                continue
            if group.key == "expert_width":
                values = {width for layer in own for width in layer.expert_widths}
                if len(values) > 1:
                    return False
            elif group.key == "top_k":
                choices = side.layers[0].top_k
                if not any(all(layer.top_k == min(k, layer.num_experts) for layer in own) for k in choices):
                    return False
            elif len({getattr(layer, group.key) for layer in own}) > 1:
                return False
    return True


class _Sizes:
    def __init__(self, **sizes) -> None:
        self.__dict__.update(sizes)


def _meets(arch: Architecture, text: str) -> bool:
    """Python says itself whether the constraint holds, for each layer and each expert."""
    sides = {}
    for name, side in (("encoder", arch.encoder), ("decoder", arch.decoder)):
        counts = [layer.num_experts for layer in side.layers]
        sides[name] = {"dim": side.dim, "layers": len(counts), "experts": sum(counts),
                       "expert_layers": sum(count > 1 for count in counts)}  # fmt: skip
    layered = [name for name in sides if f"{name}.layer." in text]
    if not layered:
        return _holds(text, sides, "", None)
    layers = (arch.encoder if layered[0] == "encoder" else arch.decoder).layers
    return all(
        _holds(text, sides, layered[0], {**vars(layer), "experts": layer.num_experts, "expert_width": width})
        for layer in layers
        for width in layer.expert_widths
    )


def _holds(text: str, sides: dict, side: str, layer: dict | None) -> bool:
    names = {
        name: _Sizes(**sizes, **({"layer": _Sizes(**layer)} if name == side else {})) for name, sizes in sides.items()
    }
    try:
        return bool(eval(text, {"__builtins__": {}}, names))
    except ZeroDivisionError:
        return False
