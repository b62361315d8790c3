"""`SearchSpace`: the set of architectures that a search chooses from, as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from automoe.errors import SpaceError
from automoe.files import digest_of
from automoe.space.architecture import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    EncoderArch,
    EncoderLayerArch,
)
from automoe.space.genes import (
    Choices,
    DecoderLayerChoices,
    ExpertChoices,
    Gene,
    LayerChoices,
    SideChoices,
    at_most,
    genes_of,
    pick,
)

Chooser = Callable[[Choices], int]


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Choices for the encoder and the decoder; every combination of them is an architecture.

    Raises:
        SpaceError: some combination of the choices is no architecture.
    """

    name: str
    """A label for people; two spaces that differ in nothing else have the same digest."""
    encoder: SideChoices
    decoder: SideChoices

    def __post_init__(self) -> None:
        for clash in find_clashes(self.encoder, self.decoder):
            place = clash.side if clash.layer is None else f"{clash.side}.layers[{clash.layer}]"
            raise SpaceError(clash.problem, key=f"{place}.{clash.gene}", value=clash.value, allowed=clash.allowed)

    @property
    def digest(self) -> str:
        """Hash of the set of architectures, 12 hexadecimal digits.

        Two spaces have equal digests exactly if they hold the same architectures: neither the name matters, nor
        how the choices are written (their order, a default spelt out, `expert_widths: [8, 8]` for two experts of
        width 8). What samples with which probability is no part of it.
        """
        sides = {"encoder": self.encoder, "decoder": self.decoder}
        return digest_of({name: side.canonical().to_dict() for name, side in sides.items()})

    @property
    def num_raw(self) -> int:
        """Number of gene combinations: genes of absent layers and experts do not count, experts have an order."""
        return self._count(ordered=True)

    @property
    def num_architectures(self) -> int:
        """Number of different architectures: experts of a layer have no order."""
        return self._count(ordered=False)

    def __contains__(self, arch: object) -> bool:
        """Whether `arch` is one of the architectures that the choices make."""
        if not isinstance(arch, Architecture):
            return False
        encoder_depth = len(arch.encoder.layers)
        return self.encoder.holds(arch.encoder, encoder_depth) and self.decoder.holds(arch.decoder, encoder_depth)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draws every gene uniformly (so not uniformly over architectures: depths are drawn alike)."""
        return self._build(lambda choices: pick(choices, rng), lambda experts: experts.sample(rng))

    def largest(self) -> Architecture:
        """The architecture that every one of the space `fits`."""
        return self._build(lambda choices: choices[-1], ExpertChoices.largest)

    def smallest(self) -> Architecture:
        """The architecture that `fits` every one of the space."""
        return self._build(lambda choices: choices[0], ExpertChoices.smallest)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, with the name; read back by `from_dict`."""
        return {"name": self.name, "encoder": self.encoder.to_dict(), "decoder": self.decoder.to_dict()}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> SearchSpace:
        """Reads the JSON form of `to_dict`. For files that people write use `read_space`."""
        return cls(
            name=form["name"],
            encoder=SideChoices.from_dict(form["encoder"], LayerChoices),
            decoder=SideChoices.from_dict(form["decoder"], DecoderLayerChoices),
        )

    def genes(self) -> tuple[Gene, ...]:
        """The genes, for a table that describes the space."""
        return (*genes_of("encoder", self.encoder), *genes_of("decoder", self.decoder))

    def _count(self, ordered: bool) -> int:
        total = 0
        for encoder_depth in self.encoder.depth:
            encoders = prod(layer.num_combinations(encoder_depth, ordered)
                            for layer in self.encoder.layers[:encoder_depth])  # fmt: skip
            decoders = sum(
                prod(layer.num_combinations(encoder_depth, ordered) for layer in self.decoder.layers[:depth])
                for depth in self.decoder.depth
            )
            total += encoders * decoders
        return total * len(self.encoder.dim) * len(self.decoder.dim)

    def _build(self, choose: Chooser, choose_widths: Callable[[ExpertChoices], Choices]) -> Architecture:
        dim, depth = choose(self.encoder.dim), choose(self.encoder.depth)
        encoder = EncoderArch(
            dim=dim,
            layers=tuple(
                EncoderLayerArch(**_layer_sizes(layer, dim, choose, choose_widths))
                for layer in self.encoder.layers[:depth]
            ),
        )
        decoder_dim, decoder_depth = choose(self.decoder.dim), choose(self.decoder.depth)
        layers = []
        for layer in self.decoder.layers[:decoder_depth]:
            sizes = _layer_sizes(layer, decoder_dim, choose, choose_widths)
            layers.append(DecoderLayerArch(**sizes, **_cross_sizes(layer, sizes, depth, choose)))
        return Architecture(encoder=encoder, decoder=DecoderArch(dim=decoder_dim, layers=tuple(layers)))


