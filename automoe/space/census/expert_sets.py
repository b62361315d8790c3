"""How many different sets of layers are the expert layers of some architecture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from automoe.space.census.cells import Cell
from automoe.space.census.layer_chain import LayerChain, State, Totals

Thread = tuple[LayerChain, State, Totals]
"""One way that a side's layers can have gone so far."""
Ends = dict[frozenset[tuple[LayerChain, Totals]], int]
"""Numbers of sets of expert layers of one side, by the chains and totals that they can be the expert layers of."""


def num_expert_sets(cells: Iterable[Cell]) -> int:
    """Counts sets of layers, (side, index) each; the same set at two depths counts once.

    Sets that every cell treats alike are counted together, layer by layer (as an automaton is made deterministic), so
    that deep models take no longer than others.
    """
    # Cells that differ in dimensions only have equal sets.
    distinct = {(cell.encoder.experts, cell.decoder.experts, cell.met_ED.tobytes()): cell for cell in cells}
    encoder_ends = _ends(dict.fromkeys(cell.encoder.experts for cell in distinct.values()))
    decoder_ends = _ends(dict.fromkeys(cell.decoder.experts for cell in distinct.values()))
    return sum(
        num_encoder * num_decoder
        for encoder, num_encoder in encoder_ends.items()
        for decoder, num_decoder in decoder_ends.items()
        if any(_go_together(cell, encoder, decoder) for cell in distinct.values())
    )


def _ends(chains: Iterable[LayerChain]) -> Ends:
    """Walks all chains of a side at once, from the first layer to the last."""
    chains = list(chains)
    nums: dict[frozenset[Thread], int] = {
        frozenset((chain, chain.start, chain.no_totals) for chain in chains): 1,
    }
    for index in range(max((len(chain.layers) for chain in chains), default=0)):
        grown: dict[frozenset[Thread], int] = {}
        for threads, num in nums.items():
            for has_experts in (False, True):
                following = frozenset(_after(threads, index, has_experts))
                if following:
                    grown[following] = grown.get(following, 0) + num
        nums = grown
    ends: Ends = {}
    for threads, num in nums.items():
        end = frozenset((chain, totals) for chain, _, totals in threads)
        ends[end] = ends.get(end, 0) + num
    return ends


def _after(threads: Iterable[Thread], index: int, has_experts: bool) -> Iterable[Thread]:
    """The threads after a layer that has experts or has not; it has none where it is not there."""
    for chain, state, totals in threads:
        if index >= len(chain.layers):
            if not has_experts:
                yield chain, state, totals
            continue
        for move in chain.moves[index]:
            if move.has_experts == has_experts and (following := chain.step(index, state, move)) is not None:
                yield chain, following, tuple(a + b for a, b in zip(totals, move.totals, strict=True))


def _go_together(
    cell: Cell, encoder: frozenset[tuple[LayerChain, Totals]], decoder: frozenset[tuple[LayerChain, Totals]]
) -> bool:
    """Whether an architecture of the cell has its expert layers there."""
    chains = cell.encoder.experts, cell.decoder.experts
    found_E = [(chains[0], totals) in encoder for totals in cell.encoder.num_by_totals]
    found_D = [(chains[1], totals) in decoder for totals in cell.decoder.num_by_totals]
    return bool(cell.met_ED[np.ix_(found_E, found_D)].any())
