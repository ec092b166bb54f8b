"""Turns: readers' pages are made one at a time, in the order in which they were asked for.

Python runs one thread at a time. A hundred pages made at once are all as late as the last of
them, keep what answers the browsers from running, and hold the memory of a hundred half-made
pages. In turn, the first are done early, and the last earlier too: `python -m benchmarks.load`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import Event, Lock, get_ident
from typing import ParamSpec, TypeVar

import streamlit as st

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_TURN = 1.0
LOOK_AGAIN = 0.25  # seconds between two looks at whether the one before takes too long


class Turns:
    """Lets in one thread at a time, first come, first served.

    Args:
        longest: seconds after which the next is let in too. A page that fetches its models from
            far away, or computes for long, shall not keep everybody waiting for as long.
    """

    def __init__(self, longest: float = LONGEST_TURN) -> None:
        self.longest = longest
        self._lock = Lock()
        self._inside: set[int] = set()
        self._latest: int | None = None  # who was let in last, if still inside
        self._since = 0.0
        self._waiting: deque[tuple[int, Event]] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait now."""
        return len(self._waiting)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and give it up at the end. A thread that has one does not wait."""
        me = get_ident()
        if me in self._inside:
            yield
            return
        self._wait(me)
        try:
            yield
        finally:
            with self._lock:
                self._inside.remove(me)
                if self._latest == me:
                    self._latest = None
                    if self._waiting:
                        self._let_in()

    def _wait(self, me: int) -> None:
        called = Event()
        with self._lock:
            self._waiting.append((me, called))
            if self._may_enter(me):
                self._let_in()
        while not called.wait(LOOK_AGAIN):
            with self._lock:
                if not called.is_set() and self._may_enter(me):
                    self._let_in()

    def _may_enter(self, me: int) -> bool:
        """Whether this is the next, and nobody is inside or has been there too long."""
        late = time.monotonic() - self._since > self.longest
        return self._waiting[0][0] == me and (self._latest is None or late)

    def _let_in(self) -> None:
        self._latest, called = self._waiting.popleft()
        self._since = time.monotonic()
        self._inside.add(self._latest)
        called.set()


TURNS = Turns()
"""Those of the app's pages."""


def fragment(part: Callable[P, R], *, run_every: float | None = None) -> Callable[P, R]:
    """Streamlit's fragment, a part of a page that can run again by itself, in its turn.

    run_every: seconds after which it runs again by itself.
    """

    @wraps(part)
    def in_turn(*args: P.args, **kwargs: P.kwargs) -> R:
        with TURNS.turn():
            return part(*args, **kwargs)

    again: Callable[P, R] = st.fragment(in_turn, run_every=run_every)
    return again


def pause(seconds: float) -> None:
    """Leave the browser time to draw what it has, unless others wait for their page."""
    if not TURNS.waiting:
        time.sleep(seconds)
