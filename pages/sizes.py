"""Sparsity × dimension: how densely features are packed, for every size and density."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from figures.dimensionality import describe_dimensionality, dimensionality_dots
from figures.moving_geometry import Frames, moving_geometry
from figures.one_model import describe_matrix, matrix_map
from figures.size_map import (
    FAMILIES,
    SELECTION,
    Cell,
    cell_of,
    densities_of,
    describe_packing_lines,
    describe_size_map,
    packing_lines,
    size_map,
)
from figures.sweeps import aligned_sweep
from figures.theme import format_density
from pages.parts.claim_card import claim_card
from pages.parts.layout import caveats, heading, maths, notice, prediction, prose, question, reading
from pages.parts.models_behind import models_behind
from pages.parts.navigation import links
from pages.parts.seeds import seed_table
from pages.parts.size_cell import START, START_DENSITY, cell_in_url, has_size, put_in_url
from pages.parts.sources import cited
from pages.parts.turns import fragment
from pages.parts.vega import vega
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from zoo import Zoo

GRID = "sizes"
MAP = "sizes_map"
COLUMNS = (
    *("family", "n_features", "n_hidden", "density", "loss", "loss_per_density"),
    *("loss_method", "loss_standard_error"),
    *("features_represented", "features_per_dimension", "dimensions_per_feature"),
)

# Density is what most readers change here; the sliders of the size need less room.
_STYLE = f"""
<style>
.st-key-{MAP} .vega-bind input:is([name={SELECTION}_n], [name={SELECTION}_m]) {{ flex: 0 1 10rem; }}
</style>
"""


@st.cache_resource(show_spinner=False, max_entries=4)
def best_models(_zoo: Zoo, key: str) -> pd.DataFrame:
    """The best seed of every setting of the grid, and of its columns those that are shown here.

    A figure is told from others by all that its table holds.
    """
    return _zoo.grid(GRID).select(best_of_seeds=True)[list(COLUMNS)]


@st.cache_resource(show_spinner=False, max_entries=64)
def sweep(_zoo: Zoo, key: str, family: str, n: int, m: int) -> tuple[pd.DataFrame, Any, Any]:
    """The best model of one size at every density: its rows, W (F, m, n) and b (F, n)."""
    rows = _zoo.grid(GRID).select(family=family, n_features=n, n_hidden=m, best_of_seeds=True)
    rows = rows.sort_values("density", ascending=False, ignore_index=True)
    parameters = _zoo.grid(GRID).parameters(rows)
    directions = parameters["W"]
    if m <= 3:
        directions, _ = aligned_sweep(directions, len(rows) // 2)
    return rows, directions, parameters["b"]


@fragment
def explorer() -> None:
    """The map, and beside it the model of the chosen cell."""
    with zoo_problems():
        zoo = open_zoo()
        key = zoo_key(zoo)
        table = best_models(zoo, key)
    asked, messages = cell_in_url(table)
    # The chart is built once, for what the address said when the page was opened. Built anew
    # it would forget where its slider was.
    if MAP not in st.session_state or "sizes_start" not in st.session_state:
        st.session_state["sizes_start"] = asked
    start: Cell = st.session_state["sizes_start"]
    left, right = st.columns([3, 2], gap="large")
    with left:
        for message in messages:
            st.info(message, icon=":material/link:")
        event: Any = st.vega_lite_chart(
            vega(size_map, table, start),
            key=MAP,
            on_select="rerun",
            selection_mode=[SELECTION],
            alt=describe_size_map(table, start),
        )
    points = event["selection"].get(SELECTION)
    cell = cell_of(points, table, start)
    if points and cell != asked:
        put_in_url(cell, table)
    with right:
        if not has_size(table, cell.n, cell.m):
            st.info(
                f"There are no models of {cell.n} features in {cell.m} dimensions here: with as "
                "many dimensions as features, each feature can have one to itself. Choose "
                "m below n.",
                icon=":material/grid_off:",
            )
            return
        with zoo_problems():
            rows, directions, biases = sweep(zoo, key, cell.family, cell.n, cell.m)
        row = rows.iloc[cell.step]
        picture(cell, row, directions[cell.step], biases[cell.step])
    with zoo_problems():
        details(zoo, cell, row, rows, directions)


def picture(cell: Cell, row: pd.Series[Any], W: Any, b: Any) -> None:
    """The chosen model: its geometry where it can be drawn, else the overlaps of its features."""
    dimensions = "dimension" if cell.m == 1 else "dimensions"
    st.markdown(
        f"**{cell.n} features in {cell.m} {dimensions}, {FAMILIES[cell.family]}**  \n"
        f"{row['solution']}; {row['features_represented']} of {cell.n} represented"
    )
    if cell.m <= 3:
        moving_geometry(
            Frames(
                W[None],
                [row["density"]],
                [format_density(row["density"])],
                losses=[row["loss_per_density"]],
                biases=b[None],
            ),
            key=f"sizes-{cell.n}-{cell.m}",
            loss_title="loss / p",
        )
    else:
        overlaps = W.T @ W
        st.vega_lite_chart(
            vega(matrix_map, overlaps, size=400),
            key=f"sizes-overlaps-{cell.n}",
            alt=describe_matrix(overlaps, "WᵀW, how much of feature j is read back as feature i"),
        )
        st.caption(
            "WᵀW: how much of feature j is read back as feature i. The diagonal is the squared "
            "norms, what lies beside it is interference."
        )


def details(zoo: Zoo, cell: Cell, row: pd.Series[Any], rows: pd.DataFrame, directions: Any) -> None:
    """Below the map: the chosen size over all densities, and the seeds of the chosen model."""
    density = float(row["density"])
    heading(f"{cell.n} × {cell.m} at every density")
    prose(
        "Each dot is one feature of one model: its [[dimensionality]], the share of a dimension "
        "it has to itself. A hollow dot is a feature that is not [[represented]]. The band marks "
        f"density {format_density(density)}, the model above."
    )
    densities = rows["density"].tolist()
    st.vega_lite_chart(
        vega(dimensionality_dots, densities, directions, density),
        key="sizes_dots",
        alt=describe_dimensionality(densities, directions),
    )
    seeds = zoo.grid(GRID).select(
        family=cell.family, n_features=cell.n, n_hidden=cell.m, density=density
    )
    st.markdown(
        f"**All {len(seeds)} seeds of {cell.n} × {cell.m} at density {format_density(density)}**, "
        "the best first:"
    )
    seed_table(seeds)
    models_behind(seeds["model_id"].tolist(), key="sizes-models", chosen=row["model_id"])

    heading("Every size at once")
    prose(
        "One line for each size with ReLU, redder where more features compete for each dimension; "
        f"the thick one is {cell.n} × {cell.m}. The dashed lines are the same sizes without the "
        "ReLU. A line may end above n / m, the features there are for each dimension: sparse "
        "models also lengthen their arrows. Point at a line to see which size it is."
    )
    table = best_models(zoo, zoo_key(zoo))
    st.vega_lite_chart(
        vega(packing_lines, table, (cell.n, cell.m)),
        key="sizes_lines",
        alt=describe_packing_lines(table),
    )


def facts(table: pd.DataFrame) -> tuple[str, ...]:
    """What to notice, with numbers from the models themselves."""
    densities = densities_of(table)
    relu = table[table["family"] == "relu-output"]
    linear = table[table["family"] == "linear"]
    sparse = near_density(table, 0.01)

    def packing(rows: pd.DataFrame, density: float) -> pd.Series[Any]:
        return rows.loc[rows["density"] == density, "features_per_dimension"].astype(float)

    def counted(density: float) -> pd.Series[Any]:
        at = relu[relu["density"] == density]
        return at["features_represented"].astype(float) / at["n_hidden"]

    dense_values, sparse_values = counted(densities[0]), counted(sparse)
    dense_packing = packing(relu, densities[0])
    at_sparse = relu[relu["density"] == sparse]
    every = int((at_sparse["features_represented"] == at_sparse["n_features"]).sum())
    linear_most = float(linear["features_per_dimension"].astype(float).max())
    over = linear["features_represented"].astype(int) > linear["n_hidden"]
    return (
        "A number is how many features a model of that size [[represented|represents]], over its "
        "dimensions. Above 1 is [[superposition]], as long as features are not shortened for it.",
        "Drag **Sparser** to the left end. At density 1 the sizes look alike: of all values the "
        f"middle one is {dense_values.median():.2f}, the largest {dense_values.max():.2f}. With "
        "features always on, sharing a dimension costs more than it brings. What is above 1 there "
        "are shortened features: squared, the norms add up to "
        f"{dense_packing.median():.2f} for each dimension, as if each had one feature.",
        f"Drag it to the right. At density {format_density(sparse)} the cells go from "
        f"{sparse_values.min():.2f} to {sparse_values.max():.2f}, and {every} of "
        f"{len(at_sparse)} sizes represent every feature they are given.",
        "The upper left edge stays pale. There m is n − 1, and only one feature more than "
        "dimensions exists to be packed.",
        f"Cells with the same n / m have similar colours: {ratio_fact(relu)} One dimension is the "
        f"exception. It holds an antipodal pair and no more: {one_dimension_fact(relu)}",
        long_norms_fact(relu),
        f"With that colour, choose **linear**: the whole map turns to one value, at most "
        f"{linear_most:.2f}, at every density. Without the [[ReLU]] there is no superposition, "
        f"whatever the size. Counted, {over.sum()} of {len(over)} linear models represent more "
        "than m: they share a dimension out among shortened features, which gains nothing.",
    )


def same_ratio(relu: pd.DataFrame, density: float) -> pd.Series[Any]:
    """Features represented per dimension, of the sizes with n = 2 m, at one density."""
    twice = relu[(relu["n_features"] == 2 * relu["n_hidden"]) & (relu["density"] == density)]
    return twice["features_represented"].astype(float) / twice["n_hidden"]


def near_density(rows: pd.DataFrame, density: float) -> float:
    """The density of the models that is closest to the one asked for."""
    return float(min(rows["density"].unique(), key=lambda p: abs(np.log(p / density))))


def long_norms_fact(relu: pd.DataFrame) -> str:
    """That ‖W‖² / m of the first model shown is more than n / m, and why."""
    density = near_density(relu, START_DENSITY)
    n, m = START["n"], START["m"]
    (row,) = relu[
        (relu["n_features"] == n) & (relu["n_hidden"] == m) & (relu["density"] == density)
    ].itertuples()
    packing = float(row.features_per_dimension)
    return (
        "The colour *features per dimension, ‖W‖² / m* does not count: it adds up the squares of "
        f"the norms. {n} × {m} at density {format_density(density)} has {packing:.2f} with "
        f"{row.features_represented} features in {m} dimensions, because the root mean square of "
        f"its norms is {np.sqrt(packing * m / n):.2f}."
    )


def one_dimension_fact(relu: pd.DataFrame) -> str:
    """How many features models of one dimension represent, beside larger ones of one n / m."""
    density = near_density(relu, 0.1)
    at = relu[relu["density"] == density]
    one = at[at["n_hidden"] == 1]["features_represented"].astype(int)
    triple = at[at["n_features"] == 3 * at["n_hidden"]].sort_values("n_hidden")
    values = (triple["features_represented"].astype(float) / triple["n_hidden"]).tolist()
    first, last = triple.iloc[0], triple.iloc[-1]
    return (
        f"at density {format_density(density)} no model there represents more than {one.max()}, "
        f"and with n = 3 m the map goes from {values[0]:.2f} at {first['n_features']} × "
        f"{first['n_hidden']} to {values[-1]:.2f} at {last['n_features']} × {last['n_hidden']}."
    )


def how_losses_were_computed(table: pd.DataFrame) -> str:
    """Methods of the losses of this grid, and the largest standard error."""
    sampled = table[table["loss_method"] == "stratified"]
    text = (
        "Losses are expectations over the data: exact for linear models, by quadrature over every "
        "set of active features for small ReLU models"
    )
    if sampled.empty:
        return text + "."
    share = float((sampled["loss_standard_error"] / sampled["loss"]).astype(float).max())
    return (
        f"{text}, and stratified by their number from {sampled['n_features'].min()} features on, "
        f"with a standard error of at most {share:.1%} of the loss."
    )


def ratio_fact(relu: pd.DataFrame) -> str:
    """How much the sizes with n = 2 m differ at density 0.1, in words."""
    density = near_density(relu, 0.1)
    low, high = (f"{value:.3g}" for value in same_ratio(relu, density).agg(["min", "max"]))
    found = f"all represent {low}" if low == high else f"represent between {low} and {high}"
    return (
        f"at density {format_density(density)} the sizes with n = 2 m, from 2 × 1 to 16 × 8, "
        f"{found} per dimension."
    )


with zoo_problems():
    zoo = open_zoo()
    table = best_models(zoo, zoo_key(zoo))
st.html(_STYLE)

question(
    "Sparsity × dimension",
    "How many [[feature|features]] fit into a space of m dimensions? Here are models of every "
    f"size from 2 × 1 to 16 × 8, trained at {len(densities_of(table))} densities, each with and "
    "without the [[ReLU]] on its outputs. All features are equally important here.",
)
prediction(
    "Take 4 features in 2 dimensions, and 8 features in 4. Same [[density]], same ratio, twice the "
    "size. Which puts more features into each dimension?",
    ("4 × 2", "8 × 4", "about the same"),
    "about the same",
    "For n = 2m, almost exactly, because antipodal pairs fit every m: "
    + ratio_fact(table[table["family"] == "relu-output"])
    + " At larger ratios sizes differ more.",
    key="ratio-guess",
)
explorer()
notice(facts(table))
claim_card("sparser-is-denser-packing")
claim_card("linear-never-superposes")
maths(
    r"""
