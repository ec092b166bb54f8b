"""Neurons: the order they are shown in."""

from __future__ import annotations

import numpy as np
import pytest

from superposition.neurons import neuron_order


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
