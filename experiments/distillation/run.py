"""Compares the ways in which a chosen sub-transformer can go on learning, at equal updates, in one or several runs.

    automoe select run=distil-1 seed=1                    # a search for each seed; see the README for what it costs
    python experiments/distillation/run.py distil-1 distil-2 distil-3 -- teacher=trained

Everything is an `automoe distill` of the run with other settings, so what is finished is not trained again, and the
teacher of a run teaches all of them. What stands after `--` is added to each command: settings of the teacher, and
those with which the run was made if they are not the defaults. Each model is then exported and translates the test
set greedily and with beam 5. Writes NAME.csv (a line a model), NAME.md (means and spread) and NAME.json (commands,
versions, settings).
"""

from __future__ import annotations

import argparse
import math
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "runtime"))

import common

from automoe.data import PreparedData
from automoe.files import csv_text, read_json, write_atomically, write_json
from automoe.nn.model_folder import read_model
from automoe.pipeline.config import DecodingConfig
from automoe.pipeline.shipping import ship
from automoe.pipeline.systems import TestSet
from automoe.runtime import load

Row = dict[str, Any]
BEAMS = {"greedy": 1, "beam 5": 5}
METRICS = ("BLEU", "chrF")
LOSS = "valid_nll"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to go on learning."""

    name: str
    settings: tuple[str, ...]
    times: float = 1
    """Updates, as a multiple of the others'."""


SCRATCH = ("distill=references", "distill.initial=random")
INHERITED = "inherited"
WAYS = (
    Way(name="fine-tuned, no teacher", settings=("distill=references",)),
    Way(name="word", settings=("distill=word",)),
    Way(name="sequence", settings=("distill=sequence",)),
    Way(name="word and sequence", settings=("distill=word_and_sequence",)),
    Way(name="from scratch", settings=SCRATCH),
)


def ways_of(args: argparse.Namespace) -> list[Way]:
    """What is compared: `WAYS`, and trainings of other lengths."""
    longer: list[tuple[str, tuple[str, ...], float]] = [("from scratch", SCRATCH, more) for more in args.times]
    longer += [("sequence", ("distill=sequence",), more) for more in args.sequence_times]
    return [*WAYS, *(Way(name=f"{way}, {more:g} x", settings=how, times=more) for way, how, more in longer)]


def distilled(run: Path, way: Way, args: argparse.Namespace) -> Path:
    """The finished folder of one way, which is trained if it is not there."""
    seed = read_json((run / "supernet" / "current").resolve() / "manifest.json")["seed"]
    command = [
        *(sys.executable, "-m", "automoe.cli", "distill", f"run={run.name}", f"runs_dir={run.parent}"),
        *(f"seed={seed}", *way.settings, f"distill.training.max_updates={round(way.times * args.updates)}"),
        *args.settings,
    ]
    print(f"{run.name}: {way.name}", file=sys.stderr, flush=True)
    given = _made_from(run)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if _made_from(run) != given:
        sys.exit(f"{run}: other settings than the run's were given; repeat those that it was made with after --")
    return (run / "distill" / "current").resolve()


def _made_from(run: Path) -> list[Path]:
    return [(run / stage / "current").resolve() for stage in ("data", "supernet", "select")]


def row_of(run: Path, name: str, stage: Path, model: Path, work: Path) -> Row:
    """What came of one model: losses, and scores on the test set.

    Args:
        run: the run.
        name: of the way.
        stage: finished folder of the stage `distill`.
        model: the model's folder, within it.
        work: where scores are kept, by the checksum of the weights.
    """
    sizes, losses = read_json(model / "model.json"), read_json(stage / "distillation.json")
    inherited, times = model != stage, read_json(stage / "manifest.json")["times"]
    kept = work / f"{sizes['weights_sha256'][:16]}.json"
    if not kept.exists():
        write_json(kept, scores_of(model, (run / "data" / "current").resolve()))
    return {
        "run": run.name,
        "way": name,
        "updates": 0 if inherited else read_json(stage / "job.json")["training"]["max_updates"],
        "valid_nll": losses["begins_nll"] if inherited else losses["ends_nll"],
        "teacher_nll": losses["teacher_nll"],
        "seconds": None if inherited or times["resumed"] else times["wall_seconds"],
        **{name: score["value"] for name, score in read_json(kept).items()},
    }


def scores_of(model: Path, data: Path) -> dict[str, Any]:
    """BLEU and chrF of a model on the test set in the shipped runtime, greedy and with beam 5."""
    prepared = PreparedData.open(data)
    test = TestSet(prepared, batch_size=32)
    scores: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        ship(read_model(model), bundle, prepared, DecodingConfig(), {}, precisions=("float32",))
        translator = load(bundle)
        for how, beam in BEAMS.items():
            found = test.scores(translator.translate(test.sources, beam=beam, batch=32))
            scores |= {f"{metric} {how}": found[metric] for metric in METRICS}
    return scores


