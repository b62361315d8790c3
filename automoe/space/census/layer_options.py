"""`LayerOptions`: everything that some genes of one layer can be, once the rest that they depend on is known.

One option fixes the layer's scalar sizes (heads, number of experts...) and leaves the widths of its experts open to a
set of widths, so that they are counted in closed form: n experts of w widths are comb(w + n - 1, n) multisets.

Shape suffixes: N genomes, R options, W widths, L genes of the layer (as the layer's part of a genome).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement
from math import comb

import numpy as np
import numpy.typing as npt

from automoe.space.constraints import Constraint
from automoe.space.genes import Choices, LayerChoices, at_most
from automoe.space.genome.layout import OFF, LayerGenes

Ints = npt.NDArray[np.int64]

LAYER_KEYS = ("heads", "qkv_dim", "cross_heads", "cross_qkv_dim", "cross_layers", "experts", "top_k", "expert_width")
"""All genes of a layer."""
EXPERT_KEYS = ("experts", "top_k", "expert_width")
"""Those that always depend on each other."""
FOLLOWED = {"cross_heads": "heads", "cross_qkv_dim": "qkv_dim"}
"""What genes of a layer follow where they have no choices of their own; `qkv_dim` follows the side's dimension."""


class LayerOptions:
    """The options of some genes of one layer that meet the constraints on them.

    Args:
        layer: the choices.
        genes: where the genes stand.
        keys: the genes, out of `LAYER_KEYS` and in that order; the three of `EXPERT_KEYS` all or none.
        shared: those of the keys that the layer shares with others.
        sizes: sizes of the sides that the constraints speak of, and where genes depend on them `SIDE.dim` and
            `encoder.layers`.
        constraints: conditions on the genes and those sizes.
    """

    marks_R: list[tuple[int, ...]]
    """The values of the shared genes; of `top_k` as it was chosen, not as the layer's experts cut it."""
    justified_R: npt.NDArray[np.bool_]
    """Whether the layer can tell a shared top_k from the next smaller choice: it has more experts than that."""
    num_experts_R: Ints
    """0 where the experts are none of the genes."""

    def __init__(
        self,
        layer: LayerChoices,
        genes: LayerGenes,
        keys: tuple[str, ...],
        *,
        shared: tuple[str, ...],
        sizes: Mapping[str, int],
        constraints: tuple[Constraint, ...],
    ) -> None:
        has_experts = "experts" in keys
        one_width = has_experts and genes.one_width
        self._fixed = layer.experts.widths if has_experts else None
        column = _combinations(layer, [key for key in keys if key != "expert_width" or one_width], sizes)
        marks = [column[key] for key in shared]
        justified_R = np.ones(len(next(iter(column.values()))), dtype=np.bool_)
        if "top_k" in column:
            smaller = np.array((0, *layer.top_k))[np.searchsorted(layer.top_k, column["top_k"])]
            justified_R = column["experts"] > smaller
            column["top_k"] = np.minimum(column["top_k"], column["experts"])
        self._width_W = np.array(sorted(set(layer.experts.width), reverse=True) if has_experts else [OFF])
        allowed_RW = np.ones((len(justified_R), len(self._width_W)), dtype=np.bool_)
        if one_width:
            allowed_RW = column["expert_width"][:, None] == self._width_W
        for constraint in constraints:
            allowed_RW = allowed_RW & constraint.holds(_layer_sizes(genes.side, layer, column, self._width_W, sizes))
        kept_R = allowed_RW.any(axis=1) if self._fixed is None else allowed_RW.all(axis=1)
        if "top_k" in keys and "top_k" not in shared:
            kept_R &= justified_R
        self._allowed_RW, self.justified_R = allowed_RW[kept_R], justified_R[kept_R]
        self.num_experts_R = column["experts"][kept_R] if has_experts else np.zeros(kept_R.sum(), dtype=np.int64)
        self.marks_R = list(map(tuple, np.stack(marks, axis=1)[kept_R].tolist())) if marks else [()] * len(self)
        self._widths = slice(genes.widths.start - genes.all.start, genes.widths.stop - genes.all.start)
        self._gene_RL = np.full((len(self), genes.all.stop - genes.all.start), OFF, dtype=np.int64)
        for key in column.keys() - {"expert_width"}:
            self._gene_RL[:, genes.sizes[key] - genes.all.start] = column[key][kept_R]

    def __len__(self) -> int:
        return len(self.num_experts_R)

    @property
    def signature(self) -> tuple[object, ...]:
        """Equal for options of the same choices that are the same, whatever sizes left them."""
        return (tuple(self.marks_R), *(each.tobytes() for each in (self.justified_R, self.num_experts_R,
                                                                    self._allowed_RW, self._gene_RL)))  # fmt: skip

    def ways(self, option: int, ordered: bool) -> int:
        """In how many ways an option gives the experts their widths: in order, or as multisets."""
        if self._fixed is not None:
            return 1
        num_widths, num_experts = int(self._allowed_RW[option].sum()), int(self.num_experts_R[option])
        return num_widths**num_experts if ordered else comb(num_widths + num_experts - 1, num_experts)

    def listed(self, option: int) -> Ints:
        """All genes of an option, int64 of shape (N, L), one row for each multiset of widths."""
        num_experts = int(self.num_experts_R[option])
        widths = [self._fixed] if self._fixed is not None else list(
            combinations_with_replacement(self._width_W[self._allowed_RW[option]].tolist(), num_experts)
        )  # fmt: skip
        gene_NL = np.repeat(self._gene_RL[option][None], len(widths), axis=0)
        gene_NL[:, self._widths][:, :num_experts] = widths
        return gene_NL

    def draw(self, option_N: Ints, rng: np.random.Generator) -> Ints:
        """Genes of the given options, int64 of shape (N, L), their widths uniform over the multisets."""
        gene_NL = self._gene_RL[option_N]
        for option in np.unique(option_N):
            rows, num_experts = np.flatnonzero(option_N == option), int(self.num_experts_R[option])
            width_W = self._width_W[self._allowed_RW[option]]
            if self._fixed is not None:
                gene_NL[rows, self._widths] = self._fixed
            else:
                place_NE = _multisets(len(rows), len(width_W), num_experts, rng)
                gene_NL[rows[:, None], self._widths.start + np.arange(num_experts)] = width_W[place_NE]
        return gene_NL


