"""`SearchSpace`: the set of architectures that a search chooses from, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

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
from automoe.space.clashes import find_clashes
from automoe.space.constraints import Constraint
from automoe.space.expert_layers import ExpertLayers
from automoe.space.feasible import first_broken
from automoe.space.gene_table import Gene, genes_of, pattern_genes
from automoe.space.genes import (
    Choices,
    DecoderLayerChoices,
    ExpertChoices,
    LayerChoices,
    SideChoices,
    at_most,
    pick,
)
from automoe.space.roles import FREE_PATTERN, roles_of, under

if TYPE_CHECKING:
    from automoe.space.census.census import Census
    from automoe.space.genome.codec import GenomeCodec

Chooser = Callable[[Choices], int]


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Choices for the encoder and the decoder; the combinations of them that meet the conditions are architectures.

    Raises:
        SpaceError: some combination of the choices is no architecture, or a condition makes no sense for them. That
            the conditions contradict each other so that nothing is left is seen only when something is drawn.
    """

    name: str
    """A label for people; two spaces that differ in nothing else have the same digest."""
    encoder: SideChoices
    decoder: SideChoices
    expert_layers: tuple[ExpertLayers, ...] = ()
    """Patterns of expert layers, one of which every architecture has; none given is the same as `free` alone.
    They are kept in the order of their spelling, `free` first."""
    constraints: tuple[Constraint, ...] = ()
    """Conditions that every architecture meets."""

    def __post_init__(self) -> None:
        # `free` first: an architecture that it makes is then free to change in steps of a single gene.
        patterns = sorted(set(self.expert_layers), key=lambda pattern: (not pattern.is_free, str(pattern)))
        object.__setattr__(self, "expert_layers", tuple(patterns))
        for clash in find_clashes(self.encoder, self.decoder, self.expert_layers):
            place = clash.side if clash.layer is None else f"{clash.side}.layers[{clash.layer}]"
            raise SpaceError(clash.problem, key=f"{place}.{clash.gene}", value=clash.value, allowed=clash.allowed)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the fields, and nothing that was worked out from them, which can be much."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def digest(self) -> str:
        """Hash of the set of architectures, 12 hexadecimal digits.

        Spaces with equal digests hold the same architectures: neither the name matters, nor how the choices are
        written (their order, a default spelt out, `expert_widths: [8, 8]` for two experts of width 8, a group of one
        layer). Without patterns, groups and constraints the converse holds too; with them two spaces can hold the
        same architectures by different conditions. What samples with which probability is no part of it.
        """
        form: dict[str, Any] = {name: side.canonical().to_dict() for name, side in self.sides.items()}
        if self.patterns:
            form["expert_layers"] = [str(pattern) for pattern in self.patterns]
        if self.constraints:
            form["constraints"] = sorted({constraint.text for constraint in self.constraints})
        return digest_of(form)

    @property
    def sides(self) -> dict[str, SideChoices]:
        """The choices by the name of the side."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def patterns(self) -> tuple[ExpertLayers, ...]:
        """The patterns to choose from; none where every layer chooses for itself."""
        return () if all(pattern.is_free for pattern in self.expert_layers) else self.expert_layers

    @property
    def num_raw(self) -> int:
        """Number of gene combinations: genes of absent layers and experts do not count, experts have an order."""
        return self.census.num_raw

    @property
    def num_architectures(self) -> int:
        """Number of different architectures: experts of a layer have no order."""
        return self.census.num_architectures

    def __contains__(self, arch: object) -> bool:
        """Whether `arch` is one of the architectures that the choices make and the conditions allow."""
        if not isinstance(arch, Architecture) or self.pattern_of(arch) is None:
            return False
        return not self.constraints or first_broken(self.constraints, arch) is None

    def pattern_of(self, arch: Architecture) -> int | None:
        """Which of `patterns`, from 0, is the first whose architectures hold `arch`, constraints aside.

        Returns:
            None if there is none; 0 in a space without patterns.
        """
        encoder_depth, decoder_depth = len(arch.encoder.layers), len(arch.decoder.layers)
        for place, pattern in enumerate(self.patterns or (FREE_PATTERN,)):
            encoder = self.under(pattern, "encoder", encoder_depth)
            if encoder.holds(arch.encoder, encoder_depth):
                decoder = self.under(pattern, "decoder", decoder_depth)
                if decoder.holds(arch.decoder, encoder_depth):
                    return place
        return None

    def under(self, pattern: ExpertLayers, side: str, depth: int) -> SideChoices:
        """What a pattern leaves of the choices of a side of `depth` layers; everything if that is no choice."""
        choices = self.sides[side]
        if pattern.is_free or depth not in choices.depth:
            return choices
        place = (pattern, side, depth)
        if place not in self._narrowed:
            self._narrowed[place] = under(pattern, side, choices, depth)
        return self._narrowed[place]

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draws every gene uniformly (so not uniformly over architectures: depths are drawn alike).

        Where constraints leave hardly any of the combinations, every architecture has the same chance instead.

        Raises:
            SpaceError: no architecture meets the constraints.
        """
        if self._is_product:
            return self._build(self.sides, lambda choices: pick(choices, rng), lambda experts: experts.sample(rng))
        return self._codec.decode(self._codec.sample(1, rng)[0])

    def largest(self) -> Architecture:
        """The largest architecture.

        Without patterns, groups and constraints every one of the space `fits` it. With them there may be none such;
        then it is one that a larger value of a single gene would put out of the space, the same one each time.

        Raises:
            SpaceError: as `sample`.
        """
        return self._largest

    def smallest(self) -> Architecture:
        """The smallest architecture: as `largest`, the other way round.

        Raises:
            SpaceError: as `sample`.
        """
        return self._smallest

    def envelope(self) -> Architecture:
        """The architecture that every one of the space `fits`, in the space or not: the sizes of a supernet."""
        return self._build(self._reachable, lambda choices: choices[-1], ExpertChoices.largest)

    def floor(self) -> Architecture:
        """The architecture that `fits` every one of the space, in the space or not: none has a lower exact cost."""
        return self._build(self._reachable, lambda choices: choices[0], ExpertChoices.smallest)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, with the name; read back by `from_dict`."""
        form: dict[str, Any] = {"name": self.name} | {name: side.to_dict() for name, side in self.sides.items()}
        if self.expert_layers:
            form["expert_layers"] = [str(pattern) for pattern in self.expert_layers]
        if self.constraints:
            form["constraints"] = [constraint.text for constraint in self.constraints]
        return form

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> SearchSpace:
        """Reads the JSON form of `to_dict`. For files that people write use `read_space`."""
        return cls(
            name=form["name"],
            encoder=SideChoices.from_dict(form["encoder"], LayerChoices),
            decoder=SideChoices.from_dict(form["decoder"], DecoderLayerChoices),
            expert_layers=tuple(map(ExpertLayers.parse, form.get("expert_layers", ()))),
            constraints=tuple(map(Constraint.parse, form.get("constraints", ()))),
        )

    def genes(self) -> tuple[Gene, ...]:
        """The genes, for a table that describes the space."""
        sides = (gene for name, side in self.sides.items() for gene in genes_of(name, side))
        return (*pattern_genes(self.patterns), *sides)

    @property
    def _is_product(self) -> bool:
        """Whether every combination of the choices is in the space."""
        return not (self.patterns or self.constraints or self.encoder.shared or self.decoder.shared)

    @cached_property
    def _narrowed(self) -> dict[tuple[ExpertLayers, str, int], SideChoices]:
        return {}

    @cached_property
    def census(self) -> Census:
        """Its exact numbers, its list and uniform samples; what was counted is kept."""
        from automoe.space.census.census import Census  # which imports this module

        return Census(self)

    @cached_property
    def _codec(self) -> GenomeCodec:
        from automoe.space.genome.codec import GenomeCodec  # which imports this module

        return GenomeCodec(self)

    @cached_property
    def _largest(self) -> Architecture:
        envelope = self.envelope()
        return envelope if envelope in self else self._extreme(largest=True)

    @cached_property
    def _smallest(self) -> Architecture:
        floor = self.floor()
        return floor if floor in self else self._extreme(largest=False)

    def _extreme(self, largest: bool) -> Architecture:
        from automoe.space.extremes import extreme_genome  # which imports this module

        return self._codec.decode(extreme_genome(self._codec, largest=largest))

    @cached_property
    def _reachable(self) -> dict[str, SideChoices]:
        """The choices by side; of the numbers of experts those that some pattern makes."""
        if not self.patterns:
            return self.sides
        return {
            name: replace(side, layers=tuple(_reachable_layer(layer, self.patterns, name, index, side.depth)
                                             for index, layer in enumerate(side.layers[: side.depth[-1]])))
            for name, side in self.sides.items()
        }  # fmt: skip

    def _build(
        self, sides: Mapping[str, SideChoices], choose: Chooser, choose_widths: Callable[[ExpertChoices], Choices]
    ) -> Architecture:
        dim, depth = choose(sides["encoder"].dim), choose(sides["encoder"].depth)
        encoder = EncoderArch(
            dim=dim,
            layers=tuple(
                EncoderLayerArch(**_layer_sizes(layer, dim, choose, choose_widths))
                for layer in sides["encoder"].layers[:depth]
            ),
        )
        decoder_dim, decoder_depth = choose(sides["decoder"].dim), choose(sides["decoder"].depth)
        layers = []
        for layer in sides["decoder"].layers[:decoder_depth]:
            sizes = _layer_sizes(layer, decoder_dim, choose, choose_widths)
            layers.append(DecoderLayerArch(**sizes, **_cross_sizes(layer, sizes, depth, choose)))
        return Architecture(encoder=encoder, decoder=DecoderArch(dim=decoder_dim, layers=tuple(layers)))


def _reachable_layer(
    layer: LayerChoices, patterns: tuple[ExpertLayers, ...], side: str, index: int, depths: Choices
) -> LayerChoices:
    roles = roles_of(patterns, side, index, depths)
    counts = {count for role in roles for count in role.left_of(layer.experts.count)}
    return replace(layer, experts=replace(layer.experts, count=tuple(counts)))


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
