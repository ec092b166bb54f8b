"""The parts that pages share."""

from __future__ import annotations

import ast
import html
import os
import re
import shutil
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from pages.parts import live_run
from pages.parts.glossary import TERMS, term, with_terms
from pages.parts.layout import unbroken
from pages.parts.navigation import VIEWS
from pages.parts.url_state import meant_by, plain_text
from pages.parts.zoo_access import ZOO_VARIABLE, zoo_path
from tests.pages.conftest import ROOT, open_page, shown_text
from training.live import Frame, Progress
from zoo.reading import EMBEDDED

NO_BREAK = "\N{NO-BREAK SPACE}"


def test_a_term_is_found_and_an_unknown_one_says_where_to_add_it() -> None:
    assert "dimensions" in term("superposition")
    with pytest.raises(KeyError, match="glossary has no term 'nonsense'"):
        term("nonsense")


def test_marked_terms_become_hover_texts() -> None:
    shown = with_terms("A [[density]] and an [[antipodal pair|opposite pair]].")
    assert shown.count("<span") == 2
    assert ">opposite pair</span>" in shown
    assert TERMS["density"][:20] in shown
    assert 'tabindex="0"' in shown


@pytest.mark.parametrize("name", TERMS)
def test_a_term_does_not_break_the_table_that_it_stands_in(name: str) -> None:
    row = with_terms(f"| [[{name}]] | 0.5 |")
    assert row.count("|") == 3
    assert html.unescape(row).count(TERMS[name]) == 1


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("At S = 0.8 and m = 2,", ["S = 0.8", "m = 2,"]),
        ("within 1 ± δ; √(9/100) = 0.3.", ["1 ± δ;", "√(9/100) = 0.3."]),
        ("[[density]] is p = 1 − S, of 5 × 2", ["p = 1 − S,", "5 × 2"]),
        (
            "**5 × 2** in [a page of 6 × 2](https://x.org/a?b=1)",
            ["**5 × 2**", "6 × 2](https://x.org/a?b=1)"],
        ),
        # Long ones break as before; LaTeX, code and tables are left alone.
        ("features represented × dimensions of the model", []),
        ("so $a = b$, and $$\nc = d\n$$, `e = f`,\n```\ng = h\n```", []),
        ("| S = 0.8 | 5 × 2 |\n|---|---|", []),
        ("- one\n- two\n\na > b", []),
    ],
)
def test_short_formulas_do_not_break_over_lines(text: str, joined: list[str]) -> None:
    shown = unbroken(text)
    assert shown.replace(NO_BREAK, " ") == text
    found = re.findall(rf"\S+(?:{NO_BREAK}\S+)*", shown)
    assert [part.replace(NO_BREAK, " ") for part in found if NO_BREAK in part] == joined


@given(st.text(alphabet="ab1 =×−$`|\n[]*", max_size=60))
def test_keeping_formulas_on_one_line_changes_spaces_only(text: str) -> None:
    assert unbroken(text).replace(NO_BREAK, " ") == text


def test_every_term_that_a_page_marks_is_in_the_glossary() -> None:
    for path in sorted((ROOT / "pages").rglob("*.py")):
        if path.name in ("glossary.py", "layout.py"):  # They explain the notation itself.
            continue
        for name in re.findall(r"\[\[([a-zA-Z][^\]|\[\"']*)(?:\|[^\]]+)?\]\]", path.read_text()):
            assert name in TERMS, f"{path.name} marks {name!r}"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("0.3", 0.3), ("0.300", 0.3), ("0.2999", 0.3), ("1", 1.0), ("0.25", None), ("x", None)],
)
def test_numbers_in_the_address_may_be_a_hundredth_off(asked: str, meant: float | None) -> None:
    assert meant_by(asked, [1.0, 0.3, 0.1]) == meant


def test_text_in_the_address_means_the_option_of_that_name() -> None:
    assert meant_by("20x5", ["5x2", "20x5"]) == "20x5"
    assert meant_by("nan", [1.0]) is None
    assert meant_by("inf", [1.0]) is None


def test_text_from_the_address_cannot_format_the_page() -> None:
    shown = plain_text("**[x](http://y)**<b>`$" + "a" * 100)
    assert not set("*[]()<>`$:") & set(shown)
    assert len(shown) == 40


CHOICE = """
import streamlit as st
from pages.parts.url_state import choice
st.write(choice("Density", [1.0, 0.3, 0.1], 0.1, key="p", format_func=lambda p: f"p = {p:g}"))
st.write(choice("Family", ["linear", "relu"], "relu", key="f", widget="segmented"))
st.write(choice("Name", ["one", "two"], "two", key="n", widget="select"))
"""


def chosen(**query: str) -> tuple[list[str], list[str]]:
    app = AppTest.from_string(CHOICE)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return [str(part.value).strip("`") for part in app.markdown], [i.value for i in app.info]


def test_a_choice_starts_at_its_default() -> None:
    assert chosen() == (["0.1", "relu", "two"], [])


def test_a_choice_follows_the_address() -> None:
    assert chosen(p="p = 0.3", f="linear", n="one") == (["0.3", "linear", "one"], [])
    assert chosen(p="0.3")[0][0] == "0.3"


def test_a_bad_address_gets_a_gentle_notice_and_the_default() -> None:
    values, notices = chosen(p="banana", f="7", n="*")
    assert values == ["0.1", "relu", "two"]
    assert len(notices) == 3
    assert "banana" in notices[0]
    assert "Showing p = 0.1 instead" in notices[0]


def test_a_choice_moves_when_the_reader_moves_it() -> None:
    app = AppTest.from_string(CHOICE).run()
    app.select_slider[0].set_value(1.0).run()
    app.selectbox[0].set_value("one").run()
    assert [str(part.value).strip("`") for part in app.markdown] == ["1.0", "relu", "one"]


