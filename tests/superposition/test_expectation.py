"""Nodes and weights against exact losses, closed forms, and plain sampling."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from superposition import theory
from superposition.distributions import FeatureDistribution, enumerate_sets, independent
from superposition.expectation import expectation_nodes, expected_loss, linear_expected_loss
from superposition.families import FAMILIES

SEEDS = st.integers(0, 2**32 - 1)
DENSITIES = (1.0, 0.5, 0.2, 0.1, 0.03, 0.01, 0.003, 0.001)
IMPORTANCES = 0.9 ** np.arange(5)

PAIRS = FeatureDistribution((0.2,) * 4, sets=((0, 1), (2, 3)), correlation=1.0)
APART = FeatureDistribution((0.3,) * 3 + (0.1,), sets=((0, 2, 1),), correlation=-1.0)
MIXED = FeatureDistribution((0.9, 0.4, 0.4, 0.02, 0.1), sets=((1, 2),), correlation=-0.6)
SIGNED = FeatureDistribution((0.3, 0.3, 0.05, 0.6), low=-1.0, high=1.0)
OFFSET = FeatureDistribution((0.3, 0.7, 0.1), low=0.5, high=2.0)
EXAMPLES = {
    "independent": independent(5, 0.2),
    "dense": independent(5, 1.0),
    "sparse": independent(5, 0.001),
    "never active": independent(3, 0.0),
    "one feature": independent(1, 0.3),
    "pairs": PAIRS,
    "apart": APART,
    "mixed": MIXED,
    "signed": SIGNED,
    "offset": OFFSET,
}
examples = pytest.mark.parametrize("d", EXAMPLES.values(), ids=EXAMPLES)


def nodes_of(d, budget, seed=0, **settings):
    return expectation_nodes(d, budget=budget, rng=np.random.default_rng(seed), **settings)


def random_model(n, m, rng, scale=0.7):
    return {"W": scale * rng.standard_normal((m, n)), "b": 0.2 * rng.standard_normal(n)}


def loss_on(name, parameters, nodes, importances):
    return float(
        expected_loss(FAMILIES[name], parameters, nodes.points, nodes.weights, importances)
    )


def exact_loss(parameters, d, importances):
    """Of one relu-output model, also where activity is correlated."""
    active = enumerate_sets(d.n_features, range(d.n_features + 1))
    return math.fsum(
        p
        * float(
            importances
            @ theory.relu_output_errors(
                parameters["W"], parameters["b"], np.flatnonzero(on).tolist(), d.low, d.high
            )
        )
        for on, p in zip(active, d.set_probability(active), strict=True)
        if p > 0
    )


def sampled_loss(name, parameters, d, importances, count, seed):
    """Plain Monte Carlo: the mean loss and its standard error."""
    x = d.sample(count, np.random.default_rng(seed))
    model = FAMILIES[name]
    losses = (model.forward(parameters, x) - model.target(x)) ** 2 @ importances
    return losses.mean(), losses.std() / math.sqrt(count)


# What nodes are


@examples
@pytest.mark.parametrize("budget", [1, 60, 512, 4096])
def test_weights_are_probabilities_and_points_inputs(d, budget):
    nodes = nodes_of(d, budget)
    assert nodes.points.shape == (len(nodes), d.n_features)
    assert (nodes.weights >= 0).all()
    assert nodes.weights.sum() == pytest.approx(1, abs=1e-12)
    on = nodes.points[nodes.points != 0]
    assert ((on >= d.low) & (on <= d.high)).all()


@examples
def test_the_weight_of_each_active_set_is_its_probability(d):
    nodes = nodes_of(d, 4096, negligible=0)
    assert nodes.is_deterministic
    active = enumerate_sets(d.n_features, range(d.n_features + 1))
    for on, p in zip(active, d.set_probability(active), strict=True):
        here = ((nodes.points != 0) == on).all(1)
        assert nodes.weights[here].sum() == pytest.approx(p, abs=1e-12)


@examples
@pytest.mark.parametrize("budget", [300, 4096])
def test_first_moments_are_exact(d, budget):
    nodes = nodes_of(d, budget, negligible=0)
    assert nodes.is_deterministic
    np.testing.assert_allclose(nodes.weights @ nodes.points, d.mean(), atol=1e-12)


@examples
def test_second_moments(d):
    nodes = nodes_of(d, 8192, negligible=0)
    second = (nodes.weights[:, None] * nodes.points).T @ nodes.points
    np.testing.assert_allclose(second, d.second_moment(), rtol=2e-3, atol=1e-5)


@examples
def test_nodes_are_a_function_of_the_generator(d):
    one, same, other = nodes_of(d, 200, 5), nodes_of(d, 200, 5), nodes_of(d, 200, 6)
    np.testing.assert_array_equal(one.points, same.points)
    np.testing.assert_array_equal(one.weights, same.weights)
    assert len(one) == len(other)


def test_the_number_of_nodes_is_near_the_budget():
    for density in DENSITIES[1:]:
        for budget in (256, 1024, 8192):
            assert 0.25 * budget <= len(nodes_of(independent(8, density), budget)) <= 1.5 * budget


def test_strata_are_left_out_only_while_they_are_negligible():
    """At density 0.001, five features active at once have probability 1e-15."""
    d = independent(5, 0.001)
    kept = {
        negligible: set((nodes_of(d, 512, negligible=negligible).points != 0).sum(1))
        for negligible in (0, 1e-8, 1e-2)
    }
    assert kept == {0: {0, 1, 2, 3, 4, 5}, 1e-8: {0, 1, 2, 3}, 1e-2: {0, 1}}


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_below_one_is_an_error(budget):
    with pytest.raises(ValueError, match=f"budget is {budget}; expected at least 1"):
        nodes_of(independent(3, 0.1), budget)


@given(
    densities=st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=7),
    budget=st.integers(1, 3000),
    seed=SEEDS,
)
def test_any_densities_and_budget_give_a_distribution(densities, budget, seed):
    nodes = nodes_of(FeatureDistribution(tuple(densities)), budget, seed)
    assert nodes.weights.sum() == pytest.approx(1, abs=1e-9)
    assert (nodes.weights >= 0).all()
    assert np.isfinite(nodes.points).all()
    assert ((nodes.points >= 0) & (nodes.points <= 1)).all()


# The expected loss against the exact one


@pytest.mark.parametrize("density", DENSITIES)
def test_the_loss_is_the_exact_one_at_every_density(density):
    rng = np.random.default_rng(0)
    nodes = nodes_of(independent(5, density), 20_000)
    assert nodes.is_deterministic
    for scale in (0.3, 0.7, 1.2):
        parameters = random_model(5, 2, rng, scale)
        exact = theory.relu_output_expected_loss(
            parameters["W"], parameters["b"], IMPORTANCES, density
        )
        assert loss_on("relu-output", parameters, nodes, IMPORTANCES) == pytest.approx(
            exact, rel=1e-3
        )


@pytest.mark.parametrize("density", DENSITIES)
def test_the_training_budget_is_within_a_few_percent(density):
    """512 nodes. What matters more: their error does not favour some models by much."""
    rng = np.random.default_rng(1)
    nodes = nodes_of(independent(5, density), 512, negligible=1e-6)
    errors = []
    for _ in range(6):
        parameters = random_model(5, 2, rng)
        exact = theory.relu_output_expected_loss(
            parameters["W"], parameters["b"], IMPORTANCES, density
        )
        errors.append(loss_on("relu-output", parameters, nodes, IMPORTANCES) / exact - 1)
    assert np.abs(errors).max() < 0.03


def test_more_nodes_are_closer():
    rng = np.random.default_rng(2)
    models = [random_model(5, 2, rng) for _ in range(6)]
    d = independent(5, 0.3)
    exact = np.array([exact_loss(model, d, IMPORTANCES) for model in models])
    errors = []
    for budget in (128, 2048, 32_768):
        nodes = nodes_of(d, budget)
        found = [loss_on("relu-output", model, nodes, IMPORTANCES) for model in models]
        errors.append(np.abs(np.array(found) / exact - 1).mean())
    assert errors[0] > 4 * errors[1] > 16 * errors[2]


@pytest.mark.parametrize("d", [PAIRS, APART, MIXED, SIGNED, OFFSET], ids=str)
def test_correlated_unequal_and_shifted_data(d):
    rng = np.random.default_rng(3)
    importances = rng.uniform(0.2, 2, d.n_features)
    nodes = nodes_of(d, 20_000)
    for _ in range(3):
        parameters = random_model(d.n_features, 2, rng)
        assert loss_on("relu-output", parameters, nodes, importances) == pytest.approx(
            exact_loss(parameters, d, importances), rel=2e-3
        )


def test_sampled_strata_are_unbiased():
    """Eight features on few nodes: most sets are sampled, and the mean is still exact."""
    d = FeatureDistribution(
        (0.4, 0.4, 0.4, 0.1, 0.2, 0.2, 0.5, 0.3), sets=((0, 2), (4, 5)), correlation=0.5
    )
    parameters = random_model(8, 3, np.random.default_rng(4))
    importances = 0.8 ** np.arange(8)
    found = []
    for seed in range(300):
        nodes = nodes_of(d, 60, seed)
        assert not nodes.is_deterministic
        found.append(loss_on("relu-output", parameters, nodes, importances))
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - exact_loss(parameters, d, importances)) < 4 * error


def test_sparse_data_needs_far_fewer_nodes_than_samples():
    """At density 0.01 most of 512 plain samples of 20 features are empty."""
    d = independent(20, 0.01)
    parameters = random_model(20, 5, np.random.default_rng(5), 0.5)
    found = [
        loss_on("relu-output", parameters, nodes_of(d, 512, seed), np.ones(20))
        for seed in range(40)
    ]
    _, error = sampled_loss("relu-output", parameters, d, np.ones(20), 512 * 40, 0)
    assert np.std(found) < 0.25 * error * math.sqrt(40)


# Against plain sampling


@pytest.mark.parametrize("name", ["relu-output", "relu-hidden", "absolute-value", "linear"])
@pytest.mark.parametrize("density", [1.0, 0.3, 0.05])
@pytest.mark.parametrize(("n", "m", "budget"), [(4, 6, 8192), (20, 6, 20_000)])
def test_every_family_agrees_with_sampling(name, density, n, m, budget):
    rng = np.random.default_rng([n, int(100 * density)])
    model = FAMILIES[name]
    shapes = model.parameter_shapes(n, m)
    parameters = {key: 0.5 * rng.standard_normal(shape) for key, shape in shapes.items()}
    d = independent(n, density, *model.value_range)
    importances = 0.9 ** np.arange(n)
    nodes = nodes_of(d, budget)
    assert nodes.is_deterministic == (n == 4 or density == 1.0)
    mean, error = sampled_loss(name, parameters, d, importances, 100_000, 7)
    found = loss_on(name, parameters, nodes, importances)
    # The nodes of 20 features have an error of their own, smaller than that of 20,000 samples.
    own = 0 if nodes.is_deterministic else error * math.sqrt(100_000 / budget)
    assert abs(found - mean) < 4 * math.hypot(error, own) + 2e-3 * mean


def test_correlated_signed_data_of_neurons_agrees_with_sampling():
    d = FeatureDistribution((0.3,) * 6, -1.0, 1.0, ((0, 1), (2, 3), (4, 5)), -1.0)
    rng = np.random.default_rng(8)
    parameters = {
        key: 0.5 * rng.standard_normal(shape)
        for key, shape in FAMILIES["absolute-value"].parameter_shapes(6, 4).items()
    }
    mean, error = sampled_loss("absolute-value", parameters, d, np.ones(6), 200_000, 1)
    found = loss_on("absolute-value", parameters, nodes_of(d, 16_384), np.ones(6))
    assert abs(found - mean) < 4 * error + 2e-3 * mean


# The linear family, from moments


@pytest.mark.parametrize("d", [*EXAMPLES.values()], ids=EXAMPLES)
def test_the_linear_loss_is_that_of_theory_and_of_the_nodes(d):
    rng = np.random.default_rng(9)
    importances = rng.uniform(0.2, 2, d.n_features)
    parameters = random_model(d.n_features, 2, rng)
    mean, second = d.mean(), d.second_moment()
    found = linear_expected_loss(parameters, mean, second, importances)
    expected = theory.linear_loss(parameters["W"], parameters["b"], importances, mean, second)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-15)
    on_nodes = loss_on("linear", parameters, nodes_of(d, 16_384), importances)
    assert on_nodes == pytest.approx(expected, rel=2e-3)


@given(seed=SEEDS, m=st.integers(1, 4))
def test_the_linear_loss_takes_a_batch_of_models_and_of_data(seed, m):
    rng = np.random.default_rng(seed)
    data = [independent(4, p) for p in rng.uniform(0, 1, 3)] + [PAIRS]
    W, b = rng.standard_normal((4, m, 4)), rng.standard_normal((4, 4))
    importances = rng.uniform(0, 2, (4, 4))
    mean = np.array([d.mean() for d in data])
    second = np.array([d.second_moment() for d in data])
    found = linear_expected_loss({"W": W, "b": b}, mean, second, importances)
    assert found.shape == (4,)
    for i in range(4):
        expected = theory.linear_loss(W[i], b[i], importances[i], mean[i], second[i])
        assert found[i] == pytest.approx(expected, rel=1e-9, abs=1e-12)


# Arrays of either kind, in batches


@given(seed=SEEDS, name=st.sampled_from(sorted(FAMILIES)), shared=st.booleans())
def test_the_loss_takes_batches_and_torch(seed, name, shared):
    rng = np.random.default_rng(seed)
    model, B, N, n, m = FAMILIES[name], 3, 7, 4, 2
    parameters = {
        key: rng.standard_normal((B, *shape)) for key, shape in model.parameter_shapes(n, m).items()
    }
    points = rng.standard_normal((N, n) if shared else (B, N, n))
    weights, importances = rng.random((B, N)), rng.random((B, n))
    losses = expected_loss(model, parameters, points, weights, importances)
    assert losses.shape == (B,)
    for i in range(B):
        x = points if shared else points[i]
        own = {key: values[i] for key, values in parameters.items()}
        error = model.forward(own, x) - model.target(x)
        by_hand = sum(
            weights[i, q] * importances[i, j] * error[q, j] ** 2 for q in range(N) for j in range(n)
        )
        assert losses[i] == pytest.approx(by_hand)
    tensors = {key: torch.tensor(values) for key, values in parameters.items()}
    of_torch = expected_loss(
        model, tensors, torch.tensor(points), torch.tensor(weights), torch.tensor(importances)
    )
    np.testing.assert_allclose(losses, of_torch.numpy(), atol=1e-12)