The models are those of the bottleneck pages: $y' = \mathrm{ReLU}(W^\top W x + b)$, and
$y' = W^\top W x + b$ for the linear ones, with $W$ of $m$ rows and $n$ columns. All features have
importance 1 here and the same density $p$, so that only size and sparsity differ.

**Features per dimension.** If a feature that is kept has a norm near 1 and one that is dropped a
norm near 0, the sum of squared norms counts features:

$$
\begin{aligned} \lVert W \rVert_F^2 &= \sum_i \lVert W_i \rVert^2, \\
D^* &= \frac{m}{\lVert W \rVert_F^2}. \end{aligned}
$$

$D^*$ is the number of dimensions per feature. The colour ‖W‖² / m shows $1 / D^*$; the map begins
with the count of norms above one half.

**Dimensionality.** How the dimensions are shared out among the features:

$$
D_i = \frac{\lVert W_i \rVert^2}{\sum_j (\hat W_i \cdot W_j)^2}, \qquad \sum_i D_i \le m,
$$

where $\hat W_i = W_i / \lVert W_i \rVert$. Why they cannot add up to more: with
$M = W W^\top$, $D_i = \lVert W_i \rVert^4 / (W_i^\top M W_i)$.
By Cauchy and Schwarz this is at most $W_i^\top M^{+} W_i$, and those add up to the rank of $W$.
Scherlis et al. call $D_i$ the capacity of a feature.

