"""Where shards are trained: in this process, in processes of this machine, or elsewhere.

`Workers` is an executor of `concurrent.futures` that says how much it takes at once; the
builder knows no more of it. `training.cluster` has one that is a Dask cluster.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# For each worker one call at work and one waiting: nobody idles while the builder writes,
# and a worker that dies takes only what it had begun.
CALLS_EACH = 2


class Workers(Executor):
    """An executor that says how many calls it takes at once.

    A future of it that is cancelled, and not by the caller, means that the workers are lost;
    `lost` says how, and what to do.
    """

    lost = "the workers are gone"

    def slots(self) -> int:
        """How many calls may be under way; 0 while there is nobody to take one."""
        raise NotImplementedError


class ThisProcess(Workers):
    """Runs each call as it is submitted. An interruption ends it at once."""

    def slots(self) -> int:
        return 1

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Processes(Workers):
    """Processes of this machine. They end when this one does, even when it is killed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = ProcessPoolExecutor(
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_end_with_parent,
            initargs=(os.getpid(),),
        )

    def slots(self) -> int:
        return CALLS_EACH * self._count

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _end_with_parent(parent: int, seconds: float = 1.0) -> None:
    """Make this worker end when the build does, also when that was killed outright."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def device_problem(device: str) -> str | None:
    """Why this process cannot compute on a torch device; None if it can."""
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        return f"cannot compute on device {device!r} ({reason}); use --device cpu"
    return None
