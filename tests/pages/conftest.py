"""Pages run without a browser, by Streamlit's AppTest, on the embedded zoo.

Set SUPERPOSITION_ZOO to run them on another one.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.measured import AHEAD_VARIABLE
from pages.parts.zoo_access import ZOO_VARIABLE
from superposition.claims import Claim
from zoo.claims import measure_claims
from zoo.reading import EMBEDDED, Zoo

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120  # Far above what a page takes: a limit for a page that hangs.

Visit = Callable[..., AppTest]


@pytest.fixture(scope="session")
def zoo_folder() -> Path:
    """The folder of the zoo that the pages show."""
    folder = Path(os.environ.get(ZOO_VARIABLE) or EMBEDDED)
    if not (folder / "zoo.json").is_file():
        advice = f"there is no zoo in {folder}; build it with `make zoo`"
        if os.environ.get("CI"):
            pytest.fail(advice)
        pytest.skip(advice)
    return folder


@pytest.fixture(scope="session")
def measured(zoo_folder: Path) -> list[Claim]:
    """Every claim of that zoo, in the order of the ledger."""
    return measure_claims(Zoo.open(zoo_folder))


@pytest.fixture(autouse=True)
def no_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims are measured where a page asks for them: `test_measured` tests the other way."""
    monkeypatch.setenv(AHEAD_VARIABLE, "0")


@pytest.fixture
def visit(zoo_folder: Path) -> Visit:
    """visit(page, **query): the page as a reader finds it who follows a link with that query."""
    return open_page


def open_page(page: str = "pages/home.py", **query: str) -> AppTest:
    """Like the fixture `visit`, and also where there may be no zoo."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS)
    if page != "pages/home.py":
        app.run()
        app.switch_page(page)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def shown_text(app: AppTest) -> str:
    """Every word of Markdown on the page, its messages included, with plain spaces only."""
    parts = [*app.markdown, *app.caption, *app.info, *app.error, *app.warning]
    return "\n".join(str(part.value) for part in parts).replace("\N{NO-BREAK SPACE}", " ")


def headings(app: AppTest) -> list[str]:
    """The headings within the page."""
    return [html.unescape(words) for _, words in _headings(app)]


def anchors(app: AppTest) -> list[str]:
    """Fragments of the address that lead to them, where there are such."""
    return [anchor for anchor, _ in _headings(app) if anchor]


def _headings(app: AppTest) -> list[tuple[str, str]]:
    """Anchor and words of each."""
    found = (_HEADING.fullmatch(str(part.value)) for part in app.markdown)
    return [(line["anchor"] or "", line["plain"] or line["words"]) for line in found if line]


_HEADING = re.compile(
    '### (?P<plain>[^\n]*)|<h3 data-anchor="(?P<anchor>[^"]*)">(?P<words>[^\n]*)</h3>'
)


def described(app: AppTest) -> list[str]:
    """What somebody who hears the page is told of each chart: its `alt`, and what follows it."""
    told: list[str] = []
    for element in app.main:
        if element.type == "vega_lite_chart":
            told.append(element.proto.alt)
        elif element.type == "html" and (words := _SPOKEN.fullmatch(element.proto.body)):
            told[-1] += " " + html.unescape(words[1])
    return told


_SPOKEN = re.compile('<p class="spoken">(.*)</p>')


def unfold(app: AppTest) -> AppTest:
    """Open every fold of the page; what is in it is made only then."""
    for fold in app.expander:
        if fold.proto.id:  # "$$ID-HASH-KEY"
            app.session_state[fold.proto.id.split("-", 2)[2]] = True
    return app.run()
