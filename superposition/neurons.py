"""What neurons do: which features they serve, and the function each feature really gets.

A layer of neurons that computes is judged by what comes out. Three views of one model:

- *Alone*: one feature takes every value of its range while all others are 0.
- *Among others*: the others are drawn from the data; the output is then a distribution.
- *Without a neuron*: what an output loses or gains when one neuron is taken away. Every role of
  a neuron is defined by that. Weights alone will not do: the weights into and out of a neuron
  can trade scale freely, and weights into an output that never leaves 0 change nothing.

Parameters are those of one model, as in `superposition.families`. Row k of a matrix (…, m, n)
holds the weights of neuron k for each feature.

Source: "Toy Models of Superposition" (Elhage et al., 2022), section "Computation in
Superposition". The measures are this project's.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superposition.distributions import FeatureDistribution
from superposition.expectation import Nodes
from superposition.families import Family
from superposition.geometry import DEAD_NEURON

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Parameters = Mapping[str, NDArray[Any]]

HANDLED = 0.75
"""A feature is handled when its output explains at least this share of its target's variance.

One neuron alone gives half of |x|, right for one sign and 0 for the other: with sparse data that
explains one half. The cut lies midway between that half and the whole.
"""

EFFECT = 0.2
"""An effect of a neuron counts from this size on, where the target at full input is 1."""

_AT_ONCE = 4096


# Showing neurons: their order, their scale, and the model without one of them


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


def for_showing(family: Family, parameters: Parameters) -> dict[str, FloatArray]:
    """The same `absolute-value` model with its neurons in order and its weights comparable.

    Without a bias in the hidden layer, ReLU(c z) = c ReLU(z) for c > 0: a neuron's input weights
    times c and its output weights divided by c compute the same. Here c is such that both have
    one norm, output weights counted into live outputs alone (see `live_outputs`). The order is
    `neuron_order` of the input weights. What the model computes is unchanged.

    Returns:
        `W_in` (m, n), `W_out` (n, m), `b` (n,), and `W_live` (m, n): row k holds the weights of
        neuron k into each live output, 0 for the others.
    """
    exact = _exact(parameters)
    live = live_outputs(family, exact)
    read = np.linalg.norm(exact["W_in"], axis=-1)
    written = np.linalg.norm(exact["W_out"] * live[:, None], axis=0)
    used = (read > 0) & (written > 0)
    scale = np.sqrt(np.divide(written, read, out=np.ones(read.shape), where=used))
    scale[~used] = 1.0
    W_in, W_out = exact["W_in"] * scale[:, None], exact["W_out"] / scale
    order = neuron_order(W_in)
    W_in, W_out = W_in[order], W_out[:, order]
    return {"W_in": W_in, "W_out": W_out, "b": exact["b"], "W_live": W_out.mT * live}


def shares_of_weight(weights: ArrayLike) -> FloatArray:
    """Weights (…, m, n) as signed shares of each neuron's total |weight|; 0 for one without."""
    W = np.asarray(weights, dtype=np.float64)
    total = np.abs(W).sum(-1, keepdims=True)
    return np.divide(W, total, out=np.zeros(W.shape), where=total > 0)


def without_neuron(parameters: Parameters, neuron: int) -> dict[str, FloatArray]:
    """An `absolute-value` model with one neuron, counted from 0, taken away.

    Raises:
        IndexError: if there is no such neuron.
    """
    changed = _exact(parameters)
    m = changed["W_in"].shape[0]
    if not 0 <= neuron < m:
        raise IndexError(f"there is no neuron {neuron}; expected 0 to {m - 1}")
    changed["W_out"] = changed["W_out"] * (np.arange(m) != neuron)
    return changed


# The function each feature really gets


def outputs_alone(family: Family, parameters: Parameters, values: ArrayLike) -> FloatArray:
    """All outputs while one feature is on alone: [i, v, j] is y'_j at x_i = values[v], (n, V, n).

    The diagonal i = j is the function that a feature really gets, the rest is cross-talk.

    Args:
        values: (V,).
    """
    exact = _exact(parameters)
    x = np.asarray(values, dtype=np.float64)
    n = family.encoder(exact).shape[-1]
    inputs = np.eye(n)[:, None, :] * x[None, :, None]
    return family.forward(exact, inputs.reshape(-1, n)).reshape(n, len(x), n)


