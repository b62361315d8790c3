"""`Searcher`: what proposes the architectures that a search evaluates. One file each in `searchers`, found by name.

Other packages add one with the entry point group `automoe.searchers`: `NAME = "package.module:Class"`, and check it
with `automoe.testing.SearcherContract`. Archive, workers, resuming and reports come by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, NamedTuple, Protocol

from automoe.errors import AutoMoEError, ConfigError, did_you_mean
from automoe.search.problem import Problem
from automoe.search.record import Record
from automoe.space import Architecture

ENTRY_POINT_GROUP = "automoe.searchers"


class Candidate(NamedTuple):
    """An architecture that is proposed for evaluation, and how it came to be."""

    arch: Architecture
    how: str
    """A word for tables: `sample`, `mutation`, `crossover`, `neighbour`..."""


class Searcher(Protocol):
    """Proposes architectures and hears what they were worth.

    One that cannot serve any objectives has a static method `check_objectives(options, objectives)` too, which raises
    ConfigError: it is called before anything is computed.

    What it asks for depends on the problem, its options, the seed and what it was told and asked before, on nothing
    else. So a search that was killed goes on: a new searcher is told what the archive holds, generation by
    generation.
    """

    Options: ClassVar[type]
    """A frozen dataclass of its settings, all with defaults, that checks them."""
    replayed: ClassVar[bool]
    """Whether it must be asked again for what the archive holds, generation by generation, to get its state back.
    False: it asks the same after it was told the same, asked before or not."""

    def __init__(self, problem: Problem, options: Any, seed: int) -> None: ...

    @property
    def batch(self) -> int:
        """Candidates that are asked for at once and told together: a generation; 1 where each is told by itself."""
        ...

    def ask(self, num: int, pending: Sequence[Architecture] = ()) -> list[Candidate]:
        """Proposes architectures of the space that keep the problem's limits.

        Args:
            num: the most it may propose.
            pending: architectures that it proposed and that are being evaluated elsewhere.

        Returns:
            Different ones, none of them told or pending; empty only if it finds no such architecture any more.
        """
        ...

    def tell(self, records: Sequence[Record]) -> None:
        """Hears of evaluated architectures, in the order of the archive; also of some that it did not propose."""
        ...


SEARCHERS: dict[str, str] = {
    "evolution": "automoe.search.searchers.evolution:Evolution",
    "random": "automoe.search.searchers.random:RandomSearch",
    "regularised": "automoe.search.searchers.regularised:RegularisedEvolution",
    "automoe": "automoe.search.searchers.automoe:AutoMoEEvolution",
    "nsga2": "automoe.search.searchers.nsga2:NSGA2",
    "local": "automoe.search.searchers.local:LocalSearch",
    "optuna": "automoe.search.searchers.optuna:OptunaSearcher",
}
"""The searchers that come with AutoMoE, loaded when they are asked for."""


def find_searcher(name: str) -> type[Searcher]:
    """The searcher of this name: one of `SEARCHERS`, or one that another package registers.

    Raises:
        ConfigError: there is none.
        AutoMoEError: the package that registers it cannot be loaded.
    """
    if name in SEARCHERS:
        module, _, attribute = SEARCHERS[name].partition(":")
        own: type[Searcher] = getattr(import_module(module), attribute)
        return own
    others = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in others:
        found: type[Searcher] = _loaded(others[name])
        return found
    known = sorted({*SEARCHERS, *others})
    hint = did_you_mean(name, known)
    raise ConfigError("search.searcher", name, "there is no such searcher", allowed=", ".join(known), hint=hint)


def options_of(name: str, given: Mapping[str, Any]) -> Any:
    """The options of a searcher, checked.

    Args:
        name: of the searcher.
        given: its settings by name; what is not given takes its default.

    Raises:
        ConfigError: there is no such searcher or setting, or a value is refused; the key begins with
            `search.options`.
    """
    kind = find_searcher(name).Options
    known = {field.name: field for field in fields(kind)}
    for key in given:
        if key not in known:
            problem = f"is no setting of the searcher {name!r}"
            hint = did_you_mean(str(key), known)
            raise ConfigError(
                f"search.options.{key}", given[key], problem, allowed=", ".join(known) or "none", hint=hint
            )
    settings = {key: _typed(known[key], value) for key, value in given.items()}
    try:
        return kind(**settings)
    except AutoMoEError as error:
        if error.key is not None and not error.key.startswith("search."):
            error.key = f"search.options.{error.key}"
            error.args = (str(error),)
        raise


def check_objectives_of(name: str, options: Any, objectives: Sequence[str]) -> None:
    """Checks that a searcher can serve objectives, as soon as they are known, if it has a method that says so.

    Args:
        name: of the searcher.
        options: of the searcher, as `options_of` returns them.
        objectives: names out of `OBJECTIVES`.

    Raises:
        ConfigError: it cannot.
    """
    check = getattr(find_searcher(name), "check_objectives", None)
    if check is not None:
        check(options, objectives)


def make_searcher(name: str, problem: Problem, options: Mapping[str, Any], seed: int) -> Searcher:
    """A searcher that was told nothing yet.

    Raises:
        ConfigError: as `options_of` and `check_objectives_of`.
        DependencyError: the searcher needs a package that is not installed.
    """
    settings = options_of(name, options)
    check_objectives_of(name, settings, problem.objectives)
    return find_searcher(name)(problem, settings, seed)


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever another package's module raises when it is imported
        package = "another package" if point.dist is None else f"the package {point.dist.name!r}"
        raise AutoMoEError(
            f"{package} registers it as {point.value!r}, which cannot be loaded: {type(error).__name__}: {error}",
            key="search.searcher",
            value=point.name,
            hint="Mend that package, or take another searcher",
        ) from error


def _typed(setting: Field[Any], value: Any) -> Any:
    """The value of a setting, which must be of the type of its default; a list for a tuple becomes one.

    A setting without a default, or with None for one, takes anything: its class checks it.
    """
    default = setting.default if setting.default_factory is MISSING else setting.default_factory()
    if default is MISSING or default is None:
        return value
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    wanted = (int, float) if isinstance(default, float) else type(default)
    if isinstance(value, bool) != isinstance(default, bool) or not isinstance(value, wanted):
        allowed = f"of the type {type(default).__name__}, such as {default}"
        raise ConfigError(f"search.options.{setting.name}", value, "is of the wrong type", allowed=allowed)
    return value