A feature with a direction of its own has $D_i = 1$. Two opposite ones have $1/2$ each, three in a
triangle $2/3$ (three features in two dimensions), five in a pentagon $2/5$, six in a hexagon
$1/3$; in three dimensions, four in a tetrahedron $3/4$, eight in a square antiprism $3/8$, twelve
in an icosahedron $1/4$.

**Loss per density.** $L$ shrinks with $p$ because fewer features are on; $L / p$ does not, and a
feature that is not represented adds about $1/3$ to it when features are sparse: the mean square of
a number that is uniform on $[0, 1]$.
"""
)
caveats(
    (
        "‖W‖² / m counts features only while norms are near 1. Sparse models make kept features "
        "longer than that and correct with a negative bias, so that the number can exceed n / m. "
        "The colour *features represented, per dimension* counts norms above one half instead.",
        "Each cell is the best of 4 [[seed|seeds]]. The others often end in another arrangement; "
        "the table below the map shows them. A single cell that stands out from its neighbours "
        "may be a [[local minimum]], not a law.",
        "With equal importance, every subspace is as good as another for dense data, and for the "
        "linear networks at any density. Norms then "
        "take any value up to 1, and the count of represented features means little at density 1.",
        "In very sparse data features are on one at a time. The [[interference]] left is what one "
        "feature writes into the outputs of the others: the ReLU removes it where it is negative, "
        "and a negative bias where it is small. Many arrangements then differ little in loss, and "
        "four seeds often miss the best one. A line that falls on its way to the right is "
        "mostly that; the claim above counts how often.",
        how_losses_were_computed(table),
    )
)
reading(
    (
        cited(
            "toy-models",
            "the section on the geometry of superposition defines D* and the dimensionality, and "
            "has the figure for 400 features in 30 dimensions (Elhage et al., 2022).",
        ),
        cited(
            "capacity",
            "the dimensionality of a feature as its share of a budget, and when it is all, a part "
            "or none of a dimension.",
        ),
        cited(
            "nanda-notes",
            "the vocabulary in short definitions.",
        ),
    )
)
heading("Where to go next")
links(
    (
        ("pages/packing.py", "How many directions a space has room for"),
        ("pages/bottleneck.py", "One size in detail, as heat maps"),
        ("pages/lab.py", "Train a size yourself"),
    )
)
