"""Neurons: order, functions, effects and roles, against brute force and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superposition.distributions import FeatureDistribution, independent
from superposition.expectation import expectation_nodes
from superposition.families import ABSOLUTE_VALUE, RELU_HIDDEN, RELU_OUTPUT
from superposition.neurons import (
    EFFECT,
    ONE,
    ONE_INHIBITS,
    ONLY_INHIBITS,
    ROLES,
    SEVERAL,
    UNUSED,
    explained,
    feature_losses,
    for_showing,
    handled,
    live_outputs,
    neuron_effects,
    neuron_order,
    neuron_roles,
    outputs_alone,
    outputs_among_others,
    pair_loss,
    pair_model,
    role_counts,
    shares_of_weight,
    target_variance,
    without_neuron,
)

SEEDS = st.integers(0, 2**32 - 1)


def random_model(n: int = 3, m: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "W_in": rng.normal(size=(m, n)),
        "W_out": rng.normal(size=(n, m)),
        "b": rng.normal(size=n) * 0.2,
    }


def by_hand(model: dict[str, np.ndarray], x: np.ndarray, without: int | None = None) -> np.ndarray:
    """The outputs for one input, neuron by neuron."""
    z = np.array(model["b"], dtype=float)
    for k in range(len(model["W_in"])):
        if k != without:
            z += model["W_out"][:, k] * max(0.0, float(model["W_in"][k] @ x))
    return np.maximum(z, 0)


# Order and scale


def test_neurons_are_ordered_by_feature_then_sign_then_size_and_unused_ones_last() -> None:
    W = np.array(
        [[0.0, 0.01], [0.0, -2.0], [-1.0, 0.5], [0.3, 0.1], [0.9, 0.0], [0.1, 1.0]],
    )
    assert neuron_order(W).tolist() == [4, 3, 2, 5, 1, 0]


def test_the_order_does_not_depend_on_the_order_given() -> None:
    rng = np.random.default_rng(0)
    W = rng.normal(size=(7, 9, 4))
    ordered = np.take_along_axis(W, neuron_order(W)[..., None], 1)
    shuffled = W[:, rng.permutation(9)]
    again = np.take_along_axis(shuffled, neuron_order(shuffled)[..., None], 1)
    np.testing.assert_array_equal(ordered, again)


def test_a_single_row_is_not_a_layer() -> None:
    with pytest.raises(ValueError, match=r"expected \(…, m, n\)"):
        neuron_order(np.zeros(3))


@settings(max_examples=25)
@given(SEEDS)
def test_showing_a_model_changes_nothing_it_computes(seed: int) -> None:
    model = random_model(seed=seed)
    shown = for_showing(ABSOLUTE_VALUE, model)
    x = np.random.default_rng(seed).uniform(-1, 1, (50, 3))
    np.testing.assert_allclose(
        ABSOLUTE_VALUE.forward(shown, x), ABSOLUTE_VALUE.forward(model, x), atol=1e-9
    )
    live = live_outputs(ABSOLUTE_VALUE, model)
    written = np.linalg.norm(shown["W_live"], axis=1)
    read = np.linalg.norm(shown["W_in"], axis=1)
    np.testing.assert_allclose(read[written > 0], written[written > 0])
    assert not shown["W_live"][:, ~live].any()
    np.testing.assert_array_equal(neuron_order(shown["W_in"]), np.arange(4))


def test_the_scale_of_a_neuron_is_its_own() -> None:
    model = random_model()
    scaled = {
        "W_in": model["W_in"] * np.array([[0.1], [3], [7], [100]]),
        "W_out": model["W_out"] / np.array([0.1, 3, 7, 100]),
        "b": model["b"],
    }
    one, other = (for_showing(ABSOLUTE_VALUE, each) for each in (model, scaled))
    for name in one:
        np.testing.assert_allclose(one[name], other[name])


def test_weights_into_an_output_that_is_never_on_are_not_shown() -> None:
    model = pair_model(2, 4, 0.1)
    model["W_out"][1] = -50.0
    assert live_outputs(ABSOLUTE_VALUE, model).tolist() == [True, False]
    shown = for_showing(ABSOLUTE_VALUE, model)
    np.testing.assert_allclose(shown["W_live"], np.array([[1, 0], [1, 0], [0, 0], [0, 0]]))
    np.testing.assert_allclose(np.abs(shown["W_in"]), [[1, 0], [1, 0], [0, 1], [0, 1]])


def test_shares_add_to_one_and_keep_their_signs() -> None:
    W = np.array([[2.0, -6.0], [0.0, 0.0]])
    np.testing.assert_allclose(shares_of_weight(W), np.array([[0.25, -0.75], [0, 0]]))


@settings(max_examples=25)
@given(SEEDS)
def test_a_neuron_taken_away_contributes_nothing(seed: int) -> None:
    model = random_model(seed=seed)
    x = np.random.default_rng(seed).uniform(-1, 1, (5, 3))
    for k in range(4):
        expected = np.array([by_hand(model, row, without=k) for row in x])
        changed = without_neuron(model, k)
        np.testing.assert_allclose(ABSOLUTE_VALUE.forward(changed, x), expected, 1e-7, 1e-12)
    with pytest.raises(IndexError, match="expected 0 to 3"):
        without_neuron(model, 4)
    with pytest.raises(IndexError):
        without_neuron(model, -1)


# Functions


@settings(max_examples=25)
@given(SEEDS)
def test_outputs_alone_are_those_of_one_feature(seed: int) -> None:
    model = random_model(seed=seed)
    values = np.array([-1.0, 0.0, 0.3])
    alone = outputs_alone(ABSOLUTE_VALUE, model, values)
    assert alone.shape == (3, 3, 3)
    for i in range(3):
        for v, value in enumerate(values):
            x = np.zeros(3)
            x[i] = value
            np.testing.assert_allclose(alone[i, v], by_hand(model, x), atol=1e-12)


def test_among_others_is_the_distribution_of_an_output_given_its_input() -> None:
    model, data = random_model(), independent(3, 0.4, -1, 1)
    rng = np.random.default_rng(5)
    values = np.array([-0.5, 1.0])
    found = outputs_among_others(
        ABSOLUTE_VALUE, model, data, values, features=[2], draws=40_000, rng=rng
    )
    x = data.sample(40_000, np.random.default_rng(6))
    for v, value in enumerate(values):
        x[:, 2] = value
        output = ABSOLUTE_VALUE.forward(model, x)[:, 2]
        assert found.mean[0, v] == pytest.approx(output.mean(), abs=0.02)
        assert found.low[0, v] == pytest.approx(np.quantile(output, 0.1), abs=0.03)
        assert found.high[0, v] == pytest.approx(np.quantile(output, 0.9), abs=0.03)


def test_without_other_features_among_others_is_alone() -> None:
    model, values = random_model(), np.linspace(-1, 1, 5)
    off = FeatureDistribution((0.0, 0.0, 0.0), -1, 1)
    found = outputs_among_others(
        ABSOLUTE_VALUE, model, off, values, draws=3, rng=np.random.default_rng(0)
    )
    alone = outputs_alone(ABSOLUTE_VALUE, model, values)
    for part in (found.mean, found.low, found.high):
        np.testing.assert_allclose(part, alone[np.arange(3), :, np.arange(3)])


def test_features_that_depend_on_each_other_have_no_others_to_draw() -> None:
    data = FeatureDistribution((0.1, 0.1), -1, 1, sets=((0, 1),), correlation=1.0)
    with pytest.raises(ValueError, match="independent"):
        outputs_among_others(
            ABSOLUTE_VALUE, random_model(2), data, [0.0], draws=2, rng=np.random.default_rng(0)
        )


# What is handled


def test_feature_losses_agree_with_plain_sampling() -> None:
    model, data = random_model(), independent(3, 0.3, -1, 1)
    nodes = expectation_nodes(data, budget=20_000, rng=np.random.default_rng(0))
    x = data.sample(400_000, np.random.default_rng(1))
    error = (ABSOLUTE_VALUE.forward(model, x) - np.abs(x)) ** 2
    standard_error = error.std(0) / np.sqrt(len(x))
    losses = feature_losses(ABSOLUTE_VALUE, model, nodes)
    assert (np.abs(losses - error.mean(0)) < 5 * standard_error + 1e-4).all()


@pytest.mark.parametrize("density", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("family", [ABSOLUTE_VALUE, RELU_OUTPUT])
def test_the_variance_of_a_target_is_its_closed_form(family, density: float) -> None:
    low, high = family.value_range
    found = target_variance(family, independent(4, density, low, high))
    # Both |x| on [−1, 1] and x on [0, 1] are uniform on [0, 1] when on.
    np.testing.assert_allclose(found, density / 3 - density**2 / 4)


def test_a_perfect_output_explains_all_and_the_best_constant_nothing() -> None:
    data = independent(3, 0.2, -1, 1)
    nodes = expectation_nodes(data, budget=2000, rng=np.random.default_rng(0))
    shares = explained(ABSOLUTE_VALUE, pair_model(3, 5, 0.2), data, nodes)
    np.testing.assert_allclose(shares, [1, 1, 0], atol=1e-4)
    assert handled(shares).tolist() == [True, True, False]


def test_half_a_v_explains_a_half_of_sparse_data_and_is_not_handled() -> None:
    data = independent(1, 0.001, -1, 1)
    nodes = expectation_nodes(data, budget=2000, rng=np.random.default_rng(0))
    shares = explained(ABSOLUTE_VALUE, without_neuron(pair_model(1, 2, 0.001), 1), data, nodes)
    assert shares[0] == pytest.approx(0.5, abs=0.001)
    assert not handled(shares)[0]


def test_a_feature_that_is_never_on_explains_nothing() -> None:
    data = FeatureDistribution((0.5, 0.0), -1, 1)
    nodes = expectation_nodes(data, budget=200, rng=np.random.default_rng(0))
    shares = explained(ABSOLUTE_VALUE, pair_model(2, 4, 0.5), data, nodes)
    np.testing.assert_allclose(shares, [1, 0], atol=1e-12)


# The closed form


@pytest.mark.parametrize("density", [1.0, 0.3, 0.01])
@pytest.mark.parametrize(("n", "m"), [(3, 6), (6, 10), (4, 3), (2, 9)])
def test_pairs_lose_what_the_closed_form_says(n: int, m: int, density: float) -> None:
    importances = 0.7 ** np.arange(n)
    data = independent(n, density, -1, 1)
    nodes = expectation_nodes(data, budget=4000, rng=np.random.default_rng(0))
    model = pair_model(n, m, density)
    loss = float(feature_losses(ABSOLUTE_VALUE, model, nodes) @ importances)
    assert loss == pytest.approx(pair_loss(importances, m, density), rel=1e-4, abs=1e-12)
    x = data.sample(1000, np.random.default_rng(0))
    kept = min(m // 2, n)
    outputs = ABSOLUTE_VALUE.forward(model, x)
    np.testing.assert_array_equal(outputs[:, :kept], np.abs(x)[:, :kept])


# Effects and roles


@settings(max_examples=25)
@given(SEEDS)
def test_effects_are_what_is_lost_without_the_neuron(seed: int) -> None:
    model = random_model(seed=seed)
    effects = neuron_effects(ABSOLUTE_VALUE, model)
    for k in range(4):
        for j in range(3):
            for s, value in enumerate((-1.0, 1.0)):
                x = np.zeros(3)
                x[j] = value
                lost = by_hand(model, x) - by_hand(model, x, without=k)
                np.testing.assert_allclose(effects[k, j, s], lost, atol=1e-12)


@settings(max_examples=25)
@given(SEEDS)
def test_no_neuron_of_this_family_gives_both_halves_of_a_v(seed: int) -> None:
    roles = neuron_roles(neuron_effects(ABSOLUTE_VALUE, random_model(seed=seed)))
    assert (roles.sides.sum(-1) <= 1).all()


def test_effects_of_a_family_with_tied_weights() -> None:
    rng = np.random.default_rng(0)
    model = {"W": rng.normal(size=(2, 3)), "b": np.zeros(3)}
    effects = neuron_effects(RELU_HIDDEN, model)
    untied = {"W_in": model["W"], "W_out": model["W"].T, "b": model["b"]}
    np.testing.assert_allclose(effects, neuron_effects(ABSOLUTE_VALUE, untied))


def test_a_family_without_neurons_has_no_effects() -> None:
    with pytest.raises(ValueError, match="has no neurons"):
        neuron_effects(RELU_OUTPUT, {"W": np.eye(2), "b": np.zeros(2)})


def test_pairs_are_half_a_v_each() -> None:
    roles = neuron_roles(neuron_effects(ABSOLUTE_VALUE, pair_model(3, 5, 0.1)))
    assert roles.half_a_v.tolist() == [True] * 4 + [False]
    assert roles.serves.argmax(-1)[:4].tolist() == [0, 0, 1, 1]
    assert role_counts(roles) == {**dict.fromkeys(ROLES, 0), ONE: 4, UNUSED: 1}


def asymmetric() -> dict[str, np.ndarray]:
    """Neuron 1 reads a by 2 and b by 1/2, and writes 1/2 and 2; neuron 2 takes a off output b."""
    return {
        "W_in": np.array([[2.0, 0.5], [1.0, 0.0], [0.0, 0.0]]),
        "W_out": np.array([[0.5, 0.0, 0.0], [2.0, -4.0, 0.0]]),
        "b": np.zeros(2),
    }


def test_the_asymmetric_motif_is_one_shared_neuron_and_one_that_inhibits() -> None:
    roles = neuron_roles(neuron_effects(ABSOLUTE_VALUE, asymmetric()))
    assert roles.shared.tolist() == [True, False, False]
    assert roles.inhibitory.tolist() == [False, True, False]
    assert roles.inhibits.tolist() == [[False, False], [False, True], [False, False]]
    assert list(roles.kinds) == [SEVERAL, ONLY_INHIBITS, UNUSED]
    assert not roles.half_a_v.any()
    # It also raises its own output, once it writes there.
    both = asymmetric()
    both["W_out"][0, 1] = 0.5
    kinds = neuron_roles(neuron_effects(ABSOLUTE_VALUE, both)).kinds
    assert kinds[1] == ONE_INHIBITS


def test_pushing_down_what_is_zero_anyway_is_no_inhibition() -> None:
    model = asymmetric()
    model["W_out"][1, 0] = 0.0
    roles = neuron_roles(neuron_effects(ABSOLUTE_VALUE, model))
    assert not roles.inhibitory.any()


def test_an_effect_below_the_cut_is_no_role() -> None:
    model = pair_model(1, 2, 0.1)
    model["W_out"] *= 0.9 * EFFECT
    assert list(neuron_roles(neuron_effects(ABSOLUTE_VALUE, model)).kinds) == [UNUSED, UNUSED]
