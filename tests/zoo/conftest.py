"""A small zoo of random weights, with losses that are right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.format import MANIFEST, sha256
from zoo.reading import Zoo
from zoo.records import Result, Trajectory
from zoo.specs import Grid, ModelSpec
from zoo.writer import write_grid, write_manifest

STEPS = np.array([0, 1, 10, 100])


def declared_grids() -> tuple[Grid, ...]:
    bottleneck = tuple(
        ModelSpec(family, 5, 2, p, importance_decay=0.9, seed=seed)
        for family in ("relu-output", "linear")
        for p in (1.0, 0.1, 0.001)
        for seed in range(3)
    )
    sizes = tuple(
        ModelSpec(family, n, m, p, seed=seed)
        for p in (1.0, 0.01)
        for n, m in ((2, 1), (3, 1), (3, 2), (4, 3))
        for family in ("relu-output", "linear")
        for seed in range(2)
    )
    absolute = tuple(
        ModelSpec("absolute-value", 3, 6, p, importance_decay=0.7, seed=seed)
        for p in (1.0, 0.03)
        for seed in range(2)
    )
    pairs = tuple(
        ModelSpec("relu-hidden", 4, 2, 0.2, seed=seed, correlation=c, set_size=2)
        for c in (-1.0, 0.0, 1.0)
        for seed in range(2)
    )
    rare = tuple(
        ModelSpec("relu-output", 3, 2, 0.2, seed=seed, rare_ratio=ratio)
        for ratio in (1.0, 0.001)
        for seed in range(2)
    )
    return (
        Grid("tiny-bottleneck", "What is kept | dropped?", bottleneck, keep_trajectories=True),
        Grid("tiny-sizes", "How does size matter?", sizes),
        Grid("tiny-absolute", "Computing in superposition?", absolute, keep_trajectories=True),
        Grid("tiny-pairs", "Do pairs share neurons?", pairs),
        Grid("tiny-rare", "What does a rare feature cost?", rare),
    )


def random_result(spec: ModelSpec, keep: bool) -> Result:
    rng = np.random.default_rng([spec.seed, spec.n_features, round(spec.density * 1e6)])
    shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
    parameters = {
        name: rng.normal(size=shape).astype(np.float32) * (0.1 if name == "b" else 0.7)
        for name, shape in shapes.items()
    }
    trajectory = None
    if keep:
        frames = {
            name: np.stack([values * (step + 1) / 101 for step in STEPS]).astype(np.float32)
            for name, values in parameters.items()
        }
        losses = np.linspace(1, 0.5, len(STEPS), dtype=np.float32)
        trajectory = Trajectory(STEPS, losses, frames)
    loss, error = true_loss(spec, parameters, spec.importances)
    popular = None
    if spec.rare_ratio is not None:
        popular, _ = true_loss(spec, parameters, np.array([1.0] * (spec.n_features - 1) + [0.0]))
    return Result(
        parameters=parameters,
        loss=loss,
        loss_standard_error=error,
        loss_method="stratified" if error else "quadrature",
        popular_loss=popular,
        trajectory=trajectory,
    )


def true_loss(
    spec: ModelSpec, parameters: dict[str, Any], importances: np.ndarray
) -> tuple[float, float]:
    """The expected loss and its standard error, one active set after another."""
    exact = {name: values.astype(float) for name, values in parameters.items()}
    n, data, family = spec.n_features, spec.distribution, spec.model_family
    active = np.array(list(product([False, True], repeat=n)))
    total = variance = 0.0
    for probability, on in zip(data.set_probability(active), active, strict=True):
        cube, weights = cube_rule(int(on.sum()))
        x = np.zeros((len(cube), n))
        x[:, on] = data.low + (data.high - data.low) * cube
        error = family.forward(exact, x) - family.target(x)
        losses = error**2 @ importances
        total += float(probability * (weights @ losses))
        if on.sum() > 3:
            variance += float(probability**2 * losses.var() / len(losses))
    return total, variance**0.5


@cache
def cube_rule(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, k) in the unit cube and weights (N,): quadrature, or from k = 4 random."""
    if k > 3:
        return np.random.default_rng(k).random((20_000, k)), np.full(20_000, 1 / 20_000)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    points = np.array(list(product((nodes + 1) / 2, repeat=k)))
    return points, np.array([np.prod(w) for w in product(weights / 2, repeat=k)])


def results_of(grid: Grid) -> list[Result]:
    return [random_result(spec, grid.keep_trajectories and spec.seed == 1) for spec in grid]


def build(folder: Path) -> Path:
    entries = [write_grid(folder, grid, results_of(grid)) for grid in declared_grids()]
    write_manifest(folder, entries)
    return folder


@pytest.fixture(scope="session")
def grids() -> tuple[Grid, ...]:
    return declared_grids()


@pytest.fixture(scope="session")
def make_results() -> Callable[[Grid], list[Result]]:
    return results_of


@pytest.fixture(scope="session")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo on disk; not to be changed."""
    return build(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def zoo(zoo_folder: Path) -> Zoo:
    return Zoo.open(zoo_folder)


@pytest.fixture
def own_folder(zoo_folder: Path, tmp_path: Path) -> Path:
    """A copy of the zoo that a test may damage."""
    return shutil.copytree(zoo_folder, tmp_path / "zoo")


@pytest.fixture
def edit_manifest(own_folder: Path) -> Callable[[Callable[[dict[str, Any]], None]], None]:
    """Change the manifest of `own_folder` in place."""

    def edit(change: Callable[[dict[str, Any]], None]) -> None:
        path = own_folder / MANIFEST
        values = json.loads(path.read_text(encoding="utf-8"))
        change(values)
        path.write_text(json.dumps(values), encoding="utf-8")

    return edit


@pytest.fixture
def forge(
    own_folder: Path, edit_manifest: Callable[[Callable[[dict[str, Any]], None]], None]
) -> Callable[[str, bytes], None]:
    """Replace a file of `own_folder`, and make the manifest agree with it."""

    def replace(name: str, data: bytes) -> None:
        (own_folder / name).write_bytes(data)

        def agree(values: dict[str, Any]) -> None:
            grid = values["grids"][name.split("/")[1]]
            grid["files"][name] = {"sha256": sha256(data), "bytes": len(data)}

        edit_manifest(agree)

    return replace
