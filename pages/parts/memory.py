"""When Python looks for garbage, and what it need not look at."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from functools import cache
from threading import Lock

import pyarrow as pa

MODULES = 40
"""So many new modules are worth being told apart from the rest."""

PAUSE = 10.0
"""Seconds between two collections, at least."""

KEPT_FREE = 1 << 20
"""Bytes that a heap may keep at its end when nobody uses them."""

LARGE = 1 << 19
"""Bytes from which on something has pages of its own, which go when it goes."""

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

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
def _c_library() -> ctypes.CDLL | None:
    """glibc, whose allocator can be told what to keep; None elsewhere."""
    try:
        library = ctypes.CDLL(None)
        library.malloc_trim, library.mallopt  # noqa: B018
    except (AttributeError, OSError, TypeError):
        return None
    return library


@cache
def _share_heaps() -> None:
    """Have threads share the heaps there are, Arrow too, and keep those from holding on to room.

    Every run of a page has a thread of its own. By default each core brings eight heaps, and what
    a hundred readers leave in them is scattered over all of them. glibc also learns from large
    arrays to keep tens of megabytes free at the end of each heap, and `malloc_trim` leaves that
    alone but in the first one: 120 MiB that no reader used any more.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    library = _c_library()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT_FREE)
        library.mallopt(_M_MMAP_THRESHOLD, LARGE)


def _give_back() -> None:
    """Return to the system what readers no longer use."""
    _share_heaps()
    pa.default_memory_pool().release_unused()
    library = _c_library()
    if library is not None:
        library.malloc_trim(0)
