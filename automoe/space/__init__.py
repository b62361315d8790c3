"""Architectures and search spaces: values that say how a translation model is sized."""

from automoe.space.architecture import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    EncoderArch,
    EncoderLayerArch,
    architecture_table,
)
from automoe.space.architecture_file import architecture_yaml, read_architecture, write_architecture
from automoe.space.genes import DecoderLayerChoices, ExpertChoices, Gene, LayerChoices, SideChoices
from automoe.space.genome import DecoderLayerSizes, GenomeCodec, LayerSizes
from automoe.space.hat import parse_arch_info, parse_hat
from automoe.space.lint import lint
from automoe.space.placement import Placement
from automoe.space.placement_file import placement_yaml, read_placement, write_placement
from automoe.space.search_space import SearchSpace
from automoe.space.shipped import find_architecture, find_space
from automoe.space.space_file import SpaceFile, read_space, read_space_file, space_of

__all__ = [
    "Architecture",
    "DecoderArch",
    "DecoderLayerArch",
    "DecoderLayerChoices",
    "DecoderLayerSizes",
    "EncoderArch",
    "EncoderLayerArch",
    "ExpertChoices",
    "Gene",
    "GenomeCodec",
    "LayerChoices",
    "LayerSizes",
    "Placement",
    "SearchSpace",
    "SideChoices",
    "SpaceFile",
    "architecture_table",
    "architecture_yaml",
    "find_architecture",
    "find_space",
    "lint",
    "parse_arch_info",
    "parse_hat",
    "placement_yaml",
    "read_architecture",
    "read_placement",
    "read_space",
    "read_space_file",
    "space_of",
    "write_architecture",
    "write_placement",
]
