"""The measurements behind the claims, on weights whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superposition.claims import (
    CAVEAT,
    FAILS,
    HOLDS,
    decide,
    keeps_only_the_first,
    largest_relative_drop,
    neighbour_angles,
)
from superposition.geometry import haar_rotations
from superposition.theory import regular_polygon


def test_the_status_follows_from_the_two_thresholds() -> None:
    assert decide(True, True) == HOLDS
    assert decide(False, True) == CAVEAT
    assert decide(False, False) == FAILS


def test_only_the_model_that_keeps_the_first_features_orthogonal_counts() -> None:
    kept = np.eye(2, 5)
    wrong_ones = kept[:, ::-1]
    bent = kept.copy()
    bent[0, 1] = 0.3
    too_many = kept.copy()
    too_many[:, 4] = 1.0
    models = np.stack([kept, wrong_ones, bent, too_many, np.zeros((2, 5))])
    assert keeps_only_the_first(models, 2).tolist() == [True, False, False, False, False]


@given(seed=st.integers(0, 1000), n=st.integers(3, 8), m=st.integers(1, 6))
def test_keeping_the_first_does_not_depend_on_the_basis(seed: int, n: int, m: int) -> None:
    m = min(m, n)
    rotation = haar_rotations(1, m, np.random.default_rng(seed))[0]
    W = rotation @ np.eye(m, n)
    assert keeps_only_the_first(W[None], m).all()


@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_a_regular_polygon_has_equal_angles(k: int) -> None:
    order = np.random.default_rng(k).permutation(k)
    angles = neighbour_angles(regular_polygon(k)[:, order])
    np.testing.assert_allclose(angles, 360 / k)


@given(
    st.lists(st.floats(-180, 180), min_size=2, max_size=9),
    st.floats(0, 360),
)
def test_neighbour_angles_close_the_circle_and_do_not_turn_with_it(
    degrees: list[float], turn: float
) -> None:
    def directions(angles: np.ndarray) -> np.ndarray:
        return np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))])

    before = neighbour_angles(directions(np.array(degrees)))
    after = neighbour_angles(directions(np.array(degrees) + turn))
    assert before.sum() == pytest.approx(360)
    np.testing.assert_allclose(np.sort(before), np.sort(after), atol=1e-6)


def test_features_that_are_not_represented_have_no_angles() -> None:
    W = regular_polygon(5)
    W[:, 2] *= 0.1
    assert len(neighbour_angles(W)) == 4
    assert len(neighbour_angles(np.zeros((2, 5)))) == 0


def test_neighbour_angles_need_a_plane() -> None:
    with pytest.raises(ValueError, match=r"\(3, 5\).*plane"):
        neighbour_angles(np.zeros((3, 5)))


def test_the_largest_drop_is_from_the_highest_value_so_far() -> None:
    values = [[1.0, 2.0, 3.0], [2.0, 1.5, 1.9], [1.0, 4.0, 1.0]]
    np.testing.assert_allclose(largest_relative_drop(values), [0.0, 0.25, 0.75])
