"""`Architecture`: the sizes of one translation model, as a value.

It says how deep, how wide, how many experts and how big; it holds no weights and no training settings.
Two architectures that mean the same are equal: the experts of a layer have no order, so their widths
are kept from the widest to the narrowest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from automoe.errors import SpaceError
from automoe.files import digest_of


@dataclass(frozen=True, kw_only=True)
class EncoderLayerArch:
    """Sizes of one encoder layer: self-attention, then a feed-forward layer of one or more experts."""

    heads: int
    qkv_dim: int
    """Width of queries, keys and values over all heads; `heads` divides it."""
    expert_widths: tuple[int, ...]
    """Hidden width of each expert, widest first; a single one is a dense layer."""
    top_k: int = 1
    """Experts that process each token."""

    def __post_init__(self) -> None:
        _check_attention("heads", self.heads, "qkv_dim", self.qkv_dim)
        if not self.expert_widths:
            raise SpaceError(
                "a layer needs at least one expert", key="expert_widths", value=[], allowed="widths >= 1"
            )
        for width in self.expert_widths:
            _check_positive("expert_widths", width)
        object.__setattr__(self, "expert_widths", tuple(sorted(self.expert_widths, reverse=True)))
        _check_positive("top_k", self.top_k)
        if self.top_k > self.num_experts:
            raise SpaceError(
                f"a layer of {self.num_experts} expert(s) cannot use {self.top_k} per token",
                key="top_k",
                value=self.top_k,
                allowed=f"1 to {self.num_experts}",
            )

    @property
    def num_experts(self) -> int:
        """Number of experts; 1 means a dense layer without a router."""
        return len(self.expert_widths)


@dataclass(frozen=True, kw_only=True)
class DecoderLayerArch(EncoderLayerArch):
    """Sizes of one decoder layer: self-attention, cross-attention, then the experts."""

    cross_heads: int
    cross_qkv_dim: int
    cross_layers: int = 1
    """How many of the last encoder layers the cross-attention sees ("arbitrary attention" in HAT)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_attention("cross_heads", self.cross_heads, "cross_qkv_dim", self.cross_qkv_dim)
        _check_positive("cross_layers", self.cross_layers)


@dataclass(frozen=True, kw_only=True)
class EncoderArch:
    """The encoder: model dimension and layers, first layer first."""

    dim: int
    layers: tuple[EncoderLayerArch, ...]

    def __post_init__(self) -> None:
        _check_side("encoder", self.dim, self.layers)


@dataclass(frozen=True, kw_only=True)
class DecoderArch:
    """The decoder: model dimension and layers, first layer first."""

    dim: int
    layers: tuple[DecoderLayerArch, ...]

    def __post_init__(self) -> None:
        _check_side("decoder", self.dim, self.layers)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The sizes of an encoder-decoder Transformer with experts: frozen, hashable, printed as a table."""

    encoder: EncoderArch
    decoder: DecoderArch

    def __post_init__(self) -> None:
        for index, layer in enumerate(self.decoder.layers):
            if layer.cross_layers > len(self.encoder.layers):
                raise SpaceError(
                    f"the encoder has only {len(self.encoder.layers)} layer(s)",
                    key=f"decoder.layers[{index}].cross_layers",
                    value=layer.cross_layers,
                    allowed=f"1 to {len(self.encoder.layers)}",
                )

    @cached_property
    def digest(self) -> str:
        """Hash of the canonical form, 12 hexadecimal digits: equal architectures, equal digests."""
        return digest_of(self.to_dict())

    def layers(self) -> Iterator[tuple[str, int, EncoderLayerArch]]:
        """All layers as (side, index, sizes): the encoder's from first to last, then the decoder's."""
        for index, encoder_layer in enumerate(self.encoder.layers):
            yield "encoder", index, encoder_layer
        for index, decoder_layer in enumerate(self.decoder.layers):
            yield "decoder", index, decoder_layer

    def fits(self, maximum: Architecture) -> bool:
        """Whether every part of this architecture is a slice of `maximum`, so that it can share its weights."""
        for side, large_side in ((self.encoder, maximum.encoder), (self.decoder, maximum.decoder)):
            if side.dim > large_side.dim or len(side.layers) > len(large_side.layers):
                return False
            for layer, large in zip(side.layers, large_side.layers, strict=False):
                if not _layer_fits(layer, large):
                    return False
        return True

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: nested dictionaries and lists, read back by `from_dict`."""
        return {
            side: {"dim": arch.dim, "layers": [vars(layer) | {"expert_widths": list(layer.expert_widths)}
                                               for layer in arch.layers]}
            for side, arch in (("encoder", self.encoder), ("decoder", self.decoder))
        }  # fmt: skip

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Architecture:
        """Reads the JSON form of `to_dict`. For files that people write use `read_architecture`."""
        encoder, decoder = form["encoder"], form["decoder"]
        return cls(
            encoder=EncoderArch(
                dim=encoder["dim"], layers=tuple(EncoderLayerArch(**layer) for layer in encoder["layers"])
            ),
            decoder=DecoderArch(
                dim=decoder["dim"], layers=tuple(DecoderLayerArch(**layer) for layer in decoder["layers"])
            ),
        )

    def __str__(self) -> str:
        return architecture_table(self)


def architecture_table(arch: Architecture) -> str:
    """A table for people: one line a layer, the experts' widths spelt out."""
    lines = [f"{'layer':<11}{'dim':>5}  {'heads x width':<15}{'cross-attention':<24}experts"]
    for side, index, layer in arch.layers():
        dim = arch.encoder.dim if side == "encoder" else arch.decoder.dim
        attention = f"{layer.heads} x {layer.qkv_dim // layer.heads}"
        cross = ""
        if isinstance(layer, DecoderLayerArch):
            cross = f"{layer.cross_heads} x {layer.cross_qkv_dim // layer.cross_heads}, last {layer.cross_layers}"
        experts = " ".join(map(str, layer.expert_widths))
        experts += " (dense)" if layer.num_experts == 1 else f" (top {layer.top_k})"
        lines.append(f"{side} {index:<3}{dim:>5}  {attention:<15}{cross:<24}{experts}")
    return "\n".join(lines)


def _layer_fits(layer: EncoderLayerArch, large: EncoderLayerArch) -> bool:
    if layer.qkv_dim > large.qkv_dim or layer.num_experts > large.num_experts:
        return False
    # Cross-attention uses the same projections for every encoder layer that it sees: only its width must fit.
    if (
        isinstance(layer, DecoderLayerArch)
        and isinstance(large, DecoderLayerArch)
        and layer.cross_qkv_dim > large.cross_qkv_dim
    ):
        return False
    return all(width <= room for width, room in zip(layer.expert_widths, large.expert_widths, strict=False))


def _check_positive(key: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SpaceError("is not a whole number above 0", key=key, value=value, allowed=">= 1")


def _check_attention(heads_key: str, heads: int, dim_key: str, dim: int) -> None:
    _check_positive(heads_key, heads)
    _check_positive(dim_key, dim)
    if dim % heads:
        raise SpaceError(f"{dim_key} {dim} cannot be divided into {heads} equal heads", key=heads_key, value=heads)


def _check_side(side: str, dim: int, layers: tuple[EncoderLayerArch, ...]) -> None:
    _check_positive(f"{side}.dim", dim)
    if dim % 2:
        raise SpaceError("sinusoidal positions need an even dimension", key=f"{side}.dim", value=dim)
    if not layers:
        raise SpaceError("needs at least one layer", key=f"{side}.layers", value=[])
