"""A live run that a reader watches: what the Lab and the retraining on other pages share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakSet

import numpy as np
import streamlit as st

if TYPE_CHECKING:
    from training.live import Evaluation, Frame, LiveRun, LiveSettings, Progress

REDRAW_SECONDS = 0.3
# A run of two tenths of a second is shown in this time, so that it can be watched.
WATCH_SECONDS = 4.0
MOST_AT_ONCE = 0.1
# So many readers may watch at full speed. Pictures for more come less often: those of ten would
# otherwise take most of the time of the process that serves everybody.
UNHURRIED = 2
# A reader who has not asked for so long has left.
GONE_SECONDS = 10.0


@dataclass(eq=False)
class Watched:
    """A reader's run, shown more slowly than it happens. Lives in the session.

    Attributes:
        run: the run itself.
        watching: whether the reader is still being shown how it trains.
    """

    run: LiveRun
    watching: bool = True
    _since: float | None = None
    _share: float = 0.0
    _seen: int | None = None
    _judged: dict[int, Evaluation] = field(default_factory=dict)
    _asked: float = field(default_factory=lambda: time.monotonic())

    def __post_init__(self) -> None:
        _everyone.add(self)

    @property
    def watched_now(self) -> bool:
        """Whether the reader is there, and being shown how it trains."""
        return self.watching and time.monotonic() - self._asked < GONE_SECONDS

    def frames(self, now: Progress) -> tuple[Frame, ...]:
        """What the reader sees by now: a whole run takes `WATCH_SECONDS`, some ten pictures."""
        self._asked = time.monotonic()
        if not self.watching or not now.frames:
            return now.frames
        if self._since is None:
            self._since = time.monotonic()
        else:
            by_now = (time.monotonic() - self._since) / WATCH_SECONDS
            self._share = min(by_now, self._share + MOST_AT_ONCE * _slower())
        frames = now.up_to(self._share)
        self._seen = frames[-1].step
        return frames

    def all_seen(self, now: Progress, frames: Sequence[Frame]) -> bool:
        """Whether the run is over, and the reader has seen the end of it."""
        if now.active:
            return False
        return now.state == "failed" or not now.frames or frames[-1].step == now.frames[-1].step

    def stop(self) -> None:
        """Stop, and keep the weights that the reader sees."""
        self.run.stop(at_step=self._seen)

    def judged(self, frame: Frame) -> Evaluation:
        """The expected losses of the run's models as they were at a frame, computed once."""
        from training.live import expected_losses

        if frame.step not in self._judged:
            self._judged = {frame.step: expected_losses(self.run.settings, frame.parameters)}
        return self._judged[frame.step]


_everyone: WeakSet[Watched] = WeakSet()


def _slower() -> float:
    """How many times longer than `REDRAW_SECONDS` the pause between two pictures is now."""
    watching = sum(watched.watched_now for watched in tuple(_everyone))
    return max(1.0, watching / UNHURRIED)


def redraw_seconds() -> float:
    """The pause between two pictures of a run, the longer the more readers watch one."""
    return REDRAW_SECONDS * _slower()


def watch(settings: LiveSettings) -> Watched:
    """Start a run and watch it. A reader has one at a time: the one before it is stopped."""
    from training.live import train_live

    reader: str = st.session_state.setdefault("reader", uuid4().hex)
    return Watched(train_live(settings, reader=reader))


def show_progress(now: Progress, frames: Sequence[Frame]) -> None:
    """How far the run is, while it is watched."""
    step = frames[-1].step if frames else 0
    share = step / now.total
    if now.state == "waiting":
        st.progress(share, f"{now.message} Place in the queue: {now.place}.")
    elif not frames:
        st.progress(0.0, now.message)
    else:
        st.progress(share, f"Step {step:,} of {now.total:,}")


def before_the_end(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """The frames of a run that diverged, without those whose numbers no picture can hold."""
    most = 100 * np.nanmax(frames[0].losses)
    return tuple(frame for frame in frames if np.nanmin(frame.losses) <= most)
