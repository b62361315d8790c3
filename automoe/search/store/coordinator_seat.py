"""`Seat`: that one process at a time coordinates a search in an Optuna storage.

Who wants the seat makes a running trial in a study kept for this; the lowest running trial has it. The storage
numbers trials, so of two that want it at once both know who came first. Who died gives no more signs and loses it.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

from automoe.errors import AutoMoEError
from automoe.search.store.signs import Signs
from automoe.search.store.store import refused_coordinator

_BEAT, _HOLDER, _PID, _MACHINE = "beat", "holder", "pid", "machine"
_KIND = "seat"


class Seat:
    """Held from `take` to `leave`, as long as `renew` is called more often than every `lease_s` seconds."""

    def __init__(self, storage: Any, study_id: int, trial_id: int, place: str) -> None:
        self._storage, self._study_id, self._trial_id, self._place = storage, study_id, trial_id, place
        self._beats = 0

    @classmethod
    def take(cls, storage: Any, study_id: int, place: str, lease_s: float) -> Seat:
        """Takes the seat; waits up to `lease_s` seconds until a silent holder's lease has expired.

        Args:
            storage: Optuna's.
            study_id: of the study that is kept for this.
            place: the storage, for messages.
            lease_s: seconds without a sign after which a holder is taken for dead; one of this machine whose process
                is gone is known to be dead at once.

        Raises:
            AutoMoEError: another process has it and lives.
        """
        from optuna.trial import TrialState, create_trial

        attributes = {
            _BEAT: 0,
            _HOLDER: f"process {os.getpid()} on {platform.node()}",
            _PID: os.getpid(),
            _MACHINE: _machine(),
        }
        mine = storage.create_new_trial(study_id, create_trial(state=TrialState.RUNNING, user_attrs=attributes))
        seat = cls(storage, study_id, mine, place)
        number, signs = storage.get_trial(mine).number, Signs()
        try:
            while rivals := seat._rivals(number):
                signs.see({(_KIND, rival.number): rival.user_attrs.get(_BEAT) for rival in rivals}, stale=True)
                for rival in rivals:
                    if signs.changed((_KIND, rival.number)):
                        raise refused_coordinator(place, str(rival.user_attrs.get(_HOLDER, "another process")))
                    if _is_dead(rival.user_attrs) or signs.age((_KIND, rival.number)) > lease_s:
                        seat._end(rival._trial_id)
                time.sleep(min(0.05, lease_s / 10))
                seat.renew()
        except BaseException:
            seat.leave()
            raise
        return seat

    def renew(self) -> None:
        """A sign of life.

        Raises:
            AutoMoEError: another took the seat, because this process gave no sign for too long.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        self._beats += 1
        try:
            self._storage.set_trial_user_attr(self._trial_id, _BEAT, self._beats)
        except UpdateFinishedTrialError:
            hint = "Stop this process; nothing is lost"
            raise AutoMoEError("another process took the search over", file=self._place, hint=hint) from None

    def leave(self) -> None:
        """Lets another have the seat."""
        self._end(self._trial_id)

    def _rivals(self, number: int) -> list[Any]:
        from optuna.trial import TrialState

        trials = self._storage.get_all_trials(self._study_id, deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in trials if trial.number < number]

    def _end(self, trial_id: int) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        try:
            self._storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:  # it left by itself
            return


def _is_dead(attributes: dict[str, Any]) -> bool:
    """Whether this was a process of this machine that is gone."""
    if attributes.get(_MACHINE) != _machine():
        return False
    try:
        os.kill(int(attributes[_PID]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _machine() -> str:
    """This machine since it was started, and this container: where a process number means the same process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"unknown {os.getpid()}"
