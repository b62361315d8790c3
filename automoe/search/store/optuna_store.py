"""`OptunaStore`: coordinator and workers meet in an Optuna storage: PostgreSQL, MySQL, SQLite, a journal file.

A trial is a job. The coordinator alone makes trials; a worker takes one by setting it from WAITING to RUNNING, which
the storage grants to one process only, and completes it. Signs of life are counters that their owner raises; who
judges them goes by his own clock since he last saw the counter change, so no two clocks are compared. The coordinator
fails an expired trial and makes a new one; the storage refuses the late result of a failed trial.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from automoe.errors import AutoMoEError
from automoe.search.evaluator import Quality
from automoe.search.store.coordinator_seat import Seat
from automoe.search.store.optuna_storage import open_storage, storage_errors
from automoe.search.store.signs import Signs
from automoe.search.store.storage_url import masked
from automoe.search.store.store import (
    COORDINATOR,
    FORMAT,
    Claim,
    NoStoreError,
    Outcome,
    check_context,
    lease_of,
    quality_form,
    read_job,
    read_quality,
)
from automoe.space import Architecture

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_HEADER, _CLOSED, _BEAT = "automoe_store", "automoe_closed", "beat:"
_DIGEST, _ARCH, _WORKER, _SIGN, _QUALITY = "digest", "architecture", "worker", "beat", "quality"
_MESSAGE, _TRACE = "message", "trace"
P = ParamSpec("P")
R = TypeVar("R")


def _reworded(method: Callable[Concatenate[OptunaStore, P], R]) -> Callable[Concatenate[OptunaStore, P], R]:
    """The method, with the errors of a storage that does not answer as ours."""

    def call(self: OptunaStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with storage_errors(self.place):
            return method(self, *args, **kwargs)

    call.__doc__ = method.__doc__
    return call


class OptunaStore:
    """A `Store` in an Optuna storage.

    Args:
        url: `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE`, `mysql+pymysql://...`, `sqlite:///FILE`, or
            `journal:///FILE` for a journal file on a shared file system.
        study_name: of the study that holds the jobs; one for each search.
        context: what is evaluated, as a hash: coordinator and workers must agree in it.
        lease_s: see `Store.lease_s`; a worker takes the coordinator's.

    Raises:
        AutoMoEError: Optuna, SQLAlchemy or the database's driver is not installed.
        ConfigError: the URL is none.
    """

    def __init__(self, url: str, study_name: str, context: str, lease_s: float = 60.0) -> None:
        self.place = masked(url)
        self._url, self._name, self._context, self._lease_s = url, study_name, context, lease_s
        self._seat: Seat | None = None
        self._beats = itertools.count(1)
        self._signs = Signs()
        self._told: set[str] = set()
        self._alive: set[str] = set()
        """Digests of what was evaluated or will be; the coordinator's."""
        self._forgotten = -1
        """Failures of trials up to this number are of an earlier coordinator."""
        with storage_errors(self.place):
            self._storage = open_storage(url)
        self._study_id: int | None = None

    @property
    def lease_s(self) -> float:
        """See `Store.lease_s`."""
        return self._lease_s

    @_reworded
    def coordinate(self) -> None:
        """See `Store.coordinate`. After another machine's coordinator died it takes up to `lease_s` seconds."""
        seat_id = _made_study(self._storage, f"{self._name}-coordinator")
        self._seat = Seat.take(self._storage, seat_id, self.place, self._lease_s)
        self._study_id = _made_study(self._storage, self._name)
        found = self._attributes().get(_HEADER)
        if found is not None:
            check_context(found, self._context, self.place)
        self._set(_HEADER, {"format": FORMAT, "context": self._context, "lease_s": self._lease_s})
        self._set(_CLOSED, False)
        trials = self._trials()
        self._forgotten = max((trial.number for trial in trials), default=-1)
        self._alive = {trial.user_attrs[_DIGEST] for trial in trials if _state_of(trial) != "FAIL"}
        self._signs.see(self._worker_counters(), stale=True)
        self._told = set()

    def leave(self) -> None:
        """See `Store.leave`."""
        if self._seat is not None:
            with storage_errors(self.place):
                self._seat.leave()
            self._seat = None

    @_reworded
    def close(self) -> None:
        """See `Store.close`."""
        self._set(_CLOSED, True)

    @_reworded
    def join(self, worker: str) -> None:
        """See `Store.join`."""
        if worker == COORDINATOR:
            raise ValueError(f"{worker!r} is no name of a worker")
        self._study_id = _found_study(self._storage, self._name)
        header = None if self._study_id is None else self._attributes().get(_HEADER)
        if header is None:
            hint = "Start the search first; workers join while it runs"
            raise NoStoreError(f"there is no study {self._name!r}", file=self.place, hint=hint)
        check_context(header, self._context, self.place)
        self._lease_s = lease_of(header, self.place)
        self._signs.see(self._coordinator_counter())
        self._beat(worker)

    @_reworded
    def is_closed(self) -> bool:
        """See `Store.is_closed`."""
        return bool(self._attributes().get(_CLOSED))

    @_reworded
    def beat(self, who: str) -> None:
        """See `Store.beat`."""
        self._beat(who)

    @_reworded
    def workers(self) -> frozenset[str]:
        """See `Store.workers`."""
        self._signs.see(self._worker_counters())
        return frozenset(self._signs.living("worker", self._lease_s))

    @_reworded
    def silence(self) -> float:
        """See `Store.silence`."""
        self._signs.see(self._coordinator_counter())
        return self._signs.age(("coordinator", COORDINATOR))

    @_reworded
    def post(self, arch: Architecture) -> None:
        """See `Store.post`."""
        digest = arch.digest
        if digest not in self._alive:  # nobody else makes trials
            self._make_trial(arch)

    @_reworded
    def posted(self) -> list[Architecture]:
        """See `Store.posted`."""
        trials = self._trials()
        done = {trial.user_attrs[_DIGEST] for trial in trials if _state_of(trial) == "COMPLETE"}
        wanted = {trial.user_attrs[_DIGEST]: trial for trial in trials if _state_of(trial) in ("WAITING", "RUNNING")}
        return [self._arch_of(trial) for digest, trial in wanted.items() if digest not in done]

    @_reworded
    def claim(self, worker: str) -> Claim | None:
        """See `Store.claim`."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        for trial in self._trials():
            if trial.state != TrialState.WAITING:
                continue
            try:
                if not self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                    continue
                self._storage.set_trial_user_attr(trial._trial_id, _WORKER, worker)
            except UpdateFinishedTrialError:
                continue
            return Claim(self._arch_of(trial), worker, str(trial._trial_id))
        return None

    @_reworded
    def renew(self, claim: Claim) -> None:
        """See `Store.renew`."""
        self._update(claim, _SIGN, next(self._beats))

    @_reworded
    def release(self, claim: Claim) -> None:
        """See `Store.release`."""
        self._end(claim, "FAIL")

    @_reworded
    def finish(self, claim: Claim, quality: Quality) -> bool:
        """See `Store.finish`."""
        loss = quality.loss if math.isfinite(quality.loss) else math.inf
        return self._update(claim, _QUALITY, quality_form(quality)) and self._end(claim, "COMPLETE", [float(loss)])

    @_reworded
    def fail(self, claim: Claim, message: str, trace: str = "") -> None:
        """See `Store.fail`."""
        if self._update(claim, _TRACE, trace) and self._update(claim, _MESSAGE, message):
            self._end(claim, "FAIL")

    @_reworded
    def outcomes(self) -> list[Outcome]:
        """See `Store.outcomes`. It also takes the work of dead workers back."""
        trials = self._trials()
        self._take_back(trials)
        found: list[Outcome] = []
        for trial in trials:
            digest, attributes, state = trial.user_attrs[_DIGEST], trial.user_attrs, _state_of(trial)
            worker = str(attributes.get(_WORKER, "?"))
            if digest in self._told:
                continue
            if state == "COMPLETE":
                try:
                    quality = read_quality(attributes.get(_QUALITY))
                except ValueError as error:
                    raise self._foreign(trial, str(error)) from None
                found.append(Outcome(self._arch_of(trial), worker, quality))
            elif state == "FAIL" and _MESSAGE in attributes and trial.number > self._forgotten:
                why = str(attributes[_MESSAGE]), str(attributes.get(_TRACE, ""))
                found.append(Outcome(self._arch_of(trial), worker, None, *why))
            else:
                continue
            self._told.add(digest)
        return found

    def _take_back(self, trials: list[FrozenTrial]) -> None:
        """Fails the trials whose workers give no sign, and makes a new one where an architecture has none left."""
        running = [trial for trial in trials if _state_of(trial) == "RUNNING"]
        self._signs.see({("trial", trial.number): trial.user_attrs.get(_SIGN) for trial in running})
        for trial in running:
            if self._signs.age(("trial", trial.number)) > self._lease_s:
                self._end(Claim(self._arch_of(trial), "", str(trial._trial_id)), "FAIL")
        self._alive = {trial.user_attrs[_DIGEST] for trial in trials if _state_of(trial) != "FAIL"}
        failed = {trial.user_attrs[_DIGEST] for trial in trials if _MESSAGE in trial.user_attrs}
        for trial in trials:
            if trial.user_attrs[_DIGEST] not in self._alive | failed:
                self._make_trial(self._arch_of(trial))

    def _make_trial(self, arch: Architecture) -> None:
        from optuna.trial import TrialState, create_trial

        attributes = {_DIGEST: arch.digest, _ARCH: arch.to_dict()}
        template = create_trial(state=TrialState.WAITING, user_attrs=attributes)
        self._storage.create_new_trial(self._study(), template)
        self._alive.add(arch.digest)

    def _update(self, claim: Claim, name: str, value: Any) -> bool:
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            self._storage.set_trial_user_attr(int(claim.ticket), name, value)
        except UpdateFinishedTrialError:
            return False
        return True

    def _end(self, claim: Claim, state: str, values: list[float] | None = None) -> bool:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        try:
            return self._storage.set_trial_state_values(int(claim.ticket), TrialState[state], values)
        except UpdateFinishedTrialError:
            return False

    def _beat(self, who: str) -> None:
        if who == COORDINATOR and self._seat is not None:
            self._seat.renew()
        self._set(_BEAT + who, [os.getpid(), next(self._beats)])

    def _worker_counters(self) -> dict[tuple[str, Any], Any]:
        counters = {key.removeprefix(_BEAT): n for key, n in self._attributes().items() if key.startswith(_BEAT)}
        return {("worker", name): n for name, n in counters.items() if name != COORDINATOR}

    def _coordinator_counter(self) -> dict[tuple[str, Any], Any]:
        return {("coordinator", COORDINATOR): self._attributes().get(_BEAT + COORDINATOR)}

    def _study(self) -> int:
        if self._study_id is None:
            raise RuntimeError("neither coordinate nor join was called")
        return self._study_id

    def _attributes(self) -> dict[str, Any]:
        return self._storage.get_study_user_attrs(self._study())

    def _set(self, key: str, value: Any) -> None:
        self._storage.set_study_user_attr(self._study(), key, value)

    def _trials(self) -> list[FrozenTrial]:
        trials = self._storage.get_all_trials(self._study(), deepcopy=False)
        for trial in trials:
            if _DIGEST not in trial.user_attrs:
                raise self._foreign(trial, "is no job of a search")
        return trials

    def _arch_of(self, trial: FrozenTrial) -> Architecture:
        try:
            return read_job(trial.user_attrs.get(_ARCH), trial.user_attrs[_DIGEST])
        except ValueError as error:
            raise self._foreign(trial, str(error)) from None

    def _foreign(self, trial: FrozenTrial, problem: str) -> AutoMoEError:
        hint = "Delete that study; the search evaluates again what its archive misses"
        return AutoMoEError(problem, file=self.place, key=f"trial {trial.number} of study {self._name}", hint=hint)


def _made_study(storage: Any, name: str) -> int:
    from optuna.exceptions import DuplicatedStudyError
    from optuna.study import StudyDirection

    try:
        return int(storage.create_new_study([StudyDirection.MINIMIZE], name))
    except DuplicatedStudyError:
        return int(storage.get_study_id_from_name(name))


def _found_study(storage: Any, name: str) -> int | None:
    try:
        return int(storage.get_study_id_from_name(name))
    except KeyError:
        return None


def _state_of(trial: FrozenTrial) -> str:
    return str(trial.state.name)
