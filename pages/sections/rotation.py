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
    change_table,
    describe_changes,
    describe_scatter,
    describe_stream,
    output_scatter,
    stream_diagram,
    verdict,
)
from figures.theme import format_density, format_number
from figures.turning import describe_seeds, seeds_chart
from pages.parts.layout import folded, help_for, prose, spoken
from pages.parts.models_behind import models_behind
from pages.parts.turns import fragment
from pages.parts.url_state import choice
from pages.parts.vega import vega
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from superposition.families import family
from superposition.rotation import (
    KINDS,
    MatrixKind,
    Reading,
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
    """The stream with or without a step in it, and what comes out.

    A part of its own, since the step changes nothing else.
    """
    step = st.toggle(
        "A ReLU in the stream",
        key="relu",
        bind="query-params",
        help="On every coordinate of the stream, after all writes and before the reads.",
    )
    before, after = before_and_after(stream, R, reading, step)
    change, scale = change_of(before, after)
    drawn = (stream.writers, stream.blocks, stream.readers, "R", SYMBOLS[reading], step)
    st.vega_lite_chart(
        vega(stream_diagram, *drawn),
        key="diagram",
        width=760,
        alt="A residual stream from left to right, with maps that write into it and read from it.",
    )
    spoken(describe_stream(*drawn))
    left, right = st.columns(2, gap="large", vertical_alignment="center")
    with left:
        st.vega_lite_chart(
            vega(output_scatter, before, after, stream.readers),
            key="scatter",
            alt="Dots of outputs after the change of basis against outputs before it.",
        )
        spoken(describe_scatter(change, scale))
    with right:
        st.metric("Outputs", verdict(change, scale), border=True)
        with st.container(horizontal=True, gap="small"):
            st.metric("Largest change", format_number(change, 2), border=True)
            st.metric(
                "Condition number of R",
                condition(R),
                border=True,
                help=help_for("condition number"),
            )
        st.caption(
            f"{sum(out.size for out in before):,} outputs of {INPUTS} inputs, the largest "
            f"{format_number(scale, 2)}. What is changed by less than 10⁻¹² of that is rounding."
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
        "V₁ and V₂ write, A₁ and A₂ read. The block reads, applies a ReLU in coordinates of its "
        "own, and writes back. All are random matrices."
        if stream.model_id is None
        else "W writes, its transpose reads; then come the bias and the ReLU of the output."
    )
    outcome(stream, R, reading)
    between, symbol = reading_matrix(R, reading) @ R, SYMBOLS[reading]
    left, right = st.columns(2, gap="large", vertical_alignment="center")
    with left:
        st.markdown(f"**{symbol} R: what a read sees of a write**")
        st.vega_lite_chart(
            vega(matrix_map, between, row="read", column="written", size=320),
            key=f"between-{stream.d}",
            alt=describe_matrix(between, f"{symbol} R, the identity if reads undo writes"),
        )
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


@fragment
def same_up_to_rotation(zoo: Zoo) -> None:
    """The seeds of one setting, as trained and turned to match the best."""
    with zoo_problems():
        rows = seeds_of(zoo, zoo_key(zoo))
        densities = list(dict.fromkeys(float(p) for p in rows["density"]))
        density = choice("Density p", densities, densities[0], key="p", format_func=format_density)
        here = rows[rows["density"] == density]
        W = zoo.grid(SEEDS_GRID[0]).parameters(here)["W"]
    found = up_to_rotation(W, W[0], reorder=True)
    st.vega_lite_chart(
        vega(seeds_chart, W, found.turned),
        key="seeds",
        width=760,
        alt="Directions of the features in all seeds, as trained and turned to match the best.",
    )
    spoken(describe_seeds(W, found.before, found.after))
    count = len(W)
    prose(
        f"Within {SAME:.0%} of the best seed: {(found.before <= SAME).sum()} of {count} as "
        f"trained, **{(found.after <= SAME).sum()} of {count}** after turning or mirroring, "
        f"{(found.reordered <= SAME).sum()} of {count} if features may also change places."
    )
    models_behind(list(here["model_id"]), key="seeds-models")
