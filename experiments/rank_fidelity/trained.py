"""Three ways to train a supernet, judged by 24 sub-transformers that were trained from scratch with two seeds each.

    python experiments/rank_fidelity/trained.py                              # two to three hours on one core
    python experiments/rank_fidelity/trained.py --measure                    # five minutes: what an update costs

The sandwich rule against a single path (HAT, AutoMoE), at equally many updates and in equal time, each with two
seeds, by `automoe fidelity`; what is finished in the run folder is not made again, so a killed run goes on. Prints
tables and writes `results/trained.csv` (every order beside those that need no supernet), `trained_differences.csv`
(single path against sandwich), `trained_architectures.csv` and `trained.json`.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "runtime"))

import common

from automoe.evaluation.fidelity import EQUAL_DEPTH, OVERALL, Fidelity, FidelityConfig, rank_fidelity
from automoe.evaluation.pair_statistics import ACCURACY
from automoe.files import csv_text, write_atomically, write_json
from automoe.pipeline.fidelity import Compared, baselines, read_compared, truths

HERE = Path(__file__).parent
Panels = Mapping[str, list[Compared]]
"""By supernet what is known of each architecture of the panel."""
RUN = "rank_fidelity"
UPDATES = 2000
"""Of the sandwich."""
EQUAL_TIME = 5700
"""Updates of a single path in rather less time: `results/speed.json` has the ratio."""
SUPERNETS = {
    "sandwich": ("supernet=sandwich", f"training.max_updates={UPDATES}"),
    "single path, equal updates": ("supernet=single_path", f"training.max_updates={UPDATES}"),
    "single path, equal time": ("supernet=single_path", f"training.max_updates={EQUAL_TIME}"),
}
SEEDS = (1, 2)
MEASURED = (20, 220)
"""Updates of two trainings: the difference is that of 200, without the start."""


def command(overrides: Sequence[str], stage: str = "fidelity") -> list[str]:
    """The run command with the settings that all supernets share."""
    shared = [f"run={RUN}", f"space={HERE / 'space.yaml'}", "training.threads=1", "training.validate_every=500"]
    return [sys.executable, "-m", "automoe.cli", stage, *shared, *overrides, "--json"]


def judged_by_trainings(overrides: Sequence[str]) -> Panels:
    """Trains what is not trained yet; by supernet and seed what is known of each architecture."""
    found = {}
    for name, settings in SUPERNETS.items():
        for seed in SEEDS:
            made = subprocess.run(
                command([*settings, f"seed={seed}", *overrides]), stdout=subprocess.PIPE, text=True, check=True
            )
            found[label(name, seed)] = read_compared(Path(json.loads(made.stdout)["folder"]))
    return found


def orders(found: Panels, config: FidelityConfig) -> dict[str, Fidelity]:
    """Every supernet beside what orders architectures without one, by truth; all see the same resamples."""
    return _fidelities(found, config, tuple(baselines(_panel(found))))


def differences(found: Panels, config: FidelityConfig) -> list[dict[str, Any]]:
    """What each supernet's order is better by than that of the first way to train one, of the same seed."""
    first, *others = SUPERNETS
    rows = []
    for truth, fidelity in _fidelities(found, config, tuple(label(first, seed) for seed in SEEDS)).items():
        for row in fidelity.rows:
            for name, seed in ((name, seed) for name in others for seed in SEEDS):
                if row.candidate == label(name, seed):
                    which = {"truth": truth, "scope": row.scope, "statistic": row.statistic, "pairs": row.pairs}
                    against = {"supernet": name, "seed": seed, "above": first}
                    rows.append({**which, **against, **asdict(row.above[label(first, seed)])})
    return rows


def label(supernet: str, seed: int) -> str:
    """What a supernet is called in the tables."""
    return f"{supernet}, seed {seed}"


def _panel(found: Panels) -> list[Compared]:
    """The architectures, which are the same for all supernets."""
    panel = next(iter(found.values()))
    assert all([one.digest for one in compared] == [one.digest for one in panel] for compared in found.values())
    return panel


def _fidelities(found: Panels, config: FidelityConfig, against: tuple[str, ...]) -> dict[str, Fidelity]:
    panel = _panel(found)
    inherited = {name: [-one.inherited_loss for one in compared] for name, compared in found.items()}
    depth = [one.decoder_layers for one in panel]
    candidates = {**inherited, **baselines(panel)}
    return {
        truth: rank_fidelity(runs, candidates, depth, baselines=against, config=config)
        for truth, runs in truths(panel).items()
    }


