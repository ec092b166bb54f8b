"""Claims 9 to 11: what fits into few dimensions, by chance, by care and by training.

The first two are about random points and directions: they take no model, and are decided in any
zoo, from the seed below.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from superposition.claims import Claim, decide
from superposition.geometry import coherence, represented, welch_bound
from superposition.packing import (
    GROWTHS,
    POINT_SETS,
    dimension_that_works,
    growth_dimensions,
    growth_fit,
    kept_counts,
    lemma_dimension,
    point_set,
    random_coherence,
    rankin_bound,
    ratios_by_dimension,
    share_outside,
    signed_coherence,
)
from zoo.claims.entry import NOTES, Entry
from zoo.reading import Zoo

Floats = NDArray[np.float64]

LEMMA = "Johnson and Lindenstrauss (1984)"
DASGUPTA = "Dasgupta and Gupta (2003)"

# Chosen before looking; each is quoted in its claim's `threshold`.
TRIALS_KEPT = 0.95
BELOW_RANDOM = 0.9
ABOVE_WELCH = 1.5
SOME_BELOW_RANDOM = 0.5

SEED = 0
# From (points, δ) the dimension that the lemma names follows; all are below `SPACE`.
SETTINGS = ((10, 0.3), (10, 0.5), (30, 0.3), (30, 0.5))
SPACE = 500
TRIALS = 100
COSINES = (0.3, 0.4, 0.5)
SPARSE = 0.01
DRAWS = 200
# Of the greedy choice, at each dimension.
GREEDY_RUNS = 20


# No zoo is asked in the next two, and every claim of one is measured with each card and page.


@cache
def _projected(dimensions: tuple[int, ...], trials: int) -> list[tuple[Floats, Floats]]:
    """For each of `SETTINGS`, projected to its dimension: a number for each trial, (3 · trials,).

    Share of pairs outside, and the dimension from which on none would have been.
    """
    rng = np.random.default_rng(SEED)
    found = []
    for (count, delta), named in zip(SETTINGS, dimensions, strict=True):
        outside, needed = [], []
        for kind in POINT_SETS:
            for _ in range(trials):
                points = point_set(kind, count, SPACE, rng)
                ratios = ratios_by_dimension(points, named, rng)
                outside.append(float(share_outside(ratios[-1], delta)))
                needed.append(dimension_that_works(ratios, delta) or named + 1)
        found.append((np.array(outside), np.array(needed, dtype=np.float64)))
    return found


@cache
def _kept(count: Callable[..., Floats], runs: int) -> list[tuple[NDArray[np.integer[Any]], Floats]]:
    """For each of `COSINES`, dimensions and how many directions are kept there."""
    dimensions = [growth_dimensions(epsilon) for epsilon in COSINES]
    return [
        (m, count(epsilon, m, np.random.default_rng(SEED), runs))
        for epsilon, m in zip(COSINES, dimensions, strict=True)
    ]


def _jl_distances(zoo: Zoo) -> Claim:
    kept, promised, outside, looseness = [], [], [], []
    examples = []
    dimensions = tuple(lemma_dimension(count, delta) for count, delta in SETTINGS)
    of_settings = zip(SETTINGS, dimensions, _projected(dimensions, TRIALS), strict=True)
    for (count, delta), named, (shares, needed) in of_settings:
        outside.append(shares)
        kept.append(float(np.mean(shares == 0)))
        promised.append(1 / count)
        middle = float(np.median(needed))
        looseness.append(named / middle)
        examples.append(f"{count} points, δ = {delta:g}: {named} named, {middle:.0f} enough")
    worst = int(np.argmin(kept))
    trials = TRIALS * len(POINT_SETS)
    return Claim(
        id="jl-distances",
        number=9,
        sentence="A random projection to the dimension that the Johnson–Lindenstrauss lemma names "
        "nearly always keeps every squared distance within 1 ± δ.",
        source=f"{NOTES}; {LEMMA}; the dimension is that of {DASGUPTA}",
        measurement=f"{trials} seeded trials for each of "
        + ", ".join(f"{count} points with δ = {delta:g}" for count, delta in SETTINGS)
        + f": a third each of points spread out, in clusters and on the axes, from {SPACE} "
        "dimensions to 4 ln N / (δ²/2 − δ³/3). How often is every pair inside 1 ± δ, and from "
        "which dimension on would that have been so?",
        threshold=f"holds: in every setting in at least {TRIALS_KEPT:.0%} of the trials; with a "
        "caveat: in at least 1/N of them, which is what the lemma's proof promises",
        value=f"in {kept[worst] * trials:.0f} of {trials} trials where it went worst; "
        f"{np.mean(outside):.3%} of all pairs were outside. The dimension named is "
        f"{min(looseness):.1f} to {max(looseness):.1f} times the one that was enough in half of "
        "the trials",
        status=decide(
            min(kept) >= TRIALS_KEPT,
            all(share >= least for share, least in zip(kept, promised, strict=True)),
        ),
        detail="Named and enough: " + "; ".join(examples) + ".",
        page="pages/packing.py",
        numbers={
            "least_share_of_trials": min(kept),
            "share_of_pairs_outside": float(np.mean(outside)),
            "least_looseness": min(looseness),
            "largest_looseness": max(looseness),
        },
    )


def _exponentially_many(zoo: Zoo) -> Claim:
    better, better_beyond, rates, words = [], [], [], []
    for epsilon, (m, counts) in zip(COSINES, _kept(kept_counts, GREEDY_RUNS), strict=True):
        fits = [growth_fit(m, counts, kind) for kind in GROWTHS]
        seen = len(m) * 2 // 3
        beyond = [
            growth_fit(m[:seen], counts[:seen], kind).rms_on(m[seen:], counts[seen:])
            for kind in GROWTHS
        ]
        better.append(fits[1].rms / fits[0].rms)
        better_beyond.append(beyond[1] / beyond[0])
        rates.append(fits[0].slope)
        words.append(
            f"ε = {epsilon:g}: {counts[0]:.0f} in {m[0]} dimensions, {counts[-1]:.0f} in {m[-1]}, "
            f"e^({fits[0].slope:.3f} m)"
        )
    fitted, extended = min(better) > 1, min(better_beyond) > 1
    return Claim(
        id="exponentially-many",
        number=10,
        sentence="The number of directions with pairwise |cos| ≤ ε grows exponentially with the "
        "dimension.",
        source=f"{NOTES}; a corollary of {LEMMA}",
        measurement="random directions, kept if |cos| ≤ ε with all kept before (ε = "
        + ", ".join(f"{epsilon:g}" for epsilon in COSINES)
        + f"), at eight dimensions from 1/ε² to 6/ε², the mean of ln K over "
        f"{GREEDY_RUNS} draws: is it straighter in m, as for an exponential, or in ln m, as for a "
        "power of m? Residuals of a line through all points, and of the last third from a line "
        "through the rest",
        threshold="holds: at every ε the exponential has the smaller residuals, both ways; with a "
        "caveat: at every ε in the fit to all points",
        value="residuals of the power are "
        f"{min(better):.1f} to {max(better):.1f} times those of the exponential, and "
        f"{min(better_beyond):.1f} to {max(better_beyond):.1f} times beyond the points fitted",
        status=decide(fitted and extended, fitted),
        detail="Kept: "
        + "; ".join(words)
        + ". Below 1/ε² dimensions there is no such growth: Welch's bound allows at most "
        "m(1 − ε²)/(1 − mε²) directions. The counts are of a greedy choice, and so from below. At "
        "ε = 0.5 the points beyond the fit are few and near; other draws can turn their verdict.",
        page="pages/packing.py",
        numbers={
            "least_ratio_of_residuals": min(better),
            "least_ratio_beyond": min(better_beyond),
            **{f"rate_at_{epsilon:g}": b for epsilon, b in zip(COSINES, rates, strict=True)},
        },
        plainly="An exponential fits all counts better than a power of the dimension does. Carried "
        "on beyond the dimensions it was fitted to, it is no better at "
        + " and ".join(
            f"ε = {epsilon:g}"
            for epsilon, ratio in zip(COSINES, better_beyond, strict=True)
            if ratio <= 1
        )
        + "."
        if fitted and not extended
        else "",
    )


def _learned_packing(zoo: Zoo) -> Claim:
    found = learned_packing(zoo)
    found = found[
        (found["density"] <= SPARSE * (1 + 1e-9)) & (found["represented"] > found["n_hidden"])
    ]
    below = found["coherence"] < found["random"]
    share = float(below.mean())
    over_welch = float((found["coherence"] / found["welch"]).median())
    opposite = found["coherence"] > 0.99
    forgiven = found["signed"] < found["random_signed"]
    fits_free = found["represented"] <= 2 * found["n_hidden"]
    free = found["signed"][fits_free] <= 0.1
    return Claim(
        id="learned-packing",
        number=11,
        sentence="Sparse models pack their features more evenly than chance: their coherence is "
        "below that of random directions, and near the Welch bound.",
        source="the question this page asks of the models",
        measurement="the ReLU bottlenecks of claim 5, the best seed of each size and density up to "
        f"{SPARSE:g}, m ≥ 2, more features represented than dimensions: coherence μ against the "
        f"mean of {DRAWS} draws of as many random directions, and against the Welch bound",
        threshold=f"holds: μ is below random in {BELOW_RANDOM:.0%} of the models, and the median "
        f"of μ / Welch is at most {ABOVE_WELCH:g}; with a caveat: below random in "
        f"{SOME_BELOW_RANDOM:.0%}",
        value=f"below random in {int(below.sum())} of {len(found)} models; μ is "
        f"{over_welch:.2f} times the Welch bound in the median",
        status=decide(
            share >= BELOW_RANDOM and over_welch <= ABOVE_WELCH, share >= SOME_BELOW_RANDOM
        ),
        detail=f"Not part of the decision: {int(opposite.sum())} of the models have a pair of "
        "opposite directions, |cos| > 0.99. Coherence counts that as the worst there is; to a "
        "ReLU it costs nothing while one of the two is off. Counting positive cosines alone, "
        f"{int(forgiven.sum())} of {len(found)} are below random, and of the "
        f"{int(fits_free.sum())} with at most 2m features, which can avoid positive cosines "
        f"altogether, {int(free.sum())} have none above 0.1.",
        page="pages/packing.py",
        numbers={
            "share_below_random": share,
            "median_over_welch": over_welch,
            "share_with_opposite_pair": float(opposite.mean()),
            "share_signed_below_random": float(forgiven.mean()),
        },
        plainly="Training does not keep directions apart in both senses: it makes opposite pairs, "
        f"which cost a ReLU little. It does avoid directions that point the same way: "
        f"{int(forgiven.sum())} of {len(found)} models are below random in that."
        if share < BELOW_RANDOM and forgiven.mean() >= BELOW_RANDOM
        else "",
    )


def learned_packing(zoo: Zoo) -> pd.DataFrame:
    """The ReLU models of the grid `sizes` with something to pack, and what they compare with.

    A row for the best seed of each size and density with m ≥ 2 and two or more features
    represented. Columns: those of the index, and `represented`, `coherence`, `signed`, `welch`,
    `rankin`, `random`, `random_signed`; the last two are means over `DRAWS` draws of as many
    directions.
    """
    view = zoo.grid("sizes")
    rows = view.select(family="relu-output", best_of_seeds=True)
    rows = rows[(rows["n_hidden"] >= 2) & (rows["features_represented"] >= 2)]
    rng = np.random.default_rng(SEED)
    by_size: dict[tuple[int, int], tuple[float, float]] = {}
    parts = []
    for (_, m), group in rows.groupby(["n_features", "n_hidden"]):
        W = view.parameters(group)["W"].astype(np.float64)
        part = group.assign(
            represented=represented(W).sum(axis=-1),
            coherence=coherence(W),
            signed=signed_coherence(W),
        )
        for k in part["represented"].unique():
            if (k, m) not in by_size:
                by_size[k, m] = random_coherence(int(k), int(m), rng, DRAWS)
        sizes = [(k, m) for k in part["represented"]]
        parts.append(
            part.assign(
                welch=[float(welch_bound(*size)) for size in sizes],
                rankin=[rankin_bound(*size) for size in sizes],
                random=[by_size[size][0] for size in sizes],
                random_signed=[by_size[size][1] for size in sizes],
            )
        )
    return pd.concat(parts, ignore_index=True)


ENTRIES = (
    Entry(9, "jl-distances", (), _jl_distances),
    Entry(10, "exponentially-many", (), _exponentially_many),
    Entry(11, "learned-packing", ("sizes",), _learned_packing),
)
