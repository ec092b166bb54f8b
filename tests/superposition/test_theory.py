import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

from superposition import geometry, theory

SEEDS = st.integers(0, 2**32 - 1)


def sample(count, densities, rng, low=0.0, high=1.0):
    """Independent sparse uniform inputs, written out on its own."""
    size = (count, len(densities))
    return np.where(rng.random(size) < densities, rng.uniform(low, high, size), 0.0)


def random_model(m, n, rng, scale=0.7):
    return scale * rng.standard_normal((m, n)), 0.2 * rng.standard_normal(n)


# Moments


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0.5, 2)])
def test_moments_match_samples(low, high):
    p = np.array([1.0, 0.3, 0.05, 0.0])
    x = sample(400_000, p, np.random.default_rng(0), low, high)
    np.testing.assert_allclose(theory.sparse_mean(p, low, high), x.mean(0), atol=5e-3)
    np.testing.assert_allclose(theory.sparse_second_moment(p, low, high), (x**2).mean(0), atol=1e-2)
    np.testing.assert_allclose(theory.sparse_variance(p, low, high), x.var(0), atol=1e-2)
    assert theory.sparse_variance(0.4) == pytest.approx(0.4 / 3 - 0.4**2 / 4)


# The linear model


def moments(p):
    mean = theory.sparse_mean(p)
    return mean, np.diag(theory.sparse_variance(p)) + np.outer(mean, mean)


def test_linear_loss_matches_samples_of_correlated_data():
    rng = np.random.default_rng(1)
    x = sample(2000, np.full(4, 0.4), rng)
    x[:, 1] *= x[:, 0] > 0
    W, b = random_model(2, 4, rng)
    importances = np.array([1.0, 0.5, 2.0, 0.1])
    # With the moments of the sample itself the agreement is to rounding error.
    exact = theory.linear_loss(W, b, importances, x.mean(0), x.T @ x / len(x))
    output = x @ W.T @ W + b
    assert exact == pytest.approx(np.mean(np.sum(importances * (x - output) ** 2, axis=1)))


def test_linear_loss_takes_a_batch():
    rng = np.random.default_rng(2)
    W, b = rng.standard_normal((3, 7, 2, 4)), rng.standard_normal((3, 7, 4))
    mean, second = moments(np.array([0.1, 0.2, 0.3, 0.4]))
    batch = theory.linear_loss(W, b, np.ones(4), mean, second)
    assert batch.shape == (3, 7)
    assert batch[2, 3] == pytest.approx(
        theory.linear_loss(W[2, 3], b[2, 3], np.ones(4), mean, second)
    )
    assert theory.linear_bias(W, mean).shape == (3, 7, 4)


@pytest.mark.parametrize("m", [0, 1, 2, 3, 5, 6])
def test_the_optimal_linear_model_attains_its_loss(m):
    importances, p = 0.9 ** np.arange(5), np.array([0.01, 0.2, 0.5, 0.9, 0.1])
    mean, second = moments(p)
    variances = theory.sparse_variance(p)
    W, b = theory.optimal_linear_model(importances, mean, variances, m)
    assert W.shape == (m, 5)
    best = theory.optimal_linear_loss(importances, variances, m)
    assert theory.linear_loss(W, b, importances, mean, second) == pytest.approx(best, abs=1e-15)
    assert best == pytest.approx(sum(sorted(importances * variances)[: max(5 - m, 0)]))
    assert theory.unlearned_loss(importances, variances) == pytest.approx(
        theory.optimal_linear_loss(importances, variances, 0)
    )


@pytest.mark.parametrize("importances", [[1, 0.9, 0.81, 0.729], [1, 1, 1, 1], [0.2, 3, 1, 0.5]])
def test_no_search_beats_the_optimal_linear_model(importances):
    """W and b are both free, from many starts; the order of I_i v_i is not that of I_i."""
    weight, p, m = np.array(importances), np.array([0.1, 0.4, 0.05, 0.7]), 2
    mean, second = moments(p)
    best = theory.optimal_linear_loss(weight, theory.sparse_variance(p), m)

    def loss(v):
        return float(theory.linear_loss(v[:8].reshape(m, 4), v[8:], weight, mean, second))

    rng = np.random.default_rng(0)
    found = [optimize.minimize(loss, rng.standard_normal(12)).fun for _ in range(8)]
    assert min(found) == pytest.approx(best, abs=1e-7)
    assert min(found) >= best - 1e-9


@given(SEEDS)
def test_no_linear_model_beats_the_bound(seed):
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 4)), int(rng.integers(1, 7))
    p, importances = rng.uniform(0, 1, n), rng.uniform(0, 2, n)
    mean, second = moments(p)
    W, b = random_model(m, n, rng)
    best = theory.optimal_linear_loss(importances, theory.sparse_variance(p), m)
    loss = theory.linear_loss(W, b, importances, mean, second)
    assert loss >= best - 1e-12
    assert loss >= theory.linear_loss(W, theory.linear_bias(W, mean), importances, mean, second)


