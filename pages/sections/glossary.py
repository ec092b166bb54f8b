"""Terms, sources and open problems, searched or listed."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st

from pages.parts.glossary import TERMS
from pages.parts.layout import heading, prose
from pages.parts.navigation import VIEWS, View, link
from pages.parts.open_problems import PROBLEMS
from pages.parts.sources import SOURCES, Source
from pages.parts.term_pages import pages_by_term
from pages.parts.turns import fragment
from pages.parts.url_state import choice, plain_text

PARTS = ("glossary", "reading", "open problems")
MOST_PAGES = 3


def anchor(name: str) -> str:
    """The part of an address that leads to a term: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def page_links(views: Sequence[View]) -> None:
    """Links to pages, by their titles."""
    with st.container(horizontal=True):
        for view in views:
            link(view.file, view.title)


def found_terms(text: str) -> list[str]:
    """Terms with the text in their name, then those with it in their definition; A to Z each."""
    wanted = text.strip().lower()
    names = sorted(TERMS, key=str.lower)
    in_name = [name for name in names if wanted in name.lower()]
    rest = [name for name in names if name not in in_name and wanted in TERMS[name].lower()]
    return in_name + rest


def entry(name: str) -> None:
    """One term: what it means, and the pages that use it."""
    heading(name, anchor(name))
    st.markdown(TERMS[name])
    views = pages_by_term().get(name, ())
    if views:
        page_links(views[:MOST_PAGES])
    else:
        st.caption("No page uses it so far.")


def glossary() -> None:
    """All terms, or those with a text in them."""
    text = st.text_input(
        "Find a term",
        key="find",
        type="search",
        live=True,
        bind="query-params",
        placeholder="all terms",
        width=360,
    )
    names = found_terms(text)
    if not names:
        st.info(
            f"No term and no definition has “{plain_text(text)}” in it. Clear the field to see "
            f"all {len(TERMS)} terms.",
            icon=":material/search_off:",
        )
    for name in names:
        entry(name)


def source(one: Source) -> None:
    """One source: where it is, what it is good for, and what this app has of it."""
    with st.container(gap="xsmall"):
        prose(f"**[{one.title}]({one.address})**, {one.by}")
        prose(f"{one.good_for}  \n*Here:* {one.here}")
        page_links([view for view in VIEWS if view.file in one.pages])


def sources() -> None:
    """The reading list that the app grew from, then the rest."""
    heading("The reading list", "reading-list")
    prose("The five texts that this app began with, and what it has of each.")
    for one in SOURCES.values():
        if one.listed:
            source(one)
    heading("More", "more-reading")
    for one in SOURCES.values():
        if not one.listed:
            source(one)


def problems() -> None:
    """Questions with the Lab set up for them."""
    prose(
        "Small questions, each with the Lab set up for it. Some have answers in the literature; "
        "none is answered here. A run takes seconds."
    )
    for problem in PROBLEMS:
        with st.container(border=True, gap="xsmall"):
            st.markdown(f"**{problem.title}**")
            prose(problem.about)
            prose(f"*Look for:* {problem.look_for}")
            prose(f"*Then:* {problem.then}")
            link("pages/lab.py", "Set the Lab up for it", query=problem.query)
    prose(
        "Beyond the Lab: other activations (GELU), dropout, finite training sets, features that "
        "depend on each other. Those take a few lines in `training/grids.py`; the README says how "
        "to add a [[grid]]."
    )


@fragment
def reference() -> None:
    """The part that the reader asks for."""
    part = choice(
        "Show", PARTS, PARTS[0], key="part", widget="segmented", label_visibility="collapsed"
    )
    if part == "glossary":
        glossary()
    elif part == "reading":
        sources()
    else:
        problems()
