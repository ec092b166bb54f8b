"""Claims about neurons: they follow the weights, and weights that break one are shown to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from superposition.claims import Claim
from superposition.neurons import pair_loss, pair_model
from zoo import Grid, ModelSpec, Result, Zoo
from zoo.claims import measure_claim
from zoo.writer import write_grid, write_manifest

DENSITIES = (1.0, 0.1, 0.01)
Weights = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def shared() -> Weights:
    """Weights that handle six features with ten neurons on sparse data: no pairs for all."""
    zoo = Zoo.open()
    rows = zoo.grid("absolute-value").select(
        n_features=6, n_hidden=10, density=0.001, best_of_seeds=True
    )
    parameters = zoo.model(rows["model_id"].iloc[0]).parameters
    return {name: values.astype(np.float64) for name, values in parameters.items()}


def measured(
    folder: Path,
    weights: Callable[[ModelSpec], Weights],
    loss: Callable[[ModelSpec], float] = lambda spec: 1e-6,
) -> Claim:
    """The claim on a zoo of 6 × 10 and 3 × 6 with these weights."""
    models = tuple(
        ModelSpec("absolute-value", n, m, density, 0.7, seed=seed)
        for n, m in ((3, 6), (6, 10))
        for density in DENSITIES
        for seed in (0, 1)
    )
    results = [
        Result(weights(spec), loss(spec) * (1 + 0.01 * spec.seed), "quadrature") for spec in models
    ]
    grid = Grid("absolute-value", "?", models)
    write_manifest(folder, [write_grid(folder, grid, results)])
    claim = measure_claim(Zoo.open(folder), "neurons-compute-in-superposition")
    assert claim is not None
    return claim


def pairs(spec: ModelSpec) -> Weights:
    return pair_model(spec.n_features, spec.n_hidden, spec.density)


def test_sharing_at_one_of_two_sparse_densities_is_a_caveat(
    tmp_path: Path, shared: Weights
) -> None:
    def weights(spec: ModelSpec) -> Weights:
        # At density 0.1 these weights, trained for far sparser data, would not do.
        return shared if spec.density == 0.01 and spec.n_features == 6 else pairs(spec)

    claim = measured(tmp_path, weights)
    assert claim.value == "6 × 10: 5 features at density 1, then 5 at 0.1, 6 at 0.01 (m/2 = 5)"
    assert claim.status == "holds with a caveat"
    assert "6 × 10 at density 0.1 (the next feature's output explains 0.0%)" in claim.detail
    assert claim.numbers["most_per_pair"] == 1.2


def test_nothing_but_pairs_breaks_the_claim(tmp_path: Path) -> None:
    claim = measured(tmp_path, pairs)
    assert claim.status == "does not hold"
    assert claim.numbers["sparse_models_that_pass"] == 0


def test_passing_at_every_sparse_density_holds(tmp_path: Path, shared: Weights) -> None:
    # A zoo without the density between.
    models = tuple(
        ModelSpec("absolute-value", 6, 10, density, 0.7, seed=0) for density in (1.0, 0.001)
    )
    results = [
        Result(pairs(spec) if spec.density == 1 else shared, 1e-6, "quadrature") for spec in models
    ]
    write_manifest(tmp_path, [write_grid(tmp_path, Grid("absolute-value", "?", models), results)])
    claim = measure_claim(Zoo.open(tmp_path), "neurons-compute-in-superposition")
    assert claim is not None
    assert claim.status == "holds"
    assert claim.detail == ""


def test_the_best_seed_alone_counts(tmp_path: Path, shared: Weights) -> None:
    def weights(spec: ModelSpec) -> Weights:
        worse = spec.seed == 1
        return shared if worse and spec.n_features == 6 else pairs(spec)

    assert measured(tmp_path, weights).status == "does not hold"


def test_a_loss_above_that_of_pairs_is_told(tmp_path: Path) -> None:
    def loss(spec: ModelSpec) -> float:
        above = 1.01 if spec.density == 0.1 else 1.0
        return above * pair_loss(spec.importances, spec.n_hidden, spec.density) + 1e-12

    claim = measured(tmp_path, pairs, loss)
    assert "6 × 10 at density 0.1 has a higher loss than the closed form" in claim.detail
    assert claim.numbers["models_worse_than_pairs"] == 1


def test_the_embedded_zoo_has_what_the_claim_tells() -> None:
    claim = measure_claim(Zoo.open(), "neurons-compute-in-superposition")
    assert claim is not None
    assert claim.status == "holds with a caveat"
    assert claim.numbers["sparse_models"] == 10
    assert claim.numbers["models_worse_than_pairs"] == 1
    assert claim.numbers["most_per_pair"] > 1.5
