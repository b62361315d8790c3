"""`ordered_weights`: a model's weights as arrays, in the order in which they lie in a file."""

from __future__ import annotations

import numpy as np
import torch

from automoe.errors import AutoMoEError
from automoe.export.weight_file import Array
from automoe.nn import Transformer

_ATTENTION_ORDER = ("query_weight", "key_weight", "value_weight", "query_bias", "key_bias", "value_bias")
"""Side by side, so that one matrix product can make queries, keys and values."""


def ordered_weights(transformer: Transformer) -> dict[str, Array]:
    """The weights of a standalone model in float32, by name; those of queries, keys and values lie side by side.

    Raises:
        AutoMoEError: a weight is infinite or not a number.
    """
    state = transformer.state_dict()
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise AutoMoEError(
                "holds values that are infinite or not numbers (NaN)",
                key=name,
                hint="The training diverged; export an earlier checkpoint",
            )
    return {name: np.asarray(state[name].detach().float().cpu()) for name in sorted(state, key=_place)}


def _place(name: str) -> tuple[str, int, str]:
    prefix, _, last = name.rpartition(".")
    if last in _ATTENTION_ORDER:
        return prefix, _ATTENTION_ORDER.index(last), ""
    return prefix, len(_ATTENTION_ORDER), last
