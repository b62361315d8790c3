"""Reads the YAML of search spaces. An architecture file is the same grammar with every choice made.

`search_spaces/README.md` documents the grammar. Its parts are read by `side_fields`, `share_fields`, `rule_fields`
and `extends`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automoe.errors import SpaceError
from automoe.space.architecture import Architecture, EncoderLayerArch
from automoe.space.clashes import find_clashes
from automoe.space.files.extends import load_extended
from automoe.space.files.fields import Field, Mistakes
from automoe.space.files.hat import architecture_of_hat, is_hat
from automoe.space.files.rule_fields import (
    note_contradictions,
    note_needless_patterns,
    parse_constraints,
    parse_expert_layers,
)
from automoe.space.files.side_fields import parse_side, place_of
from automoe.space.genes import DecoderLayerChoices, ExpertChoices, LayerChoices, SideChoices
from automoe.space.search_space import SearchSpace

SPACE_KEYS = ("name", "extends", "encoder", "decoder", "expert_layers", "constraints")


@dataclass(frozen=True, kw_only=True)
class SpaceFile:
    """What one file holds."""

    path: Path
    space: SearchSpace
    is_hat: bool
    """Whether it is in the form of HAT's and AutoMoE's sub-transformers, whose published numbers are of post-norm."""

    def architecture(self) -> Architecture:
        """The only architecture of the space.

        Raises:
            SpaceError: the file leaves something to choose.
        """
        if self.space.num_architectures > 1:
            raise SpaceError(
                f"is a search space of {self.space.num_architectures:,} architectures, not one architecture",
                file=self.path,
                hint="Replace every choice by one of its values",
            )
        return self.space.largest()


def read_space(path: str | Path) -> SearchSpace:
    """Reads a search space; an architecture (ours, JSON, HAT's or AutoMoE's) is a space with one point.

    Raises:
        SpaceError: the first mistake of the file, with its line.
        DependencyError: PyYAML is not installed (JSON does not need it).
    """
    return read_space_file(path).space


def read_space_file(path: str | Path) -> SpaceFile:
    """Reads a search space as `read_space` does, and the form that its file is in.

    Raises:
        SpaceError: as `read_space`.
        DependencyError: as `read_space`.
    """
    file, mistakes = parse_file(Path(path))
    mistakes.raise_first()
    if file is None:
        raise AssertionError("a file without mistakes must make a space")
    return file


def parse_file(path: Path) -> tuple[SpaceFile | None, Mistakes]:
    """What a file holds, or None, and all that is wrong with it.

    Raises:
        SpaceError: the file cannot be read or is not well-formed, so that nothing else can be said of it.
    """
    mistakes = Mistakes(path)
    tree = load_extended(path, mistakes)
    if tree is None:
        return None, mistakes
    root = Field(tree, mistakes)
    hat = is_hat(root)
    if hat:
        arch = architecture_of_hat(root)
        space = None if arch is None else space_of(arch, path.stem)
    else:
        space = _parse_space(root, path.stem)
    return (None if space is None else SpaceFile(path=path, space=space, is_hat=hat)), mistakes


def space_of(arch: Architecture, name: str) -> SearchSpace:
    """The space whose only point is `arch`."""

    def side(dim: int, layers: tuple[LayerChoices, ...]) -> SideChoices:
        return SideChoices(dim=(dim,), depth=(len(layers),), layers=layers)

    def sizes(layer: EncoderLayerArch) -> dict[str, Any]:
        experts = ExpertChoices.fixed(layer.expert_widths)
        return {"heads": (layer.heads,), "qkv_dim": (layer.qkv_dim,), "experts": experts, "top_k": (layer.top_k,)}

    encoder = tuple(LayerChoices(**sizes(layer)) for layer in arch.encoder.layers)
    decoder = tuple(
        DecoderLayerChoices(
            **sizes(layer),
            cross_heads=(layer.cross_heads,),
            cross_qkv_dim=(layer.cross_qkv_dim,),
            cross_layers=(layer.cross_layers,),
        )
        for layer in arch.decoder.layers
    )
    return SearchSpace(name=name, encoder=side(arch.encoder.dim, encoder), decoder=side(arch.decoder.dim, decoder))


def _parse_space(root: Field, default_name: str) -> SearchSpace | None:
    entries = root.entries(SPACE_KEYS, required=("encoder", "decoder"))
    name = entries["name"].word() if "name" in entries else default_name
    encoder = parse_side(entries.get("encoder"), is_decoder=False)
    decoder = parse_side(entries.get("decoder"), is_decoder=True)
    patterns = parse_expert_layers(entries.get("expert_layers"))
    constraints = parse_constraints(entries.get("constraints"))
    for clash in find_clashes(encoder, decoder, tuple(patterns)):
        field = place_of(entries[clash.side], clash.layer, clash.gene)
        field.wrong(clash.problem, value=clash.value, allowed=clash.allowed)
    if root.is_clean:
        note_needless_patterns(patterns, {"encoder": encoder.depth, "decoder": decoder.depth})
    if not root.is_clean or name is None:
        return None
    space = SearchSpace(
        name=name,
        encoder=encoder,
        decoder=decoder,
        expert_layers=tuple(patterns),
        constraints=tuple(constraints),
    )
    note_contradictions(space, constraints)
    return space if root.is_clean else None
