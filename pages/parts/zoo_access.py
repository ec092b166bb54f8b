"""The zoo that the app shows, opened once for all readers."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from pages.parts.url_state import plain_text
from zoo import HubError, UnknownGrid, Zoo, ZooError
from zoo.hub import HUB
from zoo.shared import SharedZoo, Shown
from zoo.sources import EMBEDDED

ZOO_VARIABLE = "SUPERPOSITION_ZOO"
"""Environment variable, or Streamlit secret, with the place of another zoo than the embedded one:
a folder, or `hub:OWNER/NAME@REVISION`."""

# In the address, `?zoo=embedded`: this reader looks at the embedded zoo, whatever the app's is. The
# session remembers it, because the menu's links do not.
_PARAMETER = "zoo"
_EMBEDDED = "embedded"
_OWN_CHOICE = "zoo of this reader"

# What a page may stumble over in a zoo that is sound, and is not the one it was written for.
_MISFITS = (LookupError, ValueError, TypeError, ArithmeticError)

_log = logging.getLogger(__name__)


def zoo_setting() -> str:
    """The place of the app's zoo: a path, or `hub:…`; "" for the embedded one."""
    wanted = os.environ.get(ZOO_VARIABLE, "").strip()
    if not wanted and st.secrets.load_if_toml_exists():
        wanted = str(st.secrets.get(ZOO_VARIABLE, "")).strip()
    return wanted


def zoo_path() -> Path:
    """The folder that the app reads, if its zoo is in one; it need not exist."""
    return Path(zoo_setting() or EMBEDDED)


@st.cache_resource(show_spinner=False, max_entries=4)
def _opened(folder: Path, changed: int) -> Zoo:
    """The zoo in `folder`, again when its manifest has changed since."""
    return Zoo.open(folder)


@st.cache_resource(show_spinner=False, max_entries=4)
def _shared(place: str) -> SharedZoo:
    return SharedZoo(place)


def _shown() -> Shown:
    """The zoo of this reader, and why it is not the app's if it is not."""
    own = _prefers_embedded()
    if not own and zoo_setting().startswith(HUB):
        with st.spinner("Asking the Hub for the zoo"):
            return _shared(zoo_setting()).now()
    folder = EMBEDDED if own else zoo_path()
    manifest = folder / "zoo.json"
    return Shown(_opened(folder, manifest.stat().st_mtime_ns if manifest.is_file() else 0))


def open_zoo() -> Zoo:
    """The app's zoo. Where there is none, says so on the page and stops the run."""
    with zoo_problems():
        return _shown().zoo


def zoo_key(zoo: Zoo) -> str:
    """Text that changes with the content of a zoo, as key of what is cached about it."""
    return f"{zoo.place} {zoo.manifest.digest}"


@contextmanager
def zoo_problems() -> Iterator[None]:
    """Turn a missing or damaged zoo into a message to the reader instead of a traceback.

    `app.py` runs every page inside; a fragment that reads the zoo needs its own, because
    its reruns do not pass through `app.py`.
    """
    try:
        yield
    except ZooError as error:
        _explain(error)
    except _MISFITS as error:
        if _is_embedded():
            raise  # a mistake of ours, which is to be seen
        _log.exception("a page could not be shown from %s", zoo_setting())
        _explain(error)
    else:
        return
    st.stop()


def _explain(error: Exception) -> None:
    """What is wrong with the zoo, what to do, and a way to go on without it."""
    wanted = zoo_setting()
    if isinstance(error, HubError):
        said = "**Part of this zoo is not here, and cannot be fetched now:**"
        st.warning(f"{said} {_plain(str(error))}.", icon=":material/cloud_off:")
    elif isinstance(error, UnknownGrid):
        said = "**This page cannot be shown from this zoo:**"
        st.error(f"{said} {_plain(str(error))}.", icon=":material/folder_off:")
    elif isinstance(error, ZooError):
        said = "**The zoo cannot be read:**"
        st.error(f"{said} {_plain(str(error))}.", icon=":material/folder_off:")
    else:
        st.error(
            "**This page cannot be shown from this zoo.** Its grids do not hold the models that "
            "the page is about.",
            icon=":material/folder_off:",
        )
    if _is_embedded():
        st.markdown(
            "The app reads the embedded zoo, `zoo/data`. `python -m zoo verify` checks it "
            "file by file; a fresh clone brings it back, and `make zoo` trains it again."
        )
        return
    st.markdown(
        f"The app is set to the zoo `{_code(wanted)}`, with the environment variable or the "
        f"Streamlit secret `{ZOO_VARIABLE}`. Without either it reads the zoo that comes with it."
    )
    with st.container(horizontal=True):
        if isinstance(error, HubError) and st.button("Try again", icon=":material/refresh:"):
            st.rerun()
        if st.button("Show the embedded zoo instead", icon=":material/folder_open:"):
            st.session_state[_OWN_CHOICE] = _EMBEDDED
            st.rerun()


def _plain(message: str) -> str:
    """An error message as Markdown; its backticks mark code, and nothing else marks anything."""
    for mark in ("*", "$", "[", "<", "~"):
        message = message.replace(mark, f"\\{mark}")
    return message


def _code(text: str) -> str:
    return text.replace("`", "'")


def _prefers_embedded() -> bool:
    """Whether this reader asked for the embedded zoo, here or on an earlier page."""
    if st.query_params.get(_PARAMETER) == _EMBEDDED:
        st.session_state[_OWN_CHOICE] = _EMBEDDED
    return st.session_state.get(_OWN_CHOICE) == _EMBEDDED


def _is_embedded() -> bool:
    return _prefers_embedded() or zoo_setting() == ""


def zoo_notice() -> None:
    """Above the page: that the zoo shown is not the app's, and why. Says nothing where it is."""
    asked = st.query_params.get(_PARAMETER)
    if asked and asked != _EMBEDDED:
        st.info(
            f"The address asks for the zoo “{plain_text(asked)}”; it can only ask for "
            f"“{_EMBEDDED}”. Showing the app's zoo.",
            icon=":material/link:",
        )
    try:
        shown = _shown()
    except (ZooError, OSError):
        return  # the page itself will say so
    if shown.notice is not None:
        st.warning(_plain(shown.notice), icon=":material/cloud_off:")


def zoo_caption() -> None:
    """Which zoo this is, at the foot of the sidebar. Says nothing where there is none."""
    try:
        zoo = _shown().zoo
    except (ZooError, OSError):
        return
    whence = (
        "come with the app"
        if zoo.place == str(EMBEDDED)
        else f"are read from `{_code(_short(zoo.place))}`"
    )
    st.sidebar.caption(
        f"The {len(zoo):,} trained models on these pages {whence}. Their version is "
        f"{_plain(zoo.version)}."
    )
    if not (_prefers_embedded() and zoo_setting()):
        return
    st.query_params[_PARAMETER] = _EMBEDDED  # so that the address says what is seen
    if st.sidebar.button("Back to the app's zoo", icon=":material/undo:"):
        del st.session_state[_OWN_CHOICE]
        del st.query_params[_PARAMETER]
        st.rerun()


def _short(place: str) -> str:
    """A place with its commit shortened, as people write it."""
    repository, at, commit = place.partition("@")
    return f"{repository}{at}{commit[:12]}" if place.startswith(HUB) else place
