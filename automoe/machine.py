"""What machine this is: for people who read a measurement, and for tables that one machine alone may continue."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_FAST_ISA = (
    *("avx", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "sve", "i8mm", "bf16"),
)
"""Extensions that matrix products gain from, as Linux names them: x86 first, then ARM (asimd is NEON)."""
_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA = Path("/proc/driver/nvidia")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


@cache
def describe_machine() -> dict[str, Any]:
    """What this machine computes with, from the system's own files; nothing that names its owner.

    Returns:
        `processor`, `isa` (extensions that matter), `cores` (usable by this process), `governor` of the
        clock frequency, `gpus` by name, `gpu_driver`; None where the system does not tell.
    """
    facts = _facts(_lines(_CPUINFO))
    flags = set((facts.get("flags") or facts.get("Features") or "").split())
    gpus, driver = _nvidia_files() or _nvidia_smi()
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "isa": [name for name in _FAST_ISA if name in flags],
        "cores": len(os.sched_getaffinity(0)),
        "governor": next(iter(_lines(_GOVERNOR)), None),
        "gpus": gpus,
        "gpu_driver": driver,
    }


def identity_of(machine: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The part of a machine's description by which it is known again: what it computes with.

    Args:
        machine: as `describe_machine` returns it.
        device: what is measured on: with "cuda" the GPUs count too.
    """
    names = ("processor", "gpus") if device.startswith("cuda") else ("processor",)
    return {name: machine.get(name) for name in names}


def _facts(lines: list[str]) -> dict[str, str]:
    """The first value of each name in lines of the form "name : value"."""
    facts: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    return facts


def _nvidia_files() -> tuple[list[str], str | None] | None:
    """Names of the GPUs, and the driver's version; None where the driver shows no files, as in some containers."""
    gpus = [_facts(_lines(path)).get("Model") for path in sorted((_NVIDIA / "gpus").glob("*/information"))]
    names = [name for name in gpus if name is not None]
    if not names:
        return None
    version = _facts(_lines(_NVIDIA / "version")).get("NVRM version", "")
    return names, next((word for word in version.split() if word[0].isdigit()), None)


def _nvidia_smi() -> tuple[list[str], str | None]:
    """The same as NVIDIA's own program tells it; nothing where it is not there, hangs, or finds no GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], None
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):  # a driver that hangs
        return [], None
    if done.returncode != 0:
        return [], None
    gpus = [line.rpartition(",") for line in done.stdout.splitlines() if "," in line]
    return [name.strip() for name, _, _ in gpus], gpus[0][2].strip() if gpus else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
