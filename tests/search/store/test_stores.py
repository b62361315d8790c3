"""What every store promises, whatever holds it."""

import json
import threading
import time

import pytest

from automoe.errors import AutoMoEError
from automoe.files import PARTIAL
from automoe.search import Quality
from automoe.search.store import COORDINATOR, FolderStore, NoStoreError, OptunaStore
from tests.search.analytic import loss, sampled
from tests.search.store.evaluating import Place

ARCHS = list(dict.fromkeys(sampled(6, 0)))
KINDS = [
    "folder",
    pytest.param("sqlite", marks=pytest.mark.slow),
    "journal",
]  # SQLite waits for the disk all the time


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    if request.param != "folder":
        pytest.importorskip("optuna")
    where = {
        "folder": f"{tmp_path}/store",
        "sqlite": f"sqlite:///{tmp_path}/s.db",
        "journal": f"journal:///{tmp_path}/s.log",
    }
    return Place(where=where[request.param])


def coordinator_of(place, archs=ARCHS):
    store = place.open()
    store.coordinate()
    for arch in archs:
        store.post(arch)
    return store


def worker_of(place, name="one"):
    store = place.open()
    store.join(name)
    return store


def test_what_is_posted_twice_is_handed_out_once_and_in_order(place):
    coordinator = coordinator_of(place, ARCHS + ARCHS)
    worker = worker_of(place)
    claimed = []
    while claim := worker.claim("one"):
        claimed.append(claim.arch)
    assert claimed == ARCHS == coordinator.posted()


