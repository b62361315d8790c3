"""What an architecture costs, from its sizes alone: FLOPs, parameters, memory."""

from automoe.cost.analytic import Costs, costs

__all__ = ["Costs", "costs"]
