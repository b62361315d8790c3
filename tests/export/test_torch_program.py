"""The programs of a model compute what the model computes, in a process that has no AutoMoE."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from automoe.decoding import EOS, PAD  # noqa: E402
from automoe.export.torch_program import programs_of  # noqa: E402
from automoe.nn import TransformerConfig  # noqa: E402
from automoe.nn.transformer import Transformer  # noqa: E402
from tests.architectures import architecture, decoder_layer, encoder_layer  # noqa: E402

VOCAB = 40
NUM_POSITIONS = 24
EXPERTS = architecture(
    24,
    [encoder_layer(32), encoder_layer(32, 16, 8)],
    16,
    [decoder_layer(32, 16, 8, cross_layers=2, top_k=2)],
)
"""Dense and expert layers, of unequal widths and of one or two experts a token; several attended layers."""
DENSE = architecture(16, [encoder_layer(32)], 16, [decoder_layer(24)])
MODELS = {"experts": (EXPERTS, True), "dense": (DENSE, False)}
"""Architecture, and whether the norms stand before the layers."""
SIZES = [(8, 9, 3, 7), (1, 1, 1, 2), (1, NUM_POSITIONS, 2, NUM_POSITIONS), (5, 4, 1, 3)]
"""Sentences, longest source, hypotheses of each sentence, target length."""

RUN_PROGRAMS = """
import pathlib
import sys
import torch
sys.modules["automoe"] = None  # whoever imports it fails

def run(folder):
    encode = torch.export.load(folder / "encoder.pt2").module()
    step = torch.export.load(folder / "decoder_step.pt2").module()
    for source_BS, target_NL in torch.load(folder / "inputs.pt"):
        memory, mask, past = encode(source_BS)
        row_N = torch.arange(len(target_NL)) // (len(target_NL) // len(source_BS))
        memory, past = (tuple((key[row_N], value[row_N]) for key, value in pairs) for pairs in (memory, past))
        steps = []
        for token_N in target_NL.unbind(1):
            log_probs_NV, past = step(token_N, memory, mask[row_N], past)
            steps.append(log_probs_NV)
        yield torch.stack(steps, 1)

for folder in map(pathlib.Path, sys.argv[1:]):
    torch.save(list(run(folder)), folder / "results.pt")
"""


def random_inputs(sentences, source_length, rows, target_length, generator):
    """Sources, the shorter ones padded, and targets for `rows` hypotheses of each."""
    source_BS = torch.randint(4, VOCAB, (sentences, source_length), generator=generator)
    for row in range(sentences):
        length = max(1, source_length - row)
        source_BS[row, length - 1], source_BS[row, length:] = EOS, PAD
    target_NL = torch.randint(4, VOCAB, (sentences * rows, target_length), generator=generator)
    target_NL[:, 0] = EOS
    return source_BS, target_NL


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """For each model: itself, the inputs, and what the loaded programs made of them in a fresh process."""
    folders, models = {}, {}
    for name, (arch, pre_norm) in MODELS.items():
        folder = folders[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        model = models[name] = Transformer(arch, TransformerConfig(vocab_size=VOCAB, pre_norm=pre_norm)).eval()
        for key, weight in model.named_parameters():
            if "router" in key:
                torch.nn.init.normal_(weight)  # no expert is left without tokens
        encoder, step = programs_of(model, num_positions=NUM_POSITIONS)
        torch.export.save(encoder, folder / "encoder.pt2")
        torch.export.save(step, folder / "decoder_step.pt2")
        generator = torch.Generator().manual_seed(1)
        torch.save([random_inputs(*size, generator) for size in SIZES], folder / "inputs.pt")
    command = [sys.executable, "-c", RUN_PROGRAMS, *map(str, folders.values())]
    subprocess.run(command, check=True, timeout=120, cwd=folder)
    return {
        name: (models[name], torch.load(folder / "inputs.pt"), torch.load(folder / "results.pt"))
        for name, folder in folders.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_loaded_programs_equal_the_model_at_any_sizes(computed, name):
    model, inputs, results = computed[name]
    for (source_BS, target_NL), result in zip(inputs, results, strict=True):
        decoded = model(source_BS.repeat_interleave(len(target_NL) // len(source_BS), 0), target_NL)
        torch.testing.assert_close(result, decoded.logits_NLV.log_softmax(dim=2), atol=1e-5, rtol=0)


def test_the_inputs_reach_every_expert(computed):
    model, inputs, _ = computed["experts"]
    source_BS, target_NL = inputs[0]
    routings = model(source_BS.repeat_interleave(3, 0), target_NL).routings
    assert len(routings) == 2
    assert all(bool((routing.loads_E() > 0).all()) for routing in routings.values())
