"""Trains a Switch Transformer and a dense Transformer of the same FLOPs, several seeds each, and compares them.

    automoe data                                              # the corpus of the quickstart
    python experiments/switch/run.py                          # see the README for how long it takes

Four configurations: dense and Switch in float32; Switch in bfloat16, its routers in float32 ("selective precision")
or in bfloat16 too. Interrupted, it goes on where it was; what is finished is not trained again. Writes `final.csv`
(a line a training), `curves.csv` (losses by update and processor time), `loads.csv` (how evenly experts are used),
`switch.svg` and `switch.json` (command, versions, settings).
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "runtime"))

import common
from figure import figure
from stopwatch import Stopwatch, read_times

from automoe.cost import costs
from automoe.data import PreparedData
from automoe.files import csv_text, read_json, write_atomically, write_json
from automoe.nn import TransformerConfig
from automoe.resources import resource_folder
from automoe.space import Architecture, find_architecture, read_architecture
from automoe.training.config import TrainingConfig
from automoe.training.log import read_log
from automoe.training.train import TrainingJob, train

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One way to train."""

    architecture: str
    """Name of an architecture that comes with AutoMoE."""
    model: str
    """Option of the group `model` in conf/."""
    precision: str = "float32"
    router_precision: str = "float32"


DENSE = "dense"
CONFIGURATIONS = {
    DENSE: Configuration(architecture="dense_small", model="pre_norm"),
    "Switch": Configuration(architecture="switch_small", model="switch"),
    "Switch, bfloat16": Configuration(architecture="switch_small", model="switch", precision="bfloat16"),
    "Switch, bfloat16 routers too": Configuration(
        architecture="switch_small", model="switch", precision="bfloat16", router_precision="model"
    ),
}


