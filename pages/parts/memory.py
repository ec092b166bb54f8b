"""What Python's garbage collector need not look at again."""

from __future__ import annotations

import gc
import sys
from threading import Lock

MODULES = 40
"""So many new modules are worth another look."""

_lock = Lock()
_known = 0


def keep_modules() -> None:
    """Tell the garbage collector that the objects of imported modules are there to stay.

    Streamlit collects garbage after each run, and so walks over everything that Python holds.
    Nearly all of that belongs to modules, half a million objects in Altair's schema and in pandas
    among them, and takes an eighth of a second a run; without them it takes a few milliseconds.
    What readers leave behind is collected as before, but for what is in use at the few times,
    never more than one for each `MODULES` modules, when something new was imported.
    """
    global _known
    if len(sys.modules) < _known + MODULES or not _lock.acquire(blocking=False):
        return
    try:
        gc.collect()
        gc.freeze()
        _known = len(sys.modules)
    finally:
        _lock.release()
