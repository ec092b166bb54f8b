"""Rotation invariance: what a residual stream cannot tell, and what breaks that."""

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
from pages.parts.claim_card import claim_card
from pages.parts.layout import (
    caveats,
    folded,
    heading,
    help_for,
    maths,
    notice,
    prediction,
    prose,
    question,
    reading,
    spoken,
)
from pages.parts.models_behind import models_behind
from pages.parts.navigation import link, links
from pages.parts.sources import cited
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
        key=f"seeds-{density}",
        width=760,
        alt=describe_seeds(W, found.before, found.after),
    )
    count = len(W)
    prose(
        f"Within {SAME:.0%} of the best seed: {(found.before <= SAME).sum()} of {count} as "
        f"trained, **{(found.after <= SAME).sum()} of {count}** after turning or mirroring, "
        f"{(found.reordered <= SAME).sum()} of {count} if features may also change places."
    )
    models_behind(list(here["model_id"]), key="seeds-models")


zoo = open_zoo()
question(
    "Rotation invariance",
    "A [[residual stream]] is a space that some maps write into and others read from. Nobody "
    "else looks at it. The [[hidden space]] of the first page is a small one: one map writes, one "
    "reads. If every write is turned by a matrix R and every read undoes it, can anyone tell?",
)
link("pages/home.py", "That hidden space, to look at")
prediction(
    "R goes on every write and R⁻¹ on every read. Which R leave all outputs as they were?",
    ("only rotations", "rotations and reflections", "any R that has an inverse"),
    "any R that has an inverse",
    "Each read meets R⁻¹R, which is the identity, whatever R is. Rotations are special only where "
    "reads go through the *[[transpose]]* instead; and none of it survives a ReLU in the stream.",
    key="prediction",
)
explorer()
notice(
    (
        "Only linear maps touch the stream. Each sum that a read forms is made of terms "
        "$A R^{-1} R V x$, one for each writer $V$, so that R is gone before anything happens. The "
        "outputs agree to the last few of sixteen digits, in any number of dimensions.",
        "The block has a ReLU inside and does no harm. It reads first, into [[neuron|neurons]] of "
        "its own, and those are not turned. The stream keeps no [[privileged basis]] however "
        "nonlinear the blocks are, as long as they read and write linearly.",
        "**Break it: a ReLU in the stream.** Now a step looks at single coordinates. Two kinds of "
        "matrices survive: permutations, which give every coordinate another name, and positive "
        "stretches along the axes, since ReLU(az) = a ReLU(z) for a > 0. A permutation with signs "
        "does not: ReLU keeps only one sign. (A step f with f(−z) = −f(z), such as tanh, would "
        "let signs pass, and not stretches.)",
        "**Break it: read through the transpose.** Rᵀ undoes R only if R is an "
        "[[orthogonal matrix]]: a rotation, a reflection, a permutation with signs or without. "
        "The map of squares is then the identity; for any other it is not, and that is just "
        "what readers see.",
        "**Break it: take a nearly singular R.** It has an inverse, and on paper nothing changes. "
        "In sixteen digits much is lost, by a factor of the [[condition number]]. A singular R "
        "loses one direction for good.",
    )
)
claim_card("bottleneck-is-rotation-free")

heading("Tied weights need a rotation")
prose(
    "Choose a bottleneck model of the zoo as the stream: $W$ writes, and its transpose reads. "
    "Such a model has only one matrix, so that turning its writes into $RW$ turns its reads into "
    "$(RW)^\\top = W^\\top R^\\top$, by the transpose, like it or not. It is still the same model "
    "if $R^\\top R = 1$. So all of its solutions come in families that differ by a rotation or a "
    "reflection; for a stretched copy it would need reads of its own."
)

