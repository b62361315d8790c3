"""Stage `report`: one self-contained page about the whole run, `report.html`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from automoe.bundle import PRECISIONS
from automoe.data import PreparedData
from automoe.files import write_atomically
from automoe.latency import TABLE_FILE, read_table
from automoe.nn.model_folder import SIZES
from automoe.pipeline.config import RunConfig
from automoe.pipeline.files import (
    BOUNDS,
    EXECUTED,
    FIT,
    MEASURED,
    PREDICTOR_FILE,
    QUALITY_FIT,
    REPORT_FILE,
    SCORES,
    SELECTION,
)
from automoe.pipeline.manifest import read_manifest
from automoe.pipeline.predictor_shown import predictor_shown
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.systems import (
    COPY,
    INHERITS,
    LARGEST,
    MODEL,
    WITH_SHORTLIST,
    hypotheses_file,
    in_precision,
    sample_rows,
)
from automoe.predictor.executed_flops import LEARNT, UNIFORM
from automoe.report import (
    BudgetLine,
    ChosenModel,
    Curve,
    ExecutedFit,
    FrontPoint,
    ModelRow,
    QualityFit,
    ReportData,
    Sample,
    SearchTrace,
    render,
)
from automoe.search import (
    ARCHIVE,
    LATENCY,
    Estimate,
    Record,
    ResolvedLimit,
    in_budget_units,
    read_archive,
    shown_cost,
    used_share,
)
from automoe.space import Architecture
from automoe.training.log import read_log

NAMES = {
    MODEL: "distilled: the bundle",
    **{in_precision(precision): f"the bundle in {precision}" for precision in PRECISIONS},
    WITH_SHORTLIST: "the bundle, with shortlist",
    INHERITS: "the same, inherited weights",
    LARGEST: "largest sub-transformer",
    COPY: "copying the source",
}
"""How people read the systems."""
_SAMPLES = 6
_EXACT = "Computed exactly, not measured"


def _part(config: RunConfig) -> str:
    return config.run


def _run(name: str, inputs: Inputs, out: Path) -> None:
    write_atomically(out / REPORT_FILE, render(_data(name, inputs)))


def _data(name: str, inputs: Inputs) -> ReportData:
    prepared = PreparedData.open(inputs["data"])
    scores = json.loads((inputs["evaluate"] / SCORES).read_bytes())
    selection = json.loads((inputs["select"] / SELECTION).read_bytes())
    largest = Architecture.from_dict(json.loads((inputs["supernet"] / SIZES).read_bytes())["architecture"])
    budgets = _budget_lines(inputs, scores, largest)
    summary = prepared.summary
    return ReportData(
        title=name,
        subtitle=f"{summary.corpus}, {summary.source_lang} to {summary.target_lang}",
        points=_points(inputs, selection),
        budgets=budgets,
        chosen=ChosenModel(
            architecture=Architecture.from_dict(selection["architecture"]),
            largest=largest,
            expert_loads=scores["systems"][MODEL]["expert_loads"],
            digest=selection["digest"],
            selection_reasons=selection["reasons"],
        ),
        predictor=predictor_shown(json.loads((inputs["predictor"] / FIT).read_bytes())),
        search=_trace(inputs["search"].resolve()),
        quality=_quality(inputs["search"]),
        executed=_executed(inputs["predictor"] / EXECUTED),
        curves=[*_curves("supernet", inputs["supernet"]), *_curves("distillation", inputs["distill"])],
        models=[_model_row(system, scored) for system, scored in scores["systems"].items()],
        samples=_samples(prepared, inputs["evaluate"]),
        notes=_notes(inputs, scores, budgets),
        signature=_signature(inputs, scores),
    )


def _points(inputs: Inputs, selection: Mapping[str, Any]) -> list[FrontPoint]:
    continued = inputs["select"] / ARCHIVE
    archive = read_archive(continued if continued.exists() else inputs["search"] / ARCHIVE)
    of_select = inputs["select"] / TABLE_FILE
    table = read_table(of_select if of_select.exists() else inputs["profile"] / TABLE_FILE)
    measured = {row.digest: Estimate(*row.bounds()) for row in table.rows}
    front = {record.digest for record in archive.front([LATENCY])}
    coverage = json.loads((inputs["predictor"] / PREDICTOR_FILE).read_bytes())["coverage"]
    limits = [ResolvedLimit(**limit, coverage=coverage) for limit in selection["budget"]]
    points = []
    for record in archive.records:
        points.append(
            FrontPoint(
                digest=record.digest,
                loss=record.loss,
                bleu=record.bleu,
                latency_ms=record.costs[LATENCY].mean,
                lower_ms=record.costs[LATENCY].lower,
                upper_ms=record.costs[LATENCY].upper,
                measured_ms=measured[record.digest].mean if record.digest in measured else None,
                flops_g=record.costs["flops_g"].mean,
                params_m=record.costs["params_m"].mean,
                on_front=record.digest in front,
                chosen=record.digest == selection["digest"],
                feasible=used_share(_judged_costs(record, measured), limits) <= 1,
            )
        )
    return points


def _judged_costs(record: Record, measured: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """The costs by which `select` judges: of a measured latency the upper value as it is, whatever the quantile."""
    if record.digest not in measured:
        return dict(record.costs)
    upper = measured[record.digest].upper
    return {**record.costs, LATENCY: Estimate(upper, upper, upper)}


def _budget_lines(inputs: Inputs, scores: Mapping[str, Any], largest: Architecture) -> list[BudgetLine]:
    """The budget with `export`'s verdicts, as `evaluate` hands them on: what it measures itself decides nothing."""
    of_largest = json.loads((inputs["predictor"] / BOUNDS).read_bytes())["largest"]
    was_measured = any(row.digest == largest.digest for row in read_table(inputs["profile"] / TABLE_FILE).rows)
    lines = []
    for line in scores["budget"]:
        cost, text = line["cost"], shown_cost(line["cost"], line["max"])
        if line["max_ratio"] is not None:
            whole = shown_cost(cost, of_largest[cost])
            took = "took in the profile" if was_measured else "is predicted to take"
            of = f"the {whole} that the largest {took}" if cost == LATENCY else f"the largest's {whole}"
            text += f" ({100 * line['max_ratio']:g} % of {of})"
        lines.append(BudgetLine(cost=cost, max=line["max"], text=text, value=line["value"], kept=line["kept"]))
    return lines


