"""Dots of dimensionality: the numbers in the chart are those of the geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.dimensionality import (
    CLUSTERS,
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
    values = [float(value) for value, _ in CLUSTERS]
    assert all(min(abs(d - v) for v in values) < 1e-3 for d in rows["D"] if d > 0)


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