def job_of(configuration: Configuration, seed: int, args: argparse.Namespace) -> TrainingJob:
    """The training of a configuration."""
    model = yaml.safe_load((resource_folder("conf") / "model" / f"{configuration.model}.yaml").read_text())
    model["router_precision"] = configuration.router_precision
    return TrainingJob(
        data=args.data,
        architecture=architecture_of(configuration),
        model=TransformerConfig(vocab_size=vocabulary_of(args.data), **model),
        training=TrainingConfig(
            max_updates=args.updates,
            max_tokens=args.max_tokens,
            warmup_updates=max(1, min(200, args.updates // 3)),
            validate_every=min(100, args.updates),
            precision=configuration.precision,
            threads=1,
        ),
        seed=seed,
    )


def architecture_of(configuration: Configuration) -> Architecture:
    """What a configuration trains."""
    return read_architecture(find_architecture(configuration.architecture))


def vocabulary_of(data: Path) -> int:
    """Number of tokens of a prepared corpus."""
    return PreparedData.open(data).summary.vocab_size


def curve_rows(records: Sequence[Mapping[str, Any]], seconds: Mapping[int, float]) -> list[Row]:
    """A row for each loss that a training has logged; a training loss is that of one batch."""
    return [
        {
            "split": record["kind"],
            "update": record["update"],
            "seconds": seconds.get(record["update"]),
            "nll_loss": record["nll_loss"],
            "balance_loss": record.get("balance_loss"),
            "z_loss": record.get("z_loss"),
        }
        for record in records
    ]


def load_rows(records: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row for each expert layer in each record. Only in training (one batch) can anything be dropped."""
    return [
        {
            "split": record["kind"],
            "update": record["update"],
            "layer": layer,
            "cv": report["cv"],
            "entropy": report["entropy"],
            "dropped": report["dropped"],
            "smallest_share": min(report["loads"]),
            "largest_share": max(report["loads"]),
        }
        for record in records
        for layer, report in record.get("routers", {}).items()
    ]


def final_row(folder: Path, curves: Sequence[Row], loads: Sequence[Row]) -> Row:
    """What came of a training: its best validation, what it took, and how its experts were used at the end."""
    best = read_json(folder / "model.json")
    last = max(row["update"] for row in curves)
    spent = max(row["seconds"] for row in curves if row["seconds"] is not None)
    at_end = [row for row in loads if row["update"] == last and row["split"] == "valid"]
    dropped = [row["dropped"] for row in loads if row["split"] == "train" and 2 * row["update"] > last]
    return {
        "updates": last,
        "valid_nll": best["valid_nll"],
        "best_update": best["update"],
        "seconds": spent,
        "ms_an_update": 1000 * spent / last,
        "mean_cv": fmean(row["cv"] for row in at_end) if at_end else None,
        "mean_entropy": fmean(row["entropy"] for row in at_end) if at_end else None,
        "smallest_share": min((row["smallest_share"] for row in at_end), default=None),
        "dropped_second_half": fmean(dropped) if dropped else None,
    }


def table(finals: Sequence[Row]) -> str:
    """The comparison in Markdown: means over the seeds, and the difference to dense, paired by seed."""
    dense = {row["seed"]: row["valid_nll"] for row in finals if row["configuration"] == DENSE}
    lines = [
        "| | validation loss | difference to dense | ms an update | load CV | dropped |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["configuration"] for row in finals):
        rows = [row for row in finals if row["configuration"] == name]
        differences = [row["valid_nll"] - dense[row["seed"]] for row in rows if row["seed"] in dense]
        cells = [
            _spread([row["valid_nll"] for row in rows]),
            _spread(differences, sign="+") if name != DENSE else "",
            f"{fmean(row['ms_an_update'] for row in rows):.0f}",
            *(
                f"{fmean(row[key] for row in rows):{form}}" if rows[0][key] is not None else ""
                for key, form in (("mean_cv", ".2f"), ("dropped_second_half", ".1%"))
            ),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float], sign: str = "") -> str:
    """Mean, and standard deviation between seeds."""
    if not values:
        return ""
    deviation = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{fmean(values):{sign}.3f}{deviation}"


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path("runs/quickstart/data/current")
    parser.add_argument(
        "--data", type=Path, default=default, help="folder of a prepared corpus (default: %(default)s)"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/switch_experiment"), help="folder for the trainings")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    parser.add_argument("--updates", type=int, default=600, help="of each training (default: %(default)s)")
    parser.add_argument("--max-tokens", type=int, default=1024, help="of a batch (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of each configuration")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is not trained yet, prints the comparison and writes the results."""
    parser = options()
    given = sys.argv[1:] if arguments is None else list(arguments)
    args = parser.parse_args(given)
    if not args.data.is_dir():
        parser.error(f"--data {args.data}: there is no such folder; `automoe data` prepares the quickstart's corpus")
    finals: list[Row] = []
    curves: list[Row] = []
    loads: list[Row] = []
    for seed in args.seeds:  # one after the other in turn: a machine that slows down slows all alike
        for name, configuration in CONFIGURATIONS.items():
            folder = args.work / f"{name.replace(', ', '_').replace(' ', '_')}_{seed}"
            print(f"{name}, seed {seed}", flush=True)
            with Stopwatch(folder):
                train(job_of(configuration, seed, args), folder)
            records, which = read_log(folder), {"configuration": name, "seed": seed}
            of_curves, of_loads = curve_rows(records, read_times(folder)), load_rows(records)
            finals.append(which | final_row(folder, of_curves, of_loads))
            curves += [which | row for row in of_curves]
            loads += [which | row for row in of_loads]
    print(f"\n{table(finals)}")
    args.out.mkdir(parents=True, exist_ok=True)
    for file, rows in (("final", finals), ("curves", curves), ("loads", loads)):
        write_atomically(args.out / f"{file}.csv", csv_text(rows, digits=5))
    write_atomically(args.out / "switch.svg", figure(curves, loads))
    write_json(args.out / "switch.json", about(given, args))


def about(given: Sequence[str], args: argparse.Namespace) -> dict[str, Any]:
    """Command, machine, versions, and what was compared."""
    job = job_of(CONFIGURATIONS["Switch"], args.seeds[0], args)
    counted = {
        configuration.architecture: asdict(
            costs(architecture_of(configuration), vocab_size=job.model.vocab_size, pre_norm=job.model.pre_norm)
        )
        for configuration in CONFIGURATIONS.values()
    }
    return {
        "command": shlex.join(["python", "experiments/switch/run.py", *common.shown(given)]),
        **common.machine(),
        "data": read_json(args.data / "data.json")["fingerprint"],
        "configurations": {name: asdict(configuration) for name, configuration in CONFIGURATIONS.items()},
        "switch": job.model.to_dict(),
        "training": asdict(job.training),
        "seeds": args.seeds,
        "costs": counted,
    }


if __name__ == "__main__":
    main()
