"""Work in the background: one piece at a time, watched, cancelled, and failing with a sentence."""

import threading
import time

import pytest

from emscout.app.jobs import Jobs
from emscout.errors import ReadError, UsageError


def ended(jobs):
    end = time.monotonic() + 10
    while (job := jobs.describe())["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.005)
    return job


def test_progress_can_be_watched():
    jobs, go = Jobs(), threading.Event()
    reported = threading.Event()

    def work(progress):
        progress(1, 4, "scan_1")
        reported.set()
        go.wait(10)

    assert jobs.describe() is None
    jobs.start("locate", "search", work)
    assert reported.wait(10)
    job = jobs.describe()
    assert (job["state"], job["done"], job["total"], job["what"]) == ("running", 1, 4, "scan_1")
    with pytest.raises(UsageError, match="still busy"):
        jobs.start("analyze", "run", work)
    go.set()
    assert ended(jobs)["state"] == "done"


def test_cancelled_work_stops_at_its_next_step_and_the_next_may_start():
    jobs, steps = Jobs(), []

    def work(progress):
        for step in range(10_000):
            try:
                progress(step, 10_000, "")
            except Exception:  # work that goes on past a bad image must not go on past this
                continue
            steps.append(step)
            time.sleep(0.005)

    jobs.start("locate", "search", work)
    jobs.cancel()
    assert ended(jobs)["state"] == "cancelled"
    assert len(steps) < 1000
    jobs.start("locate", "search", lambda progress: progress(0, 1, ""))
    job = ended(jobs)
    assert (job["state"], job["number"]) == ("done", 2)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ReadError("scan.tif is damaged."), "scan.tif is damaged."),
        (MemoryError(), "memory"),
        (ValueError("odd"), "Internal error in emscout (ValueError: odd)"),
    ],
)
def test_failed_work_says_why(error, sentence):
    jobs = Jobs()

    def work(progress):
        raise error

    jobs.start("locate", "search", work)
    job = ended(jobs)
    assert job["state"] == "failed"
    assert sentence.casefold() in job["error"].casefold()
