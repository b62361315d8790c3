"""A slice of the supernet is the model that holds it alone, over AutoMoE's space at a sixteenth of its widths."""

import numpy as np
import pytest
import torch

from automoe.nn import Transformer, TransformerConfig
from automoe.space import Placement, SearchSpace, find_space, read_space
from automoe.supernet.placement import supernet_placement

SCALE, VOCAB = 16, 30
PAIRS = 100
"""Architectures with a placement each, pre-norm and post-norm: 200 in all."""


def scaled(form):
    """A space's JSON form with every dimension and width divided; numbers of things stay."""
    if isinstance(form, list):
        return [scaled(value) for value in form]
    if not isinstance(form, dict):
        return form
    widths = ("dim", "qkv_dim", "cross_qkv_dim", "width")
    return {
        key: [size // SCALE for size in value] if key in widths and value is not None else scaled(value)
        for key, value in form.items()
    }


SPACE = SearchSpace.from_dict(scaled(read_space(find_space("automoe_wmt14_6_fractional")).to_dict()))
SOURCE = torch.tensor([[5, 6, 7, 8, 2], [9, 10, 2, 1, 1]])
TARGET = torch.tensor([[2, 11, 12, 13], [2, 14, 1, 1]])


def test_the_space_is_automoes_at_a_sixteenth():
    largest = SPACE.largest()
    assert (largest.encoder.dim, largest.decoder.dim) == (640 // SCALE, 640 // SCALE)
    assert all(set(layer.expert_widths) == {3072 // SCALE} for _, _, layer in largest.layers())
    assert all(layer.num_experts == 6 for _, _, layer in largest.layers())


@pytest.mark.parametrize("pre_norm", [True, False])
def test_slice_of_the_supernet_equals_the_model_of_its_own(pre_norm):
    torch.manual_seed(0)
    supernet = Transformer(SPACE.envelope(), TransformerConfig(vocab_size=VOCAB, pre_norm=pre_norm)).double().eval()
    with torch.no_grad():  # biases and norms begin alike, where a wrong slice of them would not show
        for weight in supernet.parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight), alpha=0.2)
    rng = np.random.default_rng([41, pre_norm])
    seen = set()
    for number in range(PAIRS):
        arch = SPACE.sample(rng)
        placement = supernet_placement(arch) if number % 10 == 0 else Placement.sample(arch, supernet.maximum, rng)
        with torch.inference_mode():
            own = supernet.extract(arch, placement)(SOURCE, TARGET).logits_NLV
            sliced = supernet(SOURCE, TARGET, arch, placement).logits_NLV
        torch.testing.assert_close(own, sliced, atol=1e-12, rtol=0)
        seen |= {("cross_layers", layer.cross_layers) for layer in arch.decoder.layers}
        seen |= {("experts", layer.num_experts) for _, _, layer in arch.layers()}
        seen |= {("unequal",) for _, _, layer in arch.layers() if len(set(layer.expert_widths)) > 1}
    assert seen == {*(("cross_layers", n) for n in (1, 2, 3)), *(("experts", n) for n in range(1, 7)), ("unequal",)}
