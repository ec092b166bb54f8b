"""Work that takes as long as a network takes, for callers who will not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeVar

from zoo.errors import HubError

T = TypeVar("T")

PAUSE = 60.0
"""Seconds after a failure before the same is tried again."""


@dataclass(eq=False)
class _Job:
    future: Future[Any] = field(default_factory=Future)
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None


class Jobs:
    """Runs each named job once, in the background, for everyone who asks for it meanwhile.

    Nobody waits longer than `patience` seconds after the job was begun: who comes later is told
    at once that it is still running. A job that failed is not tried again before `pause` seconds
    have passed (or as many as the Hub asked for), and whoever asks is told of the failure.
    """

    def __init__(self, patience: float, pause: float = PAUSE) -> None:
        self.patience = patience
        self.pause = pause
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}

    def result(self, name: str, work: Callable[[], T], *, patient: bool = True) -> T:
        """What `work` returns or raises.

        Args:
            name: of the job, and of what is waited for, in messages.
            patient: whether to wait at all.

        Raises:
            HubError: if it is still running, and the patience is over.
        """
        with self._lock:
            job = self._jobs.get(name)
            if job is None or self._over(job):
                job = self._jobs[name] = _Job()
                # Not a pool: a pool's threads hold up the end of the program.
                threading.Thread(
                    target=self._run, args=(job, work), name=f"zoo {name}", daemon=True
                ).start()
        left = self.patience - (time.monotonic() - job.started) if patient else 0.0
        try:
            error = job.future.exception(max(left, 0.0))
        except TimeoutError:
            raise HubError(
                f"the Hub has not sent {name} within {self.patience:g} seconds; it is being waited "
                "for in the background, so try again in a moment"
            ) from None
        if error is not None:
            raise copy(error)  # each thread that is told of a failure needs one of its own
        return job.future.result()

    def _over(self, job: _Job) -> bool:
        """Whether a job has nothing more to say: it succeeded, or its failure is too old."""
        if job.ended is None:
            return False
        error = job.future.exception()
        asked = getattr(error, "retry_after", None) or 0.0
        return error is None or time.monotonic() - job.ended >= max(self.pause, asked)

    def _run(self, job: _Job, work: Callable[[], Any]) -> None:
        try:
            job.future.set_result(work())
        except BaseException as error:
            error.__traceback__ = None  # it would keep alive all that the work had in hand
            job.future.set_exception(error)
        finally:
            job.ended = time.monotonic()
