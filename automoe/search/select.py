"""The choice under a budget: the best quality among the evaluated architectures that keep every limit.

A predicted latency keeps its limit if its upper bound at the limit's quantile does; a measured one if the upper value
of the measurement does; exact costs if they do. Nothing here is random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from automoe.errors import ConfigError
from automoe.search.budget import ResolvedLimit
from automoe.search.config import SelectConfig
from automoe.search.costs import LATENCY, shown_cost
from automoe.search.evaluator import Estimate, Measure
from automoe.search.record import Record, quality_of
from automoe.search.selection import Selection, costs_of

_RUNNER_UPS = 5
Refit = Callable[[Mapping[str, Estimate], Sequence[Record]], Sequence[Record]]
"""(measured latencies by digest, records) -> the records with their costs predicted anew."""
ContinueSearch = Callable[[int, Sequence[Record]], Sequence[Record]]
"""(how many more, the records with their costs as they are known now) -> all records, or the new ones."""
Verdict = Literal["keeps", "doubtful", "breaks"]


def select(
    records: Sequence[Record],
    limits: Sequence[ResolvedLimit],
    config: SelectConfig,
    measure: Measure | None = None,
    continue_search: ContinueSearch | None = None,
    *,
    known: Mapping[str, Estimate] | None = None,
    refit: Refit | None = None,
    quality: str = "loss",
) -> Selection:
    """Chooses the architecture of the best quality that keeps the budget; ties by latency, then by digest.

    From the best quality down, the first that keeps the budget is the choice. On the way those whose interval
    straddles a limit are measured, at most `config.measure` of them, and so is the choice itself: where the
    measurement breaks the budget, the walk goes on. If nothing is left in the end, those that were passed over are
    measured after all, from the lowest bound upward, until one keeps the budget.

    Where doubtful ones were measured, the predictor learns from it, the search goes on below the budget with what it
    says now, and the walk begins again, `config.refits` times.

    A limit on latency is `config.latency_margin` times lower for all of this; the selection holds it as it was given.

    Args:
        records: of the archive.
        limits: the budget.
        config: when to search on, how much to measure, and the margin below a limit on latency.
        measure: measures a latency; None if nothing can be measured: the bounds of the predictions decide alone.
        continue_search: adds so many evaluations just below the budget (`FocusedSearch`); None if the search cannot
            go on.
        known: latencies that were measured before, by digest; they stand for the predictions.
        refit: fits the predictor to what was measured too and gives the records with their costs predicted anew; what
            `continue_search` evaluates afterwards is predicted likewise. None leaves the predictions as they are.
        quality: what is best, out of `QUALITIES`: the lowest loss, or the highest BLEU.

    Raises:
        ConfigError: nothing keeps the budget; it names what comes nearest.
    """
    if not records:
        raise ConfigError("budget", problem="cannot be applied: no architecture was evaluated")
    given, limits = tuple(limits), below_margin(limits, config.latency_margin)
    known = {} if known is None else known
    refitted: dict[str, Estimate] = {}
    records, reasons = _with_more_near_the_budget(records, limits, config, continue_search, known)
    walk = _Walk(records, limits, config, measure, known, quality)
    chosen = walk.first_that_keeps() or walk.any_that_keeps()
    reasons += walk.reasons
    for _ in range(config.refits):
        if refit is None or not walk.doubts_measured:
            break
        known = {**known, **walk.measured}
        records = list(refit(walk.measured, records))
        reasons.append(
            f"Fitted the predictor again, to what was measured too ({len(walk.measured)} of those evaluated)."
        )
        if continue_search is not None and config.extra_evaluations:
            records, more = _searched_on(records, limits, config, continue_search, known)
            reasons += more
        refitted = {record.digest: record.costs[LATENCY] for record in records if LATENCY in record.costs}
        walk = _Walk(records, limits, config, measure, known, quality)
        chosen = walk.first_that_keeps() or walk.any_that_keeps()
        reasons += walk.reasons
    if chosen is None:
        raise _nothing_keeps(records, given, limits, walk.measured)
    rest = [record for record in walk.order if record is not chosen and walk.verdict(record) == "keeps"]
    reasons.append(_about_choice(chosen, limits, walk.measured))
    if limits != given:
        reasons.append(f"Its latency stays {config.latency_margin:g} times (select.latency_margin) below the limit.")
    return Selection(
        record=chosen,
        limits=given,
        measured=walk.measured,
        refitted=refitted,
        reasons=tuple(reasons),
        runner_ups=tuple(rest[:_RUNNER_UPS]),
    )


def below_margin(limits: Sequence[ResolvedLimit], margin: float) -> tuple[ResolvedLimit, ...]:
    """The budget that the choice has to keep: limits on latency divided by `margin`, all others as they are."""
    return tuple(
        replace(limit, max=limit.max / margin, max_ratio=limit.ratio_of(limit.max / margin))
        if limit.cost == LATENCY and margin != 1
        else limit
        for limit in limits
    )


class _Walk:
    """Goes through the records from the best quality down and measures where that can change the choice."""

    def __init__(
        self,
        records: Sequence[Record],
        limits: Sequence[ResolvedLimit],
        config: SelectConfig,
        measure: Measure | None,
        known: Mapping[str, Estimate],
        quality: str,
    ) -> None:
        self.order = sorted(
            records, key=lambda record: (quality_of(record, quality), _mean_latency(record), record.digest)
        )
        self.measured = {record.digest: known[record.digest] for record in self.order if record.digest in known}
        self.reasons: list[str] = []
        self.doubts_measured = 0
        """How many were measured because their interval straddles a limit."""
        self._limits, self._config = limits, config
        self._measure = measure if any(limit.cost == LATENCY for limit in limits) else None

    def first_that_keeps(self) -> Record | None:
        """The choice; None if there is none."""
        left = self._config.measure
        unmeasured = 0
        for record in self.order:
            verdict = self.verdict(record)
            if verdict == "doubtful" and (self._measure is None or left == 0):
                unmeasured += 1
            elif verdict != "breaks":
                left -= verdict == "doubtful"
                if self._measure is not None and record.digest not in self.measured:
                    self._measure_now(record, self._measure, verdict)
                    verdict = self.verdict(record)
                if verdict == "keeps":
                    self._note_unmeasured(unmeasured)
                    return record
        self._note_unmeasured(unmeasured)
        return None

    def any_that_keeps(self) -> Record | None:
        """Where the walk found nothing: the doubtful ones are measured after all, the likeliest to keep it first."""
        if self._measure is None:
            return None
        doubtful = [record for record in self.order if self.verdict(record) == "doubtful"]
        for record in sorted(doubtful, key=lambda record: _used(record, self._limits, self.measured)):
            self._measure_now(record, self._measure, "doubtful")
            if self.verdict(record) == "keeps":
                return record
        return None

    def verdict(self, record: Record) -> Verdict:
        """Whether the record keeps all limits, by what is known of it."""
        verdict: Verdict = "keeps"
        for limit in self._limits:
            if _bound(limit, record, self.measured) > limit.max:
                if _is_known(limit, record, self.measured) or limit.lower(record.costs[limit.cost]) > limit.max:
                    return "breaks"
                verdict = "doubtful"
        return verdict

    def _measure_now(self, record: Record, measure: Measure, verdict: Verdict) -> None:
        estimate = Estimate(*map(float, measure(record.arch)))
        self.measured[record.digest] = estimate
        self.doubts_measured += verdict == "doubtful"
        why = "its interval straddles the limit" if verdict == "doubtful" else "it is the best that should keep it"
        outcome = "keeps" if self.verdict(record) == "keeps" else "breaks"
        self.reasons.append(
            f"Measured {record.digest} ({_shown_quality(record)}), because {why}: "
            f"{shown_cost(LATENCY, estimate.mean)}, at most {shown_cost(LATENCY, estimate.upper)}; "
            f"predicted were {shown_cost(LATENCY, record.costs[LATENCY].mean)}. It {outcome} the budget."
        )

    def _note_unmeasured(self, num: int) -> None:
        if num:
            why = "nothing is measured here" if self._measure is None else f"select.measure is {self._config.measure}"
            self.reasons.append(
                f"{_count(num)} of better quality might keep the budget, but the upper bound of the prediction is "
                f"above it, and {why}: passed over."
            )


def _with_more_near_the_budget(
    records: Sequence[Record],
    limits: Sequence[ResolvedLimit],
    config: SelectConfig,
    continue_search: ContinueSearch | None,
    known: Mapping[str, Estimate],
) -> tuple[list[Record], list[str]]:
    """All records there are in the end, and what was found and done in words."""
    found = list(records)
    reasons = [_about_records(found, limits, config, known)]
    use = [_used(record, limits, known) for record in found]
    if sum(config.near_ratio <= share <= 1 for share in use) >= config.near:
        return found, reasons
    if max(use) <= 1:
        reasons.append("The budget does not bind: every evaluated architecture keeps it.")
    elif config.extra_evaluations == 0 or continue_search is None:
        reasons.append(f"Fewer than {config.near} (select.near) lie there, but the search does not go on.")
    else:
        reasons.append(
            f"Fewer than {config.near} (select.near) lie there: the search goes on just below the budget with "
            f"{config.extra_evaluations} more evaluations."
        )
        found, more = _searched_on(found, limits, config, continue_search, known)
        reasons += more
    return found, reasons


def _searched_on(
    records: Sequence[Record],
    limits: Sequence[ResolvedLimit],
    config: SelectConfig,
    continue_search: ContinueSearch,
    known: Mapping[str, Estimate],
) -> tuple[list[Record], list[str]]:
    """The records and those that the search adds below the budget, and what there is now in words."""
    more = continue_search(config.extra_evaluations, [_as_known(record, known) for record in records])
    new = {record.digest: record for record in more} | {record.digest: record for record in records}
    found = list(new.values())
    return found, [_about_records(found, limits, config, known)]


def _as_known(record: Record, known: Mapping[str, Estimate]) -> Record:
    """The record with its latency as it was measured, if it was."""
    return replace(record, costs=costs_of(record, known)) if record.digest in known else record


def _about_records(
    records: Sequence[Record], limits: Sequence[ResolvedLimit], config: SelectConfig, known: Mapping[str, Estimate]
) -> str:
    use = [_used(record, limits, known) for record in records]
    near = sum(config.near_ratio <= share <= 1 for share in use)
    return (
        f"{_count(len(records))} evaluated, {sum(share <= 1 for share in use)} of which keep the budget "
        f"({'; '.join(map(str, limits))}), {near} with {100 * config.near_ratio:g} % or more of it used."
    )


def _about_choice(record: Record, limits: Sequence[ResolvedLimit], measured: Mapping[str, Estimate]) -> str:
    costs = costs_of(record, measured)
    parts = []
    for limit in limits:
        how = ""
        if limit.cost == LATENCY:
            how = " measured" if record.digest in measured else " predicted"
        parts.append(f"{shown_cost(limit.cost, costs[limit.cost].mean)}{how} (limit {limit.max:.4g})")
    return f"Chosen: {record.digest}, {_shown_quality(record)}, the best that keeps the budget; {', '.join(parts)}."


def _nothing_keeps(
    records: Sequence[Record],
    given: Sequence[ResolvedLimit],
    limits: Sequence[ResolvedLimit],
    measured: Mapping[str, Estimate],
) -> ConfigError:
    """The refusal: the architecture that comes nearest, and the limit that it breaks most.

    Args:
        records: what was evaluated.
        given: the budget as the user gave it.
        limits: the same, with its margin taken off.
        measured: what was measured, by digest.
    """
    nearest = min(records, key=lambda record: (_used(record, limits, measured), record.loss, record.digest))
    limit = max(limits, key=lambda each: _bound(each, nearest, measured) / each.max)
    bound = _bound(limit, nearest, measured)
    told = next(each for each in given if each.cost == limit.cost)
    margin = told.max / limit.max
    how = ""
    if limit.cost == LATENCY:
        is_measured = nearest.digest in measured
        how = " when it was measured" if is_measured else f" (upper {100 * limit.quantile:g} % bound)"
    if margin > 1:
        how += f", that is {shown_cost(limit.cost, bound * margin)} with select.latency_margin={margin:.4g}"
    allowed = "" if limit.max_ratio is None else f", where {shown_cost(limit.cost, told.max)} are allowed"
    name = limit.cost if limit.max_ratio is None else "max_ratio"
    return ConfigError(
        told.key,
        told.given,
        f"no evaluated architecture keeps the budget: the nearest, {nearest.digest}, takes "
        f"{shown_cost(limit.cost, bound)}{how}{allowed}",
        hint=f"Raise {name} to {told.raised_to(bound * margin)} or more, or search longer (search.evaluations)",
    )


def _used(record: Record, limits: Sequence[ResolvedLimit], measured: Mapping[str, Estimate]) -> float:
    """Share of the budget that the record uses; above 1 it breaks it."""
    return max(_bound(limit, record, measured) / limit.max for limit in limits)


def _bound(limit: ResolvedLimit, record: Record, measured: Mapping[str, Estimate]) -> float:
    """What has to be below the limit: the upper value that was measured, or the bound of the prediction."""
    known = _is_known(limit, record, measured)
    return costs_of(record, measured)[limit.cost].upper if known else limit.upper(record.costs[limit.cost])


def _is_known(limit: ResolvedLimit, record: Record, measured: Mapping[str, Estimate]) -> bool:
    """Whether the cost is no prediction."""
    return limit.cost != LATENCY or record.digest in measured


def _shown_quality(record: Record) -> str:
    return f"loss {record.loss:.4f}" + ("" if record.bleu is None else f", {record.bleu:.2f} BLEU")


def _mean_latency(record: Record) -> float:
    return record.costs[LATENCY].mean if LATENCY in record.costs else 0.0


def _count(num: int) -> str:
    return f"{num} architecture{'' if num == 1 else 's'}"
