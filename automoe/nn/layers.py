"""One encoder layer and one decoder layer, of elastic sizes.

Shape suffixes: N rows, L length, D model dim, T tokens that are no padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from automoe.nn.attention import Attention, KeyValue
from automoe.nn.config import TransformerConfig
from automoe.nn.experts import ExpertLayer
from automoe.nn.norm import ElasticLayerNorm
from automoe.nn.router import Routing
from automoe.space import DecoderLayerArch, EncoderLayerArch


class _Layer(nn.Module):
    """What both kinds of layers share: self-attention, experts, residual sums and norms."""

    def __init__(self, dim: int, arch: EncoderLayerArch, config: TransformerConfig) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.dropout = config.dropout
        self.self_attention = Attention(
            query_dim=dim, memory_dim=dim, qkv_dim=arch.qkv_dim, dropout=config.attention_dropout
        )
        self.self_norm = ElasticLayerNorm(dim)
        self.experts = ExpertLayer(dim=dim, widths=arch.expert_widths, config=config)
        self.expert_norm = ElasticLayerNorm(dim)

    def _residual(self, x_NLD: Tensor, norm: ElasticLayerNorm, part: Callable[[Tensor], Tensor]) -> Tensor:
        y_NLD = part(norm(x_NLD) if self.pre_norm else x_NLD)
        x_NLD = x_NLD + F.dropout(y_NLD, self.dropout, self.training)
        return x_NLD if self.pre_norm else norm(x_NLD)

    def _feed_forward(
        self, x_NLD: Tensor, arch: EncoderLayerArch, slots: Sequence[int], token_T: Tensor | None
    ) -> tuple[Tensor, Routing | None]:
        routing: Routing | None = None

        def experts(x_NLD: Tensor) -> Tensor:
            nonlocal routing
            x_TD = x_NLD.reshape(-1, x_NLD.shape[-1])
            if token_T is None or arch.num_experts == 1:
                y_TD, routing = self.experts(x_TD, widths=arch.expert_widths, top_k=arch.top_k, slots=slots)
                return y_TD.view_as(x_NLD)
            y_TD, routing = self.experts(
                x_TD.index_select(0, token_T), widths=arch.expert_widths, top_k=arch.top_k, slots=slots
            )
            return x_TD.new_zeros(x_TD.shape).index_copy(0, token_T, y_TD).view_as(x_NLD)

        return self._residual(x_NLD, self.expert_norm, experts), routing

    def _sliced(self, dim: int, arch: EncoderLayerArch, slots: Sequence[int]) -> dict[str, Tensor]:
        attention = self.self_attention.sliced(query_dim=dim, memory_dim=dim, qkv_dim=arch.qkv_dim)
        return {
            **prefixed("self_attention", attention),
            **prefixed("self_norm", self.self_norm.sliced(dim)),
            **prefixed("experts", self.experts.sliced(dim, arch.expert_widths, slots)),
            **prefixed("expert_norm", self.expert_norm.sliced(dim)),
        }


class EncoderLayer(_Layer):
    """Self-attention, then experts."""

    def forward(
        self,
        x_NLD: Tensor,
        arch: EncoderLayerArch,
        slots: Sequence[int],
        *,
        mask: Tensor | None,
        token_T: Tensor | None,
    ) -> tuple[Tensor, Routing | None]:
        """Processes source states.

        Args:
            x_NLD: states.
            arch: sizes to use.
            slots: expert of each slot.
            mask: bool [N, 1, 1, L], False at paddings; None if there are none.
            token_T: positions in N * L that are no padding; None if all are.
        """

        def attend(x_NLD: Tensor) -> Tensor:
            memory = self.self_attention.project(x_NLD, heads=arch.heads, qkv_dim=arch.qkv_dim)
            return self.self_attention(x_NLD, memory, heads=arch.heads, qkv_dim=arch.qkv_dim, mask=mask)

        x_NLD = self._residual(x_NLD, self.self_norm, attend)
        return self._feed_forward(x_NLD, arch, slots, token_T)

    def sliced(self, dim: int, arch: EncoderLayerArch, slots: Sequence[int]) -> dict[str, Tensor]:
        """The parameters that a layer of these sizes uses, by name."""
        return self._sliced(dim, arch, slots)


class DecoderLayer(_Layer):
    """Self-attention over the target so far, cross-attention over the source, then experts."""

    def __init__(self, dim: int, encoder_dim: int, arch: DecoderLayerArch, config: TransformerConfig) -> None:
        super().__init__(dim, arch, config)
        self.cross_attention = Attention(
            query_dim=dim, memory_dim=encoder_dim, qkv_dim=arch.cross_qkv_dim, dropout=config.attention_dropout
        )
        self.cross_norm = ElasticLayerNorm(dim)

    def project_source(self, states_BSD: Tensor, arch: DecoderLayerArch) -> KeyValue:
        """Keys and values of the source for the cross-attention, computed once a sentence."""
        return self.cross_attention.project(states_BSD, heads=arch.cross_heads, qkv_dim=arch.cross_qkv_dim)

    def forward(
        self,
        x_NLD: Tensor,
        arch: DecoderLayerArch,
        slots: Sequence[int],
        *,
        source: KeyValue,
        source_mask: Tensor | None,
        past: KeyValue | None,
        token_T: Tensor | None,
    ) -> tuple[Tensor, KeyValue, Routing | None]:
        """Processes target states.

        Args:
            x_NLD: states; the whole target without `past`, the newest position (L = 1) with it.
            arch: sizes to use.
            slots: expert of each slot.
            source: keys and values of the source for B sentences; N is a multiple of B.
            source_mask: bool [B, 1, 1, S], False at paddings; None if there are none.
            past: keys and values of the positions before (incremental decoding).
            token_T: positions in N * L that are no padding; None if all are.

        Returns:
            the new states, the keys and values of all positions so far, the routing.
        """
        memory: KeyValue | None = None

        def attend(x_NLD: Tensor) -> Tensor:
            nonlocal memory
            memory = self.self_attention.project(x_NLD, heads=arch.heads, qkv_dim=arch.qkv_dim)
            if past is not None:
                memory = past.append(memory)
            return self.self_attention(x_NLD, memory, heads=arch.heads, qkv_dim=arch.qkv_dim, causal=past is None)

        def attend_source(x_NLD: Tensor) -> Tensor:
            return self.cross_attention(
                x_NLD, source, heads=arch.cross_heads, qkv_dim=arch.cross_qkv_dim, mask=source_mask
            )

        x_NLD = self._residual(x_NLD, self.self_norm, attend)
        x_NLD = self._residual(x_NLD, self.cross_norm, attend_source)
        x_NLD, routing = self._feed_forward(x_NLD, arch, slots, token_T)
        assert memory is not None
        return x_NLD, memory, routing

    def sliced(self, dim: int, encoder_dim: int, arch: DecoderLayerArch, slots: Sequence[int]) -> dict[str, Tensor]:
        """The parameters that a layer of these sizes uses, by name."""
        cross = self.cross_attention.sliced(query_dim=dim, memory_dim=encoder_dim, qkv_dim=arch.cross_qkv_dim)
        return {
            **self._sliced(dim, arch, slots),
            **prefixed("cross_attention", cross),
            **prefixed("cross_norm", self.cross_norm.sliced(dim)),
        }


def prefixed(prefix: str, named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Puts `prefix.` before every name."""
    return {f"{prefix}.{name}": tensor for name, tensor in named.items()}
