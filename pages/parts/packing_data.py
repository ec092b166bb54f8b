"""What the page on packing shows, computed once for all readers.

Everything is seeded: the same settings give the same points, directions and numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from figures.packing import (
    KEPT,
    KNOWN,
    MOVED,
    OPTIMISED,
    RANDOM,
    RANKIN,
    WELCH,
    ReadingCounts,
    count_readings,
)
from superposition.geometry import coherence, welch_bound
from superposition.packing import (
    GROWTHS,
    Growth,
    GrowthFit,
    PointSet,
    crowded_directions,
    dimension_that_works,
    growth_dimensions,
    growth_fit,
    kept_counts,
    least_coherent,
    lemma_dimension,
    outside_probability,
    point_set,
    random_coherence,
    random_count,
    rankin_bound,
    ratios_by_dimension,
    root_lines,
    share_outside,
    signed_coherence,
    squared_distances,
    welch_count,
)
from superposition.readout import linear_reader, reading_noise, relu_reader, sample_readings
from zoo import Zoo

Floats = NDArray[np.float64]

SPACE = 2_000
"""Dimensions that the points come from."""
FEATURES = 1_000
"""Features whose readings are sampled."""
ACTIVE = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
MOST_FEATURES = 16
"""As many features as the models of the grid have at most."""

_STEPS = 22


@dataclass(frozen=True)
class Projection:
    """A random projection of one set of points, to every dimension up to the lemma's.

    Attributes:
        named: the dimension of the lemma.
        enough: the dimension from which on every pair stays inside; None if `named` is too small.
        distances: before, (P,).
        dimensions: those of the slider, `enough` and `named` among them.
        ratios: of squared distances at each of `dimensions`, (M, P).
        outside: share of pairs outside 1 ± ε at m = 1, 2, …, `named`.
        expected: the same on average over all projections.
    """

    named: int
    enough: int | None
    distances: Floats
    dimensions: tuple[int, ...]
    ratios: Floats
    outside: Floats
    expected: Floats


@st.cache_data(show_spinner=False, max_entries=64)
def projection(kind: PointSet, count: int, epsilon: float, seed: int) -> Projection:
    """`count` points of one kind, projected at random."""
    rng = np.random.default_rng(seed)
    points = point_set(kind, count, SPACE, rng)
    named = lemma_dimension(count, epsilon)
    ratios = ratios_by_dimension(points, named, rng)
    enough = dimension_that_works(ratios, epsilon)
    dimensions = set(np.rint(np.geomspace(2, named, _STEPS)).astype(int).tolist())
    if enough is not None:
        dimensions.add(enough)
    ordered = tuple(sorted(dimensions))
    return Projection(
        named,
        enough,
        np.sqrt(squared_distances(points)),
        ordered,
        ratios[np.array(ordered) - 1],
        share_outside(ratios, epsilon),
        outside_probability(np.arange(1, named + 1), epsilon),
    )


@dataclass(frozen=True)
class Counts:
    """How many directions fit, and how that grows.

    Attributes:
        by_way: a name of `figures.packing.STYLES` -> rows with `m` and `count`.
        grown: the dimensions of the fits, (M,).
        fits: "exponential" and "power" -> the fit to the kept ones there, as claim 10 makes it.
        welch: the most that Welch's bound allows, at m where that is finite.
    """

    by_way: dict[str, pd.DataFrame]
    grown: NDArray[np.int64]
    fits: dict[Growth, GrowthFit]
    welch: pd.DataFrame


@st.cache_data(show_spinner=False, max_entries=8)
def counts(epsilon: float) -> Counts:
    """Directions with pairwise |cos| ≤ ε, found by chance, by selection and by moving aside."""
    grown = growth_dimensions(epsilon)
    kept = kept_counts(epsilon, grown, np.random.default_rng(0))
    fits = {kind: growth_fit(grown, kept, kind) for kind in GROWTHS}
    rng = np.random.default_rng(1)
    chance = [
        float(np.median([random_count(epsilon, m, rng) for _ in range(21)])) for m in grown.tolist()
    ]
    # Moving aside takes longer with every direction: a second or so in all, at every ε.
    moved = np.unique(np.rint(np.linspace(2, 3.5 / epsilon - 0.5, 6)).astype(int))
    found = [crowded_directions(epsilon, m, rng).shape[1] for m in moved.tolist()]
    beside = np.setdiff1d(moved, grown)
    kept_beside = kept_counts(epsilon, beside, rng)
    # The later ones are drawn on top.
    by_way = {
        RANDOM: pd.DataFrame({"m": grown, "count": chance}),
        KEPT: pd.DataFrame(
            {
                "m": np.concatenate([beside, grown]),
                "count": np.concatenate([kept_beside, kept]),
            }
        ).sort_values("m"),
    }
    if epsilon == 0.5:
        roots = range(2, 9)
        by_way[KNOWN] = pd.DataFrame({"m": roots, "count": [root_lines(m).shape[1] for m in roots]})
    by_way[MOVED] = pd.DataFrame({"m": moved, "count": found})
    allowed = [(m, welch_count(epsilon, m)) for m in range(1, int(grown[-1]))]
    welch = pd.DataFrame([row for row in allowed if np.isfinite(row[1])], columns=["m", "count"])
    return Counts(by_way, grown, fits, welch)


@st.cache_data(show_spinner=False, max_entries=32)
def compared_with(m: int, signed: bool) -> pd.DataFrame:
    """Random and optimised directions and the bound, for 2 to 16 features in m dimensions.

    Columns `load` (features per dimension), `value` (coherence) and `line`.
    """
    rng = np.random.default_rng(0)
    rows = []
    for k in range(2, MOST_FEATURES + 1):
        by_chance = random_coherence(k, m, rng)[signed]
        W = least_coherent(k, m, rng, restarts=2, signed=signed)
        best = float(signed_coherence(W) if signed else coherence(W))
        bound = rankin_bound(k, m) if signed else float(welch_bound(k, m))
        name = RANKIN if signed else WELCH
        for line, value in ((RANDOM, by_chance), (OPTIMISED, best), (name, bound)):
            rows.append({"load": k / m, "value": round(value, 5), "line": line})
    return pd.DataFrame(rows)


@st.cache_data(show_spinner=False, max_entries=4)
def learned(_zoo: Zoo, key: str) -> pd.DataFrame:
    """The sparse models of the zoo, with their coherence: see `zoo.claims.packing`."""
    from zoo.claims.packing import learned_packing

    return learned_packing(_zoo)


def learned_dots(table: pd.DataFrame, m: int, signed: bool) -> tuple[pd.DataFrame, list[float]]:
    """The models in m dimensions, as `figures.packing.coherence_chart` takes them; densities."""
    densities = sorted(table["density"].unique().tolist(), reverse=True)
    rows = table[table["n_hidden"] == m]
    dots = pd.DataFrame(
        {
            "step": [densities.index(p) for p in rows["density"]],
            "load": (rows["represented"] / m).round(5).to_numpy(dtype=float),
            "value": rows["signed" if signed else "coherence"].round(5).to_numpy(dtype=float),
            "label": [
                f"{n} × {m}, {k} represented"
                for n, k in zip(rows["n_features"], rows["represented"], strict=True)
            ],
            "model_id": rows["model_id"].to_numpy(),
        }
    )
    return dots, densities


@dataclass(frozen=True)
class Readings:
    """What is read from random directions, at each number of active features.

    Attributes:
        sampled: k -> 48,000 readings, counted in the bins of the histogram.
        noise: k -> standard deviation of a reading of a feature that is on, by the formula.
        readers: rows of `active`, `reader`, `error` (computed) and `sampled`.
    """

    sampled: dict[int, ReadingCounts]
    noise: dict[int, float]
    readers: pd.DataFrame


@st.cache_resource(show_spinner=False, max_entries=8)
def readings(m: int) -> Readings:
    """Readings of 1,000 random directions in m dimensions."""
    rng = np.random.default_rng(0)
    sampled = {k: sample_readings(FEATURES, m, k, 48, rng, draws=8) for k in ACTIVE}
    rows: list[dict[str, Any]] = []
    for k, (on, off) in sampled.items():
        for name, reader in (
            ("linear", linear_reader(FEATURES, m, k)),
            ("ReLU", relu_reader(FEATURES, m, k)),
        ):
            rows.append(
                {
                    "active": k,
                    "reader": name,
                    "error": reader.error,
                    "sampled": reader.error_on(on, off, relu=name == "ReLU"),
                }
            )
    counts = {k: count_readings(on, off) for k, (on, off) in sampled.items()}
    return Readings(counts, {k: reading_noise(k, m) for k in ACTIVE}, pd.DataFrame(rows))
