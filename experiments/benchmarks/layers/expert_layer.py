"""The expert layer beside a dense layer of the same width, beside AutoMoE's dispatch, and beside grouped products.

    python experiments/benchmarks/layers/expert_layer.py

Tokens are normal noise, which a new router spreads over the experts almost evenly. Shape suffixes: T tokens, D model
dim.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

import common
import torch
from nonzero_dispatch import dispatch_nonzero
from timing import settle, take_turns
from torch import Tensor

from automoe.nn import Expert, TransformerConfig, dispatch_sorted
from automoe.nn.experts import ExpertLayer
from automoe.nn.grouped import dispatch_grouped, dispatch_stacked
from automoe.nn.router import Routing, route

HERE = Path(__file__).parent
CONFIG = TransformerConfig(vocab_size=5, dropout=0.0)
Dispatch = Callable[[Tensor, Routing, Sequence[Expert]], Tensor]
TRAINING, DECODING = 2048, 5
"""Tokens of a batch; hypotheses of one sentence."""


def main() -> None:
    """Writes a table for each of the three comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=TABLES, help="one of the tables")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each")
    parser.add_argument("--seconds", type=float, default=0.08, help="length of a turn")
    parser.add_argument("--shrink", type=int, default=1, help="divide all sizes by it, to try the script out")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="processor to use")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for the tables")
    args = parser.parse_args()
    settle(args.core)
    torch.set_num_threads(1)
    about = {"rounds": args.rounds, "seconds_a_turn": args.seconds, "core_used": args.core, "shrink": args.shrink}
    turns = {"rounds": args.rounds, "seconds": args.seconds}
    for name, make in TABLES.items():
        if args.only in (None, name):
            common.write_table(make(turns, args.shrink), name, args.out, **about)


def against_dense(turns: dict[str, Any], shrink: int) -> list[dict[str, Any]]:
    """Forward and backward of the whole layer, router included."""
    rows = []
    for *whole, num_experts, goal in [
        (256, 512, 6, "<= 1.25"),
        (512, 2048, 6, "<= 1.1"),
        (256, 512, 16, "<= 1.5"),
        (512, 2048, 16, "<= 1.5"),
    ]:
        dim, width, tokens = _shrunk(shrink, *whole, TRAINING)
        x_TD, _ = _routed(dim, tokens, num_experts)
        functions = {
            label: _training(*_layer(dim, width, count), x_TD)
            for label, count in (("dense", 1), ("experts", num_experts))
        }
        times = take_turns(functions, **turns)
        size = {"dim": dim, "width": width, "experts": num_experts, "tokens": tokens}
        rows += [*common.times_rows(times, "us", **size), common.ratio_row(times, "experts", "dense", goal, **size)]
    return rows


def against_nonzero(turns: dict[str, Any], shrink: int) -> list[dict[str, Any]]:
    """The dispatch alone, 16 experts: routing and weights are given."""
    rows = []
    for whole in [(256, 512), (512, 2048)]:
        for batch, goal in [(DECODING, ">= 1.5"), (TRAINING, ">= 1")]:
            dim, width, tokens = _shrunk(shrink, *whole, batch)
            experts, parameters = _experts(dim, width, 16)
            x_TD, routing = _routed(dim, tokens, 16)
            dispatches = {"sorted": dispatch_sorted, "nonzero": dispatch_nonzero}
            for direction, functions in _both(dispatches, x_TD, routing, experts, parameters).items():
                times = take_turns(functions, **turns)
                size = {"dim": dim, "width": width, "experts": 16, "tokens": tokens, "direction": direction}
                rows += common.times_rows(times, "us", **size)
                rows.append(common.ratio_row(times, "nonzero", "sorted", goal, **size))
    return rows


