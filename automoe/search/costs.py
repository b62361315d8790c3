"""The costs that a budget can limit: their names, their units, and the one place that converts to them.

Shape suffix: N architectures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LATENCY = "latency_ms"
"""The one cost that is predicted and measured; all others are exact."""
FLOPS = "flops_g"

COSTS: dict[str, str] = {
    LATENCY: "ms",
    FLOPS: "GFLOPs",
    "params_m": "million parameters",
    "memory_mb": "MB",
}
"""Unit of each cost, as it follows a number. Lower is better for all of them."""

UNITS: dict[str, str] = {
    LATENCY: "milliseconds per sentence",
    FLOPS: "10^9 FLOPs",
    "params_m": "10^6 parameters",
    "memory_mb": "10^6 bytes",
}
"""What a 1 stands for, for the error that a wrong unit gets."""

DEVICES = ("cpu-1t",)
"""Devices that latency is measured on; cpu-1t is the CPU with one thread."""


def in_budget_units(costs: Mapping[str, Any]) -> dict[str, Any]:
    """The exact costs of a budget out of `Costs.to_dict()` or `population_costs()`: numbers or arrays over N."""
    return {
        FLOPS: costs["flops"] / 1e9,
        "params_m": costs["params_total"] / 1e6,
        "memory_mb": costs["memory_bytes"] / 1e6,
    }


def shown_cost(cost: str, value: float) -> str:
    """A value with its unit, four digits: `14.25 ms`."""
    return f"{value:.4g} {COSTS.get(cost, cost)}"
