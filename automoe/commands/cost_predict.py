"""`automoe cost --predictor`: the latency and the executed FLOPs that a finished run predicts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from automoe.pipeline.files import EXECUTED, PREDICTOR_FILE
from automoe.pipeline.predictor_file import find_predictor, read_fitted
from automoe.predictor import predictor_from_dict
from automoe.predictor.executed_flops import ExecutedFlops
from automoe.predictor.executed_report import executed_row
from automoe.space import Architecture

_KEY = "--predictor"
_WHAT = f"Give a run folder, such as runs/quickstart, or a {PREDICTOR_FILE}"
_SHOWN = 6
"""Sizes that a warning names."""


def predict(arch: Architecture, run_or_file: Path) -> dict[str, Any]:
    """Predicts the latency of an architecture; warns on stderr where that is a guess beyond what was measured.

    Args:
        arch: the architecture.
        run_or_file: a run folder, whose predictor in use is taken, or a `predictor.json`.

    Returns:
        JSON: latency in milliseconds per sentence and its interval; `outside`, the sizes in which the architecture
        lies outside what the predictor has seen; `executed_flops` of a pass under trained routing with a note, null
        where no loads were recorded.

    Raises:
        AutoMoEError: there is no predictor, or one that this AutoMoE cannot read.
    """
    file = find_predictor(run_or_file, _KEY, _WHAT)
    predictor = read_fitted(file, predictor_from_dict, _KEY)
    prediction, (outside,) = predictor.predict([arch]), predictor.outside([arch])
    if outside:
        more = len(outside) - _SHOWN
        sizes = ", ".join(outside[:_SHOWN]) + (f" and {more} more (--json names all)" if more > 0 else "")
        print(
            f"automoe: warning: {file}: the architecture lies outside what the predictor has seen, in {sizes}: "
            "neither the prediction nor its interval can be relied on",
            file=sys.stderr,
        )
    return {
        "predictor": str(file),
        "kind": predictor.chosen,
        "coverage": predictor.coverage,
        "latency_ms": float(prediction.mean_N[0]),
        "lower_ms": float(prediction.lower_N[0]),
        "upper_ms": float(prediction.upper_N[0]),
        "outside": list(outside),
        "executed_flops": _executed(arch, file.parent / EXECUTED),
    }


def predicted_lines(found: dict[str, Any]) -> list[str]:
    """What `predict` found, for people."""
    between = f"{100 * found['coverage']:g} % interval {found['lower_ms']:.2f} to {found['upper_ms']:.2f} ms"
    warning = ", outside of what was measured" if found["outside"] else ""
    lines = [
        f"latency per sentence as {found['predictor']} predicts it",
        f"{'predicted':<24}{found['latency_ms']:>15.2f} ms{'':<12}{between}{warning}",
    ]
    if executed := found["executed_flops"]:
        lines.append(f"{'FLOPs executed':<24}{executed['value']:>18,}{'':<12}{executed['note']}")
    return lines


def _executed(arch: Architecture, file: Path) -> dict[str, Any] | None:
    if not file.is_file():  # a predictor.json by itself, or a table that was measured with even routing
        return None
    executed = read_fitted(file, lambda form: ExecutedFlops.from_dict(form["predictor"]), _KEY)
    _, value, note = executed_row(executed, arch)
    return {"value": value, "note": note}
