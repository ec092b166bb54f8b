"""Dots of dimensionality: the numbers in the chart are those of the geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.dimensionality import (
    CLUSTERS,
    clusters_in,
    describe_dimensionality,
    dimensionality_dots,
    feature_rows,
)


def polygon(corners: int, n: int) -> np.ndarray:
    """(2, n): `corners` unit vectors evenly around, the others zero."""
    angles = 2 * np.pi * np.arange(corners) / corners
    W = np.zeros((2, n))
    W[:, :corners] = np.cos(angles), np.sin(angles)
    return W


DENSITIES = [1.0, 0.1, 0.01]
W = np.stack([polygon(2, 5), polygon(3, 5), polygon(5, 5)])
W[0, :, :2] = np.eye(2)


def test_regular_arrangements_lie_on_their_lines() -> None:
    rows = feature_rows(DENSITIES, W)
    by_density = {p: rows[rows["density"] == p]["D"].tolist() for p in DENSITIES}
    np.testing.assert_allclose(by_density[1.0], [1, 1, 0, 0, 0], atol=1e-4)
    np.testing.assert_allclose(by_density[0.1], [2 / 3] * 3 + [0, 0], atol=1e-4)
    np.testing.assert_allclose(by_density[0.01], [2 / 5] * 5, atol=1e-4)
    values = [float(value) for value, *_ in CLUSTERS]
    assert all(min(abs(d - v) for v in values) < 1e-3 for d in rows["D"] if d > 0)


def icosahedron() -> np.ndarray:
    """(3, 12): its corners."""
    golden = (1 + np.sqrt(5)) / 2
    corners = [np.roll([0, a, b * golden], k) for a in (-1, 1) for b in (-1, 1) for k in range(3)]
    return np.array(corners).T / np.sqrt(1 + golden**2)


def test_six_and_twelve_have_lines_too() -> None:
    for shape, W in (("hexagon", polygon(6, 6)), ("icosahedron", icosahedron())):
        (value,) = (value for value, name, _ in CLUSTERS if name == shape)
        np.testing.assert_allclose(feature_rows([0.1], W[None])["D"], float(value), atol=1e-4)


def test_lines_are_those_that_fit_into_the_dimensions() -> None:
    def drawn(m: int) -> set[float]:
        W = np.ones((1, m, 6))
        data = dimensionality_dots([0.1], W).to_dict()["datasets"].values()
        (lines,) = (rows for rows in data if set(rows[0]) == {"D"})
        return {round(row["D"], 4) for row in lines}

    assert drawn(1) == {1, 0.5}
    assert drawn(2) == {1, 0.6667, 0.5, 0.4, 0.3333}
    assert drawn(5) == {round(float(value), 4) for value, *_ in CLUSTERS}


def test_kept_features_are_told_apart() -> None:
    rows = feature_rows(DENSITIES, W)
    assert rows.groupby("density")["kept"].apply(lambda kept: (kept == "yes").sum()).to_dict() == {
        1.0: 2,
        0.1: 3,
        0.01: 5,
    }


@pytest.mark.parametrize("here", [None, 0.1])
def test_the_chart_holds_every_feature_of_every_model(here: float | None) -> None:
    chart: dict[str, Any] = dimensionality_dots(DENSITIES, W, here).to_dict()
    largest = max(chart["datasets"].values(), key=len)
    rows = pd.DataFrame(largest)
    assert len(rows) == 15
    # Dots are moved aside, but never as far as half way to a neighbouring density.
    assert np.abs(np.log10(rows["at"] / rows["density"])).max() < 0.15
    assert len(chart["layer"]) == (2 if here is None else 3)


def test_counts_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="2 densities for 3 models"):
        feature_rows([1.0, 0.1], W)


def test_the_description_says_how_many_are_kept() -> None:
    text = describe_dimensionality(DENSITIES, W)
    assert "at density 1 from 0.00 to 1.00, 2 of 5 features represented" in text
    assert "at density 0.01 from 0.40 to 0.40, 5 of 5 features represented" in text


@pytest.mark.parametrize(("m", "raised"), [(2, False), (3, True)])
def test_labels_sit_on_their_lines_unless_two_are_too_close(m: int, raised: bool) -> None:
    spec = dimensionality_dots([1.0, 0.1], np.ones((2, m, 5))).to_dict()
    (axis,) = (
        axis
        for layer in spec["layer"]
        if (axis := layer["encoding"].get("y", {}).get("axis", {})).get("orient") == "right"
    )
    assert (axis["labelBaseline"] != "middle") == raised
    # On a phone the names are above the chart, each once.
    above = spec["title"]["text"]["expr"]
    for value, shape in clusters_in(m):
        assert above.count(f"{value} {shape}") == 1
