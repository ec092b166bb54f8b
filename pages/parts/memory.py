"""When Python looks for garbage, and what it need not look at."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from functools import cache
from threading import Lock

import pyarrow as pa

MODULES = 40
"""So many new modules are worth being told apart from the rest."""

PAUSE = 10.0
"""Seconds between two collections, at least."""

_lock = Lock()
_known = 0
_last = 0.0


def tidy() -> None:
    """Collect what readers left behind, now and then, whoever comes by.

    Streamlit would collect after every run, and so walk over everything that Python holds: an
    eighth of a second with one reader, most of the machine's time with a hundred. The settings of
    the app (`runner.postScriptGC`) turn that off.

    What modules hold, half a million objects in Altair's schema and in pandas among them, is there
    to stay, and is left out of every collection. With it stays what is in use by readers at the
    few moments, one for each `MODULES` modules at most, when something new was imported.
    """
    global _known, _last
    if time.monotonic() < _last + PAUSE or not _lock.acquire(blocking=False):
        return
    try:
        gc.collect()
        _give_back()
        if len(sys.modules) >= _known + MODULES:
            gc.freeze()
            _known = len(sys.modules)
        _last = time.monotonic()
    finally:
        _lock.release()


@cache
def _trim() -> Callable[[int], int] | None:
    """The C library's own way to return free memory to the system, where it has one (glibc)."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return trim


def _give_back() -> None:
    """Return to the system what readers no longer use; runs end on threads that come and go."""
    pa.default_memory_pool().release_unused()
    trim = _trim()
    if trim is not None:
        trim(0)
