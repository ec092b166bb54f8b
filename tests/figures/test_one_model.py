"""Heat maps and norms of one model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.one_model import (
    MOST_NUMBERS,
    describe_matrix,
    describe_norms,
    matrix_map,
    matrix_rows,
    norm_bars,
)


def data_of(chart: Any) -> pd.DataFrame:
    """The longest table in a chart."""
    return pd.DataFrame(max(chart.to_dict()["datasets"].values(), key=len))


@pytest.mark.parametrize("shape", [(2, 3), (5, 5), (MOST_NUMBERS + 1, 4), (40, 100)])
def test_the_map_holds_the_matrix(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(0).normal(size=shape)
    rows = data_of(matrix_map(matrix))
    found = np.empty(shape)
    found[rows["row"] - 1, rows["column"] - 1] = rows["value"]
    np.testing.assert_allclose(found, matrix, atol=5.1e-4)


def test_small_matrices_have_their_numbers_written_in() -> None:
    assert "layer" in matrix_map(np.eye(MOST_NUMBERS)).to_dict()
    assert "layer" not in matrix_map(np.eye(MOST_NUMBERS + 1)).to_dict()


@pytest.mark.parametrize(("largest", "reach"), [(0.2, 1.0), (1.04, 1.0), (2.5, 2.5)])
def test_zero_is_in_the_middle_of_the_colours(largest: float, reach: float) -> None:
    chart = matrix_map(np.array([[largest, -0.1]])).to_dict()
    domain = chart["layer"][0]["encoding"]["color"]["scale"]["domain"]
    np.testing.assert_allclose(domain, [-reach, -reach / 2, 0, reach / 2, reach])


def test_a_stack_of_matrices_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        matrix_rows(np.zeros((2, 3, 4)))


def test_bars_are_the_norms() -> None:
    W = np.array([[3.0, 0.0, 0.3], [4.0, 0.0, 0.0]])
    rows = data_of(norm_bars(W))
    np.testing.assert_allclose(rows["norm"], [5, 0, 0.3])
    assert rows["kept"].tolist() == ["yes", "no", "no"]


def test_pictures_are_described() -> None:
    assert "2 rows by 3 columns, values from -1.00 to 2.00" in describe_matrix(
        np.array([[0, 2, 0], [-1, 0, 0]]), "W"
    )
    assert "1 are above 0.5" in describe_norms(np.array([[1.0, 0.1]]))
