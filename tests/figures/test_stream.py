from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from figures.stream import (
    CHANGED,
    LOST,
    MOST_POINTS,
    SWITCH,
    UNCHANGED,
    change_table,
    describe_changes,
    describe_scatter,
    describe_stream,
    stream_chart,
    verdict,
)
from figures.theme import STATUS_STYLES, feature_colours

Parts = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
PARTS: Parts = (("V₁", "V₂"), ("block",), ("A₁", "A₂"))


STATES = (False, True)


def outputs(count: int = 7, seed: int = 0) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Without the step nothing changes, with it the outputs of the first reader do."""
    rng = np.random.default_rng(seed)
    before = [rng.normal(size=(count, 3)), rng.normal(size=(count, 2))]
    return [(before, before), ([2 * before[0], before[1]], [2 * before[0] + 1, before[1]])]


def chart(parts: Parts = PARTS, **more: Any) -> alt.LayerChart:
    given: dict[str, Any] = {
        "outputs": outputs(),
        "changes": [(1e-15, 2.0), (1.0, 4.0)],
        "condition": "10",
    }
    return stream_chart(*parts, "R", "Rᵀ", **given | more)


def of(chart: alt.LayerChart, kind: str) -> pd.DataFrame:
    table: Any = chart.data
    found: pd.DataFrame = table[table["kind"] == kind].dropna(axis=1, how="all")
    return found


def test_every_write_and_read_passes_its_matrix() -> None:
    made = chart()
    chips, boxes = of(made, "chip"), of(made, "box")
    # Two writers and the block's own write; the block's read and two readers.
    texts = list(chips["text"])
    assert (texts.count("R"), texts.count("Rᵀ")) == (3, 3)
    assert list(boxes["text"]) == ["V₁", "V₂", "block", "A₁", "A₂"]
    assert list(boxes["colour"])[3:] == feature_colours(2)
    for state in (0, 1):
        at = chips[f"at{state}"]
        assert at.is_unique
        assert at.between(0.05, 0.95).all()
        # From left to right, evenly.
        np.testing.assert_allclose(np.diff(at, 2), 0 if not state else at_step(at), atol=1e-12)
    (here,) = of(made, "step")["at1"]
    assert chips["at1"].iloc[3] < here < chips["at1"].iloc[4]


def at_step(at: pd.Series) -> np.ndarray:
    """Second differences of stations with a gap of one for the step before the last two."""
    apart = at.iloc[1] - at.iloc[0]
    return apart * np.array([0, 0, 1, -1])


def test_the_switch_starts_where_told() -> None:
    for start in STATES:
        spec = chart(start=start).to_dict()
        (param,) = spec["params"]
        assert param["name"] == SWITCH
        assert param["value"] == [{"relu": start}]
        assert param["bind"]["relu"]["input"] == "checkbox"
        assert len(spec["datasets"]) == 1


def test_streams_differ_in_the_data_alone() -> None:
    """So that the browser keeps the chart, and its switch as it is."""
    one = np.random.default_rng(2).normal(size=(9, 4))
    model = chart((("W",), (), ("Wᵀ",)), outputs=[([one], [one])] * 2, condition="infinite")
    assert {**chart().to_dict(), "datasets": 0, "data": 0} == {
        **model.to_dict(),
        "datasets": 0,
        "data": 0,
    }
    assert list(of(model, "key")["words"]) == ["Wᵀ"]
    assert set(of(model, "dot")["colour"]) == set(feature_colours(1))


def test_the_diagram_in_words() -> None:
    plain = describe_stream(*PARTS, "R", "R⁻¹")
    assert "2 maps write into it, each through R" in plain
    assert "2 maps read from it, each through R⁻¹" in plain
    assert "ReLU acts" not in plain
    assert "ReLU acts on every coordinate" in describe_stream(*PARTS, "R", "R⁻¹", True)
    assert "block" not in describe_stream(("W",), (), ("Wᵀ",), "R", "R⁻¹")


def test_outputs_are_drawn_after_against_before() -> None:
    made = chart()
    dots = of(made, "dot")
    assert len(dots) == 7 * 5
    for state, (before, after) in enumerate(outputs()):
        for name, one, other in zip(PARTS[2], before, after, strict=True):
            own = dots[dots["reader"] == name].sort_index()
            assert sorted(own[f"before{state}"]) == sorted(np.ravel(one).round(4))
            assert sorted(own[f"after{state}"]) == sorted(np.ravel(other).round(4))
            moved = np.unique((other - one).round(6))
            np.testing.assert_allclose(
                own[f"after{state}"] - own[f"before{state}"], moved[0], atol=2e-4
            )
        # Both axes reach further than all dots, and are the same.
        shown = dots[[f"before{state}", f"after{state}"]]
        (low,), (side,) = dots[f"low{state}"].unique(), dots[f"side{state}"].unique()
        assert low < shown.min(axis=None) < shown.max(axis=None) < low + side
        ticks = of(made, "tick")
        here = ticks[ticks["state"] == state]
        assert 3 <= len(here) <= 7
        assert here["share"].between(0, 1).all()
        values = here["words"].str.replace("−", "-").astype(float)
        np.testing.assert_allclose(low + here["share"] * side, values, atol=1e-9)
    assert dict(zip(of(made, "key")["words"], of(made, "key")["colour"], strict=True)) == dict(
        dots.groupby("reader")["colour"].first()
    )


def test_many_outputs_are_thinned_and_equal_ones_still_have_a_scale() -> None:
    many = np.random.default_rng(1).normal(size=(900, 4))
    parts: Parts = (("W",), (), ("Wᵀ",))
    assert len(of(chart(parts, outputs=[([many], [many])] * 2), "dot")) <= MOST_POINTS
    none = np.zeros((3, 2))
    made = chart(parts, outputs=[([none], [none])] * 2)
    assert (of(made, "dot")["side0"] > 0).all()
    assert "0" in set(of(made, "tick")["words"])


def test_the_boxes_say_what_it_amounts_to() -> None:
    boxes = of(chart(), "result").set_index("label")
    assert list(boxes["text0"]) == [UNCHANGED, "1×10⁻¹⁵", "10"]
    assert list(boxes["text1"]) == [CHANGED, "1", "10"]
    assert list(boxes["note0"]) == ["of 7 inputs", "before: up to 2", "of the matrix R"]
    assert boxes.loc["Largest change", "note1"] == "before: up to 4"
    colours = [style.colour for style in STATUS_STYLES.values()]
    assert boxes.loc["Outputs", "colour0"] == colours[0]
    assert boxes.loc["Outputs", "colour1"] == colours[2]


@pytest.mark.parametrize("width", [340, 679, 680, 900])
def test_nothing_lies_outside_the_chart(width: int) -> None:
    made = chart()
    for layer in made.to_dict()["layer"]:
        steps = layer["transform"]
        kind = steps[0]["filter"].split("'")[1]
        last = {step["as"]: step["calculate"] for step in steps if "calculate" in step}
        for datum in of(made, kind).to_dict("records"):
            for relu in STATES:
                if datum.get("state", relu) != relu:
                    continue
                for field, most in (("px", width), ("px2", width), ("py", 640), ("py2", 640)):
                    if field in last:
                        place = computed(last[field], datum, width, relu)
                        assert -1 <= place <= most + 1, (kind, field, datum)


def computed(expression: str, datum: dict[str, Any], width: int, relu: bool) -> float:
    """A Vega expression of positions, in Python."""
    names = {"min": min, "length": len, "width": width, "height": 640, f"{SWITCH}_relu": relu}
    while "?" in expression:
        mark = expression.index("?")
        colon = mark + outside(expression[mark:], ":")
        end = colon + outside(expression[colon:], ")")
        start = mark - 1 - outside(expression[:mark][::-1].translate(TURNED), ")")
        test, yes = expression[start + 1 : mark], expression[mark + 1 : colon]
        choice = f"(({yes}) if ({test}) else ({expression[colon + 1 : end]}))"
        expression = expression[:start] + choice + expression[end + 1 :]
    names["datum"] = SimpleNamespace(**datum)
    return float(eval(expression, {"__builtins__": {}}, names))


TURNED = str.maketrans("()", ")(")


def outside(text: str, wanted: str) -> int:
    """Where a sign first stands outside all parentheses that begin in the text."""
    depth = 0
    for place, sign in enumerate(text):
        if sign == wanted and depth == 0:
            return place
        depth += {"(": 1, ")": -1}.get(sign, 0)
    raise ValueError(text)


@pytest.mark.parametrize(
    ("change", "meaning"), [(0.0, UNCHANGED), (4e-13, UNCHANGED), (1e-6, LOST), (0.4, CHANGED)]
)
def test_what_a_change_means_depends_on_the_outputs(change: float, meaning: str) -> None:
    assert verdict(change, 1.0) == meaning
    assert verdict(change * 50, 50.0) == meaning


def test_the_table_of_all_matrices() -> None:
    changes = {
        "rotation": {"R⁻¹": (1e-15, 1.0), "R⁻¹, ReLU": (0.5, 1.0)},
        "nearly singular": {"R⁻¹": (1e-6, 1.0), "R⁻¹, ReLU": (7.0, 1.0)},
    }
    chart = change_table(changes)
    drawn: Any = chart.layer[0].data if chart.data is alt.Undefined else chart.data
    table = drawn.set_index(["kind", "way"])
    assert table.loc[("rotation", "R⁻¹"), "text"] == "✓ 1×10⁻¹⁵"
    assert table.loc[("rotation", "R⁻¹, ReLU"), "text"] == "✗ 0.5"
    assert table.loc[("nearly singular", "R⁻¹"), "text"] == "≈ 1×10⁻⁶"
    assert chart.to_dict()["layer"][0]["encoding"]["y"]["sort"] == list(changes)
    assert describe_changes(changes).endswith("R⁻¹: rotation; R⁻¹, ReLU: none.")


def test_the_scatter_in_words() -> None:
    assert "every point lies on the diagonal" in describe_scatter(1e-15, 2.0)
    assert "by up to 0.5, where the largest output is 2" in describe_scatter(0.5, 2.0)
