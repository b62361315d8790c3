"""A process of the fixture of `test_distributed`: `python -m tests.training.together FOLDER JOB_FOLDER ...`."""

import json
import sys
from pathlib import Path

import torch

from automoe.training.distributed import Place, add_gradients, agreed, leads, leave
from automoe.training.loop import run
from automoe.training.train import TrainingJob


def main() -> None:
    """Carries out the jobs one after the other, then adds up some gradients and notes what came of it."""
    folder, place = Path(sys.argv[1]), Place.of_environment()
    for job in map(Path, sys.argv[2:]):
        run(TrainingJob.read(job), job, place)
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(4)]
    weights[0].grad = torch.tensor([1.0, 3.0]) * (place.rank + 1)
    weights[place.rank + 1].grad = torch.tensor([4.0, 0.0])
    add_gradients(weights)
    gradients = [None if weight.grad is None else weight.grad.tolist() for weight in weights]
    for weight in weights[:2]:
        weight.grad = torch.tensor([2.0, 6.0])
    weights[1].grad = torch.ones(2) if place.rank == 1 else None
    add_gradients(weights[:2], idle=place.rank == 1)
    idle = [None if weight.grad is None else weight.grad.tolist() for weight in weights[:2]]
    noted = {"gradients": gradients, "one idle": idle, "agreed": agreed(lambda: place.rank), "leads": leads()}
    (folder / f"rank{place.rank}.json").write_text(json.dumps(noted))
    leave()


main()
