"""What the benchmarks share: their options, the specifications of engines, statistics and result files."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers import ONE_THREAD, Spec

from automoe.machine import describe_machine

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
MACHINE = describe_machine()
"""Found at once: later this process is kept on one core, and would count no other."""
CTRANSLATE2_SETTINGS = {
    "": {},
    " packed": {"CT2_USE_EXPERIMENTAL_PACKED_GEMM": "1"},
    " packed avx512": {"CT2_USE_EXPERIMENTAL_PACKED_GEMM": "1", "CT2_FORCE_CPU_ISA": "AVX512"},
}
"""CTranslate2's own settings: which is the fastest differs from machine to machine. Its default on AMD is AVX2."""
_PACKAGES = ("numpy", "onnxruntime", "ctranslate2", "torch", "ve-fairseq", "scikit-learn", "sentencepiece")


def options(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """The options of every benchmark; `--quick` is for trying them out."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"), help="folder for models and logs")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for the tables")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="processor to use")
    parser.add_argument("--rounds", type=int, default=defaults.get("rounds", 10), help="turns of each engine")
    parser.add_argument("--seconds", type=float, default=defaults.get("seconds", 0.4), help="length of a turn")
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Reads the command line, and keeps this process on the one core."""
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds = 2, 0.02
    os.sched_setaffinity(0, {args.core})
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    return args


def shown(words: Sequence[str]) -> list[str]:
    """Words of a command as results tell them: of an absolute path, which says nothing elsewhere, the last part."""
    return [re.sub(r"(?<![^=,{[:])/\S*/(?=\S)", "", word) for word in words]


def make_models(names: Sequence[str], work: Path) -> None:
    """Makes models anew, in a process of its own (see `models.py`)."""
    command = [sys.executable, str(HERE / "models.py"), str(work), *names]
    subprocess.run(command, check=True, env=os.environ | ONE_THREAD)


def make_trained(run: Path, work: Path) -> None:
    """Takes trained models out of a finished run, in a process of its own (see `trained.py`)."""
    command = [sys.executable, str(HERE / "trained.py"), str(work), str(run)]
    subprocess.run(command, check=True, env=os.environ | ONE_THREAD)


def automoe(folder: Path, precision: str, label: str | None = None, **more: Any) -> Spec:
    """Our runtime on a model."""
    label = label or f"automoe {precision}"
    return Spec(label=label, engine="automoe", options={"folder": str(folder), "precision": precision, **more})


def ctranslate2(folder: Path, precision: str) -> list[Spec]:
    """CTranslate2 on a model, in each of the settings of which the fastest one counts."""
    wanted = {"folder": str(folder), "precision": precision}
    has_avx512 = "avx512f" in MACHINE["isa"]
    return [
        Spec(label=f"ctranslate2 {precision}{name}", engine="ctranslate2", options=wanted, environment=environment)
        for name, environment in CTRANSLATE2_SETTINGS.items()
        if has_avx512 or "avx512" not in name
    ]


def quartiles(values: Sequence[float] | pd.Series) -> dict[str, float]:
    """Median and quartiles."""
    import numpy as np

    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": float(middle), "q1": float(low), "q3": float(high)}


def best_ctranslate2(times: pd.DataFrame, precision: str) -> str:
    """The column of CTranslate2's fastest setting."""
    return str(times.filter(like=f"ctranslate2 {precision}").median().idxmin())


def times_rows(times: pd.DataFrame, unit: str, **more: Any) -> list[dict[str, Any]]:
    """A row for each column: its median and quartiles over the rounds."""
    return [{**more, "what": name, "unit": unit, **quartiles(times[name])} for name in times]


def ratio_row(times: pd.DataFrame, above: str, below: str, goal: str = "", **more: Any) -> dict[str, Any]:
    """How many times as long `above` takes as `below`, round by round."""
    return {**more, "what": f"{above} / {below}", "unit": "x", **quartiles(times[above] / times[below]), "goal": goal}


def save(
    rows: Sequence[Mapping[str, Any]], name: str, args: argparse.Namespace, *, pivot: Sequence[str] = ()
) -> None:
    """Writes a table as NAME.csv, and NAME.json about the machine and when; prints it.

    Args:
        rows: of the table.
        name: of the files.
        args: the options.
        pivot: columns to print medians by, a line for each of their values and a column for each `what`.
    """
    about = {"core_used": args.core, "rounds": args.rounds, "seconds_a_block": args.seconds, "quick": args.quick}
    write_table(rows, name, args.out, pivot=pivot, **about)


def write_table(
    rows: Sequence[Mapping[str, Any]], name: str, out: Path, *, pivot: Sequence[str] = (), **about: Any
) -> None:
    """Writes a table as NAME.csv to the folder `out`, and NAME.json with what it is `about`; prints it.

    The JSON also holds the command, and the machine with its versions; for `pivot` see `save`.
    """
    import pandas as pd

    table = pd.DataFrame(rows)
    shown = table.pivot_table("median", [*pivot], "what", sort=False).reset_index() if pivot else table.copy()
    for column in shown.select_dtypes("number"):
        shown[column] = [_short(value) for value in shown[column]]
    print(f"\n{name}\n{shown.fillna('').to_string(index=False)}\n", flush=True)
    for column in table.select_dtypes("float"):
        table[column] = [None if pd.isna(value) else float(f"{value:.4g}") for value in table[column]]
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / f"{name}.csv", index=False)
    command = shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])
    form = {"command": command, **machine(), **about}
    (out / f"{name}.json").write_text(json.dumps(form, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """What is measured on, its load and versions, and the date."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **MACHINE,
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {package: found for package in ("automoe", *_PACKAGES) if (found := _version(package))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # not every benchmark needs every package
        return None


def _short(value: float) -> str:
    if value != value:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
