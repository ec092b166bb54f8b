"""What models of a zoo explain: the same alone and together, and as plain sampling has it."""

from __future__ import annotations

import numpy as np
import pytest

from superposition.neurons import target_variance
from zoo import Zoo
from zoo.computing import explained_by, explained_share


def test_models_are_judged_alike_alone_and_together() -> None:
    zoo = Zoo.open()
    rows = zoo.grid("absolute-value").select(n_features=3, density=0.1)
    ids = [*rows["model_id"][:2], *zoo.grid("absolute-value").select(n_features=3)["model_id"][:1]]
    together = explained_by(zoo, ids)
    for model_id, shares in zip(ids, together, strict=True):
        model = zoo.model(model_id)
        np.testing.assert_array_equal(explained_share(model.spec, model.parameters), shares)


@pytest.mark.parametrize("density", [0.3, 0.1])
def test_a_feature_near_the_cut_agrees_with_plain_sampling(density: float) -> None:
    zoo = Zoo.open()
    rows = zoo.grid("absolute-value").select(
        n_features=6, n_hidden=10, density=density, best_of_seeds=True
    )
    model = zoo.model(rows["model_id"].iloc[0])
    family, data = model.spec.model_family, model.spec.distribution
    x = data.sample(1_000_000, np.random.default_rng(0))
    error = (family.forward(model.parameters, x) - family.target(x)) ** 2
    variance = target_variance(family, data)
    sampled = 1 - error.mean(0) / variance
    standard_error = error.std(0) / np.sqrt(len(x)) / variance
    shares = explained_by(zoo, [model.model_id])[0]
    assert (np.abs(shares - sampled) < 4 * standard_error + 0.01).all()
