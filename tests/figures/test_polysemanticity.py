"""Curves over seeds and rare features, inputs and weights of one neuron."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vl_convert

from figures.polysemanticity import (
    BANDS,
    COUNTS,
    LOWEST_DRAWN,
    PARTNERS,
    STRANGERS,
    cost_curves,
    describe_cost_curves,
    describe_input_bars,
    describe_overlap_curves,
    describe_seed_bands,
    describe_weight_bars,
    input_bars,
    overlap_curves,
    overlap_means,
    seed_bands,
    weight_bars,
)
from figures.theme import format_number
from superposition.sharing import antipodal_cost


def rows_of(chart: Any) -> pd.DataFrame:
    """The one data set that a chart sends."""
    (rows,) = chart.to_dict()["datasets"].values()
    return pd.DataFrame(rows)


SHARES = [0.05, 0.2, 0.5]
CONVENTIONS = [(share, exciting) for share in SHARES for exciting in (False, True)]


def counts() -> pd.DataFrame:
    """Other numbers for each convention, of three densities."""
    rng = np.random.default_rng(0)
    tables = []
    for share, exciting in CONVENTIONS:
        table = pd.DataFrame(
            {"share": share, "exciting": exciting, "density": [1.0, 0.1, 0.01]}, index=range(3)
        )
        for name, band in BANDS.items():
            low, mean, high = np.sort(rng.uniform(0, band.top, (3, 3)), axis=0)
            table[name], table[f"{name}_low"], table[f"{name}_high"] = mean, low, high
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def by(table: pd.DataFrame, share: float, exciting: bool) -> pd.DataFrame:
    return table[(table["share"] == share) & (table["exciting"] == exciting)]


@pytest.mark.parametrize(("share", "exciting"), CONVENTIONS)
def test_each_convention_has_its_numbers_in_the_chart(share: float, exciting: bool) -> None:
    table = counts()
    step = SHARES.index(share)
    chart = seed_bands(table, step, exciting).to_dict()
    (inputs,) = chart["params"]
    assert inputs["name"] == COUNTS
    assert inputs["value"] == [{"exciting": exciting, "step": step}]
    assert inputs["bind"]["step"]["max"] == 2
    drawn = pd.DataFrame(next(iter(chart["datasets"].values())))
    expected = by(table, share, exciting)
    for name, band in BANDS.items():
        rows = drawn[drawn["measure"] == band.title]
        assert rows["density"].tolist() == [1.0, 0.1, 0.01]
        for end, suffix in (("mean", ""), ("low", "_low"), ("high", "_high")):
            column = f"{end}{step}{'x' if exciting else ''}"
            np.testing.assert_array_equal(rows[column], expected[f"{name}{suffix}"])
    words = f"{'Positive weights' if exciting else 'Weights'} count from {share:g} of the"
    told = describe_seed_bands(expected, share, exciting)
    assert told.startswith(words)
    assert words in vl_convert.vegalite_to_svg(chart, vl_version="6.1")
    last = expected.iloc[-1]
    assert f"{format_number(last['monosemantic_share'])} (" in told


@pytest.mark.parametrize(("share", "exciting"), CONVENTIONS)
def test_the_browser_draws_the_convention_that_its_inputs_ask_for(
    share: float, exciting: bool
) -> None:
    table = counts()
    chart = seed_bands(table, SHARES.index(share), exciting).to_dict()
    dots = chart["layer"][2]
    dots["mark"]["aria"] = True
    svg = vl_convert.vegalite_to_svg(chart, vl_version="6.1")
    seen = re.findall("measure: ([^;]*); .*?mean over seeds: ([^;]*); least: ([^;]*);", svg)
    expected = by(table, share, exciting)
    assert len(seen) == 6
    for name, band in BANDS.items():
        ends = [(float(mean), float(low)) for title, mean, low in seen if title == band.title]
        np.testing.assert_allclose(ends, expected[[name, f"{name}_low"]], atol=5e-4)


def test_each_panel_has_ticks_and_a_title_of_its_own() -> None:
    svg = vl_convert.vegalite_to_svg(seed_bands(counts(), 0, False).to_dict(), vl_version="6.1")
    found = re.findall(r"<text[^>]*translate\([^,]*,([^)]*)\)[^>]*>([^<]*)<", svg)
    at = {text: float(down) for down, text in found if text != "0"}
    upper, lower = sorted(float(down) for down, text in found if text == "0")
    assert at["features per neuron"] < at["10"] < at["8"] < at["2"] < upper
    assert upper < at["monosemantic share"] < at["1"] < at["0.8"] < at["0.2"] < lower
    # Both are equally high.
    assert upper - at["10"] == pytest.approx(lower - at["1"])
    assert upper - at["8"] == pytest.approx(lower - at["0.8"])


def test_conventions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="index of one of 3 shares"):
        seed_bands(counts(), 3, False)
    with pytest.raises(ValueError, match="same densities"):
        seed_bands(counts().iloc[:-1], 0, False)


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
