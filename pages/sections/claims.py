"""The ledger of claims, filtered, and each claim's entry."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import streamlit as st

from figures.theme import STATUS_STYLES
from pages.parts.claim_card import claim_text
from pages.parts.measured import is_known, measured_claim
from pages.parts.navigation import VIEWS, link
from pages.parts.turns import fragment
from pages.parts.url_state import choice, plain_text
from superposition.claims import Claim
from zoo.claims import LEDGER

ALL = "all"
LOOK_AGAIN = 0.2  # seconds between two looks at whether a claim has been measured
MEANINGS = {
    "holds": "the measurement passes the threshold.",
    "holds with a caveat": "it passes a weaker threshold, also fixed beforehand.",
    "does not hold": "it passes neither. The sentence is wrong for these models, or too broad.",
}


def counts(claims: Sequence[Any]) -> dict[str, int]:
    """Status -> number of claims, in the order of `STATUS_STYLES`, zeros included."""
    found = Counter(claim.status for claim in claims)
    return {status: found[status] for status in STATUS_STYLES}


def as_json(claims: Sequence[Any]) -> str:
    """The ledger for machines."""
    return json.dumps([claim.to_dict() for claim in claims], indent=2, ensure_ascii=False)


def measured_claims() -> list[Claim]:
    """Every claim that the zoo can decide, in the order of the ledger, with its progress."""
    ids = [entry.id for entry in LEDGER]
    place = st.empty()
    for k, claim_id in enumerate(ids):
        while not is_known(claim_id):
            # Said again and again: a reader who leaves is let go when something is said.
            place.progress(k / len(ids), f"Measuring claim {k + 1} of {len(ids)}")
            time.sleep(LOOK_AGAIN)
    place.empty()
    found = map(measured_claim, ids)
    return [claim for claim in found if claim is not None]


def summary(claims: Sequence[Any]) -> None:
    """How many claims have each status, and what the statuses mean."""
    for status, number in counts(claims).items():
        style = STATUS_STYLES[status]
        with st.container(gap="xxsmall"):
            st.badge(style.label, icon=style.icon, color=style.badge)  # type: ignore[arg-type]
            st.markdown(f"{number} of {len(claims)}: {MEANINGS[status]}")


def entry(claim: Any, *, expanded: bool = False) -> None:
    """One claim: sentence, status and value; how it was decided is folded below."""
    style = STATUS_STYLES[claim.status]
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(style.label, icon=style.icon, color=style.badge)  # type: ignore[arg-type]
            st.markdown(f"**Claim {claim.number}** · `{claim.id}`")
        key = f"fold-{claim.id}{'-chosen' if expanded else ''}"
        claim_text(claim, key=key, expanded=expanded)
        title = next((view.title for view in VIEWS if view.file == claim.page), None)
        if title is not None:
            link(claim.page, f"Shown on: {title}")


def asked_for(claims: Sequence[Any]) -> Any | None:
    """The claim that the address names, if it is in the ledger; a message if it is not."""
    wanted = st.query_params.get("claim")
    if wanted is None:
        return None
    for claim in claims:
        if claim.id == wanted:
            return claim
    st.info(
        f"The address asks for claim “{plain_text(wanted)}”, which this zoo does not answer. "
        "Showing all claims instead.",
        icon=":material/link:",
    )
    return None


@fragment
def ledger(claims: Sequence[Any]) -> None:
    """Every claim, or those of one status."""
    status = choice("Show", (ALL, *STATUS_STYLES), ALL, key="status", widget="segmented")
    shown = [claim for claim in claims if status in (ALL, claim.status)]
    if not shown:
        st.markdown("No claim has this status.")
    for claim in shown:
        entry(claim)
