"""What `automoe scratch` and `automoe fidelity` print: JSON values, and the same as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from automoe.evaluation.fidelity import EQUAL_DEPTH, OVERALL
from automoe.evaluation.pair_statistics import ACCURACY, CLEAR_ACCURACY, KENDALL, SPEARMAN
from automoe.files import read_json
from automoe.pipeline.fidelity import STATISTICS
from automoe.pipeline.scratch import Trained, read_trained
from automoe.terminal import format_table

Folders = Mapping[str, Path]
Result = dict[str, Any]
_COLUMNS = {
    KENDALL: "Kendall tau-b",
    SPEARMAN: "Spearman",
    ACCURACY: "pairs right",
    CLEAR_ACCURACY: "clear pairs right",
}


def scratch_result(folders: Folders) -> Result:
    """The trainings."""
    trained = read_trained(folders["scratch"])
    return {"trainings": [_form(one) for one in trained]}


def _form(trained: Trained) -> Result:
    arch = trained.architecture
    depths = f"{len(arch.encoder.layers)} + {len(arch.decoder.layers)}"
    return {"digest": arch.digest, "layers": depths, "seed": trained.seed, "loss": trained.loss, "bleu": trained.bleu}


def scratch_table(made: Result) -> str:
    """One line a training."""
    rows = [
        [one["digest"], one["layers"], one["seed"], f"{one['loss']:.4f}", f"{one['bleu']:.1f}"]
        for one in made["trainings"]
    ]
    header = ["trained from scratch", "layers", "seed", "loss (nats a token)", "BLEU, greedy"]
    return f"{format_table(header, rows)}\n{made['folder']}"


def fidelity_result(folders: Folders) -> Result:
    """The statistics by what the truth is measured by."""
    return {"truths": read_json(folders["fidelity"] / STATISTICS)}


def fidelity_table(made: Result) -> str:
    """For each truth, overall and at equal depth, a line for each that orders the architectures."""
    parts = []
    for truth, found in made["truths"].items():
        noise = "" if found["noise"] is None else f", which seeds alone move by {found['noise']:.3f}"
        parts.append(
            f"{found['architectures']} sub-transformers by {truth} after {found['trainings']} trainings from scratch"
            f"{noise}; {100 * found['config']['coverage']:g} % intervals"
        )
        parts += [_scope(found["rows"], scope) for scope in (OVERALL, EQUAL_DEPTH)]
    return "\n\n".join([*parts, made["folder"]])


def _scope(rows: Sequence[Mapping[str, Any]], scope: str) -> str:
    here = {(row["candidate"], row["statistic"]): row for row in rows if row["scope"] == scope}
    statistics = [name for name in _COLUMNS if any(statistic == name for _, statistic in here)]
    header = [f"order, {scope}"]
    for name in statistics:
        counted = next(row["pairs"] for (_, statistic), row in here.items() if statistic == name)
        header.append(f"{_COLUMNS[name]} ({counted} pairs)")
    judged = CLEAR_ACCURACY if CLEAR_ACCURACY in statistics else ACCURACY
    best = next(row["best_baseline"] for (_, statistic), row in here.items() if statistic == judged)
    header.append(f"{_COLUMNS[judged]}, above {best}")
    lines = []
    for candidate in dict.fromkeys(candidate for candidate, _ in here):
        cells = [_interval(here[candidate, name], "") for name in statistics]
        lines.append([candidate, *cells, _interval(here[candidate, judged], "above_best_")])
    return format_table(header, lines)


def _interval(row: Mapping[str, Any], prefix: str) -> str:
    value, lower, upper = (row.get(f"{prefix}{name}") for name in ("value", "lower", "upper"))
    return "" if value is None else f"{value:.3f} [{lower:.3f}, {upper:.3f}]"
