"""How many tokens each expert processes on given sentences.

Shape suffixes: E experts.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from automoe.nn.transformer import Transformer

ExpertLoads = dict[tuple[str, int], list[int]]
"""For every expert layer, by (side, layer index), the number of tokens that each expert received."""


@torch.inference_mode()
def expert_loads(transformer: Transformer, batches: Iterable[tuple[Tensor, Tensor]]) -> ExpertLoads:
    """Counts the tokens of each expert under teacher forcing; paddings do not count.

    Args:
        transformer: a model in evaluation mode.
        batches: pairs of `source_BS` and `target_BL` (shifted right), padded on the right.
    """
    totals: dict[tuple[str, int], Tensor] = {}
    for source_BS, target_BL in batches:
        for layer, routing in transformer(source_BS, target_BL).routings.items():
            loads_E = routing.loads_E()
            totals[layer] = totals[layer] + loads_E if layer in totals else loads_E
    return {layer: loads_E.tolist() for layer, loads_E in totals.items()}
