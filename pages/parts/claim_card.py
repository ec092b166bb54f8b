"""A claim, as a page shows it: the sentence, what was measured, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from figures.theme import STATUS_STYLES
from pages.parts.layout import folded, unbroken
from pages.parts.measured import is_known, measured_claim
from pages.parts.navigation import link
from pages.parts.zoo_access import zoo_problems
from superposition.claims import Claim


class _Run(local):
    """What this run of a page has left for its end; None outside of `cards_last`."""

    waiting: list[tuple[DeltaGenerator, str]] | None = None


_run = _Run()


@contextmanager
def cards_last() -> Iterator[None]:
    """A page whose claims are still being measured is shown first, and its cards are filled after.

    `app.py` runs every page inside; a fragment that runs again waits for its claims where it is.
    """
    _run.waiting = []
    try:
        yield
        for place, claim_id in _run.waiting:
            with place.container():
                _card(claim_id)
    finally:
        _run.waiting = None


def claim_card(claim_id: str) -> None:
    """One claim of the ledger in a box. A zoo without its models gets a sentence instead."""
    with zoo_problems():
        known = is_known(claim_id)
    if known or _run.waiting is None:
        _card(claim_id)
        return
    place = st.empty()
    with place.container(border=True):
        st.caption("A claim about this is being measured on the models.")
    _run.waiting.append((place, claim_id))


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
