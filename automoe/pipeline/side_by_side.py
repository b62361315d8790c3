"""Work that is done by other processes, several at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Task = TypeVar("Task")


def side_by_side(work: Callable[[Task], None], tasks: Sequence[Task], workers: int) -> Iterator[Task]:
    """Does all tasks, at most `workers` at a time, and yields each that is done.

    The threads wait for processes that do the work; they end with ours, and so do processes that die with the thread
    that started them, as those of `training.train` do. So an interruption waits for nothing.

    Args:
        work: does one task; called in a thread.
        tasks: in the order in which they begin.
        workers: tasks at a time, at least 1.

    Raises:
        BaseException: what `work` raised first; no task begins after that.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Task, BaseException | None]] = queue.SimpleQueue()
    stopped = threading.Event()
    for task in tasks:
        waiting.put(task)

    def serve() -> None:
        while not stopped.is_set():
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                work(task)
            except BaseException as error:
                done.put((task, error))
                return
            done.put((task, None))

    for number in range(min(workers, len(tasks))):
        threading.Thread(target=serve, name=f"side by side {number}", daemon=True).start()
    try:
        for _ in tasks:
            task, error = done.get()
            if error is not None:
                raise error
            yield task
    finally:
        stopped.set()
