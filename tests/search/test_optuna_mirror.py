"""What a mirrored archive looks like in Optuna, and what happens to it when the storage is gone."""

import json
import sqlite3
from wsgiref.util import setup_testing_defaults

import pytest

from automoe.errors import AutoMoEError, ConfigError, SpaceError
from automoe.search.optuna_mirror import mirror
from automoe.space import find_space, read_space
from tests.search.analytic import CODEC, SPACE, new_archive, record_of, records_of, sampled
from tests.search.store.test_postgres import PASSWORD, server  # noqa: F401

optuna = pytest.importorskip("optuna")
OBJECTIVES = ("loss", "bleu", "latency_ms", "flops_g")


@pytest.fixture
def archive(tmp_path):
    archive = new_archive(tmp_path)
    archive.add(*(record_of(r.arch, r.index, bleu=20 + r.index) for r in records_of(sampled(12, seed=1))))
    return archive


@pytest.fixture(params=["database", "journal"])
def storage(request, tmp_path):
    return f"sqlite:///{tmp_path}/study.db" if request.param == "database" else str(tmp_path / "study.log")


def copied(archive, storage, objectives=OBJECTIVES, name="mine"):
    return mirror(archive, storage, space=SPACE, objectives=objectives, study_name=name)


def opened(storage):
    from automoe.search.store.optuna_storage import open_storage

    return open_storage(storage if "://" in storage else f"journal:///{storage}")


def study_of(storage, name="mine"):
    return optuna.load_study(study_name=name, storage=opened(storage))


def test_trials_are_the_records(archive, storage):
    assert copied(archive, storage) == len(archive)
    study = study_of(storage)
    assert study.metric_names == list(OBJECTIVES)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    assert study.user_attrs["space"] == SPACE.digest and study.user_attrs["space_name"] == SPACE.name
    assert study.user_attrs["context"] == dict(archive.header.context)
    for trial, record in zip(study.trials, archive.records, strict=True):
        latency = record.costs["latency_ms"]
        assert trial.values == [record.loss, record.bleu, latency.mean, record.costs["flops_g"].mean]
        said = trial.user_attrs
        assert (said["index"], said["digest"], said["how"]) == (record.index, record.digest, record.how)
        assert said["generation"] == record.generation and said["params_m"] == record.costs["params_m"].mean
        assert (said["latency_ms_lower"], said["latency_ms_upper"]) == (latency.lower, latency.upper)
        genome = dict(zip(CODEC.names, CODEC.encode(record.arch).tolist(), strict=True))
        assert all(
            genome[name] in (0, value) or name.endswith("cross_layers") for name, value in trial.params.items()
        )


def test_all_trials_have_the_same_parameters(archive, storage):
    copied(archive, storage)
    assert len({frozenset(trial.params) for trial in study_of(storage).trials}) == 1


def test_a_repetition_adds_what_is_new(archive, storage):
    copied(archive, storage)
    assert copied(archive, storage) == 0
    new = next(arch for arch in sampled(60, seed=2) if arch.digest not in archive)
    archive.add(record_of(new, len(archive), bleu=5.0))
    assert copied(archive, storage) == 1
    assert study_of(storage).trials[-1].user_attrs["digest"] == new.digest


def test_an_empty_archive_makes_a_study(tmp_path, storage):
    archive = new_archive(tmp_path)
    assert copied(archive, storage, ["loss"]) == 0
    archive.add(*records_of(sampled(1, seed=3)))
    assert copied(archive, storage, ["loss"]) == 1


def test_a_study_of_another_archive_is_refused_and_stays_as_it_is(archive, storage, tmp_path):
    (tmp_path / "other").mkdir()
    other = new_archive(tmp_path / "other")
    other.add(*records_of(sampled(5, seed=9)))
    copied(other, storage, ["loss"])
    with pytest.raises(AutoMoEError, match=r"not of this archive.*Name another study"):
        copied(archive, storage, ["loss"])
    with pytest.raises(AutoMoEError, match="not of this archive: its objectives"):
        copied(other, storage, ["loss", "flops_g"])
    optuna.create_study(storage=opened(storage), study_name="foreign").optimize(lambda _: 1.0, n_trials=1)
    with pytest.raises(AutoMoEError, match="not of this archive"):
        copied(archive, storage, ["loss"], name="foreign")
    assert [len(study_of(storage, name).trials) for name in ("mine", "foreign")] == [5, 1]


