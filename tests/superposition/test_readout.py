"""Reading from random directions: formulas against sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superposition.readout import (
    Reader,
    linear_reader,
    reading_noise,
    relu_reader,
    sample_readings,
)


@pytest.mark.parametrize("active", [1, 2, 10, 60])
def test_noise_is_what_sampling_gives(active: int) -> None:
    on, off = sample_readings(120, 40, active, 200, np.random.default_rng(0), draws=50)
    assert on.shape == (200, active)
    assert off.shape == (200, 120 - active)
    assert np.mean(on) == pytest.approx(1, abs=0.1)
    assert np.std(on) == pytest.approx(reading_noise(active, 40), rel=0.1, abs=1e-9)
    assert np.std(off) == pytest.approx(reading_noise(active, 40, on=False), rel=0.1)


def test_directions_are_drawn_as_often_as_asked() -> None:
    rng = np.random.default_rng(1)
    one = sample_readings(6, 3, 1, 60, rng)[1]
    # One drawing of six directions has fifteen cosines; sixty drawings have hundreds.
    assert len(np.unique(one.round(9))) <= 15
    assert len(np.unique(sample_readings(6, 3, 1, 60, rng, draws=60)[1].round(9))) == 300


def test_alone_a_feature_is_read_without_noise() -> None:
    assert reading_noise(1, 7) == 0
    assert reading_noise(8, 7) == 1


@pytest.mark.parametrize("active", [1, 3, 20, 100])
def test_the_errors_of_both_readers_are_what_sampling_gives(active: int) -> None:
    n, m = 200, 50
    on, off = sample_readings(n, m, active, 150, np.random.default_rng(active), draws=50)
    linear, relu = linear_reader(n, m, active), relu_reader(n, m, active)
    assert linear.error_on(on, off, relu=False) == pytest.approx(linear.error, abs=0.05)
    assert relu.error_on(on, off, relu=True) == pytest.approx(relu.error, abs=0.05)


def test_the_error_on_readings_is_a_share_of_that_of_a_constant() -> None:
    on, off = np.array([[1.0, 0.5]]), np.array([[0.0, -0.5, 0.5]])
    # The constant 2/5 is wrong by 2 · 0.6² + 3 · 0.4² in all.
    constant = Reader(0.0, 0.4, 1.0)
    assert constant.error_on(on, off, relu=False) == pytest.approx(1)
    itself = Reader(1.0, 0.0, 0.0)
    assert itself.error_on(on, off, relu=False) == pytest.approx(0.75 / 1.2)
    assert itself.error_on(on, off, relu=True) == pytest.approx(0.5 / 1.2)


@given(st.integers(3, 2000), st.integers(1, 300), st.floats(0, 1))
def test_no_other_gain_and_bias_reads_better_linearly(n: int, m: int, part: float) -> None:
    active = 1 + int(part * (n - 2))
    reader = linear_reader(n, m, active)
    p = active / n

    def error(gain: float, bias: float) -> float:
        on = (gain + bias - 1) ** 2 + (gain * reading_noise(active, m)) ** 2
        off = bias**2 + (gain * reading_noise(active, m, on=False)) ** 2
        return (p * on + (1 - p) * off) / (p * (1 - p))

    assert error(reader.gain, reader.bias) == pytest.approx(reader.error)
    for gain, bias in ((1.1, 0.0), (0.9, 0.0), (1.0, 0.01), (1.0, -0.01)):
        assert error(reader.gain * gain, reader.bias + bias) >= reader.error - 1e-12


def test_sparsity_is_worth_nothing_to_a_linear_reader_and_much_to_a_relu() -> None:
    linear = [linear_reader(1000, 100, k).error for k in (1, 10, 50)]
    assert max(linear) - min(linear) < 0.01
    relu = [relu_reader(1000, 100, k).error for k in (1, 4, 16, 64, 256)]
    assert relu == sorted(relu)
    assert relu[0] < 0.01
    assert relu[-1] == pytest.approx(linear_reader(1000, 100, 256).error, abs=0.01)


@pytest.mark.parametrize("active", [1, 5, 40, 150])
def test_a_relu_is_never_worse(active: int) -> None:
    assert relu_reader(200, 50, active).error <= linear_reader(200, 50, active).error + 1e-6


def test_what_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="from 1 to 5"):
        sample_readings(5, 3, 6, 1, np.random.default_rng(0))
    for reader in (linear_reader, relu_reader):
        for active in (0, 5):
            with pytest.raises(ValueError, match="between 0 and 5"):
                reader(5, 3, active)
    with pytest.raises(ValueError, match="at least 1 active"):
        reading_noise(0, 3)
    assert math.isclose(reading_noise(2, 4), 0.5)


@given(st.integers(3, 40), st.data())
def test_no_linear_map_reads_more_than_m_of_n_directions(n: int, data: st.DataObject) -> None:
    m = data.draw(st.integers(1, n - 1))
    active = data.draw(st.integers(1, n - 1))
    W = np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal((m, n))
    # Independent features of variance 1, and exactly `active` of n on: their covariances.
    independent = np.eye(n)
    exactly = (independent - 1 / n) * active / n * (1 - active / n) * n / (n - 1)
    for covariance, least in ((independent, 1 - m / n), (exactly, 1 - m / (n - 1))):
        best = covariance @ W.T @ np.linalg.pinv(W @ covariance @ W.T)
        left = (np.eye(n) - best @ W) @ covariance
        assert np.trace(left) / np.trace(covariance) == pytest.approx(max(least, 0), abs=1e-6)
    assert linear_reader(n, m, active).error >= 1 - m / (n - 1) - 1e-12
