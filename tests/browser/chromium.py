"""Where the Chromium of the browser tests is: found, or installed on request.

`python tests/browser/chromium.py` prints its path, or ends with status 1 where there is none;
with `--install` it first tries to install one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MACOS_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# In a process of its own: a test may already be inside Playwright, which does not nest.
ASK_PLAYWRIGHT = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
)
"""What Chromium is started with: it may run as root, and asks nobody for updates."""
ADVICE = (
    "The browser tests need Chromium, and none was found or could be installed.\n"
    "Install Chromium or Google Chrome, or name its executable: CHROMIUM=/path/to/chromium"
)


@cache
def find_chromium() -> str | None:
    """The executable of a Chromium that starts, or None.

    In this order: the one named by the environment variable CHROMIUM, one on PATH, an
    application on macOS, the one that `playwright install` left.

    Raises:
        FileNotFoundError: if CHROMIUM names something that does not start.
    """
    named = os.environ.get("CHROMIUM")
    if named:
        path = shutil.which(named)
        if path is None or not _starts(path):
            raise FileNotFoundError(
                f"CHROMIUM is {named!r}, which does not start; "
                "expected the path of a Chromium or Chrome executable"
            )
        return path
    return next((path for path in _candidates() if _starts(path)), None)


def _candidates() -> Iterator[str]:
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            yield path
    yield from filter(os.path.exists, MACOS_APPS)
    asked = subprocess.run(
        [sys.executable, "-c", ASK_PLAYWRIGHT], capture_output=True, text=True, check=False
    )
    path = asked.stdout.strip()
    if os.path.exists(path):
        yield path


def _starts(path: str) -> bool:
    # Some distributions ship a stub by this name that only says where to get the real one.
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_chromium() -> str | None:
    """Install a Chromium with what is at hand and return its executable, or None."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    apt = root and shutil.which("apt-get") is not None
    playwright = [sys.executable, "-m", "playwright", "install", "chromium"]
    ways = [[playwright]]
    if apt:
        # Playwright's own Chromium comes without the system libraries it needs.
        ways = [
            [["apt-get", "update"], ["apt-get", "install", "--yes", "chromium"]],
            [[*playwright, "--with-deps"]],
        ]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for commands in ways:
        for command in commands:
            print("+", *command, file=sys.stderr, flush=True)
            if subprocess.run(command, env=environment, stdout=sys.stderr).returncode != 0:
                break
        find_chromium.cache_clear()
        found = find_chromium()
        if found is not None:
            return found
    return None


def main(arguments: list[str]) -> int:
    try:
        found = find_chromium()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    if found is None and "--install" in arguments:
        found = install_chromium()
    if found is None:
        print(ADVICE, file=sys.stderr)
        return 1
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
