"""Makes the faces of a packed folder in parallel: the part that all sources of faces have in common."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any

from maskgan_lib.data.errors import DataError, full_disk_is_an_error
from maskgan_lib.data.packed import PackedFaces, PackedWriter
from maskgan_lib.progress import progress_bar

Job = Callable[[], Any]
"""Makes one thing. It may run in another process, so it is a ``functools.partial`` of a module's function."""

WORTH_A_PROCESS = 8
"""Faces that take about as long as starting a process does."""


def pack(
    folder: str | Path,
    size: int,
    source: str,
    jobs: Mapping[str, Job],
    attribute_names: Sequence[str] = (),
    made_by: dict[str, Any] | None = None,
    *,
    workers: int | None = None,
    keep_going: bool = False,
    progress: bool = True,
) -> PackedFaces:
    """Writes what ``jobs`` make, by the face's id its image, mask and record, into a ``PackedWriter``'s folder.

    A bad face raises its ``DataError``; with ``keep_going`` it is left out instead and its reason noted. All that was
    done before an error, or before Ctrl-C, is kept: the same call goes on from there.
    """
    with (
        full_disk_is_an_error(folder),
        PackedWriter(folder, size, len(jobs), source, attribute_names, made_by) as writer,
    ):
        ids = list(jobs)
        for i, record in writer.records.items():
            if record.id != ids[i]:
                raise DataError(f"{writer.partial} was begun with other faces ({record.id}, not {ids[i]}): delete it.")
        for i, result in run_rest(list(jobs.values()), writer.records, size, workers, progress):
            if not isinstance(result, DataError):
                writer.write(i, *result)
            elif keep_going:
                writer.left_out.append({"id": ids[i], "reason": str(result)})
            else:
                raise result
        return writer.finish()


def run_rest(
    jobs: Sequence[Job], done: Container[int], size: int, workers: int | None, progress: bool
) -> Iterator[tuple[int, Any]]:
    """Yields ``(i, jobs[i]())`` for each ``i`` that is not ``done``, in order, while a bar says how far this is."""
    todo = [i for i in range(len(jobs)) if i not in done]
    results = run_parallel([jobs[i] for i in todo], workers)
    bar = {"total": len(jobs), "initial": len(jobs) - len(todo), "desc": f"faces {size}x{size}", "unit": "face"}
    yield from progress_bar(zip(todo, results, strict=True), disable=not progress, **bar)


def run_parallel(jobs: Sequence[Job], workers: int | None) -> Iterator[Any]:
    """Yields ``job()`` for each job, in order; a ``DataError`` comes as the result.

    ``workers=None`` takes the cores this process may use, or none besides itself when there are few jobs.
    """
    workers = min(workers or available_cores(), -(-len(jobs) // WORTH_A_PROCESS))
    if workers <= 1:
        yield from map(_attempt, jobs)
        return
    # "spawn": a forked copy of a process that runs torch or a notebook's threads may hang
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_become_worker)
    coming = (executor.submit(_attempt, job) for job in jobs)
    try:
        waiting = deque(islice(coming, 4 * workers))  # bounds the finished faces that wait in memory
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(islice(coming, 1))
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


def _attempt(job: Job) -> Any:
    try:
        return job()
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