def test_another_space_or_objective_is_refused_before_anything_is_made(archive, tmp_path):
    path = tmp_path / "study.log"
    with pytest.raises(SpaceError):
        mirror(archive, str(path), space=read_space(find_space("quickstart")), objectives=["loss"], study_name="mine")
    with pytest.raises(ConfigError, match="objectives"):
        copied(archive, str(path), ["speed"])
    assert not path.exists()


def test_a_storage_that_goes_away_in_the_middle_is_said_and_a_repetition_completes(archive, tmp_path, monkeypatch):
    file = tmp_path / "study.db"
    before = archive.path.read_bytes()
    add_trial, calls = optuna.Study.add_trial, []

    def breaking(study, trial):
        calls.append(trial)
        if len(calls) == 5:
            file.rename(tmp_path / "away.db")
            sqlite3.connect(file).close()  # an empty database: no table is there
        add_trial(study, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", breaking)
    with pytest.raises(AutoMoEError, match=r"study.db: the storage does not answer: .*only what is missing"):
        copied(archive, f"sqlite:///{file}")
    monkeypatch.undo()
    (tmp_path / "away.db").rename(file)
    assert archive.path.read_bytes() == before
    assert copied(archive, f"sqlite:///{file}") == len(archive) - 4
    assert sorted(t.user_attrs["index"] for t in study_of(f"sqlite:///{file}").trials) == [*range(len(archive))]


def test_a_storage_that_cannot_be_reached_is_named_without_its_password(archive):
    pytest.importorskip("psycopg")
    url = "postgresql+psycopg://me:secret@127.0.0.1:9/studies"
    with pytest.raises(AutoMoEError, match=r"me:\*\*\*@127.0.0.1:9/studies: .*Bring the storage back") as caught:
        copied(archive, url)
    assert "secret" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_optuna_s_plots_show_it(archive, tmp_path):
    storage = str(tmp_path / "study.log")
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from optuna.visualization.matplotlib import plot_optimization_history, plot_param_importances, plot_pareto_front

    copied(archive, storage, ["loss", "flops_g"])
    copied(archive, storage, ["loss"], name="one")
    axes = plot_pareto_front(study_of(storage))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("loss", "flops_g")
    assert plot_optimization_history(study_of(storage, "one")).get_legend_handles_labels()[1]
    pytest.importorskip("sklearn")
    bars = plot_param_importances(study_of(storage, "one")).get_yticklabels()
    assert {bar.get_text() for bar in bars} <= set(CODEC.names)


def test_the_dashboard_lists_it(archive, storage):
    dashboard = pytest.importorskip("optuna_dashboard")
    copied(archive, storage)
    environment, answered = {"PATH_INFO": "/api/studies"}, []
    setup_testing_defaults(environment)
    body = b"".join(dashboard.wsgi(opened(storage))(environment, lambda status, *_: answered.append(status)))
    (study,) = json.loads(body)["study_summaries"]
    assert answered == ["200 OK"] and study["study_name"] == "mine"


@pytest.mark.slow
def test_postgresql_that_goes_away_and_comes_back_has_every_record_once(archive, server, monkeypatch):  # noqa: F811
    add_trial, calls = optuna.Study.add_trial, []

    def breaking(study, trial):
        calls.append(trial)
        if len(calls) == 5:
            server.stop()
        add_trial(study, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", breaking)
    with pytest.raises(AutoMoEError, match=r":\*\*\*@127.0.0.1.*the storage does not answer") as caught:
        copied(archive, server.url)
    assert PASSWORD not in str(caught.value)
    monkeypatch.undo()
    server.start()
    assert copied(archive, server.url) == len(archive) - 4
    assert copied(archive, server.url) == 0
    assert sorted(trial.user_attrs["index"] for trial in study_of(server.url).trials) == [*range(len(archive))]