def table(rows: Sequence[Row]) -> str:
    """Means over the runs, and the standard deviation between them, in Markdown."""
    columns = {LOSS: 3, **{f"{metric} {how}": 1 for metric in METRICS for how in BEAMS}}
    lines = [f"| | updates | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    for way in dict.fromkeys(row["way"] for row in rows):
        found = [row for row in rows if row["way"] == way]
        cells = [_spread([row[column] for row in found], digits) for column, digits in columns.items()]
        lines.append(f"| {way} | {found[0]['updates']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def catch_up(rows: Sequence[Row], way: str, measure: str) -> float | None:
    """How many times the updates of a way from scratch needs to be as good, interpolated between its trainings.

    Args:
        rows: of one run.
        way: name of the way that is to be reached.
        measure: column that tells how good: a loss, or a score.

    Returns:
        The ratio; that of the shortest training if it is as good already; None if no training from scratch got there.
    """
    sign = -1 if measure == LOSS else 1
    aim = next(row for row in rows if row["way"] == way)
    points = sorted((row["updates"], sign * row[measure]) for row in rows if row["way"].startswith("from scratch"))
    if points and points[0][1] >= sign * aim[measure]:
        return float(points[0][0] / aim["updates"])
    for (fewer, worse), (more, better) in pairwise(points):
        if worse < sign * aim[measure] <= better:
            share = (sign * aim[measure] - worse) / (better - worse)
            return math.exp(math.log(fewer) + share * math.log(more / fewer)) / float(aim["updates"])
    return None


def _spread(values: Sequence[float], digits: int) -> str:
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{deviation}"


def caught_up(rows: Sequence[Row]) -> str:
    """`catch_up` of each way that begins with inherited weights, run by run, in Markdown."""
    runs = [[row for row in rows if row["run"] == run] for run in dict.fromkeys(row["run"] for row in rows)]
    lines = ["| from scratch needs to catch up with | by validation loss | by BLEU, beam 5 |", "|---|---|---|"]
    for way in (way.name for way in WAYS if way.settings != SCRATCH):
        cells = []
        for measure in (LOSS, "BLEU beam 5"):
            ratios = [catch_up(of_run, way, measure) for of_run in runs]
            cells.append(", ".join("not reached" if ratio is None else f"{ratio:.1f} x" for ratio in ratios))
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="runs that have selected an architecture")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--name", default="quickstart", help="of the result files (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    parser.add_argument("--updates", type=int, default=1000, help="of each way (default: %(default)s)")
    parser.add_argument(
        "--times", type=float, nargs="*", default=[], help="lengths of further trainings from scratch"
    )
    parser.add_argument("--sequence-times", type=float, nargs="*", default=[], help="the same of sequence-level ones")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains and scores what is missing, prints the comparison and writes the results."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = options()
    own, settings = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    args = parser.parse_args(own)
    args.settings = settings
    rows: list[Row] = []
    for run in (args.runs_dir / name for name in args.runs):
        if not (run / "select" / "current").is_dir():
            parser.error(f"{run} has selected no architecture; `automoe select run={run.name}` does")
        work = run / "scores"
        work.mkdir(exist_ok=True)
        for way in ways_of(args):
            stage = distilled(run, way, args)
            if way is WAYS[0]:
                rows.append(row_of(run, INHERITED, stage, stage / "inherited", work))
            rows.append(row_of(run, way.name, stage, stage, work))
    shown = f"{table(rows)}\n\n{caught_up(rows)}\n"
    print(shown)
    args.out.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out / f"{args.name}.csv", csv_text(rows, digits=5))
    write_atomically(args.out / f"{args.name}.md", shown)
    write_json(args.out / f"{args.name}.json", about(given, args, args.runs_dir / args.runs[0]))


def about(given: Sequence[str], args: argparse.Namespace, run: Path) -> Mapping[str, Any]:
    """Command, machine, versions, signatures and what was compared."""
    signatures = {name: score["signature"] for name, score in read_json(next((run / "scores").iterdir())).items()}
    return {
        "command": shlex.join(["python", "experiments/distillation/run.py", *common.shown(given)]),
        **common.machine(),
        "data": read_json((run / "data" / "current").resolve() / "data.json")["fingerprint"],
        "teacher": read_json((run / "teacher" / "current").resolve() / "teacher.json"),
        "signatures": signatures,
        "ways": {way.name: list(way.settings) for way in ways_of(args)},
    }


if __name__ == "__main__":
    main()
