"""Work side by side: every task once, no more at a time than there are workers, an end at the first error."""

import threading

import pytest

from automoe.pipeline.side_by_side import side_by_side


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_every_task_is_done_once(workers):
    done: list[int] = []
    finished = list(side_by_side(done.append, range(10), workers))
    assert sorted(done) == sorted(finished) == list(range(10))


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_than_the_workers_are_busy_at_a_time_and_all_of_them_are(workers):
    lock, together = threading.Lock(), threading.Barrier(workers)
    busy, most = 0, 0

    def work(_task: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        together.wait(timeout=30)  # breaks unless as many tasks are under way
        with lock:
            busy -= 1

    assert len(list(side_by_side(work, range(2 * workers), workers))) == 2 * workers
    assert most == workers


def test_the_first_error_is_raised_and_no_task_begins_after_it():
    begun: list[int] = []

    def work(task: int) -> None:
        begun.append(task)
        if task == 3:
            raise RuntimeError("the fourth")

    with pytest.raises(RuntimeError, match="the fourth"):
        list(side_by_side(work, range(10), 1))
    assert begun == [0, 1, 2, 3]


def test_who_stops_listening_stops_the_work():
    begun: list[int] = []
    go_on = threading.Event()

    def work(task: int) -> None:
        begun.append(task)
        if task > 0:
            go_on.wait(timeout=30)

    results = side_by_side(work, range(10), 1)
    next(results)
    results.close()
    go_on.set()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon and thread.name.startswith("side by side "):
            thread.join(timeout=30)
    assert len(begun) <= 2
