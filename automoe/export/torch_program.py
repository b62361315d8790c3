"""The format `torch`: programs of `torch.export` that PyTorch alone runs, without AutoMoE.

    encode = torch.export.load("encoder.pt2").module()
    step = torch.export.load("decoder_step.pt2").module()
    memory, mask_BS, past = encode(source_BS)                      # ids, </s> last, padded with 1 on the right
    log_probs_NV, past = step(token_N, memory, mask_NS, past)      # the first token is </s> (2), and N is B

`memory` and `past` are a pair (keys, values) for each decoder layer, with one row for each hypothesis: a search that
repeats, reorders or drops hypotheses indexes all three by row. The number of rows and all lengths are free. Every
model can be held, experts included.

The eager model sorts tokens and splits them by counts that it reads, which no exported program can. Here each expert
looks up its own tokens (`nonzero`) and adds their results into place (`index_add`): only what is chosen is computed,
an expert without tokens costs two small operations, and the number of operations is that of the experts.

Shape suffixes: B sentences, S source length, N rows (hypotheses), P target positions so far, D model dim, H heads,
C channels of a head, V vocabulary, T tokens, K experts per token, I tokens of one expert.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from automoe.bundle import SEGMENTER_FILE, Bundle
from automoe.decoding.hypothesis import SearchConfig
from automoe.decoding.symbols import EOS, PAD
from automoe.nn import Transformer, feed_forward, route
from automoe.nn.attention import KeyValue
from automoe.nn.embedding import sinusoid
from automoe.nn.experts import ExpertLayer
from automoe.nn.layers import DecoderLayer
from automoe.space import DecoderLayerArch

QUANTIZATIONS = ("float32",)
ENCODER_FILE, STEP_FILE = "encoder.pt2", "decoder_step.pt2"
NUM_POSITIONS = 1024
"""Longest sentence of a program unless more is asked for."""

Pair = tuple[Tensor, Tensor]
Pairs = tuple[Pair, ...]
"""Keys and values of every decoder layer."""


def write(transformer: Transformer, bundle: Bundle, folder: Path, *, quantization: str) -> str:
    """Writes both programs and the SentencePiece model (see `automoe.export.formats.Write`)."""
    longest = bundle.manifest.max_source_tokens
    limit = SearchConfig.from_dict(bundle.manifest.decoding).limit(longest)
    encoder, step = programs_of(transformer, num_positions=max(NUM_POSITIONS, longest, limit + 1))
    torch.export.save(encoder, folder / ENCODER_FILE)
    torch.export.save(step, folder / STEP_FILE)
    shutil.copyfile(bundle.path(SEGMENTER_FILE), folder / SEGMENTER_FILE)
    return f"torch.export.load('{{folder}}/{ENCODER_FILE}').module(), {STEP_FILE} likewise"


def programs_of(
    transformer: Transformer, *, num_positions: int = NUM_POSITIONS
) -> tuple[ExportedProgram, ExportedProgram]:
    """The encoder and one step of the decoder as exported programs, in float32.

    Args:
        transformer: a standalone model: its largest architecture is what is exported.
        num_positions: longest source and translation, end symbol included.
    """
    transformer = _exportable(transformer)
    rows, source_length = Dim("rows", min=1), Dim("source_length", min=1, max=num_positions)
    past_length = Dim("past_length", min=0, max=num_positions - 1)
    seen, so_far = {0: rows, 3: source_length}, {0: rows, 2: past_length}
    source_BS = torch.full((3, 5), EOS)
    source_BS[1, 4:] = source_BS[2, 3:] = PAD
    with torch.no_grad():
        encoder = _Encoder(transformer, num_positions)
        sizes = ({0: rows, 1: source_length},)
        encoder_program = torch.export.export(encoder, (source_BS,), dynamic_shapes=sizes)
        memory, mask_BS, past = encoder(source_BS)
        past = tuple((_stretched(key), _stretched(value)) for key, value in past)
        inputs = (torch.full((3,), EOS), memory, mask_BS, past)
        each = len(past)
        step_sizes = ({0: rows}, ((seen, seen),) * each, {0: rows, 1: source_length}, ((so_far, so_far),) * each)
        step = _DecoderStep(transformer, num_positions)
        step_program = torch.export.export(step, inputs, dynamic_shapes=step_sizes)
    return encoder_program, step_program


class _Encoder(nn.Module):
    """Source ids to what the decoder's layers attend to."""

    position_PD: Tensor

    def __init__(self, transformer: Transformer, num_positions: int) -> None:
        super().__init__()
        self.arch = arch = transformer.maximum
        self.embedding = transformer.embedding
        self.layers, self.norm = transformer.encoder_layers, transformer.encoder_norm
        self.decoder_layers = transformer.decoder_layers
        self.register_buffer("position_PD", sinusoid(num_positions, arch.encoder.dim, self.embedding).clone())

    def forward(self, source_BS: Tensor) -> tuple[Pairs, Tensor, Pairs]:
        """Returns keys and values of the source, where it is no padding, and a past of no positions."""
        dim = self.arch.encoder.dim
        mask_BS = source_BS != PAD
        x_BSD = _embedded(source_BS, self.embedding, dim) + self.position_PD[: source_BS.shape[1]]
        states = []
        for layer, sizes in zip(self.layers, self.arch.encoder.layers, strict=True):
            slots = range(sizes.num_experts)
            x_BSD, _ = layer(x_BSD, sizes, slots, mask=mask_BS[:, None, None], token_T=None)
            states.append(x_BSD if self.norm is None else self.norm(x_BSD))
        memory, past = [], []
        for layer, decoder_sizes in zip(self.decoder_layers, self.arch.decoder.layers, strict=True):
            assert isinstance(layer, DecoderLayer)
            count = decoder_sizes.cross_layers
            key_BHSC, value_BHSC = layer.project_source(torch.cat(states[-count:], dim=1), decoder_sizes)
            # The layers have an axis of their own, so that all lengths of a program are the source's.
            memory.append((key_BHSC.unflatten(2, (count, -1)), value_BHSC.unflatten(2, (count, -1))))
            past.append(_empty_past(x_BSD, decoder_sizes))
        return tuple(memory), mask_BS, tuple(past)


