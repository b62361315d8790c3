"""`Stacks`: all stacks of layers that one side can have, and `Stack`: those of one depth and one arrangement.

Genes that no constraint and no other bond joins are independent of each other, so each such set of genes is a
`LayerChain` of its own, and numbers of models multiply.

Shape suffixes: N genomes, G genes of a genome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from automoe.space.census.layer_chain import LayerChain, Totals
from automoe.space.census.layer_options import EXPERT_KEYS, FOLLOWED, LAYER_KEYS, LayerOptions
from automoe.space.constraints import Constraint
from automoe.space.genes import DecoderLayerChoices, Shared, SideChoices
from automoe.space.genome.layout import layout_of
from automoe.space.search_space import SearchSpace

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stack:
    """All that the layers of one side can be, where depth, arrangement and what constraints need are known."""

    experts: LayerChain
    """The genes of the experts, and those that constraints join to them."""
    others: tuple[LayerChain, ...]
    """Independent of those and of each other; they have no totals."""
    num_genes: int

    @cached_property
    def num_by_totals(self) -> dict[Totals, int]:
        """The number of models, by their totals."""
        factor = prod(chain.num_by_totals.get((), 0) for chain in self.others)
        return {totals: num * factor for totals, num in self.experts.num_by_totals.items()} if factor else {}

    def listed(self, totals: Totals) -> Ints:
        """All models with these totals, as genomes of shape (N, G) in which all other genes are 0."""
        genome_NG = self.experts.listed(totals, self.num_genes)
        for chain in self.others:
            genome_NG = joined(genome_NG, chain.listed((), self.num_genes))
        return genome_NG

    def draw(self, genome_NG: Ints, rows_by_totals: Mapping[Totals, Ints], rng: np.random.Generator) -> None:
        """Draws models of the wanted totals uniformly, and writes their genes into genomes that have 0 there."""
        self.experts.draw(genome_NG, rows_by_totals, rng)
        rows = np.concatenate(list(rows_by_totals.values()))
        for chain in self.others:
            chain.draw(genome_NG, {(): rows}, rng)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Genes of a layer that have nothing to do with its other genes."""

    keys: tuple[str, ...]
    constraints: tuple[Constraint, ...]
    """Those on layers that speak of these genes, and of no others."""

    @property
    def has_experts(self) -> bool:
        """Whether these are the genes of the experts, which are never apart."""
        return "experts" in self.keys


