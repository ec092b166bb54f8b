"""The claims of the app's zoo as they are measured, once for all readers."""

from __future__ import annotations

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

# By the key of the zoo. There is one, or two where the app's own zoo is not the embedded one.
_ahead: dict[str, Ahead] = {}
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
        if key not in _ahead and not zoo.place.startswith(HUB):
            _ahead[key] = Ahead(zoo.place)


def is_known(claim_id: str) -> bool:
    """Whether `measured_claim` would answer without a wait that is worth a word."""
    zoo = open_zoo()
    ahead = _ahead.get(zoo_key(zoo))
    return ahead is None or ahead.is_known(claim_id)


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
