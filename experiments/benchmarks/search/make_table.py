"""Makes table a: the loss of each architecture of `spaces/enumerated.yaml` with the weights of a quickstart supernet.

    make run
    python experiments/benchmarks/search/make_table.py runs/quickstart

Takes 0.2 to 0.3 s an architecture on one core, 5,376 in all; killed, it goes on. The result is `tables/a.csv`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from automoe.data import PreparedData
from automoe.files import write_atomically
from automoe.pipeline.supernet import trained_model
from automoe.progress import Progress
from automoe.space import Census, GenomeCodec, read_space
from automoe.supernet.evaluator import SupernetEvaluator, validation_batches

HERE = Path(__file__).parent
SENTENCES = 200
"""Validation sentences, spread over the lengths."""


def main(run: Path) -> None:
    torch.set_num_threads(1)
    batches = validation_batches(PreparedData.open(run / "data" / "current"), limit=SENTENCES)
    evaluator = SupernetEvaluator(trained_model(run / "supernet" / "current"), batches)
    space = read_space(HERE / "spaces" / "enumerated.yaml")
    codec, genome_NG = GenomeCodec(space), Census(space).enumerate()
    partial = HERE / "tables" / "a.csv.partial"
    partial.parent.mkdir(exist_ok=True)
    done = partial.read_text().splitlines(keepends=True) if partial.exists() else []
    done = [line for line in done if line.endswith("\n")]
    write_atomically(partial, "".join(done))
    with partial.open("a") as stream, Progress("evaluating", total=len(genome_NG), unit="architecture",
                                               done=len(done)) as progress:  # fmt: skip
        for genome_G in genome_NG[len(done) :]:
            arch = codec.decode(genome_G)
            stream.write(f"{arch.digest},{evaluator.loss(arch):.6f}\n")
            stream.flush()
            progress.advance()
    write_atomically(HERE / "tables" / "a.csv", "digest,loss\n" + partial.read_text())
    partial.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
