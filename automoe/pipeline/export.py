"""Stage `export`: the finished model becomes a bundle, which is scored, measured and held against its budget.

It holds the bundle in the folder `bundle`; `hypotheses.model.txt`, the test set as it translates it; and
`measured.json`: its scores, costs and latency in the runtime that is shipped, and each limit of the budget beside
them. A bundle that breaks its budget is refused: the stage is not finished, and what it made stays unfinished. The
same command then measures again and makes nothing anew. Each session of measuring is noted at once: one above the
limit counts even if the command was stopped after it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from automoe.bundle import Bundle, read_bundle
from automoe.data import PreparedData
from automoe.data.alignment import build_shortlist
from automoe.decoding import Stepper
from automoe.decoding.shortlist import Shortlist
from automoe.errors import BundleError
from automoe.export import rewrite_card
from automoe.files import read_json, write_json
from automoe.latency import TABLE_FILE, Measurement, ProfileConfig, read_table
from automoe.machine import describe_machine, identity_of
from automoe.nn.model_folder import SIZES
from automoe.pipeline.card import card_facts, signature_of
from automoe.pipeline.config import DecodingConfig, ExportSection, RunConfig, ShortlistSection
from automoe.pipeline.files import MEASURED
from automoe.pipeline.keeping import held_against, limits_of, measured_sessions, most_latency, refuse_broken
from automoe.pipeline.measuring import Bench, check_measurable
from automoe.pipeline.shipping import ship
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.pipeline.systems import MODEL, TestSet, Use, hypotheses_file
from automoe.runtime.backend import find_backend
from automoe.search import LATENCY, in_budget_units, parse_budget, shown_cost
from automoe.search.problem import first_quality

BUNDLE = "bundle"
"""Name of the bundle's folder within the stage's."""


@dataclass(frozen=True, kw_only=True)
class ExportOnePart:
    """What the bundle depends on beside the trained model and its corpus."""

    decoding: DecodingConfig
    export: ExportSection
    run: str = field(metadata={"hashed": False})
    """Name of the run, for the card."""


@dataclass(frozen=True, kw_only=True)
class ExportPart(ExportOnePart):
    """The same where there is a budget, which is in the choice already."""

    space: SpacePart
    profile: ProfileConfig
    section: str = field(metadata={"hashed": False})
    """Where the user gave the budget, for messages."""
    quality: str = field(metadata={"hashed": False})
    """What is best, out of `QUALITIES`."""


def _part_of_one(config: RunConfig) -> ExportOnePart:
    export = config.export
    if not export.shortlist.build:  # what is not read shall not be hashed
        export = replace(export, shortlist=ShortlistSection(build=False))
    return ExportOnePart(decoding=config.decoding, export=export, run=config.run)


def _part(config: RunConfig) -> ExportPart:
    one = _part_of_one(config)
    return ExportPart(
        decoding=one.decoding,
        export=one.export,
        run=one.run,
        space=searched_part(config),
        profile=config.profile,
        section=parse_budget(config.budget)[0].section,
        quality=first_quality(config.search.objectives),
    )


def _run(part: ExportPart, inputs: Inputs, out: Path) -> None:
    own = profiled_use(part.profile)
    measured = _made_and_scored(part, inputs, out, own)
    limits = limits_of(inputs, part.section)
    refused_before = any(value > most_latency(limits) for value in measured.get("sessions", ()))
    session = _noted(_session(part, inputs, out), measured, out)
    sessions = measured_sessions(limits, session, refused_before=refused_before)
    held = held_against(limits, in_budget_units(measured["system"]["costs"]), sessions)
    measured |= {"latency": _latency(part, inputs, sessions), "budget": [each.to_dict() for each in held]}
    write_json(out / MEASURED, measured)
    refuse_broken(held, inputs, part.quality)
    _describe(part, inputs, out, measured, own)


def _run_one(part: ExportOnePart, inputs: Inputs, out: Path) -> None:
    own = Use()
    _describe(part, inputs, out, _made_and_scored(part, inputs, out, own), own)


def profiled_use(profile: ProfileConfig) -> Use:
    """How a bundle is run for scores and latencies that compare with the profile's."""
    return Use(backend=profile.backend, precision=profile.precision, device=profile.device)


def stepper_of(bundle: Bundle, use: Use, threads: int) -> Stepper:
    """The bundle, ready to be measured as it is used."""
    return find_backend(use.backend)(
        bundle, threads=threads, precision=use.precision, shortlist=use.shortlist, device=use.device
    )


def trained_folder(inputs: Inputs) -> Path:
    """Folder of the model that is exported: what was distilled, or else what was trained."""
    folder = inputs.folders.get("distill", inputs.folders.get("supernet"))
    assert folder is not None, "the stage needs one of the two"
    return folder