# Regular polygons


@pytest.mark.parametrize("k", range(1, 13))
def test_polygon_measures_match_the_geometry(k):
    W = theory.regular_polygon(k, radius=1.2)
    np.testing.assert_allclose(geometry.norms(W), 1.2)
    np.testing.assert_allclose(geometry.dimensionality(W), theory.polygon_dimensionality(k))
    np.testing.assert_allclose(
        geometry.interference(W), theory.polygon_interference(k, 1.2), atol=1e-12
    )
    assert geometry.coherence(W) == pytest.approx(theory.polygon_coherence(k))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize(
    ("radius", "bias"), [(1, 0), (1.2, -0.3), (0.7, -0.1), (0.5, -0.6), (0, 0)]
)
def test_polygon_loss_matches_quadrature(k, radius, bias):
    W = theory.regular_polygon(k, radius)

    def squared_error(u):
        x = np.zeros(k)
        x[0] = u
        return float(np.sum((x - np.maximum(W.T @ (W @ x) + bias, 0)) ** 2))

    kinks = [-bias / slope for slope in W.T @ W[:, 0] if slope > -bias > 0]
    expected, _ = integrate.quad(squared_error, 0, 1, points=kinks or None, epsabs=1e-12)
    assert theory.polygon_loss(k, radius, bias) == pytest.approx(k * expected, abs=1e-10)


def test_polygon_loss_broadcasts_and_rules_out_positive_biases():
    loss = theory.polygon_loss(5, np.linspace(0, 2, 7)[:, None], np.array([-0.2, 0.0, 0.1]))
    assert loss.shape == (7, 3)
    assert np.all(np.isfinite(loss[:, :2]))
    assert np.all(np.isinf(loss[:, 2]))
    assert theory.polygon_loss(5, 0, -0.1) == pytest.approx(5 / 3)


def test_the_polygon_limit_is_the_limit_of_the_exact_loss():
    best = theory.best_polygon(5)
    W, b = theory.regular_polygon(5, best.radius), np.full(5, best.bias)
    gaps = [
        theory.relu_output_expected_loss(W, b, 1, p) / p - best.loss_per_density
        for p in (1e-3, 1e-5, 1e-7)
    ]
    # The difference is the pairs that are active together, in proportion to p.
    assert gaps[1] == pytest.approx(gaps[0] / 100, rel=0.05)
    assert abs(gaps[2]) < 1e-6


def test_best_polygons():
    for k in range(1, 5):
        assert theory.best_polygon(k) == theory.Polygon(k, 1.0, 0.0, 0.0)
        assert theory.polygon_loss(k, 1.0, 0.0) == pytest.approx(0, abs=1e-12)
    rng = np.random.default_rng(0)
    for k in (5, 6, 7, 8):
        best = theory.best_polygon(k)
        assert best.loss_per_density == theory.polygon_loss(k, best.radius, best.bias)
        others = theory.polygon_loss(k, rng.uniform(0, 3, 5000), rng.uniform(-6, 0, 5000))
        assert best.loss_per_density <= others.min()
    # One more corner costs less than leaving the feature out (1/3), up to the heptagon.
    cost = np.diff([theory.best_polygon(k).loss_per_density for k in range(4, 9)])
    assert (cost < 1 / 3).tolist() == [True, True, True, False]


# The exact expected loss


def quadrature_error(W, b, active, output, low, high, tolerance=1e-9):
    """E[(x_i − y'_i)²] of one output by adaptive quadrature in each active value."""
    slopes = W[:, output] @ W

    def squared_error(*values):
        z = b[output] + sum(slopes[j] * v for j, v in zip(active, values, strict=True))
        x = dict(zip(active, values, strict=True)).get(output, 0.0)
        return (x - max(z, 0.0)) ** 2

    ranges = [(low, high)] * len(active)
    total, _ = integrate.nquad(
        squared_error, ranges, opts={"epsabs": tolerance, "epsrel": tolerance}
    )
    return total / (high - low) ** len(active)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.25, 0.75)])
@pytest.mark.parametrize("active", [(1,), (0, 2)])
def test_set_errors_match_adaptive_quadrature(active, low, high):
    W, b = random_model(2, 4, np.random.default_rng(len(active)))
    errors = theory.relu_output_errors(W, b, active, low, high)
    for output in range(4):
        expected = quadrature_error(W, b, active, output, low, high)
        assert errors[output] == pytest.approx(expected, abs=1e-8)


def test_set_errors_match_adaptive_quadrature_in_three_dimensions():
    W, b = random_model(2, 4, np.random.default_rng(5))
    errors = theory.relu_output_errors(W, b, (0, 1, 3))
    expected = quadrature_error(W, b, (0, 1, 3), 0, 0.0, 1.0, tolerance=1e-7)
    assert errors[0] == pytest.approx(expected, abs=1e-7)


