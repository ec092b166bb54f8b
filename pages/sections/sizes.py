"""The map of all sizes and densities, the cell that is picked, and what is to be seen there."""

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
from pages.parts.layout import heading, prose
from pages.parts.models_behind import models_behind
from pages.parts.seeds import seed_table
from pages.parts.size_cell import START, START_DENSITY, cell_in_url, has_size, put_in_url
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
