"""`StudySampler`: a sampler of Optuna whose suggestions depend on what it was told, not on what it was asked before.

Shape suffixes: N genomes, G genes, M objectives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np

from automoe.errors import DependencyError
from automoe.search.evaluator import Floats
from automoe.search.optuna_genes import GeneParameters, Ints, load_optuna, quiet
from automoe.space import GenomeCodec

Suggest = Callable[[], Ints]
"""The sampler's next suggestion: a genome that need not be canonical, of shape (1, G); (0, G) if it has none."""
Pool = Callable[[], Ints]
"""Draws canonical genomes that may be proposed, of shape (N, G)."""


class StudySampler:
    """TPE (Watanabe 2023), NSGA-II (Deb et al. 2002), NSGA-III (Deb & Jain 2014) or the Gaussian process of Optuna.

    What was told are the finished trials of a study in memory. What a sampler suggests stays a running trial until
    the end of the asking and is then discarded: TPE and the Gaussian process stay away from running trials, the
    others do not see them. The Gaussian process chooses out of a pool of genomes that may be proposed; Optuna's own
    climb from gene to gene takes over ten times as long and knows neither what was evaluated nor the limits.

    Args:
        name: `tpe`, `nsga2`, `nsga3` or `gp`.
        codec: of the space.
        num_objectives: lower is better for all.
        population: of a generation of NSGA-II and NSGA-III.
        seed: of the choice of parents in NSGA-III.

    Raises:
        DependencyError: Optuna is not installed, or what its Gaussian process needs.
    """

    def __init__(self, name: str, codec: GenomeCodec, num_objectives: int, population: int, seed: int) -> None:
        self._name, self._population = name, population
        self._optuna = load_optuna()
        if name == "gp":
            _check_torch()
        self._parameters = GeneParameters(codec, ordered=name == "gp")
        self._distributions = self._parameters.distributions()
        self._told = 0
        with quiet():
            # The one sampler that hears of results: its random state depends on them alone.
            self._listener = self._sampler(seed)
            self._study = self._optuna.create_study(directions=["minimize"] * num_objectives, sampler=self._listener)

    def tell(self, genome_NG: Ints, value_NM: Floats) -> None:
        """Adds finished trials.

        Args:
            genome_NG: canonical.
            value_NM: their objectives.
        """
        with quiet():
            self._study.sampler = self._listener
            for params, values in zip(self._parameters.params_of(genome_NG), value_NM.tolist(), strict=True):
                self._add(params, values)

    @contextmanager
    def asking(self, seed: int, pending_NG: Ints, pool: Pool) -> Iterator[Suggest]:
        """Opens the sampler for suggestions.

        Args:
            seed: of all that is random until the end.
            pending_NG: canonical genomes that are being evaluated.
            pool: asked by the Gaussian process alone, once for each suggestion.
        """
        trials = self._optuna.trial
        with quiet():
            self._study.sampler = self._sampler(seed)
            open_numbers = [self._start(params) for params in self._parameters.params_of(pending_NG)]

            def suggest() -> Ints:
                if self._name == "gp":
                    pool_NG = pool()
                    if not len(pool_NG):
                        return pool_NG
                    self._study.sampler.pool = self._parameters.params_of(pool_NG)
                trial = self._study.ask(self._distributions)
                open_numbers.append(trial.number)
                return self._parameters.genomes_of([trial.params])

            try:
                yield suggest
            finally:
                for number in open_numbers:
                    self._study.tell(number, state=trials.TrialState.FAIL)

    def _add(self, params: dict[str, int], values: list[float]) -> None:
        """Adds one finished trial; NSGA-II and III take `population` of them in a row for a generation."""
        if not self._name.startswith("nsga"):
            trial = self._optuna.trial.create_trial(params=params, distributions=self._distributions, values=values)
            self._study.add_trial(trial)
            return
        number = self._start(params)
        self._listener.get_trial_generation(self._study, self._study.get_trials(deepcopy=False)[number])
        self._study.tell(number, values)
        self._told += 1
        if self._told % self._population == 0:  # now, by the listener: NSGA-III draws lots
            self._listener.get_parent_population(self._study, self._told // self._population)

    def _start(self, params: dict[str, int]) -> int:
        """Adds a running trial; its number."""
        running = self._optuna.trial.TrialState.RUNNING
        trial = self._optuna.trial.create_trial(params=params, distributions=self._distributions, state=running)
        self._study.add_trial(trial)
        return len(self._study.get_trials(deepcopy=False)) - 1

    def _sampler(self, seed: int) -> Any:
        samplers = self._optuna.samplers
        if self._name == "tpe":
            # Multivariate also for several objectives, where it is 15 times as fast as a model for each gene.
            return samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True)
        if self._name == "gp":
            return _choosing_gp(samplers.GPSampler)(seed=seed, n_startup_trials=2, deterministic_objective=True)
        kind = {"nsga2": samplers.NSGAIISampler, "nsga3": samplers.NSGAIIISampler}[self._name]
        return kind(seed=seed, population_size=self._population)


def _choosing_gp(gp_sampler: Any) -> Any:
    """The Gaussian process of Optuna that takes the best of `pool` by its acquisition function."""

    class ChoosingGPSampler(gp_sampler):  # type: ignore[misc]
        pool: Sequence[dict[str, int]]

        def _optimize_acqf(self, acqf: Any, best_params: Any) -> Any:
            """Optuna's hook for another optimiser of the acquisition function."""
            point_NF = acqf.search_space.get_normalized_params(self.pool, self.pool)
            return point_NF[int(np.argmax(acqf.eval_acqf_no_grad(point_NF)))]

    return ChoosingGPSampler


def _check_torch() -> None:
    if find_spec("torch") is None:  # Optuna's GP imports it; we do not
        raise DependencyError("torch", extra="torch")
