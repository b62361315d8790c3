"""A training in this process, step by step, where a test looks into it."""

from fairseq import utils
from fairseq.logging import metrics

from automoe.training.distributed import Place
from automoe.training.loop import _fairseq_config
from automoe.training.registration import AutoMoETranslationTask
from automoe.training.trainer import MixedPrecisionTrainer


def trainer_of(job, folder):
    """The trainer of a job, before its first step, and the batches of the first epoch."""
    config = _fairseq_config(job, folder, Place())
    metrics.reset()
    utils.set_torch_seed(job.seed)
    task = AutoMoETranslationTask.setup_task(config.task)
    model = task.build_model(config.model)
    trainer = MixedPrecisionTrainer(config, task, model, task.build_criterion(config.criterion))
    task.load_dataset("valid")
    batches = trainer.get_train_iterator(1)
    trainer.lr_step(1)
    return trainer, [[batch] for batch in batches.next_epoch_itr(shuffle=True)]
