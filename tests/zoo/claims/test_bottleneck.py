"""The ledger: it follows the weights, and weights that break a claim are shown to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from superposition.claims import Claim, decide
from superposition.theory import optimal_linear_loss, regular_polygon, sparse_variance
from zoo import Grid, ModelSpec, Result, Zoo
from zoo.claims import measure_claim
from zoo.claims.bottleneck import ENTRIES
from zoo.writer import write_grid, write_manifest

NAMES = ("dense-is-pca", "linear-never-superposes", "four-in-two", "pentagon")
DENSITIES = (1.0, 0.2, 0.1, 0.01)


def square() -> np.ndarray:
    W = np.zeros((2, 5))
    W[:, :4] = regular_polygon(4)
    return W


def textbook(spec: ModelSpec) -> np.ndarray:
    """The weights that the notes describe, for every model of the small zoo below."""
    n, m = spec.n_features, spec.n_hidden
    if spec.family == "linear" or spec.density == 1.0:
        return np.eye(m, n)
    if (n, m) == (5, 2):
        return square() if spec.density == 0.2 else regular_polygon(5)
    return np.tile(np.eye(m), (1, -(-n // m)))[:, :n] * (1 + spec.sparsity)


def write_zoo(folder: Path, weights: Callable[[ModelSpec], np.ndarray]) -> Zoo:
    def models(
        families: tuple[str, ...], shapes: tuple[tuple[int, int], ...], decay: float
    ) -> tuple[ModelSpec, ...]:
        return tuple(
            ModelSpec(family, n, m, density, decay, seed=seed)
            for family in families
            for n, m in shapes
            for density in DENSITIES
            for seed in (0, 1, 2)
        )

    both = ("relu-output", "linear")
    grids = [
        Grid("bottleneck-5x2", "?", models(both, ((5, 2),), 0.9)),
        Grid("bottleneck-20x5", "?", models(both, ((20, 5),), 0.7)),
        Grid("bottleneck-80x20", "?", models(("relu-output",), ((80, 20),), 0.9)),
        Grid("relu-hidden-10x5", "?", models(("relu-output",), ((10, 5),), 0.7)),
        Grid("sizes", "?", models(both, ((3, 1), (6, 2)), 1.0)),
    ]

    def result(spec: ModelSpec) -> Result:
        variances = sparse_variance(np.asarray(spec.densities))
        loss = optimal_linear_loss(spec.importances, variances, spec.n_hidden)
        # The first seed is the best one.
        parameters = {"W": weights(spec), "b": np.zeros(spec.n_features)}
        return Result(parameters, loss * (1 + 0.001 * spec.seed), "exact")

    write_manifest(
        folder, [write_grid(folder, grid, [result(spec) for spec in grid]) for grid in grids]
    )
    return Zoo.open(folder)


def measured(zoo: Zoo, claim_id: str) -> Claim:
    claim = measure_claim(zoo, claim_id)
    assert claim is not None
    return claim


def status(zoo: Zoo) -> dict[str, str]:
    return {e.id: e.measure(zoo).status for e in ENTRIES if e.decidable(zoo)}


def test_the_textbook_zoo_holds_every_claim(tmp_path: Path) -> None:
    zoo = write_zoo(tmp_path, textbook)
    assert status(zoo) == dict.fromkeys((*NAMES, "sparser-is-denser-packing"), "holds")


def test_a_dense_model_in_superposition_breaks_the_first_claim(tmp_path: Path) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        if spec.family == "relu-output" and spec.density == 1.0 and spec.n_features == 5:
            return regular_polygon(5)
        return textbook(spec)

    assert status(write_zoo(tmp_path, weights))["dense-is-pca"] == "does not hold"


def test_a_linear_model_with_too_many_features_breaks_the_second(tmp_path: Path) -> None:
    def equal(spec: ModelSpec) -> np.ndarray:
        if spec.family == "linear" and spec.importance_decay == 1.0 and spec.n_features == 3:
            return np.full((1, 3), 1 / np.sqrt(3))
        return textbook(spec)

    def ranked(spec: ModelSpec) -> np.ndarray:
        if spec.family == "linear" and spec.n_features == 5:
            return regular_polygon(5)
        return textbook(spec)

    some = write_zoo(tmp_path / "equal", equal)
    assert status(some)["linear-never-superposes"] == "holds with a caveat"
    worse = write_zoo(tmp_path / "ranked", ranked)
    assert status(worse)["linear-never-superposes"] == "does not hold"


def test_seeds_that_find_something_else_make_the_square_a_caveat(tmp_path: Path) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        return regular_polygon(5) if spec.density == 0.2 and spec.seed else textbook(spec)

    def never(spec: ModelSpec) -> np.ndarray:
        return regular_polygon(5) if spec.density == 0.2 else textbook(spec)

    zoo = write_zoo(tmp_path / "some", lambda s: textbook(s) if s.n_features != 5 else weights(s))
    claim = measured(zoo, "four-in-two")
    assert claim.status == "holds with a caveat"
    assert "1 of 3 seeds" in claim.value
    assert "pentagon (2)" in claim.detail
    zoo = write_zoo(tmp_path / "none", lambda s: textbook(s) if s.n_features != 5 else never(s))
    assert status(zoo)["four-in-two"] == "does not hold"


def test_a_bent_pentagon_is_not_one(tmp_path: Path) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        W = textbook(spec)
        if spec.family == "relu-output" and spec.n_features == 5 and spec.density < 0.2:
            turn = np.radians(10)
            W[:, 0] = np.cos(turn), np.sin(turn)
        return W

    zoo = write_zoo(tmp_path, weights)
    claim = measured(zoo, "pentagon")
    assert claim.status == "does not hold"
    assert claim.numbers["largest_angle_error"] == pytest.approx(10, abs=1e-3)


def test_packing_that_falls_breaks_the_fifth(tmp_path: Path) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        W = textbook(spec)
        return W * 0.5 if (spec.n_features, spec.density) == (6, 0.01) else W

    claim = measured(write_zoo(tmp_path, weights), "sparser-is-denser-packing")
    assert claim.status == "does not hold"
    assert "at 6 × 2" in claim.value


@pytest.mark.parametrize(
    ("lengths", "missed"),
    [
        # The last model reads its two features back at a quarter; the one before it does better.
        ({0.01: 0.5}, 1),
        # The one before it reads them back four times too large; the fall is an improvement.
        ({0.1: 2.0}, 0),
    ],
)
def test_a_fall_is_a_missed_solution_if_the_denser_model_does_better(
    tmp_path: Path, lengths: dict[float, float], missed: int
) -> None:
    def weights(spec: ModelSpec) -> np.ndarray:
        if (spec.n_features, spec.family) != (6, "relu-output"):
            return textbook(spec)
        return np.eye(2, 6) * lengths.get(spec.density, 1.0)

    claim = measured(write_zoo(tmp_path, weights), "sparser-is-denser-packing")
    assert claim.numbers["sizes_that_fall"] == 1
    assert claim.numbers["sizes_that_fall_for_a_missed_solution"] == missed
    assert f"at {missed} of the 1 sizes that fall" in claim.detail


def test_the_explanation_of_the_fifth_claim_does_not_touch_its_status() -> None:
    claim = measured(Zoo.open(), "sparser-is-denser-packing")
    assert claim.status == decide(claim.numbers["share"] == 1, claim.numbers["share"] >= 0.9)
    assert claim.detail.startswith("Not part of the decision")


def test_a_zoo_that_lacks_a_grid_leaves_its_claims_out(tmp_path: Path) -> None:
    write_zoo(tmp_path, textbook)
    manifest = tmp_path / "zoo.json"
    values = json.loads(manifest.read_text())
    del values["grids"]["sizes"]
    manifest.write_text(json.dumps(values))
    assert set(status(Zoo.open(tmp_path))) == set(NAMES) - {"linear-never-superposes"}