@dataclass(frozen=True)
class AmongOthers:
    """Output i at given values of x_i, the other features drawn from the data; each (K, V).

    Attributes:
        mean: over the draws.
        low, high: the tenth and the ninetieth percentile.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray


def outputs_among_others(
    family: Family,
    parameters: Parameters,
    distribution: FeatureDistribution,
    values: ArrayLike,
    *,
    features: ArrayLike | None = None,
    draws: int,
    rng: np.random.Generator,
) -> AmongOthers:
    """What output i gives for x_i on typical inputs; the same draws for each feature and value.

    Args:
        distribution: of independent features; with others, knowing x_i says something of them.
        values: (V,).
        features: (K,) indices of those wanted, by default all n in order.
        draws: of the other features.

    Raises:
        ValueError: for features that are not independent.
    """
    if distribution.sets and distribution.correlation:
        raise ValueError("expected independent features: their values do not depend on x_i then")
    exact = _exact(parameters)
    x = np.asarray(values, dtype=np.float64)
    drawn = distribution.sample(draws, rng)
    wanted = np.arange(drawn.shape[1]) if features is None else np.asarray(features)
    results = np.empty((3, len(wanted), len(x)))
    for place, i in enumerate(wanted):
        # Long last axes: see `families._map`.
        inputs = np.tile(drawn.T, len(x))
        inputs[i] = np.repeat(x, draws)
        # Of what is read from the hidden activations, this output alone.
        own = {
            name: part[..., [i], :] if name == "W_out" else part[..., [i]]
            for name, part in exact.items()
        }
        hidden = family.hidden(exact, inputs.T)
        output = family.decode(own, hidden)[..., 0].reshape(len(x), draws)
        results[0, place] = output.mean(1)
        results[1:, place] = np.quantile(output, (0.1, 0.9), axis=1)
    return AmongOthers(*results)


def live_outputs(family: Family, parameters: Parameters, threshold: float = EFFECT) -> BoolArray:
    """Whether each output ever reaches `threshold` while one feature alone is at −1 or 1, (n,).

    The weights into an output that never does, held at 0 by its ReLU, say nothing: training may
    have left them anywhere on the far side of zero.
    """
    reached = outputs_alone(family, parameters, (-1.0, 1.0)).max((0, 1))
    return np.asarray(reached >= threshold)


# Which features are handled


def feature_losses(family: Family, parameters: Parameters, nodes: Nodes) -> FloatArray:
    """E (y_i − y'_i)² of each feature, without its importance, (…, n).

    Exact up to quadrature where `nodes.is_deterministic`, else with sampling inside the strata
    that were too large; see `superposition.expectation`.
    """
    exact = _exact(parameters)
    losses = np.zeros(exact["b"].shape)
    # A part at a time: the outputs of all nodes at once would not fit a processor's cache.
    for start in range(0, len(nodes), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        error = family.forward(exact, nodes.points[part]) - family.target(nodes.points[part])
        losses += nodes.weights[part] @ (error * error)
    return losses


def explained(
    family: Family, parameters: Parameters, distribution: FeatureDistribution, nodes: Nodes
) -> FloatArray:
    """The share of its target's variance that each output explains, (…, n).

    1 − E (y_i − y'_i)² / Var(y_i): 1 for a perfect output, 0 for the best constant one, negative
    for worse than that. The variance is exact. 0 for features that are never on.

    Args:
        nodes: for the expectation under `distribution`.
    """
    variance = target_variance(family, distribution)
    losses = feature_losses(family, parameters, nodes)
    shares = np.divide(losses, variance, out=np.ones(losses.shape), where=variance > 0)
    return 1 - shares


def handled(shares: ArrayLike, threshold: float = HANDLED) -> BoolArray:
    """Whether each feature is handled: its output explains enough, see `explained`."""
    return np.asarray(shares, dtype=np.float64) >= threshold


def target_variance(family: Family, distribution: FeatureDistribution) -> FloatArray:
    """Var(y_i) of each target, (n,), by quadrature that is exact for targets like x and |x|."""
    low, high = distribution.low, distribution.high
    edges = [low, 0.0, high] if low < 0 < high else [low, high]
    nodes, weights = np.polynomial.legendre.leggauss(8)
    mean = square = 0.0
    for start, end in itertools.pairwise(edges):
        value = family.target(start + (end - start) * (nodes + 1) / 2)
        share = weights / 2 * (end - start) / (high - low)
        mean += float(share @ value)
        square += float(share @ value**2)
    off = float(family.target(np.zeros(1))[0])
    p = np.asarray(distribution.densities)
    return p * square + (1 - p) * off**2 - (p * mean + (1 - p) * off) ** 2


# What each neuron is for


def neuron_effects(family: Family, parameters: Parameters) -> FloatArray:
    """What each neuron adds to each output while one feature is on alone, (m, n, 2, n).

    [k, j, s, i] is y'_i minus what it would be without neuron k, at x_j = −1 (s = 0) or x_j = 1
    (s = 1) and all other features 0. Positive: the neuron raises the output; negative: it lowers
    it. Both outputs are those after the ReLU, so that pushing down what is 0 anyway is no effect.

    Raises:
        ValueError: for a family without neurons.
    """
    if not family.has_neurons:
        raise ValueError(f"{family.name} has no neurons; expected a family that has")
    exact = _exact(parameters)
    n = family.encoder(exact).shape[-1]
    inputs = np.stack([-np.eye(n), np.eye(n)], axis=1).reshape(2 * n, n)
    h = family.hidden(exact, inputs)
    m = h.shape[-1]
    full = family.decode(exact, h)
    without = family.decode(exact, h * (1 - np.eye(m))[:, None, :])
    return (full - without).reshape(m, n, 2, n)


ONE, ONE_INHIBITS = "one feature", "one feature, and inhibits"
SEVERAL, SEVERAL_INHIBITS = "several features", "several features, and inhibits"
ONLY_INHIBITS, UNUSED = "only inhibits", "unused"
ROLES = (ONE, ONE_INHIBITS, SEVERAL, SEVERAL_INHIBITS, ONLY_INHIBITS, UNUSED)
"""What a neuron can be for; see `neuron_roles`."""


@dataclass(frozen=True)
class Roles:
    """What the neurons of a model are for, by their effects; see `neuron_roles`.

    Attributes:
        serves: (m, n), the neuron raises output i when feature i is on alone, on a side or both.
        sides: (m, n, 2), on which: negative x_i, positive x_i.
        inhibits: (m, n), the neuron lowers output i when some other feature is on alone.
    """

    serves: BoolArray
    sides: BoolArray
    inhibits: BoolArray

    @property
    def shared(self) -> BoolArray:
        """Neurons that serve two features or more, (m,)."""
        return np.asarray(self.serves.sum(-1) >= 2)

    @property
    def half_a_v(self) -> BoolArray:
        """Neurons that serve one feature, on one side, and inhibit nothing, (m,)."""
        one = (self.serves.sum(-1) == 1) & (self.sides.sum((-2, -1)) == 1)
        return np.asarray(one & ~self.inhibits.any(-1))

    @property
    def kinds(self) -> NDArray[np.str_]:
        """What each neuron is for, in words of `ROLES`, (m,)."""
        served = np.minimum(self.serves.sum(-1), 2)
        table = np.array([[UNUSED, ONE, SEVERAL], [ONLY_INHIBITS, ONE_INHIBITS, SEVERAL_INHIBITS]])
        return table[self.inhibitory.astype(int), served]

    @property
    def inhibitory(self) -> BoolArray:
        """Neurons that inhibit at least one output, (m,), whatever else they do."""
        return np.asarray(self.inhibits.any(-1))


def neuron_roles(effects: ArrayLike, threshold: float = EFFECT) -> Roles:
    """Roles of the neurons from their effects (m, n, 2, n), see `neuron_effects`.

    A neuron *serves* feature i if taking it away lowers output i by at least `threshold` when
    x_i = 1 or x_i = −1 alone. It *inhibits* output i if taking it away raises output i by at
    least that when another feature is at 1 or −1 alone: it holds down cross-talk.
    """
    change = np.asarray(effects, dtype=np.float64)
    own = np.moveaxis(np.diagonal(change, axis1=1, axis2=3), -1, 1)  # (m, n, 2)
    sides = own >= threshold
    others = ~np.eye(change.shape[1], dtype=bool)[:, None, :]
    lowered = (change <= -threshold) & others
    return Roles(
        serves=np.asarray(sides.any(-1)), sides=sides, inhibits=np.asarray(lowered.any((1, 2)))
    )


def role_counts(roles: Roles) -> dict[str, int]:
    """How many neurons have each of the `ROLES`."""
    kinds = list(roles.kinds)
    return {role: kinds.count(role) for role in ROLES}


# The closed form: two neurons for a feature


def pair_model(n_features: int, n_hidden: int, density: float) -> dict[str, FloatArray]:
    """`absolute-value` weights with a pair of neurons for each of the first m // 2 features.

    |x| = ReLU(x) + ReLU(−x), so those are exact on every input. Each other output is the constant
    that is best for it, E|x| = p / 2.

    No network of this family is exact for more: write output i before its last ReLU as
    Σ_k c_k ReLU(w_k · x) + b. It must be |x_i| wherever that is not 0, so by continuity
    everywhere, and b = 0. Its even part is ½ Σ c_k |w_k · x|, and functions |w · x| of
    different lines are linearly independent: so some w_k lies along e_i, and on every other line
    the even parts cancel, which leaves an odd part only if the line has neurons in both
    directions. The odd part ½ Σ c_k w_k · x must vanish: either the line of e_i has neurons in
    both directions, or other such lines make up for the odd part of those it has. In both cases
    e_i lies in the span of the D lines with two neurons or more. If that is so for k features,
    then D ≥ k, and m ≥ 2 D ≥ 2 k.
    """
    pairs = min(n_hidden // 2, n_features)
    W_in = np.zeros((n_hidden, n_features))
    W_out = np.zeros((n_features, n_hidden))
    feature = np.arange(pairs)
    for offset, sign in ((0, 1.0), (1, -1.0)):
        W_in[2 * feature + offset, feature] = sign
        W_out[feature, 2 * feature + offset] = 1.0
    b = np.where(np.arange(n_features) < pairs, 0.0, density / 2)
    return {"W_in": W_in, "W_out": W_out, "b": b}


def pair_loss(importances: ArrayLike, n_hidden: int, density: float) -> float:
    """Expected loss of `pair_model` on features uniform on [−1, 1]: 0 for those with a pair.

    Each other feature loses Var|x| = p/3 − p²/4. Features are in order of importance.
    """
    left_out = np.asarray(importances, dtype=np.float64)[n_hidden // 2 :]
    return float(left_out.sum() * (density / 3 - density**2 / 4))


def _exact(parameters: Parameters) -> dict[str, FloatArray]:
    return {name: np.asarray(values, dtype=np.float64) for name, values in parameters.items()}