def _made_and_scored(part: ExportOnePart, inputs: Inputs, out: Path, own: Use) -> dict[str, Any]:
    """Makes the bundle and translates the test set with it, unless an earlier process did; what `MEASURED` holds."""
    prepared, trained = PreparedData.open(inputs["data"]), trained_folder(inputs)
    if _is_whole(out / BUNDLE) and (out / MEASURED).exists():
        earlier: dict[str, Any] = read_json(out / MEASURED)
        return earlier
    model = trained_model(trained)
    sizes = read_json(trained / SIZES)
    info = {"corpus": prepared.summary.corpus, "corpus_fingerprint": prepared.summary.fingerprint}
    if "update" in sizes:  # a supernet that was taken over need not say
        info |= {"training_updates": sizes["update"], "validation_nll": round(sizes["valid_nll"], 4)}
    ship(
        model,
        out / BUNDLE,
        prepared,
        part.decoding,
        info,
        precisions=part.export.precisions,
        shortlist=_shortlist(prepared, part.export.shortlist),
    )
    test = TestSet(prepared, part.decoding.batch_size)
    scored = test.score_bundle(MODEL, out / BUNDLE, own, out / hypotheses_file(MODEL)) | test.costs_and_loads(model)
    measured = {"system": scored, "sentences": len(test)}
    write_json(out / MEASURED, measured)
    return measured


def _is_whole(bundle: Path) -> bool:
    try:
        read_bundle(bundle)
    except BundleError:
        return False
    return True


def _shortlist(prepared: PreparedData, config: ShortlistSection) -> Shortlist | None:
    """What the tokens of the training sources became, by alignment of the training pairs."""
    if not config.build:
        return None
    sources, targets = prepared.ids("train", "src"), prepared.ids("train", "tgt")
    return build_shortlist(sources, targets, prepared.summary.vocab_size, config)


def _session(part: ExportPart, inputs: Inputs, out: Path) -> Callable[[], Measurement]:
    """Measures the bundle as the profile measures, comparable with its table: see `Bench`."""
    prepared, supernet = PreparedData.open(inputs["data"]), trained_model(inputs["supernet"])
    bench = Bench(supernet, prepared, part.space.space, part.profile, part.decoding.beam, out)
    baseline_ms = read_table(inputs["profile"] / TABLE_FILE).header.reference_baseline_ms
    bundle, chosen = read_bundle(out / BUNDLE), trained_model(trained_folder(inputs)).maximum

    def session() -> Measurement:
        stepper = stepper_of(bundle, profiled_use(part.profile), part.profile.threads)
        return bench.profiler(baseline_ms).measure(chosen, stepper=stepper)

    return session


def _noted(session: Callable[[], Measurement], measured: dict[str, Any], out: Path) -> Callable[[], Measurement]:
    """The same, with its latency in `MEASURED` before the next session begins."""

    def noted() -> Measurement:
        row = session()
        measured["sessions"] = [*measured.get("sessions", ()), row.latency_ms]
        write_json(out / MEASURED, measured)
        return row

    return noted


def _latency(part: ExportPart, inputs: Inputs, sessions: list[Measurement]) -> dict[str, Any]:
    """The session in the middle, and under which circumstances it was measured.

    On another machine than the table's `ms` is scaled to that one; `raw_ms` is what the clock showed here.
    """
    row = sorted(sessions, key=lambda each: each.latency_ms)[len(sessions) // 2]
    header = read_table(inputs["profile"] / TABLE_FILE).header
    names = ("device", "backend", "precision", "threads", "beam", "batch")
    here, device = describe_machine(), part.profile.device
    scaled = identity_of(here, device) != identity_of(header.machine, device)
    if scaled:
        print(
            f"The run's table was measured on another machine ({header.machine['processor']}): "
            f"{shown_cost(LATENCY, row.raw_ms)} here are {shown_cost(LATENCY, row.latency_ms)} there, beside the "
            "same reference; the budget is held against the latter",
            file=sys.stderr,
            flush=True,
        )
    return {
        **dict(zip(("ms", "low_ms", "high_ms"), row.bounds(), strict=True)),
        "raw_ms": row.raw_ms,
        "scaled_to_another_machine": scaled,
        "sessions": [each.latency_ms for each in sessions],
        **{name: getattr(header, name) for name in names},
        "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "machine": here,
        "machine_of_the_table": dict(header.machine),
    }


def _describe(part: ExportOnePart, inputs: Inputs, out: Path, measured: dict[str, Any], own: Use) -> None:
    """Writes on the bundle's card what is known of it now."""
    signature = signature_of(part.run, inputs)
    facts = card_facts(inputs, trained_folder(inputs), measured, own, part.decoding, out, signature)
    info = {metric: measured["system"][metric] for metric in ("BLEU", "chrF")}
    info |= {name: measured[name] for name in ("latency", "budget") if name in measured}
    rewrite_card(out / BUNDLE, facts, info | {"signature": signature})


EXPORT = Stage(
    name="export",
    run=_run,
    part=_part,
    needs=("data", "supernet", "profile", "predictor", "search", "select", "teacher", "distill"),
    seeded=False,
    version=2,
    check=lambda part: check_measurable(part.profile),
)
EXPORT_ONE = Stage(
    name="export", run=_run_one, part=_part_of_one, needs=("data", "supernet"), seeded=False, version=2
)
"""The same for a run of one architecture, whose training is all there is: it is scored, and not measured."""
EXPORT_TAUGHT = replace(EXPORT_ONE, needs=("data", "teacher", "distill"))
"""The same for one that was taught."""
