"""Apply one function to many images: one after the other, or in several processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

__all__ = ["Progress", "count_cores", "count_threads", "map_tasks"]

Task = TypeVar("Task")
Result = TypeVar("Result")
# progress(done, total, what)
Progress = Callable[[int, int, str], None]

# Starting a process takes seconds of imports; with fewer tasks than this one process is faster.
_MIN_TASKS_FOR_PROCESSES = 8


def map_tasks(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int | None = None,
    name: Callable[[Task], str] = str,
    on_crash: Callable[[Task], Result],
    progress: Progress | None = None,
) -> list[Result]:
    """Apply ``function`` to each task and return the results in the order of the tasks.

    Parameters
    ----------
    function : callable
        Module-level (it travels to worker processes) and expected to catch its own errors.
    tasks : sequence
        Small and picklable: paths, not pixels.
    workers : int or None
        Number of processes; ``None`` takes one per core for eight tasks or more. 1 runs in this process.
    name : callable
        What to show of a task while it runs.
    on_crash : callable
        The result of a task whose process was killed (out of memory, say).
    progress : callable or None
        Called as ``progress(done, total, name)`` before the first and after each task.
    """
    if workers is None:
        workers = count_cores() if len(tasks) >= _MIN_TASKS_FOR_PROCESSES else 1
    workers = min(workers, len(tasks))
    report = progress or (lambda done, total, what: None)
    report(0, len(tasks), name(tasks[0]) if tasks else "")
    if workers <= 1:
        results = []
        for i, task in enumerate(tasks):
            report(i, len(tasks), name(task))
            results.append(function(task))
            report(i + 1, len(tasks), name(task))
        return results
    return _map_in_processes(function, tasks, workers, name, on_crash, report)


def _map_in_processes(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    name: Callable[[Task], str],
    on_crash: Callable[[Task], Result],
    report: Progress,
) -> list[Result]:
    results: dict[int, Result] = {}
    # Spawned, not forked: the libraries use threads, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    remaining = list(range(len(tasks)))
    while remaining:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            futures = {pool.submit(function, tasks[i]): i for i in remaining}
            try:
                for future in as_completed(futures):
                    i = futures[future]
                    results[i] = future.result()
                    report(len(results), len(tasks), name(tasks[i]))
            except BrokenProcessPool:
                finished = {i: f.result() for f, i in futures.items() if f.done() and f.exception() is None}
                results.update(finished)
            except BaseException:
                # Wait here: leaving the block calls shutdown once more, which would start the remaining tasks again.
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        remaining = [i for i in remaining if i not in results]
        if remaining and workers == 1:
            # Alone in its process, so the first unfinished task is the one that was killed.
            i = remaining.pop(0)
            results[i] = on_crash(tasks[i])
            report(len(results), len(tasks), name(tasks[i]))
        workers = 1
    return [results[i] for i in range(len(tasks))]


def count_cores() -> int:
    """Number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Windows and macOS
        return os.cpu_count() or 1


def count_threads() -> int:
    """Number of threads a network may use: one in a worker process, because images are done in parallel there."""
    return 1 if multiprocessing.parent_process() else count_cores()
