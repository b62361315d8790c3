"""Stage `evaluate`: the bundle beside what it is compared with, on the test set and by the clock.

It holds `scores.json` (quality with signatures, costs, expert loads and latency of each system, and the budget that
the bundle was held against) and `hypotheses.*.txt`, one translation a line. `export` has scored the bundle as it was
measured (backend, precision); here it is scored in each other precision that it holds and with its shortlist, and
measured once more, side by side with the others.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automoe.bundle import read_bundle
from automoe.data import PreparedData
from automoe.files import read_json, write_atomically, write_json
from automoe.latency import TABLE_FILE, ProfileConfig, read_table
from automoe.nn import Transformer
from automoe.pipeline.config import DecodingConfig, RunConfig
from automoe.pipeline.export import BUNDLE, profiled_use, stepper_of
from automoe.pipeline.files import INHERITED, MEASURED, SCORES
from automoe.pipeline.measuring import Bench, check_measurable
from automoe.pipeline.shipping import ship
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.pipeline.systems import COPY, INHERITS, LARGEST, MODEL, TestSet, Use, hypotheses_file, other_uses
from automoe.runtime.backend import graphs_for
from automoe.search import LATENCY
from automoe.space import Architecture

_SCRATCH = "systems.partial"


@dataclass(frozen=True, kw_only=True)
class EvaluatePart:
    """What the evaluation depends on beside the bundle and what it is compared with."""

    decoding: DecodingConfig
    space: SpacePart
    profile: ProfileConfig


def _part(config: RunConfig) -> EvaluatePart:
    return EvaluatePart(decoding=config.decoding, space=searched_part(config), profile=config.profile)


def _run(part: EvaluatePart, inputs: Inputs, out: Path) -> None:
    prepared = PreparedData.open(inputs["data"])
    test = TestSet(prepared, part.decoding.batch_size)
    supernet = trained_model(inputs["supernet"])
    models = {
        MODEL: trained_model(inputs["distill"]),
        INHERITS: trained_model(inputs["distill"] / INHERITED),
        LARGEST: supernet,
    }
    own = profiled_use(part.profile)
    measured = read_json(inputs["export"] / MEASURED)
    systems = _scored_bundle(test, inputs["export"], measured["system"], own, out)
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
    again = systems[MODEL]["latency"]["ms"]
    budget = [line | ({"again": again} if line["cost"] == LATENCY else {}) for line in measured["budget"]]
    write_json(out / SCORES, {"sentences": len(test), "systems": systems, "budget": budget})


def _scored_bundle(
    test: TestSet, exported: Path, system: Mapping[str, Any], own: Use, out: Path
) -> dict[str, dict[str, Any]]:
    """The bundle as a system of its own for each way to run it; `own`, the first, was scored by `export`."""
    name = hypotheses_file(MODEL)
    write_atomically(out / name, (exported / name).read_bytes())
    scored = {MODEL: dict(system)}
    for name, use in other_uses(read_bundle(exported / BUNDLE), own).items():
        scored[name] = test.score_bundle(name, exported / BUNDLE, use, out / hypotheses_file(name))
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
        if use.device == own.device:
            rows[name] = profiler.measure(chosen, stepper=stepper_of(bundle, use, part.profile.threads))
    return {name: dict(zip(("ms", "low_ms", "high_ms"), row.bounds(), strict=True)) for name, row in rows.items()}


def _part_of_one(config: RunConfig) -> DecodingConfig:
    return config.decoding


def _run_one(config: DecodingConfig, inputs: Inputs, out: Path) -> None:
    test = TestSet(PreparedData.open(inputs["data"]), config.batch_size)
    system = read_json(inputs["export"] / MEASURED)["system"]
    systems = _scored_bundle(test, inputs["export"], system, Use(), out)
    systems[COPY] = test.scores(test.sources)
    write_json(out / SCORES, {"sentences": len(test), "systems": systems, "budget": []})


EVALUATE = Stage(
    name="evaluate",
    run=_run,
    part=_part,
    needs=("data", "supernet", "profile", "distill", "export"),
    seeded=False,
    version=2,
    check=lambda part: check_measurable(part.profile),
)
EVALUATE_ONE = Stage(
    name="evaluate", run=_run_one, part=_part_of_one, needs=("data", "export"), seeded=False, version=2
)
"""The same for a run of one architecture: there is neither a budget nor anything to compare with."""
