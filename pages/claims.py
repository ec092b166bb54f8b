"""Claims: which sentences about superposition these models bear out, and which they do not."""

from __future__ import annotations

import streamlit as st

from pages.parts.layout import caveats, heading, prose, question, reading
from pages.parts.navigation import link
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo
from pages.sections.claims import as_json, asked_for, entry, ledger, measured_claims, summary
from zoo.claims import LEDGER

question(
    "Claims",
    "Which sentences about [[superposition]] are true of these models? Each one here is decided by "
    "a measurement on the weights of the [[zoo]], or on seeded random points where no model is "
    "involved. Nothing is typed in: the numbers are computed anew for every zoo that is opened, "
    "and a claim that fails is shown as failing.",
)
zoo = open_zoo()
claims = measured_claims()
if undecided := [entry.id for entry in LEDGER if not entry.decidable(zoo)]:
    st.info(
        f"This zoo lacks the grids that {len(undecided)} of the claims are measured on: "
        f"{', '.join(undecided)}. `python -m training build` trains them.",
        icon=":material/fact_check:",
    )
summary(claims)
chosen = asked_for(claims)
if chosen is not None:
    heading("The claim you came for")
    entry(chosen, expanded=True)
    heading("All claims")
ledger(claims)
prose(
    f"These are the {len(claims)} claims measured so far. Sentences of the sources that no "
    "[[grid]] of this zoo can decide yet are not listed."
)
st.download_button(
    "Download the ledger (JSON)",
    as_json(claims),
    "claims.json",
    mime="application/json",
    on_click="ignore",
    icon=":material/download:",
)
prose("The same on the command line:")
st.code("python -m zoo claims --format json", language="bash")

heading("How a claim is decided")
prose(
    "A claim is a sentence that can be false, put in our own words. Before anyone looks at the "
    "trained weights, it gets a measurement, the models it is taken on, and a threshold. Then it "
    "is computed, and the status follows from the threshold alone. Thresholds are not moved "
    "afterwards: a claim that just misses fails."
)
caveats(
    (
        "A claim that holds here holds for these models: small, trained on synthetic data, all by "
        "one recipe. It is evidence for larger networks, not proof.",
        "A claim can fail because the sentence is wrong, because it leaves out a condition, or "
        "because training stopped in a [[local minimum]]. The text below its number says what is "
        "known about that.",
        "“The best [[seed]]” is the one of lowest loss in its setting. Where a claim counts all "
        "seeds, it says so.",
    )
)
reading(
    (
        cited(
            "toy-models",
            "where most of these sentences come from (Elhage et al., 2022).",
        ),
        cited(
            "open-problems",
            "sentences that nobody has measured yet.",
        ),
    )
)
link("pages/models.py", "The models themselves")
