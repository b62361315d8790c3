"""Copies an archive into an Optuna storage, so that Optuna's plots and its dashboard show it.

Shape suffixes: N records, G genes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from automoe.errors import AutoMoEError
from automoe.progress import Progress
from automoe.search.archive import Archive
from automoe.search.optuna_genes import GeneParameters, load_optuna, quiet
from automoe.search.record import Record
from automoe.search.store.optuna_storage import open_storage, storage_errors
from automoe.search.store.storage_url import JOURNAL, masked
from automoe.space import GenomeCodec, SearchSpace


def mirror(archive: Archive, storage: str, *, space: SearchSpace, objectives: Sequence[str], study_name: str) -> int:
    """Adds to a study every record that it does not have yet, as a finished trial.

    A trial's parameters are the free genes, its values the objectives (BLEU is maximised), its attributes `index`,
    `digest`, `how`, `generation` and all costs, with `_lower` and `_upper` where they are not exact. The study's
    attributes say the space and what evaluated. Each trial is added whole or not at all, so what was interrupted is
    completed by a repetition. One process may do it at a time.

    A record takes about 4 ms in a journal, and 100 ms in SQLite: Optuna writes every gene for itself.

    Args:
        archive: it is only read.
        storage: `sqlite:///FILE`, `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE`, another URL of SQLAlchemy, or
            the path of a journal file.
        space: of the archive.
        objectives: names out of `OBJECTIVES`.
        study_name: the study; it is made if there is none.

    Returns:
        How many trials were added.

    Raises:
        SpaceError: the archive is of another space.
        ConfigError: an objective was not recorded, or the URL is none (the key is `storage`).
        AutoMoEError: Optuna or the database's driver is not installed, the storage does not answer or is damaged, or
            the study is not of this archive.
    """
    archive.header.check_space(space.digest, space.name, archive.path)
    archive.points(objectives)
    url = storage if "://" in storage else JOURNAL + storage
    with _answering(masked(url)), quiet():
        opened = open_storage(url, "storage")
        try:
            study = load_optuna().create_study(
                storage=opened,
                study_name=study_name,
                directions=["maximize" if name == "bleu" else "minimize" for name in objectives],
                load_if_exists=True,
            )
            missing = _missing(study, archive, objectives, masked(url))
            _add(study, missing, GenomeCodec(space), objectives)
        finally:
            with suppress(Exception):  # it is closing what may be gone already
                opened.remove_session()
    return len(missing)


def _missing(study: Any, archive: Archive, objectives: Sequence[str], place: str) -> list[Record]:
    """The records that the study does not have, after a check that it is of this archive.

    A new study is given its attributes.
    """
    header = archive.header
    wanted: dict[str, Any] = {
        "space": header.space,
        "space_name": header.space_name,
        "context": json.loads(json.dumps(dict(header.context))),
        "objectives": list(objectives),
    }
    trials, attributes = study.get_trials(deepcopy=False), study.user_attrs
    for name, value in wanted.items():
        if name != "space_name" and attributes.get(name, None if trials else value) != value:
            raise _foreign(study, place, f"its {name} is {attributes.get(name)!r}, here it is {value!r}")
    there = {trial.user_attrs.get("index"): trial.user_attrs.get("digest") for trial in trials}
    records = archive.records
    for index, digest in there.items():
        if not isinstance(index, int) or index >= len(records) or records[index].digest != digest:
            raise _foreign(study, place, f"the archive has no architecture {digest} at the index {index}")
    if study.metric_names != list(objectives):
        for name, value in wanted.items():
            study.set_user_attr(name, value)
        study.set_metric_names(list(objectives))
    return [record for record in records if record.index not in there]


def _add(study: Any, records: Sequence[Record], codec: GenomeCodec, objectives: Sequence[str]) -> None:
    if not records:
        return
    parameters = GeneParameters(codec)
    distributions = parameters.distributions()
    params = parameters.params_of(np.stack([codec.encode(record.arch) for record in records]))
    create_trial = load_optuna().trial.create_trial
    with Progress("copying to Optuna", total=len(records), unit="record") as progress:
        for record, chosen in zip(records, params, strict=True):
            values = [_value(record, name) for name in objectives]
            attributes = _attributes(record)
            study.add_trial(
                create_trial(params=chosen, distributions=distributions, values=values, user_attrs=attributes)
            )
            progress.advance()


def _value(record: Record, name: str) -> float:
    """An objective as a reader knows it: the loss, BLEU itself, the mean of a cost."""
    value = getattr(record, name) if name in ("loss", "bleu") else record.costs[name].mean
    return float(value)


def _attributes(record: Record) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "index": record.index,
        "digest": record.digest,
        "how": record.how,
        "generation": record.generation,
        "loss": record.loss,
    }
    if record.bleu is not None:
        attributes["bleu"] = record.bleu
    for name, cost in record.costs.items():
        attributes[name] = cost.mean
        if not cost.lower == cost.mean == cost.upper:
            attributes |= {f"{name}_lower": cost.lower, f"{name}_upper": cost.upper}
    return attributes


@contextmanager
def _answering(place: str) -> Iterator[None]:
    """Words what a storage raises that does not answer; `place` is its URL without the password."""
    try:
        with storage_errors(place):
            yield
    except AutoMoEError as error:
        if error.file == place and error.hint is not None and error.problem.startswith("the storage"):
            error.hint = (
                "The archive is as it was. Bring the storage back and repeat: only what is missing is copied"
                if "does not answer" in error.problem
                else "The archive is as it was. Name another storage"
            )
            error.args = (str(error),)
        raise


def _foreign(study: Any, place: str, reason: str) -> AutoMoEError:
    return AutoMoEError(
        f"the study {study.study_name!r} is not of this archive: {reason}",
        file=place,
        hint="Name another study",
    )
