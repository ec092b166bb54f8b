"""One page at a time, in order, and nobody held up for long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

import pytest

from pages.parts.turns import Turns
from tests.pages.conftest import ROOT

LONG = 30.0


@contextmanager
def held(turns: Turns) -> Iterator[None]:
    """While another thread has the turn."""
    has, leave = Event(), Event()

    def hold() -> None:
        with turns.turn():
            has.set()
            leave.wait(LONG)

    thread = Thread(target=hold)
    thread.start()
    try:
        assert has.wait(LONG)
        yield
    finally:
        leave.set()
        thread.join(LONG)


def wait_until_waiting(turns: Turns, count: int) -> None:
    deadline = time.monotonic() + LONG
    while turns.waiting < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_one_at_a_time_in_the_order_of_arrival() -> None:
    turns, order, inside, most, lock = Turns(longest=LONG), [], [0], [0], Lock()

    def work(name: int) -> None:
        with turns.turn():
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.002)
            order.append(name)
            with lock:
                inside[0] -= 1

    threads = [Thread(target=work, args=(name,)) for name in range(20)]
    with held(turns):
        for count, thread in enumerate(threads, start=1):
            thread.start()
            wait_until_waiting(turns, count)
    for thread in threads:
        thread.join(LONG)
    assert order == list(range(20))
    assert most == [1]
    assert turns.waiting == 0


def test_a_thread_inside_does_not_wait_for_itself() -> None:
    turns = Turns(longest=LONG)
    with turns.turn(), turns.turn():
        pass
    with turns.turn():
        assert turns.waiting == 0


def test_an_error_gives_the_turn_up() -> None:
    turns = Turns(longest=LONG)
    with pytest.raises(KeyError), turns.turn():
        raise KeyError("a page that fails")
    done = Event()

    def next_one() -> None:
        with turns.turn():
            done.set()

    Thread(target=next_one).start()
    assert done.wait(LONG)


def test_who_takes_too_long_does_not_hold_up_the_next_two() -> None:
    turns, done = Turns(longest=0.05), []

    def work(name: str) -> None:
        with turns.turn():
            done.append(name)

    with held(turns):
        threads = [Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
            thread.join(LONG)
        assert done == ["a", "b"]
    # The slow one has left by now, and took nobody's turn with it.
    work("c")
    assert done == ["a", "b", "c"]
    assert turns.waiting == 0


def test_every_part_of_a_page_runs_in_its_turn() -> None:
    for path in sorted((ROOT / "pages").rglob("*.py")):
        if path.name != "turns.py":
            assert "st.fragment" not in path.read_text(encoding="utf-8"), (
                f"{path.name}: use pages.parts.turns.fragment, or it will not wait for its turn"
            )
