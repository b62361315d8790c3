"""Which of many architectures meet a constraint.

Shape suffixes: N architectures, E experts of a layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from automoe.errors import SpaceError
from automoe.space.architecture import Architecture
from automoe.space.constraints import Constraint
from automoe.space.layer_sizes import Bools, Ints, LayerSizes, layer_sizes_of

_COLUMNS = {"experts": "num_experts_N"}
"""Sizes of a layer whose column is not called as they are."""


def meets(constraint: Constraint, layers: Sequence[LayerSizes]) -> Bools:
    """Which architectures meet a constraint; one on layers must hold in each, one on widths for each expert.

    Args:
        constraint: the condition.
        layers: all layers of N architectures, of the encoder and of the decoder.

    Returns:
        bool of shape (N,).
    """
    sizes = {name: _side_size(name, layers) for name in constraint.variables if ".layer." not in name}
    side = constraint.layer_side
    if side is None:
        return constraint.holds(sizes)
    met_N = np.ones(len(layers[0].present_N), dtype=np.bool_)
    for layer in layers:
        if layer.side == side:
            met_N &= ~layer.present_N | _layer_meets(constraint, layer, sizes)
    return met_N


def first_broken(constraints: Iterable[Constraint], arch: Architecture) -> Constraint | None:
    """The first constraint that an architecture breaks, if there is one."""
    layers = layer_sizes_of(arch)
    return next((constraint for constraint in constraints if not meets(constraint, layers)[0]), None)


def broken_error(name: str, constraint: Constraint) -> SpaceError:
    """The error for an architecture that breaks a constraint of the space `name`."""
    return SpaceError(
        f"the architecture is not in the space {name!r}: it breaks this constraint",
        key="constraints",
        value=constraint.text,
        hint="Take an architecture that meets it, or remove the constraint from the space",
    )


def _side_size(name: str, layers: Sequence[LayerSizes]) -> Ints:
    side, _, size = name.partition(".")
    own = [layer for layer in layers if layer.side == side]
    if size == "dim":
        return own[0].dim_N
    total_N = np.zeros(len(own[0].present_N), dtype=np.int64)
    for layer in own:
        counted_N = {"layers": 1, "expert_layers": layer.num_experts_N > 1, "experts": layer.num_experts_N}[size]
        total_N += layer.present_N * np.asarray(counted_N)
    return total_N


def _layer_meets(constraint: Constraint, layer: LayerSizes, side_sizes: dict[str, Ints]) -> Bools:
    own: dict[str, Ints] = {}
    for name in constraint.variables - side_sizes.keys():
        key = name.rpartition(".")[2]
        if key != "expert_width":
            own[name] = getattr(layer, _COLUMNS.get(key, f"{key}_N"))
    width_name = f"{layer.side}.layer.expert_width"
    if width_name not in constraint.variables:
        return constraint.holds(side_sizes | own)
    columns = {name: size_N[:, None] for name, size_N in (side_sizes | own).items()}
    met_NE = constraint.holds(columns | {width_name: layer.width_NE})
    is_absent_NE = np.arange(layer.width_NE.shape[1]) >= layer.num_experts_N[:, None]
    return np.asarray((met_NE | is_absent_NE).all(axis=1))