def test_a_default_that_is_no_option_is_an_error() -> None:
    app = AppTest.from_string(
        "from pages.parts.url_state import choice\nchoice('x', [1, 2], 3, key='x')"
    ).run()
    assert "the default 3 is not among the options" in app.exception[0].value


PREDICTION = """
from pages.parts.layout import prediction
prediction("How many?", ("two", "five"), "five", "Because.", key="guess")
"""


@pytest.mark.parametrize(("picked", "verdict"), [("five", "Yes."), ("two", "Not quite.")])
def test_a_prediction_answers_only_after_a_guess(picked: str, verdict: str) -> None:
    app = AppTest.from_string(PREDICTION).run()
    assert "Because" not in shown_text(app)
    app.button_group(key="guess").select(picked).run()
    assert f"{verdict} Because." in shown_text(app)


def test_the_menu_has_every_page_in_its_group() -> None:
    addresses = [view.address for view in VIEWS]
    assert addresses[0] == ""
    assert len(set(addresses)) == len(addresses)
    # Before the menu has run, a server knows its pages by the names of their files.
    assert addresses[1:] == [Path(view.file).stem for view in VIEWS[1:]]
    assert [view.file for view in VIEWS if not view.exists] == []


def test_a_page_leaves_its_definitions_to_its_sections() -> None:
    """Streamlit runs a page's file anew for each reader, whose widgets keep what it defines."""
    for view in VIEWS:
        body = ast.parse((ROOT / view.file).read_text(encoding="utf-8")).body
        defined = [part.name for part in body if isinstance(part, ast.FunctionDef | ast.ClassDef)]
        assert not defined, f"{view.file} defines {defined[0]}: it belongs into pages/sections"
        assert view.sources[0] == ROOT / view.file


# Zoos that cannot be read


@pytest.fixture
def copied_zoo(zoo_folder: Path, tmp_path: Path) -> Path:
    """A copy of the zoo whose files may be replaced, not written to."""
    return Path(shutil.copytree(zoo_folder, tmp_path / "zoo", copy_function=os.link))


def error_shown(page: str = "pages/home.py") -> str:
    app = open_page(page)
    assert not app.exception
    assert len(app.error) == 1
    return str(app.error[0].value)


@pytest.mark.parametrize("page", ["pages/home.py", "pages/bottleneck.py"])
def test_a_missing_zoo_gives_a_message(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ZOO_VARIABLE, str(tmp_path / "nothing"))
    assert "The zoo cannot be read" in error_shown(page)
    assert ZOO_VARIABLE in shown_text(open_page(page))


def test_without_the_variable_the_embedded_zoo_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ZOO_VARIABLE, raising=False)
    assert zoo_path() == EMBEDDED


def test_a_manifest_that_is_no_json_gives_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zoo.json").write_text("{ not json")
    monkeypatch.setenv(ZOO_VARIABLE, str(tmp_path))
    assert "zoo.json" in error_shown()


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("pages/home.py", "grids/bottleneck-5x2/trajectories.safetensors"),
        ("pages/home.py", "grids/bottleneck-5x2/index.parquet"),
        ("pages/bottleneck.py", "grids/bottleneck-5x2/weights.safetensors"),
    ],
)
def test_a_damaged_file_gives_a_message_that_names_it(
    page: str, file: str, copied_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = copied_zoo / file
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content[: len(content) // 2])
    monkeypatch.setenv(ZOO_VARIABLE, str(copied_zoo))
    if page == "pages/home.py":
        assert Path(file).name in error_shown(page)
        return
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    app.switch_page(page).run()
    assert not app.exception
    assert Path(file).name in app.error[0].value


def test_a_zoo_without_the_grid_gives_a_message(
    copied_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    manifest = copied_zoo / "zoo.json"
    content = json.loads(manifest.read_text())
    del content["grids"]["bottleneck-5x2"]
    manifest.unlink()
    manifest.write_text(json.dumps(content))
    monkeypatch.setenv(ZOO_VARIABLE, str(copied_zoo))
    assert "bottleneck-5x2" in error_shown().replace("\\", "")


def test_pictures_come_less_often_the_more_readers_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(live_run.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(live_run, "_everyone", WeakSet())
    run: Any = object()
    first = live_run.Watched(run)
    assert live_run.redraw_seconds() == live_run.REDRAW_SECONDS
    others = [live_run.Watched(run) for _ in range(9)]
    assert live_run.redraw_seconds() == pytest.approx(5 * live_run.REDRAW_SECONDS)
    # Those who only look at the result, and those who have left, do not count.
    for other in others[:4]:
        other.watching = False
    assert live_run.redraw_seconds() == pytest.approx(3 * live_run.REDRAW_SECONDS)
    clock[0] = 2 * live_run.GONE_SECONDS
    assert live_run.redraw_seconds() == live_run.REDRAW_SECONDS
    assert not first.watched_now


def test_a_run_that_is_drawn_less_often_takes_no_longer_to_watch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(live_run.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(live_run, "_everyone", WeakSet())
    run: Any = object()
    weights = np.zeros((1, 2, 5), dtype=np.float32)
    frames = tuple(Frame(step, np.ones(1), {"W": weights}) for step in range(101))
    done = Progress("finished", "", 100, 100, 0.2, 0, frames)
    everybody = [live_run.Watched(run) for _ in range(10)]
    pictures, seen = 0, [False]
    while not all(seen):
        clock[0] += live_run.redraw_seconds()
        pictures += 1
        seen = [one.all_seen(done, one.frames(done)) for one in everybody]
    assert live_run.WATCH_SECONDS <= clock[0] <= 1.6 * live_run.WATCH_SECONDS
    assert pictures <= 5
