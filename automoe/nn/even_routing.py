"""Routers that send about as many tokens to each expert, for models that nobody has trained yet.

Trained routers are balanced by a loss (Fedus et al. 2022, section 2.2). Random ones are not: the states of a layer
have much in common, and their mean alone decides for a few experts. Here the rows of a router are random directions
across the mean; what each has along the mean acts as a bias of its expert, and is set so that the loads are even.

Shape suffixes: N sentences, L length, T tokens, D model dim, E experts, K experts per token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from automoe.decoding.stepper import Int64Array
from automoe.decoding.symbols import EOS, PAD
from automoe.nn.experts import ExpertLayer
from automoe.nn.random_weights import ROUTER_LOGIT_STD
from automoe.nn.transformer import Transformer
from automoe.space import Placement

_ROUNDS = 50
_FIRST_STEP = 1.0
"""Change of a bias, in router scores, for an expert whose load is off by all of its share; smaller in each round."""


@torch.no_grad()
def even_routing(
    transformer: Transformer, sources: Sequence[Int64Array], generator: torch.Generator | None = None
) -> None:
    """Replaces the routers of a model, in place, by ones that give its experts about equal loads.

    The model reads the sentences once. Each router is made when its layer meets the tokens, out of what the layers
    before it, with their new routers, made of them. The decoder reads the sources as if they were the targets.

    Under teacher forcing the busiest expert of a layer gets 1.0 to 1.4 times an even share of sentences that were
    not given, with 2 to 6 experts, and up to 1.7 times with 16 (64 sentences given; random and trained weights). The
    hypotheses of a beam search hold fewer words: there it is 1.1 to 2.9 times, and up to 4 times with 16.

    Args:
        transformer: a standalone model of any weights, on any device.
        sources: token ids of each sentence, its end symbol included; together some tens of tokens per expert.
        generator: draws the directions, on any device; by default always the same ones.
    """
    arch, placement = transformer.maximum, Placement.first(transformer.maximum)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    hooks = _set_routers_when_met(transformer, generator)
    source_NL = _padded(sources).to(transformer.embedding.device)
    training = transformer.training
    transformer.eval()
    try:
        if hooks:
            source = transformer.encode(source_NL, arch, placement)
        if any(layer.num_experts > 1 for layer in arch.decoder.layers):
            transformer.decode(_shifted(source_NL), source, arch, placement)
    finally:
        transformer.train(training)
        for hook in hooks:
            hook.remove()


def even_router(x_TD: Tensor, num_experts: int, top_k: int, generator: torch.Generator) -> Tensor:
    """A router that spreads tokens evenly over experts.

    Args:
        x_TD: what the layer reads.
        num_experts: how many experts.
        top_k: of them for each token.
        generator: draws the directions, on any device.

    Returns:
        `weight_ED`, in float32. But for the bias, scores have the standard deviation `ROUTER_LOGIT_STD`.
    """
    x_TD, least = x_TD.float(), torch.finfo(torch.float32).tiny
    mean_D = x_TD.mean(dim=0)
    along_D = mean_D / mean_D.square().sum().clamp_min(least)
    drawn_ED = torch.randn(num_experts, x_TD.shape[1], generator=generator, device=generator.device).to(x_TD.device)
    across_ED = drawn_ED - (drawn_ED @ mean_D)[:, None] * along_D
    std_E = (x_TD @ across_ED.T).std(dim=0, correction=0)
    across_ED = across_ED * (ROUTER_LOGIT_STD / std_E.clamp_min(least))[:, None]
    score_TE, along_T1 = x_TD @ across_ED.T, (x_TD @ along_D)[:, None]
    bias_E = torch.zeros(num_experts, device=x_TD.device)
    for number in range(_ROUNDS):
        expert_TK = (score_TE + along_T1 * bias_E).topk(top_k, dim=1).indices
        load_E = torch.bincount(expert_TK.flatten(), minlength=num_experts) * (num_experts / expert_TK.numel())
        bias_E -= _FIRST_STEP * (1 - number / _ROUNDS) * (load_E - 1)
    return across_ED + bias_E[:, None] * along_D


def _set_routers_when_met(transformer: Transformer, generator: torch.Generator) -> list[RemovableHandle]:
    """A hook for every layer with a router, which the layer calls before it reads its input."""
    hooks = []
    for side, index, layer_arch in transformer.maximum.layers():
        if layer_arch.num_experts > 1:
            layers = transformer.encoder_layers if side == "encoder" else transformer.decoder_layers
            experts = layers[index].experts
            assert isinstance(experts, ExpertLayer)
            hooks.append(experts.register_forward_pre_hook(_router_setter(layer_arch.top_k, generator)))
    return hooks


def _router_setter(top_k: int, generator: torch.Generator) -> Callable[[nn.Module, tuple[Tensor]], None]:
    def set_router(experts: nn.Module, arguments: tuple[Tensor]) -> None:
        assert isinstance(experts, ExpertLayer) and experts.router_weight is not None
        (x_TD,) = arguments
        experts.router_weight.copy_(even_router(x_TD, len(experts.w1), top_k, generator))

    return set_router


def _padded(sources: Sequence[Int64Array]) -> Tensor:
    source_NL = torch.full((len(sources), max(map(len, sources))), PAD)
    for row, ids_L in enumerate(sources):
        source_NL[row, : len(ids_L)] = torch.from_numpy(ids_L)
    return source_NL


def _shifted(source_NL: Tensor) -> Tensor:
    """Sentences as a decoder reads them: the end symbol stands first, and not last."""
    without_end_NL = source_NL.masked_fill(source_NL == EOS, PAD)[:, :-1]
    return F.pad(without_end_NL, (1, 0), value=EOS)
