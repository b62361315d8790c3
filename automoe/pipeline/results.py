"""What each run command prints of the finished stages: JSON values, and the same as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

from automoe.data import PreparedData
from automoe.files import read_json
from automoe.latency import TABLE_FILE, read_table
from automoe.pipeline.export import BUNDLE
from automoe.pipeline.fidelity_shown import fidelity_result, fidelity_table, scratch_result, scratch_table
from automoe.pipeline.files import BOUNDS, EXECUTED, FIT, MEASURED, PREDICTOR_FILE, REPORT_FILE, SCORES, SELECTION
from automoe.pipeline.report import NAMES
from automoe.pipeline.systems import LARGEST, MODEL, hypotheses_file, sample_rows
from automoe.pipeline.teacher_shown import teacher_result, teacher_table
from automoe.predictor.executed_flops import LEARNT, UNIFORM
from automoe.search import ARCHIVE, LATENCY, read_archive, shown_cost
from automoe.space import Architecture, architecture_table
from automoe.terminal import format_table
from automoe.training.log import read_log

Folders = Mapping[str, Path]
Result = dict[str, Any]
"""What a command made, as JSON values."""
_SAMPLES = 3


def _data(folders: Folders) -> Result:
    return asdict(PreparedData.open(folders["data"]).summary)


def _data_table(made: Result) -> str:
    return f"{PreparedData.open(Path(made['folder'])).summary}\n{made['folder']}"


def _training(stage: str) -> Callable[[Folders], Result]:
    def result(folders: Folders) -> Result:
        return {"validations": [record for record in read_log(folders[stage]) if record["kind"] == "valid"]}

    return result


def _training_table(made: Result) -> str:
    validations = made["validations"]
    members = list(validations[-1].get("panel", {})) if validations else []
    rows = [
        [record["update"], f"{record['nll_loss']:.4f}", *(f"{record['panel'][member]:.4f}" for member in members)]
        for record in validations
    ]
    header = ["update", "validation loss (nats a token)", *members]
    if validations and all("routers" in record for record in validations):
        header += ["loads' CV, mean", "entropy, least"]
        for row, record in zip(rows, validations, strict=True):
            reports = record["routers"].values()
            row += [f"{mean(report['cv'] for report in reports):.2f}",
                    f"{min(report['entropy'] for report in reports):.2f}"]  # fmt: skip
    return f"{format_table(header, rows)}\n{made['folder']}"


def _profile(folders: Folders) -> Result:
    table = read_table(folders["profile"] / TABLE_FILE)
    derived = ("decoder_ms", "drift", "drifted")
    rows = [row.to_dict() | {name: getattr(row, name) for name in derived} for row in table.rows]
    return {"header": table.header.to_dict(), "rows": rows}


def _profile_table(made: Result) -> str:
    rows = []
    for row in made["rows"]:
        arch = Architecture.from_dict(row["architecture"])
        depths = f"{len(arch.encoder.layers)} + {len(arch.decoder.layers)}"
        known = "" if row["spread"] is None else f"{100 * row['spread']:.1f} %"
        drift = f"{100 * (row['drift'] - 1):+.0f} %{' drifted' if row['drifted'] else ''}"
        rows.append([row["digest"], depths, f"{row['latency_ms']:.2f}", known, f"{row['encoder_ms']:.2f}",
                     row["repeats"], drift])  # fmt: skip
    header = ["sub-transformer", "layers", "ms a sentence", "+-", "encoder", "passes", "machine slower by"]
    return f"{format_table(header, rows)}\n{made['folder']}"


def _predictor(folders: Folders) -> Result:
    folder = folders["predictor"]
    bounds = read_json(folder / BOUNDS) if (folder / BOUNDS).exists() else {}
    executed = read_json(folder / EXECUTED)["reports"] if (folder / EXECUTED).exists() else {}
    figures = sorted(path.name for path in folder.glob("*.svg"))
    return {**read_json(folder / FIT), **bounds, "executed": executed, **({"figures": figures} if figures else {})}


def _predictor_table(made: Result) -> str:
    rows = []
    for kind, report in made["reports"].items():
        within = report["spearman_within_depth"]
        chosen = f" (chose {made['chosen']})" if kind != made["chosen"] and kind == made["kind"] else ""
        rows.append([f"{kind}{chosen}", f"{report['rmse']:.2f} ms", f"{report['mape']:.1f} %",
                     f"{report['spearman']:.3f}", f"{report['kendall']:.3f}",
                     "-" if within is None else f"{within:.3f}", f"{100 * report['coverage']:.0f} %"])  # fmt: skip
    header = ["cross-validated", "RMSE", "MAPE", "Spearman", "Kendall", "at equal decoder depth",
              f"in the {100 * made['coverage']:g} % interval"]  # fmt: skip
    based = "" if made["base"] is None else f", and from what {made['base']} knows of another device"
    parts = [f"learnt from {made['rows']:,} rows of {made['table']}{based}\n{format_table(header, rows)}"]
    parts += [*_noise_and_curve(made), *_executed(made), *(f"warning: {warning}" for warning in made["warnings"])]
    if "minima" in made:
        bounds = [[cost, shown_cost(cost, made["minima"][cost][0]), shown_cost(cost, made["largest"][cost])]
                  for cost in made["minima"]]  # fmt: skip
        parts.append(f"\n{format_table(['cost', 'least possible', 'largest'], bounds)}")
    drawn = f" ({', '.join(made['figures'])})" if "figures" in made else ""
    return "\n".join([*parts, f"{made['folder']}{drawn}"])


def _noise_and_curve(made: Result) -> list[str]:
    """What the table itself is known to, and what fewer rows would have taught."""
    lines = []
    if made["noise_percent"] is not None:
        lines.append(
            f"half of the rows are themselves known to {made['noise_percent']:.1f} % or better (90 % interval)"
        )
    if made["learning_curve"]:
        errors = [f"{point['mape']:.1f} % from {point['rows']:,}" for point in made["learning_curve"]]
        lines.append(f"MAPE by rows learnt from: {', '.join(errors)}")
    return lines


def _executed(made: Result) -> list[str]:
    """How well the FLOPs that experts execute under trained routing are known, where that depends on the routing."""
    if not made["executed"]:
        return []
    learnt, uniform = made["executed"][LEARNT], made["executed"][UNIFORM]
    return [
        f"FLOPs that experts execute: MAPE {learnt['mape']:.1f} % learnt from the recorded loads of "
        f"{len(learnt['measured'])} architectures ({100 * learnt['coverage']:.0f} % in the interval), "
        f"{uniform['mape']:.1f} % at uniform load"
    ]


def _search(folders: Folders) -> Result:
    archive = read_archive(folders["search"] / ARCHIVE)
    coverage = read_json(folders["predictor"] / PREDICTOR_FILE)["coverage"]
    front = [record.to_dict() for record in archive.front([LATENCY])]
    return {"evaluated": len(archive), "coverage": coverage, "front": front}


def _search_table(made: Result) -> str:
    rows = []
    for record in made["front"]:
        mean, lower, upper = record["costs"][LATENCY]
        flops, params = record["costs"]["flops_g"][0], record["costs"]["params_m"][0]
        rows.append([record["digest"], f"{record['loss']:.4f}", f"{mean:.2f}", f"{lower:.2f} to {upper:.2f}",
                     f"{flops:.4f}", f"{params:.3f}"])  # fmt: skip
    interval = f"{100 * made['coverage']:g} % interval"
    header = ["on the front", "loss", "ms a sentence", interval, "GFLOPs", "M parameters"]
    return f"{made['evaluated']} sub-transformers evaluated\n{format_table(header, rows)}\n{made['folder']}"


def _select(folders: Folders) -> Result:
    selection: Result = read_json(folders["select"] / SELECTION)
    return selection


def _select_table(made: Result) -> str:
    table = architecture_table(Architecture.from_dict(made["architecture"]))
    return "\n".join([*made["reasons"], "", table, made["folder"]])


def _export(folders: Folders) -> Result:
    return {**read_json(folders["export"] / MEASURED), **_bundle(folders)}


def _export_table(made: Result) -> str:
    system, latency = made["system"], made.get("latency")
    time = "" if latency is None else f", {latency['ms']:.2f} ms a sentence"
    quality = ", ".join(f"{system[metric]['value']:.1f} {metric}" for metric in ("BLEU", "chrF"))
    lines = [f"on {made['sentences']} sentences of the test set: {quality}{time}"]
    lines += [_budget_line(limit) for limit in made.get("budget", ())]
    return "\n".join([*lines, _bundle_lines(made)])


def _bundle(folders: Folders) -> Result:
    return {"bundle": str(folders["export"] / BUNDLE)}


def _bundle_lines(made: Result) -> str:
    return f'The bundle: {made["bundle"]}\nTry it: echo "Turn on the light" | automoe translate {made["bundle"]}'


def _budget_line(limit: Mapping[str, Any]) -> str:
    """A limit, and what the bundle takes of it."""
    kept = "kept" if limit["kept"] else "BROKEN"
    given = "" if limit["max_ratio"] is None else f", {100 * limit['max_ratio']:g} % of the largest"
    value, most = shown_cost(limit["cost"], limit["value"]), shown_cost(limit["cost"], limit["max"])
    again = f" (measured again: {shown_cost(limit['cost'], limit['again'])})" if "again" in limit else ""
    return f"budget {limit['cost']}: {kept}, {value} of {most}{given}{again}"


def _evaluate(folders: Folders) -> Result:
    scores: Result = read_json(folders["evaluate"] / SCORES)
    return scores


def _evaluate_table(made: Result) -> str:
    searched = LARGEST in made["systems"]
    rows = []
    for system, scored in made["systems"].items():
        name = NAMES[system] if searched else {MODEL: "this model"}.get(system, NAMES[system])
        costs, latency = scored.get("costs"), scored.get("latency")
        sizes = ["", "", ""] if costs is None else [
            f"{costs['flops'] / 1e6:.1f}", f"{costs['params_total'] / 1e6:.2f}",
            f"{costs['params_reachable'] / 1e6:.2f}",
        ]  # fmt: skip
        time = "" if latency is None else f"{latency['ms']:.2f}"
        rows.append([name, *(f"{scored[metric]['value']:.1f}" for metric in ("BLEU", "chrF")), time, *sizes])
    header = [f"test set, {made['sentences']} sentences", "BLEU", "chrF", "ms", "MFLOPs", "M params", "reached"]
    model = made["systems"][MODEL]
    lines = [format_table(header, rows), ""]
    lines += [f"{metric}: {model[metric]['signature']}" for metric in ("BLEU", "chrF")]
    lines += [_budget_line(limit) for limit in made["budget"]]
    if (errors := model["placeholders"]) is not None:
        counts = ", ".join(f"{errors[kind]} {kind}" for kind in ("expected", "lost", "invented"))
        lines.append(f"placeholders: {counts}")
    for layer, loads in model["expert_loads"].items():
        unused = f" ({loads.count(0)} of {len(loads)} unused)" if 0 in loads else ""
        lines.append(f"test tokens of each expert, {layer}: {', '.join(map(str, loads))}{unused}")
    if not model["expert_loads"]:
        lines.append("no layer of this model has more than one expert")
    return "\n".join(lines)


def _report(folders: Folders) -> Result:
    return {"report": str(folders["report"] / REPORT_FILE)}


def _report_table(made: Result) -> str:
    return f"The report: {made['report']}"


def _run(folders: Folders) -> Result:
    prepared = PreparedData.open(folders["data"])
    sources, references = prepared.text("test", "src"), prepared.text("test", "tgt")
    hypotheses = (folders["evaluate"] / hypotheses_file(MODEL)).read_text(encoding="utf-8").split("\n")
    samples = [
        {"source": sources[row], "translation": hypotheses[row], "reference": references[row]}
        for row in sample_rows(len(sources), _SAMPLES)
    ]
    chosen = {"selection": _select(folders)} if "select" in folders else {}
    report = _report(folders) if "report" in folders else {}
    return {**chosen, **_evaluate(folders), "samples": samples, **_bundle(folders), **report}


def _run_table(made: Result) -> str:
    samples = ["\n".join(f"{kind:<13}{text}" for kind, text in sample.items()) for sample in made["samples"]]
    chosen = []
    if "selection" in made:
        chosen = [architecture_table(Architecture.from_dict(made["selection"]["architecture"]))]
    end = [_bundle_lines(made) + (f"\n{_report_table(made)}" if "report" in made else "")]
    return "\n\n".join([*chosen, _evaluate_table(made), *samples, *end])


COMMANDS: dict[str, tuple[Callable[[Folders], Result], Callable[[Result], str]]] = {
    "run": (_run, _run_table),
    "data": (_data, _data_table),
    "supernet": (_training("supernet"), _training_table),
    "profile": (_profile, _profile_table),
    "predictor": (_predictor, _predictor_table),
    "search": (_search, _search_table),
    "select": (_select, _select_table),
    "teacher": (teacher_result, teacher_table),
    "distill": (_training("distill"), _training_table),
    "export": (_export, _export_table),
    "evaluate": (_evaluate, _evaluate_table),
    "report": (_report, _report_table),
    "scratch": (scratch_result, scratch_table),
    "fidelity": (fidelity_result, fidelity_table),
}
"""For each command: what it made, and how that is shown."""
