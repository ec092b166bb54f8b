"""Claims 13 to 15: zoos in which they hold, and weights that break them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from superposition.claims import Claim
from superposition.sharing import antipodal_cost
from superposition.theory import sparse_variance
from zoo import Grid, ModelSpec, Result, Zoo
from zoo.claims import measure_claim
from zoo.claims.sharing import ENTRIES, neurons_over_density, rare_feature_costs
from zoo.writer import write_grid, write_manifest

Weights = Callable[[ModelSpec], np.ndarray]
Losses = Callable[[ModelSpec], tuple[float, float]]

DENSITIES = (1.0, 0.3, 0.1, 0.03, 0.01)


def polysemantic(spec: ModelSpec) -> np.ndarray:
    """One neuron of four is polysemantic at the second density, two at the third, …"""
    step = DENSITIES.index(spec.density)
    W = np.zeros((4, 10))
    for k in range(4):
        W[k, k : k + 1 + (step if k < step else 0)] = 1
    return W


def pairs(spec: ModelSpec) -> np.ndarray:
    """Partners on one neuron, half on it, or on neurons of their own."""
    angle = {-1.0: 0.0, 0.0: np.pi / 4, 1.0: np.pi / 2}[spec.correlation]
    wobble = 0.01 * spec.seed
    W = np.zeros((4, 4))
    W[0, 0] = W[2, 2] = 1
    W[:2, 1] = W[2:, 3] = np.cos(angle - wobble), np.sin(angle - wobble)
    return W


def textbook(spec: ModelSpec) -> np.ndarray:
    if spec.rare_ratio is not None:
        return np.eye(1, spec.n_features) - np.eye(1, spec.n_features, 1)
    return polysemantic(spec) if spec.n_features == 10 else pairs(spec)


def nearly_free(spec: ModelSpec) -> tuple[float, float]:
    """Total and popular loss as of antipodal pairs."""
    assert spec.rare_ratio is not None
    p, q = spec.density, spec.density * spec.rare_ratio
    extra = float(antipodal_cost(p, q) * sparse_variance(np.array(p)))
    return 0.01 + 2 * extra, 0.01 + extra


def write_zoo(folder: Path, weights: Weights = textbook, losses: Losses = nearly_free) -> Zoo:
    seeds = (0, 1, 2)
    grids = [
        Grid(
            "relu-hidden-10x5",
            "?",
            tuple(
                ModelSpec("relu-hidden", 10, 4, p, 0.7, seed=s) for p in DENSITIES for s in seeds
            ),
        ),
        Grid(
            "co-occurrence",
            "?",
            tuple(
                ModelSpec(family, 4, 4, p, seed=s, correlation=c, set_size=2)
                for family in ("relu-hidden", "relu-output")
                for c in (-1.0, 0.0, 1.0)
                for p in (0.3, 0.1)
                for s in seeds
            ),
        ),
        Grid(
            "rare-feature",
            "?",
            tuple(
                ModelSpec("relu-output", n, 1, p, seed=s, rare_ratio=ratio)
                for n in (2, 3)
                for p in (0.1, 0.5)
                for ratio in (1.0, 0.1, 0.001, 0.0)
                for s in seeds
            ),
        ),
    ]

    def result(spec: ModelSpec) -> Result:
        parameters = {"W": weights(spec), "b": np.zeros(spec.n_features)}
        if spec.rare_ratio is None:
            return Result(parameters, 1 + 0.001 * spec.seed, "exact")
        total, popular = losses(spec)
        return Result(parameters, total + 0.001 * spec.seed, "exact", popular_loss=popular)

    write_manifest(
        folder, [write_grid(folder, grid, [result(spec) for spec in grid]) for grid in grids]
    )
    return Zoo.open(folder)


def measured(zoo: Zoo, claim_id: str) -> Claim:
    claim = measure_claim(zoo, claim_id)
    assert claim is not None
    return claim


def test_the_textbook_zoo_holds_every_claim(tmp_path: Path) -> None:
    zoo = write_zoo(tmp_path)
    claims = [entry.measure(zoo) for entry in ENTRIES]
    assert [claim.status for claim in claims] == ["holds"] * 3
    assert [claim.detail for claim in claims] == [""] * 3


def test_neurons_that_hold_one_feature_throughout_break_the_first(tmp_path: Path) -> None:
    claim = measured(write_zoo(tmp_path, lambda s: alone(s)), "sparser-is-more-polysemantic")
    assert claim.status == "does not hold"
    assert claim.numbers["gain"] == 1


def alone(spec: ModelSpec) -> np.ndarray:
    return np.eye(4, 10) if spec.n_features == 10 else textbook(spec)


def test_one_large_silencing_weight_hides_the_others(tmp_path: Path) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        W = textbook(spec)
        if spec.n_features == 10 and spec.density == 0.01:
            W[:, 9] = -40
        return W

    zoo = write_zoo(tmp_path, weights)
    claim = measured(zoo, "sparser-is-more-polysemantic")
    assert claim.status == "does not hold"
    assert claim.numbers["rises_exciting"] == pytest.approx(1)
    assert "negative weight" in claim.detail
    sparsest = neurons_over_density(zoo, exciting=True).iloc[-1]
    assert sparsest["density"] == 0.01
    # Each neuron has five features at the sparsest, and feature 10 is none of them.
    assert sparsest["features_per_neuron"] == 5


def test_a_stricter_share_counts_fewer_features(tmp_path: Path) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        return textbook(spec) * (0.5 ** np.arange(10) if spec.n_features == 10 else 1)

    zoo = write_zoo(tmp_path, weights)
    loose, strict = (
        neurons_over_density(zoo, share=share)["features_per_neuron"] for share in (0.1, 0.7)
    )
    assert loose.iloc[-1] == 4  # 1, 1/2, 1/4, 1/8
    assert strict.iloc[-1] == 1


def test_partners_always_together_on_one_neuron_break_the_second(tmp_path: Path) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        if spec.set_size == 2 and spec.correlation == 1:
            return pairs(spec.with_seed(spec.seed)) * 0 + np.kron(np.eye(2), [[1.0, 1.0], [0, 0]])
        return textbook(spec)

    claim = measured(write_zoo(tmp_path, weights), "rarely-together-share")
    assert claim.status == "does not hold"
    assert claim.numbers["overlap_always_together"] == pytest.approx(1)
    assert claim.numbers["cosine_always_together"] == pytest.approx(1)
    assert "as one" in claim.detail


def test_seeds_that_scatter_make_the_second_a_caveat(tmp_path: Path) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        if spec.set_size == 2 and spec.correlation == 0:
            # The mean keeps its place; one seed shares everything, another nothing.
            angle = {0: 0.0, 1: np.pi / 4, 2: np.pi / 2}[spec.seed]
            W = pairs(spec)
            W[:2, 1] = W[2:, 3] = np.cos(angle), np.sin(angle)
            return W
        return textbook(spec)

    assert measured(write_zoo(tmp_path, weights), "rarely-together-share").status == (
        "holds with a caveat"
    )


def test_a_rare_feature_that_is_dear_breaks_the_third(tmp_path: Path) -> None:
    def losses(spec: ModelSpec) -> tuple[float, float]:
        total, popular = nearly_free(spec)
        if spec.n_features == 3 and spec.density == 0.5 and spec.rare_ratio == 0.001:
            return total + 0.05, popular + 0.05
        return total, popular

    claim = measured(write_zoo(tmp_path, losses=losses), "rare-features-are-nearly-free")
    assert claim.status == "does not hold"
    assert claim.numbers["settings_where_training_missed"] == 1
    assert "3 × 1 at density 0.5" in claim.detail


def test_a_feature_that_is_not_held_saves_nothing(tmp_path: Path) -> None:
    def losses(spec: ModelSpec) -> tuple[float, float]:
        assert spec.rare_ratio is not None
        rare = sparse_variance(np.array(spec.density * spec.rare_ratio))
        return 0.01 + float(rare), 0.01

    zoo = write_zoo(tmp_path, losses=losses)
    assert rare_feature_costs(zoo)["gain"].to_numpy() == pytest.approx(0, abs=1e-6)
    assert measured(zoo, "rare-features-are-nearly-free").status == "does not hold"


def test_costs_are_against_the_control_of_the_same_setting(tmp_path: Path) -> None:
    table = rare_feature_costs(write_zoo(tmp_path))
    assert (table["rare_ratio"] > 0).all()
    expected = antipodal_cost(table["density"], table["density"] * table["rare_ratio"])
    np.testing.assert_allclose(table["cost"], expected, rtol=1e-6)
