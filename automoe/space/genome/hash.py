"""Hashes of genomes: one number each, the same in every process and with every version of NumPy.

Shape suffixes: N genomes, G genes of a genome.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from automoe.space.layer_sizes import Ints

Hashes = npt.NDArray[np.uint64]
_STEP = np.uint64(0x9E3779B97F4A7C15)


def hashes_of(genome_NG: Ints) -> Hashes:
    """Sums the mixed genes, each with a number of its place, and mixes the sum (SplitMix64; Steele et al. 2014).

    Of 10 million different genomes two have one hash with a chance of 3 in a million.
    """
    place_G = np.arange(1, genome_NG.shape[1] + 1, dtype=np.uint64) * _STEP
    mixed_NG = _mixed(genome_NG.astype(np.uint64) + place_G)
    return _mixed(mixed_NG.sum(axis=1, dtype=np.uint64))


def _mixed(value: Hashes) -> Hashes:
    """SplitMix64's finaliser: a bijection of 64-bit numbers whose every output bit depends on every input bit."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