@dataclass(frozen=True, kw_only=True)
class Clash:
    """Choices that do not go together: `gene` of a layer (or of the side) can take a `value` that is impossible."""

    side: str
    layer: int | None
    gene: str
    value: int
    problem: str
    allowed: str | None = None


def find_clashes(encoder: SideChoices, decoder: SideChoices) -> Iterator[Clash]:
    """Everything that would make some combination of the choices no architecture."""
    for side, choices in (("encoder", encoder), ("decoder", decoder)):
        for dim in choices.dim:
            if dim % 2:
                problem = "sinusoidal positions need an even dimension"
                yield Clash(side=side, layer=None, gene="dim", value=dim, problem=problem)
        for index, layer in enumerate(choices.layers):
            for gene, value, problem, allowed in _layer_clashes(layer, choices.dim, encoder.depth[-1]):
                yield Clash(side=side, layer=index, gene=gene, value=value, problem=problem, allowed=allowed)


def _layer_clashes(
    layer: LayerChoices, dims: Choices, max_encoder_depth: int
) -> Iterator[tuple[str, int, str, str | None]]:
    qkv_dims = layer.qkv_dim or tuple(dim for dim in dims if dim % 2 == 0)  # odd ones are a clash already
    yield from _indivisible("heads", layer.heads, "qkv_dim", qkv_dims)
    if layer.top_k[-1] > layer.experts.count[-1]:
        most = layer.experts.count[-1]
        yield "top_k", layer.top_k[-1], f"the layer has at most {most} expert(s)", f"1 to {most}"
    if isinstance(layer, DecoderLayerChoices):
        if layer.cross_heads or layer.cross_qkv_dim:
            heads, widths = layer.cross_heads or layer.heads, layer.cross_qkv_dim or qkv_dims
            name = "cross_heads" if layer.cross_heads else "cross_qkv_dim"
            yield from _indivisible(name, heads, "cross_qkv_dim", widths)
        if layer.cross_layers[-1] > max_encoder_depth:
            problem = f"the encoder has at most {max_encoder_depth} layer(s)"
            yield "cross_layers", layer.cross_layers[-1], problem, f"1 to {max_encoder_depth}"


def _indivisible(
    gene: str, heads: Choices, dim_name: str, dims: Choices
) -> Iterator[tuple[str, int, str, str | None]]:
    for count in heads:
        odd = [dim for dim in dims if dim % count]
        if odd:
            yield gene, count, f"{dim_name} {odd[0]} cannot be divided into {count} equal heads", None


def _layer_sizes(
    layer: LayerChoices, dim: int, choose: Chooser, choose_widths: Callable[[ExpertChoices], Choices]
) -> dict[str, Any]:
    widths = choose_widths(layer.experts)
    return {
        "heads": choose(layer.heads),
        "qkv_dim": choose(layer.qkv_dim) if layer.qkv_dim else dim,
        "expert_widths": widths,
        "top_k": choose(at_most(layer.top_k, len(widths))),
    }


def _cross_sizes(layer: LayerChoices, sizes: dict[str, Any], encoder_depth: int, choose: Chooser) -> dict[str, Any]:
    if not isinstance(layer, DecoderLayerChoices):
        raise TypeError("a decoder needs DecoderLayerChoices")
    return {
        "cross_heads": choose(layer.cross_heads) if layer.cross_heads else sizes["heads"],
        "cross_qkv_dim": choose(layer.cross_qkv_dim) if layer.cross_qkv_dim else sizes["qkv_dim"],
        "cross_layers": choose(at_most(layer.cross_layers, encoder_depth)),
    }
