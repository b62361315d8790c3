"""Data-parallel training: processes with a copy of the model each, whose gradients are added up in every step.

A step of N processes with `update_freq` batches each is the step of one process with N times as many: the same
batches, losses divided by the tokens of all of them, and weights that none of them uses stay where they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from fairseq import utils
from fairseq.distributed import utils as fairseq_distributed
from fairseq.trainer import Trainer
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from automoe.errors import TrainingError

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which one of the processes of a training this is."""

    rank: int = 0
    """The first one, 0, leads: it alone writes files and shows progress."""
    world_size: int = 1
    """Processes on all machines."""
    local_rank: int = 0
    """Number of the process, and of its GPU, on this machine."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Place:
        """The place that `launch` or torchrun has set; without them the only one."""
        return cls(
            rank=int(environment.get("RANK", 0)),
            world_size=int(environment.get("WORLD_SIZE", 1)),
            local_rank=int(environment.get("LOCAL_RANK", 0)),
        )

    def flags(self) -> list[str]:
        """Arguments of fairseq that say the same; left to itself it counts GPUs."""
        if self.world_size == 1:
            return ["--distributed-world-size", "1"]
        return [
            *("--distributed-world-size", str(self.world_size), "--distributed-rank", str(self.rank)),
            *("--distributed-init-method", "env://", "--distributed-no-spawn"),
            *("--distributed-backend", "nccl" if torch.cuda.is_available() else "gloo"),
            *("--device-id", str(self.local_rank)),
            "--load-checkpoint-on-all-dp-ranks",  # else sent by pickle, which torch.load refuses since 2.6
        ]

    def join(self, config: Any) -> None:
        """Takes this process's GPU, if there are any, and waits for the others.

        Args:
            config: fairseq's configuration, made with `flags`.

        Raises:
            TrainingError: there is no GPU for this process, or the others cannot be reached.
        """
        if torch.cuda.is_available():
            gpus = torch.cuda.device_count()
            if self.local_rank >= gpus:
                raise TrainingError(
                    f"there is no GPU for process {self.local_rank} of this machine, which has {gpus}",
                    hint=f"Start at most {gpus} processes on it, and the others on other machines",
                )
            torch.cuda.set_device(self.local_rank)
        if self.world_size > 1:
            try:
                fairseq_distributed.distributed_init(config)
            except Exception as error:  # whatever torch makes of a missing address, a closed port, a silent machine
                raise TrainingError(
                    f"process {self.rank} of {self.world_size} cannot reach the others: {error}",
                    hint="Start all with torchrun, or with MASTER_ADDR and MASTER_PORT set to where the first is",
                ) from error


def leave() -> None:
    """Ends what `Place.join` began, if it did."""
    if dist.is_initialized():
        dist.destroy_process_group()


def leads() -> bool:
    """Whether this process is the first of its training, or the only one."""
    return not dist.is_initialized() or dist.get_rank() == 0


def agreed(decide: Callable[[], Value]) -> Value:
    """What the leading process decides, in all of them: `decide` is called there alone."""
    if not dist.is_initialized():
        return decide()
    decision = [decide() if leads() else None]
    dist.broadcast_object_list(decision, src=0)
    return decision[0]  # type: ignore[return-value]


class DataParallelTrainer(Trainer):
    """fairseq's Trainer with `add_gradients` in place of a wrapper around the model.

    PyTorch's wrapper does not run on a CPU here (fairseq hands it a GPU's number), copies the logits of every
    sub-transformer of a step and wants a gradient for the batches that only fill up an epoch; `legacy_ddp` makes
    zeros of missing gradients, by which Adam moves unused weights.
    """

    use_distributed_wrapper = False

    def __init__(self, config: Any, task: Any, model: Any, criterion: Any) -> None:
        super().__init__(config, task, model, criterion)
        self._idle = False
        if self.data_parallel_world_size > 1:  # the optimiser calls it before every step
            model.all_reduce_grads = lambda: add_gradients(model.parameters(), idle=self._idle)

    def train_step(self, samples: list[Any], raise_oom: bool = False) -> Any:
        """As fairseq's; but one of several processes that has no memory left does not go on without its batch."""
        self._idle = not any(samples)
        return super().train_step(samples, raise_oom or self.data_parallel_world_size > 1)

    def _set_seed(self) -> None:
        """Seeds a step as fairseq does, but every process in its own way: each has dropout masks of its own."""
        seed, update, rank = self.cfg.common.seed, self.get_num_updates(), self.data_parallel_rank
        own = seed + update
        if rank > 0:  # 32 bits: a CPU takes no more of a seed
            own = int(np.random.SeedSequence([seed, update, rank]).generate_state(1)[0])
        utils.set_torch_seed(own)


def add_gradients(weights: Iterable[torch.nn.Parameter], *, idle: bool = False) -> None:
    """Replaces every gradient by its mean over all processes, where one without a gradient counts as 0.

    A weight without a gradient in any process (an expert that no token reached, a layer that no sub-transformer of
    the step has) keeps none, so that an optimiser with momentum leaves it alone.

    Args:
        weights: of the model, in the same order everywhere.
        idle: this process had no batch in the step; fairseq gave it another one, whose gradients it made zeros.
    """
    weights = [weight for weight in weights if weight.requires_grad]
    if idle:
        for weight in weights:
            weight.grad = None
    used = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.uint8, device=weights[0].device)
    dist.all_reduce(used, op=dist.ReduceOp.MAX)
    by_type: dict[torch.dtype, list[torch.Tensor]] = {}
    for weight, anywhere in zip(weights, used.tolist(), strict=True):
        if anywhere:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            by_type.setdefault(weight.grad.dtype, []).append(weight.grad)
    for gradients in by_type.values():
        flat = _flatten_dense_tensors(gradients)
        flat /= dist.get_world_size()  # first: a sum of float16 may overflow. fairseq multiplies by it again
        dist.all_reduce(flat)
        for gradient, mean in zip(gradients, _unflatten_dense_tensors(flat, gradients), strict=True):
            gradient.copy_(mean)


def lost_another(error: BaseException) -> bool:
    """Whether `error` only says that another process is gone: it was raised in the midst of a communication.

    That there is none at all, `Place.join` says.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("torch.distributed")
