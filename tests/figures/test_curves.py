from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from figures.curves import (
    BEST_LINEAR,
    BROKEN,
    IRREGULAR,
    LINE_COLOURS,
    LINEAR,
    LOSSES,
    RELU,
    SOLUTION_COLOURS,
    antipodal_example,
    describe_loss_curves,
    describe_solution_bars,
    loss_curves,
    loss_table,
    solution_bars,
    solution_counts,
)
from superposition.distributions import FeatureDistribution
from superposition.families import family
from superposition.theory import linear_bias

DENSITIES = [1.0, 0.3, 0.02]


def best(*losses: float) -> pd.DataFrame:
    return pd.DataFrame({"density": DENSITIES, "loss_per_density": losses})


def test_lines_are_the_table() -> None:
    W = np.ones((3, 1, 3))
    table = loss_table(
        {RELU: best(0.3, 0.2, 0.1), LINEAR: best(0.3, 0.4, 0.5)}, 3, 1, np.ones(3), W
    )
    np.testing.assert_array_equal(table[table["model"] == RELU]["loss"], [0.3, 0.2, 0.1])
    np.testing.assert_array_equal(table[table["model"] == LINEAR]["loss"], [0.3, 0.4, 0.5])
    assert set(table["model"]) == {RELU, LINEAR, BEST_LINEAR, BROKEN}


def test_the_best_linear_loss_is_that_of_the_features_left_out() -> None:
    importances = np.array([1.0, 0.5, 0.25])
    table = loss_table({RELU: best(0, 0, 0)}, 3, 1, importances, np.ones((3, 1, 3)))
    line = table[table["model"] == BEST_LINEAR].set_index("density")["loss"]
    for p in DENSITIES:
        assert line[p] == pytest.approx(0.75 * (1 / 3 - p / 4))


def test_the_loss_without_the_relu_is_what_sampling_gives() -> None:
    rng = np.random.default_rng(0)
    n = 4
    W = rng.normal(size=(3, 2, n)) / 2
    importances = 0.8 ** np.arange(n)
    table = loss_table({RELU: best(0, 0, 0)}, n, 2, importances, W)
    line = table[table["model"] == BROKEN]["loss"].to_numpy()
    for p, one, expected in zip(DENSITIES, W, line, strict=True):
        data = FeatureDistribution(densities=(p,) * n)
        x = data.sample(200_000, rng)
        y = family("linear").forward({"W": one, "b": linear_bias(one, data.mean())}, x)
        errors = ((x - y) ** 2) @ importances / p
        assert abs(errors.mean() - expected) < 5 * errors.std() / np.sqrt(len(errors))


@pytest.mark.parametrize("broken", [False, True])
def test_taking_the_relu_away_adds_a_line_to_the_same_figure(broken: bool) -> None:
    table = loss_table({RELU: best(0.3, 0.2, 0.1)}, 3, 1, np.ones(3), 2 * np.ones((3, 1, 3)))
    spec = loss_curves(table, broken).to_dict()
    (switch,) = spec["params"]
    assert (switch["name"], switch["value"]) == (LOSSES, [{"broken": broken}])
    assert spec["layer"][0]["encoding"]["y"]["scale"]["type"] == "log"
    colours = spec["layer"][0]["encoding"]["color"]
    assert colours["sort"] == [RELU, BEST_LINEAR, BROKEN]
    assert colours["scale"]["range"] == [LINE_COLOURS[name] for name in colours["sort"]]
    # Whichever way it begins, all lines are sent, and the browser shows those that are wanted.
    (rows,) = spec["datasets"].values()
    assert len(rows) == len(table)
    svg = vl_convert.vegalite_to_svg(spec, vl_version="6.1")
    assert (f">{BROKEN}<" in svg) == broken
    assert (LINE_COLOURS[BROKEN] in svg) == broken
    assert f">{RELU}<" in svg
    assert f">{BEST_LINEAR}<" in svg
    text = describe_loss_curves(table, broken)
    assert text.startswith("Lines of loss per density")
    assert "ReLU from 0.3 at density 1 to 0.1 at 0.02" in text
    assert (BROKEN in text) == broken


def outcomes() -> pd.DataFrame:
    solutions = ["pentagon", "pentagon", "square antiprism", "triangle", "triangle", "nothing"]
    return pd.DataFrame({"density": [0.1] * 3 + [1.0] * 3, "solution": solutions})


def test_outcomes_are_counted_and_the_nameless_together() -> None:
    counts = solution_counts(outcomes()).set_index(["density", "solution"])["seeds"].to_dict()
    assert counts == {
        (0.1, "pentagon"): 2,
        (0.1, IRREGULAR): 1,
        (1.0, "triangle"): 2,
        (1.0, IRREGULAR): 1,
    }


def test_outcome_bars_are_valid_and_described() -> None:
    spec = solution_bars(outcomes()).to_dict()
    assert spec["encoding"]["x"]["sort"] == ["1", "0.1"]
    assert spec["encoding"]["color"]["scale"]["domain"] == list(SOLUTION_COLOURS)
    text = describe_solution_bars(outcomes())
    assert "at density 0.1 most often pentagon (2 of 3 seeds)" in text


def test_bars_are_named_upright_and_few() -> None:
    densities = np.logspace(0, -3, 25)
    table = pd.DataFrame({"density": densities, "solution": "pentagon"})
    axis = solution_bars(table).to_dict()["encoding"]["x"]["axis"]
    assert axis["labelAngle"] == 0
    assert axis["values"] == ["1", "0.316", "0.1", "0.0316", "0.01", "0.00316", "0.001"]


def test_the_antipodal_example_is_valid_and_computed_in_the_browser() -> None:
    chart = antipodal_example(0.7, 0.2)
    assert isinstance(chart, alt.Chart)
    spec = chart.to_dict()
    (pair,) = spec["params"]
    assert pair["value"] == [{"one": 0.7, "two": 0.2}]
    assert set(pair["bind"]) == {"one", "two"}
    assert "max(0," in spec["transform"][0]["calculate"]
