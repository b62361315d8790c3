"""`Store`: where the coordinator of a search and its workers meet. It hands out architectures and takes in qualities.

The coordinator posts architectures, workers claim them under a lease that they renew while they evaluate. A worker
that dies stops renewing: after `lease_s` seconds another takes its architecture over. Whoever is killed, whenever:
what was posted stays posted, what was finished stays finished, and of two results the first one counts.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

from automoe.errors import AutoMoEError
from automoe.search.evaluator import Quality
from automoe.space import Architecture

COORDINATOR = "coordinator"
"""The name under which the coordinator gives its signs of life; no worker may have it."""
FORMAT = 1


class NoStoreError(AutoMoEError):
    """There is no store, or not yet."""


class Claim(NamedTuple):
    """An architecture that a worker evaluates now."""

    arch: Architecture
    worker: str
    ticket: str
    """What the store knows the lease by."""


class Outcome(NamedTuple):
    """How an evaluation ended."""

    arch: Architecture
    worker: str
    quality: Quality | None
    """None where it failed."""
    message: str = ""
    """Why it failed."""
    trace: str = ""
    """The worker's traceback, where a defect of ours is why."""


class Store(Protocol):
    """A queue of architectures with leases, for one coordinator and any number of workers.

    Every method may raise AutoMoEError: the store is damaged, or what holds it does not answer.
    """

    @property
    def lease_s(self) -> float:
        """Seconds without a sign of life after which a claim is another's; workers have it from the coordinator."""
        ...

    def coordinate(self) -> None:
        """Makes this process the coordinator; opens the store again if it was closed, and forgets failures.

        Raises:
            AutoMoEError: another living process coordinates, or the store is of another search.
        """
        ...

    def leave(self) -> None:
        """Lets another process coordinate; what is in the store stays."""
        ...

    def close(self) -> None:
        """Says that the search is over: workers leave."""
        ...

    def join(self, worker: str) -> None:
        """Makes this process a worker.

        Raises:
            NoStoreError: there is no store yet.
            AutoMoEError: it is of another search.
        """
        ...

    def is_closed(self) -> bool:
        """Whether the search is over."""
        ...

    def beat(self, who: str) -> None:
        """A sign of life of a worker or of `COORDINATOR`; from any thread."""
        ...

    def workers(self) -> frozenset[str]:
        """The workers that live; only the coordinator asks."""
        ...

    def silence(self) -> float:
        """Seconds since the coordinator's last sign of life; only workers ask."""
        ...

    def post(self, arch: Architecture) -> None:
        """Wants an architecture evaluated; one that is there already stays as it is."""
        ...

    def posted(self) -> list[Architecture]:
        """The architectures that are posted and not finished, in the order of posting."""
        ...

    def claim(self, worker: str) -> Claim | None:
        """The next architecture for this worker and for no other; None if there is none now."""
        ...

    def renew(self, claim: Claim) -> None:
        """Keeps a claim for another `lease_s` seconds; from any thread."""
        ...

    def release(self, claim: Claim) -> None:
        """Gives an architecture back unevaluated: another may have it at once."""
        ...

    def finish(self, claim: Claim, quality: Quality) -> bool:
        """Delivers a result; it is kept when this returns.

        Returns:
            Whether it counts. False: the claim had expired, and another's result came first.
        """
        ...

    def fail(self, claim: Claim, message: str, trace: str = "") -> None:
        """Says that the architecture cannot be evaluated; nobody tries again until somebody coordinates anew.

        Args:
            claim: is over with this.
            message: why.
            trace: the traceback, where a defect of ours is why.
        """
        ...

    def outcomes(self) -> list[Outcome]:
        """What ended since the last call, each architecture once; the first call tells of everything."""
        ...


def quality_form(quality: Quality) -> dict[str, Any]:
    """The JSON form of a quality."""
    return {"loss": float(quality.loss), "bleu": None if quality.bleu is None else float(quality.bleu)}


def read_quality(form: Any) -> Quality:
    """Reads the form of `quality_form`.

    Raises:
        ValueError: it is none.
    """
    try:
        bleu = form["bleu"]
        return Quality(loss=float(form["loss"]), bleu=None if bleu is None else float(bleu))
    except (KeyError, TypeError) as error:
        raise ValueError(f"is no quality ({error!r})") from None


def read_job(form: Any, digest: str | None = None) -> Architecture:
    """Reads the JSON form of an architecture.

    Args:
        form: what `Architecture.to_dict` made.
        digest: the one that it must have.

    Raises:
        ValueError: it is none, or another.
    """
    try:
        arch = Architecture.from_dict(form)
    except (KeyError, TypeError, AttributeError, AutoMoEError) as error:
        raise ValueError(f"is no architecture ({error!r})") from None
    if digest is not None and arch.digest != digest:
        raise ValueError(f"holds the architecture {arch.digest}")
    return arch


def check_context(found: Any, wanted: str, place: str) -> None:
    """Checks that a store is of this search.

    Raises:
        AutoMoEError: other weights or sentences are evaluated there, or it is of another version.
    """
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        hint = "Use the same version of AutoMoE everywhere"
        raise AutoMoEError("is no store of this version", file=place, allowed=f"format {FORMAT}", hint=hint)
    if found.get("context") != wanted:
        raise AutoMoEError(
            "is the store of another search",
            file=place,
            key="context",
            value=found.get("context"),
            allowed=wanted,
            hint="Start workers with the settings of the search: the same space, data, supernet and seed",
        )


def lease_of(header: Any, place: str) -> float:
    """Seconds of the lease that the header of a store says.

    Raises:
        AutoMoEError: it says none.
    """
    lease_s = header.get("lease_s")
    if isinstance(lease_s, bool) or not isinstance(lease_s, int | float) or not 0 < lease_s < math.inf:
        hint = "Start the search again: it writes the header anew"
        raise AutoMoEError("is no lease", file=place, key="lease_s", value=lease_s, allowed="> 0", hint=hint)
    return float(lease_s)


def refused_coordinator(place: str, holder: str) -> AutoMoEError:
    """What a second coordinator is told."""
    hint = "Wait until it ends or stop it; to help it, start automoe worker"
    return AutoMoEError(f"{holder} coordinates this search already", file=place, hint=hint)
