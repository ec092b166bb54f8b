from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures.sweeps import aligned_sweep
from superposition.geometry import haar_rotations


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 6), st.integers(1, 5))
def test_turning_changes_no_product(seed: int, m: int, n: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(count, m, n))
    paths = rng.normal(size=(count, 4, m, n))
    start = int(rng.integers(count))
    turned, turned_paths = aligned_sweep(W, start, paths, rng.uniform(0.1, 1, n))
    assert turned_paths is not None
    np.testing.assert_allclose(turned.mT @ turned, W.mT @ W, atol=1e-9)
    np.testing.assert_allclose(turned_paths.mT @ turned_paths, paths.mT @ paths, atol=1e-9)


def test_a_path_turns_with_its_frame() -> None:
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, 2, 5))
    paths = np.stack([0.5 * W, W], axis=1)
    turned, turned_paths = aligned_sweep(W, 1, paths)
    assert turned_paths is not None
    np.testing.assert_allclose(turned_paths[:, 1], turned, atol=1e-12)
    np.testing.assert_allclose(turned_paths[:, 0], 0.5 * turned, atol=1e-12)


def test_rotated_copies_come_to_lie_on_each_other() -> None:
    rng = np.random.default_rng(1)
    W = haar_rotations(6, 3, rng) @ rng.normal(size=(3, 7))
    turned, none = aligned_sweep(W, 2)
    assert none is None
    np.testing.assert_allclose(turned, np.broadcast_to(turned[2], turned.shape), atol=1e-9)


def test_the_start_stands_upright() -> None:
    angles = np.radians([200.0, 290.0, 20.0])
    W = (np.array([np.cos(angles), np.sin(angles)]) * [1.0, 0.9, 0.2])[None]
    (upright,), _ = aligned_sweep(W, 0)
    np.testing.assert_allclose(upright[:, 0], [1.0, 0.0], atol=1e-12)
    assert upright[1, 1] == pytest.approx(0.9)


def test_weights_say_which_features_stay() -> None:
    # Features 2 and 3 change places: no rotation keeps all of them.
    corners = np.radians([0.0, 120.0, 240.0])
    ring = np.array([np.cos(corners), np.sin(corners)])
    W = np.stack([ring, haar_rotations(1, 2, np.random.default_rng(2))[0] @ ring[:, [1, 0, 2]]])
    for kept in range(3):
        turned, _ = aligned_sweep(W, 0, weights=np.where(np.arange(3) == kept, 1.0, 1e-3))
        np.testing.assert_allclose(turned[1, :, kept], turned[0, :, kept], atol=0.01)


def test_silent_features_do_no_harm() -> None:
    W = np.zeros((2, 2, 3))
    turned, _ = aligned_sweep(W, 0)
    np.testing.assert_array_equal(turned, W)
