"""The grids of the zoo: which models it holds, and how each grid is trained.

To add a grid, write a function that returns its models, seeds innermost, and list it
in `GRIDS` with the question it answers; give it a recipe if the default will not do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from training.fit import Recipe
from zoo.specs import Grid, ModelSpec, log_spaced

# The densities of the paper's figures, and the geometric means between neighbours.
PUBLISHED = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
PUBLISHED_AND_BETWEEN = tuple(
    sorted(
        {*PUBLISHED} | {float(f"{(a * b) ** 0.5:.4g}") for a, b in pairwise(PUBLISHED)},
        reverse=True,
    )
)


def _seeds(specs: Iterable[ModelSpec], count: int) -> Iterator[ModelSpec]:
    for spec in specs:
        for seed in range(count):
            yield spec.with_seed(seed)


def _plain(
    families: Iterable[str],
    shapes: Iterable[tuple[int, int]],
    densities: Iterable[float],
    decays: Iterable[float],
) -> Iterator[ModelSpec]:
    """Independent features of one density: family, shape, importance, density."""
    densities, decays, shapes = tuple(densities), tuple(decays), tuple(shapes)
    for family in families:
        for n, m in shapes:
            for decay in decays:
                for density in densities:
                    yield ModelSpec(family, n, m, density, decay)


def _bottleneck_5x2() -> Iterator[ModelSpec]:
    densities = log_spaced(1.0, 0.001, 25, also=(0.2, 0.1))
    specs = _plain(("relu-output", "linear"), [(5, 2)], densities, (0.9, 1.0))
    return _seeds(specs, 16)


def _bottleneck_20x5() -> Iterator[ModelSpec]:
    specs = _plain(("relu-output", "linear"), [(20, 5)], PUBLISHED_AND_BETWEEN, (0.7,))
    return _seeds(specs, 4)


def _bottleneck_80x20() -> Iterator[ModelSpec]:
    return _seeds(_plain(("relu-output",), [(80, 20)], PUBLISHED_AND_BETWEEN, (0.9,)), 2)


def _sizes() -> Iterator[ModelSpec]:
    shapes = [(n, m) for n in range(2, 17) for m in range(1, 9) if m < n]
    densities = log_spaced(1.0, 0.001, 10)
    return _seeds(_plain(("relu-output", "linear"), shapes, densities, (1.0,)), 4)


def _relu_hidden() -> Iterator[ModelSpec]:
    densities = log_spaced(1.0, 0.01, 25)
    return _seeds(_plain(("relu-hidden", "relu-output"), [(10, 5)], densities, (0.7,)), 16)


def _absolute_value() -> Iterator[ModelSpec]:
    for (n, m), decay, seeds in (((3, 6), 0.7, 8), ((6, 10), 0.7, 8), ((100, 40), 0.8, 2)):
        yield from _seeds(_plain(("absolute-value",), [(n, m)], PUBLISHED, (decay,)), seeds)


def _co_occurrence() -> Iterator[ModelSpec]:
    specs = (
        ModelSpec(family, 8, 4, density, correlation=correlation, set_size=2)
        for family in ("relu-hidden", "relu-output")
        for correlation in (-1.0, 0.0, 1.0)
        for density in (0.3, 0.1, 0.03, 0.01)
    )
    return _seeds(specs, 16)


def _rare_feature() -> Iterator[ModelSpec]:
    # A ratio of 0 is the control: the same model with nothing to gain from the last feature.
    specs = (
        ModelSpec("relu-output", n, 4, density, rare_ratio=ratio)
        for n in (5, 6)
        for density in (0.05, 0.1, 0.2, 0.3, 0.5)
        for ratio in (*log_spaced(1.0, 0.001, 10), 0.0)
    )
    return _seeds(specs, 8)


GRIDS: Mapping[str, Grid] = {
    grid.name: grid
    for grid in (
        Grid(
            "bottleneck-5x2",
            "What do five features do in two dimensions, as they become sparser?",
            tuple(_bottleneck_5x2()),
            keep_trajectories=True,
        ),
        Grid(
            "bottleneck-20x5",
            "The same with twenty features in five dimensions: which are kept, which interfere?",
            tuple(_bottleneck_20x5()),
        ),
        Grid(
            "bottleneck-80x20",
            "The larger published model: eighty features in twenty dimensions.",
            tuple(_bottleneck_80x20()),
        ),
        Grid(
            "sizes",
            "How many features fit, for every size and sparsity?",
            tuple(_sizes()),
        ),
        Grid(
            "relu-hidden-10x5",
            "What changes when hidden units are neurons, beside the same model without?",
            tuple(_relu_hidden()),
        ),
        Grid(
            "absolute-value",
            "Can neurons compute with more features than they have room for?",
            tuple(_absolute_value()),
        ),
        Grid(
            "co-occurrence",
            "Do features that rarely meet share neurons?",
            tuple(_co_occurrence()),
        ),
        Grid(
            "rare-feature",
            "What does one more, rarer, feature cost the popular ones?",
            tuple(_rare_feature()),
        ),
    )
}

_RECIPES = {
    # In closed form and without local minima; as many steps as its ReLU twin, so that
    # both can keep trajectories in one grid.
    "linear": Recipe(steps=1500, learning_rate=0.05),
    "relu-output": Recipe(steps=1500, learning_rate=0.05, budget=1024),
    # Neurons that share badly are slow to be freed.
    "relu-hidden": Recipe(steps=4000, learning_rate=0.1, budget=1024),
    "absolute-value": Recipe(steps=12000, learning_rate=0.1, budget=1024),
}
# Many features need smaller steps, and fresh nodes more often.
_LARGE = {
    "relu-output": Recipe(steps=4000, learning_rate=0.02, budget=1024, resample_every=5),
    "absolute-value": Recipe(
        steps=8000, learning_rate=0.01, budget=1024, resample_every=5, initial_scale=0.5
    ),
}


def recipe_for(spec: ModelSpec) -> Recipe:
    """How the zoo trains a model; the same for all models of one family and shape."""
    if spec.n_features > 16 and spec.family in _LARGE:
        return _LARGE[spec.family]
    return _RECIPES[spec.family]
