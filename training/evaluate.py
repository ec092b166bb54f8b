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
    Nodes,
    expectation_nodes,
    expected_loss,
    linear_expected_loss,
)
from superposition.families import family

# Up to this many features every active set is integrated.
MOST_FEATURES_BY_QUADRATURE = 12
QUADRATURE_BUDGET = 32_768
REPLICATES, REPLICATE_BUDGET = 8, 8_192
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

    model_family = family(family_name)
    by_quadrature = n <= MOST_FEATURES_BY_QUADRATURE
    replicates, budget = (1, QUADRATURE_BUDGET) if by_quadrature else (REPLICATES, REPLICATE_BUDGET)
    losses = np.zeros((replicates, count))
    for replicate in range(replicates):
        known: dict[FeatureDistribution, Nodes] = {}
        for b, distribution in enumerate(distributions):
            if distribution not in known:
                known.clear()  # models of one distribution come together
                rng = np.random.default_rng([_SEED, replicate])
                known[distribution] = expectation_nodes(distribution, budget=budget, rng=rng)
            nodes = known[distribution]
            one = {name: values[b] for name, values in exact.items()}
            losses[replicate, b] = expected_loss(
                model_family, one, nodes.points, nodes.weights, importances[b]
            )
    if by_quadrature:
        return Evaluation(losses[0], np.zeros(count), "quadrature")
    error = losses.std(0, ddof=1) / np.sqrt(replicates)
    return Evaluation(losses.mean(0), error, "stratified")