def test_the_empty_set_and_the_dead_model():
    W, b = np.zeros((2, 3)), np.array([-0.5, 0.0, 0.25])
    np.testing.assert_allclose(theory.relu_output_errors(W, b, ()), [0, 0, 0.25**2])
    # A constant c against a uniform value: 1/3 − c + c².
    np.testing.assert_allclose(
        theory.relu_output_errors(W, b, (0, 2)), [1 / 3, 0, 1 / 3 - 0.25 + 0.25**2]
    )


@given(SEEDS)
@settings(max_examples=30)
def test_an_always_active_relu_is_the_linear_model(seed):
    """A large bias keeps every output positive, where two moments give the loss."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    W, b = random_model(2, n, rng)
    # Columns from 1 down to 1e-12: the coefficients that floating point would not survive.
    W = W * 10.0 ** -rng.integers(0, 13, n)
    b = b + 20
    p, importances = rng.uniform(0, 1, n), rng.uniform(0, 2, n)
    mean, second = moments(p)
    exact = theory.relu_output_expected_loss(W, b, importances, p)
    assert exact == pytest.approx(
        float(theory.linear_loss(W, b, importances, mean, second)), rel=1e-11
    )


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_small_coefficients_lose_no_accuracy(low):
    """Errors are continuous in W, so a vanishing column must act like no column."""
    W, b = random_model(2, 5, np.random.default_rng(3))
    without = W.copy()
    without[:, 2] = 0
    expected = theory.relu_output_errors(without, b, range(5), low)
    for size in (1e-9, 1e-13, 1e-17, 1e-200):
        nearly = W.copy()
        nearly[:, 2] *= size
        errors = theory.relu_output_errors(nearly, b, range(5), low)
        np.testing.assert_allclose(errors, expected, atol=3 * size + 1e-15)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("density", [1.0, 0.3, 0.05])
def test_the_exact_loss_matches_monte_carlo(density, low, high):
    rng = np.random.default_rng(7)
    W, b = random_model(2, 5, rng)
    importances = 0.9 ** np.arange(5)
    densities = density * np.array([1, 1, 0.5, 0.2, 0.1])
    x = sample(200_000, densities, rng, low, high)
    losses = np.sum(importances * (x - np.maximum(x @ W.T @ W + b, 0)) ** 2, axis=1)
    exact = theory.relu_output_expected_loss(W, b, importances, densities, low, high)
    standard_error = losses.std() / math.sqrt(len(losses))
    assert abs(losses.mean() - exact) < 4 * standard_error


def test_the_expected_loss_sums_the_sets():
    rng = np.random.default_rng(8)
    W, b = random_model(2, 3, rng)
    importances, p = np.array([1.0, 0.5, 0.2]), np.array([0.1, 0.0, 1.0])
    total = 0.0
    for on in itertools.product([False, True], repeat=3):
        probability = np.prod(np.where(on, p, 1 - p))
        errors = theory.relu_output_errors(W, b, np.flatnonzero(on).tolist())
        total += float(probability * importances @ errors)
    assert theory.relu_output_expected_loss(W, b, importances, p) == pytest.approx(total, rel=1e-13)


def test_rotation_of_hidden_space_leaves_the_loss():
    rng = np.random.default_rng(9)
    W, b = random_model(3, 6, rng)
    rotation = geometry.haar_rotations(1, 3, rng)[0]
    assert theory.relu_output_expected_loss(rotation @ W, b, 1, 0.2) == pytest.approx(
        theory.relu_output_expected_loss(W, b, 1, 0.2), rel=1e-12
    )


def test_at_full_density_the_best_linear_model_loses_the_same_with_a_relu():
    p, importances = np.ones(5), 0.9 ** np.arange(5)
    variances = theory.sparse_variance(p)
    W, b = theory.optimal_linear_model(importances, theory.sparse_mean(p), variances, 2)
    assert theory.relu_output_expected_loss(W, b, importances, p) == pytest.approx(
        theory.optimal_linear_loss(importances, variances, 2), rel=1e-12
    )


def test_bad_arguments_are_named():
    W, b = np.ones((2, 4)), np.zeros(4)
    with pytest.raises(ValueError, match=r"W has shape \(3, 2, 4\) and b \(4,\); expected one"):
        theory.relu_output_expected_loss(np.ones((3, 2, 4)), b, 1, 0.5)
    with pytest.raises(ValueError, match=r"b \(3,\)"):
        theory.relu_output_errors(W, np.zeros(3), ())
    with pytest.raises(ValueError, match=r"\[4\] are not all among 0 … 3"):
        theory.relu_output_errors(W, b, [4])
    with pytest.raises(ValueError, match=r"between 0 and 1; got 1.5"):
        theory.relu_output_expected_loss(W, b, 1, 1.5)
    with pytest.raises(ValueError, match=r"at most 10 features, and W has 11"):
        theory.relu_output_expected_loss(np.ones((2, 11)), np.zeros(11), 1, 0.5)
