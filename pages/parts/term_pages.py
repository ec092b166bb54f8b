"""Which pages use a term of the glossary, read off the pages themselves."""

from __future__ import annotations

import re
from functools import cache

from pages.parts.navigation import VIEWS, View

# The page that explains a term, where that is not the first in the menu that uses it.
EXPLAINED_ON = {
    "antipodal pair": "pages/bottleneck.py",
    "density": "pages/features.py",
    "direction": "pages/home.py",
    "feature": "pages/features.py",
    "importance": "pages/home.py",
    "interference": "pages/home.py",
    "represented": "pages/home.py",
    "seed": "pages/lab.py",
    "sparsity": "pages/features.py",
}

NOT_ON_A_PAGE: frozenset[str] = frozenset()
"""Terms that need no page: kept for those who read the sources."""

REFERENCE = "pages/glossary.py"

# Terms as `prose` marks them, with or without other words, and those that help texts show.
_USES = re.compile(r"""\[\[([^\]|\[]+)(?:\||\]\])|\b(?:term|help_for)\(\s*["']([^"']+)["']""")


def terms_in(source: str) -> set[str]:
    """The terms that a page's source marks or shows as help."""
    return {marked or helped for marked, helped in _USES.findall(source)}


@cache
def pages_by_term() -> dict[str, tuple[View, ...]]:
    """Term -> the pages that use it: the one that explains it first, then as in the menu."""
    found: dict[str, list[View]] = {}
    for view in VIEWS:
        if view.exists and view.file != REFERENCE:
            text = "".join(path.read_text(encoding="utf-8") for path in view.sources)
            for name in terms_in(text):
                found.setdefault(name, []).append(view)
    return {
        name: tuple(sorted(views, key=lambda view: view.file != EXPLAINED_ON.get(name)))
        for name, views in found.items()
    }
