"""Claims of bases: weights that obey them, and weights and matrices that break them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from superposition.claims import Claim
from superposition.geometry import haar_rotations
from zoo import Grid, ModelSpec, Result, Zoo
from zoo.claims import basis, measure_claim
from zoo.writer import write_grid, write_manifest

SEEDS = 10
DENSITIES = (1.0, 0.1)


def axes(spec: ModelSpec) -> np.ndarray:
    """The first m features, each on an axis of its own, a little off."""
    rng = np.random.default_rng([spec.seed, round(100 * spec.density)])
    W = np.eye(spec.n_hidden, spec.n_features)
    return W + 0.02 * rng.normal(size=W.shape)


def turned(spec: ModelSpec) -> np.ndarray:
    """The same in axes drawn at random for each model."""
    rng = np.random.default_rng([spec.seed, round(100 * spec.density), 1])
    return haar_rotations(1, spec.n_hidden, rng)[0] @ axes(spec)


def textbook(spec: ModelSpec) -> np.ndarray:
    return axes(spec) if spec.family == "relu-hidden" else turned(spec)


def write_zoo(folder: Path, weights: Callable[[ModelSpec], np.ndarray]) -> Zoo:
    def models(
        families: tuple[str, ...], shapes: tuple[tuple[int, int], ...], seeds: int
    ) -> tuple[ModelSpec, ...]:
        return tuple(
            ModelSpec(family, n, m, density, 0.7, seed=seed)
            for family in families
            for n, m in shapes
            for density in DENSITIES
            for seed in range(seeds)
        )

    both = ("relu-output", "linear")
    grids = [
        Grid("bottleneck-5x2", "?", models(both, ((5, 2),), 2)),
        Grid("bottleneck-20x5", "?", models(both, ((20, 5),), 1)),
        Grid("bottleneck-80x20", "?", models(("relu-output",), ((80, 20),), 1)),
        Grid("sizes", "?", models(both, ((2, 1), (6, 2)), 1)),
        Grid("relu-hidden-10x5", "?", models(("relu-hidden", "relu-output"), ((6, 4),), SEEDS)),
    ]

    def result(spec: ModelSpec) -> Result:
        parameters = {"W": weights(spec), "b": np.zeros(spec.n_features)}
        # The first seed is the best one.
        return Result(parameters, 1 + 0.001 * spec.seed, "quadrature")

    write_manifest(
        folder, [write_grid(folder, grid, [result(spec) for spec in grid]) for grid in grids]
    )
    return Zoo.open(folder)


@pytest.fixture(scope="module")
def textbook_zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return write_zoo(tmp_path_factory.mktemp("textbook"), textbook)


def measured(zoo: Zoo, claim_id: str) -> Claim:
    claim = measure_claim(zoo, claim_id)
    assert claim is not None
    return claim


def test_the_textbook_zoo_holds_every_claim(textbook_zoo: Zoo) -> None:
    claims = [measured(textbook_zoo, entry.id) for entry in basis.ENTRIES]
    assert {claim.id: claim.status for claim in claims} == {
        "bottleneck-is-rotation-free": "holds",
        "neurons-are-not": "holds",
        "privileged-basis-aligns": "holds",
    }
    assert claims[0].numbers["models"] == 2 * (4 + 2 + 1 + 4 + SEEDS)
    # Every seed of the twins is measured, and an invertible matrix is not its own transpose.
    assert f"{2 * SEEDS} models with neurons" in claims[2].value
    assert claims[0].numbers["models_changed_by_transpose"] == claims[0].numbers["models"]


@pytest.mark.parametrize(
    ("condition", "status"), [(1e7, "holds with a caveat"), (1e16, "does not hold")]
)
def test_a_matrix_that_loses_digits_or_all_breaks_the_sixth(
    textbook_zoo: Zoo, monkeypatch: pytest.MonkeyPatch, condition: float, status: str
) -> None:
    """No weights can: the claim is an identity. A matrix that cannot be undone can."""

    def hard_to_undo(_kind: str, m: int, rng: np.random.Generator) -> np.ndarray:
        left, right = haar_rotations(2, m, rng)
        return (left * np.geomspace(1, 1 / condition, m)) @ right

    monkeypatch.setattr(basis, "matrix_of_kind", hard_to_undo)
    claim = measured(textbook_zoo, "bottleneck-is-rotation-free")
    assert claim.status == status
    assert claim.numbers["largest_change_by_rotation"] < 1e-12
    assert claim.numbers["largest_change_by_invertible"] > 1e-12


def test_a_layer_that_cannot_tell_its_basis_breaks_the_seventh(tmp_path: Path) -> None:
    def dead(spec: ModelSpec) -> np.ndarray:
        """Neurons without weights do the same at every angle."""
        return axes(spec) * (spec.family != "relu-hidden")

    def dead_when_sparse(spec: ModelSpec) -> np.ndarray:
        return axes(spec) if spec.density == 1.0 else dead(spec)

    claim = measured(write_zoo(tmp_path / "dead", dead), "neurons-are-not")
    assert claim.status == "does not hold"
    assert claim.numbers["largest_rise"] == 0
    half = measured(write_zoo(tmp_path / "half", dead_when_sparse), "neurons-are-not")
    assert half.status == "holds with a caveat"
    assert half.numbers["share_of_densities"] == 0.5


def test_a_turn_that_finds_something_better_is_counted(tmp_path: Path) -> None:
    def mirrored(spec: ModelSpec) -> np.ndarray:
        # The second neuron points away from its feature: a quarter turn with the first mends it.
        flip = np.diag([1.0, -1.0] + [1.0] * (spec.n_hidden - 2))
        return flip @ axes(spec) if spec.family == "relu-hidden" else turned(spec)

    assert (
        measured(write_zoo(tmp_path / "z", mirrored), "neurons-are-not").numbers[
            "turns_with_lower_loss"
        ]
        > 0
    )


def test_twins_that_align_are_a_caveat_and_neurons_that_do_not_break_the_eighth(
    tmp_path: Path,
) -> None:
    both = measured(write_zoo(tmp_path / "both", axes), "privileged-basis-aligns")
    assert both.status == "holds with a caveat"
    assert both.numbers["twin_share"] == both.numbers["aligned_share"] == 1
    neither = measured(write_zoo(tmp_path / "neither", turned), "privileged-basis-aligns")
    assert neither.status == "does not hold"
    assert "no density reaches the threshold" in neither.detail


def test_the_eighth_tells_where_neurons_are_aligned(tmp_path: Path) -> None:
    def dense_only(spec: ModelSpec) -> np.ndarray:
        return textbook(spec) if spec.density == 1.0 else turned(spec)

    claim = measured(write_zoo(tmp_path, dense_only), "privileged-basis-aligns")
    assert claim.status == "does not hold"
    assert "1 of 2 densities reach the threshold, from 1 to 1" in claim.detail