def against_grouped(turns: dict[str, Any], shrink: int) -> list[dict[str, Any]]:
    """`grouped_mm` over weights that are stacked for it in every call, and over weights that are kept so."""
    rows = []
    for *whole, num_experts in [(256, 512, 6), (256, 512, 16), (256, 512, 64), (512, 2048, 6), (512, 2048, 16)]:
        for batch in (DECODING, TRAINING):
            dim, width, tokens = _shrunk(shrink, *whole, batch)
            experts, parameters = _experts(dim, width, num_experts)
            x_TD, routing = _routed(dim, tokens, num_experts)
            kept = Expert(*(torch.stack(w).detach().requires_grad_() for w in zip(*experts, strict=True)))
            dispatches: dict[str, Dispatch] = {
                "sorted": dispatch_sorted,
                "grouped": dispatch_grouped,
                "grouped, kept stacked": lambda x_TD, routing, _, kept=kept: dispatch_stacked(x_TD, routing, kept),
            }
            every = [*parameters, *kept]
            for direction, functions in _both(dispatches, x_TD, routing, experts, every).items():
                times = take_turns(functions, **turns)
                size = {"dim": dim, "width": width, "experts": num_experts, "tokens": tokens, "direction": direction}
                rows += [common.ratio_row(times, name, "sorted", **size) for name in [*dispatches][1:]]
    return rows


def _shrunk(by: int, *sizes: int) -> list[int]:
    return [max(1, size // by) for size in sizes]


def _layer(dim: int, width: int, num_experts: int) -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
    torch.manual_seed(0)
    layer = ExpertLayer(dim=dim, widths=[width] * num_experts, config=CONFIG)
    widths, slots = [width] * num_experts, list(range(num_experts))
    return lambda x_TD: layer(x_TD, widths=widths, top_k=1, slots=slots)[0], list(layer.parameters())


def _experts(dim: int, width: int, num_experts: int) -> tuple[list[Expert], list[Tensor]]:
    torch.manual_seed(0)
    layer = ExpertLayer(dim=dim, widths=[width] * num_experts, config=CONFIG)
    experts = [
        Expert(*(weight.detach().requires_grad_() for weight in expert))
        for expert in layer.experts(dim, [width] * num_experts, range(num_experts))
    ]
    return experts, [weight for expert in experts for weight in expert]


def _routed(dim: int, tokens: int, num_experts: int) -> tuple[Tensor, Routing]:
    torch.manual_seed(1)
    x_TD, router_ED = torch.randn(tokens, dim), torch.randn(num_experts, dim) * (0.1 / dim) ** 0.5
    return x_TD, route(x_TD, router_ED)


def _both(
    dispatches: dict[str, Dispatch],
    x_TD: Tensor,
    routing: Routing,
    experts: Sequence[Expert],
    parameters: Sequence[Tensor],
) -> dict[str, dict[str, Callable[[], object]]]:
    """The functions to time, by direction and name; each dispatch has to say the same."""
    expected = dispatch_sorted(x_TD, routing, experts)

    def forward(dispatch: Dispatch) -> Callable[[], object]:
        torch.testing.assert_close(dispatch(x_TD, routing, experts), expected, atol=1e-5, rtol=0)
        return torch.inference_mode()(lambda: dispatch(x_TD, routing, experts))

    def training(dispatch: Dispatch) -> Callable[[], object]:
        return _training(lambda x_TD: dispatch(x_TD, routing, experts), parameters, x_TD)

    return {
        "forward": {name: forward(dispatch) for name, dispatch in dispatches.items()},
        "forward and backward": {name: training(dispatch) for name, dispatch in dispatches.items()},
    }


def _training(layer: Callable[[Tensor], Tensor], parameters: Sequence[Tensor], x_TD: Tensor) -> Callable[[], object]:
    """Forward and backward, into gradients that a step before has set to None."""
    x_TD = x_TD.detach().requires_grad_()
    grad_TD = torch.randn_like(x_TD)

    def step() -> None:
        for tensor in (x_TD, *parameters):
            tensor.grad = None
        layer(x_TD).backward(grad_TD)

    return step


TABLES = {"dense": against_dense, "nonzero": against_nonzero, "grouped": against_grouped}


if __name__ == "__main__":
    main()
