"""Distillation: a student learns from the references, from a teacher's distributions and from its translations.

- `config`: what a student begins with and learns from.
- `teacher`, `ensemble`: who teaches, one model or several; `longest`: how long their translations can be.
- `losses`: the loss of a student that sees the teacher's distributions (word-level).
- `sequences`, `parts`: the teacher's translations of the training sources (sequence-level), made in parts.
- `non_experts`: a student's initial weights, the teacher's but for experts and routers.

`teacher`, `ensemble`, `losses` and `non_experts` need torch and are imported by themselves; the others do without.
"""

from automoe.distill.config import DistillConfig

__all__ = ["DistillConfig"]
