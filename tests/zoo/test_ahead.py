"""Claims measured in a process of their own: the same claims, asked for in any order."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoo import Zoo
from zoo.ahead import ROOT, Ahead, NotMeasured
from zoo.claims import measure_claim
from zoo.sources import EMBEDDED

QUICK = ("four-in-two", "pentagon", "rarely-together-share")
SLOW = "exponentially-many"

Start = Callable[..., Ahead]


@pytest.fixture
def start() -> Iterator[Start]:
    """start(place, claim_ids): an `Ahead` that ends with the test."""
    started: list[Ahead] = []

    def begin(place: Path = EMBEDDED, claim_ids: tuple[str, ...] = QUICK) -> Ahead:
        started.append(Ahead(str(place), claim_ids))
        return started[-1]

    yield begin
    for ahead in started:
        ahead.close()


def is_gone(ahead: Ahead) -> bool:
    """Whether its process ends within a while."""
    try:
        ahead.process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_claims_are_those_that_are_measured_here(start: Start) -> None:
    ahead = start()
    for claim_id in reversed(QUICK):
        assert ahead.claim(claim_id) == measure_claim(Zoo.open(EMBEDDED), claim_id)
        assert ahead.is_known(claim_id)
    assert is_gone(ahead)
    assert ahead.claim(QUICK[0]) is not None


def test_the_whole_ledger_is_measured_if_nothing_is_named(tmp_path: Path, start: Start) -> None:
    shutil.copy(EMBEDDED / "zoo.json", tmp_path)
    manifest = (tmp_path / "zoo.json").read_text(encoding="utf-8")
    before, _, _ = manifest.partition('"grids"')
    (tmp_path / "zoo.json").write_text(before + '"grids": {}}', encoding="utf-8")
    ahead = start(tmp_path, ())
    assert ahead.claim("pentagon") is None
    assert measure_claim(Zoo.open(tmp_path), "pentagon") is None
    assert (found := ahead.claim(SLOW)) is not None
    assert found.id == SLOW


def test_a_claim_that_is_waited_for_is_the_next(start: Start) -> None:
    ahead = start(claim_ids=(SLOW, "jl-distances", "pentagon"))
    assert ahead.claim("pentagon") is not None
    assert not ahead.is_known("jl-distances")


def test_an_unknown_claim_is_not_measured(start: Start) -> None:
    ahead = start(claim_ids=("pentagon",))
    with pytest.raises(NotMeasured):
        ahead.claim("earth-is-flat")


def test_a_damaged_zoo_is_left_to_whoever_can_say_so(tmp_path: Path, start: Start) -> None:
    damaged = tmp_path / "zoo"
    shutil.copytree(EMBEDDED, damaged)
    index = damaged / "grids" / "bottleneck-5x2" / "index.parquet"
    index.write_bytes(index.read_bytes()[:-7] + b"damaged")
    ahead = start(damaged)
    with pytest.raises(NotMeasured):
        ahead.claim("pentagon")
    # The others are measured all the same.
    assert ahead.claim("rarely-together-share") is not None


@pytest.mark.parametrize("place", ["nowhere", "hub:no/where"])
def test_without_a_zoo_nothing_is_measured(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    ahead = Ahead(place, QUICK)
    with pytest.raises(NotMeasured):
        ahead.claim("pentagon")
    assert is_gone(ahead)


def test_killed_it_answers_nobody_and_blocks_nobody(start: Start) -> None:
    ahead = start(claim_ids=(SLOW, "pentagon"))
    ahead.process.kill()
    for claim_id in (SLOW, "pentagon", SLOW):
        with pytest.raises(NotMeasured):
            ahead.claim(claim_id)


def test_it_ends_when_it_is_forgotten() -> None:
    ahead = Ahead(str(EMBEDDED), (SLOW, "jl-distances"))
    process = ahead.process
    del ahead
    assert process.wait(timeout=60) is not None


def test_it_ends_with_the_process_that_started_it() -> None:
    program = (
        "import os, sys; from zoo.ahead import Ahead; from zoo.sources import EMBEDDED;"
        f"print(Ahead(str(EMBEDDED), ['{SLOW}', 'jl-distances']).process.pid, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    left = int(done.stdout)
    for _ in range(600):
        try:
            os.kill(left, 0)
        except ProcessLookupError:
            return
        if "Z" in state(left):
            return
        time.sleep(0.1)
    pytest.fail(f"process {left} is still there")


def state(pid: int) -> str:
    """Its state, as `ps` writes it."""
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, text=True
    )
    return listed.stdout