def test_many_at_once_never_get_the_same_claim(place):
    coordinator_of(place)
    stores = [worker_of(place, f"w{n}") for n in range(4)]
    claimed: list[str] = []

    def take(store, name):
        while claim := store.claim(name):
            claimed.append(claim.arch.digest)

    threads = [threading.Thread(target=take, args=(store, f"w{n}")) for n, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(arch.digest for arch in ARCHS)


def test_an_outcome_is_told_once_and_all_are_told_to_who_coordinates_next(place):
    coordinator, worker = coordinator_of(place), worker_of(place)
    claim = worker.claim("one")
    assert worker.finish(claim, Quality(loss(claim.arch), 31.5))
    (outcome,) = coordinator.outcomes()
    assert (outcome.arch, outcome.quality, outcome.worker) == (claim.arch, Quality(loss(claim.arch), 31.5), "one")
    assert coordinator.outcomes() == []
    coordinator.leave()
    after = coordinator_of(place)
    assert [outcome.arch for outcome in after.outcomes()] == [claim.arch]
    assert set(after.posted()) == set(ARCHS) - {claim.arch}


def test_a_silent_workers_claim_is_taken_over_and_its_late_result_ignored(place):
    coordinator, slow, other = coordinator_of(place, ARCHS[:1]), worker_of(place, "slow"), worker_of(place, "other")
    late = slow.claim("slow")
    taken = None
    while taken is None:  # the coordinator's look is what takes an Optuna trial back
        assert coordinator.outcomes() == []
        taken = other.claim("other")
        time.sleep(0.05)
    assert taken.arch == late.arch
    assert other.finish(taken, Quality(1.0))
    assert not slow.finish(late, Quality(2.0))
    (outcome,) = coordinator.outcomes()
    assert (outcome.quality, outcome.worker) == (Quality(1.0), "other")
    assert coordinator.outcomes() == [] and coordinator.posted() == []


def test_a_renewed_claim_stays(place):
    coordinator, worker, other = coordinator_of(place, ARCHS[:1]), worker_of(place), worker_of(place, "other")
    claim = worker.claim("one")
    until = time.monotonic() + 3 * place.lease_s
    while time.monotonic() < until:
        worker.renew(claim)
        assert coordinator.outcomes() == [] and other.claim("other") is None
        time.sleep(place.lease_s / 20)
    assert worker.finish(claim, Quality(1.0))


def test_a_released_claim_is_anothers_at_once(place):
    place = Place(where=place.where, lease_s=1000.0)
    coordinator, worker = coordinator_of(place, ARCHS[:1]), worker_of(place)
    worker.release(worker.claim("one"))
    coordinator.outcomes()
    coordinator.outcomes()
    assert worker_of(place, "other").claim("other").arch == ARCHS[0]


def test_a_failure_is_told_once_and_tried_again_by_who_coordinates_next(place):
    coordinator, worker = coordinator_of(place, ARCHS[:1]), worker_of(place)
    worker.fail(worker.claim("one"), "the disk is gone", "Traceback ...")
    (outcome,) = coordinator.outcomes()
    assert (outcome.quality, outcome.message, outcome.worker) == (None, "the disk is gone", "one")
    assert outcome.trace == "Traceback ..."
    assert coordinator.outcomes() == [] and worker.claim("one") is None
    coordinator.leave()
    after = coordinator_of(place, ARCHS[:1])
    assert after.outcomes() == []
    assert worker.claim("one").arch == ARCHS[0]


def test_workers_live_while_they_give_signs(place):
    coordinator, worker = coordinator_of(place), worker_of(place)
    assert coordinator.workers() == {"one"}
    until = time.monotonic() + 2 * place.lease_s
    while time.monotonic() < until:
        worker.beat("one")
        assert coordinator.workers() == {"one"}
        time.sleep(0.05)
    while coordinator.workers():
        time.sleep(0.05)


def test_the_coordinators_silence_is_heard(place):
    coordinator, worker = coordinator_of(place), worker_of(place)
    while worker.silence() < 0.3:
        time.sleep(0.05)
    coordinator.beat(COORDINATOR)
    assert worker.silence() < 0.3


def test_a_closed_store_sends_workers_home_until_somebody_coordinates_again(place):
    coordinator, worker = coordinator_of(place), worker_of(place)
    assert not worker.is_closed()
    coordinator.close()
    coordinator.leave()
    assert worker.is_closed()
    coordinator_of(place)
    assert not worker.is_closed()


def test_a_worker_needs_a_store(place):
    with pytest.raises(NoStoreError, match="Start the search first"):
        worker_of(place)


def test_a_worker_of_another_search_is_refused(place):
    coordinator_of(place)
    with pytest.raises(AutoMoEError, match="is the store of another search"):
        worker_of(Place(where=place.where, context="other weights"))


def test_a_worker_takes_the_coordinators_lease(place):
    coordinator_of(Place(where=place.where, lease_s=7.5))
    assert worker_of(place).lease_s == 7.5


def test_a_second_coordinator_is_refused(place):
    with_signs = coordinator_of(place)
    refused = threading.Event()
    seen: list[BaseException] = []

    def second():
        try:
            place.open().coordinate()
        except AutoMoEError as error:
            seen.append(error)
        refused.set()

    threading.Thread(target=second).start()
    while not refused.wait(0.05):
        with_signs.beat(COORDINATOR)
    assert "coordinates this search already" in str(seen[0])


@pytest.mark.parametrize("content", ["", "{", '{"encoder": 3}', "[]", "null"])
def test_a_damaged_job_is_an_error_with_its_file(tmp_path, content):
    coordinator_of(Place(where=str(tmp_path)), ARCHS[:1])
    (job,) = (tmp_path / "jobs").iterdir()
    job.write_text(content)
    with pytest.raises(AutoMoEError) as caught:
        worker_of(Place(where=str(tmp_path))).claim("one")
    assert caught.value.file == str(job)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"architecture": {}, "worker": "one"}'])
@pytest.mark.parametrize("name", [f"{ARCHS[0].digest}.json", f"{ARCHS[0].digest}.failed", "notes.txt"])
def test_a_damaged_or_foreign_result_is_an_error_with_its_file(tmp_path, name, content):
    coordinator = coordinator_of(Place(where=str(tmp_path)), ARCHS[:1])
    (tmp_path / "results" / name).write_text(content)
    with pytest.raises(AutoMoEError) as caught:
        coordinator.outcomes()
    assert caught.value.file == str(tmp_path / "results" / name)


def test_a_store_that_was_removed_is_closed_for_workers_and_an_error_for_the_coordinator(tmp_path):
    place = Place(where=str(tmp_path / "store"))
    coordinator, worker = coordinator_of(place), worker_of(place)
    claim = worker.claim("one")
    FolderStore(place.where, place.context).remove()
    assert list(tmp_path.iterdir()) == []
    assert worker.is_closed() and worker.claim("one") is None and not worker.finish(claim, Quality(1.0))
    worker.beat("one")
    worker.renew(claim)
    assert worker.silence() > 0
    with pytest.raises(AutoMoEError, match="was removed"):
        coordinator.outcomes()
    assert list(tmp_path.iterdir()) == []


