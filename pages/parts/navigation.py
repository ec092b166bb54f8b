"""The pages of the app, in the order of the menu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class View:
    """One page: its file, and its place in the menu."""

    file: str
    title: str
    icon: str
    group: str

    @property
    def address(self) -> str:
        """The last part of the URL; "" for the page that opens first.

        The name of the file, because a server that has not run the menu yet finds pages by it:
        under another address, the first reader of all would be told that there is no such page.
        """
        name = Path(self.file).stem
        return "" if name == "home" else name

    @property
    def exists(self) -> bool:
        return (ROOT / self.file).is_file()

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files that are this page's alone: its text, and its part of `pages/sections`."""
        files = ROOT / self.file, ROOT / "pages" / "sections" / Path(self.file).name
        return tuple(file for file in files if file.is_file())


VIEWS = (
    View("pages/home.py", "Five features, two dimensions", ":material/star:", "Start"),
    View("pages/features.py", "Features and sparsity", ":material/category:", "Start"),
    View("pages/bottleneck.py", "Bottleneck superposition", ":material/compress:", "Superposition"),
    View("pages/sizes.py", "Sparsity × dimension", ":material/grid_on:", "Superposition"),
    View("pages/packing.py", "Johnson–Lindenstrauss", ":material/workspaces:", "Superposition"),
    View("pages/privileged_basis.py", "Privileged basis", ":material/explore:", "Bases"),
    View("pages/rotation.py", "Rotation invariance", ":material/sync:", "Bases"),
    View("pages/two_kinds.py", "Storing and computing", ":material/compare_arrows:", "Neurons"),
    View("pages/polysemanticity.py", "Polysemanticity", ":material/hub:", "Neurons"),
    View("pages/lab.py", "Lab", ":material/science:", "Try it"),
    View("pages/models.py", "Models", ":material/table_rows:", "The zoo"),
    View("pages/claims.py", "Claims", ":material/fact_check:", "The zoo"),
    View("pages/glossary.py", "Glossary and reading", ":material/menu_book:", "Reference"),
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
