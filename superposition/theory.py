"""Closed forms: what the toy models' losses and optima are exactly, where that is known.

These share no code with training, so that its losses and the zoo's can be checked
against them. Losses are L = E_x Σ_i I_i (x_i − y'_i)², summed over features, as
everywhere; `importances` are the I_i, shape (n,), and not negative.

Source: the models are those of "Toy Models of Superposition" (Elhage et al., 2022),
section "Demonstrating Superposition"; the derivations are given where they are used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

FloatArray = NDArray[np.float64]

# The exact loss visits 3^n corners for each of n outputs: 10 features take a second or two.
MOST_FEATURES = 10

# Coefficients of the exact loss are rounded to this many bits below the largest one,
# eleven more than a float64 has.
FIXED_POINT_BITS = 64


# Moments of a sparse uniform feature: 0, or with probability p uniform on [low, high]


def sparse_mean(densities: ArrayLike, low: float = 0.0, high: float = 1.0) -> FloatArray:
    """E[x_i] = p_i (low + high) / 2 of features with densities p_i, same shape."""
    return np.asarray(densities, dtype=np.float64) * (low + high) / 2


def sparse_second_moment(densities: ArrayLike, low: float = 0.0, high: float = 1.0) -> FloatArray:
    """E[x_i²] = p_i (low² + low high + high²) / 3 of features with densities p_i."""
    return np.asarray(densities, dtype=np.float64) * (low * low + low * high + high * high) / 3


def sparse_variance(densities: ArrayLike, low: float = 0.0, high: float = 1.0) -> FloatArray:
    """Var[x_i] of features with densities p_i, same shape; p/3 − p²/4 on [0, 1]."""
    mean = sparse_mean(densities, low, high)
    return sparse_second_moment(densities, low, high) - mean**2


# The linear model, y' = WᵀW x + b


def unlearned_loss(importances: ArrayLike, variances: ArrayLike) -> float:
    """Loss Σ_i I_i v_i of a model that learns no direction, W = 0, and only the best bias.

    The best constant output is the mean, so this holds for `relu-output` as well when no
    mean is negative. `variances` are those of the targets, (n,).
    """
    return float(np.sum(np.asarray(importances) * np.asarray(variances)))


def linear_bias(W: ArrayLike, mean: ArrayLike) -> FloatArray:
    """The best bias (I − WᵀW) μ of linear models `W` (…, m, n), given μ (n,): (…, n).

    The error is (I − WᵀW)(x − μ) + (I − WᵀW) μ − b: its mean must vanish, in every output.
    """
    weights, mu = np.asarray(W, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    return mu - (weights.mT @ (weights @ mu[:, None]))[..., 0]


def linear_loss(
    W: ArrayLike,
    b: ArrayLike,
    importances: ArrayLike,
    mean: ArrayLike,
    second_moment: ArrayLike,
) -> FloatArray:
    """Exact loss of linear models on any data, of which only two moments matter, (…,).

    With R = I − WᵀW and covariance C: Σ_i I_i [(R C Rᵀ)_ii + ((R μ)_i − b_i)²].

    Args:
        W: (…, m, n).
        b: (…, n).
        importances: (n,).
        mean: μ = E[x], (n,).
        second_moment: E[x xᵀ], (n, n), correlated or not.
    """
    weights, mu = np.asarray(W, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    covariance = np.asarray(second_moment, dtype=np.float64) - np.outer(mu, mu)
    rest = np.eye(weights.shape[-1]) - weights.mT @ weights
    spread = np.sum((rest @ covariance) * rest, axis=-1)
    offset = linear_bias(weights, mu) - np.asarray(b, dtype=np.float64)
    return np.asarray(np.sum(np.asarray(importances) * (spread + offset**2), axis=-1))[()]


def optimal_linear_loss(importances: ArrayLike, variances: ArrayLike, n_hidden: int) -> float:
    """Least loss of a linear model on uncorrelated features: Σ I_i v_i over those dropped.

    Features are dropped until `n_hidden` are left, the least I_i v_i first.

    Proof. With the best bias the loss is Σ_ij I_i (I − P)_ij² v_j = ‖D − B‖_F², where
    P = WᵀW, D = diag(√(I_i v_i)) and B_ij = √I_i P_ij √v_j has rank at most m. By Eckart and
    Young no matrix of rank m is closer to D than D with its n − m least entries set to 0,
    and P = the projection onto the features kept, which is tied, attains that. So neither
    untied weights nor an order of the importances would change the result.
    """
    return unlearned_loss(importances, variances) - float(
        np.sum(_products(importances, variances)[_kept(importances, variances, n_hidden)])
    )


def optimal_linear_model(
    importances: ArrayLike, mean: ArrayLike, variances: ArrayLike, n_hidden: int
) -> tuple[FloatArray, FloatArray]:
    """A linear model that attains `optimal_linear_loss`: W (m, n) and b (n,).

    Row k of W is the unit vector of the kept feature with the k-th largest I_i v_i (the
    lower index first among equals); any rotation of hidden space does as well. Rows beyond
    n are 0. b is 0 for features kept and their mean for the others.
    """
    kept = _kept(importances, variances, n_hidden)
    W = np.zeros((n_hidden, np.size(variances)))
    W[np.arange(len(kept)), kept] = 1.0
    return W, linear_bias(W, mean)


def _products(importances: ArrayLike, variances: ArrayLike) -> FloatArray:
    return np.asarray(importances, dtype=np.float64) * np.asarray(variances, dtype=np.float64)


def _kept(importances: ArrayLike, variances: ArrayLike, n_hidden: int) -> NDArray[np.intp]:
    """The features the best linear model keeps, largest I_i v_i first."""
    return np.argsort(-_products(importances, variances), kind="stable")[:n_hidden]


# Regular polygons: k equally long directions, evenly spaced in a plane


def regular_polygon(k: int, radius: float = 1.0) -> FloatArray:
    """Directions (2, k) of norm `radius` at angles 2π i / k. k = 2 is an antipodal pair."""
    turn = 2 * np.pi * np.arange(k) / k
    return radius * np.stack([np.cos(turn), np.sin(turn)])


def polygon_dimensionality(k: int) -> float:
    """Dimensionality of each corner: 2/k, or 1/k for a single feature or a pair.

    Σ_j cos²(2π j / k) is k/2 for k ≥ 3, and k for the one dimension of k ≤ 2.
    """
    return (1 if k <= 2 else 2) / k


def polygon_interference(k: int, radius: float = 1.0) -> float:
    """Interference r² Σ_{j≠0} cos²(2π j / k) felt by each corner."""
    return radius**2 * (1 / polygon_dimensionality(k) - 1)


def polygon_coherence(k: int) -> float:
    """Coherence max_{j≠0} |cos(2π j / k)|: 1 for even k, cos(π / k) for odd; 0 for k = 1."""
    if k == 1:
        return 0.0
    return 1.0 if k % 2 == 0 else math.cos(math.pi / k)


def polygon_loss(k: int, radius: ArrayLike, bias: ArrayLike) -> FloatArray:
    """Loss per density of a `relu-output` polygon, exact in the limit of density p → 0.

    lim L / p for k features of importance 1, each 0 or uniform on [0, 1], whose directions
    form the regular k-gon of norm `radius` with the same `bias` everywhere. At most one
    feature u is then active at a time: its own output is ReLU(r² u + b) and should be u;
    output j is ReLU(r² cos(2π j / k) u + b) and should be 0. A feature left out of the
    polygon (W_i = 0, b_i ≤ 0) adds 1/3.

    `radius` and `bias` broadcast. Infinite for a positive bias: then the outputs are wrong
    for the empty input too, which does not become rare with p.
    """
    gain, b = np.broadcast_arrays(
        np.asarray(radius, dtype=np.float64) ** 2, np.asarray(bias, dtype=np.float64)
    )
    off = np.minimum(b, 0.0)
    # Own output: 0 up to the start u = t, then r² u + b; the error before it is u itself.
    start = np.divide(-off, gain, out=np.ones(gain.shape), where=gain > -off)
    short = 1.0 - gain
    loss = start**3 / 3 + (
        short**2 * (1 - start**3) / 3 - short * off * (1 - start**2) + off**2 * (1 - start)
    )
    for turn in range(1, k):
        slope = gain * math.cos(2 * math.pi * turn / k)
        # ∫ ReLU(c u + b)² du over [0, 1], for b ≤ 0; rounding may leave c at 1e-17, not 0.
        peak = np.maximum(slope + off, 0.0)
        loss = loss + np.divide(peak**3, 3 * slope, out=np.zeros(gain.shape), where=peak > 0)
    return np.where(b > 0, np.inf, k * loss)[()]


@dataclass(frozen=True)
class Polygon:
    """The best regular polygon of `k` corners: norm, bias, and loss per density as p → 0."""

    k: int
    radius: float
    bias: float
    loss_per_density: float


def best_polygon(k: int) -> Polygon:
    """The norm and bias that minimise `polygon_loss`.

    Up to four corners no other output is ever switched on, so that r = 1 and b = 0 give a
    loss of 0; from the pentagon on, neighbours interfere and the bias turns negative.
    """
    if k <= 4:
        return Polygon(k, 1.0, 0.0, 0.0)

    def loss(radius: FloatArray, bias: FloatArray) -> FloatArray:
        return polygon_loss(k, radius, bias)

    radii, biases = np.meshgrid(np.linspace(0, 3, 121), np.linspace(-6, 0, 121), indexing="ij")
    start = np.unravel_index(np.argmin(loss(radii, biases)), radii.shape)
    best: Any = minimize(
        lambda v: float(loss(v[0], v[1])),
        (radii[start], biases[start]),
        method="Nelder-Mead",
        bounds=[(0.0, 3.0), (-6.0, 0.0)],
        options={"xatol": 1e-10, "fatol": 1e-15, "maxiter": 2000},
    )
    return Polygon(k, float(best.x[0]), float(best.x[1]), float(best.fun))


# The exact expected loss of a relu-output model


def relu_output_errors(
    W: ArrayLike, b: ArrayLike, active: Sequence[int], low: float = 0.0, high: float = 1.0
) -> FloatArray:
    """E[(x_i − y'_i)²] of each output, (n,), when exactly the features `active` are on.

    One `relu-output` model, W (m, n) and b (n,); the active features are independent and
    uniform on [low, high], the others 0. Weighting by the probabilities of the sets and
    summing gives the loss on any data whose activity is correlated and values are not.

    Method. Write x_j = low + (high − low) u_j, so that the output is ReLU(z) with
    z = c + Σ_{j∈A} a_j u_j and u uniform on the unit cube. With F_q(z) = ReLU(z)^q / q!,
    which integrates to F_{q+1}, integrating along each axis in turn gives

        E[F_q(z)] = Σ_{s∈{0,1}^A} (−1)^(|A| − |s|) F_{q+|A|}(c + a·s) / Π_j a_j,

    a sum over the corners of the cube, and integrating by parts along axis i

        E[u_i F_1(z)] = (E[F_2(z) | u_i = 1] − E[F_2(z)]) / a_i.

    In floating point these sums cancel catastrophically when an a_j is small. So c and a are
    rounded once, to integers of 64 bits at the scale of the largest, and the sums are taken
    in Python's integers, without any rounding; axes with a_j = 0 drop out. What remains is
    the rounding of WᵀW and of the last few additions, about 1e-16 of the terms.

    Raises:
        ValueError: if the shapes do not fit, or `active` names a feature there is not.
    """
    weights, bias = _one_model(W, b)
    n = len(bias)
    members = sorted(set(active))
    if any(j not in range(n) for j in members):
        raise ValueError(f"active features {list(active)} are not all among 0 … {n - 1}")
    gram = weights.T @ weights
    width = high - low
    mean_square = float(sparse_second_moment(1.0, low, high))
    errors = np.zeros(n)
    for i in range(n):
        offset = math.fsum([bias[i], *(low * gram[i, j] for j in members)])
        numbers, bits = _fixed_point([offset, *(width * gram[i, j] for j in members)])
        c, slopes = numbers[0], numbers[1:]
        square = 2 * math.ldexp(1.0, -2 * bits) * float(_mean_power(slopes, c, 2))
        if i not in members:
            errors[i] = square
            continue
        own = slopes.pop(members.index(i))
        if own:
            switched = _mean_power(slopes, c + own, 2)
            both = _mean_power([own, *slopes], c, 2)
            cross = width * math.ldexp(float((switched - both) / own), -bits)
            if low:
                cross += low * math.ldexp(float(_mean_power([own, *slopes], c, 1)), -bits)
        else:
            cross = (low + high) / 2 * math.ldexp(float(_mean_power(slopes, c, 1)), -bits)
        errors[i] = mean_square - 2 * cross + square
    return errors


def relu_output_expected_loss(
    W: ArrayLike,
    b: ArrayLike,
    importances: ArrayLike,
    densities: ArrayLike,
    low: float = 0.0,
    high: float = 1.0,
) -> float:
    """Exact expected loss of one `relu-output` model on independent sparse features.

    Sums `relu_output_errors` over all 2^n sets of active features, weighted by their
    probability; see there for the method. Exact but for rounding, at any density, and slow:
    a few milliseconds for 5 features, a tenth of a second for 8.

    Args:
        W: (m, n).
        b: (n,).
        importances: (n,), or one number for all.
        densities: probability that each feature is not 0, (n,), or one number for all.
        low: least value of an active feature.
        high: greatest value of an active feature.

    Raises:
        ValueError: if the shapes do not fit, a density is not a probability, or there are
            more than `MOST_FEATURES` features.
    """
    weights, bias = _one_model(W, b)
    n = len(bias)
    if n > MOST_FEATURES:
        raise ValueError(
            f"the exact loss takes at most {MOST_FEATURES} features, and W has {n}; "
            "use an estimate of the loss instead"
        )
    weight = np.broadcast_to(np.asarray(importances, dtype=np.float64), n)
    p = np.broadcast_to(np.asarray(densities, dtype=np.float64), n)
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError(f"densities are probabilities, between 0 and 1; got {densities!r}")
    terms = []
    for size in range(n + 1):
        for active in itertools.combinations(range(n), size):
            on = np.isin(np.arange(n), active)
            probability = float(np.prod(np.where(on, p, 1 - p)))
            if probability > 0:
                errors = relu_output_errors(weights, bias, active, low, high)
                terms.append(probability * float(weight @ errors))
    return math.fsum(terms)


def _one_model(W: ArrayLike, b: ArrayLike) -> tuple[FloatArray, FloatArray]:
    weights, bias = np.asarray(W, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if weights.ndim != 2 or bias.shape != weights.shape[-1:]:
        raise ValueError(
            f"W has shape {weights.shape} and b {bias.shape}; expected one model, (m, n) and (n,)"
        )
    return weights, bias


def _fixed_point(values: Sequence[float]) -> tuple[list[int], int]:
    """Integers v · 2^bits of the values, with `bits` such that the largest has 64 bits."""
    bits = FIXED_POINT_BITS - math.frexp(max(abs(v) for v in values))[1]
    return [round(math.ldexp(v, bits)) for v in values], bits


def _mean_power(slopes: Sequence[int], c: int, q: int) -> Fraction:
    """E[ReLU(c + Σ_j a_j u_j)^q] / q! for u uniform on the unit cube, without rounding."""
    slopes = [a for a in slopes if a]
    corners = [(c, 1)]
    for a in slopes:
        corners = [corner for z, sign in corners for corner in ((z + a, sign), (z, -sign))]
    power = q + len(slopes)
    total = sum(sign * z**power for z, sign in corners if z > 0)
    return Fraction(total, math.prod(slopes) * math.factorial(power))
