"""A machine without time of its own: its clock shows what models cost times how slow the machine is just now."""

from __future__ import annotations

from automoe.latency import Panel, ProfileConfig, Profiler, TableHeader
from automoe.space import Architecture
from tests.architectures import DENSE
from tests.decoding.hash_model import HashModel, HashStepper

PANEL = Panel(sources=((5, 6, 2), (7, 8, 9, 2)), lengths=(3, 5))
HEADER = TableHeader(
    space_digest="0123456789ab",
    space_name="tiny",
    device="cpu-1t",
    backend="onnx",
    precision="float32",
    beam=3,
    threads=1,
    repeats=3,
    panel_digest=PANEL.digest,
    reference_digest=DENSE.digest,
    machine={"processor": "fake"},
    versions={"automoe": "0"},
)


class Machine:
    """`slowness` multiplies all costs and may be changed at any time."""

    def __init__(self, slowness: float = 1.0) -> None:
        self.slowness = slowness
        self.seconds = 0.0
        self.opened: list[Architecture] = []

    def clock(self) -> float:
        return self.seconds

    def cost(self, arch: Architecture) -> float:
        """Seconds of one decoding step at slowness 1."""
        return 0.001 * len(arch.decoder.layers) + 1e-6 * arch.decoder.dim

    def open_stepper(self, arch: Architecture) -> HashStepper:
        self.opened.append(arch)
        machine = self

        class Stepper(HashStepper):
            def step(self, tokens_N, order_N):
                machine.seconds += machine.cost(arch) * machine.slowness
                return super().step(tokens_N, order_N)

        return Stepper(HashModel(20))

    def profiler(self, baseline_ms: float | None = None, repeats: int = 3) -> Profiler:
        config = ProfileConfig(repeats=repeats)
        return Profiler(self.open_stepper, PANEL, DENSE, config, beam=3, baseline_ms=baseline_ms, clock=self.clock)
