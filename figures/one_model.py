"""Still pictures of one model: its matrices as heat maps, and the norms of its features."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.theme import DIVERGING, FAMILY_COLOURS, feature_colours
from superposition.geometry import norms, represented

MOST_NUMBERS = 12
"""Matrices with no more rows and columns than this have their numbers written in."""
_STILL_ONE = 1.05


def matrix_rows(matrix: NDArray[Any]) -> pd.DataFrame:
    """A row per entry of a matrix: row and column from 1, value."""
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"expected one matrix, got an array of shape {values.shape}")
    down, across = np.indices(values.shape)
    return pd.DataFrame(
        {
            "row": (down + 1).ravel(),
            "column": (across + 1).ravel(),
            "value": values.round(3).ravel() + 0.0,
        }
    )


def matrix_map(
    matrix: NDArray[Any], *, row: str = "feature", column: str = "feature", size: int = 320
) -> alt.LayerChart | alt.Chart:
    """A heat map of a matrix (rows, columns): blue above zero, red below, pale at zero.

    row, column: what the rows and columns are. size: height in pixels.
    """
    rows = matrix_rows(matrix)
    # One scale for a well-trained model of any kind, wider only where weights are larger.
    # A few hundredths do not count: one model's map then becomes the next one's by its colours.
    largest = float(rows["value"].abs().max())
    reach = largest if largest > _STILL_ONE else 1.0
    height, width = np.shape(matrix)
    every = max(1, round(max(height, width) / 20))

    def axis(count: int) -> alt.Axis:
        values = [1, *range(every, count + 1, every)] if every > 1 else list(range(1, count + 1))
        return alt.Axis(
            values=values, labelAngle=0, ticks=False, domain=False, labelOverlap=True, grid=False
        )

    base = alt.Chart(rows).encode(
        x=alt.X("column:O", title=column, axis=axis(width), scale=alt.Scale(padding=0)),
        y=alt.Y("row:O", title=row, axis=axis(height), scale=alt.Scale(padding=0)),
    )
    scale = alt.Scale(
        domain=[-reach, -reach / 2, 0, reach / 2, reach],
        range=list(DIVERGING),
        clamp=True,
        # Through other colour spaces, pale blue would pass through green.
        interpolate="rgb",
    )
    # A pixel more than its place: the background would show between cells that only just touch.
    wide = alt.RelativeBandSize(1 + max(height, width) / size)
    squares = base.mark_rect(width=wide, height=wide).encode(
        color=alt.Color(
            "value:Q",
            scale=scale,
            legend=alt.Legend(
                title=None,
                orient="bottom",
                direction="horizontal",
                gradientLength=180,
                gradientThickness=8,
                values=[-round(reach, 2), 0, round(reach, 2)],
                # The ends would otherwise be rounded: ±1.17 would be called ±1.
                labelExpr="format(datum.value, '.2~f')",
            ),
        ),
        tooltip=[
            alt.Tooltip("row:O", title=row if row != column else f"{row} i"),
            alt.Tooltip("column:O", title=column if row != column else f"{column} j"),
            alt.Tooltip("value:Q", title="value", format="+.3f"),
        ],
    )
    if max(height, width) > MOST_NUMBERS:
        return squares.properties(height=size)
    numbers = base.mark_text(fontSize=10).encode(
        text=alt.Text("value:Q", format=".1f"),
        color=alt.condition(
            f"abs(datum.value) > {0.75 * reach}", alt.value("#ffffff"), alt.value("#12161d")
        ),
        opacity=alt.condition("abs(datum.value) < 0.05", alt.value(0), alt.value(1)),
    )
    return alt.LayerChart(layer=[squares, numbers]).properties(height=size)


def describe_matrix(matrix: NDArray[Any], what: str) -> str:
    """What `matrix_map` shows, in words. what: what the matrix is called and means."""
    values = np.asarray(matrix, dtype=np.float64)
    return (
        f"Heat map of {what}: {values.shape[0]} rows by {values.shape[1]} columns, values from "
        f"{values.min():.2f} to {values.max():.2f}."
    )


def norm_bars(directions: NDArray[Any], *, threshold: float = 0.5) -> alt.LayerChart:
    """A bar per feature: its norm, in its colour, and the line above which it is represented.

    directions: (m, n), W of one model.
    """
    rows = pd.DataFrame(
        {
            "feature": np.arange(1, np.shape(directions)[-1] + 1),
            "norm": norms(directions).round(4),
            "kept": np.where(represented(directions, threshold), "yes", "no"),
        }
    )
    n = len(rows)
    every = max(1, round(n / 20))
    bars = (
        alt.Chart(rows)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X(
                "feature:O",
                title="feature",
                axis=alt.Axis(
                    values=list(range(1, n + 1, every)), labelAngle=0, ticks=False, grid=False
                ),
            ),
            y=alt.Y("norm:Q", title="norm ‖Wᵢ‖", axis=alt.Axis(tickCount=4)),
            color=alt.Color(
                "feature:O",
                scale=alt.Scale(domain=list(range(1, n + 1)), range=feature_colours(n)),
                legend=None,
            ),
            fillOpacity=alt.condition("datum.kept == 'yes'", alt.value(1), alt.value(0.45)),
            tooltip=[
                alt.Tooltip("feature:O", title="feature"),
                alt.Tooltip("norm:Q", title="norm", format=".3f"),
                alt.Tooltip("kept:N", title="represented"),
            ],
        )
    )
    rule = (
        alt.Chart(pd.DataFrame({"norm": [threshold]}))
        .mark_rule(strokeDash=[4, 3], color=FAMILY_COLOURS["linear"])
        .encode(y="norm:Q")
    )
    return alt.LayerChart(layer=[bars, rule]).properties(height=200)


def describe_norms(directions: NDArray[Any], *, threshold: float = 0.5) -> str:
    """What `norm_bars` shows, in words."""
    sizes = norms(directions)
    kept = int(represented(directions, threshold).sum())
    return (
        f"Norms of {len(sizes)} features, from {sizes.min():.2f} to {sizes.max():.2f}; "
        f"{kept} are above {threshold:g} and count as represented."
    )