def _trace(searched: Path) -> SearchTrace:
    """How the search got on, before any budget was applied."""
    archive = read_archive(searched / ARCHIVE)
    objectives = read_manifest(searched).identity.config["search"]["objectives"]
    return SearchTrace(objectives=objectives, hypervolume=archive.hypervolume(objectives).tolist())


def _quality(searched: Path) -> QualityFit | None:
    """The fit of the quality predictor, where the search says it."""
    path = searched / QUALITY_FIT
    if not path.exists():
        return None
    fit = json.loads(path.read_bytes())
    report = fit["report"]
    return QualityFit(
        name=fit["kind"],
        quality=fit["quality"],
        rows=len(report["digests"]),
        spearman=report["spearman"],
        spearman_within_depth=report["spearman_within_depth"],
    )


def _executed(path: Path) -> ExecutedFit | None:
    """The fit of executed FLOPs, where loads were recorded and the routing decides what is executed."""
    reports = json.loads(path.read_bytes())["reports"] if path.exists() else {}
    if not reports:
        return None
    learnt, uniform = reports[LEARNT], reports[UNIFORM]
    return ExecutedFit(rows=len(learnt["measured"]), error_percent=learnt["mape"], uniform_percent=uniform["mape"])


def _curves(panel: Any, folder: Path) -> list[Curve]:
    """Training and validation losses; of a supernet the validation of each architecture of its panel."""
    records = read_log(folder)
    train = [record for record in records if record["kind"] == "train"]
    valid = [record for record in records if record["kind"] == "valid"]
    curves = []
    if train:
        updates, values = [record["update"] for record in train], [record["nll_loss"] for record in train]
        curves.append(Curve(panel=panel, name="training", updates=updates, values=values, kind="train"))
    members = list(valid[-1].get("panel", {})) if valid else []
    for member in members or ["validation"]:
        seen = [record for record in valid if not members or member in record["panel"]]
        values = [record["panel"][member] if members else record["nll_loss"] for record in seen]
        updates = [record["update"] for record in seen]
        if seen:
            curves.append(Curve(panel=panel, name=member, updates=updates, values=values, kind="valid"))
    return curves


