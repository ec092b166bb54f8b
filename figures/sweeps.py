"""A sweep over one quantity as frames that move, rather than jump, from one to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from superposition.geometry import align_to

Floats = NDArray[np.floating[Any]]


def aligned_sweep(
    directions: Floats,
    start: int,
    paths: Floats | None = None,
    weights: Floats | None = None,
) -> tuple[Floats, Floats | None]:
    """Rotate or reflect the hidden space of each frame as close to one of them as it can be.

    That one is turned so that its longest direction points along the first axis and the next
    longest has a positive second coordinate. Rotations and reflections of hidden space change
    nothing that a bottleneck model computes.

    Args:
        directions: (F, m, n), W of each frame.
        start: index of the frame that the others are aligned to.
        paths: (F, T, m, n) or None, W of each frame while it trained; turned with its frame.
        weights: (n,) or None, how much it matters that each feature stays where it is. Frames
            may arrange their features in different orders; then some must move, and these
            weights say which.

    Returns the turned directions and paths, in float64.
    """
    W = np.asarray(directions, dtype=np.float64)
    pull = np.ones(W.shape[-1]) if weights is None else np.asarray(weights, dtype=np.float64)
    reference = _upright(W[start])
    turned = np.empty_like(W)
    turned_paths = None if paths is None else np.empty(np.shape(paths))
    for index in range(len(W)):
        path = W[index, None, :, :0] if paths is None else np.asarray(paths[index])
        turned[index], turned_path = _turned(W[index], reference, path, pull)
        if turned_paths is not None:
            turned_paths[index] = turned_path
    return turned, turned_paths


def _upright(W: Floats) -> Floats:
    """`W` itself, turned by the convention of `aligned_sweep`."""
    longest = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")
    # Gram and Schmidt on the columns in that order: R = Qᵀ W is what QR returns.
    q, r = np.linalg.qr(W[:, longest], mode="complete")
    signs = np.ones(len(W))
    signs[: min(W.shape)] = np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.asarray(signs[:, None] * (q.T @ W))


def _turned(W: Floats, reference: Floats, path: Floats, pull: Floats) -> tuple[Floats, Floats]:
    """`W` aligned to `reference` by the columns that `pull`, and `path` (T, m, k) with it."""
    steps, m, k = path.shape
    n = W.shape[-1]
    # Columns matched with zeros do not pull at the rotation, but turn with it.
    along = np.asarray(path, dtype=np.float64).transpose(1, 0, 2).reshape(m, steps * k)
    together = np.concatenate([W * pull, W, along], axis=1)
    target = np.zeros_like(together)
    target[:, :n] = reference * pull
    aligned = align_to(together, target)[:, n:]
    return aligned[:, :n], aligned[:, n:].reshape(m, steps, k).transpose(1, 0, 2)