def test_a_storage_that_goes_away_is_an_error_that_says_what_to_do(tmp_path):
    pytest.importorskip("optuna")
    place = Place(where=f"sqlite:///{tmp_path}/s.db")
    coordinator = coordinator_of(place, ARCHS[:1])
    (tmp_path / "s.db").write_bytes(b"no database " * 1000)
    with pytest.raises(AutoMoEError, match=r"does not answer.*start the same commands again"):
        while True:
            coordinator.outcomes()


def test_a_torn_last_line_of_a_journal_loses_nothing_that_was_whole(tmp_path):
    pytest.importorskip("optuna")
    place = Place(where=f"journal:///{tmp_path}/s.log")
    coordinator_of(place, ARCHS[:1]).leave()
    journal = tmp_path / "s.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "wor' + b"x" * 5000)
    after = coordinator_of(place, ARCHS[1:2])
    assert after.posted() == ARCHS[:2]
    assert worker_of(place).claim("one").arch == ARCHS[0]
    assert journal.read_bytes().startswith(whole)
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def test_a_journal_that_is_damaged_elsewhere_is_an_error_that_says_so(tmp_path):
    pytest.importorskip("optuna")
    place = Place(where=f"journal:///{tmp_path}/s.log")
    coordinator_of(place).leave()
    journal = tmp_path / "s.log"
    journal.write_bytes(b"{broken\n" + journal.read_bytes())
    with pytest.raises(AutoMoEError, match=r"the storage is damaged.*Remove it"):
        coordinator_of(place)


def test_a_deleted_study_is_an_error_whatever_is_asked(tmp_path):
    optuna = pytest.importorskip("optuna")
    place = Place(where=f"sqlite:///{tmp_path}/s.db")
    coordinator, worker = coordinator_of(place, ARCHS[:1]), worker_of(place)
    claim = worker.claim("one")
    optuna.delete_study(study_name="jobs", storage=place.where)
    for ask in (
        coordinator.outcomes,
        coordinator.workers,
        coordinator.posted,
        coordinator.close,
        lambda: coordinator.post(ARCHS[1]),
        lambda: coordinator.beat(COORDINATOR),
        worker.is_closed,
        worker.silence,
        lambda: worker.claim("one"),
        lambda: worker.renew(claim),
        lambda: worker.finish(claim, Quality(1.0)),
        lambda: worker.fail(claim, "why"),
    ):
        with pytest.raises(AutoMoEError, match="the study was deleted") as caught:
            ask()
        assert caught.value.file == place.where


def test_a_defect_of_ours_is_not_blamed_on_the_storage(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    coordinator = coordinator_of(Place(where=f"journal:///{tmp_path}/s.log"))

    def defect(*_):
        raise KeyError("ours")

    monkeypatch.setattr(OptunaStore, "_take_back", defect)
    with pytest.raises(KeyError, match="ours"):
        coordinator.outcomes()


@pytest.mark.parametrize("lease", [{}, {"lease_s": "x"}, {"lease_s": True}, {"lease_s": 0}, {"lease_s": None}])
def test_a_header_without_a_lease_is_an_error_with_its_file(tmp_path, lease):
    place = Place(where=str(tmp_path))
    coordinator_of(place).leave()
    header = tmp_path / "header.json"
    header.write_text(json.dumps({"format": 1, "context": place.context} | lease))
    with pytest.raises(AutoMoEError) as caught:
        worker_of(place)
    assert (caught.value.file, caught.value.key) == (str(header), "lease_s")
    coordinator_of(place).leave()
    assert worker_of(place).lease_s == place.lease_s


def test_what_a_removal_may_leave_is_named_as_unfinished(tmp_path, monkeypatch):
    place = Place(where=str(tmp_path / "store"))
    coordinator_of(place).leave()
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    FolderStore(place.where, place.context).remove()
    assert [path.name for path in tmp_path.iterdir()] == ["store" + PARTIAL]
