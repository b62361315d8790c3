"""The run commands: executes the stages up to the one that was asked for, and prints what it made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
Result = dict[str, Any]
"""What a command made, as JSON values."""


def run(command: str, config: RunConfig, *, as_json: bool = False) -> None:
    """Carries out a run command and prints its result.

    Args:
        command: a stage's name, or `run` for all of them.
        config: the whole configuration.
        as_json: print JSON instead of tables.
    """
    target = STAGES[-1].name if command == "run" else command
    folders = execute(STAGES, config, target)
    result, table = _COMMANDS[command]
    made = {**result(folders), "folder": str(folders[target])}
    print(json.dumps(made, indent=2, ensure_ascii=False) if as_json else table(made))


def _data(folders: Folders) -> Result:
    return asdict(PreparedData.open(folders["data"]).summary)


def _data_table(made: Result) -> str:
    return f"{PreparedData.open(Path(made['folder'])).summary}\n{made['folder']}"


def _supernet(folders: Folders) -> Result:
    return {"validations": [record for record in read_log(folders["supernet"]) if record["kind"] == "valid"]}


def _supernet_table(made: Result) -> str:
    rows = [[record["update"], f"{record['nll_loss']:.4f}"] for record in made["validations"]]
    return f"{format_table(['update', 'validation loss (nats a token)'], rows)}\n{made['folder']}"


def _export(folders: Folders) -> Result:
    return {"bundle": str(folders["export"] / BUNDLE)}


def _export_table(made: Result) -> str:
    return f'The bundle: {made["bundle"]}\nTry it: echo "Turn on the light" | automoe translate {made["bundle"]}'


def _evaluate(folders: Folders) -> Result:
    scores: Result = json.loads((folders["evaluate"] / SCORES).read_bytes())
    return scores


def _evaluate_table(made: Result) -> str:
    rows = []
    for system, name in (("model", "this model"), ("copy_the_source", "copying the source")):
        rows.append([name, *(f"{made[system][metric]['value']:.1f}" for metric in ("BLEU", "chrF"))])
    lines = [format_table([f"test set, {made['sentences']} sentences", "BLEU", "chrF"], rows), ""]
    lines += [f"{metric}: {made['model'][metric]['signature']}" for metric in ("BLEU", "chrF")]
    if (errors := made["placeholders"]) is not None:
        counts = ", ".join(f"{errors[kind]} {kind}" for kind in ("expected", "lost", "invented"))
        lines.append(f"placeholders: {counts}")
    for layer, loads in made["expert_loads"].items():
        unused = f" ({loads.count(0)} of {len(loads)} unused)" if 0 in loads else ""
        lines.append(f"test tokens of each expert, {layer}: {', '.join(map(str, loads))}{unused}")
    return "\n".join(lines)


def _run(folders: Folders) -> Result:
    prepared = PreparedData.open(folders["data"])
    sources, references = prepared.text("test", "src"), prepared.text("test", "tgt")
    hypotheses = (folders["evaluate"] / HYPOTHESES).read_text(encoding="utf-8").split("\n")
    step = max(1, len(sources) // _SAMPLES)
    samples = [
        {"source": sources[i], "translation": hypotheses[i], "reference": references[i]}
        for i in range(0, step * min(_SAMPLES, len(sources)), step)
    ]
    return {**_evaluate(folders), **_export(folders), "samples": samples}


def _run_table(made: Result) -> str:
    samples = ["\n".join(f"{kind:<13}{text}" for kind, text in sample.items()) for sample in made["samples"]]
    return "\n\n".join([_evaluate_table(made), *samples, _export_table(made)])


_COMMANDS: dict[str, tuple[Callable[[Folders], Result], Callable[[Result], str]]] = {
    "run": (_run, _run_table),
    "data": (_data, _data_table),
    "supernet": (_supernet, _supernet_table),
    "export": (_export, _export_table),
    "evaluate": (_evaluate, _evaluate_table),
}
