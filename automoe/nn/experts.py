"""`ExpertLayer`: the feed-forward networks of a layer, each of its own width, and their router.

Shape suffixes: T tokens, D model dim, E experts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automoe.nn.config import TransformerConfig
from automoe.nn.dispatch import Expert, dispatch_sorted, feed_forward
from automoe.nn.grouped import dispatch_grouped, groupable
from automoe.nn.router import Routing, route


class ExpertSlices(Sequence[Expert]):
    """The experts of an architecture, each sliced when it is asked for: a step of decoding reaches few of many."""

    def __init__(self, layer: ExpertLayer, dim: int, widths: Sequence[int], slots: Sequence[int]) -> None:
        self._w1, self._b1, self._w2, self._b2 = layer.w1, layer.b1, layer.w2, layer.b2
        self._dim, self._widths, self._slots = dim, widths, slots

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, index: int) -> Expert:  # type: ignore[override]  # nobody asks for a range of them
        dim, width, slot = self._dim, self._widths[index], self._slots[index]
        return Expert(
            self._w1[slot][:width, :dim], self._b1[slot][:width], self._w2[slot][:dim, :width], self._b2[slot][:dim]
        )


class ExpertLayer(nn.Module):
    """Experts of given widths and, if there are several, their router.

    An architecture uses some of the experts, and of each its first hidden units.
    """

    def __init__(self, *, dim: int, widths: Sequence[int], config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.router_weight = None
        if len(widths) > 1:
            # Switch (section 2.4): a truncated normal of a tenth of the usual variance.
            self.router_weight = nn.Parameter(torch.empty(len(widths), dim))
            std = (0.1 / dim) ** 0.5
            nn.init.trunc_normal_(self.router_weight, std=std, a=-2 * std, b=2 * std)
        self.w1 = nn.ParameterList([nn.Parameter(torch.empty(width, dim)) for width in widths])
        self.b1 = nn.ParameterList([nn.Parameter(torch.zeros(width)) for width in widths])
        self.w2 = nn.ParameterList([nn.Parameter(torch.empty(dim, width)) for width in widths])
        self.b2 = nn.ParameterList([nn.Parameter(torch.zeros(dim)) for _ in widths])
        for weight in (*self.w1, *self.w2):
            nn.init.xavier_uniform_(weight)

    def experts(self, dim: int, widths: Sequence[int], slots: Sequence[int]) -> ExpertSlices:
        """The slices that fill the slots of an architecture.

        Args:
            dim: model dimension.
            widths: width of each slot.
            slots: for each slot the index of the expert here that fills it.
        """
        return ExpertSlices(self, dim, widths, slots)

    def router(self, dim: int, slots: Sequence[int]) -> Tensor:
        """The router's weights for the given experts, `weight_ED`; they need to be several."""
        assert self.router_weight is not None
        whole = tuple(slots) == tuple(range(self.router_weight.shape[0]))
        rows = self.router_weight if whole else self.router_weight[list(slots)]
        return rows[:, :dim]

    def sliced(self, dim: int, widths: Sequence[int], slots: Sequence[int]) -> dict[str, Tensor]:
        """The parameters that an architecture uses, under the names of a layer that holds no others."""
        named = {} if len(slots) == 1 else {"router_weight": self.router(dim, slots)}
        for index, expert in enumerate(self.experts(dim, widths, slots)):
            for name, weight in zip(("w1", "b1", "w2", "b2"), expert, strict=True):
                named[f"{name}.{index}"] = weight
        return named

    def forward(
        self, x_TD: Tensor, *, widths: Sequence[int], top_k: int, slots: Sequence[int]
    ) -> tuple[Tensor, Routing | None]:
        """Processes tokens.

        Args:
            x_TD: token states, paddings left out.
            widths: width of each expert slot.
            top_k: experts per token.
            slots: the expert here that fills each slot.

        Returns:
            `y_TD` and the routing; None for a single expert, which is a plain dense layer.
        """
        experts, config = self.experts(x_TD.shape[1], widths, slots), self.config
        if len(experts) == 1:
            return feed_forward(x_TD, experts[0], config.activation_dropout if self.training else 0.0), None
        router_ED = self.router(x_TD.shape[1], slots)
        if not self.training:  # what is dropped would depend on the other sentences of the batch
            routing = route(x_TD, router_ED, top_k, precision=config.router_precision)
            return dispatch_sorted(x_TD, routing, experts), routing
        routing = route(
            x_TD,
            router_ED,
            top_k,
            jitter=config.router_jitter,
            capacity_factor=config.capacity_factor,
            precision=config.router_precision,
        )
        dropout = config.activation_dropout if config.expert_dropout is None else config.expert_dropout
        grouped = groupable(x_TD, widths, router_ED.dtype)
        dispatch = dispatch_grouped if grouped else dispatch_sorted
        return dispatch(x_TD, routing, experts, dropout), routing
