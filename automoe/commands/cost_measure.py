"""`automoe cost --measure`: how long an architecture takes for a sentence on this machine, before it is trained."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

from automoe.commands.options import options_named
from automoe.decoding import SearchConfig
from automoe.errors import ConfigError
from automoe.latency import Measurement, Panel, ProfileConfig, Profiler, random_panel
from automoe.latency.sentences import PANEL_SEED
from automoe.latency.untrained import open_untrained
from automoe.machine import describe_machine
from automoe.progress import Progress
from automoe.space import Architecture, DecoderArch, DecoderLayerArch, EncoderArch, EncoderLayerArch

REFERENCE = Architecture(
    encoder=EncoderArch(dim=128, layers=(EncoderLayerArch(heads=2, qkv_dim=128, expert_widths=(256,)),)),
    decoder=DecoderArch(
        dim=128,
        layers=(DecoderLayerArch(heads=2, qkv_dim=128, expert_widths=(256,), cross_heads=2, cross_qkv_dim=128),),
    ),
)
"""Timed in turns with the architecture, so that what else the machine does shows; small, so that it takes little."""
_BACKENDS = {"cpu": "onnx", "cuda": "torch"}
"""What runs models on each device, if nobody says."""
_FEWEST_WORDS = 5


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """How an architecture is timed."""

    lengths: tuple[int, ...] = (10, 20, 30)
    """Tokens of each sentence and of its translation, the end symbols counted."""
    threads: int = 1
    """Threads within an operation."""
    precision: str = "float32"
    """In which the model runs."""
    beam: int = 5
    """Hypotheses that are followed."""
    batch: int = 1
    """Sentences translated together, of the same length."""
    device: str = "cpu"
    """Where the model runs."""
    backend: str = "onnx"
    """What runs it."""


def add_measure_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--measure` and the options that mean something with it alone; they are None where nobody gave them."""
    default = MeasureOptions()
    lengths = " ".join(map(str, default.lengths))
    parser.add_argument("--measure", action="store_true", help="time it on this machine, with random weights")
    group = parser.add_argument_group("with --measure")
    group.add_argument(
        "--lengths", type=int, nargs="+", metavar="N", help=f"tokens of the sentences (default: {lengths})"
    )
    group.add_argument("--threads", type=int, metavar="N", help=f"threads of the model (default: {default.threads})")
    group.add_argument("--precision", metavar="P", help="float32, int8 (onnx), bfloat16 (torch) (default: float32)")
    group.add_argument("--beam", type=int, metavar="N", help=f"hypotheses (default: {default.beam})")
    group.add_argument("--batch", type=int, metavar="N", help=f"sentences together (default: {default.batch})")
    group.add_argument("--device", choices=tuple(_BACKENDS), help=f"(default: {default.device})")
    group.add_argument("--backend", metavar="NAME", help="onnx or torch (default: onnx on the CPU, torch on a GPU)")


def measure_options(args: argparse.Namespace) -> MeasureOptions | None:
    """What the command line says; None without `--measure`.

    Raises:
        ConfigError: an option was given that means nothing without `--measure`.
    """
    names = [field.name for field in fields(MeasureOptions)]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.measure:
        usual: dict[str, Any] = {"backend": _BACKENDS[given.get("device", MeasureOptions.device)]}
        lengths = {"lengths": tuple(given["lengths"])} if "lengths" in given else {}
        return MeasureOptions(**usual | given | lengths)
    for name, value in given.items():
        raise ConfigError(f"--{name}", value, "means nothing without --measure", hint="Give --measure too")
    return None


