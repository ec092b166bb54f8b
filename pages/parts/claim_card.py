"""A claim, as a page shows it: the sentence, what was measured, and whether it holds."""

from __future__ import annotations

import streamlit as st

from figures.theme import STATUS_STYLES
from pages.parts.layout import folded, unbroken
from pages.parts.measured import is_known, measured_claim
from pages.parts.navigation import link
from pages.parts.turns import fragment
from pages.parts.zoo_access import zoo_problems
from superposition.claims import Claim

LOOK_AGAIN = 1.0  # seconds between two looks at whether a claim has been measured


def claim_card(claim_id: str) -> None:
    """One claim of the ledger in a box. A zoo without its models gets a sentence instead.

    One that is still being measured is left for later: nothing on the page waits for it.
    """
    with zoo_problems():
        known = is_known(claim_id)
    if known:
        _card(claim_id)
    else:
        _later(claim_id)


def _waiting(claim_id: str) -> None:
    """In place of a card, until the claim is there."""
    if is_known(claim_id):
        st.rerun()
    with st.container(border=True):
        st.caption("A claim about this is being measured on the models.")


_later = fragment(_waiting, run_every=LOOK_AGAIN)


def _card(claim_id: str) -> None:
    with zoo_problems():
        claim = measured_claim(claim_id)
    if claim is None:
        st.info(
            f"The claim {claim_id} is measured on grids that this zoo does not have; "
            "the embedded zoo has them."
        )
        return
    status = STATUS_STYLES[claim.status]
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(status.label, icon=status.icon, color=status.badge)  # type: ignore[arg-type]
            link("pages/claims.py", f"Claim {claim.number}", query={"claim": claim.id})
        claim_text(claim, key=f"fold-{claim.id}")


def claim_text(claim: Claim, *, key: str, expanded: bool = False) -> None:
    """The sentence, what was measured, and, folded, how it was decided. key: of the fold."""
    st.markdown(unbroken(f"**{claim.sentence}**"))
    if claim.plainly:
        st.markdown(unbroken(claim.plainly))
    st.caption(unbroken(f"Measured: {claim.value}."))
    folded(
        "How it was decided",
        lambda: _decision(claim),
        key=key,
        icon=":material/straighten:",
        expanded=expanded,
    )


def _decision(claim: Claim) -> None:
    """What was measured and against what, set before anyone looked."""
    st.markdown(
        unbroken(
            f"- **Measurement:** {claim.measurement}\n"
            f"- **Threshold, set beforehand:** {_asked(claim)}\n"
            f"- **Source:** {claim.source}"
        )
    )
    if claim.detail:
        st.markdown(unbroken(claim.detail))


def _asked(claim: Claim) -> str:
    """The threshold as a sentence: what `holds` and `with a caveat` would have taken."""
    words = claim.threshold.replace("holds: ", "*holds* if ", 1)
    return words.replace("with a caveat: ", "*holds with a caveat* if only ", 1)
