"""The claims of the app's zoo as they are measured, once for all readers."""

from __future__ import annotations

import logging
import os
from threading import Lock

import streamlit as st

from pages.parts.zoo_access import open_zoo, zoo_key
from superposition.claims import Claim
from zoo import Zoo
from zoo.ahead import Ahead, NotMeasured
from zoo.hub import HUB

AHEAD_VARIABLE = "SUPERPOSITION_AHEAD"
"""Environment variable; with the value 0, each claim is measured where a page first shows it."""

_log = logging.getLogger(__name__)

# By the key of the zoo. There is one, or two where the app's own zoo is not the embedded one.
_ahead: dict[str, Ahead | None] = {}
_lock = Lock()


def measure_ahead() -> None:
    """Begin to measure the claims of this reader's zoo, unless that was begun or is not wanted.

    Not for a zoo on the Hub: of that, only the grids that are asked for are fetched.
    """
    if os.environ.get(AHEAD_VARIABLE) == "0":
        return
    zoo = open_zoo()
    key = zoo_key(zoo)
    with _lock:
        if key in _ahead or zoo.place.startswith(HUB):
            return
        try:
            _ahead[key] = Ahead(zoo.place)
        except OSError as error:
            # A machine without room for one more process can still show pages.
            _ahead[key] = None
            _log.warning("claims are not measured ahead: %s", error)


def is_known(claim_id: str) -> bool:
    """Whether `measured_claim` gives a claim without waiting for it to be measured ahead.

    If not, it is the next to be.
    """
    ahead = _ahead.get(zoo_key(open_zoo()))
    if ahead is None or ahead.is_known(claim_id):
        return True
    ahead.ask(claim_id)
    return False


def measured_claim(claim_id: str) -> Claim | None:
    """One claim; None where the app's zoo lacks its grids.

    Raises:
        ZooError: if a file of the zoo is damaged.
    """
    zoo = open_zoo()
    return _measured(zoo, zoo_key(zoo), claim_id)


@st.cache_resource(show_spinner=False, max_entries=100)
def _measured(_zoo: Zoo, key: str, claim_id: str) -> Claim | None:
    """Measured ahead, or else here."""
    if (ahead := _ahead.get(key)) is not None:
        try:
            return ahead.claim(claim_id)
        except NotMeasured:
            pass  # if something is wrong with the zoo, then this says what
    from zoo.claims import measure_claim

    return measure_claim(_zoo, claim_id)
