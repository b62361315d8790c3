from dataclasses import replace

import numpy as np
import pytest
import torch

from automoe.decoding import PAD
from automoe.errors import SpaceError
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import read_model, write_model
from automoe.space import Placement
from tests.architectures import DENSE, MAXIMUM, random_slice

VOCAB = 40


def transformer(maximum, *, pre_norm=True, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    model = Transformer(maximum, TransformerConfig(vocab_size=VOCAB, pre_norm=pre_norm)).to(dtype).eval()
    with torch.no_grad():  # biases start at zero, where a wrong slice of them would not show
        for name, parameter in model.named_parameters():
            if "bias" in name or ".b1" in name or ".b2" in name:
                parameter.normal_(std=0.1)
    return model


def batch(lengths, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, VOCAB, (len(lengths), width), generator=generator)
    for row, length in enumerate(lengths):
        tokens[row, length:] = PAD
    return tokens


SOURCE, TARGET = batch([9, 5, 7], 9), batch([6, 7, 3], 7, seed=1)


@pytest.mark.parametrize("maximum", [MAXIMUM, DENSE], ids=["experts", "dense"])
@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_extracted_model_equals_slice_of_supernet(maximum, pre_norm, dtype, tolerance):
    supernet = transformer(maximum, pre_norm=pre_norm, dtype=dtype)
    rng = np.random.default_rng([pre_norm, maximum is MAXIMUM])
    for _ in range(40):  # in each precision 160 pairs, 80 of them with experts
        arch, placement = random_slice(maximum, rng)
        small = supernet.extract(arch, placement)
        torch.testing.assert_close(
            small(SOURCE, TARGET).logits_NLV,
            supernet(SOURCE, TARGET, arch, placement).logits_NLV,
            atol=tolerance,
            rtol=0,
        )


def test_extracted_model_holds_its_own_weights_only():
    supernet = transformer(MAXIMUM)
    arch, placement = random_slice(MAXIMUM, np.random.default_rng(1))
    small = supernet.extract(arch, placement)
    fresh = Transformer(arch, supernet.config)
    assert {n: p.shape for n, p in small.named_parameters()} == {n: p.shape for n, p in fresh.named_parameters()}
    with torch.no_grad():
        small.embedding.zero_()
    assert supernet.embedding.abs().sum() > 0


def test_placement_decides_which_experts_answer():
    supernet = transformer(MAXIMUM)
    full = supernet.maximum
    layer = replace(full.encoder.layers[1], expert_widths=(16, 16))
    layers = (full.encoder.layers[0], layer, full.encoder.layers[2])
    arch = replace(full, encoder=replace(full.encoder, layers=layers))
    first = Placement.first(arch)

    def answer(*slots):
        placement = replace(first, encoder=(first.encoder[0], slots, first.encoder[2]))
        return supernet(SOURCE, TARGET, arch, placement).logits_NLV

    torch.testing.assert_close(answer(0, 2), answer(2, 0))  # the same experts in other slots
    assert (answer(0, 1) - answer(2, 3)).abs().max() > 1e-3


@pytest.mark.parametrize("pre_norm", [True, False])
def test_incremental_decoding_equals_teacher_forcing(pre_norm):
    supernet = transformer(MAXIMUM, pre_norm=pre_norm, dtype=torch.float64)
    rng = np.random.default_rng(2)
    for _ in range(5):
        arch, placement = random_slice(MAXIMUM, rng)
        source = supernet.encode(SOURCE, arch, placement)
        full = supernet.decode(TARGET, source, arch, placement).logits_NLV
        state = supernet.begin(source, arch)
        for position in range(TARGET.shape[1]):
            logits, state = supernet.step(TARGET[:, position], state, arch, placement)
            real = TARGET[:, position] != PAD
            torch.testing.assert_close(logits[real], full[real, position], atol=1e-12, rtol=0)


def test_padding_and_batch_size_change_nothing():
    model = transformer(MAXIMUM, dtype=torch.float64)
    together = model(SOURCE, TARGET).logits_NLV
    for row, (source_length, target_length) in enumerate([(9, 6), (5, 7), (7, 3)]):
        alone = model(SOURCE[row : row + 1, :source_length], TARGET[row : row + 1, :target_length]).logits_NLV
        torch.testing.assert_close(together[row, :target_length], alone[0], atol=1e-12, rtol=0)


def test_paddings_are_never_routed():
    model = transformer(MAXIMUM)
    routings = model(SOURCE, TARGET).routings
    for (side, _), routing in routings.items():
        tokens = SOURCE if side == "encoder" else TARGET
        assert routing.expert_TK.shape[0] == int((tokens != PAD).sum())


def test_two_architectures_in_one_step_do_not_touch_each_other():
    model = transformer(MAXIMUM)
    rng = np.random.default_rng(3)
    pairs = [random_slice(MAXIMUM, rng) for _ in range(2)]
    separate = []
    for arch, placement in pairs:
        model.zero_grad()
        model(SOURCE, TARGET, arch, placement).logits_NLV.square().mean().backward()
        separate.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    model.zero_grad()
    sum(model(SOURCE, TARGET, a, p).logits_NLV.square().mean() for a, p in pairs).backward()
    for name, parameter in model.named_parameters():
        expected = sum((grads[name] for grads in separate if name in grads), torch.zeros_like(parameter))
        actual = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def test_architecture_or_placement_that_does_not_fit_is_refused():
    small = transformer(DENSE)
    for use in (small.extract, lambda *pair: small(SOURCE, TARGET, *pair)):
        with pytest.raises(SpaceError, match="no slice"):
            use(MAXIMUM, Placement.first(MAXIMUM))
    twice = replace(Placement.first(MAXIMUM), encoder=((0,), (0, 1, 2, 3), (2, 2, 2)))
    with pytest.raises(SpaceError, match="different experts"):
        transformer(MAXIMUM)(SOURCE, TARGET, MAXIMUM, twice)


def test_altered_weights_are_refused(tmp_path):
    write_model(transformer(DENSE), tmp_path)
    file = tmp_path / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="altered"):
        read_model(tmp_path)


