"""What neurons do: an order to show them in.

Row k of a matrix (…, m, n) holds the weights of neuron k for each feature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superposition.geometry import DEAD_NEURON

IntArray = NDArray[np.int64]


def neuron_order(weights: ArrayLike, dead: float = DEAD_NEURON) -> IntArray:
    """The order in which neurons are shown: an index for each place, (…, m).

    By the feature of the largest |weight|, the first feature first; then those with a positive
    weight for it, and the larger weight first. Neurons whose largest |weight| is at most `dead`
    come last. Permuting neurons changes nothing that a model computes, so each model of a sweep
    can be shown in this order.

    Args:
        weights: (…, m, n).
    """
    W = np.asarray(weights, dtype=np.float64)
    if W.ndim < 2:
        raise ValueError(
            f"weights have shape {W.shape}; expected (…, m, n): m neurons by n features"
        )
    size = np.abs(W)
    most = size.argmax(-1)
    largest = np.take_along_axis(W, most[..., None], -1)[..., 0]
    # The last key is the first to decide.
    return np.lexsort((-np.abs(largest), largest < 0, most, np.abs(largest) <= dead), axis=-1)
