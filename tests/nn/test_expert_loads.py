import torch

from automoe.decoding import PAD
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.expert_loads import expert_loads
from tests.architectures import MAXIMUM


def test_loads_count_every_token_once_however_it_is_batched():
    torch.manual_seed(0)
    model = Transformer(MAXIMUM, TransformerConfig(vocab_size=30)).eval()
    source, target = torch.randint(4, 30, (6, 7)), torch.randint(4, 30, (6, 5))
    together = expert_loads(model, [(source, target)])
    padded = torch.cat([source, torch.full((6, 3), PAD)], dim=1)
    split = expert_loads(model, [(padded[:2], target[:2]), (source[2:], target[2:])])
    assert together == split
    assert {layer for layer, _ in MAXIMUM_EXPERT_LAYERS} == set(together)
    for (side, layer), loads in together.items():
        arch = dict(MAXIMUM_EXPERT_LAYERS)[side, layer]
        assert len(loads) == arch.num_experts
        assert sum(loads) == (source if side == "encoder" else target).numel() * arch.top_k


MAXIMUM_EXPERT_LAYERS = [((side, i), arch) for side, i, arch in MAXIMUM.layers() if arch.num_experts > 1]
