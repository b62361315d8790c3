"""fairseq model `automoe_transformer`: our Transformer behind fairseq's encoder and decoder interfaces."""

# No `from __future__ import annotations` here: fairseq reads the types of the arguments at run time.

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, cast

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, FairseqEncoder, FairseqIncrementalDecoder, register_model
from omegaconf import MISSING
from torch import Tensor

from automoe.nn import DecoderState, Source, Transformer, TransformerConfig
from automoe.nn.router import RouterPrecision
from automoe.space import Architecture, Placement
from automoe.supernet import Visit
from automoe.training.arguments import architecture_of_argument

EncoderOut = dict[str, list[Tensor]]
Scored = tuple[Tensor, dict[str, Any]]


@dataclass
class AutoMoETransformerConfig(FairseqDataclass):
    """Arguments of the model."""

    architecture: str = field(
        default=MISSING,
        metadata={
            "help": "architecture file (YAML or JSON), or space:NAME_OR_FILE for the largest of a search space; "
            "checkpoints hold its content"
        },
    )
    post_norm: bool = field(default=False, metadata={"help": "layer norm after each residual sum, not before"})
    dropout: float = field(default=0.1, metadata={"help": "dropout on embeddings and sub-layer outputs"})
    attention_dropout: float = field(default=0.0, metadata={"help": "dropout on attention weights"})
    activation_dropout: float = field(
        default=0.0, metadata={"help": "dropout on hidden units of feed-forward networks"}
    )
    expert_dropout: Optional[float] = field(  # noqa: UP045  fairseq cannot read the type `float | None`
        default=None, metadata={"help": "the same where a layer has several experts (default: activation_dropout)"}
    )
    router_jitter: float = field(
        default=0.0, metadata={"help": "noise on what routers see in training: a factor of 1 - jitter to 1 + jitter"}
    )
    capacity_factor: Optional[float] = field(  # noqa: UP045
        default=None, metadata={"help": "room of an expert in training, of its even share (default: room for all)"}
    )
    router_precision: str = field(
        default="float32", metadata={"help": "routers compute in float32, or in the precision of the model: model"}
    )


@register_model("automoe_transformer", dataclass=AutoMoETransformerConfig)
class AutoMoETransformerModel(BaseFairseqModel):
    """A `Transformer` for fairseq-train and fairseq-generate; its weights are under `transformer.`."""

    def __init__(self, transformer: Transformer, dictionary: Any) -> None:
        super().__init__()
        self.transformer = transformer
        self.encoder = _Encoder(dictionary, transformer)
        self.decoder = _Decoder(dictionary, transformer)

    @classmethod
    def build_model(cls, cfg: AutoMoETransformerConfig, task: Any) -> "AutoMoETransformerModel":
        """Builds the model of `cfg` over the task's vocabulary."""
        arch = architecture_of_argument(cfg.architecture)
        config = TransformerConfig(
            vocab_size=len(task.target_dictionary),
            pre_norm=not cfg.post_norm,
            dropout=cfg.dropout,
            attention_dropout=cfg.attention_dropout,
            activation_dropout=cfg.activation_dropout,
            expert_dropout=cfg.expert_dropout,
            router_jitter=cfg.router_jitter,
            capacity_factor=cfg.capacity_factor,
            router_precision=cast(RouterPrecision, cfg.router_precision),
        )
        return cls(Transformer(arch, config), task.target_dictionary)

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor,
        visits: Sequence[Visit] | None = None,
        **kwargs: Any,
    ) -> Scored | list[Scored]:
        """Logits of every target position, and the routings under `routings`; with `visits` one of these for each.

        All sub-transformers of a step come from one call: data-parallel training allows no more (it would mark
        shared weights as ready twice).
        """
        if visits is None:
            decoded = self.transformer(src_tokens, prev_output_tokens)
            return decoded.logits_NLV, {"routings": decoded.routings}
        scored: list[Scored] = []
        for visit in visits:
            decoded = self.transformer(src_tokens, prev_output_tokens, visit.arch, visit.placement)
            scored.append((decoded.logits_NLV, {"routings": decoded.routings}))
        return scored

    def max_positions(self) -> tuple[int, int]:
        """Sinusoidal positions have no limit of their own."""
        return 100_000, 100_000

    def max_decoder_positions(self) -> int:
        """As `max_positions`, for the decoder."""
        return 100_000

    def get_targets(self, sample: dict[str, Any], net_output: Any) -> Tensor:
        """The reference tokens of a batch."""
        target: Tensor = sample["target"]
        return target


class _Adaptor:
    """Keeps the Transformer without registering it a second time as a sub-module."""

    def keep(self, transformer: Transformer) -> None:
        object.__setattr__(self, "transformer", transformer)
        arch, placement = transformer.resolve(None, None)
        object.__setattr__(self, "arch", arch)
        object.__setattr__(self, "placement", placement)

    transformer: Transformer
    arch: Architecture
    placement: Placement


class _Encoder(FairseqEncoder, _Adaptor):
    """What fairseq's SequenceGenerator calls the encoder. Everything in its output has the batch axis first."""

    def __init__(self, dictionary: Any, transformer: Transformer) -> None:
        super().__init__(dictionary)
        self.keep(transformer)

    def forward_torchscript(self, net_input: dict[str, Tensor]) -> EncoderOut:
        source = self.transformer.encode(net_input["src_tokens"], self.arch, self.placement)
        return {"states": list(source.states), "mask": [] if source.mask is None else [source.mask]}

    def reorder_encoder_out(self, encoder_out: EncoderOut, new_order: Tensor) -> EncoderOut:
        return {name: [t.index_select(0, new_order) for t in tensors] for name, tensors in encoder_out.items()}

    def max_positions(self) -> int:
        return 100_000


class _Decoder(FairseqIncrementalDecoder, _Adaptor):
    """What fairseq's SequenceGenerator calls the decoder; one row per hypothesis."""

    def __init__(self, dictionary: Any, transformer: Transformer) -> None:
        super().__init__(dictionary)
        self.keep(transformer)

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: EncoderOut,
        incremental_state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, Any]]:
        mask = encoder_out["mask"]
        source = Source(tuple(encoder_out["states"]), mask[0] if mask else None)
        if incremental_state is None:
            decoded = self.transformer.decode(prev_output_tokens, source, self.arch, self.placement)
            return decoded.logits_NLV, {"attn": None}
        state: DecoderState | None = incremental_state.get("automoe")
        if state is None:
            state = self.transformer.begin(source, self.arch)
        logits_NV, incremental_state["automoe"] = self.transformer.step(
            prev_output_tokens[:, -1], state, self.arch, self.placement
        )
        return logits_NV[:, None, :], {"attn": None}

    def reorder_incremental_state_scripting(self, incremental_state: dict[str, Any], new_order: Tensor) -> None:
        state: DecoderState | None = incremental_state.get("automoe")
        if state is not None:
            incremental_state["automoe"] = state.select(new_order, new_order)

    def max_positions(self) -> int:
        return 100_000

    def get_normalized_probs(self, net_output: tuple[Tensor, Any], log_probs: bool, sample: Any = None) -> Tensor:
        logits = net_output[0].float()
        return torch.log_softmax(logits, dim=-1) if log_probs else torch.softmax(logits, dim=-1)