def _model_row(system: str, scored: Mapping[str, Any]) -> ModelRow:
    costs, latency = scored.get("costs"), scored.get("latency", {})
    return ModelRow(
        name=NAMES[system],
        bleu=scored["BLEU"]["value"],
        chrf=scored["chrF"]["value"],
        latency_ms=latency.get("ms"),
        latency_low=latency.get("low_ms"),
        latency_high=latency.get("high_ms"),
        flops_g=None if costs is None else in_budget_units(costs)["flops_g"],
        params_total_m=None if costs is None else costs["params_total"] / 1e6,
        params_active_m=None if costs is None else costs["params_active"] / 1e6,
        params_reachable_m=None if costs is None else costs["params_reachable"] / 1e6,
        role="chosen" if system == MODEL else "largest" if system == LARGEST else "other",
    )


def _samples(prepared: PreparedData, evaluated: Path) -> list[Sample]:
    sources, references = prepared.text("test", "src"), prepared.text("test", "tgt")
    translations = {
        NAMES[system]: (evaluated / hypotheses_file(system)).read_text(encoding="utf-8").split("\n")
        for system in (MODEL, INHERITS, LARGEST)
    }
    return [
        Sample(
            source=sources[row],
            reference=references[row],
            translations={name: lines[row] for name, lines in translations.items()},
        )
        for row in sample_rows(len(sources), _SAMPLES)
    ]


def _notes(inputs: Inputs, scores: Mapping[str, Any], budgets: Sequence[BudgetLine]) -> list[str]:
    latency = json.loads((inputs["export"] / MEASURED).read_bytes())["latency"]
    of_export = latency["machine"]["processor"]
    notes = []
    for line in budgets:
        how = f"Measured by export after its training, on {of_export}" if line.cost == LATENCY else _EXACT
        verdict = "keeps" if line.kept else "breaks"
        taken = shown_cost(line.cost, line.value)
        notes.append(f"{how}, the bundle takes {taken}: it {verdict} the budget of {line.text}.")
    here, of_table = _machines(inputs)
    if here["processor"] != of_table:
        notes.append(
            f"The table of latencies was measured on another machine ({of_table}) than the models here "
            f"({here['processor']}): all latencies are scaled to the machine of the table."
        )
    errors = scores["systems"][MODEL]["placeholders"]
    if errors is not None:
        notes.append(
            f"Placeholders of the test set: {errors['expected']} expected, {errors['lost']} lost, "
            f"{errors['invented']} invented."
        )
    return notes


def _machines(inputs: Inputs) -> tuple[dict[str, Any], str]:
    """The machine on which `evaluate` measured, and the processor that the table was measured on."""
    of_table = read_table(inputs["profile"] / TABLE_FILE).header.machine["processor"]
    return read_manifest(inputs["evaluate"].resolve()).machine, of_table


def _signature(inputs: Inputs, scores: Mapping[str, Any]) -> dict[str, str]:
    manifest = read_manifest(inputs["evaluate"].resolve())
    training = read_manifest(inputs["supernet"].resolve())
    here, of_table = _machines(inputs)
    signature = {name: inputs[name].resolve().name for name in inputs.folders}
    signature["seed"] = str(training.identity.seed)
    signature["versions"] = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    signature["machine"] = f"{here['processor']}, {here['cores']} cores"
    signature["machine of the table"] = of_table
    table = read_table(inputs["profile"] / TABLE_FILE).header
    signature["latency"] = (
        f"milliseconds per sentence, one at a time: {table.device}, {table.backend} in {table.precision}, "
        f"beam {table.beam}, median of {table.repeats} passes"
    )
    for metric in ("BLEU", "chrF"):
        signature[metric] = scores["systems"][MODEL][metric]["signature"]
    return signature


REPORT = Stage(
    name="report",
    run=_run,
    part=_part,
    needs=("data", "supernet", "profile", "predictor", "search", "select", "distill", "export", "evaluate"),
    seeded=False,
    version=2,
)
