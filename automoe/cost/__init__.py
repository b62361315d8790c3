"""What an architecture costs, from its sizes alone: FLOPs, parameters, memory."""

from automoe.cost.analytic import Costs, costs
from automoe.cost.population import population_costs

__all__ = ["Costs", "costs", "population_costs"]
