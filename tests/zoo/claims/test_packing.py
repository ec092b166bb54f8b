"""Claims 9 to 11: they follow what is measured, and can fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from superposition.claims import Claim
from superposition.geometry import coherence
from superposition.packing import least_coherent, lemma_dimension, random_directions
from zoo import Grid, ModelSpec, Result, Zoo
from zoo.claims import measure_claim, packing
from zoo.writer import write_grid, write_manifest

SHAPES = ((6, 3), (5, 4), (7, 3))
DENSITIES = (1.0, 0.01, 0.001)
Weights = Callable[[ModelSpec], np.ndarray]


def measured(claim_id: str, zoo: Zoo | None = None) -> Claim:
    claim = measure_claim(Zoo.open() if zoo is None else zoo, claim_id)
    assert claim is not None
    return claim


def sizes_zoo(folder: Path, weights: Weights) -> Zoo:
    """A zoo of one grid, `sizes`, with the weights given; the first seed is the best."""
    models = tuple(
        ModelSpec("relu-output", n, m, density, seed=seed)
        for n, m in SHAPES
        for density in DENSITIES
        for seed in (0, 1)
    )
    grid = Grid("sizes", "?", models)
    results = [
        Result(
            {"W": weights(spec).astype(np.float32), "b": np.zeros(spec.n_features, np.float32)},
            0.1 * (1 + spec.seed),
            "exact",
        )
        for spec in grid
    ]
    write_manifest(folder, [write_grid(folder, grid, results)])
    return Zoo.open(folder)


# Claim 9


@pytest.mark.parametrize(
    ("share", "status"), [(1.0, "holds"), (0.5, "holds with a caveat"), (0.1, "does not hold")]
)
def test_fewer_dimensions_than_the_lemma_names_break_the_ninth(
    monkeypatch: pytest.MonkeyPatch, share: float, status: str
) -> None:
    monkeypatch.setattr(packing, "TRIALS", 20)

    def named(count: int, epsilon: float) -> int:
        return max(1, round(share * lemma_dimension(count, epsilon)))

    monkeypatch.setattr(packing, "lemma_dimension", named)
    claim = measured("jl-distances")
    assert claim.status == status
    kept = claim.numbers["least_share_of_trials"]
    assert (kept >= 0.95) == (status == "holds")
    trials = packing.TRIALS * len(packing.POINT_SETS)
    assert f"in {kept * trials:.0f} of {trials} trials" in claim.value


def test_the_ninth_says_how_loose_the_lemma_is() -> None:
    claim = measured("jl-distances")
    assert 1 < claim.numbers["least_looseness"] <= claim.numbers["largest_looseness"]
    assert "30 points, δ = 0.3: 378 named" in claim.detail


# Claim 10


def growing(power: float) -> Callable[..., Any]:
    return lambda epsilon, m, rng, runs: 3 * np.asarray(m, dtype=float) ** power


def test_growth_like_a_power_breaks_the_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "kept_counts", growing(2.5))
    claim = measured("exponentially-many")
    assert claim.status == "does not hold"
    assert claim.numbers["least_ratio_of_residuals"] < 1


def test_an_exponential_at_first_that_is_none_later_is_a_caveat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def counts(epsilon: float, m: Any, rng: object, runs: int) -> np.ndarray:
        # Through all of these an exponential fits a little better; from the first five alone it
        # would go on far too steeply.
        return np.exp([1.0, 1.0, 2.0, 4.0, 5.0, 5.0, 5.5, 6.0])

    monkeypatch.setattr(packing, "kept_counts", counts)
    claim = measured("exponentially-many")
    assert claim.numbers["least_ratio_of_residuals"] > 1 > claim.numbers["least_ratio_beyond"]
    assert claim.status == "holds with a caveat"


def test_the_rates_of_the_tenth_grow_with_epsilon() -> None:
    claim = measured("exponentially-many")
    rates = [claim.numbers[f"rate_at_{epsilon:g}"] for epsilon in packing.COSINES]
    # In high dimensions ln K grows by ln(1 / (1 − ε²)) / 2 for each; here a factor of √m helps.
    for rate, epsilon in zip(rates, packing.COSINES, strict=True):
        assert 1 < rate / (-np.log(1 - epsilon**2) / 2) < 1.6


# Claim 11


def test_models_at_the_welch_bound_hold_the_eleventh(tmp_path: Path) -> None:
    best = {(n, m): least_coherent(n, m, np.random.default_rng(0)) for n, m in SHAPES}
    zoo = sizes_zoo(tmp_path, lambda spec: best[spec.n_features, spec.n_hidden])
    claim = measured("learned-packing", zoo)
    assert claim.status == "holds"
    assert claim.numbers["share_below_random"] == 1
    # The dense models are left out, and so are the worse seeds.
    assert "below random in 6 of 6 models" in claim.value


def test_opposite_directions_break_the_eleventh_and_are_counted(tmp_path: Path) -> None:
    def pairs(spec: ModelSpec) -> np.ndarray:
        axes = np.concatenate([np.eye(spec.n_hidden), -np.eye(spec.n_hidden)], axis=1)
        return np.resize(axes.T, (spec.n_features, spec.n_hidden)).T

    claim = measured("learned-packing", sizes_zoo(tmp_path, pairs))
    assert claim.status == "does not hold"
    assert claim.numbers["share_with_opposite_pair"] == 1
    assert "6 of the models have a pair of opposite directions" in claim.detail
    # Of the three sizes, 7 × 3 has more than 2m features: one axis is used twice.
    assert "of the 4 with at most 2m features" in claim.detail
    assert "4 have none above 0.1" in claim.detail


def test_models_a_little_better_than_chance_are_a_caveat(tmp_path: Path) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        rng = np.random.default_rng(spec.n_features)
        draws = [random_directions(spec.n_features, spec.n_hidden, rng) for _ in range(12)]
        return sorted(draws, key=lambda W: float(coherence(W)))[1]

    claim = measured("learned-packing", sizes_zoo(tmp_path, weights))
    assert claim.numbers["share_below_random"] == 1
    assert claim.numbers["median_over_welch"] > 1.5
    assert claim.status == "holds with a caveat"


def test_the_eleventh_on_the_embedded_zoo_agrees_with_its_index() -> None:
    zoo = Zoo.open()
    rows = zoo.grid("sizes").select(family="relu-output", best_of_seeds=True)
    rows = rows[(rows["density"] < 0.0101) & (rows["n_hidden"] > 1)]
    rows = rows[rows["features_represented"] > rows["n_hidden"]]
    claim = measured("learned-packing")
    assert f"of {len(rows)} models" in claim.value
    assert claim.numbers["share_with_opposite_pair"] == np.mean(rows["coherence"] > 0.99)
    rng = np.random.default_rng(5)
    means = {}
    for k, m in set(zip(rows["features_represented"], rows["n_hidden"], strict=True)):
        W = np.stack([random_directions(int(k), int(m), rng) for _ in range(100)])
        means[k, m] = coherence(W).mean()
    below = [
        value < means[k, m]
        for value, k, m in zip(
            rows["coherence"], rows["features_represented"], rows["n_hidden"], strict=True
        )
    ]
    assert claim.numbers["share_below_random"] == pytest.approx(np.mean(below), abs=0.02)


def test_the_first_two_need_no_models(tmp_path: Path) -> None:
    write_manifest(tmp_path, [])
    zoo = Zoo.open(tmp_path)
    assert measure_claim(zoo, "learned-packing") is None
    assert measured("exponentially-many", zoo) == measured("exponentially-many")
