"""Three toy stages; as a program, `execute` over them, which kills itself at a stated moment.

python -m tests.pipeline.toy RUNS_DIR [MOMENT]
"""

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from automoe.files import write_atomically
from automoe.pipeline import execute as execution
from automoe.pipeline.execute import execute
from automoe.pipeline.run_folder import RunFolder
from automoe.pipeline.stage import Stage

MOMENTS = (
    "numbers starts",
    "numbers wrote 2",
    "numbers half a file",
    "sums wrote 0",
    "report wrote its file",
    "before rename 1",
    "after rename 1",
    "before current 1",
    "after current 1",
    "before rename 3",
    "after rename 3",
)
_kill_at = ""


def moment(name):
    if name == _kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class Numbers:
    count: int = 4
    factor: float = 2.0
    names: tuple[str, ...] = ("a", "b")
    path: Path = Path("x/y")
    maybe: int | None = None


@dataclass(frozen=True, kw_only=True)
class Toy:
    run: str = "toy"
    runs_dir: str = "runs"
    seed: int = 1
    display: str = "colour"  # no stage sees it
    numbers: Numbers = field(default_factory=Numbers)
    power: int = 2


def make_numbers(part, inputs, out):
    moment("numbers starts")
    for index in range(part.count):
        file = out / f"{index}.txt"
        if not file.exists():
            if index == 3 and _kill_at == "numbers half a file":
                file.with_name(file.name + ".partial").write_text("half")
                moment("numbers half a file")
            write_atomically(file, str(index * part.factor + inputs.seed))
        moment(f"numbers wrote {index}")


def make_sums(power, inputs, out):
    total = 0.0
    for file in sorted(inputs["numbers"].glob("*.txt")):
        total += float(file.read_text()) ** power
        write_atomically(out / file.name, str(total))
        moment(f"sums wrote {file.stem}")


def make_report(_part, inputs, out):
    folders = [inputs["numbers"], inputs["sums"]]
    write_atomically(
        out / "report.txt", "".join(file.read_text() for f in folders for file in sorted(f.glob("*.txt")))
    )
    moment("report wrote its file")


NUMBERS = Stage(name="numbers", run=make_numbers, part=lambda config: config.numbers)
SUMS = Stage(name="sums", run=make_sums, part=lambda config: config.power, needs=("numbers",), seeded=False)
REPORT = Stage(name="report", run=make_report, part=lambda config: None, needs=("numbers", "sums"))
STAGES = (REPORT, NUMBERS, SUMS)


def _moments_of_the_machinery():
    finish, set_current = execution.finish_folder, RunFolder.set_current
    counts = {"rename": 0, "current": 0}

    def around(what, function):
        def wrapped(*arguments):
            counts[what] += 1
            moment(f"before {what} {counts[what]}")
            function(*arguments)
            moment(f"after {what} {counts[what]}")

        return wrapped

    execution.finish_folder = around("rename", finish)
    RunFolder.set_current = around("current", set_current)


if __name__ == "__main__":
    _kill_at = sys.argv[2] if len(sys.argv) > 2 else ""
    _moments_of_the_machinery()
    execute(STAGES, Toy(runs_dir=sys.argv[1]), "report")
