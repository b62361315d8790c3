"""What distillation is for: a student learns more from a teacher that knows more than the labels say."""

import json
from dataclasses import replace

import numpy as np
import pytest

from automoe.data import DataConfig, PreparedData, VocabularyConfig, prepare, write_ids
from automoe.distill import DistillConfig
from automoe.distill.teacher import validation_nll
from automoe.nn import TransformerConfig
from automoe.nn.model_folder import SIZES
from automoe.training.distributed import Place
from automoe.training.loop import run
from automoe.training.objective import DistillObjective
from automoe.training.teachers import read_teacher
from tests.architectures import architecture, decoder_layer, encoder_layer
from tests.training.job import tiny_job

WORDS = [first + second for first in "bdfgklmn" for second in "aeiou"]
SEEDS = (1, 2, 3)
NOISE = 0.4
"""Share of the words in the students' training references that are any word."""
ARCHITECTURE = architecture(
    32, [encoder_layer(32, qkv_dim=32)], 32, [decoder_layer(32, qkv_dim=32, cross_qkv_dim=32)]
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sentences whose translation is word for word, another word for each."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    (folder / "data").mkdir()
    meaning = dict(zip(WORDS, rng.permutation(WORDS), strict=True))
    files = {}
    for split, count in (("train", 1504), ("valid", 104), ("test", 8)):
        sentences = [rng.choice(WORDS, size=rng.integers(4, 9)) for _ in range(count)]
        for side, lines in (("source", sentences), ("target", [[meaning[w] for w in s] for s in sentences])):
            file = folder / f"{split}.{side}"
            file.write_text("".join(" ".join(line) + "\n" for line in lines))
            files[f"{split}_{side}"] = str(file)
    prepare(DataConfig(corpus="text", vocabulary=VocabularyConfig(size=70, kind="bpe"), **files), folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def noisy(corpus, tmp_path_factory):
    """The training references with some words replaced by others."""
    prepared, rng = PreparedData.open(corpus), np.random.default_rng(1)
    known = np.unique(np.concatenate([ids_L[:-1] for ids_L in prepared.ids("train", "tgt")]))
    path = tmp_path_factory.mktemp("noisy") / "targets"
    spoilt = []
    for ids_L in prepared.ids("train", "tgt"):
        replaced = rng.random(len(ids_L)) < NOISE
        replaced[-1] = False
        spoilt.append(np.where(replaced, rng.choice(known, size=len(ids_L)), ids_L))
    write_ids(path, spoilt, prepared.summary.vocab_size)
    return path


def job_of(corpus, **training):
    settings = {"lr": 0.01, "warmup_updates": 20, "label_smoothing": 0.0, "max_tokens": 400, **training}
    job = tiny_job(corpus, validate_every=settings["max_updates"], **settings)
    vocab_size = PreparedData.open(corpus).summary.vocab_size
    return replace(job, architecture=ARCHITECTURE, model=TransformerConfig(vocab_size=vocab_size, dropout=0.0))


def loss_of(job, folder):
    folder.mkdir()
    run(job, folder, Place())
    return json.loads((folder / SIZES).read_text())["valid_nll"]


@pytest.mark.slow
def test_a_student_of_noisy_labels_is_better_with_a_teacher_after_as_many_steps(corpus, noisy, tmp_path):
    teacher = tmp_path / "teacher"
    teacher_loss = loss_of(job_of(corpus, max_updates=400), teacher)
    prepared = PreparedData.open(corpus)
    assert validation_nll(read_teacher([teacher], prepared), prepared) == pytest.approx(teacher_loss, abs=1e-5)
    losses = {}
    for share in (0.0, 0.25):  # Fedus et al. 2022: a quarter of the teacher
        objective = DistillObjective(teachers=(teacher,), config=DistillConfig(share=share))
        job = replace(job_of(corpus, max_updates=300), objective=objective, targets=noisy)
        losses[share] = [loss_of(replace(job, seed=seed), tmp_path / f"{share} {seed}") for seed in SEEDS]
    print(f"teacher {teacher_loss:.3f}, students by share of the teacher: {losses}")
    gains = np.subtract(losses[0.0], losses[0.25])
    assert teacher_loss < min(losses[0.25])
    assert gains.min() > 0 and gains.mean() > 2 * gains.std(ddof=1) / len(gains) ** 0.5
