"""The run commands: executes the stages up to the one that was asked for, and prints what it made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from automoe.data import PreparedData
from automoe.pipeline.config import RunConfig
from automoe.pipeline.data import DATA
from automoe.pipeline.evaluate import EVALUATE, HYPOTHESES, SCORES
from automoe.pipeline.execute import execute
from automoe.pipeline.export import BUNDLE, EXPORT
from automoe.pipeline.supernet import SUPERNET
from automoe.terminal import format_table
from automoe.training.log import read_log

STAGES = (DATA, SUPERNET, EXPORT, EVALUATE)
_SAMPLES = 3

Folders = dict[str, Path]


def run(command: str, config: RunConfig) -> None:
    """Carries out a run command and prints its result.

    Args:
        command: a stage's name, or `run` for all of them.
        config: the whole configuration.
    """
    target = STAGES[-1].name if command == "run" else command
    folders = execute(STAGES, config, target)
    print(_SUMMARIES[command](folders))


def _data(folders: Folders) -> str:
    return f"{PreparedData.open(folders['data']).summary}\n{folders['data']}"


def _supernet(folders: Folders) -> str:
    validations = [record for record in read_log(folders["supernet"]) if record["kind"] == "valid"]
    rows = [[str(record["update"]), f"{record['nll_loss']:.4f}"] for record in validations]
    return f"{format_table(['update', 'validation loss (nats a token)'], rows)}\n{folders['supernet']}"


def _export(folders: Folders) -> str:
    bundle = folders["export"] / BUNDLE
    return f'The bundle: {bundle}\nTry it: echo "Turn on the light" | automoe translate {bundle}'


def _evaluate(folders: Folders) -> str:
    scores = json.loads((folders["evaluate"] / SCORES).read_text())
    rows = []
    for system, name in (("model", "this model"), ("copy_the_source", "copying the source")):
        rows.append([name, *(f"{scores[system][metric]['value']:.1f}" for metric in ("BLEU", "chrF"))])
    lines = [format_table([f"test set, {scores['sentences']} sentences", "BLEU", "chrF"], rows), ""]
    lines += [f"{metric}: {scores['model'][metric]['signature']}" for metric in ("BLEU", "chrF")]
    if scores["placeholders"] is not None:
        lines.append(
            "placeholders: {expected} expected, {lost} lost, {invented} invented".format(**scores["placeholders"])
        )
    for layer, loads in scores["expert_loads"].items():
        shares = ", ".join(f"{load / sum(loads):.0%}" for load in loads)
        lines.append(f"tokens of each expert, {layer}: {shares}")
    return "\n".join(lines)


def _run(folders: Folders) -> str:
    prepared = PreparedData.open(folders["data"])
    sources, references = prepared.text("test", "src"), prepared.text("test", "tgt")
    hypotheses = (folders["evaluate"] / HYPOTHESES).read_text().splitlines()
    step = max(1, len(sources) // _SAMPLES)
    samples = [
        f"\nsource       {sources[i]}\ntranslation  {hypotheses[i]}\nreference    {references[i]}"
        for i in range(0, step * min(_SAMPLES, len(sources)), step)
    ]
    return "\n".join([_evaluate(folders), *samples, "", _export(folders)])


_SUMMARIES: dict[str, Callable[[Folders], str]] = {
    "run": _run,
    "data": _data,
    "supernet": _supernet,
    "export": _export,
    "evaluate": _evaluate,
}
