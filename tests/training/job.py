"""A tiny training on the fixture corpus, for the tests of this folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from automoe.data import DataConfig, VocabularyConfig, prepare
from automoe.nn import TransformerConfig
from automoe.space import find_architecture, read_architecture
from automoe.training.config import TrainingConfig
from automoe.training.train import TrainingJob

_TRAIN = "import sys; from pathlib import Path; from automoe.training.train import *; "
_TRAIN += "train(TrainingJob.read(Path(sys.argv[1])), Path(sys.argv[1]))"

CORPUS = Path(__file__).parents[1] / "fixtures" / "corpus"


def prepared_corpus(folder: Path) -> Path:
    splits, sides = ("train", "valid", "test"), {"source": "en", "target": "de"}
    paths = {f"{split}_{side}": str(CORPUS / f"{split}.{lang}") for split in splits for side, lang in sides.items()}
    prepare(DataConfig(corpus="text", vocabulary=VocabularyConfig(size=200, kind="bpe"), **paths), folder)
    return folder


def tiny_job(data: Path, **training) -> TrainingJob:
    settings = {"max_updates": 30, "validate_every": 10, "max_tokens": 512, "warmup_updates": 10, "threads": 1}
    return TrainingJob(
        data=data,
        architecture=read_architecture(find_architecture("tiny")),
        model=TransformerConfig(vocab_size=200),
        training=TrainingConfig(**(settings | training)),
        seed=7,
    )


def start(job: TrainingJob, folder: Path) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    job.write(folder)
    return subprocess.Popen([sys.executable, "-c", _TRAIN, str(folder)], stderr=subprocess.PIPE)


def kill_when(pattern: str, process: subprocess.Popen, folder: Path) -> None:
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
