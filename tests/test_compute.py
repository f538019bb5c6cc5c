import os
import signal

from emscout.compute import map_tasks


def square(x):
    return x * x


def square_or_die(x):
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def test_results_come_in_the_order_of_the_tasks_whatever_the_number_of_workers():
    tasks = list(range(12))
    expected = [x * x for x in tasks]
    for workers in (1, 2):
        assert map_tasks(square, tasks, workers=workers, on_crash=lambda x: None) == expected


def test_a_killed_process_costs_its_own_task_only():
    results = map_tasks(square_or_die, list(range(8)), workers=2, on_crash=lambda x: "killed")
    assert results == [0, 1, 4, "killed", 16, 25, 36, 49]


def test_progress_counts_to_the_end():
    seen = []
    map_tasks(square, [1, 2, 3], workers=1, on_crash=lambda x: None, progress=lambda *step: seen.append(step))
    assert seen[0] == (0, 3, "1")
    assert seen[-1] == (3, 3, "3")


def test_no_tasks_no_results():
    assert map_tasks(square, [], on_crash=lambda x: None) == []
