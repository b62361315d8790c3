"""What the task hands to fairseq, and what fairseq makes of it."""

import pytest

from automoe.training.distributed import Place
from automoe.training.loop import _fairseq_config
from automoe.training.registration import AutoMoETranslationTask
from tests.training.job import tiny_job


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize("max_tokens", [64, 128, 512])
def test_every_sentence_is_in_one_batch_of_an_epoch(data, tmp_path, split, max_tokens):
    config = _fairseq_config(tiny_job(data, max_tokens=max_tokens), tmp_path, Place())
    task = AutoMoETranslationTask.setup_task(config.task)
    task.load_dataset(split)
    batches = task.get_batch_iterator(
        task.datasets[split],
        max_tokens=max_tokens,
        max_positions=task.max_positions(),
        required_batch_size_multiple=8,  # fairseq's default
    ).next_epoch_itr(shuffle=False)
    seen = sorted(int(number) for batch in batches for number in batch["id"])
    assert seen == list(range(len(task.prepared.ids(split, "src"))))
