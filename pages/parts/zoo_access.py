"""The zoo that the app shows, opened once for all readers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from zoo import Zoo, ZooError, ZooNotFound
from zoo.reading import EMBEDDED

ZOO_VARIABLE = "SUPERPOSITION_ZOO"
"""Environment variable with the folder of another zoo than the embedded one."""


def zoo_path() -> Path:
    """The folder that the app reads; it need not exist.

    Raises:
        ZooNotFound: for a place this version cannot read from.
    """
    wanted = os.environ.get(ZOO_VARIABLE, "").strip()
    if wanted.startswith("hub:"):
        raise ZooNotFound(
            f"{ZOO_VARIABLE} is {wanted!r}, and zoos are not read from the Hub directly; "
            "download it, and set the variable to the path of the folder"
        )
    return Path(wanted) if wanted else EMBEDDED


@st.cache_resource(show_spinner=False, max_entries=4)
def _opened(folder: Path, changed: int) -> Zoo:
    """The zoo in `folder`, again when its manifest has changed since."""
    return Zoo.open(folder)


def open_zoo() -> Zoo:
    """The app's zoo. Where there is none, says so on the page and stops the run."""
    with zoo_problems():
        folder = zoo_path()
        manifest = folder / "zoo.json"
        changed = manifest.stat().st_mtime_ns if manifest.is_file() else 0
        return _opened(folder, changed)


def zoo_key(zoo: Zoo) -> str:
    """Text that changes with the content of a zoo, as key of what is cached about it."""
    return f"{zoo.folder} {(zoo.folder / 'zoo.json').stat().st_mtime_ns}"


@contextmanager
def zoo_problems() -> Iterator[None]:
    """Turn a missing or damaged zoo into a message to the reader instead of a traceback.

    `app.py` runs every page inside; a fragment that reads the zoo needs its own, because
    its reruns do not pass through `app.py`.
    """
    try:
        yield
    except ZooError as error:
        st.error(f"**The zoo cannot be read.** {_plain(str(error))}", icon=":material/folder_off:")
        wanted = os.environ.get(ZOO_VARIABLE, "").strip()
        st.markdown(
            f"The app reads the folder that the environment variable `{ZOO_VARIABLE}` names, "
            f"here `{wanted}`. Correct it, or unset it to read the embedded zoo."
            if wanted
            else "The app reads the embedded zoo, `zoo/data`. `python -m zoo verify` checks it "
            "file by file; a fresh clone brings it back, and `make zoo` trains it again."
        )
        st.stop()


def _plain(message: str) -> str:
    """An error message as Markdown; its backticks mark code, and nothing else marks anything."""
    for mark in ("*", "$", "[", "<", "~"):
        message = message.replace(mark, f"\\{mark}")
    return message


def zoo_caption() -> None:
    """Which zoo this is, at the foot of the sidebar. Says nothing where there is none."""
    try:
        folder = zoo_path()
        if not (folder / "zoo.json").is_file():
            return
        zoo = _opened(folder, (folder / "zoo.json").stat().st_mtime_ns)
    except (ZooError, OSError):
        return
    where = "embedded" if folder == EMBEDDED else f"`{folder}`"
    st.sidebar.caption(
        f"Zoo {zoo.version} ({where}): {len(zoo):,} models in {len(zoo.grids)} grids"
    )
