"""A claim, as a page shows it: the sentence, what was measured, and whether it holds."""

from __future__ import annotations

import streamlit as st

from figures.theme import STATUS_STYLES
from pages.parts.layout import folded, unbroken
from pages.parts.navigation import link
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from superposition.claims import Claim
from zoo import Zoo


@st.cache_resource(show_spinner=False, max_entries=100)
def _measured(_zoo: Zoo, key: str, claim_id: str) -> Claim | None:
    """One claim, measured once for each zoo; None where the zoo lacks its grids."""
    from zoo.claims import measure_claim

    return measure_claim(_zoo, claim_id)


def measured_claims() -> list[Claim]:
    """Every claim that the app's zoo can decide, in the order of the ledger.

    Raises:
        ZooError: if a file of the zoo is damaged.
    """
    from zoo.claims import LEDGER

    zoo = open_zoo()
    measured = (_measured(zoo, zoo_key(zoo), entry.id) for entry in LEDGER)
    return [claim for claim in measured if claim is not None]


def undecided_claims() -> list[str]:
    """The ids of the claims that the app's zoo lacks the grids for."""
    from zoo.claims import LEDGER

    zoo = open_zoo()
    return [entry.id for entry in LEDGER if not entry.decidable(zoo)]


def claim_card(claim_id: str) -> None:
    """One claim of the ledger in a box. A zoo without its models gets a sentence instead."""
    with zoo_problems():
        zoo = open_zoo()
        claim = _measured(zoo, zoo_key(zoo), claim_id)
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
