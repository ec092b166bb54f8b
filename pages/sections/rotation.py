"""The stream with a change of basis, and seeds that are the same up to rotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from figures.one_model import describe_matrix, matrix_map
from figures.stream import (
    SWITCH,
    change_table,
    describe_changes,
    describe_scatter,
    describe_stream,
    stream_chart,
    verdict,
)
from figures.theme import format_density, format_number
from figures.turning import SEEDS, describe_seeds, seeds_chart
from pages.parts.layout import folded, prose, spoken
from pages.parts.models_behind import models_behind
from pages.parts.turns import fragment
from pages.parts.url_state import (
    chart_moved,
    chart_start,
    choice,
    density_in_address,
    follow,
    switch_in_address,
)
from pages.parts.vega import vega
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from superposition.families import family
from superposition.rotation import (
    KINDS,
    MatrixKind,
    Reading,
    UpToRotation,
    largest_change,
    matrix_of_kind,
    random_stream,
    reading_matrix,
    turned_forward,
    up_to_rotation,
)
from zoo import Zoo

Floats = NDArray[np.float64]

# Sizes of a made-up stream, and models that are one: name -> grid, importance decay.
SIZES = (2, 3, 5, 8, 20, 40)
MODELS = {
    "bottleneck 5 × 2": ("bottleneck-5x2", 0.9),
    "bottleneck 20 × 5": ("bottleneck-20x5", 0.7),
    "bottleneck 80 × 20": ("bottleneck-80x20", 0.9),
}
MODEL_DENSITY = 0.1
INPUTS = 60
DRAWS = tuple(range(1, 10))
READINGS: dict[str, Reading] = {"the inverse, R⁻¹": "inverse", "the transpose, Rᵀ": "transpose"}
SYMBOLS: dict[Reading, str] = {"inverse": "R⁻¹", "transpose": "Rᵀ"}
SEEDS_GRID = ("bottleneck-5x2", 0.9)
# Two solutions are called the same within this share of their length.
SAME = 0.05


@dataclass(frozen=True)
class Stream:
    """What is shown as a stream: names for its parts, and its outputs under a change of basis."""

    d: int
    writers: tuple[str, ...]
    blocks: tuple[str, ...]
    readers: tuple[str, ...]
    model_id: str | None
    outputs: Any
    """(write, read, step) -> outputs (N, b) of each reader."""


def made_up(d: int, draw: int) -> Stream:
    """Random maps to and from d dimensions: two writers, a block, two readers."""
    rng = np.random.default_rng([draw, d])
    stream = random_stream(d, rng)
    inputs = stream.inputs(INPUTS, rng)

    def outputs(write: Floats, read: Floats, step: bool) -> list[Floats]:
        return stream.turned(write, read).outputs(inputs, step=step)

    return Stream(d, ("V₁", "V₂"), ("block",), ("A₁", "A₂"), None, outputs)


def of_model(zoo: Zoo, name: str, draw: int) -> Stream:
    """A bottleneck model of the zoo: W writes, its transpose reads."""
    grid, importance_decay = MODELS[name]
    rows = zoo.grid(grid).select(
        family="relu-output", importance_decay=importance_decay, best_of_seeds=True
    )
    nearest = (np.log(rows["density"] / MODEL_DENSITY)).abs().argmin()
    model = zoo.model(rows["model_id"].iloc[nearest])
    x = model.spec.distribution.sample(INPUTS, np.random.default_rng([draw, 99]))

    def outputs(write: Floats, read: Floats, step: bool) -> list[Floats]:
        # The bottleneck with a ReLU on its hidden space is the layer of neurons.
        kind = family("relu-hidden" if step else "relu-output")
        return [turned_forward(kind, model.parameters, x, write, read)]

    return Stream(model.spec.n_hidden, ("W",), (), ("Wᵀ",), model.model_id, outputs)


def before_and_after(
    stream: Stream, R: Floats, reading: Reading, step: bool
) -> tuple[list[Floats], list[Floats]]:
    """The outputs as they are, and with R on every write and its undoing on every read."""
    same = np.eye(stream.d)
    return stream.outputs(same, same, step), stream.outputs(R, reading_matrix(R, reading), step)


def change_of(before: list[Floats], after: list[Floats]) -> tuple[float, float]:
    """The largest change of an output, and the largest output before it."""
    return largest_change(before, after), max(float(np.abs(out).max()) for out in before)


@fragment
def outcome(stream: Stream, R: Floats, reading: Reading) -> None:
    """The stream with or without a ReLU in it, and what comes out.

    The switch is the chart's own; the address follows it.
    """
    outputs = [before_and_after(stream, R, reading, step) for step in (False, True)]
    changes = [change_of(before, after) for before, after in outputs]
    drawn = (stream.writers, stream.blocks, stream.readers, "R", SYMBOLS[reading])
    asked = st.query_params.get("relu", "")
    start, key = chart_start("outcome", asked, lambda: switch_in_address("relu"))
    # The same chart for every stream and matrix: its switch stays where it was put.
    chosen = st.vega_lite_chart(
        vega(stream_chart, *drawn, outputs, changes, condition(R), start),
        key=key,
        on_select="rerun",
        selection_mode=SWITCH,
        width=900,
        alt="A residual stream from left to right, with maps that write into it and read from it, "
        "and a switch for a ReLU in it. Below, dots of outputs after the change of basis against "
        "outputs before it, and how large the largest change is.",
    )
    step = start
    if moved := chosen.selection.get(SWITCH):
        step = bool(moved[0]["relu"])
        follow("relu", "true" if step else "")
        chart_moved("outcome", st.query_params.get("relu", ""))
    change, scale = changes[step]
    spoken(
        f"{describe_stream(*drawn, step)} {describe_scatter(change, scale)} Outputs: "
        f"{verdict(change, scale)}. Largest change: {format_number(change, 2)}. Condition number "
        f"of R: {condition(R)}."
    )
    st.caption(
        "Outputs that change by less than 10⁻¹² of the largest count as unchanged: that is "
        "rounding."
    )


@fragment
def explorer() -> None:
    """The stream, the controls that break it, and what comes out."""
    with zoo_problems():
        zoo = open_zoo()
        names = {f"{d} dimensions": d for d in SIZES}
        with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
            source = choice(
                "Stream",
                [*names, *(name for name, (grid, _) in MODELS.items() if grid in zoo.grids)],
                "8 dimensions",
                key="stream",
                widget="select",
            )
            kind: MatrixKind = choice(
                "Matrix R", list(KINDS), "rotation", key="matrix", widget="select"
            )
            draw = choice("Random draw", DRAWS, 1, key="draw", widget="select")
        reading = READINGS[
            choice(
                "Reads go through",
                list(READINGS),
                next(iter(READINGS)),
                key="read",
                widget="segmented",
            )
        ]
        stream = made_up(names[source], draw) if source in names else of_model(zoo, source, draw)
    R = matrix(kind, stream.d, draw)
    st.caption(
        (
            "V₁ and V₂ write, A₁ and A₂ read. The block reads, applies a ReLU in coordinates of "
            "its own, and writes back. All are random matrices."
            if stream.model_id is None
            else "W writes, its transpose reads; then come the bias and the ReLU of the output."
        )
        + " The switch puts a ReLU on every coordinate of the stream, after all writes and before "
        "the reads."
    )
    outcome(stream, R, reading)
    between, symbol = reading_matrix(R, reading) @ R, SYMBOLS[reading]
    left, right = st.columns(2, gap="large", vertical_alignment="center")
    with left:
        st.markdown(f"**{symbol} R: what a read sees of a write**")
        st.vega_lite_chart(
            vega(matrix_map, between, row="read", column="written", size=320),
            key=f"between-{stream.d}",
            alt="Heat map of what is read, by what was written.",
        )
        spoken(describe_matrix(between, f"{symbol} R, the identity if reads undo writes"))
    with right:
        prose(
            "Before anything is done with it, this is all that can happen to a write. Blue squares "
            "on the diagonal and nothing else: each read gets what was written."
        )
    folded(
        "The answer for all matrices at once",
        lambda: every_kind(stream, draw),
        key="fold-every-kind",
        icon=":material/grid_on:",
    )
    if stream.model_id is not None:
        models_behind([stream.model_id], key="stream-model")


def condition(R: Floats) -> str:
    """The condition number, in words where it is too large to mean a number."""
    value = float(np.linalg.cond(R))
    return format_number(value, 2) if value < 1e13 else "infinite"


def every_kind(stream: Stream, draw: int) -> None:
    """All kinds of matrices under all ways to read, for the stream shown."""
    changes: dict[str, dict[str, tuple[float, float]]] = {}
    for kind in KINDS:
        R = matrix(kind, stream.d, draw)
        changes[kind] = {
            f"{SYMBOLS[by]}{', ReLU' if step else ''}": change_of(
                *before_and_after(stream, R, by, step)
            )
            for step in (False, True)
            for by in SYMBOLS
        }
    prose("The largest change of an output of the stream above, for each kind of matrix.")
    st.vega_lite_chart(
        vega(change_table, changes),
        key="changes",
        width=760,
        alt=describe_changes(changes),
    )
    st.caption(
        "✓ unchanged but for rounding, ≈ digits lost, ✗ changed. Columns: what reads go through, "
        "and whether the ReLU is in the stream. A singular matrix has no inverse; its "
        "pseudoinverse stands in, which brings back all that it has kept."
    )


def matrix(kind: MatrixKind, d: int, draw: int) -> Floats:
    """The matrix of a kind and a draw; the same wherever it is asked for."""
    return matrix_of_kind(kind, d, np.random.default_rng([draw, KINDS.index(kind)]))


@st.cache_resource(show_spinner=False, max_entries=4)
def seeds_of(_zoo: Zoo, key: str) -> pd.DataFrame:
    """All seeds of the small bottleneck, dense data first, the best seed of each first."""
    grid, importance_decay = SEEDS_GRID
    return (
        _zoo.grid(grid)
        .select(family="relu-output", importance_decay=importance_decay)
        .sort_values(["density", "loss"], ascending=[False, True], ignore_index=True)
    )


@st.cache_resource(show_spinner=False, max_entries=4)
def matched(_zoo: Zoo, key: str) -> tuple[Floats, list[UpToRotation]]:
    """W of all seeds (F, B, 2, n) at F densities, dense data first, and each beside the best."""
    rows = seeds_of(_zoo, key)
    W = np.asarray(_zoo.grid(SEEDS_GRID[0]).parameters(rows)["W"], dtype=np.float64)
    by_density = W.reshape(rows["density"].nunique(), -1, *W.shape[1:])
    return by_density, [up_to_rotation(each, each[0], reorder=True) for each in by_density]


def within(distance: Floats) -> int:
    """How many seeds are the same as the best one, by their distances (B,)."""
    return int((distance <= SAME).sum())


@fragment
def same_up_to_rotation(zoo: Zoo) -> None:
    """The seeds of one setting, as trained and turned to match the best.

    The slider is the chart's own; the address follows it.
    """
    with zoo_problems():
        rows = seeds_of(zoo, zoo_key(zoo))
        W, found = matched(zoo, zoo_key(zoo))
    densities = list(dict.fromkeys(float(p) for p in rows["density"]))
    asked = st.query_params.get("p", "")
    start, key = chart_start(
        "seeds", asked, lambda: density_in_address("p", densities, densities[0])
    )
    counts = [(within(each.before), within(each.after), within(each.reordered)) for each in found]
    turned = np.stack([each.turned for each in found])
    chosen = st.vega_lite_chart(
        vega(seeds_chart, W, turned, counts, SAME, densities, start),
        key=key,
        on_select="rerun",
        selection_mode=SEEDS,
        width=760,
        alt="Directions of the features in all seeds, as trained and turned to match the best, "
        f"with a slider over {len(densities)} densities.",
    )
    step = start
    if moved := chosen.selection.get(SEEDS):
        step = int(moved[0]["step"])
        follow("p", format_density(densities[step]), format_density(densities[0]))
        chart_moved("seeds", st.query_params.get("p", ""))
    spoken(
        f"Density {format_density(densities[step])}. "
        + describe_seeds(W[step], found[step].before, found[step].after)
    )
    trained, aligned, reordered = counts[step]
    count = W.shape[1]
    prose(
        f"Within {SAME:.0%} of the best seed at density {format_density(densities[step])}: "
        f"{trained} of {count} as trained, **{aligned} of {count}** after turning or mirroring, "
        f"{reordered} of {count} if features may also change places."
    )
    here = rows[rows["density"] == densities[step]]
    models_behind(list(here["model_id"]), key="seeds-models")
