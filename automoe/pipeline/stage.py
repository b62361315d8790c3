"""A stage turns finished folders and a part of the configuration into one new finished folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from automoe.errors import ConfigError, did_you_mean
from automoe.pipeline.manifest import Identity, plain

Part = TypeVar("Part")
"""The part of the configuration that a stage sees."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a stage may read: `inputs["data"]` is the finished folder of the stage `data`."""

    folders: Mapping[str, Path]
    maybe_seed: int | None
    """None for a stage whose result does not depend on the seed."""

    def __getitem__(self, stage: str) -> Path:
        return self.folders[stage]

    @property
    def seed(self) -> int:
        """Seed of everything random; only for a stage that is declared `seeded`, so that it stands in its hash."""
        if self.maybe_seed is None:
            raise RuntimeError("a stage with seeded=False asked for the seed")
        return self.maybe_seed


def _nothing_external(_part: Any) -> dict[str, str]:
    return {}


def _nothing_to_check(_part: Any) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Stage(Generic[Part]):
    """One step of the pipeline.

    `run(part, inputs, out)` writes its result into the existing folder `out`. It sees nothing but its part of the
    configuration, the finished folders of the stages it needs, and the seed: exactly these are hashed. If it was
    killed before, `out` holds what it had written, and it goes on from there. It calls no other stage.
    """

    name: str
    run: Callable[[Part, Inputs, Path], None]
    part: Callable[[Any], Part]
    """Takes the whole configuration, returns what this stage sees (dataclasses and plain values)."""
    needs: tuple[str, ...] = ()
    """Stages whose results it reads."""
    version: int = 1
    """Raise it when the same inputs give another result or another layout than before."""
    fingerprint: Callable[[Part], dict[str, str]] = _nothing_external
    """Content hash of each input that is not in the run folder (a corpus, a YAML file), by name."""
    check: Callable[[Part], None] = _nothing_to_check
    """Refuses what this machine lacks (a GPU) or the space (architectures), before anything runs; not asked where the
    result is finished."""
    seeded: bool = True
    """False: the result is the same for every seed, so that another seed does not make it anew."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage with its part of one configuration, and the identity of what it will make."""

    stage: Stage[Any]
    part: Any
    identity: Identity


def plan(stages: Sequence[Stage[Any]], config: Any, target: str) -> list[Step]:
    """The steps that lead to `target`, in order, with the hash of every result, before anything runs.

    Args:
        stages: the stages that there are, in any order.
        config: the whole configuration; it has the attribute `seed`.
        target: name of the last stage.

    Raises:
        ConfigError: there is no such stage.
        AutoMoEError: what a stage's `fingerprint` raises when an external input is missing.
    """
    steps: dict[str, Step] = {}
    for stage in _chain(stages, target):
        part = stage.part(config)
        identity = Identity(
            stage=stage.name,
            stage_version=stage.version,
            inputs={name: steps[name].identity.hash for name in sorted(stage.needs)},
            config=plain(part),
            external=dict(sorted(stage.fingerprint(part).items())),
            seed=config.seed if stage.seeded else None,
        )
        steps[stage.name] = Step(stage=stage, part=part, identity=identity)
    return list(steps.values())


def _chain(stages: Sequence[Stage[Any]], target: str) -> list[Stage[Any]]:
    """The stages that `target` needs, directly or not, each after those that it needs itself."""
    known = {stage.name: stage for stage in stages}
    if target not in known:
        raise ConfigError("stage", target, allowed=", ".join(known), hint=did_you_mean(target, known))
    chain: dict[str, Stage[Any]] = {}

    def visit(name: str, below: tuple[str, ...]) -> None:
        if name in below:
            raise ValueError(f"stages need each other: {' -> '.join((*below, name))}")
        for needed in known[name].needs:
            visit(needed, (*below, name))
        chain.setdefault(name, known[name])

    visit(target, ())
    return list(chain.values())