def measure(arch: Architecture, options: MeasureOptions, *, vocab_size: int, pre_norm: bool) -> dict[str, Any]:
    """Times an architecture with random weights and even routing, as it would be shipped.

    Args:
        arch: the architecture.
        options: how.
        vocab_size: entries of the shared vocabulary.
        pre_norm: whether layer norms stand before the sub-layers, or after them.

    Returns:
        JSON: times per sentence in milliseconds (see `Measurement`), the options, the machine, the versions.

    Raises:
        ConfigError: an option is not allowed, or the machine lacks the device.
        DependencyError: torch or what the backend needs is not installed.
    """
    names = {f"profile.{field.name}": f"--{field.name}" for field in fields(MeasureOptions)}
    names |= {name: f"--{name}" for name in ("beam", "precision", "device", "backend")}
    with options_named(names):
        row, panel = _measured(arch, options, vocab_size, pre_norm)
    from automoe.pipeline.manifest import versions

    form = row.to_dict()
    del form["digest"], form["architecture"], form["expert_loads"]
    return {
        **form,
        "decoder_ms": row.decoder_ms,
        "options": asdict(options),
        "panel_digest": panel.digest,
        "reference_digest": REFERENCE.digest,
        "machine": describe_machine(),
        "versions": versions(),
    }


def measured_lines(arch: Architecture, found: dict[str, Any]) -> list[str]:
    """What `measure` found, for people."""
    options, machine = found["options"], found["machine"]
    lengths = ", ".join(map(str, options["lengths"]))
    device = ", ".join(machine["gpus"]) if options["device"] == "cuda" else machine["processor"]
    threads = "1 thread" if options["threads"] == 1 else f"{options['threads']} threads"
    passes = f"{found['repeats']} passes beside a small reference"
    if found["spread"] is not None:
        passes += f", known to {100 * found['spread']:.1f} %"
    lines = [
        f"latency per sentence of {lengths} tokens and a translation as long, beam {options['beam']}, "
        f"batch {options['batch']},",
        f"{options['backend']} {options['precision']} on {device}, {threads}, random weights",
        _line("median", f"{found['latency_ms']:.2f} ms", passes),
        _line("  encoder", f"{found['encoder_ms']:.2f} ms"),
        _line("  decoder and search", f"{found['decoder_ms']:.2f} ms", f"{found['steps']} steps a pass"),
        _line("fastest pass", f"{found['low_ms']:.2f} ms"),
        _line("slowest pass", f"{found['high_ms']:.2f} ms"),
        _line("distinct beams", f"{100 * found['distinct_beams']:.0f} %", "steps whose hypotheses all differ"),
    ]
    if any(layer.num_experts > 1 for _, _, layer in arch.layers()):
        lines.append(
            "experts are loaded about alike, as in the budgeted FLOPs; trained routers may load them otherwise"
        )
    return lines


def _line(name: str, value: str, note: str = "") -> str:
    return f"{name:<24}{value:>18}  {'':>8}  {note}".rstrip()


def _measured(
    arch: Architecture, options: MeasureOptions, vocab_size: int, pre_norm: bool
) -> tuple[Measurement, Panel]:
    SearchConfig(beam=options.beam)  # what is not allowed shall not wait for the models
    if vocab_size < _FEWEST_WORDS:
        raise ConfigError("--vocab-size", vocab_size, "is too small to translate", allowed=f">= {_FEWEST_WORDS}")
    each = max(options.batch, 1)
    panel = random_panel([length for length in options.lengths for _ in range(each)], vocab_size, PANEL_SEED)
    config = ProfileConfig(
        sentences=each * len(options.lengths),
        lengths=options.lengths,
        batch=options.batch,
        device=options.device,
        threads=options.threads,
        backend=options.backend,
        precision=options.precision,
    )
    opened = partial(
        open_untrained,
        vocab_size=vocab_size,
        pre_norm=pre_norm,
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        device=options.device,
    )
    with Progress("measuring", total=3, unit="step") as progress:
        stepper = opened(arch)
        progress.advance(note="its model is made")
        profiler = Profiler(opened, panel, REFERENCE, config, beam=options.beam)
        progress.advance(note="the reference is made")
        row = profiler.measure(arch, stepper=stepper)
        progress.advance()
    return row, panel
