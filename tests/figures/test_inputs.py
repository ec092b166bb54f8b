"""Inputs that the browser answers: their order, where they start, and data that follow them."""

from __future__ import annotations

import re

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from figures.inputs import (
    STEP,
    as_now,
    by_step,
    inputs,
    moving_title,
    now,
    options,
    slider,
    stops,
    switch,
)


def test_each_field_has_an_input_and_a_start_the_first_on_top() -> None:
    fields = {
        "kind": (options("Kind", {"a": "an A", "b": "a B"}), "b"),
        "step": (stops(5), 3),
        "degrees": (slider(0, 360, 5, "angle"), 30),
        "turned": (switch("Turn"), False),
    }
    chart = alt.Chart(pd.DataFrame({"x": [1]})).mark_point().add_params(inputs("moves", fields))
    (spec,) = chart.to_dict()["params"]
    assert spec["name"] == "moves"
    # Vega puts the last one on top.
    assert spec["select"]["fields"] == ["turned", "degrees", "step", "kind"]
    assert spec["value"] == [{"kind": "b", "step": 3, "degrees": 30, "turned": False}]
    assert spec["bind"]["kind"] == {
        "input": "radio",
        "name": "Kind",
        "options": ["a", "b"],
        "labels": ["an A", "a B"],
    }
    assert (spec["bind"]["step"]["min"], spec["bind"]["step"]["max"]) == (0, 4)
    assert spec["bind"]["degrees"]["step"] == 5
    assert spec["bind"]["turned"]["input"] == "checkbox"


def test_a_quantity_has_a_column_for_each_step() -> None:
    table = by_step("size", np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    assert list(table.columns) == ["size0", "size1", "size2"]
    assert table["size1"].tolist() == [3.0, 4.0]
    assert now("moves", "size") == "datum['size' + moves_step]"


def test_a_title_follows_the_slider_whatever_is_in_it() -> None:
    title = moving_title("moves", ["it's 1", ["a \\ b", "S = ½"]], fontSize=13).to_dict()
    assert title["text"]["expr"] == '["it\'s 1", ["a \\\\ b", "S = ½"]][moves_step]'
    assert title["fontSize"] == 13


def test_rows_as_they_are_now_have_nothing_of_the_other_steps() -> None:
    """What the browser makes of them, by Vega itself."""
    table = pd.concat(
        [
            pd.DataFrame({"dot": [0, 1, 2]}),
            by_step("x", np.array([[1.0, 2.0, np.nan], [4.0, np.nan, np.nan]])),
            by_step("said", np.array([["a", "b", "c"], ["d", "e", "f"]], dtype=object)),
        ],
        axis=1,
    )
    for step, expected in ((0, {"0: 1, a", "1: 2, b"}), (1, {"0: 4, d"})):
        here = as_now(alt.Chart(table), "moves", {"at": "x"}, ["dot"], {"word": "said"})
        words = here.transform_calculate(
            text="datum.dot + ': ' + datum.at + ', ' + datum.word + (datum.x0 ? ' and more' : '')"
        )
        chart = words.mark_text().encode(text="text:N")
        moves = inputs("moves", {STEP: (stops(2), step)})
        svg = vl_convert.vegalite_to_svg(chart.add_params(moves).to_dict(), vl_version="6.1")
        assert set(re.findall(r">([^<>]+)</text>", svg)) == expected
