"""The turning figures; what the browser computes is computed here from the same expressions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from figures.turning import (
    ACROSS,
    ANGLE,
    BASIS,
    BOTTLENECK,
    DEGREES,
    ENTRY,
    FAR_OUT,
    FIRST_OUT,
    NEURONS,
    SEEDS,
    UP,
    Points,
    describe_seeds,
    describe_step,
    describe_turning,
    seeds_chart,
    step_chart,
    turning_chart,
)
from superposition.rotation import plane_rotation, step_in_basis

FLAT = np.full(len(DEGREES), 0.05)
RISING = 0.1 + 0.3 * np.sin(np.radians(DEGREES) / 2) ** 2


def points(count: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 2)), rng.integers(0, 6, count)


def chart(
    losses: Sequence[dict[str, Any]] = ({BOTTLENECK: FLAT, NEURONS: RISING},),
    both: Sequence[dict[str, Points]] | None = None,
    start: tuple[int, int] = (0, 30),
) -> alt.LayerChart:
    """The chart of one or more models, each with its losses and its points."""
    drawn = both or [{BOTTLENECK: points(), NEURONS: points(seed=1)}] * len(losses)
    return turning_chart(
        {name: np.stack([own[name] for own in losses]) for name in losses[0]},
        {name: [own[name] for own in drawn] for name in drawn[0]},
        [f"model {k}" for k in range(len(losses))],
        (0, 3),
        6,
        start,
    )


def rows(chart: alt.LayerChart, step: int = 0) -> pd.DataFrame:
    """The rows of a chart, with what they have of a step as if it were all."""
    table: Any = chart.layer[0].data if chart.data is alt.Undefined else chart.data
    own = [
        name
        for name in ("z1_", "z2_", "f", "level", "loss", "text", "times", "more")
        if f"{name}{step}" in table
    ]
    names = {"z1_": "z1", "z2_": "z2", "f": "feature"}
    here = table[[f"{name}{step}" for name in own]].rename(
        columns={f"{name}{step}": names.get(name, name) for name in own}
    )
    together: pd.DataFrame = here.combine_first(table)
    return together


def computed(expression: str, datum: dict[str, Any], **signals: float) -> float:
    """A Vega expression without conditions, which Python reads the same way."""
    names = {"min": min, "max": max, "cos": math.cos, "sin": math.sin, "PI": math.pi}
    value = eval(
        expression, {"__builtins__": {}}, {**names, "datum": SimpleNamespace(**datum), **signals}
    )
    return float(value)


def at_angle(degrees: float, **datum: Any) -> dict[str, Any]:
    turn = math.radians(degrees)
    return {"c": math.cos(turn), "s": math.sin(turn), **datum}


def test_the_sliders_are_a_full_turn_and_all_models_and_start_where_told() -> None:
    spec = chart([{BOTTLENECK: FLAT, NEURONS: RISING}] * 3, start=(2, 45)).to_dict()
    (sliders,) = (p for p in spec["params"] if p["name"] == ANGLE)
    assert sliders["value"] == [{"step": 2, "degrees": 45}]
    bind = sliders["bind"]["degrees"]
    assert (bind["min"], bind["max"], bind["step"]) == (0, 360, 5)
    assert sliders["bind"]["step"]["max"] == 2
    (rows,) = spec["datasets"].values()
    (label,) = (row for row in rows if row["kind"] == "label")
    assert label["text2"] == "model 2"
    assert len(spec["datasets"]) == 1


def test_each_model_has_its_own_points_and_losses() -> None:
    losses = [{BOTTLENECK: FLAT, NEURONS: k * RISING} for k in (1, 2)]
    both = [
        {BOTTLENECK: points(), NEURONS: points(seed=1)},
        {BOTTLENECK: points(count=7, seed=2), NEURONS: points(count=60, seed=3)},
    ]
    made = chart(losses, both)
    for step, own in enumerate(both):
        table = rows(made, step)
        curve = table[(table["kind"] == "curve") & (table["model"] == NEURONS)]
        np.testing.assert_allclose(curve["loss"].astype(float), losses[step][NEURONS])
        for panel, (at, strongest) in enumerate(own.values()):
            dots = table[(table["kind"] == "point") & (table["panel"] == panel)]
            told = dots["feature"].notna()
            kept = np.hypot(*at.T) <= 1.05 * min(
                np.hypot(*at.T).max(), FAR_OUT * np.median(np.hypot(*at.T))
            )
            assert told.sum() == dots["z1"].notna().sum() == kept.sum()
            np.testing.assert_array_equal(dots.loc[told, "feature"], strongest[kept] + 1)


@pytest.mark.parametrize("degrees", [0, 30, 90, 215])
def test_points_turn_as_the_rotation_says(degrees: int) -> None:
    z = np.array([0.3, -0.7])
    expected = plane_rotation(2, 0, 1, degrees) @ z
    datum = at_angle(degrees, z1=z[0], z2=z[1])
    assert computed(ACROSS, datum) == pytest.approx(expected[0])
    assert computed(UP, datum) == pytest.approx(expected[1])


def test_every_position_lies_on_the_chart_at_any_width() -> None:
    """Of what does not move: frames, texts, ticks and curves."""
    steep = 0.01 * 10 ** (6 * np.sin(np.radians(DEGREES) / 2) ** 2)
    made = chart([{BOTTLENECK: FLAT, NEURONS: RISING}, {BOTTLENECK: FLAT, NEURONS: steep}])
    height = made.height
    layers = made.to_dict()["layer"]
    for width, table in product((340, 760), (rows(made, 0), rows(made, 1))):
        for layer in layers:
            steps = layer["transform"]
            if any("_degrees * PI" in step.get("calculate", "") for step in steps):
                continue
            kind = steps[0]["filter"].split("'")[1]
            last = {step["as"]: step["calculate"] for step in steps if "calculate" in step}
            drawn = table[table["kind"] == kind]
            if kind == "tick":
                drawn = drawn[drawn["level"].notna()]
            for datum in drawn.to_dict("records"):
                for field, most in (("px", width), ("px2", width), ("py", height), ("py2", height)):
                    if field in last:
                        place = computed(last[field], datum, width=width, height=height)
                        assert -1 <= place <= most + 1


def test_planes_are_square_and_points_keep_their_angles() -> None:
    table = rows(chart())
    for panel, (at, strongest) in enumerate((points(), points(seed=1))):
        shown = table[(table["kind"] == "point") & (table["panel"] == panel)]
        radius = np.hypot(at[:, 0], at[:, 1])
        kept = radius <= 1.05 * min(radius.max(), FAR_OUT * np.median(radius))
        assert len(shown) == kept.sum()
        assert np.hypot(shown["z1"], shown["z2"]).max() <= 1
        np.testing.assert_allclose(
            np.arctan2(shown["z2"], shown["z1"]), np.arctan2(*at[kept].T[::-1]), atol=1e-2
        )
        np.testing.assert_array_equal(shown["feature"], strongest[kept] + 1)


def test_a_point_far_out_does_not_make_the_others_small() -> None:
    at, strongest = points()
    at[0] = (500.0, 0.0)
    table = rows(chart(both=[{BOTTLENECK: points(), NEURONS: (at, strongest)}]))
    shown = table[(table["kind"] == "point") & (table["panel"] == 1)]
    assert shown["z1"].notna().sum() == len(at) - 1
    assert np.hypot(shown["z1"], shown["z2"]).median() > 0.2


def test_neurons_without_weights_are_a_dot_at_the_centre() -> None:
    still = np.zeros((5, 2)), np.zeros(5, dtype=int)
    both = [{BOTTLENECK: points(), NEURONS: still}]
    table = rows(chart([{BOTTLENECK: FLAT, NEURONS: FLAT}], both))
    shown = table[(table["kind"] == "point") & (table["panel"] == 1)]
    assert (shown[["z1", "z2"]] == 0).all(axis=None)


def test_curves_are_the_losses_and_read_out_at_each_angle() -> None:
    table = rows(chart())
    curves = table[table["kind"] == "curve"].set_index(["model", "degrees"])
    for name, losses in ((BOTTLENECK, FLAT), (NEURONS, RISING)):
        np.testing.assert_allclose(curves.loc[name]["loss"], losses)
    assert curves.loc[(BOTTLENECK, 90), "text"] == "0.05"
    # Unchanged.
    assert curves.loc[(BOTTLENECK, 90), "times"] == ""
    assert curves.loc[(NEURONS, 180), "text"] == "0.4"
    assert curves.loc[(NEURONS, 180), "times"] == "4"
    # A linear scale from 0 when nothing is far from anything.
    np.testing.assert_allclose(
        curves.loc[NEURONS]["level"] / curves.loc[BOTTLENECK]["level"], RISING / FLAT, rtol=1e-6
    )
    ticks = table[table["kind"] == "tick"]
    assert ticks["text"].iloc[0] == "0"
    assert ticks["level"].between(0, 1).all()


def test_losses_far_apart_get_a_logarithmic_scale() -> None:
    steep = 0.01 * 10 ** (6 * np.sin(np.radians(DEGREES) / 2) ** 2)
    table = rows(chart([{BOTTLENECK: FLAT, NEURONS: steep}]))
    curve = table[(table["kind"] == "curve") & (table["model"] == NEURONS)]
    ticks = table[table["kind"] == "tick"]
    assert "the scale is logarithmic" in table.loc[table["kind"] == "title", "more"].iloc[0]
    assert 2 <= len(ticks) <= 6
    for text, level in zip(ticks["text"], ticks["level"], strict=True):
        at = np.interp(np.log10(float(text)), np.log10(curve["loss"][:37]), curve["level"][:37])
        assert at == pytest.approx(level, abs=1e-6)


def test_losses_at_other_angles_are_refused() -> None:
    with pytest.raises(ValueError, match=r"losses of ReLU layer .* expected \(1, 73\)"):
        chart([{BOTTLENECK: FLAT, NEURONS: RISING[:-1]}])


def test_the_description_tells_flat_from_rising() -> None:
    text = describe_turning({BOTTLENECK: FLAT, NEURONS: RISING}, (0, 3))
    assert "axes 1 and 4" in text
    assert "bottleneck: 0.05 at 0 degrees, the same at every angle" in text
    assert "ReLU layer: 0.1 at 0 degrees, up to 0.4 at 180 degrees" in text


# The step


@pytest.mark.parametrize("degrees", [0, 30, 90, 180, 245])
def test_the_map_is_the_relu_seen_from_turned_axes(degrees: int) -> None:
    R = plane_rotation(2, 0, 1, degrees)
    for z in np.random.default_rng(0).uniform(-1, 1, (20, 2)):
        expected = np.linalg.inv(R) @ np.maximum(R @ z, 0)
        found = computed(FIRST_OUT, at_angle(degrees, z1=z[0], z2=z[1]))
        assert found == pytest.approx(expected[0], abs=1e-12)


@pytest.mark.parametrize("degrees", [0, 30, 90, 245])
def test_the_matrices_are_those_of_the_step(degrees: int) -> None:
    table = rows(step_chart(30))
    entries = table[table["kind"] == "entry"]
    patterns = {"both on": (1, 1), "only 1 on": (1, 0), "only 2 on": (0, 1), "none on": (0, 0)}
    assert set(entries["pattern"]) == set(patterns)
    R = plane_rotation(2, 0, 1, degrees)
    for name, on in patterns.items():
        own = entries[entries["pattern"] == name]
        # In reading order: from above, then from the left.
        own = own.sort_values(["z2", "z1"], ascending=[False, True])
        found = [computed(ENTRY, at_angle(degrees, **datum)) for datum in own.to_dict("records")]
        np.testing.assert_allclose(found, step_in_basis(R, on).ravel(), atol=1e-12)


def test_the_step_has_a_slider_of_its_own() -> None:
    spec = step_chart(60).to_dict()
    (slider,) = (p for p in spec["params"] if p["name"] == BASIS)
    assert slider["value"] == [{"degrees": 60}]
    assert "upright stripes" in describe_step()


# Seeds


def test_seeds_are_drawn_before_and_after_at_each_density() -> None:
    before = np.random.default_rng(1).normal(size=(3, 4, 2, 5)) * [[[[1.0]]], [[[7.0]]], [[[0.1]]]]
    after = before[:, :1].repeat(4, 1)
    counts = [(1, 4, 4), (0, 2, 3), (1, 1, 2)]
    chart = seeds_chart(before, after, counts, 0.05, [1.0, 0.1, 0.01], 2)
    table = rows(chart)
    tips = table[table["kind"] == "tip"]
    assert len(tips) == 2 * 4 * 5
    for step in range(3):
        # Each density fills its planes.
        reach = 1.08 * np.abs(before[step]).max()
        assert tips[[f"across{step}", f"up{step}"]].abs().max(axis=None) == pytest.approx(
            1 / 1.08, abs=1e-4
        )
        for panel, W in enumerate((before[step], after[step])):
            shown = tips[tips["panel"] == panel].sort_values(["model", "feature"])
            np.testing.assert_allclose(
                shown[[f"across{step}", f"up{step}"]].to_numpy().reshape(4, 5, 2),
                W.transpose(0, 2, 1) / reach,
                atol=6e-5,
            )
        trained, turned, reordered = counts[step]
        heads = table[table["kind"] == "head"].sort_values("panel")
        assert list(heads[f"text{step}"]) == [
            f"as trained: {trained} of 4",
            f"each turned: {turned} of 4",
        ]
        assert list(heads[f"more{step}"]) == [
            "within 5% of the best seed",
            f"reordered too: {reordered} of 4",
        ]
    spec = chart.to_dict()
    assert "density p = 0.01 (sparsity S = 0.99)" in spec["title"]["text"]["expr"]
    (slider,) = (p for p in spec["params"] if p["name"] == SEEDS)
    assert slider["value"] == [{"step": 2}]
    assert slider["bind"]["step"]["max"] == 2


def test_the_seeds_of_one_density_in_words() -> None:
    before = np.random.default_rng(1).normal(size=(4, 2, 5))
    text = describe_seeds(before, np.ones(4), np.zeros(4))
    assert "5 features in 4 models" in text
    assert "1.00 before, 0.00 after" in text
