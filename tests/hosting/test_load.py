"""The load benchmark: its reader hears every answer, also of a page that asks for itself again."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import load

# Like a page with a claim that is being measured: every third time that the second part comes back
# it asks for the whole page, often while the first part is being made for a control.
PAGE = """
import time
import streamlit as st

@st.fragment
def answer():
    picked = st.select_slider("Density", list("abcdef"))
    time.sleep(0.1)
    st.write(picked)

@st.fragment(run_every=0.15)
def wait():
    st.session_state.times = st.session_state.get("times", 0) + 1
    if st.session_state.times % 3 == 0:
        st.rerun()

answer()
wait()
"""


async def moves(port: int, seconds: float) -> load.Timings:
    timings = load.Timings()
    async with load.session(port, timings, seed=0) as reader:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await reader.move()
    return timings


def test_a_page_made_again_answers_the_control(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "PATIENCE", 10.0)
    page = tmp_path / "page.py"
    page.write_text(PAGE, encoding="utf-8")
    server = load.Server(tmp_path / "server.log", str(page))
    try:
        server.wait()
        # In a thread of its own: a browser of tests before may have left its loop in this one.
        with ThreadPoolExecutor(1) as pool:
            timings = pool.submit(lambda: asyncio.run(moves(server.port, 5.0))).result()
    finally:
        server.stop()
    assert not timings.errors
    assert len(timings.reruns) > 5
