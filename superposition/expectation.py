"""The expected loss, computed instead of sampled.

L = E_x Σ_i I_i (y_i - y'_i)². Condition on the set A of active features: P(A) is
known, and given A the active values are uniform. So L = Σ_A P(A) · E[ℓ | A], and
what is left is a handful of integrals over cubes. This module lists *nodes and
weights* for them: inputs x_q and weights w_q with Σ_q w_q f(x_q) ≈ E f(x).

Nodes are spent where they matter. The number k of active features divides the data
into strata of known probability; a stratum whose active sets fit its share of the
budget is integrated set by set by quadrature, and any other is sampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from superposition.distributions import Bools, FeatureDistribution, Floats, enumerate_sets
from superposition.families import Array, Family


@dataclass(frozen=True)
class Nodes:
    """Inputs and weights that stand for a distribution.

    Attributes:
        points: (N, n) inputs.
        weights: (N,) summing to 1.
        is_deterministic: whether every active set that was not negligible is
            integrated by quadrature, and none sampled.
    """

    points: Floats
    weights: Floats
    is_deterministic: bool

    def __len__(self) -> int:
        return len(self.weights)


def expectation_nodes(
    distribution: FeatureDistribution,
    *,
    budget: int,
    rng: np.random.Generator,
    negligible: float = 1e-9,
) -> Nodes:
    """About `budget` nodes for the expectation under one distribution.

    Each number k of active features gets a share ∝ k √P(k) of the budget. That is
    flatter than P(k), because a trained model has little error left where few features
    are active, and because one or two active features need few nodes. If its C(n, k) sets
    fit, each is integrated: tensor Gauss–Legendre for few active features, scrambled
    Sobol points with their mirror images for more. If not, sets are drawn from the
    distribution given k, and values with their mirror images. With a budget of 4 · 2^n
    or more every set is integrated.

    Args:
        budget: the number of nodes aimed at; never fewer than 8 a stratum.
        rng: of the scrambling and the sampled sets; the nodes are a function of it.
        negligible: strata are left out while their total probability, as a share of
            P(any feature active), stays below this.

    Raises:
        ValueError: for a budget below 1.
    """
    if budget < 1:
        raise ValueError(f"budget is {budget}; expected at least 1 node")
    n = distribution.n_features
    probability = distribution.count_probability()
    order = np.argsort(probability)
    floor = negligible * max(1 - probability[0], 1e-300)
    dropped = order[np.cumsum(probability[order]) < floor]
    sizes = np.setdiff1d(np.flatnonzero(probability > 0), dropped)
    allotment = _allot(budget, probability, sizes, distribution)
    enumerate_all = n <= 20 and 4 * 2**n <= budget

    points, weights, deterministic = [], [], True
    for k in sizes:
        k = int(k)
        allotted = max(int(np.ceil(allotment[k])), 8)
        n_sets = comb(n, k)
        if k == 0:
            points.append(np.zeros((1, n)))
            weights.append(probability[:1])
        elif enumerate_all or 2 * n_sets <= allotted:
            sets = enumerate_sets(n, [k])
            set_probability = distribution.set_probability(sets)
            possible = set_probability > 0
            sets, set_probability = sets[possible], set_probability[possible]
            per_set = max(allotted // len(sets), 2)
            cube, within = _cube_rule(k, per_set, len(sets), distribution, rng)
            points.append(_scatter(sets, cube))
            weights.append((set_probability[:, None] * within).ravel())
        else:
            deterministic = False
            half = (allotted + 1) // 2
            active = distribution.active_given_count(np.full(half, k), rng)
            points.append(_antithetic(active, distribution, rng))
            weights.append(np.full(2 * half, probability[k] / (2 * half)))
    stacked = np.concatenate(weights)
    return Nodes(np.concatenate(points), stacked / stacked.sum(), deterministic)


def expected_loss(
    family: Family,
    parameters: Mapping[str, Array],
    points: Array,
    weights: Array,
    importances: Array,
) -> Array:
    """L = Σ_q w_q Σ_i I_i (y_i(x_q) - y'_i(x_q))², for NumPy arrays or torch tensors.

    Args:
        parameters: of B models, as in `superposition.families`.
        points: (N, n) nodes, or (B, N, n).
        weights: (B, N).
        importances: (B, n).

    Returns:
        (B,) losses.
    """
    error = family.forward(parameters, points) - family.target(points)
    per_node = (importances[..., None, :] @ (error * error).mT)[..., 0, :]
    return (weights * per_node).sum(-1)


def linear_expected_loss(
    parameters: Mapping[str, Array], mean: Array, second_moment: Array, importances: Array
) -> Array:
    """The exact expected loss of the `linear` family, from two moments of the data.

    The error is e = Rx - b with R = 1 - WᵀW, so
    L = Σ_i I_i [(R M Rᵀ)_ii - 2 b_i (Rμ)_i + b_i²] with M = E[xxᵀ], μ = E[x].

    Args:
        mean: (B, n). second_moment: (B, n, n). importances: (B, n).

    Returns:
        (B,) losses, for NumPy arrays or torch tensors.
    """
    W, b = parameters["W"], parameters["b"]
    # R M Rᵀ and R μ without building an identity, so that both array kinds will do.
    shortfall = second_moment - W.mT @ (W @ second_moment)
    spread = shortfall - (shortfall @ W.mT) @ W
    drift = mean - (W.mT @ (W @ mean[..., None]))[..., 0]
    per_feature = spread.diagonal(0, -2, -1) - 2 * b * drift + b * b
    return (importances * per_feature).sum(-1)


# The rules.


def _enough_nodes(k: int, budget: int) -> float:
    """Nodes a set beyond which more would not help as much as they would elsewhere."""
    if k == 1:
        return max(24.0, budget**0.5)
    return max(144.0, budget / 8) if k == 2 else np.inf


def _allot(
    budget: int, probability: Floats, sizes: NDArray[np.int_], distribution: FeatureDistribution
) -> Floats:
    """Nodes for each number of active features, (n + 1,), zero for those left out."""
    n = distribution.n_features
    share = np.zeros(n + 1)
    share[sizes] = sizes * np.sqrt(probability[sizes])
    panels = 2 if distribution.low < 0 < distribution.high else 1
    allotment = np.zeros(n + 1)
    for k in sorted(sizes):
        # Small k first: what they do not need goes to the larger ones.
        if share[k:].sum() > 0:
            allotment[k] = (budget - allotment.sum()) * share[k] / share[k:].sum()
        if k in (1, 2):
            enough = comb(n, int(k)) * _enough_nodes(int(k), budget) * panels**k
            allotment[k] = min(allotment[k], enough)
    return allotment


def _cube_rule(
    k: int, per_set: int, n_sets: int, distribution: FeatureDistribution, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Points (n_sets, q, k) and weights (n_sets, q) on [low, high]^k; q is near `per_set`.

    Zero, where |x| and often the ReLU have their corner, is an end of every panel: a
    range that straddles it is integrated in two panels per coordinate.
    """
    low, high = distribution.low, distribution.high
    edges = [low, 0.0, high] if low < 0 < high else [low, high]
    per_axis = int(np.floor(per_set ** (1 / k) + 1e-9)) // (len(edges) - 1)
    # A coarse tensor grid in many coordinates can be fitted by the model; Sobol points, all
    # different in every coordinate, cannot.
    if per_axis >= (2 if k <= 2 else 6):
        return _tensor_gauss(k, per_axis, edges, n_sets)
    half = max(1, 2 ** int(np.log2(per_set / 2)))
    # A Sobol sequence wants a power of two in all; consecutive runs of a power of two
    # are themselves balanced, and each set gets a run of its own. The other half of the
    # nodes are the mirror images (antithetic), so that first moments are exact.
    needed = 2 ** int(np.ceil(np.log2(half * n_sets)))
    sobol = qmc.Sobol(k, scramble=True, rng=rng).random(needed)[: half * n_sets]
    cube = sobol.reshape(n_sets, half, k)
    points = low + (high - low) * np.concatenate([cube, 1 - cube], axis=1)
    return points, np.full((n_sets, 2 * half), 1 / (2 * half))


# A third of the time of listing small sets of nodes went into solving for the same rules.
_legendre = cache(np.polynomial.legendre.leggauss)


def _tensor_gauss(
    k: int, per_axis: int, edges: Sequence[float], n_sets: int
) -> tuple[Floats, Floats]:
    nodes, weights = _legendre(per_axis)
    axis, axis_weight = [], []
    for start, end in pairwise(edges):
        axis.append(start + (end - start) * (nodes + 1) / 2)
        axis_weight.append(weights / 2 * (end - start) / (edges[-1] - edges[0]))
    x, w = np.concatenate(axis), np.concatenate(axis_weight)
    grid = np.stack(np.meshgrid(*[x] * k, indexing="ij"), -1).reshape(-1, k)
    weight = np.stack(np.meshgrid(*[w] * k, indexing="ij"), -1).reshape(-1, k).prod(1)
    return np.tile(grid, (n_sets, 1, 1)), np.tile(weight, (n_sets, 1))


def _scatter(sets: Bools, cube: Floats) -> Floats:
    """Inputs (n_sets · q, n) with the cube points (n_sets, q, k) at the active features."""
    n_sets, per_set, k = cube.shape
    points = np.zeros((n_sets, per_set, sets.shape[1]))
    columns = np.nonzero(sets)[1].reshape(n_sets, 1, k)
    np.put_along_axis(points, np.broadcast_to(columns, cube.shape), cube, axis=2)
    return points.reshape(-1, sets.shape[1])


def _antithetic(
    active: Bools, distribution: FeatureDistribution, rng: np.random.Generator
) -> Floats:
    """Two inputs for each active set: random values, and their mirror images."""
    low, high = distribution.low, distribution.high
    values = rng.random(active.shape)
    both = np.concatenate([values, 1 - values])
    return np.where(np.concatenate([active, active]), low + (high - low) * both, 0.0)
