"""Figures on their way to the browser: the same picture, and for each layer its own data."""

from __future__ import annotations

import json
import re
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from figures.computation import response_curves
from pages.parts.vega import vega, vega_once
from superposition.neurons import AmongOthers
from tests.figures.test_theme import CHARTS

VALUES = np.linspace(-1, 1, 9)


def curves(others: AmongOthers | None = None) -> alt.LayerChart:
    """What a page draws with a layer for each kind of line."""
    alone = np.random.default_rng(0).uniform(0, 1, (4, len(VALUES), 4))
    return response_curves(alone, VALUES, np.full(4, 0.5), range(4), others)


SENT: dict[str, alt.LayerChart] = {**CHARTS, "curves": curves()}


def picture(spec: dict[str, Any]) -> str:
    """The figure as SVG, without the names of its clips."""
    svg = vl_convert.vegalite_to_svg(spec, vl_version="6.1")
    return re.sub(r"clip\d+", "clip", svg)


def exactly(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON with every digit."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in json.loads(rows.to_json(orient="records", double_precision=15))
    ]


@pytest.mark.parametrize("name", SENT)
def test_the_browser_is_sent_the_same_picture(name: str) -> None:
    drawn = SENT[name].to_dict()
    # What is changed on purpose.
    drawn.setdefault("config", {}).setdefault("axis", {}).setdefault("labelFlush", False)
    if "canvas" in str(drawn.get("usermeta")):
        drawn["config"].setdefault("mark", {}).setdefault("aria", False)
    drawn["datasets"] = {
        key: exactly(pd.DataFrame(rows)) for key, rows in drawn["datasets"].items()
    }
    sent = vega_once(lambda: SENT[name])
    rows = {key: exactly(table.to_pandas()) for key, table in sent["datasets"].items()}
    assert picture({**sent, "datasets": rows}) == picture(drawn)


def layers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return list(spec["layer"])


def test_a_layer_that_draws_one_kind_is_sent_that_kind_alone() -> None:
    table = pd.DataFrame(
        {
            "kind": ["dot", "dot", "word"],
            "x": [1.0, 2.0, 3.0],
            "size": [5.0, 6.0, np.nan],
            "text": [None, None, "here"],
        }
    )
    base = alt.Chart(table)
    chart = alt.layer(
        base.transform_filter("datum.kind == 'dot'").mark_circle().encode(x="x:Q", size="size:Q"),
        base.transform_filter("datum.kind == 'word'").mark_text().encode(x="x:Q", text="text:N"),
        base.transform_filter("datum.kind == 'dot'")
        .transform_filter("datum.x > 1")
        .mark_tick()
        .encode(x="x:Q"),
        base.transform_filter("datum.kind == 'none'").mark_bar().encode(x="x:Q"),
        base.mark_rule().encode(x="x:Q"),
    )
    spec = vega_once(lambda: chart)
    data = spec["datasets"]
    dots, words, later, none, every = (data[layer["data"]["name"]] for layer in layers(spec))
    assert dots.to_pydict() == {"x": [1.0, 2.0], "size": [5.0, 6.0]}
    assert words.to_pydict() == {"x": [3.0], "text": ["here"]}
    assert later is dots
    assert none.num_rows == 0
    assert every.num_rows == 3
    # What a layer says beyond its kind stays said.
    assert [layer.get("transform") for layer in layers(spec)] == [
        None,
        None,
        [{"filter": "datum.x > 1"}],
        None,
        None,
    ]
    assert "data" not in spec


def columns(chart: alt.TopLevelMixin) -> list[list[str]]:
    """Of each data set that the browser is sent."""
    return [table.column_names for table in vega_once(lambda: chart)["datasets"].values()]


def test_a_layer_is_sent_what_it_mentions() -> None:
    table = pd.DataFrame({name: [1.0, 2.0] for name in ("across", "up", "picked", "idle")})
    chosen = alt.selection_point(fields=["picked"], name="chosen")
    chart = alt.Chart(table).mark_circle().encode(x="across:Q", y="up:Q")
    assert columns(chart) == [["across", "up"]]
    # A click gives the page what the selection names, whoever else draws it.
    assert columns(alt.layer(chart.add_params(chosen))) == [["across", "up", "picked"]]
    # The scale of one layer is the other's too, and so are its words.
    words = alt.Chart(table).mark_text().encode(x="across:Q", text="idle:Q")
    assert columns(alt.layer(chart, words)) == [["across", "up", "idle"]]
    computed = chart.transform_calculate(twice="2 * datum.idle").encode(size="twice:Q")
    assert columns(computed) == [["across", "up", "idle"]]
    # What an expression puts together cannot be known from here.
    looked_up = chart.transform_calculate(value="datum['i' + kind]").encode(size="value:Q")
    assert columns(looked_up) == [list(table.columns)]
    # A mark for each row, wherever it is.
    assert columns(alt.Chart(table).mark_circle()) == [["across"]]


def test_what_a_figure_does_to_all_its_data_stays() -> None:
    table = pd.DataFrame({"kind": ["a", "b"], "x": [1.0, 2.0]})
    one = alt.Chart().transform_filter("datum.kind == 'a'").mark_circle().encode(x="y:Q")
    chart = alt.layer(one, data=table).transform_calculate(y="2 * datum.x")
    spec = vega_once(lambda: chart)
    assert spec["data"] == {"name": "data-0"}
    assert spec["datasets"]["data-0"].num_rows == 2
    assert layers(spec)[0]["transform"] == [{"filter": "datum.kind == 'a'"}]


def test_new_data_leave_the_specification_as_it_is() -> None:
    flat = np.zeros((4, len(VALUES)))
    narrow, wide = (
        vega_once(curves, AmongOthers(mean=flat, low=flat, high=flat + high)) for high in (0.5, 1)
    )
    assert {**narrow, "datasets": 0} == {**wide, "datasets": 0}
    assert list(narrow["datasets"]) == list(wide["datasets"])
    moved = [
        name
        for name, table in narrow["datasets"].items()
        if not table.equals(wide["datasets"][name])
    ]
    # The band alone: the browser leaves the other layers as they are.
    assert len(moved) == 1
    assert wide["datasets"][moved[0]].num_rows == 4 * len(VALUES)


def test_a_figure_is_drawn_anew_for_other_data_and_only_for_those() -> None:
    drawn: list[pd.DataFrame] = []

    def dots(rows: pd.DataFrame) -> alt.Chart:
        drawn.append(rows)
        return alt.Chart(rows).mark_circle().encode(x="x:Q", text="word:N")

    def table(last: object = "b", name: str = "word", x: float = 2.0) -> pd.DataFrame:
        return pd.DataFrame({"x": [1.0, x], name: ["a", last]})

    first = vega(dots, table())
    assert vega(dots, table()) == first
    assert len(drawn) == 1
    for other in (
        table(last="c"),
        table(last=None),
        table(x=2.5),
        table(x=np.nan),
        table(name="name"),
        table().iloc[::-1],
        table().iloc[:1],
        table().astype({"x": "float32"}),
        table()[["word", "x"]],
    ):
        before = len(drawn)
        vega(dots, other)
        assert len(drawn) == before + 1
    vega(dots, table())
    assert len(drawn) == 10
