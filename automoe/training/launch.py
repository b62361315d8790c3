"""Starts the processes of one training on this machine, and ends them all as soon as one fails."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence

import torch.distributed as dist

_HOST = "127.0.0.1"
_INTERFACE = "GLOO_SOCKET_IFNAME"
"""Environment variable: the network interface for gloo, which would ask for the host's name: some have none."""
LOST = 3
"""Exit status of a process that ended only because another one did."""
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 10.0
"""How long the others may take to see by themselves that one has failed."""


def launch(
    command: Sequence[str], count: int, environment: Mapping[str, str], *, quiet: bool = False
) -> tuple[int, int]:
    """Runs a command in `count` processes, each with a place of its own in its environment, until all have ended.

    The variables are torchrun's. This process is where they find each other, as torchrun's agent is there, so that
    the port is free for certain. When one process fails, the others are ended.

    Args:
        command: the program and its arguments.
        count: of processes.
        environment: of all of them.
        quiet: what they write to stderr is thrown away.

    Returns:
        The first process that failed, and its status (minus the signal that ended it); (0, 0) if none did.
    """
    alike = {_INTERFACE: "lo", **environment, "WORLD_SIZE": str(count)}
    if count > 1:
        # It lives until this function returns.
        store = dist.TCPStore(_HOST, 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
        alike |= {"MASTER_ADDR": _HOST, "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    shown = subprocess.DEVNULL if quiet else None
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(count):
            own = {**alike, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            processes.append(subprocess.Popen(command, env=own, stderr=shown))
        _wait(processes)
        return _cause([process.poll() for process in processes])
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Waits for the end of all, but not for long when one has failed."""
    deadline = float("inf")
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        if deadline == float("inf") and any(process.poll() for process in processes):
            deadline = time.monotonic() + _GRACE_SECONDS
        time.sleep(_POLL_SECONDS)


def _cause(statuses: Sequence[int | None]) -> tuple[int, int]:
    """Which process failed and with what status: by a signal or an error of its own rather than as another's."""
    failed = [(rank, status) for rank, status in enumerate(statuses) if status]
    return min(failed, key=lambda place: (place[1] == LOST, place[1] > 0, place[0]), default=(0, 0))
