"""`automoe worker`: evaluates for a search that runs elsewhere, or in another terminal.

It composes the same configuration as the search, so it finds the search's folder by its hash, and takes no lock.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from automoe.errors import ConfigError, RunError
from automoe.files import PARTIAL
from automoe.pipeline.config import RunConfig
from automoe.pipeline.run_folder import RunFolder, open_run
from automoe.pipeline.search import SEARCH, context_of, evaluator_of
from automoe.pipeline.stage import Inputs, Stage, Step, plan
from automoe.pipeline.workers import Meeting, meeting_of
from automoe.progress import Progress
from automoe.search.store import FolderStore, NoStoreError, OptunaStore
from automoe.search.worker import work, worker_name

_WAIT_S = 60.0
"""How long a search is waited for: workers and search may be started together."""


def run(stages: tuple[Stage[Any], ...], config: RunConfig, *, as_json: bool = False) -> None:
    """Evaluates for the search of a run until it is over, and prints how much.

    Args:
        stages: the stages of this run.
        config: the whole configuration, as the search has it.
        as_json: print JSON.

    Raises:
        ConfigError: one architecture is given, so nothing is searched.
        RunError: there is no such run, no search of these settings began within a minute, or its inputs are not here.
        AutoMoEError: evaluating failed, or the storage does not answer.
    """
    if SEARCH.name not in [stage.name for stage in stages]:
        raise ConfigError(
            "architecture", config.architecture, "one architecture is given, so nothing is searched", allowed="null"
        )
    folder = open_run(Path(config.runs_dir), config.run)
    *before, step = plan(stages, config, SEARCH.name)
    hash = step.identity.hash
    inputs = _inputs(folder, before, step)
    partial = folder.partial(SEARCH.name, hash)
    meeting = meeting_of(config.search, partial, context_of(step.part, inputs))
    name = worker_name()
    evaluated = 0
    store = _opened(meeting, name, folder, hash)
    if store is None:
        print(f"{SEARCH.name} {hash} finished earlier", file=sys.stderr, flush=True)
    else:
        print(f"worker {config.worker} ({name}) joins {SEARCH.name} {hash}", file=sys.stderr, flush=True)
        evaluate = evaluator_of(step.part, inputs)
        with Progress(f"worker {config.worker}", unit="sub-transformer") as progress:
            evaluated = work(
                store,
                evaluate,
                name,
                on_progress=lambda _arch, found: progress.advance(note=f"loss {found.loss:.3f}"),
            )
    made = {"worker": name, "search": hash, "evaluated": evaluated}
    print(json.dumps(made, indent=2) if as_json else f"{name} evaluated {evaluated} sub-transformers")


def _inputs(folder: RunFolder, before: list[Step], step: Step) -> Inputs:
    """The finished results that the search reads; waits for the last ones, and says so."""
    results = {each.stage.name: folder.result(each.stage.name, each.identity.hash) for each in before}
    needed = {name: results[name] for name in step.stage.needs}
    waiting = _Waiting()
    while missing := [path for path in needed.values() if not path.is_dir()]:
        if waiting.is_over(f"{missing[0]}, which the search reads"):
            raise RunError(
                "is not there: a worker reads what the search reads",
                file=missing[0],
                hint=f"Start automoe search run={folder.name} with the same settings, or copy the run folder here",
            )
        time.sleep(0.5)
    return Inputs(folders=needed, maybe_seed=step.identity.seed)


def _opened(meeting: Meeting, name: str, folder: RunFolder, hash: str) -> FolderStore | OptunaStore | None:
    """The store, once the search made it, which is waited for; None if the search is finished."""
    waiting = _Waiting()
    while not folder.result(SEARCH.name, hash).is_dir():
        store = meeting.store()
        try:
            store.join(name)
            return store
        except NoStoreError as error:
            if waiting.is_over(f"{SEARCH.name} {hash} ({_others(folder)})"):
                raise RunError(
                    f"no search {hash} that takes workers runs here ({_others(folder)})",
                    file=folder.path / SEARCH.name,
                    hint=f"Start it with the same settings: automoe search run={folder.name} search.workers=2",
                ) from error
        time.sleep(0.2)
    return None


class _Waiting:
    """Waits for a search that may have been started at the same time, and says at once for what."""

    def __init__(self) -> None:
        self._deadline: float | None = None

    def is_over(self, what: str) -> bool:
        """Whether it lasted long enough; the first call begins it."""
        if self._deadline is None:
            self._deadline = time.monotonic() + _WAIT_S
            print(f"waiting {_WAIT_S:.0f} s for {what}", file=sys.stderr, flush=True)
        return time.monotonic() > self._deadline


def _others(folder: RunFolder) -> str:
    """Which searches are under way in the run instead."""
    others = [path.name.removesuffix(PARTIAL) for path in (folder.path / SEARCH.name).glob("*" + PARTIAL)]
    return f"there are {', '.join(others)}, with other settings or one worker" if others else "there is none"
