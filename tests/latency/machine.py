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
    batch=1,
    threads=1,
    routing="trained",
    repeats=5,
    max_repeats=15,
    tolerance=0.01,
    lengths=None,
    panel_digest=PANEL.digest,
    reference_digest=DENSE.digest,
    machine={"processor": "fake", "isa": ["avx2"], "cores": 1, "governor": None, "gpus": [], "gpu_driver": None},
    versions={"automoe": "0"},
)


class Machine:
    """`slowness` multiplies all costs and may be changed at any time; `noise` gives a factor for every call of
    any model that is not the reference."""

    def __init__(self, slowness: float = 1.0, noise=lambda: 1.0) -> None:
        self.slowness = slowness
        self.noise = noise
        self.seconds = 0.0
        self.opened: list[Architecture] = []

    def clock(self) -> float:
        return self.seconds

    def cost(self, arch: Architecture) -> float:
        """Seconds of one decoding step at slowness 1."""
        return 0.001 * len(arch.decoder.layers) + 1e-6 * arch.decoder.dim

    def encoder_cost(self, arch: Architecture) -> float:
        """Seconds of encoding one batch at slowness 1."""
        return 0.002 * len(arch.encoder.layers)

    def latency_ms(self, arch: Architecture, panel: Panel = PANEL) -> float:
        """What the quiet machine takes for a sentence of the panel, each translated alone."""
        return 1000 * (self.encoder_cost(arch) * len(panel) + self.cost(arch) * panel.steps) / len(panel)

    def open_stepper(self, arch: Architecture) -> HashStepper:
        self.opened.append(arch)
        machine = self

        class Stepper(HashStepper):
            def start(self, sources, num_candidates):
                machine.spend(machine.encoder_cost(arch), arch)
                super().start(sources, num_candidates)

            def step(self, tokens_N, order_N):
                machine.spend(machine.cost(arch), arch)
                return super().step(tokens_N, order_N)

        return Stepper(HashModel(20))

    def spend(self, seconds: float, arch: Architecture) -> None:
        self.seconds += seconds * self.slowness * (1.0 if arch == DENSE else self.noise())

    def profiler(self, baseline_ms: float | None = None, panel: Panel = PANEL, beam: int = 3, **settings) -> Profiler:
        config = ProfileConfig(**{"sentences": len(panel)} | settings)
        return Profiler(self.open_stepper, panel, DENSE, config, beam=beam, baseline_ms=baseline_ms, clock=self.clock)
