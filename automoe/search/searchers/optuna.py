"""The samplers of Optuna as searchers: TPE, NSGA-II, NSGA-III, a Gaussian process and CMA-ES.

A sampler sees every free gene, always; what it suggests is made canonical. It knows neither limits nor what was
evaluated already, so it is asked again until its suggestion is new and within them.

Shape suffixes: N genomes, G genes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from automoe.errors import ConfigError, did_you_mean
from automoe.search.dominance import best_first
from automoe.search.evaluator import Floats
from automoe.search.problem import Problem
from automoe.search.record import Record
from automoe.search.searcher import Candidate
from automoe.search.searchers.children import children_of
from automoe.search.searchers.cma_es import CmaEs
from automoe.search.searchers.optuna_study import Pool, StudySampler, Suggest
from automoe.search.searchers.proposals import Draw, GenomeSearcher, Ints, Proposals
from automoe.space import Architecture

POPULATIONS = {"tpe": 8, "nsga2": 24, "nsga3": 24, "gp": 1, "cmaes": 16}
"""The samplers, and how many candidates each is asked for at once unless the options say it."""
_LEAST = {"tpe": 1, "nsga2": 2, "nsga3": 2, "gp": 1, "cmaes": 4}
_PARENTS = 12
_POOL = 256
"""Unseen architectures within the limits, half of them children of the best, out of which `gp` chooses."""


@dataclass(frozen=True, kw_only=True)
class OptunaOptions:
    """Settings of `OptunaSearcher`."""

    sampler: str = "tpe"
    """`tpe`, `nsga2`, `nsga3`, `gp` or `cmaes`."""
    population: int | None = None
    """Candidates that are asked for at once and told together; NSGA-II, NSGA-III and CMA-ES take so many for a
    generation. None: 8 for tpe, 1 for gp, 24 for nsga2 and nsga3, 16 for cmaes."""
    startup: int = 24
    """The first candidates: the smallest and the largest architecture, then samples of the space."""
    tries: int = 8
    """Suggestions that the sampler may make for one candidate until one is new and within the limits; then a child
    of the best is taken."""

    def __post_init__(self) -> None:
        if self.sampler not in POPULATIONS:
            hint = did_you_mean(str(self.sampler), POPULATIONS)
            raise ConfigError(
                "sampler", self.sampler, "is no sampler of Optuna", allowed=", ".join(POPULATIONS), hint=hint
            )
        least = _LEAST[self.sampler]
        if self.population is not None and (type(self.population) is not int or self.population < least):
            raise ConfigError("population", self.population, allowed=f">= {least} for {self.sampler}, or null")
        for name in ("startup", "tries"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), allowed=">= 1")


class Sampler(Protocol):
    """What suggests genomes, after what it was told."""

    def tell(self, genome_NG: Ints, value_NM: Floats) -> None:
        """Hears of canonical genomes and their objectives, lower is better."""
        ...

    def asking(self, seed: int, pending_NG: Ints, pool: Pool) -> AbstractContextManager[Suggest]:
        """Opens it for suggestions, which depend on the arguments and on what was told."""
        ...


class OptunaSearcher(GenomeSearcher):
    """A sampler of Optuna; see the module's text.

    Raises:
        ConfigError: the sampler cannot serve so many objectives.
        DependencyError: a package of the sampler is not installed.
    """

    Options = OptunaOptions
    options: OptunaOptions

    def __init__(self, problem: Problem, options: OptunaOptions, seed: int) -> None:
        super().__init__(problem, options, seed)
        self._sampler: Sampler
        if options.sampler == "cmaes":
            self.check_objectives(options, problem.objectives)
            self._sampler = CmaEs(problem.codec, self.batch)
        else:
            self._sampler = StudySampler(options.sampler, problem.codec, len(problem.objectives), self.batch, seed)

    @staticmethod
    def check_objectives(options: OptunaOptions, objectives: Sequence[str]) -> None:
        """Refuses several objectives for CMA-ES.

        Raises:
            ConfigError: there are several.
        """
        if options.sampler == "cmaes" and len(objectives) > 1:
            hint = "Set search.objectives=[loss] and a budget in search.within, or take sampler: nsga2"
            problem = "are too many for CMA-ES"
            raise ConfigError("search.objectives", list(objectives), problem, allowed="one", hint=hint)

    @property
    def batch(self) -> int:
        """The population."""
        return self.options.population or POPULATIONS[self.options.sampler]

    def tell(self, records: Sequence[Record]) -> None:
        """See `Searcher.tell`."""
        super().tell(records)
        if records:
            genome_NG = self._genomes_of([record.arch for record in records])
            self._sampler.tell(genome_NG, self.problem.values(records))

    def propose(self, num: int, proposals: Proposals) -> list[Candidate]:
        """Suggestions of the sampler; before them the samples that it begins with."""
        first = self.options.startup - len(self.told) - len(proposals.pending)
        found = self._samples(min(first, num), proposals) if first > 0 else []
        if len(found) == num or not self.told:
            return found
        seed = int(proposals.rng.integers(2**31))
        pending_NG = self._genomes_of([*proposals.pending, *(each.arch for each in found)])
        children = self._children(proposals.rng)

        def pool() -> Ints:
            pending = [*proposals.pending, *(each.arch for each in found)]
            fresh = Proposals(self.problem, self._genomes, proposals.rng, pending=pending)
            drawn = fresh.collect(children, _POOL // 2)
            return self._genomes_of([each.arch for each in drawn + fresh.samples(_POOL - len(drawn))])

        with self._sampler.asking(seed, pending_NG, pool) as suggest:
            suggested = self._canonical(suggest)
            while len(found) < num:
                one = proposals.collect(suggested, 1, rounds=self.options.tries) or proposals.collect(children, 1)
                if not one:
                    break
                found += one
        return found

    def _samples(self, num: int, proposals: Proposals) -> list[Candidate]:
        found = proposals.anchors()[:num]
        return found + proposals.samples(num - len(found))

    def _canonical(self, suggest: Suggest) -> Draw:
        """Draws one suggestion after the other, whatever number is asked for."""
        codec = self.problem.codec

        def draw(_: int) -> tuple[Ints, list[str]]:
            genome_NG = codec.canonical(suggest())
            genome_NG = genome_NG[codec.feasible(genome_NG)]
            return genome_NG, [self.options.sampler] * len(genome_NG)

        return draw

    def _children(self, rng: np.random.Generator) -> Draw:
        """Draws children of the best of all told, which are looked for when the first child is drawn."""

        @cache
        def made() -> Draw:
            best = best_first(self.problem.values(self.told))[:_PARENTS]
            parents = [self.told[index] for index in best]
            return children_of(self.problem.codec, parents, rng)

        return lambda num: made()(num)

    def _genomes_of(self, archs: Sequence[Architecture]) -> Ints:
        codec = self.problem.codec
        genomes = [codec.encode(arch) for arch in archs]
        return np.array(genomes, dtype=np.int64).reshape(len(genomes), codec.num_genes)
