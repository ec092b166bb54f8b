"""The pages of the app, in the order of the menu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class View:
    """One page: its file, its place in the menu, and its part of the address."""

    file: str
    title: str
    icon: str
    group: str
    address: str
    """The last part of the URL; "" for the page that opens first."""

    @property
    def exists(self) -> bool:
        return (ROOT / self.file).is_file()


VIEWS = (
    View("pages/home.py", "Five features, two dimensions", ":material/star:", "Start", ""),
    View(
        "pages/features.py",
        "Features and sparsity",
        ":material/category:",
        "Start",
        "features",
    ),
    View(
        "pages/bottleneck.py",
        "Bottleneck superposition",
        ":material/compress:",
        "Superposition",
        "bottleneck",
    ),
    View("pages/sizes.py", "Sparsity × dimension", ":material/grid_on:", "Superposition", "sizes"),
    View(
        "pages/packing.py",
        "Johnson–Lindenstrauss and packing",
        ":material/workspaces:",
        "Superposition",
        "packing",
    ),
    View(
        "pages/privileged_basis.py",
        "Privileged basis",
        ":material/explore:",
        "Bases",
        "privileged-basis",
    ),
    View("pages/rotation.py", "Rotation invariance", ":material/sync:", "Bases", "rotation"),
    View(
        "pages/two_kinds.py",
        "Bottleneck and neuron superposition",
        ":material/compare_arrows:",
        "Neurons",
        "two-kinds",
    ),
    View(
        "pages/polysemanticity.py",
        "Polysemanticity",
        ":material/hub:",
        "Neurons",
        "polysemanticity",
    ),
    View("pages/lab.py", "Lab", ":material/science:", "Try it", "lab"),
    View("pages/zoo_browser.py", "Models", ":material/table_rows:", "The zoo", "zoo"),
    View("pages/claims.py", "Claims", ":material/fact_check:", "The zoo", "claims"),
    View(
        "pages/glossary.py",
        "Glossary and reading",
        ":material/menu_book:",
        "Reference",
        "glossary",
    ),
)


def menu() -> dict[str, list[st.Page]]:
    """Group of the menu -> its pages, for `st.navigation`."""
    groups: dict[str, list[st.Page]] = {}
    for view in VIEWS:
        if view.exists:
            page = st.Page(
                view.file,
                title=view.title,
                icon=view.icon,
                url_path=view.address or None,
                default=not view.address,
            )
            groups.setdefault(view.group, []).append(page)
    return groups


def link(
    file: str, label: str, *, query: dict[str, str] | None = None, help: str | None = None
) -> None:
    """A link to another page of the app, with its state; nothing where there is no such page."""
    view = next((view for view in VIEWS if view.file == file), None)
    if view is None or not view.exists:
        return
    st.page_link(view.file, label=label, icon=view.icon, query_params=query, help=help)


def links(entries: Sequence[tuple[str, str]]) -> None:
    """Links to other pages beside each other: (file, label)."""
    with st.container(horizontal=True):
        for file, label in entries:
            link(file, label)
