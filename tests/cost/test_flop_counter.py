"""The analytic counts against torch's own counter, which watches the products that a model runs."""

import numpy as np
import pytest

from automoe.cost import costs
from automoe.cost.executed import executed_expert_flops, executed_flops
from tests.architectures import MAXIMUM, architecture, decoder_layer, encoder_layer, random_slice

pytest.importorskip("torch")

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from automoe.nn import Transformer, TransformerConfig

VOCAB = 40
SUPERNET_OF = architecture(
    48,
    [encoder_layer(64, 48, 32, 16), encoder_layer(64, 64, 8), encoder_layer(64, 40, 40, 24, 8)],
    32,
    [decoder_layer(64, 16), decoder_layer(48, 48, 48), decoder_layer(64, 32, 16, 8)],
)


def moe_architectures(count):
    """With an expert layer of unequal widths each; top-1 and top-k, and 1 to 3 attended layers among them."""
    rng = np.random.default_rng(0)
    found = []
    while len(found) < count:
        arch, placement = random_slice(SUPERNET_OF, rng)
        if any(len(set(layer.expert_widths)) > 1 for _, _, layer in arch.layers()):
            found.append((arch, placement))
    return found


@torch.inference_mode()
def counted(supernet, arch, placement, source_tokens, target_tokens, generator):
    """FLOPs by torch's counter, without the projection to the vocabulary, and the routed counts of the pass."""
    source = torch.randint(4, VOCAB, (1, source_tokens), generator=generator)
    target = torch.randint(4, VOCAB, (1, target_tokens), generator=generator)
    # The fused attention of a CPU is counted as nothing.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        routings = supernet(source, target, arch, placement).routings
    loads = {place: routing.loads_E().tolist() for place, routing in routings.items()}
    return counter.get_total_flops() - 2 * target_tokens * arch.decoder.dim * VOCAB, loads


def test_executed_flops_of_a_routed_pass_are_those_that_torch_counts():
    supernet = Transformer(SUPERNET_OF, TransformerConfig(vocab_size=VOCAB)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # fresh routers send nearly all tokens to one expert
        for name, weight in supernet.named_parameters():
            if name.endswith("router_weight"):
                weight.copy_(torch.randn(weight.shape, generator=generator))
    archs = moe_architectures(50)
    unlike_uniform = 0
    for number, (arch, placement) in enumerate(archs):
        tokens = {"source_tokens": 5 + number % 23, "target_tokens": 3 + number % 17}
        flops, loads = counted(supernet, arch, placement, **tokens, generator=generator)
        assert executed_flops(arch, loads, **tokens) == flops
        unlike_uniform += flops != costs(arch, vocab_size=VOCAB, pre_norm=True, **tokens).flops
    layers = [layer for arch, _ in archs for _, _, layer in arch.layers()]
    assert {layer.top_k for layer in layers if layer.num_experts > 1} >= {1, 2, 3, 4}
    assert {layer.cross_layers for arch, _ in archs for layer in arch.decoder.layers} == {1, 2, 3}
    assert sum(arch.encoder.dim != arch.decoder.dim for arch, _ in archs) > 25
    assert unlike_uniform > 25


@torch.inference_mode()
def test_the_experts_part_is_what_torch_counts_inside_the_expert_layers_beside_their_routers():
    model = Transformer(MAXIMUM, TransformerConfig(vocab_size=VOCAB)).eval()
    tokens = {"encoder": 9, "decoder": 7}
    with FlopCounterMode(display=False) as counter:
        routings = model(*(torch.full((1, count), 5) for count in tokens.values())).routings
    counted = 0
    for side, index in routings:
        counted += sum(counter.get_flop_counts()[f"Transformer.{side}_layers.{index}.experts"].values())
        counted -= 2 * tokens[side] * model.get_submodule(f"{side}_layers.{index}.experts").router_weight.numel()
    loads = {place: routing.loads_E().tolist() for place, routing in routings.items()}
    assert len(loads) == 4 and counted > 0
    assert executed_expert_flops(MAXIMUM, loads, source_tokens=9, target_tokens=7) == counted