heading("Found up to rotation")
prose(
    "What does that mean for training? Sixteen [[seed|seeds]] of one setting, five features in two "
    "dimensions, start from different random weights. Each dot is a feature's "
    "[[direction]] in one model; left as it was trained, right after the best rotation or "
    "reflection of each model."
)
same_up_to_rotation(zoo)
notice(
    (
        "Dense data: on the left each seed has axes of its own. On the right all of them lie on "
        "top of each other. Training finds one solution, *up to rotation*, and which rotation is "
        "the accident of the start.",
        "Sparse data: turning is not enough. Which feature sits beside which is chance as well, as "
        "are the arrangements that some seeds get stuck in. With features of nearly equal "
        "importance, a pentagon is found up to rotation *and* order.",
    ),
    title="",
)
maths(
    r"""
A stream of $d$ dimensions with writers $V_i$, readers $A_j$ and a block with $U$ and $B$:

$$
\begin{aligned} s &= \sum_i V_i x_i, \\ s' &= s + B\,\mathrm{ReLU}(U s), \\
y_j &= A_j s'. \end{aligned}
$$

Replace $V_i \to R V_i$, $B \to R B$, and $U \to U R^{-1}$, $A_j \to A_j R^{-1}$. By induction over
what is written, the stream is now $R s$ and then $R s'$, every read of it is what it was, and so
is every output. Nothing was asked of $R$ but an inverse. So the symmetries of a stream form the
group $GL(d)$ of all invertible matrices.

**Transposes.** Reads by $R^\top$ meet $R^\top R$. It is the identity exactly when $R$ is
orthogonal: $O(d)$, rotations and reflections. A model with tied weights $y' = W^\top W x$ has
no more symmetries than these.

**One element-wise step.** With $s' = \mathrm{ReLU}(s)$ the outputs stay if
$\mathrm{ReLU}(R s) = R\,\mathrm{ReLU}(s)$ for all $s$. Take $s = -e_k$: the right side is 0, so
column $k$ of $R$ has no negative entry. Take $s = e_k - t e_l$ with a large $t$: where column $l$
is positive, the left side becomes 0, and the right side is column $k$; so no two columns are
positive in the same row. Each row then has at most one positive entry, and with an inverse
exactly one: $R$ is a permutation times a positive diagonal matrix. If reads go by the transpose,
only permutations are left.

**Rounding.** Numbers here have a relative precision of $2^{-53}$, about $10^{-16}$. Writing
through $R$ and reading through a computed $R^{-1}$ loses about a factor of the condition number
$\sigma_1 / \sigma_d$ of it.

**Turning one model onto another.** The orthogonal $Q$ with the smallest $\lVert Q W - W_0 \rVert_F$
is $U V^\top$, from the singular value decomposition $W_0 W^\top = U \Sigma V^\top$ (orthogonal
Procrustes).
"""
)
caveats(
    (
        "A real transformer normalises what it reads from the stream. RMSNorm divides by the "
        "length and keeps the symmetry under rotations, not under stretches; its gains, one "
        "number per coordinate, must be absorbed into the maps that read. LayerNorm also "
        "subtracts the mean over coordinates, which singles out one direction.",
        "That a basis *can* be anything does not mean that training leaves it to chance: the "
        "optimiser may prefer axes. The page on the privileged basis measures this.",
        "**Not measured here:** the notes recall that networks which *grok* modular addition find "
        "one algorithm up to rotation. The zoo has no transformer. In the study we know of (Nanda "
        "et al., below) the network adds angles, and rotation has two senses: numbers as turns of "
        "a circle, and the plane of that circle, which may lie anywhere in the stream. To measure "
        "the second, take several seeds of that network, align the planes of each frequency as "
        "above, and compare what still differs with planes drawn at random. Seeds also pick "
        "different frequencies, and no rotation changes that.",
        "“Unchanged” means by less than 10⁻¹² of the largest output. The made-up streams are "
        "random matrices; only the models of the zoo are trained.",
        "The seeds of one density are matched to the best of them. Two that are each 5% from it "
        "may be further apart from each other.",
    )
)
reading(
    (
        cited("framework", "the residual stream as a communication channel."),
        cited("grokking", "modular addition by rotations of a circle."),
        cited("privileged-bases", "where real streams turn out to have preferred axes after all."),
    )
)
heading("Where to go next")
links(
    (
        ("pages/privileged_basis.py", "When axes do mean something"),
        ("pages/home.py", "Five features in two dimensions"),
        ("pages/bottleneck.py", "What a bottleneck stores"),
    )
)
