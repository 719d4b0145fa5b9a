"""Makes the faces of a packed folder in parallel: the part that all sources of faces have in common."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

import numpy as np

from maskgan_lib.data.packed import DataError, FaceRecord, PackedFaces, PackedWriter
from maskgan_lib.progress import progress_bar

Make = Callable[[Any], tuple[np.ndarray, np.ndarray, FaceRecord]]
"""Makes image, mask and record from one job: a function of a module, since it runs in other processes."""

WORTH_A_PROCESS = 8
"""Faces that take about as long as starting a process does."""


def pack(
    writer: PackedWriter,
    make: Make,
    jobs: Sequence[Any],
    ids: Sequence[str],
    *,
    workers: int | None = None,
    keep_going: bool = False,
    progress: bool = True,
) -> PackedFaces:
    """Writes ``make(jobs[i])``, the face ``ids[i]``, for every ``i`` that is not done yet; opens the folder.

    A bad face raises its ``DataError``; with ``keep_going`` it is left out instead and its reason noted. All that was
    done before an error, or before Ctrl-C, is kept for the next run.
    """
    title = f"faces {writer.about['size']}x{writer.about['size']}"
    with writer:
        for record, id in zip(writer.records, ids, strict=True):
            if record is not None and record.id != id:
                raise DataError(f"{writer.partial} was begun with other faces ({record.id}, not {id}): delete it.")
        todo, count = writer.todo, len(jobs)
        with progress_bar(total=count, initial=count - len(todo), desc=title, unit="face", disable=not progress) as bar:
            for i, result in run_parallel(make, [(i, jobs[i]) for i in todo], workers):
                if not isinstance(result, DataError):
                    writer.write(i, *result)
                elif keep_going:
                    writer.leave_out(i, ids[i], str(result))
                else:
                    raise result
                bar.update()
        return writer.finish()


def run_parallel(
    make: Callable[[Any], Any], jobs: Sequence[tuple[int, Any]], workers: int | None
) -> Iterator[tuple[int, Any]]:
    """Yields ``(i, make(job))`` for each ``(i, job)``, in order; a ``DataError`` comes as the result.

    ``workers=None`` takes the cores this process may use, or none besides itself when there are few jobs.
    """
    workers = min(workers or available_cores(), -(-len(jobs) // WORTH_A_PROCESS))
    if workers <= 1:
        for i, job in jobs:
            yield i, _attempt(make, job)
        return
    # "spawn": a forked copy of a process that runs torch or a notebook's threads may hang
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=_become_worker)
    queue = iter(jobs)

    def submitted(count: int) -> list[tuple[int, Future]]:
        return [(i, executor.submit(_attempt, make, job)) for i, job in islice(queue, count)]

    try:
        waiting = deque(submitted(4 * workers))  # bounds the finished faces that wait in memory
        while waiting:
            i, future = waiting.popleft()
            yield i, future.result()
            waiting.extend(submitted(1))
    except BrokenProcessPool:
        raise DataError(
            "A worker process died, for lack of memory or because a script calls this without "
            "`if __name__ == '__main__':`; run it again with fewer workers, it goes on where it stopped."
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _attempt(make: Callable[[Any], Any], job: Any) -> Any:
    try:
        return make(job)
    except DataError as error:
        return error


def _become_worker() -> None:
    """Leaves Ctrl-C to the parent, and ends when the parent was killed instead of waiting for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
