"""The loss that the zoo stores: the expected loss of the weights as they are stored.

Computed apart from training, in float64, and on many more nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superposition.distributions import FeatureDistribution, Floats
from superposition.expectation import (
    expectation_nodes,
    expected_loss,
    linear_expected_loss,
)
from superposition.families import family

# Up to this many features every active set is integrated.
MOST_FEATURES_BY_QUADRATURE = 12
QUADRATURE_BUDGET = 32_768
# More features: replicates of this many nodes, until the standard error is small enough.
REPLICATE_BUDGET = 16_384
FEWEST_REPLICATES, MOST_REPLICATES = 8, 64
RELATIVE_ERROR = 0.005
_SEED = 1


@dataclass(frozen=True)
class Evaluation:
    """Losses of B models.

    Attributes:
        loss: (B,).
        standard_error: (B,), zero unless the method is `stratified`.
        method: `exact`, `quadrature` or `stratified`.
    """

    loss: Floats
    standard_error: Floats
    method: str


def evaluate(
    family_name: str,
    parameters: Mapping[str, NDArray[Any]],
    distributions: tuple[FeatureDistribution, ...],
    importances: Floats,
) -> Evaluation:
    """The expected loss of B models, each on its own distribution.

    Linear models exactly, from moments; up to twelve features by quadrature over every
    active set; more by stratified sampling, in replicates that give a standard error.

    Args:
        parameters: tensor name -> (B, …).
        importances: (B, n).
    """
    exact = {name: np.asarray(values, dtype=np.float64) for name, values in parameters.items()}
    count, n = importances.shape
    if family_name == "linear":
        mean = np.array([d.mean() for d in distributions])
        second_moment = np.array([d.second_moment() for d in distributions])
        loss = linear_expected_loss(exact, mean, second_moment, importances)
        return Evaluation(loss, np.zeros(count), "exact")

    loss, error = np.zeros(count), np.zeros(count)
    rows_of: dict[FeatureDistribution, list[int]] = {}
    for b, distribution in enumerate(distributions):
        rows_of.setdefault(distribution, []).append(b)
    by_quadrature = n <= MOST_FEATURES_BY_QUADRATURE
    for distribution, rows in rows_of.items():
        own = {name: values[rows] for name, values in exact.items()}
        if by_quadrature:
            loss[rows] = _estimate(family_name, own, distribution, importances[rows], 0)
        else:
            loss[rows], error[rows] = _replicated(family_name, own, distribution, importances[rows])
    return Evaluation(loss, error, "quadrature" if by_quadrature else "stratified")


def _estimate(
    family_name: str,
    parameters: Mapping[str, NDArray[Any]],
    distribution: FeatureDistribution,
    importances: Floats,
    replicate: int,
) -> Floats:
    """Losses (B,) of models that share a distribution, on one set of nodes."""
    budget = (
        QUADRATURE_BUDGET
        if distribution.n_features <= MOST_FEATURES_BY_QUADRATURE
        else REPLICATE_BUDGET
    )
    rng = np.random.default_rng([_SEED, replicate])
    nodes = expectation_nodes(distribution, budget=budget, rng=rng)
    # One model after the other: together, the intermediate arrays leave the cache.
    return np.array(
        [
            expected_loss(
                family(family_name),
                {name: values[b] for name, values in parameters.items()},
                nodes.points,
                nodes.weights,
                importances[b],
            )
            for b in range(len(importances))
        ]
    )


def _replicated(
    family_name: str,
    parameters: Mapping[str, NDArray[Any]],
    distribution: FeatureDistribution,
    importances: Floats,
) -> tuple[Floats, Floats]:
    """Mean and standard error (B,) over independent sets of nodes.

    Replicates are added until every standard error is below `RELATIVE_ERROR` of its loss.
    """
    losses: list[Floats] = []
    while True:
        replicate = len(losses)
        losses.append(_estimate(family_name, parameters, distribution, importances, replicate))
        if len(losses) < FEWEST_REPLICATES:
            continue
        stacked = np.array(losses)
        mean = stacked.mean(0)
        error = stacked.std(0, ddof=1) / np.sqrt(len(stacked))
        if len(losses) == MOST_REPLICATES or (error <= RELATIVE_ERROR * mean).all():
            return mean, error
