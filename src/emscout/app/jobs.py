"""Work in the background, one piece at a time, that a page can watch and cancel."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from emscout.app.words import for_page
from emscout.compute import Progress
from emscout.errors import EmscoutError, UsageError

__all__ = ["Job", "Jobs"]

_LOG = logging.getLogger(__name__)


@dataclass
class Job:
    """A piece of work, as far as it is done.

    Parameters
    ----------
    number : int
        Counted from 1.
    page : str
        Which page asked for it.
    kind : str
        What it is to that page.
    state : {"running", "done", "failed", "cancelled"}
    done, total : int
        Steps; ``total`` is 0 as long as nobody knows.
    what : str
        What is being done.
    error : str
        Why it failed, in a sentence.
    """

    number: int
    page: str
    kind: str
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    done: int = 0
    total: int = 0
    what: str = ""
    error: str = ""


class _CancelledError(BaseException):
    """Raised where work reports its progress; not an ``Exception``, which work may take for a bad image and go on."""


class Jobs:
    """Runs one job at a time in a thread and remembers the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._job: Job | None = None

    def start(self, page: str, kind: str, work: Callable[[Progress], None]) -> None:
        """Run ``work``, which is given the function to report its progress to.

        Raises
        ------
        UsageError
            When another job still runs.
        """
        with self._lock:
            if self._job is not None and self._job.state == "running":
                raise UsageError("emscout is still busy with another job: wait for it, or cancel it.")
            job = self._job = Job(self._job.number + 1 if self._job else 1, page, kind)
            self._cancel.clear()
        threading.Thread(target=self._run, args=(job, work), daemon=True).start()

    def cancel(self) -> None:
        """Stop the job at its next step."""
        self._cancel.set()

    def describe(self) -> dict | None:
        """The last job as JSON-like fields; ``None`` before the first."""
        with self._lock:
            return None if self._job is None else asdict(self._job)

    def _run(self, job: Job, work: Callable[[Progress], None]) -> None:
        def report(done: int, total: int, what: str) -> None:
            if self._cancel.is_set():
                raise _CancelledError
            with self._lock:
                job.done, job.total, job.what = done, total, what

        state, error = "done", ""
        try:
            work(report)
        except _CancelledError:
            state = "cancelled"
        except EmscoutError as failure:
            state, error = "failed", for_page(failure)
        except MemoryError:
            state, error = "failed", "This computer ran out of memory: try fewer or smaller images."
        except Exception as failure:
            _LOG.exception("internal error in a job of the page %s", job.page)
            state, error = (
                "failed",
                f"Internal error in emscout ({type(failure).__name__}: {failure}); please report it.",
            )
        with self._lock:
            job.state, job.error = state, error  # type: ignore[assignment]
