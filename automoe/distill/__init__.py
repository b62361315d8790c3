"""Distillation: a sub-transformer goes on learning, from the reference and from a teacher's distributions.

`losses` and `teacher` need torch and are imported by themselves.
"""

from automoe.distill.config import DistillConfig

__all__ = ["DistillConfig"]