def _combinations(layer: LayerChoices, keys: list[str], sizes: Mapping[str, int]) -> dict[str, Ints]:
    """All combinations of the choices of some genes, as one array of shape (R,) for each."""
    choices: list[Choices] = []
    for key in keys:
        own = layer.choices_of(key) or (OFF,)
        choices.append(at_most(own, sizes["encoder.layers"]) if key == "cross_layers" else own)
    grids = np.meshgrid(*(np.array(own, dtype=np.int64) for own in choices), indexing="ij")
    return dict(zip(keys, (grid.ravel() for grid in grids), strict=True))


def _layer_sizes(
    side: str, layer: LayerChoices, column: Mapping[str, Ints], width_W: Ints, sizes: Mapping[str, int]
) -> dict[str, Ints | int]:
    """What constraints can speak of, each as a number or of shapes that broadcast to (R, W)."""
    of_layer = {key: value_R[:, None] for key, value_R in column.items()} | {"expert_width": width_W}
    for key in column:
        if key in LAYER_KEYS and key not in EXPERT_KEYS and getattr(layer, key) is None:
            followed = of_layer.get(FOLLOWED.get(key, ""))
            of_layer[key] = np.array(sizes[f"{side}.dim"]) if followed is None else followed
    return {**sizes, **{f"{side}.layer.{key}": value for key, value in of_layer.items()}}


def _multisets(num: int, num_kinds: int, size: int, rng: np.random.Generator) -> Ints:
    """Draws multisets of kinds 0 to `num_kinds` - 1 uniformly, ascending; of shape (num, size).

    The combinations of `size` out of `num_kinds + size - 1` places, each place less its rank, are the multisets.
    """
    order = rng.random((num, num_kinds + size - 1)).argsort(axis=1)
    return np.asarray(np.sort(order[:, :size], axis=1) - np.arange(size), dtype=np.int64)
