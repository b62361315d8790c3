"""Registers AutoMoE's task, model and criterions with fairseq, once: importing this module does it."""

from __future__ import annotations

import argparse

import torch

from automoe.training.criterion import AutoMoECrossEntropy
from automoe.training.distillation_criterion import AutoMoEDistillation
from automoe.training.model import AutoMoETransformerModel
from automoe.training.supernet_criterion import AutoMoESupernet
from automoe.training.task import AutoMoETranslationTask

# fairseq's own checkpoints may hold their arguments as a Namespace, which torch.load refuses since 2.6.
torch.serialization.add_safe_globals([argparse.Namespace])

__all__ = [
    "AutoMoECrossEntropy",
    "AutoMoEDistillation",
    "AutoMoESupernet",
    "AutoMoETransformerModel",
    "AutoMoETranslationTask",
]
