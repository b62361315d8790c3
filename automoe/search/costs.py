"""The costs that a budget can limit: their names, their units, and the one place that converts to them.

Shape suffix: N architectures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from automoe.errors import ConfigError, did_you_mean
from automoe.threads import MAX_THREADS

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

DEVICES = f"cpu-Nt for N threads (1 to {MAX_THREADS}), cuda"
"""Devices that latency is measured on, as a message names them."""
_CPU = re.compile(r"cpu-([1-9][0-9]{0,2})t")


def check_device(key: str, device: Any) -> None:
    """Checks the name of a device that latency is measured on, such as cpu-1t, the CPU with one thread.

    Raises:
        ConfigError: it is none; the message names `DEVICES`.
    """
    on_cpu = _CPU.fullmatch(device) if isinstance(device, str) else None
    if device == "cuda" or (on_cpu is not None and int(on_cpu[1]) <= MAX_THREADS):
        return
    hint = did_you_mean(str(device), ("cpu-1t", "cuda"))
    raise ConfigError(key, device, "is not measured", allowed=DEVICES, hint=hint)


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
