"""Reading features back from random directions: what sparsity and a ReLU are needed for.

n features have random unit directions W_i in m dimensions. k of them, chosen at random, are on,
each with value 1; the hidden vector is their sum, and feature i is read as W_i · h. That is the
value of feature i plus noise from the others. Everything here is about features that are 0 or 1,
so that the formulas stay short; the zoo's data have values between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr

from superposition.packing import product, random_directions

FloatArray = NDArray[np.float64]


def reading_noise(active: int, m: int, on: bool = True) -> float:
    """Standard deviation of what other features add to a reading in `m` dimensions.

    √((k − 1)/m) for a feature that is on, because k − 1 others are, and √(k/m) for one that is
    off: the cosine of two random directions has mean 0 and variance 1/m.

    active: k, the number of features that are on, at least 1.
    """
    if active < 1 or m < 1:
        raise ValueError(f"expected at least 1 active feature and 1 dimension, got {active}, {m}")
    return math.sqrt((active - 1 if on else active) / m)


def sample_readings(
    n: int, m: int, active: int, trials: int, rng: np.random.Generator, draws: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Readings of the features that are on, (trials, k), and that are off, (trials, n − k).

    Another set of active features in every trial, and `draws` times new directions, each for an
    equal part of the trials.

    Raises:
        ValueError: for more active features than features, or none.
    """
    if not 1 <= active <= n:
        raise ValueError(f"expected from 1 to {n} active features, got {active}")
    on, off = np.empty((trials, active)), np.empty((trials, n - active))
    for part in np.array_split(np.arange(trials), draws):
        W = random_directions(n, m, rng)
        orders = [rng.permutation(n) for _ in part]
        hidden = np.stack([W[:, order[:active]].sum(axis=1) for order in orders], axis=1)
        for trial, order, read in zip(part, orders, product(W.T, hidden).T, strict=True):
            on[trial], off[trial] = read[order[:active]], read[order[active:]]
    return on, off


@dataclass(frozen=True)
class Reader:
    """y = f(gain · W_i · h + bias) with f the identity or a ReLU, the best of its kind.

    Attributes:
        error: its expected squared error, as a share of what the best constant output has,
            k/n for every feature. 1 is no better than not reading at all.
    """

    gain: float
    bias: float
    error: float

    def error_on(self, on: FloatArray, off: FloatArray, relu: bool) -> float:
        """The same share on sampled readings: of features that are on, (T, k), and off, (T, n − k).

        relu: whether f is a ReLU.
        """
        active, n = on.shape[1], on.shape[1] + off.shape[1]
        outputs = [self.gain * readings + self.bias for readings in (on, off)]
        if relu:
            outputs = [np.maximum(output, 0.0) for output in outputs]
        error = np.sum((outputs[0] - 1) ** 2) + np.sum(outputs[1] ** 2)
        return float(error) / len(on) / (active * (1 - active / n))


def linear_reader(n: int, m: int, active: int) -> Reader:
    """The best linear reader, from a closed form.

    With c = (n − 1) / (m (1 − k/n)) the share of error left is c / (1 + c). While k is small
    against n it does not depend on k: to a linear reader sparsity is worth nothing.

    Raises:
        ValueError: unless 0 < active < n.
    """
    share = _share(n, active)
    noise = (n - 1) / (m * (1 - share))
    gain = 1 / (1 + noise)
    return Reader(gain, (1 - gain) * share, noise / (1 + noise))


def relu_reader(n: int, m: int, active: int) -> Reader:
    """The best ReLU reader, from a numerical search; readings are taken as Gaussian.

    Raises:
        ValueError: unless 0 < active < n.
    """
    share = _share(n, active)
    on, off = reading_noise(active, m), reading_noise(active, m, on=False)

    def error(at: FloatArray) -> float:
        gain, bias = math.exp(at[0]), at[1]
        kept = _relu_error(gain + bias, gain * on, 1.0)
        spilt = _relu_error(bias, gain * off, 0.0)
        return (share * kept + (1 - share) * spilt) / (share * (1 - share))

    linear = linear_reader(n, m, active)
    starts = [(1.0, -0.5), (1.0, -2 * off), (2.0, -1.0), (linear.gain, linear.bias)]
    results: list[Any] = [
        minimize(error, (math.log(gain), bias), method="Nelder-Mead", options={"maxiter": 600})
        for gain, bias in starts
    ]
    best = min(results, key=lambda result: result.fun)
    return Reader(math.exp(best.x[0]), float(best.x[1]), float(best.fun))


def _share(n: int, active: int) -> float:
    if not 0 < active < n:
        raise ValueError(f"expected between 0 and {n} active features, got {active}")
    return active / n


def _relu_error(mean: float, deviation: float, target: float) -> float:
    """E (ReLU(z) − target)² for z normal."""
    if deviation == 0:
        return (max(mean, 0.0) - target) ** 2
    z = mean / deviation
    above = float(ndtr(z))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    first = mean * above + deviation * density
    second = (mean**2 + deviation**2) * above + mean * deviation * density
    return second - 2 * target * first + target**2
