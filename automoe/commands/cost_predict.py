"""`automoe cost --predictor`: the latency and the executed FLOPs that a finished run predicts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from automoe.errors import AutoMoEError, RunError
from automoe.files import read_json
from automoe.pipeline.files import EXECUTED, PREDICTOR_FILE
from automoe.pipeline.run_folder import RunFolder
from automoe.predictor import CalibratedPredictor, predictor_from_dict
from automoe.predictor.executed_flops import ExecutedFlops
from automoe.predictor.executed_report import executed_row
from automoe.space import Architecture

Fitted = TypeVar("Fitted")
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
    file = _find(run_or_file)
    predictor: CalibratedPredictor = _readable(file, predictor_from_dict)
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
    _, value, note = executed_row(_readable(file, lambda form: ExecutedFlops.from_dict(form["predictor"])), arch)
    return {"value": value, "note": note}


def _find(run_or_file: Path) -> Path:
    if run_or_file.is_file():
        return run_or_file
    if not run_or_file.is_dir():
        raise AutoMoEError(
            "there is no such file or folder",
            file=run_or_file,
            key="--predictor",
            hint=f"Give a run folder, such as runs/quickstart, or a {PREDICTOR_FILE}",
        )
    run = RunFolder(run_or_file)
    run.check()
    current = run.current("predictor")
    file = None if current is None else run.result("predictor", current) / PREDICTOR_FILE
    if file is None or not file.is_file():
        hint = f"`automoe predictor run={run_or_file.name}` makes one"
        raise RunError("the run has no predictor yet", file=run_or_file, hint=hint)
    return file


def _readable(file: Path, read: Callable[[Any], Fitted]) -> Fitted:
    try:
        return read(read_json(file))
    except AutoMoEError as error:
        raise AutoMoEError(**error.fields() | {"file": file}) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AutoMoEError(
            f"is no predictor that this AutoMoE can read ({type(error).__name__}: {error})",
            file=file,
            key="--predictor",
            hint="Fit it again: `automoe predictor run=NAME`",
        ) from error
