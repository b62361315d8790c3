"""Where tokens go in a model with experts, and the FLOPs that this takes.

Shape suffixes: T tokens, K experts per token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

from automoe.cost import costs
from automoe.cost.executed import executed_flops, loads_from_json
from automoe.space import Architecture


def watch_routing(run: Callable[[], Any], architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a search with the torch back end and notes every router's choice.

    Args:
        run: the search, one sentence at a time.
        architecture: `Architecture.to_dict()`.

    Returns:
        `loads`: for each expert layer, by "side index", the tokens of each expert; `experts_a_source` and
        `experts_a_step`: the mean number of different experts that a layer of the encoder uses for the source, and
        one of the decoder for the hypotheses of a step.
    """
    import numpy as np

    from automoe.nn import Transformer, experts

    layers = [
        (side, index, len(layer["expert_widths"]))
        for side in ("encoder", "decoder")
        for index, layer in enumerate(architecture[side]["layers"])
        if len(layer["expert_widths"]) > 1
    ]
    num_encoder = sum(side == "encoder" for side, _, _ in layers)
    num_decoder = len(layers) - num_encoder
    loads = {f"{side} {index}": np.zeros(count, dtype=np.int64) for side, index, count in layers}
    touched: dict[str, list[int]] = {"encoder": [], "decoder": []}
    names, calls = list(loads), 0
    original, encode = experts.route, Transformer.encode

    def noting(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        routing = original(*args, **kwargs)
        place = calls if calls < num_encoder else num_encoder + (calls - num_encoder) % num_decoder
        calls += 1
        load_E = routing.loads_E().numpy()
        loads[names[place]] += load_E
        touched[layers[place][0]].append(int((load_E > 0).sum()))
        return routing

    def beginning(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls = 0
        return encode(*args, **kwargs)

    with patch.object(experts, "route", noting), patch.object(Transformer, "encode", beginning):
        run()
    return {
        "loads": {name: load_E.tolist() for name, load_E in loads.items()},
        "experts_a_source": float(np.mean(touched["encoder"] or [1])),
        "experts_a_step": float(np.mean(touched["decoder"] or [1])),
    }


def flops(
    arch: Architecture, vocab_size: int, tokens: int, loads: Mapping[str, list[int]] | None = None
) -> tuple[int, int]:
    """FLOPs of one pass over `tokens` source and target tokens, last layer and routers included.

    Args:
        arch: the architecture, top-1.
        vocab_size: number of words.
        tokens: of source and target each.
        loads: as `watch_routing` gives them; not needed if all layers are dense.

    Returns:
        Active: every token takes the widest expert of each layer. Executed: tokens take the experts of `loads`.
    """
    lengths = {"source_tokens": tokens, "target_tokens": tokens}
    last_layer = costs(arch, vocab_size=vocab_size, pre_norm=True, **lengths).flops_last_layer
    widest = {
        (side, index): [1] + [0] * (layer.num_experts - 1)
        for side, index, layer in arch.layers()
        if layer.num_experts > 1
    }
    active = executed_flops(arch, widest, **lengths)
    executed = executed_flops(arch, loads_from_json(loads or {}), **lengths)
    return last_layer + active, last_layer + executed
