"""The declared grids are those of the plan, and the embedded zoo is built from them."""

from __future__ import annotations

import pytest

from training.fit import Recipe
from training.grids import GRIDS, PUBLISHED, recipe_for
from zoo import Zoo

# Grid -> families × shapes × densities × everything else × seeds, as planned.
PLANNED = {
    "bottleneck-5x2": 2 * 26 * 2 * 16,  # 25 log-spaced densities hold 0.1; 0.2 is the 26th
    "bottleneck-20x5": 2 * 13 * 4,
    "bottleneck-80x20": 13 * 2,
    "sizes": 2 * 92 * 10 * 4,
    "relu-hidden-10x5": 2 * 25 * 16,
    "absolute-value": 7 * (8 + 8 + 2),
    "co-occurrence": 2 * 3 * 4 * 16,
    "rare-feature": 2 * 5 * 11 * 8,
}


def test_the_grids_have_the_planned_numbers_of_models() -> None:
    assert {name: len(grid) for name, grid in GRIDS.items()} == PLANNED
    assert sum(PLANNED.values()) >= 10_000


@pytest.mark.parametrize("name", ["bottleneck-20x5", "bottleneck-80x20", "absolute-value"])
def test_the_published_densities_are_there_exactly(name: str) -> None:
    assert set(PUBLISHED) <= {spec.density for spec in GRIDS[name]}


def test_the_densities_that_the_claims_name_are_there_exactly() -> None:
    densities = {spec.density for spec in GRIDS["bottleneck-5x2"]}
    assert {1.0, 0.2, 0.1, 0.001} <= densities


def test_every_model_has_a_recipe_and_shapes_of_one_family_share_it() -> None:
    for grid in GRIDS.values():
        recipes: dict[tuple[str, int, int], Recipe] = {}
        for spec in grid:
            key = (spec.family, spec.n_features, spec.n_hidden)
            assert recipes.setdefault(key, recipe_for(spec)) == recipe_for(spec)


def test_the_embedded_zoo_holds_the_declared_grids() -> None:
    zoo = Zoo.open()
    assert zoo.grids == tuple(GRIDS)
    for name, grid in GRIDS.items():
        assert zoo.grid(name).declaration == grid
