"""A real browser and a real server, for the tests in this folder.

`chromium.py` says which browser. Without any, the tests are skipped, except in CI, where a
missing browser is an error.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright import sync_api

from pages.parts.measured import AHEAD_VARIABLE
from tests.browser.chromium import ADVICE, FLAGS, find_chromium

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
# A reader's machine may be busy with something else; a page that hangs still fails.
sync_api.expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[sync_api.Browser]:
    """One Chromium for the whole session; open a page or a context of your own in it."""
    executable = find_chromium()
    if executable is None:
        if os.environ.get("CI"):
            raise RuntimeError(ADVICE)
        pytest.skip(ADVICE)
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable,
            args=list(FLAGS),
        )
        yield chromium
        chromium.close()


@pytest.fixture
def serve_app(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start `streamlit run` on a script and get its address; it stops when the test ends.

    serve_app(path, *args): args are passed on to Streamlit's command line. With ahead="1" claims
    are measured ahead, as they are for readers.
    """
    yield from serving(tmp_path)


@pytest.fixture(scope="module")
def serve_apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """`serve_app` for servers that a whole file of tests shares."""
    yield from serving(tmp_path_factory.mktemp("servers"))


def serving(folder: Path) -> Iterator[Callable[..., str]]:
    running: list[subprocess.Popen[bytes]] = []

    def serve(path: str | Path, *args: str, ahead: str = "0") -> str:
        port = free_port()
        log = folder / f"server-{port}.log"
        command = [sys.executable, "-m", "streamlit", "run", str(path)]
        command += ["--server.address", "127.0.0.1", "--server.port", str(port), *args]
        with log.open("wb") as output:
            server = subprocess.Popen(
                command,
                cwd=ROOT,
                # Most tests start a server of their own: the work would be done for each of them.
                env={**os.environ, "PYTHONPATH": str(ROOT), AHEAD_VARIABLE: ahead},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        running.append(server)
        address = f"http://127.0.0.1:{port}"
        wait_until_healthy(address, server, log)
        return address

    yield serve
    for server in running:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_healthy(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"Streamlit did not start. Its output was:\n{log.read_text()}")
