"""Which features share neurons, what a neuron's top inputs reveal, what a rare feature costs.

A neuron k is said to *serve* feature i when |w_ki| is more than a share of the largest |weight|
of that neuron. The number is a convention; the overlap of two features needs none.

`W` is the matrix (…, m, n) whose row k holds the weights of neuron k, as in
`superposition.geometry`. The measures are this project's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superposition.families import Family
from superposition.geometry import DEAD_NEURON, WEIGHT_SHARE, cosines

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def serves(W: ArrayLike, share: float = WEIGHT_SHARE, dead: float = DEAD_NEURON) -> BoolArray:
    """Whether each neuron serves each feature, (…, m, n).

    It does if |w_ki| exceeds `share` times the neuron's largest |weight|, and that largest is
    more than `dead`. `geometry.features_per_neuron` counts these.
    """
    size = np.abs(np.asarray(W, dtype=np.float64))
    largest = size.max(-1, keepdims=True, initial=0.0)
    return (size > share * largest) & (largest > dead)


@dataclass(frozen=True)
class Moved:
    """Which features move one neuron; indices from 0, rising.

    Attributes:
        up: those that excite it.
        down: those that silence it, partly or entirely.
    """

    up: tuple[int, ...]
    down: tuple[int, ...]


def moved_by(weights: ArrayLike, share: float = WEIGHT_SHARE, dead: float = DEAD_NEURON) -> Moved:
    """Which features move a neuron of weights (n,), each way.

    Weights count from `share` of the largest positive one, not of the largest in size: a neuron
    that one feature silences with a weight of −40 is still excited by others with weights of 1.
    Neither way for a neuron without a positive weight above `dead`, which is never active.
    """
    w = np.asarray(weights, dtype=np.float64)
    largest = float(w.max(initial=0.0))
    if largest <= dead:
        return Moved((), ())
    up, down = np.flatnonzero(w > share * largest), np.flatnonzero(w < -share * largest)
    return Moved(tuple(int(i) for i in up), tuple(int(i) for i in down))


def overlap(W: ArrayLike) -> FloatArray:
    """How far each pair of features uses the same neurons, (…, n, n), between 0 and 1.

    Σ_k |w_ki| |w_kj| / (‖W_i‖ ‖W_j‖), the cosine of the directions without their signs: 0 if no
    neuron has a weight for both, 1 if both spread over the neurons in the same proportions. The
    sign is left out, because a neuron that one feature excites and the other silences works for
    both. The diagonal is 1; rows and columns of features of zero norm are 0.

    It speaks of neurons, so that it changes with a rotation of hidden space. For a model without
    neurons it says how two directions lie to the axes, which is chance.
    """
    return cosines(np.abs(np.asarray(W, dtype=np.float64)))


def shared_neurons(
    W: ArrayLike, share: float = WEIGHT_SHARE, dead: float = DEAD_NEURON
) -> IntArray:
    """How many neurons serve both of each pair of features, (…, n, n).

    The diagonal is the number of neurons that serve a feature.
    """
    served = serves(W, share, dead).astype(np.int64)
    return np.asarray(served.mT @ served)


def partner_cosines(W: ArrayLike, pairs: Sequence[tuple[int, int]]) -> FloatArray:
    """Mean cosine between the directions of the given pairs of features, (…,).

    Positive where one neuron carries both, negative where one feature excites the neurons that
    the other silences.

    Raises:
        ValueError: without pairs.
    """
    one, other = _columns(pairs)
    return np.asarray(cosines(W)[..., one, other].mean(-1))


def partners_overlap(
    W: ArrayLike, pairs: Sequence[tuple[int, int]], threshold: float = 0.5
) -> FloatArray:
    """Mean `overlap` over the given pairs of features, (…,).

    A pair counts as 0 where one of the two is not represented, its norm no more than `threshold`:
    what is not stored shares nothing.

    Raises:
        ValueError: without pairs.
    """
    one, other = _columns(pairs)
    weights = np.asarray(W, dtype=np.float64)
    kept = np.linalg.norm(weights, axis=-2) > threshold
    both = overlap(weights)[..., one, other] * kept[..., one] * kept[..., other]
    return np.asarray(both.mean(-1))


def _columns(pairs: Sequence[tuple[int, int]]) -> tuple[IntArray, IntArray]:
    """The first and the second features of the pairs."""
    if not len(pairs):
        raise ValueError("there are no pairs of features; expected at least one")
    one, other = np.asarray(pairs, dtype=np.int64).T
    return one, other


# What a neuron's inputs reveal


@dataclass(frozen=True)
class TopInputs:
    """The inputs on which one neuron is most active, the strongest first.

    Attributes:
        inputs: (count, n).
        activations: (count,), falling.
    """

    inputs: FloatArray
    activations: FloatArray

    @property
    def on(self) -> FloatArray:
        """The share of these inputs that have each feature on, (n,)."""
        return np.asarray((self.inputs != 0).mean(0))


def top_inputs(
    family: Family,
    parameters: Mapping[str, NDArray[Any]],
    inputs: ArrayLike,
    neuron: int,
    count: int,
) -> TopInputs:
    """Those of the given inputs that activate one neuron of one model most.

    Args:
        inputs: (N, n), drawn from the data of the model.
        neuron: counted from 0.
        count: at most so many; inputs that leave the neuron at 0 are never among them.

    Raises:
        ValueError: for a family without neurons.
        IndexError: if there is no such neuron.
    """
    if not family.has_neurons:
        raise ValueError(f"{family.name} has no neurons; expected a family that has")
    x = np.asarray(inputs, dtype=np.float64)
    exact = {name: np.asarray(values, dtype=np.float64) for name, values in parameters.items()}
    h = family.hidden(exact, x)
    if not 0 <= neuron < h.shape[-1]:
        raise IndexError(f"there is no neuron {neuron}; expected 0 to {h.shape[-1] - 1}")
    activation = h[:, neuron]
    order = np.argsort(-activation, kind="stable")[:count]
    order = order[activation[order] > 0]
    return TopInputs(x[order], activation[order])


# What one more feature costs the others


def cost_to_others(others_loss: ArrayLike, without: ArrayLike, variance: ArrayLike) -> FloatArray:
    """What the others lose by one more feature, in units of one of them forgotten.

    (L_others − L_others without it) / Var(x). Forgetting a feature, giving back its mean
    whatever the input, loses its variance.

    Args:
        others_loss: the loss of the other features in the model that has to hold one more.
        without: their loss in the model that has not.
        variance: Var(x_i) of one of the others.
    """
    difference = np.asarray(others_loss, dtype=np.float64) - np.asarray(without, dtype=np.float64)
    return np.asarray(difference / np.asarray(variance, dtype=np.float64))


def gain_of_adding(loss: ArrayLike, without: ArrayLike, variance: ArrayLike) -> FloatArray:
    """What holding one more feature saves, as a share of what leaving it out loses.

    Leaving it out costs its variance on top of the loss `without` it. 1 if it is held for
    nothing, 0 if holding it is no better than leaving it out.

    Args:
        loss: of the model that has to hold one more feature, all features together.
        without: of the model that has not.
        variance: Var(x) of the feature that was added.
    """
    left_out = np.asarray(variance, dtype=np.float64)
    held = np.asarray(loss, dtype=np.float64) - np.asarray(without, dtype=np.float64)
    return np.asarray(1 - held / left_out)


def antipodal_cost(popular: ArrayLike, rare: ArrayLike) -> FloatArray:
    """`cost_to_others` in closed form, where the new feature lies opposite to a popular one.

    Two features at norm 1 in opposite directions and without bias are both read exactly unless
    both are on, with probability p q; then each is read too small by min(x_i, x_j), whose square
    is 1/6 on average for values uniform on [0, 1]. So the cost is (p q / 6) / Var(x) with
    Var(x) = p/3 − p²/4: in proportion to the density q of the new feature.

    Args:
        popular: density p of the popular feature, in (0, 1].
        rare: density q of the new one.
    """
    p, q = np.asarray(popular, dtype=np.float64), np.asarray(rare, dtype=np.float64)
    return np.asarray((p * q / 6) / (p / 3 - p**2 / 4))
