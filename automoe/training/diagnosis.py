"""Where a training diverged: which sub-transformer and which of its layers first gave NaN or infinity.

Nothing is watched while all is well. When a loss or a gradient is no finite number, the weights are still those of
before the step: the step's batches are computed once more, and every module's inputs and outputs are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from automoe.nn import Transformer
from automoe.space import Architecture
from automoe.training.inherit import sizes_in_words
from automoe.training.task import UPDATE

_WHOLE = {
    "": "the output layer",
    "embedding": "the embedding table",
    "encoder_norm": "the last norm of the encoder",
    "decoder_norm": "the last norm of the decoder",
}
_WORDS = {
    "self_attention": "self-attention",
    "self_norm": "norm of the self-attention",
    "cross_attention": "cross-attention",
    "cross_norm": "norm of the cross-attention",
    "experts": "experts",
    "expert_norm": "norm of the experts",
    "router_weight": "router",
}


def diagnose_step(trainer: Any, samples: Sequence[Any]) -> str:
    """Says where a training step that failed went wrong first; takes as long as one more step.

    Args:
        trainer: fairseq's, its weights untouched by the step.
        samples: the batches of the step, on this process.

    Returns:
        The end of a sentence, such as "the experts of encoder layer 1 gave inf, in the sub-transformer of 2+2 layers,
        dimensions 16 and 16, digest 0123456789ab". Where several processes share the step all return what the first
        of them found that found something.
    """
    return _first_of_all(_step(trainer, samples)) or "no single gradient is to blame, but their sum or their norm"


def diagnose_validation(trainer: Any) -> str:
    """Says where a validation whose loss is no finite number went wrong first, as `diagnose_step` does."""
    return _first_of_all(_validation(trainer)) or "no single layer is to blame, but the sum of the losses"


def _first_of_all(found: str | None) -> str | None:
    """What the first process found that found anything; all must ask."""
    if not dist.is_initialized():
        return found
    everywhere: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(everywhere, found)
    return next((one for one in everywhere if one is not None), None)


def _step(trainer: Any, samples: Sequence[Any]) -> str | None:
    trainer._set_seed()  # the same dropout as in the step
    trainer.zero_grad()
    model, criterion = trainer.get_model().train(), trainer.get_criterion().train()
    with _watched(model.transformer) as watch, _gradients_watched(model) as gradients:
        for sample in samples:
            sample, _ = trainer._prepare_sample(sample)
            loss, _, _ = criterion(model, {**sample, UPDATE: trainer.get_num_updates()})
            if watch.found is not None:
                return watch.found
            if (number := _bad(loss)) is not None:
                return f"the loss is {number}, though all that {watch.subject} gave is finite"
            trainer.optimizer.backward(loss)
            if gradients:
                return f"{gradients[0]}, though the loss is finite, in {watch.subject}"
    return None


def _validation(trainer: Any) -> str | None:
    model, criterion = trainer.get_model().eval(), trainer.get_criterion().eval()
    batches = trainer.get_valid_iterator("valid").next_epoch_itr(shuffle=False, set_dataset_epoch=False)
    with torch.no_grad(), _watched(model.transformer) as watch:
        for sample in batches:
            sample, _ = trainer._prepare_sample(sample)
            criterion(model, sample)
            if watch.found is not None:
                return watch.found
    return None


@dataclass
class _Watch:
    """What the hooks have seen so far."""

    arch: Architecture | None = None
    """That of the forward pass that is under way, or was the last."""
    found: str | None = None
    """What went wrong first."""

    @property
    def subject(self) -> str:
        """The sub-transformer of this pass, in words."""
        assert self.arch is not None
        return f"the sub-transformer of {sizes_in_words(self.arch)}"

    def note(self, place: str, tensors: Any) -> None:
        """Keeps the place if it is the first that has something that is no finite number."""
        if self.found is None and (number := _bad(tensors)) is not None:
            self.found = f"{place} gave {number}, in {self.subject}"

    def note_before(self, place: str, states: Any) -> None:
        """The same of the states that go into a module: a sum of embeddings or of residuals."""
        if self.found is None and (number := _bad(states)) is not None:
            self.found = f"{number} goes into {place}, in {self.subject}"


@contextmanager
def _watched(transformer: Transformer) -> Iterator[_Watch]:
    """Looks at what goes into and comes out of every module, in the order in which it does."""
    watch = _Watch()

    def begins(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        arch = next((value for value in inputs if isinstance(value, Architecture)), None)
        watch.arch = transformer.maximum if arch is None else arch

    hooks = [transformer.register_forward_pre_hook(begins)]
    for name, module in transformer.named_modules():
        if isinstance(module, nn.ModuleList | nn.ParameterList):  # which compute nothing
            continue
        place = _place(name)
        if name:
            hooks.append(
                module.register_forward_pre_hook(lambda _, inputs, at=place: watch.note_before(at, inputs[0]))
            )
        hooks.append(module.register_forward_hook(lambda _, _inputs, output, at=place: watch.note(at, output)))
    try:
        yield watch
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _gradients_watched(model: nn.Module) -> Iterator[list[str]]:
    """Collects the parameters whose gradients are no finite numbers, nearest to the loss first."""
    found: list[str] = []

    def look(name: str, weight: Tensor) -> None:
        if (number := _bad(weight.grad)) is not None:
            found.append(f"the gradient of {_place(name.removeprefix('transformer.'))} is {number}")

    hooks = [
        weight.register_post_accumulate_grad_hook(lambda weight, name=name: look(name, weight))
        for name, weight in model.named_parameters()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _bad(value: Any) -> str | None:
    """ "nan" or "inf" if there is one in a tensor or in the tensors of a tuple; NaN goes before infinity."""
    if isinstance(value, tuple | list):
        numbers = {_bad(part) for part in value}
        return next((number for number in ("nan", "inf") if number in numbers), None)
    if not isinstance(value, Tensor) or not value.is_floating_point() or bool(value.isfinite().all()):
        return None
    return "nan" if bool(value.isnan().any()) else "inf"


def _place(name: str) -> str:
    """The name of a module or parameter in words: `encoder_layers.1.experts` is "the experts of encoder layer 1"."""
    parts = name.split(".")
    if parts[0] not in ("encoder_layers", "decoder_layers"):
        return _WHOLE[parts[0]]
    layer = f"{parts[0].removesuffix('_layers')} layer {parts[1]}"
    within = [_WORDS[part] for part in parts[2:] if part in _WORDS]
    return f"the {within[-1]} of {layer}" if within else layer
