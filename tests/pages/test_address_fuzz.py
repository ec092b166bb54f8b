"""Whatever an address holds, a page is shown: random query strings on every page.

A page gets its own parameters, found in its source, with values that are valid, nearly valid,
or anything at all. The environment variable `FUZZ_CASES` says how many addresses each page gets:
few in `make test`, a hundred in `make fuzz`.
"""

from __future__ import annotations

import os
import random
import re
import string
from functools import cache

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.lab_settings import PARAMETERS, settings_from_query
from pages.parts.navigation import ROOT, VIEWS, View
from tests.pages.conftest import open_page
from training.live import LIMITS, LiveSettings

CASES = int(os.environ.get("FUZZ_CASES", "5"))
SETTINGS_CASES = 2000

# A parameter is named where the address is read, or as the key of a widget bound to it.
NAMED = re.compile(
    r"""query_params(?:\.get(?:_all)?\(|\.pop\(|\[)\s*"(\w+)"|\bkey="([a-z_]+)"|_parameter="(\w+)\""""
)
ODD = (
    *("", " ", "0", "-0", "1", "-1", "2", "5", "1e309", "-1e309", "nan", "inf", "1e-320", "0x10"),
    *("999999999999999999999", "1_000", "٣", "½", "1,5", "0.1,0.2", ",", ",,,,", "0.1;0.2"),
    *("None", "null", "true", "[]", "{}", "()", "../../etc/passwd", "%00", "\x00", "\ud7ff"),
    *("<script>alert(1)</script>", "[x](javascript:0)", "**", "`", "$\\frac{1}{0}$", ":red[x]"),
    *("'", '"', "\\", "\n", "🦩", "é", "a" * 5000, "9" * 400, "-" * 50, "relu-output", "all"),
)


@cache
def parameters(view: View) -> tuple[str, ...]:
    """The query parameters of a page, its parts' included."""
    sources = [*view.sources, *sorted((ROOT / "pages" / "parts").glob("*.py"))]
    found = {
        name
        for path in sources
        for match in NAMED.finditer(path.read_text(encoding="utf-8"))
        for name in match.groups()
        if name
    }
    return tuple(sorted(found | set(PARAMETERS) | {"p", "n", "m"}))


def value(rng: random.Random) -> str:
    """Something that may stand behind an equals sign."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(ODD)
    if kind == 1:
        return f"{rng.choice((1, -1, 1)) * 10 ** rng.uniform(-6, 6):.{rng.randrange(1, 9)}g}"
    if kind == 2:
        return str(rng.randrange(-3, 200))
    letters = string.printable + "äß→∑🦔\u202e\u0000"
    return "".join(rng.choice(letters) for _ in range(rng.randrange(0, 40)))


def test_parameters_are_found_in_the_sources() -> None:
    by_address = {view.address: set(parameters(view)) for view in VIEWS}
    assert {"p", "inputs", "networks", "size"} <= by_address["bottleneck"]
    assert {"claim", "status"} <= by_address["claims"]
    assert set(PARAMETERS) <= by_address["lab"]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.address or "home")
def test_no_address_breaks_a_page(view: View) -> None:
    app: AppTest | None = None
    for case in range(CASES):
        rng = random.Random(f"{view.address} {case}")
        names = parameters(view)
        chosen = rng.sample(names, k=min(len(names), rng.randrange(1, 8)))
        query = {name: value(rng) for name in chosen}
        # A new reader each time: a widget keeps its value, and would not look again.
        app = open_page(view.file, **query)
        assert not app.exception, f"{query}: {app.exception[0].message}"
        assert not app.error, f"{query}: {app.error[0].value}"
        assert app.title, query
    assert app is not None


def test_no_address_breaks_the_settings_of_the_lab() -> None:
    kept = 0
    for case in range(SETTINGS_CASES):
        rng = random.Random(case)
        names = rng.sample(sorted(PARAMETERS), k=rng.randrange(1, len(PARAMETERS) + 1))
        query = {name: value(rng) for name in names}
        settings, messages = settings_from_query(query)
        assert isinstance(settings, LiveSettings)
        assert LIMITS.n_features[0] <= settings.n_features <= LIMITS.n_features[1]
        assert LIMITS.steps[0] <= settings.steps <= LIMITS.steps[1]
        assert all(len(message) < 400 for message in messages)
        kept += not messages
    # Some random settings are good ones; most are not, and say so.
    assert 0 < kept < SETTINGS_CASES / 2
