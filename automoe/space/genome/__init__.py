"""Architectures as flat rows of whole numbers: `codec` translates and varies them with the other modules."""

from automoe.space.genome.codec import GenomeCodec

__all__ = ["GenomeCodec"]
