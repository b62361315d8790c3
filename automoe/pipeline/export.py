"""Stage `export`: the finished model becomes a bundle, which is scored, measured and held against its budget.

It holds the bundle in the folder `bundle`; `hypotheses.model.txt`, the test set as it translates it; and
`measured.json`: its scores, costs and latency in the runtime that is shipped, and each limit of the budget beside
them. A bundle that breaks its budget is refused: the stage is not finished, and what it made stays unfinished. The
same command then measures again and makes nothing anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from automoe.bundle import read_bundle
from automoe.data import PreparedData
from automoe.data.alignment import build_shortlist
from automoe.decoding.shortlist import Shortlist
from automoe.errors import BundleError
from automoe.export import rewrite_card
from automoe.files import read_json, write_json
from automoe.latency import TABLE_FILE, Measurement, ProfileConfig, read_table
from automoe.machine import describe_machine
from automoe.nn.model_folder import SIZES
from automoe.pipeline.card import card_facts, signature_of
from automoe.pipeline.config import DecodingConfig, ExportSection, RunConfig, ShortlistSection
from automoe.pipeline.files import MEASURED
from automoe.pipeline.keeping import held_against, limits_of, measured_sessions, refuse_broken
from automoe.pipeline.measuring import Bench, check_measurable
from automoe.pipeline.shipping import ship
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.pipeline.systems import MODEL, TestSet, Use, hypotheses_file
from automoe.runtime.backend import find_backend
from automoe.search import in_budget_units, parse_budget
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
    own = Use(backend=part.profile.backend, precision=part.profile.precision, device=part.profile.device)
    measured = _made_and_scored(part, inputs, out, own)
    refused_before = any(not line["kept"] for line in measured.get("budget", ()))
    limits = limits_of(inputs, part.section)
    sessions = measured_sessions(limits, _session(part, inputs, out), refused_before=refused_before)
    held = held_against(limits, in_budget_units(measured["system"]["costs"]), sessions)
    measured |= {"latency": _latency(part, inputs, sessions), "budget": [each.to_dict() for each in held]}
    write_json(out / MEASURED, measured)
    refuse_broken(held, inputs, part.quality)
    _describe(part, inputs, out, measured, own)


def _run_one(part: ExportOnePart, inputs: Inputs, out: Path) -> None:
    own = Use()
    _describe(part, inputs, out, _made_and_scored(part, inputs, out, own), own)


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
    open_bundle = find_backend(part.profile.backend)

    def session() -> Measurement:
        stepper = open_bundle(
            bundle, threads=part.profile.threads, precision=part.profile.precision, device=part.profile.device
        )
        return bench.profiler(baseline_ms).measure(chosen, stepper=stepper)

    return session


def _latency(part: ExportPart, inputs: Inputs, sessions: list[Measurement]) -> dict[str, Any]:
    """The session in the middle, and under which circumstances it was measured."""
    row = sorted(sessions, key=lambda each: each.latency_ms)[len(sessions) // 2]
    header = read_table(inputs["profile"] / TABLE_FILE).header
    names = ("device", "backend", "precision", "threads", "beam", "batch")
    return {
        **dict(zip(("ms", "low_ms", "high_ms"), row.bounds(), strict=True)),
        "sessions": [each.latency_ms for each in sessions],
        **{name: getattr(header, name) for name in names},
        "machine": describe_machine(),
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