class Stacks:
    """Makes the stacks of one side of a space, each once.

    Args:
        space: the space.
        side: `encoder` or `decoder`.
        tracked: the totals that are asked for, out of `expert_layers` and `experts`.
        ordered: whether experts that change places make another model.
    """

    def __init__(self, space: SearchSpace, side: str, tracked: tuple[str, ...], *, ordered: bool) -> None:
        self._side, self._tracked, self._ordered = side, tracked, ordered
        layout = layout_of(space)
        self._genes = [genes for genes in layout.layers if genes.side == side]
        self._num_genes = len(layout.genes)
        keys = tuple(key for key in LAYER_KEYS if key == "expert_width" or key in self._genes[0].sizes)
        self._clusters = _clusters(keys, [each for each in space.constraints if each.layer_side == side])
        self._most_seen = max(
            (layer.cross_layers[-1] for layer in space.sides[side].layers if isinstance(layer, DecoderLayerChoices)),
            default=1,
        )
        self._options: dict[tuple[object, ...], LayerOptions] = {}
        self._distinct: dict[tuple[object, ...], LayerOptions] = {}
        self._chains: dict[tuple[object, ...], LayerChain] = {}
        self._chains_of: dict[tuple[object, ...], LayerChain] = {}
        self._stacks: dict[tuple[LayerChain, ...], Stack] = {}

    def stack(self, choices: SideChoices, sizes: Mapping[str, int]) -> Stack:
        """The stack of one arrangement.

        Args:
            choices: what the arrangement leaves of the side's choices.
            sizes: dimensions, depths, and the totals that constraints on layers speak of.
        """
        chains = tuple(self._chain(cluster, choices, sizes) for cluster in self._clusters)
        if chains not in self._stacks:
            self._stacks[chains] = Stack(experts=chains[0], others=chains[1:], num_genes=self._num_genes)
        return self._stacks[chains]

    def _chain(self, cluster: Cluster, choices: SideChoices, sizes: Mapping[str, int]) -> LayerChain:
        known = self._needed(cluster, sizes)
        depth = sizes[f"{self._side}.layers"]
        counts = tuple(layer.experts.count for layer in choices.layers[:depth]) if cluster.has_experts else ()
        key = (cluster.keys, depth, counts, tuple(known.values()))
        if key not in self._chains:
            groups = (Shared(key=group.key, layers=tuple(index for index in group.layers if index < depth))
                      for group in choices.shared if group.key in cluster.keys)  # fmt: skip
            shared = tuple(group for group in groups if len(group.layers) > 1)
            layers = tuple(self._options_of(index, cluster, choices, shared, known) for index in range(depth))
            self._chains[key] = self._chain_of(layers, cluster, shared)
        return self._chains[key]

    def _chain_of(self, layers: tuple[LayerOptions, ...], cluster: Cluster, shared: tuple[Shared, ...]) -> LayerChain:
        """The chain of these options, the same one whatever sizes left them."""
        key = (layers, cluster.keys, shared)
        if key not in self._chains_of:
            self._chains_of[key] = LayerChain(
                layers,
                places=tuple(genes.all for genes in self._genes[: len(layers)]),
                shared=shared,
                tracked=self._tracked if cluster.has_experts else (),
                ordered=self._ordered,
            )
        return self._chains_of[key]

    def _options_of(
        self,
        index: int,
        cluster: Cluster,
        choices: SideChoices,
        shared: tuple[Shared, ...],
        sizes: Mapping[str, int],
    ) -> LayerOptions:
        """The options of a layer, which it has in common with layers and sizes that leave it the same."""
        layer, genes = choices.layers[index], self._genes[index]
        of_layer = tuple(group.key for group in shared if index in group.layers)
        num_slots = genes.widths.stop - genes.widths.start
        key = (layer, cluster.keys, of_layer, num_slots, tuple(sizes.values()))
        if key not in self._options:
            options = LayerOptions(
                layer, genes, cluster.keys, shared=of_layer, sizes=sizes, constraints=cluster.constraints
            )
            self._options[key] = self._distinct.setdefault((*key[:-1], options.signature), options)
        return self._options[key]

    def _needed(self, cluster: Cluster, sizes: Mapping[str, int]) -> dict[str, int]:
        """The sizes that make a difference to some genes of the layers."""
        names = {name for each in cluster.constraints for name in each.variables if ".layer." not in name}
        if cluster.constraints and "qkv_dim" in cluster.keys:
            names.add(f"{self._side}.dim")  # genes may follow it
        needed = {name: sizes[name] for name in sorted(names)}
        if "cross_layers" in cluster.keys:  # encoder layers beyond those that can be seen make none
            needed.setdefault("encoder.layers", min(sizes["encoder.layers"], self._most_seen))
        return needed


def joined(a_NG: Ints, b_NG: Ints) -> Ints:
    """Every genome of `a` with every one of `b`, which fill different genes: those of the other are 0."""
    return (a_NG[:, None] + b_NG[None]).reshape(-1, a_NG.shape[1])


def _clusters(keys: tuple[str, ...], constraints: list[Constraint]) -> tuple[Cluster, ...]:
    """The smallest sets of genes such that no constraint joins two of them; first that of the experts."""
    bonds = [set(EXPERT_KEYS), *map(_keys_of, constraints)]
    apart = [{key} for key in keys]
    for bond in bonds:
        bond |= {FOLLOWED[key] for key in bond & FOLLOWED.keys()}  # where a gene follows another, it is that
        together = set().union(*(cluster for cluster in apart if cluster & bond))
        apart = [together, *(cluster for cluster in apart if not cluster & bond)]
    found = (
        Cluster(
            keys=tuple(key for key in keys if key in cluster),
            constraints=tuple(each for each in constraints if _keys_of(each) <= cluster),
        )
        for cluster in apart
    )
    return tuple(sorted(found, key=lambda cluster: (not cluster.has_experts, cluster.keys)))


def _keys_of(constraint: Constraint) -> set[str]:
    """The genes of a layer that a constraint speaks of."""
    return {name.rpartition(".")[2] for name in constraint.variables if ".layer." in name}
