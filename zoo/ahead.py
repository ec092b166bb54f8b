"""The claims of a zoo, measured before anybody asks, in a process of their own.

    python -m zoo.ahead PLACE [CLAIM_ID …]    # started by `Ahead`; speaks on its pipes

All claims together take a quarter of a minute. In the process that serves pages the first reader
of each would wait for it, and everyone else with them. Here they are measured while the first page
is read; one that somebody waits for comes next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any

from superposition.claims import Claim
from zoo.hub import HUB

ROOT = Path(__file__).parents[1]
NICENESS = 10


class NotMeasured(Exception):
    """A claim was not measured there; measuring it here gives it, or says what is wrong."""


class Ahead:
    """Measures the claims of the zoo at `place`, from now on.

    Args:
        place: of a zoo, as `Zoo.open` takes it.
        claim_ids: what to measure, in this order; by default the whole ledger.

    Attributes:
        process: does the work, behind the app in the operating system's queue. It ends when all
            is measured, and with the process that started it.
    """

    def __init__(self, place: str, claim_ids: Sequence[str] = ()) -> None:
        self._answers = _Answers()
        self._lock = Lock()
        # Not `multiprocessing`: its children would import Streamlit, our main module.
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, _absolute(place), *claim_ids],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        # They do not hold this object: once it is forgotten, the process may go.
        Thread(target=_listen, args=(self.process, self._answers), daemon=True).start()
        self.close = weakref.finalize(self, self.process.kill)

    def is_known(self, claim_id: str) -> bool:
        """Whether `claim` would answer at once."""
        return self._answers.of(claim_id).done()

    def ask(self, claim_id: str) -> None:
        """Have a claim measured next."""
        assert self.process.stdin is not None
        with self._lock, suppress(OSError, ValueError):
            self.process.stdin.write(f"{claim_id}\n".encode())
            self.process.stdin.flush()

    def claim(self, claim_id: str) -> Claim | None:
        """A claim, once it is measured, and that next. None where the zoo lacks its grids.

        Raises:
            NotMeasured: if it could not be.
        """
        answer = self._answers.of(claim_id)
        if not answer.done():
            self.ask(claim_id)
        return answer.result()


class _Answers:
    """A future for each claim that was asked for or answered; after the end, for no other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ended = False
        self._futures: dict[str, Future[Claim | None]] = {}

    def of(self, claim_id: str) -> Future[Claim | None]:
        with self._lock:
            future = self._futures.setdefault(claim_id, Future())
            if self._ended and not future.done():
                future.set_exception(NotMeasured(claim_id))
            return future

    def end(self) -> None:
        with self._lock:
            self._ended = True
            waiting = list(self._futures)
        for claim_id in waiting:
            self.of(claim_id)


def _listen(process: subprocess.Popen[bytes], answers: _Answers) -> None:
    """Take answers until there are no more."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            # The last line of a process that was killed may be half a line.
            with suppress(ValueError, KeyError, TypeError):
                _take(json.loads(line), answers)
    finally:
        answers.end()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()
        process.wait()


def _take(message: dict[str, Any], answers: _Answers) -> None:
    future = answers.of(message["id"])
    if "claim" not in message:
        future.set_exception(NotMeasured(message["id"]))
    else:
        future.set_result(Claim(**message["claim"]) if message["claim"] else None)


def _absolute(place: str) -> str:
    """The same place from any folder."""
    return place if place.startswith(HUB) else os.path.abspath(place)


class _Queue:
    """The claims still to be measured. Which comes next can be said from another thread."""

    def __init__(self, claim_ids: Sequence[str]) -> None:
        self._lock = Lock()
        self._waiting = deque(claim_ids)

    def next(self) -> str | None:
        """None when all were given out."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def prefer(self, claim_id: str) -> None:
        """This one next, if it still waits."""
        with self._lock, suppress(ValueError):
            self._waiting.remove(claim_id)
            self._waiting.appendleft(claim_id)


def _obey(asked: IO[bytes], queue: _Queue) -> None:
    """Do what is asked for first; end when nobody is there to ask."""
    for line in asked:
        queue.prefer(line.decode().strip())
    os._exit(0)


def main(arguments: Sequence[str]) -> None:
    """Measure, and say so in a line of JSON for each claim."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # What a library prints must not come between the answers.
    answered = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    from zoo.claims import LEDGER, measure_claim
    from zoo.reading import Zoo

    place, *claim_ids = arguments
    queue = _Queue(claim_ids or [entry.id for entry in LEDGER])
    Thread(target=_obey, args=(sys.stdin.buffer, queue), daemon=True).start()
    zoo = Zoo.open(place)
    while (claim_id := queue.next()) is not None:
        message: dict[str, Any] = {"id": claim_id}
        # What is wrong is told to whoever measures it again, where there is a page to say it on.
        with suppress(Exception):
            claim = measure_claim(zoo, claim_id)
            message["claim"] = claim and claim.to_dict()
        print(json.dumps(message), file=answered, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
