"""The map of sizes: its numbers, its controls, and what it says."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures.size_map import (
    FAMILIES,
    MEASURES,
    SELECTION,
    Cell,
    cell_of,
    cells,
    densities_of,
    describe_packing_lines,
    describe_size_map,
    packing_lines,
    round_top,
    size_map,
)
from pages.parts.vega import vega_once

SIZES = [(n, m) for n in range(2, 7) for m in range(1, 4) if m < n]
DENSITIES = (1.0, 0.1, 0.01)
START = Cell(1, 6, 2)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for family, (n, m), density in product(FAMILIES, SIZES, DENSITIES):
        packing = float(rng.uniform(0.5, n / m))
        rows.append(
            {
                "family": family,
                "n_features": n,
                "n_hidden": m,
                "density": density,
                "features_per_dimension": packing,
                "dimensions_per_feature": 1 / packing,
                "features_represented": int(rng.integers(0, n + 1)),
                "loss_per_density": float(rng.uniform(0, 2)),
            }
        )
    return pd.DataFrame(rows).sample(frac=1, random_state=0, ignore_index=True)


def embedded(chart: dict[str, Any]) -> pd.DataFrame:
    """The rows that travel in the chart."""
    (rows,) = chart["datasets"].values()
    return pd.DataFrame(rows)


def parameter(chart: dict[str, Any]) -> dict[str, Any]:
    (found,) = [each for each in chart["params"] if each["name"] == SELECTION]
    return dict(found)


def test_every_density_and_family_travels_in_the_chart(table: pd.DataFrame) -> None:
    chart = size_map(table, START).to_dict()
    rows = embedded(chart)
    assert len(rows) == len(SIZES) * len(DENSITIES) * len(FAMILIES)
    merged = rows.merge(
        table.assign(step=[DENSITIES.index(p) for p in table["density"]]),
        left_on=["family", "step", "n", "m"],
        right_on=["family", "step", "n_features", "n_hidden"],
    )
    assert len(merged) == len(table)
    for name, expected in {
        "packing": merged["features_per_dimension"],
        "d-star": merged["dimensions_per_feature"],
        "represented": merged["features_represented"] / merged["n_hidden"],
        "loss": merged["loss_per_density"],
    }.items():
        np.testing.assert_allclose(merged[name], expected, atol=1e-4)


def test_what_is_not_finite_is_left_empty(table: pd.DataFrame) -> None:
    table.loc[0, "dimensions_per_feature"] = np.inf
    assert cells(table)["d-star"].isna().sum() == 1
    values = embedded(size_map(table, START).to_dict())["d-star"]
    assert values.isna().sum() == 1
    assert np.nanmax(values) < np.inf


def test_the_chart_opens_on_the_start(table: pd.DataFrame) -> None:
    start = Cell(2, 5, 3, "linear", "loss")
    found = parameter(size_map(table, start).to_dict())
    assert found["value"] == [{"step": 2, "n": 5, "m": 3, "family": "linear", "measure": "loss"}]
    assert set(found["select"]["fields"]) == set(found["bind"]) == set(found["value"][0])


def test_the_controls_reach_every_model(table: pd.DataFrame) -> None:
    bind = parameter(size_map(table, START).to_dict())["bind"]
    assert (bind["step"]["min"], bind["step"]["max"]) == (0, len(DENSITIES) - 1)
    assert bind["family"]["options"] == list(FAMILIES)
    assert bind["measure"]["options"] == list(MEASURES)
    assert (bind["n"]["min"], bind["n"]["max"]) == (2, 6)
    assert (bind["m"]["min"], bind["m"]["max"]) == (1, 3)


def test_the_specification_does_not_depend_on_the_order_of_the_rows(table: pd.DataFrame) -> None:
    def sizes(chart: alt.LayerChart) -> set[tuple[Any, ...]]:
        return set(embedded(chart.to_dict()).itertuples(index=False))

    shuffled = table.sample(frac=1, random_state=1)
    assert sizes(size_map(table, START)) == sizes(size_map(shuffled, START))


def test_a_report_of_the_browser_becomes_a_cell(table: pd.DataFrame) -> None:
    point = {"step": 2, "n": 4, "m": 1, "family": "linear", "measure": "d-star"}
    assert cell_of([point], table, START) == Cell(2, 4, 1, "linear", "d-star")


@pytest.mark.parametrize(
    "report",
    [
        None,
        [],
        {},
        [{}],
        [{"step": 1}],
        [{"step": 3, "n": 4, "m": 1, "family": "linear", "measure": "loss"}],
        [{"step": -1, "n": 4, "m": 1, "family": "linear", "measure": "loss"}],
        [{"step": "x", "n": 4, "m": 1, "family": "linear", "measure": "loss"}],
        [{"step": 1, "n": None, "m": 1, "family": "linear", "measure": "loss"}],
        [{"step": 1, "n": 4, "m": 1, "family": "cubic", "measure": "loss"}],
        [{"step": 1, "n": 4, "m": 1, "family": "linear", "measure": "colour"}],
    ],
)
def test_a_report_that_makes_no_sense_gives_the_default(table: pd.DataFrame, report: Any) -> None:
    assert cell_of(report, table, START) == START


def test_the_description_has_the_extremes(table: pd.DataFrame) -> None:
    rows = table[(table["family"] == "relu-output") & (table["density"] == 0.1)]
    counted = rows["features_represented"] / rows["n_hidden"]
    for measure, values in (
        ("represented", counted),
        ("packing", rows["features_per_dimension"]),
    ):
        text = describe_size_map(table, replace(START, measure=measure))
        assert "density 0.1" in text
        assert f"The values go from {values.min():.2f} at" in text
        assert f" to {values.max():.2f} at" in text


@given(st.floats(1e-3, 1e4))
def test_scales_end_on_round_numbers_just_past_the_largest_value(largest: float) -> None:
    top = round_top(largest)
    assert largest <= top * (1 + 1e-9)
    assert top <= 1.51 * largest
    # A quarter of it has two significant digits at most.
    quarter = top / 4
    assert float(f"{quarter:.1e}") == pytest.approx(quarter)


def test_counts_have_even_ticks() -> None:
    assert [round_top(6.5) / 4 * k for k in range(5)] == [0, 2, 4, 6, 8]
    assert round_top(1.0) == 1
    assert round_top(0.0) == 1


def test_densities_go_down(table: pd.DataFrame) -> None:
    assert densities_of(table) == list(DENSITIES)


def test_lines_hold_every_model(table: pd.DataFrame) -> None:
    chart = packing_lines(table).to_dict()
    rows = pd.concat(pd.DataFrame(values) for values in chart["datasets"].values())
    assert len(rows) == len(table)
    one = rows[(rows["family"] == "ReLU") & (rows["size"] == "6 × 2")]
    expected = table.query("family == 'relu-output' and n_features == 6 and n_hidden == 2")
    np.testing.assert_allclose(
        one.sort_values("density")["packing"],
        expected.sort_values("density")["features_per_dimension"],
        atol=1e-4,
    )
    assert set(one["ratio"]) == {3.0}


def test_lines_are_described(table: pd.DataFrame) -> None:
    text = describe_packing_lines(table)
    assert "ReLU models go from" in text
    assert "linear models go from" in text


def test_the_chosen_size_stands_out_and_choosing_another_changes_data_alone(
    table: pd.DataFrame,
) -> None:
    plain = vega_once(packing_lines, table)
    one, other = (vega_once(packing_lines, table, size) for size in [(6, 2), (5, 3)])
    added = set(one["datasets"]) - set(plain["datasets"])
    assert len(added) == 1
    rows = one["datasets"][added.pop()].to_pandas()
    assert set(rows["size"]) == {"6 × 2"}
    assert set(rows["family"]) == {"ReLU"}
    assert set(rows["density"]) == set(DENSITIES)
    assert {**one, "datasets": {}} == {**other, "datasets": {}}
