"""Rank fidelity: whether inherited quality orders architectures as training them from scratch does, beside baselines.

Higher is better for everything that is ranked: callers negate losses. Intervals are percentiles of a bootstrap over
architectures (Efron 1979); differences to a baseline are paired: both sides see the same resamples.

Shape suffixes: N architectures, B resamples.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.errors import ConfigError, DataError, did_you_mean
from automoe.evaluation.pair_statistics import FloatArray, pairs_counted, statistics_of
from automoe.evaluation.seed_noise import Runs, clear_pairs, means_of, seed_noise

OVERALL, EQUAL_DEPTH = "overall", "equal depth"
MIN_ARCHITECTURES = 4
"""Fewer give no interval worth the name."""


@dataclass(frozen=True, kw_only=True)
class FidelityConfig:
    """How rank fidelity is judged."""

    coverage: float = 0.95
    """Of the intervals."""
    resamples: int = 2000
    """Of the bootstrap."""
    clear_beyond: float = 2.0
    """A pair is clear if its means differ by more than this many standard deviations of such a difference."""
    seed: int = 0
    """Of the bootstrap."""

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ConfigError("fidelity.coverage", self.coverage, allowed="above 0, below 1")
        if self.resamples < 100:
            raise ConfigError("fidelity.resamples", self.resamples, allowed=">= 100")
        if not (math.isfinite(self.clear_beyond) and self.clear_beyond >= 0):
            raise ConfigError("fidelity.clear_beyond", self.clear_beyond, allowed=">= 0")
        if self.seed < 0:
            raise ConfigError("fidelity.seed", self.seed, allowed=">= 0")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic with its interval; NaN where no pair is there to count."""

    value: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.lower:.3f}, {self.upper:.3f}]"


