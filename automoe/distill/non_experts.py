"""Sparse to dense: a student begins with all that its teacher has beside experts (Fedus et al. 2022, section on
distillation), so that only the feed-forward networks are learnt anew."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from automoe.errors import SpaceError, TrainingError
from automoe.nn import Transformer
from automoe.space import Architecture

_EXPERTS = re.compile(r"(encoder|decoder)_layers\.(\d+)\.experts\.")
"""Names of the weights of experts and routers."""
_KEY = "distill.initial"
_HINT = (
    "Fix these sizes to the teacher's in the search space (experts and their widths are free), or use "
    "distill.initial=inherited or random"
)


@torch.no_grad()
def inherit_non_experts(student: Transformer, teacher: Transformer) -> list[str]:
    """Copies the teacher's weights into the student, all but those of experts and routers.

    The feed-forward network of a layer is copied too where both have a single one of the same width there; where
    either has several or another width, it stays as it is, and so do the routers.

    Args:
        student: of the teacher's vocabulary, depth, dimensions and heads; its weights are replaced in place.
        teacher: of a supernet its largest sub-network.

    Returns:
        Names of the weights that were copied.

    Raises:
        SpaceError: depth, dimensions or heads differ; it names the first place and both sizes.
        TrainingError: the vocabularies or the places of the norms differ.
    """
    _check_settings(student, teacher)
    for place, ours, theirs in _sizes(student.maximum, teacher.maximum):
        if ours != theirs:
            raise SpaceError(
                f"the student has {place} {ours}, the teacher {theirs}: its weights do not fit",
                key=_KEY,
                value="teacher",
                hint=_HINT,
            )
    weights = teacher.state_dict()
    copied = [name for name in student.state_dict() if _is_shared(name, student.maximum, teacher.maximum)]
    for name in copied:
        student.get_parameter(name).copy_(weights[name])
    return copied


def _check_settings(student: Transformer, teacher: Transformer) -> None:
    for key, what in (("vocab_size", "a vocabulary of"), ("pre_norm", "model.pre_norm")):
        ours, theirs = getattr(student.config, key), getattr(teacher.config, key)
        if ours != theirs:
            raise TrainingError(
                f"the student has {what} {ours}, the teacher {theirs}: its weights do not fit",
                key=_KEY,
                value="teacher",
                hint="Use a teacher that was trained with the same, or distill.initial=inherited or random",
            )


def _sizes(student: Architecture, teacher: Architecture) -> Iterator[tuple[str, int, int]]:
    """What must be alike, in words, with the student's size and the teacher's."""
    for side in ("encoder", "decoder"):
        ours, theirs = getattr(student, side), getattr(teacher, side)
        yield f"{side}.dim", ours.dim, theirs.dim
        yield f"{side}.layers", len(ours.layers), len(theirs.layers)
        for index, (our_layer, their_layer) in enumerate(zip(ours.layers, theirs.layers, strict=True)):
            names = ["heads", "qkv_dim"]
            if side == "decoder":
                names += ["cross_heads", "cross_qkv_dim", "cross_layers"]
            for name in names:
                yield f"{side} layer {index}: {name}", getattr(our_layer, name), getattr(their_layer, name)


def _is_shared(name: str, student: Architecture, teacher: Architecture) -> bool:
    """Whether it is no expert's and no router's, or of the only expert in a layer where both have one, as wide."""
    found = _EXPERTS.match(name)
    if found is None:
        return True
    side, index = found[1], int(found[2])
    ours, theirs = (getattr(arch, side).layers[index] for arch in (student, teacher))
    return ours.num_experts == 1 and ours.expert_widths == theirs.expert_widths
