"""What is decided about functions of a picture, against the definitions written out again."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from superposition.distributions import independent
from superposition.features import CANDIDATES, PIXELS, PictureFunction, every_picture

BY_NAME = {candidate.name: candidate for candidate in CANDIDATES}
PICTURES = arrays(float, PIXELS, elements=st.sampled_from([0.0, 1.0]))
candidates = pytest.mark.parametrize("candidate", CANDIDATES, ids=BY_NAME)


def test_every_picture_is_there_once() -> None:
    rows = {tuple(row) for row in every_picture()}
    assert rows == set(itertools.product((0.0, 1.0), repeat=PIXELS))
    assert len(every_picture()) == 512


@given(PICTURES)
def test_values_are_those_of_the_rules(x) -> None:
    rows = x.reshape(3, 3)
    value = {name: candidate(x) for name, candidate in BY_NAME.items()}
    assert value["the middle pixel"] == rows[1, 1]
    assert value["a vertical line"] == any(rows[:, k].sum() == 3 for k in range(3))
    assert value["brightness"] == rows.sum()
    odd = 0.7 * rows[0, 0] - 1.3 * rows[1, 0] + 0.4 * rows[2, 2]
    assert value["a sum with odd weights"] == pytest.approx(odd)
    assert value["the same, past a threshold"] == (odd > 0.2)
    assert value["two pixels, turned by 45°"] == pytest.approx((rows[0, 0] + rows[0, 1]) / 2**0.5)
    lit = [(r + 1, c + 1) for r in range(3) for c in range(3) if rows[r, c]]
    if lit:
        np.testing.assert_allclose(value["where the light is"], np.mean(lit, axis=0))
    else:
        assert np.isnan(value["where the light is"]).all()


@candidates
def test_one_picture_and_many_give_the_same(candidate: PictureFunction) -> None:
    alone = np.array([candidate(picture) for picture in every_picture()[:40]])
    np.testing.assert_allclose(candidate(every_picture()[:40]), alone)


@candidates
def test_what_is_decided_follows_from_the_values(candidate: PictureFunction) -> None:
    values = candidate(every_picture())
    one_number = values.ndim == 1
    assert candidate.is_scalar == one_number
    assert candidate.numbers == (1 if one_number else 2)
    if one_number:
        different = {round(float(v), 9) for v in values}
        assert candidate.distinct_values == len(different)
        assert candidate.is_property == (len(different) == 2)
    else:
        assert not candidate.is_property
        assert candidate.sparsity(0.2) is None


def test_only_the_pixel_is_a_coordinate() -> None:
    assert [c.name for c in CANDIDATES if c.is_coordinate] == ["the middle pixel"]


def test_the_definitions_disagree() -> None:
    assert not BY_NAME["brightness"].is_property
    assert not BY_NAME["a sum with odd weights"].is_property
    assert BY_NAME["the same, past a threshold"].is_property
    assert not BY_NAME["where the light is"].is_scalar


def test_pixels_that_are_read_are_those_in_the_rule() -> None:
    reads = {name: candidate.reads for name, candidate in BY_NAME.items()}
    assert reads["the middle pixel"] == (4,)
    assert reads["a sum with odd weights"] == reads["the same, past a threshold"] == (0, 3, 8)
    assert reads["two pixels, turned by 45°"] == (0, 1)
    for name in ("a vertical line", "brightness", "where the light is"):
        assert reads[name] == tuple(range(9))


@given(st.floats(0, 1))
def test_sparsity_in_closed_form(density: float) -> None:
    assert BY_NAME["the middle pixel"].sparsity(density) == pytest.approx(1 - density)
    assert BY_NAME["brightness"].sparsity(density) == pytest.approx((1 - density) ** 9)
    assert BY_NAME["a vertical line"].sparsity(density) == pytest.approx((1 - density**3) ** 3)
    assert BY_NAME["a sum with odd weights"].sparsity(density) == pytest.approx((1 - density) ** 3)


@pytest.mark.parametrize("candidate", [c for c in CANDIDATES if c.is_scalar], ids=lambda c: c.name)
def test_sparsity_is_what_samples_show(candidate: PictureFunction) -> None:
    lit = independent(PIXELS, 0.2).sample(40_000, np.random.default_rng(3)) > 0
    off = np.isclose(candidate(lit), 0)
    exact = candidate.sparsity(0.2)
    assert exact is not None
    error = np.sqrt(exact * (1 - exact) / len(off))
    assert abs(off.mean() - exact) < 5 * error


@pytest.mark.parametrize("bad", [np.zeros(8), np.zeros((2, 3, 3)), np.zeros(())])
def test_pictures_of_another_shape_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected \(9,\) or \(K, 9\)"):
        CANDIDATES[0](bad)


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, np.nan])
def test_pixels_neither_lit_nor_dark_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="neither 0"):
        CANDIDATES[0](np.full(9, value))
