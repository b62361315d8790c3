"""Architectures and search spaces: values that say how a translation model is sized."""

from automoe.space.architecture import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    EncoderArch,
    EncoderLayerArch,
    architecture_table,
)
from automoe.space.census.census import Census
from automoe.space.constraints import Constraint
from automoe.space.expert_layers import ExpertLayers
from automoe.space.files.architecture_file import architecture_yaml, read_architecture, write_architecture
from automoe.space.files.hat import parse_arch_info, parse_hat
from automoe.space.files.placement_file import placement_yaml, read_placement, write_placement
from automoe.space.files.space_file import SpaceFile, read_space, read_space_file, space_of
from automoe.space.gene_table import Gene
from automoe.space.genes import DecoderLayerChoices, ExpertChoices, LayerChoices, Shared, SideChoices
from automoe.space.genome.codec import GenomeCodec
from automoe.space.layer_sizes import DecoderLayerSizes, LayerSizes
from automoe.space.lint import lint
from automoe.space.placement import Placement
from automoe.space.search_space import SearchSpace
from automoe.space.shipped import find_architecture, find_space
from automoe.space.slices import slice_error

__all__ = [
    "Architecture",
    "Census",
    "Constraint",
    "DecoderArch",
    "DecoderLayerArch",
    "DecoderLayerChoices",
    "DecoderLayerSizes",
    "EncoderArch",
    "EncoderLayerArch",
    "ExpertChoices",
    "ExpertLayers",
    "Gene",
    "GenomeCodec",
    "LayerChoices",
    "LayerSizes",
    "Placement",
    "SearchSpace",
    "Shared",
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
    "slice_error",
    "space_of",
    "write_architecture",
    "write_placement",
]
