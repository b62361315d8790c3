"""Exact numbers of a space, its architectures as a list, uniform samples, and what a space looks like as a whole.

`census` asks `cells`, which are pairs of `stacks`, which are sets of a `layer_chain` over `layer_options`.
"""

from automoe.space.census.census import Census
from automoe.space.census.survey import Share, Survey

__all__ = ["Census", "Share", "Survey"]
