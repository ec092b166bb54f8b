"""Curves over seeds and rare features, inputs and weights of one neuron."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.polysemanticity import (
    LOWEST_DRAWN,
    PARTNERS,
    STRANGERS,
    cost_curves,
    describe_cost_curves,
    describe_input_bars,
    describe_overlap_curves,
    describe_seed_band,
    describe_weight_bars,
    input_bars,
    overlap_curves,
    overlap_means,
    seed_band,
    weight_bars,
)
from superposition.sharing import antipodal_cost


def rows_of(chart: Any) -> pd.DataFrame:
    """The one data set that a chart sends."""
    (rows,) = chart.to_dict()["datasets"].values()
    return pd.DataFrame(rows)


COUNTS = pd.DataFrame(
    {"density": [1.0, 0.1], "held": [1.0, 4.0], "held_low": [1.0, 2.5], "held_high": [1.0, 7.0]}
)


def test_the_band_reaches_from_the_least_to_the_greatest_seed() -> None:
    chart = seed_band(COUNTS, "held", "features per neuron", top=10)
    rows = rows_of(chart)
    assert rows["low"].tolist() == [1.0, 2.5]
    assert rows["high"].tolist() == [1.0, 7.0]
    words = describe_seed_band(COUNTS, "held", "features per neuron")
    assert "1 at density 1, 4 (2.5 to 7) at density 0.1" in words


def overlaps() -> pd.DataFrame:
    rows = [
        {
            "density": p,
            "correlation": c,
            "seed": seed,
            "overlap": 0.5 - 0.2 * c + 0.01 * seed,
            "overlap_of_strangers": 0.3,
        }
        for p in (0.3, 0.01)
        for c in (-1.0, 0.0, 1.0)
        for seed in range(4)
    ]
    return pd.DataFrame(rows)


def test_means_and_errors_of_the_overlap() -> None:
    means = overlap_means(overlaps())
    never = means.query(f"who == '{PARTNERS}' and correlation == -1 and density == 0.3").iloc[0]
    values = 0.7 + 0.01 * np.arange(4)
    assert never["mean"] == pytest.approx(values.mean())
    assert never["error"] == pytest.approx(2 * values.std(ddof=1) / 2)
    assert never["together"] == "never together"
    strangers = means[means["who"] == STRANGERS]
    assert strangers["mean"].to_numpy() == pytest.approx(0.3)
    words = describe_overlap_curves(means)
    assert "never together: 0.71 at density 0.3, 0.71 at 0.01" in words
    assert len(rows_of(overlap_curves(means))) == 12


def test_costs_stand_beside_their_closed_form() -> None:
    ratios = np.array([0.001, 0.1, 1.0])
    table = pd.DataFrame(
        {
            "density": np.repeat([0.1, 0.5], 3),
            "rare_ratio": np.tile(ratios, 2),
            "cost": [0.0001, 0.005, 0.1, 0.0004, 0.04, 0.5],
            "gain": 0.9,
        }
    )
    rows = rows_of(cost_curves(table))
    assert (rows["kind"] == "model").sum() == 6
    forms = rows[(rows["kind"] == "closed form") & (rows["popular"] == "0.5")]
    np.testing.assert_allclose(forms["cost"], antipodal_cost(0.5, 0.5 * forms["ratio"]), atol=1e-6)
    words = describe_cost_curves(table)
    assert "at popular density 0.5, 0.5 when it is as frequent, 0.0004 when" in words


def test_every_feature_that_is_on_is_a_bar() -> None:
    inputs = np.array([[0.0, 0.5, 0.0], [1.0, 0.0, 0.25]])
    rows = rows_of(input_bars(inputs, np.array([1.5, 0.25])))
    bars = rows[rows["kind"] == "bar"]
    assert bars[["input", "feature", "value"]].to_numpy().tolist() == [
        [1, 2, 0.5],
        [2, 1, 1.0],
        [2, 3, 0.25],
    ]
    heights = (bars["y0"] - bars["y1"]).to_numpy()
    np.testing.assert_allclose(heights, 0.82 * bars["value"].to_numpy())
    words = describe_input_bars(inputs, np.array([1.5, 0.25]))
    assert "activation 1.5: features 2 at 0.50" in words
    assert "activation 0.25: features 1 at 1.00, 3 at 0.25" in words


def test_a_huge_silencing_weight_is_cut_and_its_number_is_not() -> None:
    weights = np.array([1.0, 0.01, -40.0])
    rows = rows_of(weight_bars(weights))
    assert rows["drawn"].tolist() == [1.0, 0.01, LOWEST_DRAWN]
    assert rows["text"].tolist() == ["1", "", "−40"]
    assert "feature 1: 1; feature 3: −40" in describe_weight_bars(weights)
    assert "All are near 0" in describe_weight_bars(0 * weights)
