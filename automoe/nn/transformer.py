"""The Transformer whose architecture is an argument (design after HAT and AutoMoE, without their state).

`Transformer(maximum, config)` holds weights for its largest architecture. Every call says which
architecture and placement it means, and the layers slice their weights accordingly; nothing is
remembered. A standalone model is the same class whose maximum is its architecture.

Shape suffixes: N target rows, B source sentences, S source length, L target length, D model dim, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automoe.decoding.symbols import PAD
from automoe.nn.attention import KeyValue
from automoe.nn.config import TransformerConfig
from automoe.nn.embedding import sinusoid
from automoe.nn.layers import DecoderLayer, EncoderLayer, prefixed
from automoe.nn.norm import ElasticLayerNorm
from automoe.nn.router import Routing
from automoe.space import Architecture, Placement, slice_error

Routings = dict[tuple[str, int], Routing]
"""The routing of every expert layer, by (side, layer index)."""


@dataclass(frozen=True)
class Source:
    """An encoded batch of source sentences."""

    states: tuple[Tensor, ...]
    """Output of the encoder layers that the decoder sees, `states_BSD` each, the last layer last."""
    mask: Tensor | None
    """bool [B, 1, 1, S], False at paddings; None if there are none."""
    routings: Routings = field(default_factory=dict)


class Decoded(NamedTuple):
    """What the decoder says of a whole target; a tuple, since hooks on modules (fairseq's) look into outputs."""

    logits_NLV: Tensor
    routings: Routings


@dataclass(frozen=True)
class DecoderState:
    """The memory of hypotheses that are being extended: N rows over B sentences, N a multiple of B."""

    source: tuple[KeyValue, ...]
    """Per layer: keys and values of the source, for B sentences."""
    source_masks: tuple[Tensor | None, ...]
    past: tuple[KeyValue | None, ...]
    """Per layer: keys and values of the target so far, for N rows."""

    @property
    def length(self) -> int:
        """Number of target positions so far."""
        return 0 if self.past[0] is None else self.past[0].key_BHSC.shape[2]

    def select(self, row_N: Tensor, sentence_B: Tensor) -> DecoderState:
        """Keeps, repeats or reorders rows, and keeps the sentences that still have some."""
        return DecoderState(
            source=tuple(memory.select(sentence_B) for memory in self.source),
            source_masks=tuple(None if mask is None else mask[sentence_B] for mask in self.source_masks),
            past=tuple(None if memory is None else memory.select(row_N) for memory in self.past),
        )

    def select_rows(self, row_N: Tensor) -> DecoderState:
        """Keeps, repeats or reorders rows; the sentences stay as they are."""
        return DecoderState(
            self.source, self.source_masks, tuple(None if m is None else m.select(row_N) for m in self.past)
        )


class Transformer(nn.Module):
    """Encoder-decoder Transformer with experts, one table tied to source, target and output.

    Args:
        maximum: the largest architecture; all others are slices of it.
        config: vocabulary, norms, dropout.
    """

    def __init__(self, maximum: Architecture, config: TransformerConfig) -> None:
        super().__init__()
        self.maximum, self.config = maximum, config
        encoder, decoder = maximum.encoder, maximum.decoder
        table_dim = max(encoder.dim, decoder.dim)
        self.embedding = nn.Parameter(torch.randn(config.vocab_size, table_dim) * table_dim**-0.5)
        self.encoder_layers = nn.ModuleList(EncoderLayer(encoder.dim, layer, config) for layer in encoder.layers)
        self.decoder_layers = nn.ModuleList(
            DecoderLayer(decoder.dim, encoder.dim, layer, config) for layer in decoder.layers
        )
        self.encoder_norm = ElasticLayerNorm(encoder.dim) if config.pre_norm else None
        self.decoder_norm = ElasticLayerNorm(decoder.dim) if config.pre_norm else None

    @classmethod
    def without_weights(cls, maximum: Architecture, config: TransformerConfig) -> Transformer:
        """A model whose parameters are shapes only: no time is lost on weights that are replaced at once.

        `load_state_dict(weights, assign=True)` makes it one that computes.
        """
        with torch.device("meta"):
            return cls(maximum, config)

    def forward(
        self,
        source_BS: Tensor,
        target_BL: Tensor,
        arch: Architecture | None = None,
        placement: Placement | None = None,
    ) -> Decoded:
        """Teacher forcing: scores every target position given the positions before it.

        Args:
            source_BS: source ids, padded on the right.
            target_BL: target ids shifted right (the end symbol first), padded on the right.
            arch: the architecture to use; by default the largest.
            placement: the experts to use; by default the first ones.

        Returns:
            Logits for each position, and the routings of both sides.
        """
        arch, placement = self.resolve(arch, placement)
        source = self.encode(source_BS, arch, placement)
        return self.decode(target_BL, source, arch, placement)

    def resolve(self, arch: Architecture | None, placement: Placement | None) -> tuple[Architecture, Placement]:
        """Fills in the defaults, the largest architecture and the first experts, and checks what was given.

        Raises:
            SpaceError: the architecture is no slice of this model's largest, or the placement does not fit it.
        """
        arch = self.maximum if arch is None else arch
        placement = Placement.first(arch) if placement is None else placement
        _check_slice(arch, placement, self.maximum)
        return arch, placement

    def encode(self, source_BS: Tensor, arch: Architecture, placement: Placement) -> Source:
        """Encodes source sentences; keeps the outputs of the last layers that any decoder layer sees."""
        token_BS = source_BS != PAD
        padded = not bool(token_BS.all())
        mask = token_BS[:, None, None, :] if padded else None
        token_T = token_BS.flatten().nonzero()[:, 0] if padded else None
        x_BSD = self._embed(source_BS, arch.encoder.dim)
        outputs: list[Tensor] = []
        routings: Routings = {}
        for index, (layer_arch, slots) in enumerate(zip(arch.encoder.layers, placement.encoder, strict=True)):
            layer = self.encoder_layers[index]
            x_BSD, routing = layer(x_BSD, layer_arch, slots, mask=mask, token_T=token_T)
            outputs.append(x_BSD)
            if routing is not None:
                routings["encoder", index] = routing
        seen = max(layer_arch.cross_layers for layer_arch in arch.decoder.layers)
        states = outputs[-seen:]
        if self.encoder_norm is not None:
            states = [self.encoder_norm(state) for state in states]
        return Source(tuple(states), mask, routings)

    def decode(self, target_BL: Tensor, source: Source, arch: Architecture, placement: Placement) -> Decoded:
        """Scores whole targets, all positions at once."""
        token_BL = target_BL != PAD
        token_T = None if bool(token_BL.all()) else token_BL.flatten().nonzero()[:, 0]
        x_BLD = self._embed(target_BL, arch.decoder.dim)
        x_BLD, _, routings = self._decoder(x_BLD, self.begin(source, arch), arch, placement, token_T)
        return Decoded(F.linear(x_BLD, self._output(arch)), source.routings | routings)

    def begin(self, source: Source, arch: Architecture) -> DecoderState:
        """The state before the first target position, one row per sentence."""
        memories: list[KeyValue] = []
        masks: list[Tensor | None] = []
        for layer, layer_arch in zip(self.decoder_layers, arch.decoder.layers, strict=False):
            assert isinstance(layer, DecoderLayer)
            count = layer_arch.cross_layers
            states = source.states[-count:]
            memories.append(layer.project_source(torch.cat(states, dim=1) if count > 1 else states[0], layer_arch))
            masks.append(None if source.mask is None else source.mask.repeat(1, 1, 1, count))
        return DecoderState(tuple(memories), tuple(masks), (None,) * len(memories))

    def step(
        self, token_N: Tensor, state: DecoderState, arch: Architecture, placement: Placement
    ) -> tuple[Tensor, DecoderState]:
        """Extends each row by one token.

        Args:
            token_N: the newest token of each row.
            state: the memory of these rows.
            arch: the architecture to use.
            placement: the experts to use.

        Returns:
            `logits_NV` for the next token, and the new state.
        """
        x_N1D = self._embed(token_N[:, None], arch.decoder.dim, first=state.length)
        x_N1D, past, _ = self._decoder(x_N1D, state, arch, placement, None)
        new_state = DecoderState(state.source, state.source_masks, past)
        return F.linear(x_N1D[:, 0], self._output(arch)), new_state

    def sliced(self, arch: Architecture, placement: Placement) -> dict[str, Tensor]:
        """The parameters that a model of this architecture uses, under the names of a standalone model.

        Raises:
            SpaceError: the architecture or the placement is not of this model.
        """
        _check_slice(arch, placement, self.maximum)
        encoder_dim, decoder_dim = arch.encoder.dim, arch.decoder.dim
        named = {"embedding": self.embedding[:, : max(encoder_dim, decoder_dim)]}
        for index, (layer_arch, slots) in enumerate(zip(arch.encoder.layers, placement.encoder, strict=True)):
            layer = self.encoder_layers[index]
            assert isinstance(layer, EncoderLayer)
            named |= prefixed(f"encoder_layers.{index}", layer.sliced(encoder_dim, layer_arch, slots))
        for index, (decoder_arch, slots) in enumerate(zip(arch.decoder.layers, placement.decoder, strict=True)):
            layer = self.decoder_layers[index]
            assert isinstance(layer, DecoderLayer)
            named |= prefixed(f"decoder_layers.{index}", layer.sliced(decoder_dim, encoder_dim, decoder_arch, slots))
        if self.encoder_norm is not None and self.decoder_norm is not None:
            named |= prefixed("encoder_norm", self.encoder_norm.sliced(encoder_dim))
            named |= prefixed("decoder_norm", self.decoder_norm.sliced(decoder_dim))
        return named

    def extract(self, arch: Architecture, placement: Placement) -> Transformer:
        """A standalone model of this architecture with a copy of its weights, and no others."""
        small = Transformer.without_weights(arch, self.config)
        named = {name: tensor.detach().clone() for name, tensor in self.sliced(arch, placement).items()}
        small.load_state_dict(named, strict=True, assign=True)
        return small.train(self.training)

    def _embed(self, token_NL: Tensor, dim: int, first: int = 0) -> Tensor:
        x_NLD = F.embedding(token_NL, self.embedding)[..., :dim] * dim**0.5
        length = token_NL.shape[1]
        x_NLD = x_NLD + sinusoid(first + length, dim, x_NLD)[first:]
        return F.dropout(x_NLD, self.config.dropout, self.training)

    def _output(self, arch: Architecture) -> Tensor:
        return self.embedding[:, : arch.decoder.dim]

    def _decoder(
        self,
        x_NLD: Tensor,
        state: DecoderState,
        arch: Architecture,
        placement: Placement,
        token_T: Tensor | None,
    ) -> tuple[Tensor, tuple[KeyValue | None, ...], Routings]:
        routings: Routings = {}
        past: list[KeyValue | None] = []
        for index, (layer_arch, slots) in enumerate(zip(arch.decoder.layers, placement.decoder, strict=True)):
            x_NLD, memory, routing = self.decoder_layers[index](
                x_NLD,
                layer_arch,
                slots,
                source=state.source[index],
                source_mask=state.source_masks[index],
                past=state.past[index],
                token_T=token_T,
            )
            past.append(memory)
            if routing is not None:
                routings["decoder", index] = routing
        if self.decoder_norm is not None:
            x_NLD = self.decoder_norm(x_NLD)
        return x_NLD, tuple(past), routings


@lru_cache(maxsize=4096)
def _check_slice(arch: Architecture, placement: Placement, maximum: Architecture) -> None:
    # A slice that is too wide would come out silently narrower. All three are values, so once is enough.
    if (misfit := slice_error(arch, maximum)) is not None:
        raise misfit
    placement.check(arch, maximum)
