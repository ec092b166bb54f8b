"""Claims 1 to 5: what a bottleneck keeps, and how densely it packs it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from superposition.claims import (
    Claim,
    decide,
    keeps_only_the_first,
    largest_relative_drop,
    neighbour_angles,
)
from superposition.expectation import expectation_nodes, expected_loss
from superposition.families import family
from superposition.theory import optimal_linear_loss, sparse_variance
from zoo.claims.entry import NOTES, PAPER, Entry, counts, percent
from zoo.reading import Zoo

# Chosen before looking; each is quoted in its claim's `threshold`.
MOST_OF_THE_SEEDS = 0.9
LINEAR_LOSS_TOLERANCE = 0.02
PACKING_TOLERANCE = 0.01
PENTAGON_ANGLE = 72.0
PENTAGON_TOLERANCE = 5.0
PENTAGON_SHARE = 0.75
DROP_TOLERANCE = 0.05
SHARE_OF_SIZES = 0.9

_REPRESENTED = "features_represented"

# Nodes for comparing two models on the same data; no claim is decided by it.
COMPARISON_NODES = 4096


def _dense_is_pca(zoo: Zoo) -> Claim:
    grids = ("bottleneck-5x2", "bottleneck-20x5", "bottleneck-80x20", "relu-hidden-10x5")
    as_pca, best, excess = [], [], []
    for name in grids:
        view = zoo.grid(name)
        rows = view.select(family="relu-output", density=1.0)
        rows = rows[rows["importance_decay"] < 1]
        n, m = int(rows["n_features"].iloc[0]), int(rows["n_hidden"].iloc[0])
        W = view.parameters(rows)["W"]
        importances = rows["importance_decay"].iloc[0] ** np.arange(n)
        linear = optimal_linear_loss(importances, sparse_variance(np.ones(n)), m)
        as_pca.append(keeps_only_the_first(W, m))
        best.append(rows["best_of_seeds"].to_numpy())
        excess.append(np.abs(rows["loss"].to_numpy() / linear - 1))
    kept, is_best = np.concatenate(as_pca), np.concatenate(best)
    furthest = float(np.concatenate(excess)[is_best].max())
    near = furthest <= LINEAR_LOSS_TOLERANCE
    every_best = bool(kept[is_best].all())
    share = float(kept.mean())
    return Claim(
        id="dense-is-pca",
        number=1,
        sentence="When no feature is ever absent (S = 0), the ReLU model keeps the m most "
        "important features, orthogonal to each other, and drops the rest, as the best linear "
        "model does.",
        source=f"{NOTES}; {PAPER}, Demonstrating Superposition",
        measurement="ReLU bottlenecks at density 1 with decaying importance (5 × 2, 20 × 5, "
        "80 × 20, 10 × 5): are exactly the first m features represented, with |cos| ≤ 0.1 "
        "between them, and is the loss of the best seed that of the best linear model?",
        threshold=f"holds: every best seed does, its loss within "
        f"{LINEAR_LOSS_TOLERANCE:.0%} of the closed form, and so do {MOST_OF_THE_SEEDS:.0%} of "
        "all seeds; with a caveat: every best seed does",
        value=f"{int(kept.sum())} of {len(kept)} models, {int(kept[is_best].sum())} of "
        f"{int(is_best.sum())} best seeds; loss of the best within {percent(furthest)} of the "
        "closed form",
        status=decide(every_best and near and share >= MOST_OF_THE_SEEDS, every_best),
        detail="With equal importance there is no most important feature: any m-dimensional "
        "subspace is as good for the linear model, so those models are left out here.",
        page="pages/bottleneck.py",
        numbers={"share": share, "largest_loss_difference": furthest},
    )


def _linear_never_superposes(zoo: Zoo) -> Claim:
    rows = zoo.table[zoo.table["family"] == "linear"]
    ranked = rows["importance_decay"] < 1
    within = rows["features_represented"] <= rows["n_hidden"]
    packing = float(rows["features_per_dimension"].max())
    packed = packing <= 1 + PACKING_TOLERANCE
    every_ranked = bool(within[ranked].all())
    over = int((~within).sum())
    return Claim(
        id="linear-never-superposes",
        number=2,
        sentence="Linear models represent at most m features, however sparse the data.",
        source=f"{PAPER}, Demonstrating Superposition",
        measurement="every linear model of the zoo: features with ‖Wᵢ‖ > 0.5 against m, and "
        "features per dimension ‖W‖² / m, with all squared weights added up in ‖W‖²",
        threshold="holds: no model represents more than m features; with a caveat: none with "
        "unequal importance does, and features per dimension never passes "
        f"{1 + PACKING_TOLERANCE:g}",
        value=f"features per dimension is at most {packing:.3f} in all {len(rows):,}; "
        f"{int((~within[ranked]).sum())} of the {int(ranked.sum()):,} with unequal importance "
        f"represent more than m, and {int((~within[~ranked]).sum()):,} of the "
        f"{int((~ranked).sum()):,} with equal importance",
        status=decide(over == 0, every_ranked and packed),
        detail="With equal importance the linear model keeps any m-dimensional subspace, turned "
        "at random against the features: each of n features then has norm about √(m/n), which "
        "can pass 0.5 for more than m of them. The norms share m dimensions; none is gained."
        if over
        else "",
        page="pages/bottleneck.py",
        numbers={"over": over, "models": len(rows), "features_per_dimension": packing},
        plainly="With unequal importance it is so without exception. With equal importance a "
        "linear model may spread its m dimensions over more features, each of them shortened; "
        "nothing is gained by that."
        if over and every_ranked and packed
        else "",
    )


def _four_in_two(zoo: Zoo) -> Claim:
    rows = _bottleneck_5x2(zoo).query("importance_decay == 0.9")
    rows = rows[np.isclose(rows["density"], 0.2)]
    square = rows["solution"] == "two antipodal pairs"
    best = rows.loc[rows["best_of_seeds"], "solution"].iloc[0]
    is_square = best == "two antipodal pairs"
    share = float(square.mean())
    return Claim(
        id="four-in-two",
        number=3,
        sentence="At sparsity 0.8, four features share two dimensions as two orthogonal "
        "antipodal pairs.",
        source=f"{NOTES}, figure; {PAPER}, Demonstrating Superposition",
        measurement="ReLU bottlenecks, 5 × 2, importance 0.9^(i−1), density 0.2: the arrangement "
        "of the best seed, and how many seeds share it",
        threshold="holds: the best seed and at least half of all seeds are the square; with a "
        "caveat: the best seed, or a quarter of all seeds, is",
        value=f"best seed: {best}; square in {int(square.sum())} of {len(rows)} seeds",
        status=decide(is_square and share >= 0.5, is_square or share >= 0.25),
        detail=f"Other arrangements seen at this density: {counts(rows['solution'][~square])}."
        if not square.all()
        else "",
        page="pages/home.py",
        numbers={"share": share, "best_is_square": float(is_square)},
    )


def _pentagon(zoo: Zoo) -> Claim:
    view = zoo.grid("bottleneck-5x2")
    rows = _bottleneck_5x2(zoo).query("importance_decay == 0.9 and best_of_seeds")
    rows = rows[rows["density"] <= 0.1 * (1 + 1e-9)].sort_values("density", ascending=False)
    off = []
    for W in view.parameters(rows)["W"]:
        angles = neighbour_angles(W)
        off.append(np.abs(angles - PENTAGON_ANGLE).max() if len(angles) == 5 else np.inf)
    deviation = np.array(off)
    regular = deviation <= PENTAGON_TOLERANCE
    share = float(regular.mean())
    five = np.isfinite(deviation)
    worst = float(deviation[five].max()) if five.any() else float("inf")
    others = rows.loc[~regular, ["density", "solution"]]
    return Claim(
        id="pentagon",
        number=4,
        sentence="At sparsity 0.9 and above, five features share two dimensions as a regular "
        "pentagon, 72° between neighbours.",
        source=f"{NOTES}, figure; {PAPER}, Demonstrating Superposition",
        measurement="ReLU bottlenecks, 5 × 2, importance 0.9^(i−1), the best seed of each density "
        "up to 0.1: five features represented, and the angles between neighbours",
        threshold=f"holds: at every density five features, each angle within "
        f"{PENTAGON_TOLERANCE:g}° of 72°; with a caveat: at {PENTAGON_SHARE:.0%} of them",
        value=f"{int(regular.sum())} of {len(rows)} densities; where there are five features, the "
        f"angle furthest from 72° is {worst:.1f}° off",
        status=decide(bool(regular.all()), share >= PENTAGON_SHARE),
        detail="Not so at density "
        + ", ".join(f"{p:g} ({name})" for p, name in others.itertuples(index=False))
        + "."
        if len(others)
        else "",
        page="pages/home.py",
        numbers={"share": share, "largest_angle_error": worst},
    )


def _sparser_is_denser_packing(zoo: Zoo) -> Claim:
    rows = zoo.grid("sizes").table.query("family == 'relu-output' and best_of_seeds")
    packing = rows.pivot_table(
        index=["n_features", "n_hidden"], columns="sparsity", values="features_per_dimension"
    )
    packing = packing.reindex(sorted(packing.columns), axis=1)
    drop = largest_relative_drop(packing.to_numpy())
    gain = packing.iloc[:, -1].to_numpy() / packing.iloc[:, 0].to_numpy()
    rises = (drop <= DROP_TOLERANCE) & (gain > 1)
    share = float(rises.mean())
    gains = bool((gain > 1).all())
    # What follows explains the result and decides nothing.
    kept = rows.pivot_table(index=packing.index.names, columns="sparsity", values=_REPRESENTED)
    kept = kept.reindex(packing.columns, axis=1).reindex(packing.index)
    kept_drop = largest_relative_drop(kept.to_numpy())
    falling = [rows[_is_size(rows, size)] for size in packing.index[drop > DROP_TOLERANCE]]
    missed = sum(_falls_are_missed_solutions(zoo, size) for size in falling)
    n, m = packing.index[int(drop.argmax())]
    return Claim(
        id="sparser-is-denser-packing",
        number=5,
        sentence="The sparser the data, the more tightly features are packed: the features per "
        "dimension, ‖W‖² / m, rise at every size.",
        source=f"{NOTES}; {PAPER}, The Geometry of Superposition",
        measurement=f"ReLU bottlenecks of {len(packing)} sizes n × m, equal importance, best seed: "
        f"‖W‖² / m, all squared weights added up over m, at {len(packing.columns)} densities for "
        "each size",
        threshold=f"holds: at every size it never falls more than {DROP_TOLERANCE:.0%} below an "
        "earlier value and ends above its start; with a caveat: every size ends above its start "
        f"and {SHARE_OF_SIZES:.0%} of the sizes do the first",
        value=f"{int(rises.sum())} of {len(packing)} sizes rise throughout; "
        f"{int((gain > 1).sum())} of {len(packing)} end above their start, by a factor of "
        f"{np.median(gain):.2f} in the median; the largest fall is {drop.max():.1%}, at {n} × {m}",
        status=decide(bool(rises.all()), gains and share >= SHARE_OF_SIZES),
        detail=_why_packing_falls(len(falling), missed, kept_drop),
        page="pages/sizes.py",
        numbers={
            "share": share,
            "largest_drop": float(drop.max()),
            "sizes_that_fall": len(falling),
            "sizes_that_fall_for_a_missed_solution": missed,
            "sizes_whose_represented_features_never_fall": int((kept_drop <= 0).sum()),
        },
        plainly=f"From dense to sparse packing rises at {int((gain > 1).sum())} of "
        f"{len(packing)} sizes, but not at every step: at {len(falling)} it falls on the way, at "
        f"{missed} of these because the few seeds missed a better solution."
        if falling
        else "",
    )


def _why_packing_falls(falling: int, missed: int, kept_drop: NDArray[np.float64]) -> str:
    """What is known of the falls, in words."""
    if not falling:
        return ""
    same = int((kept_drop <= 0).sum())
    return (
        f"Not part of the decision: at {missed} of the {falling} sizes that fall, training missed "
        "a better solution at every fall. The weights of the denser model, taken as they are, "
        "have a lower loss on the sparser data than the best seed that was trained on it. These "
        "falls show what a few seeds find, not what fits. Asked of features represented "
        f"(‖Wᵢ‖ > 0.5) instead of ‖W‖², {same} of {len(kept_drop)} sizes never fall."
    )


def _falls_are_missed_solutions(zoo: Zoo, rows: pd.DataFrame) -> bool:
    """Whether at every fall of packing a model trained on denser data would have done better.

    At each density where packing is more than `DROP_TOLERANCE` below an earlier value, the
    model of that earlier value is compared with the one trained there, on the same nodes.

    rows: the best seed at each density, of one size.
    """
    rows = rows.sort_values("density", ascending=False)
    parameters = {
        name: values.astype(np.float64)
        for name, values in zoo.grid("sizes").parameters(rows).items()
    }
    packing = rows["features_per_dimension"].to_numpy(dtype=np.float64)
    highest = np.maximum.accumulate(packing)
    relu = family("relu-output")
    for here in np.flatnonzero(1 - packing / highest > DROP_TOLERANCE):
        distribution = zoo.model(rows["model_id"].iloc[here]).spec.distribution
        nodes = expectation_nodes(
            distribution, budget=COMPARISON_NODES, rng=np.random.default_rng(0)
        )
        pair = [int(packing[:here].argmax()), int(here)]
        earlier, trained = expected_loss(
            relu,
            {name: values[pair] for name, values in parameters.items()},
            nodes.points,
            nodes.weights,
            np.ones(distribution.n_features),
        )
        if earlier >= trained:
            return False
    return True


def _is_size(rows: pd.DataFrame, size: tuple[int, int]) -> pd.Series:
    return (rows["n_features"] == size[0]) & (rows["n_hidden"] == size[1])


def _bottleneck_5x2(zoo: Zoo) -> pd.DataFrame:
    return zoo.grid("bottleneck-5x2").select(family="relu-output")


ENTRIES = (
    Entry(
        1,
        "dense-is-pca",
        ("bottleneck-5x2", "bottleneck-20x5", "bottleneck-80x20", "relu-hidden-10x5"),
        _dense_is_pca,
    ),
    Entry(
        2,
        "linear-never-superposes",
        ("bottleneck-5x2", "bottleneck-20x5", "sizes"),
        _linear_never_superposes,
    ),
    Entry(3, "four-in-two", ("bottleneck-5x2",), _four_in_two),
    Entry(4, "pentagon", ("bottleneck-5x2",), _pentagon),
    Entry(5, "sparser-is-denser-packing", ("sizes",), _sparser_is_denser_packing),
)