def test_model_folder_round_trips_bit_for_bit(tmp_path):
    model = transformer(MAXIMUM)
    write_model(model, tmp_path, update=3)
    again = read_model(tmp_path)
    assert again.maximum == model.maximum and again.config == model.config
    for (name, weight), (other_name, other) in zip(
        model.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert name == other_name and torch.equal(weight, other)


def test_weight_file_is_as_large_as_its_parameters(tmp_path):
    model = transformer(MAXIMUM)
    write_model(model, tmp_path)
    parameters = 4 * sum(p.numel() for p in model.parameters())
    header_per_tensor = 100  # names and offsets, which are 5 % only of models larger than this one
    assert (tmp_path / "model.safetensors").stat().st_size <= parameters + header_per_tensor * len(model.state_dict())


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_cross_attention_sees_the_last_layers_of_the_encoder_paddings_left_out(count, pre_norm):
    model = transformer(MAXIMUM, pre_norm=pre_norm, dtype=torch.float64)
    layer = replace(MAXIMUM.decoder.layers[0], cross_layers=count)
    arch = replace(MAXIMUM, decoder=replace(MAXIMUM.decoder, layers=(layer,)))
    outputs = []
    for encoder_layer in model.encoder_layers:
        encoder_layer.register_forward_hook(lambda _module, _arguments, output: outputs.append(output[0]))
    state = model.begin(model.encode(SOURCE, arch, Placement.first(arch)), arch)
    seen = [model.encoder_norm(one) if pre_norm else one for one in outputs[3 - count :]]
    expected = model.decoder_layers[0].project_source(torch.cat(seen, dim=1), layer)
    for memory, one in zip(state.source[0], expected, strict=True):
        torch.testing.assert_close(memory, one, atol=1e-12, rtol=0)
    assert torch.equal(state.source_masks[0][:, 0, 0], torch.cat([SOURCE != PAD] * count, dim=1))
