"""The genes of a space as parameters of Optuna, and Optuna itself, loaded when it is needed.

Optuna's samplers search only parameters that every trial has. So each free gene is a parameter of every trial: one
whose layer or expert is absent is given as its smallest choice.

Shape suffixes: N genomes, G genes of a genome, F free genes that have a choice.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automoe.errors import DependencyError
from automoe.space import GenomeCodec
from automoe.space.genome.layout import layout_of

Ints = NDArray[np.int64]


def load_optuna() -> Any:
    """The module `optuna`, which takes half a second to load.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise DependencyError("optuna", extra="search") from None
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Optuna from printing what it does and that a feature is experimental; only inside."""
    optuna = load_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


class GeneParameters:
    """Genomes of one space as parameters by name.

    Args:
        codec: of the space.
        ordered: whether a parameter is the place of a choice among the ascending ones, a whole number, as samplers
            need it that reckon with distances; otherwise it is the choice itself, one of a category.
    """

    def __init__(self, codec: GenomeCodec, *, ordered: bool = False) -> None:
        self._ordered = ordered
        self._places = [place for place in codec.free if len(codec.choices[place]) > 1]
        groups = {group.places[0]: list(group.places) for group in layout_of(codec.space).groups}
        self._members = [groups.get(place, [place]) for place in self._places]
        self._choices = [tuple(sorted(codec.choices[place])) for place in self._places]
        self._template_G = np.array([choices[0] for choices in codec.choices], dtype=np.int64)
        self.names = tuple(codec.names[place] for place in self._places)
        """Of the parameters, such as `encoder.layers[2].heads`."""

    @property
    def num_choices(self) -> tuple[int, ...]:
        """How many choices each parameter has; more than one."""
        return tuple(map(len, self._choices))

    def distributions(self) -> dict[str, Any]:
        """What Optuna has to know about each parameter.

        Raises:
            DependencyError: Optuna is not installed.
        """
        kinds = load_optuna().distributions
        if self._ordered:
            return {n: kinds.IntDistribution(0, len(c) - 1) for n, c in zip(self.names, self._choices, strict=True)}
        return {n: kinds.CategoricalDistribution(c) for n, c in zip(self.names, self._choices, strict=True)}

    def params_of(self, genome_NG: Ints) -> list[dict[str, int]]:
        """The parameters of canonical genomes, one by one."""
        index_NF = self.indices_of(genome_NG)
        if self._ordered:
            return [dict(zip(self.names, row, strict=True)) for row in index_NF.tolist()]
        return [
            {name: choices[index] for name, choices, index in zip(self.names, self._choices, row, strict=True)}
            for row in index_NF.tolist()
        ]

    def genomes_of(self, params: Sequence[Mapping[str, int]]) -> Ints:
        """Genomes that have these parameters, of shape (N, G); not canonical."""
        chosen = [[each[name] for name in self.names] for each in params]
        value_NF = np.array(chosen, dtype=np.int64).reshape(len(params), len(self.names))
        if self._ordered:
            return self.genomes_at(value_NF)
        return self._filled(value_NF)

    def indices_of(self, genome_NG: Ints) -> Ints:
        """The place of each free gene's value among its choices; (N, F).

        Of a gene that layers share, the value is the largest that one of them has: the others are cut, dense or
        absent. A value that is no choice, for the same reasons, is that of the next larger choice.
        """
        columns = [
            np.searchsorted(choices, genome_NG[:, members].max(axis=1)).clip(max=len(choices) - 1)
            for members, choices in zip(self._members, self._choices, strict=True)
        ]
        return np.array(columns, dtype=np.int64).reshape(len(columns), len(genome_NG)).T

    def genomes_at(self, index_NF: Ints) -> Ints:
        """Genomes whose free genes are the choices at these places, of shape (N, G); not canonical."""
        columns = [np.array(choices)[index_N] for choices, index_N in zip(self._choices, index_NF.T, strict=True)]
        return self._filled(np.array(columns, dtype=np.int64).reshape(index_NF.T.shape).T)

    def _filled(self, value_NF: Ints) -> Ints:
        genome_NG = np.repeat(self._template_G[None], len(value_NF), axis=0)
        genome_NG[:, self._places] = value_NF
        return genome_NG
