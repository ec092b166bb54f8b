"""Sharing of neurons, top inputs, and the cost of a rare feature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from superposition.distributions import FeatureDistribution, independent
from superposition.expectation import expectation_nodes, expected_loss
from superposition.families import FAMILIES
from superposition.geometry import features_per_neuron, haar_rotations
from superposition.sharing import (
    antipodal_cost,
    cost_to_others,
    gain_of_adding,
    moved_by,
    overlap,
    partner_cosines,
    partners_overlap,
    serves,
    shared_neurons,
    top_inputs,
)
from superposition.theory import sparse_variance

WEIGHTS = arrays(
    np.float64, (3, 4), elements=st.floats(-5, 5).map(lambda w: 0.0 if abs(w) < 1e-3 else w)
)


@given(WEIGHTS, st.sampled_from([0.1, 0.2, 0.5]))
def test_serving_is_what_features_per_neuron_counts(W: np.ndarray, share: float) -> None:
    served = serves(W, share)
    assert (served.sum(-1) == features_per_neuron(W, share)).all()
    shared = shared_neurons(W, share)
    for i in range(4):
        for j in range(4):
            assert shared[i, j] == sum(served[k, i] and served[k, j] for k in range(3))


@given(WEIGHTS)
def test_overlap_is_the_sum_it_says_it_is(W: np.ndarray) -> None:
    found = overlap(W)
    assert ((found >= 0) & (found <= 1)).all()
    for i in range(4):
        for j in range(4):
            norms = np.linalg.norm(W[:, i]) * np.linalg.norm(W[:, j])
            expected = np.sum(np.abs(W[:, i]) * np.abs(W[:, j])) / norms if norms else 0.0
            assert found[i, j] == pytest.approx(expected, abs=1e-9)


@given(WEIGHTS, st.permutations(range(3)), st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
def test_neither_the_order_nor_the_sign_of_neurons_matters(
    W: np.ndarray, order: list[int], signs: tuple[float, ...]
) -> None:
    turned = np.asarray(signs)[:, None] * W[order]
    np.testing.assert_allclose(overlap(turned), overlap(W), atol=1e-12)
    np.testing.assert_array_equal(shared_neurons(turned), shared_neurons(W))


def test_overlap_depends_on_the_axes() -> None:
    W = np.eye(2)
    assert overlap(W)[0, 1] == 0
    (turn,) = haar_rotations(1, 2, np.random.default_rng(0))
    assert overlap(turn @ W)[0, 1] > 0.1


def test_partners_that_are_not_stored_share_nothing() -> None:
    # Features 0 and 1 on one neuron with opposite signs; 2 and 3 likewise, but 3 is weak.
    W = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.3]])
    pairs = [(0, 1), (2, 3)]
    assert partners_overlap(W, pairs) == pytest.approx(0.5)
    assert partners_overlap(W, pairs, threshold=0.2) == pytest.approx(1.0)
    assert partner_cosines(W, pairs) == pytest.approx(0.0)
    assert partners_overlap(np.stack([W, 0 * W]), pairs) == pytest.approx([0.5, 0.0])
    with pytest.raises(ValueError, match="no pairs"):
        partners_overlap(W, [])


def test_a_silenced_neuron_is_still_excited_by_others() -> None:
    moved = moved_by([1.0, 0.3, 0.1, -0.1, -0.3, -40.0])
    assert moved.up == (0, 1)
    assert moved.down == (4, 5)
    assert moved_by([0.01, -3.0]).down == ()
    assert moved_by([1.0, 0.3], share=0.5).up == (0,)


# Top inputs


def test_top_inputs_are_the_strongest_and_active() -> None:
    rng = np.random.default_rng(3)
    family = FAMILIES["relu-hidden"]
    parameters = {"W": rng.normal(size=(3, 5)), "b": np.zeros(5)}
    x = independent(5, 0.3).sample(500, rng)
    top = top_inputs(family, parameters, x, neuron=1, count=8)
    activation = np.maximum(x @ parameters["W"][1], 0)
    np.testing.assert_allclose(top.activations, np.sort(activation)[::-1][:8])
    np.testing.assert_allclose(top.inputs @ parameters["W"][1], top.activations)
    assert top.on == pytest.approx((top.inputs > 0).mean(0))


def test_a_feature_that_silences_is_never_on_where_it_is_strong() -> None:
    family = FAMILIES["relu-hidden"]
    parameters = {"W": np.array([[1.0, 1.0, -50.0]]), "b": np.zeros(3)}
    x = independent(3, 0.5).sample(2000, np.random.default_rng(0))
    top = top_inputs(family, parameters, x, neuron=0, count=8)
    assert top.on[2] == 0
    assert top.on[:2].min() == 1


def test_inputs_that_leave_the_neuron_off_are_not_shown() -> None:
    family = FAMILIES["relu-hidden"]
    parameters = {"W": np.array([[1.0, 0.0]]), "b": np.zeros(2)}
    x = np.array([[0.0, 1.0], [0.5, 0.0], [0.0, 0.0]])
    assert top_inputs(family, parameters, x, 0, 8).inputs.tolist() == [[0.5, 0.0]]
    with pytest.raises(IndexError, match="no neuron 1"):
        top_inputs(family, parameters, x, 1, 8)
    with pytest.raises(ValueError, match="relu-output has no neurons"):
        top_inputs(FAMILIES["relu-output"], parameters, x, 0, 8)


# A rare feature


@pytest.mark.parametrize("p", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("ratio", [1.0, 0.1, 0.001])
def test_the_closed_form_is_the_expected_loss_of_an_antipodal_pair(p: float, ratio: float) -> None:
    q = p * ratio
    pair = {"W": np.array([[1.0, -1.0]]), "b": np.zeros(2)}
    nodes = expectation_nodes(
        FeatureDistribution((p, q)), budget=20_000, rng=np.random.default_rng(0)
    )
    each = [
        float(expected_loss(FAMILIES["relu-output"], pair, nodes.points, nodes.weights, weights))
        for weights in (np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    ]
    variance = sparse_variance(np.array([p, q]))
    assert cost_to_others(each[0], 0.0, variance[0]) == pytest.approx(
        antipodal_cost(p, q), rel=5e-3
    )
    # Both lose the same, so that what is gained is nearly 1 − p.
    assert gain_of_adding(sum(each), 0.0, variance[1]) == pytest.approx(
        1 - 2 * (p * q / 6) / variance[1], rel=5e-3, abs=1e-3
    )


def test_leaving_a_feature_out_gains_nothing() -> None:
    variance = sparse_variance(np.array(0.02))
    assert gain_of_adding(0.3 + variance, 0.3, variance) == pytest.approx(0)
    assert gain_of_adding(0.3, 0.3, variance) == pytest.approx(1)
    assert cost_to_others(0.3, 0.3, 0.1) == 0