@dataclass(frozen=True, kw_only=True)
class FidelityRow:
    """One statistic of one candidate."""

    candidate: str
    scope: str
    """"overall", or "equal depth": pairs of architectures with equally many decoder layers alone."""
    statistic: str
    """"Kendall tau-b", "Spearman", "pairwise accuracy", or "pairwise accuracy, clear pairs"."""
    pairs: int
    """Pairs of the scope that the truth puts into order."""
    estimate: Estimate
    above: Mapping[str, Estimate]
    """What the statistic is higher by than that of each baseline; the candidate itself is left out."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How well each candidate orders the architectures."""

    architectures: int
    trainings: int
    """Of all architectures and seeds."""
    noise: float | None
    """Standard deviation between the seeds of one architecture; without it no pair is known to be clear."""
    baselines: tuple[str, ...]
    config: FidelityConfig
    rows: tuple[FidelityRow, ...]

    def row(self, candidate: str, scope: str, statistic: str) -> FidelityRow:
        """The row of a candidate.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if (row.candidate, row.scope, row.statistic) == (candidate, scope, statistic):
                return row
        raise KeyError((candidate, scope, statistic))

    def best_baseline(self, scope: str, statistic: str) -> str:
        """The baseline whose statistic is highest; of equal ones the first, as of those without a value.

        It is the best of this sample, chosen after the fact: a difference to it is rather too low than too high.

        Raises:
            ValueError: there are no baselines.
        """
        values = {name: self.row(name, scope, statistic).estimate.value for name in self.baselines}
        return max(values, key=lambda name: -math.inf if math.isnan(values[name]) else values[name])

    def to_rows(self) -> list[dict[str, Any]]:
        """The rows as flat mappings, for a table or JSON: None where there is no value.

        With baselines each also has the difference to the one that is best in the same scope and statistic.
        """
        rows = []
        for row in self.rows:
            flat = {key: value for key, value in asdict(row).items() if key not in ("estimate", "above")}
            flat |= {**asdict(row.estimate), **self._to_best(row)}
            rows.append({key: None if value != value else value for key, value in flat.items()})
        return rows

    def to_markdown(self, scope: str) -> str:
        """A table of one scope: a line a candidate; a column a statistic, and what it is above the best baseline."""
        here = [row for row in self.rows if row.scope == scope]
        pairs = {row.statistic: row.pairs for row in here}
        header = ["candidate"]
        for statistic, counted in pairs.items():
            header.append(f"{statistic} ({counted} pairs)")
            header += [f"above {self.best_baseline(scope, statistic)}"] if self.baselines else []
        lines = [header, ["---"] * len(header)]
        for candidate in dict.fromkeys(row.candidate for row in here):
            cells = [candidate]
            for row in (self.row(candidate, scope, statistic) for statistic in pairs):
                best = self.best_baseline(scope, row.statistic) if self.baselines else None
                cells.append(str(row.estimate))
                cells += [] if best is None else [str(row.above[best]) if best in row.above else "-"]
            lines.append(cells)
        return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

    def _to_best(self, row: FidelityRow) -> dict[str, Any]:
        if not self.baselines:
            return {}
        best = self.best_baseline(row.scope, row.statistic)
        above = asdict(row.above[best]) if best in row.above else dict.fromkeys(("value", "lower", "upper"))
        return {"best_baseline": best, **{f"above_best_{key}": value for key, value in above.items()}}


def rank_fidelity(
    runs: Runs,
    candidates: Mapping[str, npt.ArrayLike],
    depth_N: npt.ArrayLike,
    *,
    baselines: Sequence[str] = (),
    noise: float | None = None,
    config: FidelityConfig | None = None,
) -> Fidelity:
    """Judges how well each candidate orders architectures, overall and among those of equal decoder depth.

    Args:
        runs: for each architecture the quality of its trainings from scratch, one a seed; the truth is their mean.
        candidates: by name N values that shall be the higher the better the architecture: inherited quality,
            parameters, depth (`depth_then`).
        depth_N: decoder layers.
        baselines: names of candidates to which all others are compared.
        noise: standard deviation between seeds, where it is known from elsewhere; else it is estimated from `runs`.
            It is taken as known: intervals do not tell of its own error.
        config: how to judge; by default 95 % intervals of 2,000 resamples.

    Returns:
        For every candidate and both scopes the statistics of `pair_statistics.statistics_of`, that over clear pairs
        only if the noise is known, with intervals from the resamples in which the statistic exists.

    Raises:
        DataError: too few architectures, not equally many values, values that are not finite, a noise below 0, or a
            baseline that is no candidate.
    """
    config = config or FidelityConfig()
    truth_N = means_of(runs)
    _check_request(len(truth_N), candidates, baselines)
    columns = {name: _column(name, values, len(truth_N)) for name, values in candidates.items()}
    depths_N = _column("depth", depth_N, len(truth_N))
    noise = _checked_noise(noise) if noise is not None else seed_noise(runs)
    clear_NN = None if noise is None else clear_pairs(runs, noise, config.clear_beyond)
    counts_BN = _sample_and_resamples(len(truth_N), config)
    scopes = {
        OVERALL: np.ones((len(truth_N), len(truth_N)), dtype=np.bool_),
        EQUAL_DEPTH: depths_N[:, None] == depths_N[None, :],
    }
    rows: list[FidelityRow] = []
    for scope, pairs_NN in scopes.items():
        found = {
            name: statistics_of(truth_N, column_N, counts_BN, pairs_NN=pairs_NN, clear_NN=clear_NN)
            for name, column_N in columns.items()
        }
        counted = pairs_counted(truth_N, pairs_NN, clear_NN)
        rows += [row for statistic in counted for row in _rows(found, scope, statistic, counted, baselines, config)]
    return Fidelity(
        architectures=len(truth_N),
        trainings=sum(map(len, runs)),
        noise=noise,
        baselines=tuple(baselines),
        config=config,
        rows=tuple(rows),
    )


def depth_then(depth_N: npt.ArrayLike, then_N: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Places from 0 up, by depth first and among equal depths by another quantity; equal in both, equal place."""
    keys_N2 = np.column_stack([np.asarray(depth_N), np.asarray(then_N)])
    return np.unique(keys_N2, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _rows(
    found: Mapping[str, Mapping[str, FloatArray]],
    scope: str,
    statistic: str,
    counted: Mapping[str, int],
    baselines: Sequence[str],
    config: FidelityConfig,
) -> list[FidelityRow]:
    """The rows of one statistic, from its values in the sample (the first) and in the resamples."""
    values = {name: of_name[statistic] for name, of_name in found.items()}
    return [
        FidelityRow(
            candidate=name,
            scope=scope,
            statistic=statistic,
            pairs=counted[statistic],
            estimate=_estimate(of_name, config.coverage),
            above={base: _estimate(of_name - values[base], config.coverage) for base in baselines if base != name},
        )
        for name, of_name in values.items()
    ]


def _estimate(value_and_resamples: FloatArray, coverage: float) -> Estimate:
    value, resampled = float(value_and_resamples[0]), value_and_resamples[1:]
    defined = resampled[~np.isnan(resampled)]
    if math.isnan(value) or not len(defined):
        return Estimate(value=math.nan, lower=math.nan, upper=math.nan)
    lower, upper = np.quantile(defined, [(1 - coverage) / 2, (1 + coverage) / 2])
    return Estimate(value=value, lower=float(lower), upper=float(upper))


def _sample_and_resamples(architectures: int, config: FidelityConfig) -> FloatArray:
    """How often each architecture is in the sample (once), then in each resample; shape (1 + B, N)."""
    rng = np.random.default_rng([config.seed, zlib.crc32(b"rank fidelity"), architectures])
    shares_N = np.full(architectures, 1 / architectures)
    counts_BN = rng.multinomial(architectures, shares_N, size=config.resamples)
    return np.vstack([np.ones(architectures), counts_BN])


def _check_request(architectures: int, candidates: Mapping[str, npt.ArrayLike], baselines: Sequence[str]) -> None:
    if architectures < MIN_ARCHITECTURES:
        raise DataError(f"there are {architectures} architectures to rank", allowed=f"at least {MIN_ARCHITECTURES}")
    if not candidates:
        raise DataError("there is nothing that ranks the architectures")
    for name in baselines:
        if name not in candidates:
            raise DataError("the baseline is none of the candidates", key=name, hint=did_you_mean(name, candidates))


def _column(name: str, values: npt.ArrayLike, architectures: int) -> FloatArray:
    column_N = np.asarray(values, dtype=np.float64)
    if column_N.shape != (architectures,):
        raise DataError(f"has values of shape {column_N.shape} for {architectures} architectures", key=name)
    if not np.isfinite(column_N).all():
        raise DataError("a value is infinite or no number (NaN)", key=name)
    return column_N


def _checked_noise(noise: float) -> float:
    if not (math.isfinite(noise) and noise >= 0):
        raise DataError("is no standard deviation", key="noise", value=noise, allowed=">= 0")
    return noise
