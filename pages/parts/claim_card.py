"""A claim, as a page shows it: the sentence, what was measured, and whether it holds."""

from __future__ import annotations

from typing import Any

import streamlit as st

from figures.theme import STATUS_STYLES
from pages.parts.navigation import link
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from zoo import Zoo


@st.cache_resource(show_spinner=False, max_entries=4)
def _measured(_zoo: Zoo, key: str) -> dict[str, Any]:
    """Claim id -> claim, measured once for each zoo."""
    from zoo.claims import measure_claims

    return {claim.id: claim for claim in measure_claims(_zoo)}


def measured_claims() -> dict[str, Any]:
    """Every claim of the ledger by its id, measured on the app's zoo.

    Raises:
        ZooError: if the zoo lacks what a claim is measured on.
    """
    zoo = open_zoo()
    return _measured(zoo, zoo_key(zoo))


def claim_card(claim_id: str) -> None:
    """One claim of the ledger in a box. A zoo without its models gets a sentence instead."""
    try:
        with zoo_problems():
            claims = measured_claims()
    except ImportError:
        claims = {}
    if claim_id not in claims:
        st.info(f"The claim {claim_id} has not been measured on this zoo.")
        return
    claim = claims[claim_id]
    status = STATUS_STYLES[str(getattr(claim.status, "value", claim.status))]
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(status.label, icon=status.icon, color=status.badge)  # type: ignore[arg-type]
            link("pages/claims.py", f"Claim {claim.number}", query={"claim": claim.id})
        st.markdown(f"**{claim.sentence}**")
        st.markdown(f"Measured: {claim.value}  \nThreshold, set beforehand: {claim.threshold}")
        if claim.detail:
            st.caption(claim.detail)
