"""The stored losses against the exact oracle and against plain sampling."""

from __future__ import annotations

import numpy as np
import pytest

from superposition.distributions import FeatureDistribution, independent
from superposition.families import FAMILIES
from superposition.theory import relu_output_expected_loss
from training.evaluate import evaluate
from training.fit import Problem, Recipe, fit


def trained(family: str, n: int, m: int, distributions: tuple[FeatureDistribution, ...]):
    importances = np.tile(0.9 ** np.arange(n), (len(distributions), 1))
    problem = Problem(family, n, m, distributions, importances, tuple(range(len(distributions))))
    recipe = Recipe(steps=150, learning_rate=0.1, budget=256)
    return problem, fit(problem, recipe).parameters


@pytest.mark.parametrize("n", [3, 5, 6])
def test_quadrature_is_within_its_stated_tolerance_of_the_exact_loss(n: int) -> None:
    densities = (1.0, 0.5, 0.1, 0.01, 0.001)
    problem, parameters = trained("relu-output", n, 2, tuple(independent(n, p) for p in densities))
    got = evaluate("relu-output", parameters, problem.distributions, problem.importances)
    assert got.method == "quadrature"
    for b, p in enumerate(densities):
        exact = relu_output_expected_loss(
            parameters["W"][b], parameters["b"][b], problem.importances[b], [p] * n
        )
        assert got.loss[b] == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize(
    ("family", "n", "m", "density"),
    [
        ("linear", 9, 4, 0.1),
        ("relu-output", 14, 4, 0.1),
        ("relu-output", 30, 6, 0.05),
        ("relu-hidden", 10, 5, 0.2),
        ("absolute-value", 5, 6, 0.2),
        ("absolute-value", 16, 6, 0.1),
    ],
)
def test_every_method_agrees_with_plain_sampling(
    family: str, n: int, m: int, density: float
) -> None:
    low, high = FAMILIES[family].value_range
    problem, parameters = trained(family, n, m, (independent(n, density, low, high),) * 2)
    got = evaluate(family, parameters, problem.distributions, problem.importances)
    x = problem.distributions[0].sample(300_000, np.random.default_rng(3))
    exact = {name: values.astype(float) for name, values in parameters.items()}
    error = FAMILIES[family].forward(exact, x) - FAMILIES[family].target(x)
    per_input = (error**2 * problem.importances[0]).sum(-1)
    sampled, spread = per_input.mean(-1), per_input.std(-1) / np.sqrt(x.shape[0])
    allowed = 5 * np.hypot(spread, got.standard_error) + 1e-3 * got.loss
    assert (np.abs(got.loss - sampled) < allowed).all()


def test_correlated_sets_are_evaluated_under_their_own_distribution() -> None:
    pairs = ((0, 1), (2, 3))
    apart = FeatureDistribution((0.2,) * 4, sets=pairs, correlation=-1.0)
    together = FeatureDistribution((0.2,) * 4, sets=pairs, correlation=1.0)
    problem, parameters = trained("relu-output", 4, 2, (apart, together))
    got = evaluate("relu-output", parameters, problem.distributions, problem.importances)
    for b, distribution in enumerate((apart, together)):
        x = distribution.sample(300_000, np.random.default_rng(b))
        one = {name: values[b].astype(float) for name, values in parameters.items()}
        per_input = ((FAMILIES["relu-output"].forward(one, x) - x) ** 2) @ problem.importances[b]
        spread = per_input.std() / np.sqrt(len(x))
        assert abs(per_input.mean() - got.loss[b]) < 5 * spread + 1e-3 * got.loss[b]