def seconds_per_update(rule: str, overrides: Sequence[str]) -> float:
    """CPU seconds of an update on one thread, from two short trainings."""
    used = []
    for updates in MEASURED:
        with tempfile.TemporaryDirectory() as folder:
            settings = [f"supernet={rule}", f"training.max_updates={updates}", *overrides, f"runs_dir={folder}"]
            subprocess.run(command(settings, "data"), stdout=subprocess.DEVNULL, check=True)
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            subprocess.run(command(settings, "supernet"), stdout=subprocess.DEVNULL, check=True)
            used.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    return (used[1] - used[0]) / (MEASURED[1] - MEASURED[0])


def measure(overrides: Sequence[str], out: Path, about: dict[str, Any]) -> None:
    """Prints and writes what an update of each rule costs, twice each, in turn."""
    rules = ("sandwich", "single_path")
    seconds: dict[str, list[float]] = {rule: [] for rule in rules}
    for _ in range(2):
        for rule in rules:
            seconds[rule].append(seconds_per_update(rule, overrides))
    ratio = sum(seconds["sandwich"]) / sum(seconds["single_path"])
    print(f"CPU seconds an update: {seconds}; a sandwich takes {ratio:.2f} times as long")
    write_json(out / "speed.json", {**about, "cpu_seconds_per_update": seconds, "ratio": ratio})


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure what an update costs, and nothing else")
    parser.add_argument("--resamples", type=int, default=10_000, help="of the bootstrap")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for the results")
    parser.add_argument("overrides", nargs="*", help="settings of all runs: runs_dir=FOLDER scratch.workers=2")
    given = sys.argv[1:] if arguments is None else arguments
    args = parser.parse_args(given)
    command_line = ["python", "experiments/rank_fidelity/trained.py", *common.shown(given)]
    about = {"command": shlex.join(command_line), **common.machine()}
    args.out.mkdir(parents=True, exist_ok=True)
    if args.measure:
        measure(args.overrides, args.out, about)
        return
    found = judged_by_trainings(args.overrides)
    config = FidelityConfig(resamples=args.resamples)
    rows: list[dict[str, Any]] = []
    for truth, fidelity in orders(found, config).items():
        rows += [{"truth": truth, "noise": fidelity.noise, **row} for row in fidelity.to_rows()]
        for scope in (OVERALL, EQUAL_DEPTH):
            print(f"\n{truth} of {fidelity.architectures} sub-transformers, {scope}\n")
            print(fidelity.to_markdown(scope), flush=True)
    differing = differences(found, config)
    print_differences(differing)
    for name, table in (("", rows), ("_differences", differing), ("_architectures", table_of(found))):
        write_atomically(args.out / f"trained{name}.csv", csv_text(table, digits=5))
    write_json(args.out / "trained.json", {**about, "supernets": SUPERNETS, "seeds": SEEDS})


def print_differences(rows: Sequence[Mapping[str, Any]]) -> None:
    """The share of pairs of each single path, less that of the sandwich of the same seed."""
    print("\n| pairwise accuracy less the sandwich's | truth | scope | seed | difference |\n|---|---|---|---|---|")
    for row in rows:
        if row["statistic"] == ACCURACY:
            interval = f"{row['value']:+.3f} [{row['lower']:+.3f}, {row['upper']:+.3f}]"
            print(f"| {row['supernet']} | {row['truth']} | {row['scope']} | {row['seed']} | {interval} |")


def table_of(found: Panels) -> list[dict[str, Any]]:
    """A row for each architecture: from scratch, its costs, and inherited of every supernet."""
    rows = []
    for position, one in enumerate(next(iter(found.values()))):
        scratch = {
            f"scratch_{name}_{number}": round(value, 5)
            for name, values in (("loss", one.scratch_losses), ("bleu", one.scratch_bleus))
            for number, value in enumerate(values, start=1)
        }
        inherited = {
            f"{quality} with {name}": round(getattr(compared[position], f"inherited_{quality}"), 5)
            for name, compared in found.items()
            for quality in ("loss", "bleu")
        }
        costs = {name: getattr(one, name) for name in ("digest", "decoder_layers", "params", "flops")}
        rows.append({**costs, **scratch, **inherited})
    return rows


if __name__ == "__main__":
    main()