class _DecoderStep(nn.Module):
    """The newest tokens of hypotheses to the log probabilities of the next ones."""

    position_PD: Tensor

    def __init__(self, transformer: Transformer, num_positions: int) -> None:
        super().__init__()
        self.arch = arch = transformer.maximum
        self.embedding = transformer.embedding
        self.layers, self.norm = transformer.decoder_layers, transformer.decoder_norm
        self.register_buffer("position_PD", sinusoid(num_positions, arch.decoder.dim, self.embedding).clone())

    def forward(self, token_N: Tensor, memory: Pairs, mask_NS: Tensor, past: Pairs) -> tuple[Tensor, Pairs]:
        """Returns `log_probs_NV` and the past with one more position, keys and values [N, H, P + 1, C]."""
        dim, length = self.arch.decoder.dim, past[0][0].shape[2]
        x_ND = _embedded(token_N, self.embedding, dim) + self.position_PD[length : length + 1]
        x_N1D = x_ND[:, None]
        longer = []
        for index, (layer, sizes) in enumerate(zip(self.layers, self.arch.decoder.layers, strict=True)):
            key, value = memory[index]
            x_N1D, layer_past, _ = layer(
                x_N1D,
                sizes,
                range(sizes.num_experts),
                source=KeyValue(key.flatten(2, 3), value.flatten(2, 3)),
                source_mask=mask_NS[:, None, None].repeat(1, 1, 1, sizes.cross_layers),
                past=KeyValue(*past[index]),
                token_T=None,
            )
            longer.append(tuple(layer_past))
        if self.norm is not None:
            x_N1D = self.norm(x_N1D)
        logits_NV = F.linear(x_N1D[:, 0], self.embedding[:, :dim])
        return logits_NV.log_softmax(dim=1), tuple(longer)


class _ExportableExperts(ExpertLayer):
    """An expert layer, its weights shared with another, whose computation does not depend on values of tensors."""

    def __init__(self, layer: ExpertLayer) -> None:
        nn.Module.__init__(self)
        self.router_weight = layer.router_weight
        self.w1, self.b1, self.w2, self.b2 = layer.w1, layer.b1, layer.w2, layer.b2

    def forward(self, x_TD: Tensor, *, widths: object, top_k: int, slots: object) -> tuple[Tensor, None]:
        """As `ExpertLayer.forward`, with all experts of the layer; the routing is not given."""
        experts = self.experts(x_TD.shape[1], [len(b1) for b1 in self.b1], range(len(self.b1)))
        if self.router_weight is None:
            return feed_forward(x_TD, experts[0]), None
        routing = route(x_TD, self.router_weight, top_k)
        y_TD = torch.zeros_like(x_TD)
        for index, expert in enumerate(experts):
            chosen_TK = routing.expert_TK == index
            token_I = chosen_TK.any(dim=1).nonzero()[:, 0]
            gate_I = (routing.gate_TK * chosen_TK).sum(dim=1)[token_I]
            y_ID = feed_forward(x_TD[token_I], expert) * gate_I[:, None]
            y_TD = y_TD.index_add(0, token_I, y_ID)
        return y_TD, None


def _exportable(transformer: Transformer) -> Transformer:
    """A copy in evaluation mode and float32 whose expert layers can be exported."""
    transformer = copy.deepcopy(transformer).eval().float().requires_grad_(False)
    for layer in (*transformer.encoder_layers, *transformer.decoder_layers):
        layer.experts = _ExportableExperts(layer.experts)
    return transformer


def _embedded(token_BL: Tensor, table_VD: Tensor, dim: int) -> Tensor:
    return F.embedding(token_BL, table_VD)[..., :dim] * dim**0.5


def _empty_past(x_BSD: Tensor, sizes: DecoderLayerArch) -> Pair:
    shape = (x_BSD.shape[0], sizes.heads, 0, sizes.qkv_dim // sizes.heads)
    return x_BSD.new_empty(shape), x_BSD.new_empty(shape)


def _stretched(empty: Tensor) -> Tensor:
    """A past of two positions, since a size of 0 or 1 would be taken as fixed."""
    rows, heads, _, channels = empty.shape
    return empty.new_zeros(rows, heads, 2, channels)
