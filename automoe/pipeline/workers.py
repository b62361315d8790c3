"""Who evaluates in a search: this process, or workers here and elsewhere that meet in a store."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from automoe.files import PARTIAL, digest_of
from automoe.pipeline.config import SearchSection
from automoe.search import Evaluator, InProcess, Pool, Quality, Remembering
from automoe.search.store import FolderStore, OptunaStore
from automoe.search.store_pool import StorePool
from automoe.space import Architecture

_FOLDER = "store"


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Where the workers of one search meet."""

    folder: Path
    """In the folder in which the search is being made."""
    url: str | None
    """Of an Optuna storage, which is used instead of the folder."""
    name: str
    """Of the study there."""
    context: str
    """What is evaluated, as a hash."""
    lease_s: float

    def store(self) -> FolderStore | OptunaStore:
        """The store."""
        if self.url is None:
            return FolderStore(self.folder, self.context, self.lease_s)
        return OptunaStore(self.url, self.name, self.context, self.lease_s)


def meeting_of(section: SearchSection, out: Path, context: Mapping[str, Any]) -> Meeting:
    """Where the workers of a search meet.

    Args:
        section: says whether it is a storage.
        out: the folder in which the search is being made; its name holds the hash of the result.
        context: what is evaluated, and on what.
    """
    return Meeting(
        folder=out / _FOLDER,
        url=section.storage,
        name=f"automoe-search-{out.name.removesuffix(PARTIAL)}",
        context=digest_of(dict(context)),
        lease_s=section.lease_s,
    )


@contextmanager
def pool_for(
    section: SearchSection, make_evaluator: Callable[[], Evaluator], out: Path, context: Mapping[str, Any]
) -> Iterator[Pool]:
    """What evaluates in a search, as a context. With one worker and no storage it is this process.

    Args:
        section: how many workers, and where they meet.
        make_evaluator: loads what evaluates, where that is done; it can be pickled (a module's function, or a
            `functools.partial` of one).
        out: the folder in which the search is being made.
        context: what is evaluated, and on what.

    Raises:
        AutoMoEError: another process coordinates this search, or the storage does not answer.
    """
    meeting = meeting_of(section, out, context)
    if section.workers == 1 and section.storage is None:
        known, left_over = _left_in(meeting)
        evaluator = cache(make_evaluator)  # where all is known, nothing is loaded
        yield Remembering(InProcess(lambda arch: evaluator()(arch)), known, left_over)
    else:
        run = out.parent.parent.name
        store = meeting.store()
        with StorePool(
            store,
            workers=section.workers,
            command=_local_worker,
            given=pickle.dumps((meeting, make_evaluator)),
            invitation=f"Start some with: automoe worker run={run}, and the settings of this search",
        ) as pool:
            yield pool
    if meeting.folder.exists():
        FolderStore(meeting.folder, meeting.context).remove()


def _local_worker(_number: int) -> list[str]:
    return [sys.executable, "-m", "automoe.pipeline.local_worker"]


def _left_in(meeting: Meeting) -> tuple[dict[str, Quality], list[Architecture]]:
    """What workers of this search finished before it was killed, and all that it had given to them.

    Workers that still look for work leave.
    """
    if not meeting.folder.exists():
        return {}, []
    store = FolderStore(meeting.folder, meeting.context, meeting.lease_s)
    store.coordinate()
    outcomes, posted = store.outcomes(), store.posted()
    store.close()
    store.leave()
    known = {outcome.arch.digest: outcome.quality for outcome in outcomes if outcome.quality is not None}
    return known, [*posted, *(outcome.arch for outcome in outcomes)]
