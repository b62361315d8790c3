"""Stage `evaluate`: translates the test set with the bundle, as a user would, scores it, and measures it once more.

It holds `scores.json` (quality with signatures, costs, expert loads and latency of each system, and whether the
bundle keeps its budget) and `hypotheses.*.txt`, one translation a line. The bundle is scored as it was measured
(backend, precision), and then in each other precision that it holds and with its shortlist.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automoe.bundle import read_bundle
from automoe.data import PreparedData
from automoe.files import read_json, write_json
from automoe.latency import TABLE_FILE, ProfileConfig, read_table
from automoe.nn import Transformer
from automoe.pipeline.config import DecodingConfig, RunConfig
from automoe.pipeline.export import BUNDLE
from automoe.pipeline.files import INHERITED, SCORES, SELECTION
from automoe.pipeline.measuring import Bench, check_measurable
from automoe.pipeline.shipping import ship
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.pipeline.systems import COPY, INHERITS, LARGEST, MODEL, TestSet, Use, other_uses
from automoe.runtime.backend import find_backend, graphs_for
from automoe.search import LATENCY, in_budget_units, shown_cost
from automoe.space import Architecture

_SCRATCH = "systems.partial"


@dataclass(frozen=True, kw_only=True)
class EvaluatePart:
    """What the evaluation depends on beside the bundle and what it is compared with."""

    decoding: DecodingConfig
    space: SpacePart
    profile: ProfileConfig


def hypotheses_file(system: str) -> str:
    """Name of the file with a system's translations."""
    return f"hypotheses.{system}.txt"


def _part(config: RunConfig) -> EvaluatePart:
    return EvaluatePart(decoding=config.decoding, space=searched_part(config), profile=config.profile)


def _run(part: EvaluatePart, inputs: Inputs, out: Path) -> None:
    prepared = PreparedData.open(inputs["data"])
    test = TestSet(prepared, part.decoding.batch_size)
    bundle, supernet = inputs["export"] / BUNDLE, trained_model(inputs["supernet"])
    models = {
        MODEL: trained_model(inputs["distill"]),
        INHERITS: trained_model(inputs["distill"] / INHERITED),
        LARGEST: supernet,
    }
    own = Use(backend=part.profile.backend, precision=part.profile.precision, device=part.profile.device)
    systems = _scored_bundle(test, bundle, models[MODEL], own, out)
    for name in (INHERITS, LARGEST):
        ship(
            models[name],
            out / _SCRATCH,
            prepared,
            part.decoding,
            {},
            precisions=graphs_for(own.backend, own.precision),
        )
        scored = test.score_bundle(name, out / _SCRATCH, own, out / hypotheses_file(name))
        systems[name] = scored | test.costs_and_loads(models[name])
    shutil.rmtree(out / _SCRATCH)
    systems[COPY] = test.scores(test.sources)
    for name, latency in _latencies(part, own, inputs, supernet, models[MODEL].maximum, out).items():
        systems[name]["latency"] = latency
    selection = read_json(inputs["select"] / SELECTION)
    budget = [_kept(limit, systems[MODEL]) for limit in selection["budget"]]
    write_json(out / SCORES, {"sentences": len(test), "systems": systems, "budget": budget})
    for limit in budget:
        if not limit["kept"]:
            value, most = (shown_cost(limit["cost"], limit[name]) for name in ("value", "max"))
            print(f"the bundle breaks the budget: {value}, {most} are allowed", file=sys.stderr, flush=True)


def _scored_bundle(test: TestSet, bundle: Path, model: Transformer, own: Use, out: Path) -> dict[str, dict[str, Any]]:
    """The bundle as a system of its own for each way to run it, `own` first."""
    uses = {MODEL: own, **other_uses(read_bundle(bundle), own)}
    scored = {name: test.score_bundle(name, bundle, use, out / hypotheses_file(name)) for name, use in uses.items()}
    scored[MODEL] |= test.costs_and_loads(model)  # those of the others are the same
    return scored


def _latencies(
    part: EvaluatePart,
    own: Use,
    inputs: Inputs,
    supernet: Transformer,
    chosen: Architecture,
    out: Path,
) -> dict[str, dict[str, float]]:
    """Latency of each system in one session, comparable with the measured table of the search.

    On a GPU the bundle alone is measured, in the way that was searched for: ONNX Runtime's ways run on the CPU, of
    which the reference on the GPU says nothing.
    """
    prepared, bundle = PreparedData.open(inputs["data"]), read_bundle(inputs["export"] / BUNDLE)
    bench = Bench(supernet, prepared, part.space.space, part.profile, part.decoding.beam, out)
    baseline_ms = read_table(inputs["profile"] / TABLE_FILE).header.reference_baseline_ms
    profiler = bench.profiler(baseline_ms)
    rows = {INHERITS: profiler.measure(chosen), LARGEST: profiler.measure(supernet.maximum)}
    for name, use in {MODEL: own, **other_uses(bundle, own)}.items():
        if use.device != own.device:
            continue
        shipped = find_backend(use.backend)(
            bundle,
            threads=part.profile.threads,
            precision=use.precision,
            shortlist=use.shortlist,
            device=use.device,
        )
        rows[name] = profiler.measure(chosen, stepper=shipped)
    return {name: dict(zip(("ms", "low_ms", "high_ms"), row.bounds(), strict=True)) for name, row in rows.items()}


def _kept(limit: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """What the bundle takes of one limit, and whether it keeps it: the measured median decides.

    The choice had to keep a latency limit by the upper bound of a measurement, so that this one keeps it too.
    """
    cost = limit["cost"]
    value = model["latency"]["ms"] if cost == LATENCY else in_budget_units(model["costs"])[cost]
    return {
        "cost": cost,
        "max": limit["max"],
        "max_ratio": limit["max_ratio"],
        "value": value,
        "kept": value <= limit["max"],
    }


def _part_of_one(config: RunConfig) -> DecodingConfig:
    return config.decoding


def _run_one(config: DecodingConfig, inputs: Inputs, out: Path) -> None:
    test = TestSet(PreparedData.open(inputs["data"]), config.batch_size)
    model = trained_model(inputs["supernet"])
    systems = _scored_bundle(test, inputs["export"] / BUNDLE, model, Use(), out)
    systems[COPY] = test.scores(test.sources)
    write_json(out / SCORES, {"sentences": len(test), "systems": systems, "budget": []})


EVALUATE = Stage(
    name="evaluate",
    run=_run,
    part=_part,
    needs=("data", "supernet", "profile", "select", "distill", "export"),
    seeded=False,
    check=lambda part: check_measurable(part.profile),
)
EVALUATE_ONE = Stage(
    name="evaluate", run=_run_one, part=_part_of_one, needs=("data", "supernet", "export"), seeded=False
)
"""The same for a run of one architecture: there is neither a budget nor anything to compare with."""
