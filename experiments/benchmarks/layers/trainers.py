"""`TrainerWorker`: trains one model in a process of its own, on one thread and one core.

fairseq's model is trained by fairseq's Trainer, ours by that of `automoe supernet`. Two models never share a process:
fairseq keeps state in functions and modules.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from timing import ENVIRONMENT

from automoe.space import Architecture, DecoderLayerChoices, ExpertChoices, LayerChoices, SearchSpace, SideChoices


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model to train."""

    label: str
    arch: Architecture
    """What every step visits."""
    supernet: Architecture | None = None
    """What the model has weights for; None: it is fairseq's own `transformer`, and `arch` is dense and even."""

    def flags(self) -> list[str]:
        """Arguments of fairseq for the model and its criterion."""
        if self.supernet is None:
            return [*_fairseq_transformer(self.arch), "--criterion", "label_smoothed_cross_entropy"]
        return [
            *("--arch", "automoe_transformer", "--architecture", json.dumps(self.supernet.to_dict())),
            *("--criterion", "automoe_supernet", "--space", json.dumps(_only(self.arch).to_dict())),
            *("--rule", "single_path", "--distillation", "0", "--panel", "0"),
        ]


def _fairseq_transformer(arch: Architecture) -> list[str]:
    flags = ["--arch", "transformer", "--share-all-embeddings"]
    for name, side in (("encoder", arch.encoder), ("decoder", arch.decoder)):
        [layer] = set(side.layers)
        [width] = layer.expert_widths
        assert layer.qkv_dim == side.dim
        flags += [f"--{name}-embed-dim", str(side.dim), f"--{name}-ffn-embed-dim", str(width)]
        flags += [f"--{name}-layers", str(len(side.layers)), f"--{name}-attention-heads", str(layer.heads)]
        flags += [f"--{name}-normalize-before"]
    return flags


def _only(arch: Architecture) -> SearchSpace:
    """The space of this architecture alone."""

    def side(kind: type[Any], dim: int, layers: tuple[Any, ...], *names: str) -> SideChoices:
        choices = tuple(
            kind(
                experts=ExpertChoices.fixed(layer.expert_widths),
                **{name: (getattr(layer, name),) for name in ("heads", "qkv_dim", "top_k", *names)},
            )
            for layer in layers
        )
        return SideChoices(dim=(dim,), depth=(len(layers),), layers=choices)

    return SearchSpace(
        name="only",
        encoder=side(LayerChoices, arch.encoder.dim, arch.encoder.layers),
        decoder=side(
            DecoderLayerChoices,
            arch.decoder.dim,
            arch.decoder.layers,
            *("cross_heads", "cross_qkv_dim", "cross_layers"),
        ),
    )


class TrainerWorker:
    """A process that trains one model on the same few batches over and over. Use it as a context."""

    def __init__(self, trained: Trained, *, data: Path, max_tokens: int, batches: int, core: int) -> None:
        self.label = trained.label
        os.environ.update(ENVIRONMENT)
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, trained, data, max_tokens, batches, core)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self.parameters: int = self._connection.recv()
        """Of the whole model."""

    def __enter__(self) -> TrainerWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.send(False)
        self._process.join()

    def speed(self) -> float:
        """Trains once on every batch; returns target tokens per second of processor time."""
        self._connection.send(True)
        return float(self._connection.recv())


def _serve(connection: Connection, trained: Trained, data: Path, max_tokens: int, batches: int, core: int) -> None:
    os.sched_setaffinity(0, {core})
    trainer, samples = _trainer(trained, data, max_tokens, batches)
    connection.send(sum(parameter.numel() for parameter in trainer.model.parameters()))
    num_tokens = sum(sample["ntokens"] for sample in samples)
    while connection.recv():
        begin = time.process_time()
        for sample in samples:
            trainer.train_step([sample])
        connection.send(num_tokens / (time.process_time() - begin))


def _trainer(trained: Trained, data: Path, max_tokens: int, batches: int) -> tuple[Any, list[Any]]:
    """The Trainer of the model, and its first batches."""
    import torch
    from fairseq import options, utils
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.trainer import Trainer

    from automoe.training.registration import AutoMoETranslationTask
    from automoe.training.trainer import MixedPrecisionTrainer

    torch.set_num_threads(1)
    utils.set_torch_seed(1)
    flags = [
        *(str(data), "--task", "automoe_translation", "--max-tokens", str(max_tokens), "--cpu", "--seed", "1"),
        *trained.flags(),
        *("--dropout", "0.1", "--attention-dropout", "0", "--activation-dropout", "0", "--label-smoothing", "0.1"),
        *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--lr", "0.001", "--clip-norm", "1"),
        *("--lr-scheduler", "inverse_sqrt", "--warmup-updates", "100", "--warmup-init-lr", "1e-7"),
        *("--distributed-world-size", "1", "--num-workers", "0", "--no-progress-bar"),
    ]
    config = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), flags))
    task = AutoMoETranslationTask.setup_task(config.task)
    kind = Trainer if trained.supernet is None else MixedPrecisionTrainer
    trainer = kind(config, task, task.build_model(config.model), task.build_criterion(config.criterion))
    iterator = trainer.get_train_iterator(epoch=1).next_epoch_itr(shuffle=True)
    trainer.begin_epoch(1)
    return trainer, [next(iterator) for _ in range(batches)]
