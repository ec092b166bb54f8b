"""Losses and outcomes over density, and what a ReLU does to interference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.inputs import inputs, slider, switch
from figures.theme import FAMILY_COLOURS, format_density, format_number
from superposition.theory import (
    linear_bias,
    linear_loss,
    optimal_linear_loss,
    sparse_mean,
    sparse_second_moment,
    sparse_variance,
)

Floats = NDArray[np.floating[Any]]

RELU = "ReLU"
LINEAR = "linear"
BEST_LINEAR = "best possible linear"
BROKEN = "ReLU taken away"
LINE_COLOURS = {
    RELU: FAMILY_COLOURS["relu-output"],
    LINEAR: FAMILY_COLOURS["linear"],
    BEST_LINEAR: FAMILY_COLOURS["linear"],
    BROKEN: "#C8453B",
}
LINE_DASHES = {RELU: [1, 0], LINEAR: [1, 0], BEST_LINEAR: [4, 3], BROKEN: [1, 0]}

ROUND_DENSITIES = (1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)

IRREGULAR = "irregular"
SOLUTION_COLOURS = {
    "two orthogonal features": "#8C929F",
    "antipodal pair + one feature": "#B98B3E",
    "triangle": "#7B5EA7",
    "two antipodal pairs": "#157079",
    "pentagon": "#DB6C66",
    IRREGULAR: "#C3C9D2",
}
"""The arrangements with a name of their own that five features in two dimensions end in."""


def loss_table(
    best: Mapping[str, pd.DataFrame],
    n_features: int,
    n_hidden: int,
    importances: Sequence[float] | Floats,
    relu_weights: Floats,
) -> pd.DataFrame:
    """Loss per density over density, as long rows: model, density, loss.

    Args:
        best: name of a line -> rows of a zoo table with `density` and `loss_per_density`.
        importances: (n,).
        relu_weights: W (F, m, n) of the rows of `best["ReLU"]`, to tell what they would lose as
            linear models, each with the best bias it then could have.

    The best possible linear loss is a closed form, as is the loss without the ReLU: for
    independent features, 0 or uniform on [0, 1] (`superposition.theory`).
    """
    tables = [
        pd.DataFrame(
            {
                "model": name,
                "density": rows["density"].to_numpy(),
                "loss": rows["loss_per_density"].to_numpy(),
            }
        )
        for name, rows in best.items()
    ]
    densities = np.unique(np.concatenate([table["density"] for table in tables]))
    ones = np.ones(n_features)
    tables.append(
        pd.DataFrame(
            {
                "model": BEST_LINEAR,
                "density": densities,
                "loss": [
                    optimal_linear_loss(importances, sparse_variance(p * ones), n_hidden) / p
                    for p in densities
                ],
            }
        )
    )
    rows = best[RELU]
    losses = []
    for p, W in zip(rows["density"], relu_weights, strict=True):
        mean = sparse_mean(p * ones)
        moment = np.outer(mean, mean)
        np.fill_diagonal(moment, sparse_second_moment(p * ones))
        losses.append(linear_loss(W, linear_bias(W, mean), importances, mean, moment) / p)
    tables.append(
        pd.DataFrame({"model": BROKEN, "density": rows["density"].to_numpy(), "loss": losses})
    )
    return pd.concat(tables, ignore_index=True)


LOSSES = "losses"
"""Name of the parameter of `loss_curves`: a point selection of one value of the field `broken`."""


def loss_curves(table: pd.DataFrame, broken: bool, height: int = 340) -> alt.LayerChart:
    """Loss per density against density, dense data on the left, with a switch for `BROKEN`.

    Args:
        table: see `loss_table`.
        broken: whether the networks that lost their ReLU are shown at first.
    """
    # No domain: the scales and the legend have what is shown, in this order. What the switch
    # hides comes last, so that the others keep their colours.
    names = [name for name in LINE_COLOURS if name in set(table["model"])]
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=400, columns=2)
    colour = alt.Color(
        "model:N",
        sort=names,
        scale=alt.Scale(range=[LINE_COLOURS[name] for name in names]),
        legend=legend,
    )
    # Without its ReLU a network loses up to a hundred times as much as with it.
    scale = alt.Scale(type="log")
    ticks = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100]
    axis = alt.Axis(values=ticks, format="~g")
    shown = alt.Chart(table).transform_filter(f"datum.model != '{BROKEN}' || {LOSSES}_broken")
    base = shown.encode(
        x=_density_axis(),
        y=alt.Y("loss:Q", title="loss / p", scale=scale, axis=axis),
        color=colour,
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("density:Q", format=".4~g"),
            alt.Tooltip("loss:Q", title="loss / p", format=".3~g"),
        ],
    )
    lines = base.mark_line(strokeWidth=2).encode(
        strokeDash=alt.StrokeDash(
            "model:N",
            sort=names,
            scale=alt.Scale(range=[LINE_DASHES[name] for name in names]),
            legend=legend,
        )
    )
    points = base.transform_filter(f"datum.model != '{BEST_LINEAR}'").mark_circle(
        size=36, opacity=1
    )
    away = switch("Take the ReLU away from the trained ReLU networks")
    return (
        alt.LayerChart(layer=[lines, points])
        .add_params(inputs(LOSSES, {"broken": (away, broken)}))
        .properties(height=height)
    )


def describe_loss_curves(table: pd.DataFrame, broken: bool) -> str:
    """The curves that are shown in words: each line's loss per density at both ends."""
    parts = []
    if not broken:
        table = table[table["model"] != BROKEN]
    for name, rows in table.groupby("model", sort=False):
        ordered = rows.sort_values("density", ascending=False)
        dense, sparse = ordered.iloc[0], ordered.iloc[-1]
        parts.append(
            f"{name} from {format_number(dense['loss'])} at density "
            f"{format_density(dense['density'])} to {format_number(sparse['loss'])} at "
            f"{format_density(sparse['density'])}"
        )
    return "Lines of loss per density against density. " + "; ".join(parts) + "."


