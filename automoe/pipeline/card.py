"""What the model card of a run's bundle says: gathered from the finished stages and from its measurement."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automoe.data import PreparedData
from automoe.export import CardFacts, KeptLimit, MeasuredLatency, SampleTranslation, TestScore
from automoe.files import read_json
from automoe.machine import identity_of
from automoe.nn.model_folder import SIZES
from automoe.pipeline.config import DecodingConfig
from automoe.pipeline.files import DISTILLATION, SELECTION, TEACHER
from automoe.pipeline.keeping import evaluated_records
from automoe.pipeline.manifest import read_manifest, versions
from automoe.pipeline.stage import Inputs
from automoe.pipeline.systems import MODEL, Use, hypotheses_file, sample_rows
from automoe.search import LATENCY, shown_cost
from automoe.search.problem import first_quality

_SAMPLES = 4
_NAMES = {LATENCY: "latency", "flops_g": "FLOPs", "params_m": "parameters", "memory_mb": "memory of the weights"}
_BEGINNINGS = {
    "inherited": "from the supernet's weights",
    "random": "from random weights",
    "teacher": "from the teacher's weights, experts and routers aside",
}
_TARGETS = {
    "references": "the references",
    "teacher": "the teacher's translations",
    "both": "the references and the teacher's translations",
}


def card_facts(
    inputs: Inputs,
    trained: Path,
    measured: Mapping[str, Any],
    own: Use,
    decoding: DecodingConfig,
    out: Path,
    signature: str,
) -> CardFacts:
    """All that the card says beside the model itself.

    Args:
        inputs: the finished stages; `data` at least.
        trained: folder of the stage whose model it is.
        measured: what `MEASURED` holds; without latency and budget where nothing was measured.
        own: how the bundle was run for its scores.
        decoding: how it translated.
        out: the folder that holds its translations.
        signature: of the run.
    """
    prepared, system = PreparedData.open(inputs["data"]), measured["system"]
    return CardFacts(
        data=_data(prepared),
        training=_training(inputs, trained),
        budget=tuple(_kept(line) for line in measured.get("budget", ())),
        latency=_latency(measured["latency"]) if "latency" in measured else None,
        scores=tuple(TestScore(name=name, **system[name]) for name in ("BLEU", "chrF")),
        test_sentences=measured["sentences"],
        scored_with=f"{own.backend} in {own.precision}, beam {decoding.beam}",
        samples=_samples(prepared, out),
        params_reachable=system["costs"]["params_reachable"],
        signature=signature,
    )


def signature_of(run: str, inputs: Inputs) -> str:
    """The run on one line, in the manner of sacreBLEU (Post 2018): run, seed, the results that it used, versions."""
    folders = {name: folder.resolve() for name, folder in inputs.folders.items()}
    seeds = {read_manifest(folder).identity.seed for folder in folders.values()}
    known = versions()
    parts = {"automoe": known.pop("automoe"), "run": run}
    parts["seed"] = ",".join(str(seed) for seed in seeds if seed is not None) or "none"
    parts |= {name: folder.name for name, folder in folders.items()} | known
    return "|".join(f"{name}:{value}" for name, value in parts.items())


def _data(prepared: PreparedData) -> dict[str, str]:
    summary = prepared.summary
    sizes = ", ".join(f"{size:,} {split}" for split, size in summary.sizes.items())
    return {
        "corpus": summary.corpus,
        "languages": f"{summary.source_lang} to {summary.target_lang}",
        "sentence pairs": sizes,
        "vocabulary": f"{summary.vocab_size:,} pieces of SentencePiece, shared",
        "fingerprint": summary.fingerprint,
    }


def _training(inputs: Inputs, trained: Path) -> dict[str, str]:
    """How the weights were made, as the manifest of their stage says."""
    config: Mapping[str, Any] = read_manifest(trained.resolve()).identity.config
    sizes = read_json(trained / SIZES)
    said: dict[str, str] = {}
    if "distill" in config:
        said = _distillation(inputs, config["distill"], trained)
    if "update" in sizes:  # a supernet that was taken over need not say
        said |= {"updates": f"{sizes['update']:,}", "validation loss": _nats(sizes["valid_nll"])}
    return said


def _distillation(inputs: Inputs, config: Mapping[str, Any], trained: Path) -> dict[str, str]:
    targets = config.get("targets", "references")
    said = {"began": _BEGINNINGS[config["initial"]], "learnt": _TARGETS[targets]}
    if config["share"]:
        share = f"{100 * config['share']:g} % of the loss, temperature {config['temperature']:g}"
        said["learnt from the teacher's predictions"] = share
    if config["share"] or targets != "references" or config["initial"] == "teacher":
        teacher = read_json(inputs["teacher"] / TEACHER)
        said["teacher"] = f"{', '.join(teacher['models'])}; validation loss {_nats(teacher['valid_nll'])}"
    begins = read_json(trained / DISTILLATION)["begins_nll"]
    if begins is not None:
        said["validation loss where it began"] = _nats(begins)
    if "select" in inputs.folders:
        said |= _choice(inputs)
    return said


def _choice(inputs: Inputs) -> dict[str, str]:
    """What the architecture was chosen by, among those that kept the budget; nothing where that is not known."""
    searched = read_manifest(inputs["search"].resolve()).identity.config.get("search", {})
    if not {"objectives", "sentences"} <= set(searched):
        return {}
    selection = read_json(inputs["select"] / SELECTION)
    quality = first_quality(searched["objectives"])
    record = next(each for each in evaluated_records(inputs) if each.digest == selection["digest"])
    value = _nats(record.loss) if quality == "loss" or record.bleu is None else f"{record.bleu:.2f}"
    sentences = min(searched["sentences"], PreparedData.open(inputs["data"]).summary.sizes["valid"])
    name = {"loss": "validation loss", "bleu": "BLEU"}[quality]
    return {
        f"chosen by the {name} of its inherited weights": f"{value} on {sentences:,} sentences of the validation set"
    }


def _nats(loss: float) -> str:
    return f"{loss:.4f} nats a token"


def _kept(line: Mapping[str, Any]) -> KeptLimit:
    cost, sessions = line["cost"], line["sessions"]
    ratio = "" if line["max_ratio"] is None else f" ({100 * line['max_ratio']:g} % of the largest)"
    how = "exact" if not sessions else "measured" if len(sessions) == 1 else f"median of {len(sessions)} measurements"
    return KeptLimit(
        cost=_NAMES.get(cost, cost),
        limit=shown_cost(cost, line["max"]) + ratio,
        value=shown_cost(cost, line["value"]),
        how=how,
        kept=line["kept"],
    )


def _latency(latency: Mapping[str, Any]) -> MeasuredLatency:
    device, here, of_table = (latency[name] for name in ("device", "machine", "machine_of_the_table"))
    gpu = latency.get("gpu")
    machine = here["processor"] if gpu is None else f"{here['processor']}, {gpu}"
    scaled = ""
    if identity_of(here, device) != identity_of(of_table, device):
        names = [of_table["processor"], *(of_table.get("gpus") or () if device.startswith("cuda") else ())]
        clock = f" ({latency['raw_ms']:.2f} ms by the clock)" if "raw_ms" in latency else ""
        scaled = f"{clock}, scaled to {', '.join(dict.fromkeys(names))}, where the run's table was measured"
    threads = f"{latency['threads']} thread{'s' * (latency['threads'] > 1)}"
    batch = "one sentence at a time" if latency["batch"] == 1 else f"{latency['batch']} sentences together"
    return MeasuredLatency(
        **{name: latency[name] for name in ("ms", "low_ms", "high_ms")},
        circumstances=(
            f"{device.partition('-')[0]}, {threads}, {latency['backend']} in {latency['precision']}, beam "
            f"{latency['beam']}, {batch}, on {machine}{scaled}"
        ),
    )


def _samples(prepared: PreparedData, out: Path) -> tuple[SampleTranslation, ...]:
    sources, references = prepared.text("test", "src"), prepared.text("test", "tgt")
    translations = (out / hypotheses_file(MODEL)).read_text(encoding="utf-8").split("\n")
    return tuple(
        SampleTranslation(source=sources[row], translation=translations[row], reference=references[row])
        for row in sample_rows(len(sources), _SAMPLES)
    )
