"""The supernet: which sub-transformers a training step visits, with which losses, and what they are worth.

`losses` and `evaluator` need torch and are imported by themselves.
"""

from automoe.supernet.config import SupernetConfig
from automoe.supernet.placement import supernet_placement
from automoe.supernet.schedule import Visit, panel, visits

__all__ = ["SupernetConfig", "Visit", "panel", "supernet_placement", "visits"]