def solution_counts(table: pd.DataFrame) -> pd.DataFrame:
    """How many seeds of each density ended in which arrangement: density, solution, seeds.

    Names outside `SOLUTION_COLOURS` are counted together as irregular. `table` has a row per
    model, with columns `density` and `solution`.
    """
    named = table["solution"].where(table["solution"].isin(SOLUTION_COLOURS), IRREGULAR)
    counts = named.groupby([table["density"], named]).size()
    counts.index.names = ["density", "solution"]
    return counts.rename("seeds").reset_index()


def solution_bars(table: pd.DataFrame, height: int = 360) -> alt.Chart:
    """Stacked bars of `solution_counts`, a bar per density, dense data on the left."""
    counts = solution_counts(table)
    names = list(SOLUTION_COLOURS)
    counts["label"] = counts["density"].map(format_density)
    counts["rank"] = counts["solution"].map(names.index)
    densities = np.sort(counts["density"].unique())[::-1]
    order = [format_density(p) for p in densities]
    # Named are the bars nearest to round numbers, few enough to stand upright on a phone.
    named = {order[np.argmin(np.abs(np.log(densities / p)))] for p in ROUND_DENSITIES}
    return (
        alt.Chart(counts)
        .mark_bar()
        .encode(
            x=alt.X(
                "label:O",
                sort=order,
                title="density p, from dense to sparse",
                axis=alt.Axis(
                    labelAngle=0, labelOverlap=False, values=[p for p in order if p in named]
                ),
                scale=alt.Scale(paddingInner=0.12),
            ),
            y=alt.Y("seeds:Q", title="seeds", axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                "solution:N",
                scale=alt.Scale(domain=names, range=[SOLUTION_COLOURS[name] for name in names]),
                legend=alt.Legend(
                    title=None,
                    values=[name for name in names if name in set(counts["solution"])],
                    orient="top",
                    columns=2,
                    columnPadding=6,
                    labelFontSize=11,
                    labelLimit=220,
                ),
            ),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("label:O", title="density"),
                alt.Tooltip("solution:N", title="arrangement"),
                alt.Tooltip("seeds:Q"),
            ],
        )
        .properties(height=height)
    )


def describe_solution_bars(table: pd.DataFrame) -> str:
    """The bars in words: the commonest arrangement at both ends and in the middle."""
    counts = solution_counts(table)
    densities = sorted(counts["density"].unique(), reverse=True)
    parts = []
    for density in dict.fromkeys((densities[0], densities[len(densities) // 2], densities[-1])):
        here = counts[counts["density"] == density]
        top = here.loc[here["seeds"].idxmax()]
        parts.append(
            f"at density {format_density(density)} most often {top['solution']} "
            f"({top['seeds']} of {here['seeds'].sum()} seeds)"
        )
    return (
        "Stacked bars of how many seeds ended in which arrangement, for "
        f"{len(densities)} densities: {', '.join(parts)}."
    )


PAIR = "pair"
"""Name of the antipodal example's parameter: a point selection of the fields `one` and `two`."""


def antipodal_example(first: float = 0.7, second: float = 0.0, height: int = 260) -> alt.Chart:
    """Two features in one dimension as an antipodal pair, with a slider for each.

    W = (1, −1) and no bias: the hidden number is h = x_1 − x_2, and the outputs are ±h, with or
    without a ReLU. All of it is computed in the browser from the two sliders.
    """
    pair = inputs(
        PAIR,
        {
            "one": (slider(0, 1, 0.05, "feature 1 is"), first),
            "two": (slider(0, 1, 0.05, "feature 2 is"), second),
        },
    )
    kinds = ["input", "linear output", "ReLU output"]
    table = pd.DataFrame(
        [(feature, kind) for feature in ("feature 1", "feature 2") for kind in kinds],
        columns=["feature", "kind"],
    )
    own = f"(datum.feature == 'feature 1' ? {PAIR}_one : {PAIR}_two)"
    read = f"(datum.feature == 'feature 1' ? 1 : -1) * ({PAIR}_one - {PAIR}_two)"
    value = (
        f"datum.kind == 'input' ? {own} : datum.kind == 'linear output' ? {read} : max(0, {read})"
    )
    # What no network makes has the colour of none here; the networks have their own.
    colours = [FAMILY_COLOURS["absolute-value"], LINE_COLOURS[LINEAR], LINE_COLOURS[RELU]]
    return (
        alt.Chart(table)
        .transform_calculate(value=value)
        .mark_bar()
        .encode(
            y=alt.Y("feature:N", title=None, axis=alt.Axis(labelFontSize=12)),
            yOffset=alt.YOffset("kind:N", sort=kinds),
            x=alt.X("value:Q", title="value", scale=alt.Scale(domain=[-1, 1])),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=kinds, range=colours),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=["feature:N", "kind:N", alt.Tooltip("value:Q", format=".2f")],
        )
        .add_params(pair)
        .properties(height=height)
    )


def _density_axis() -> alt.X:
    return alt.X(
        "density:Q",
        title="density p, from dense to sparse",
        scale=alt.Scale(type="log", reverse=True, nice=False),
        axis=alt.Axis(values=list(ROUND_DENSITIES), format="~g", grid=False),
    )
