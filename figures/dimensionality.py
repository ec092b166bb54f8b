"""Dimensionality of every feature against density, for one size of model."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.theme import FAMILY_COLOURS, feature_colours, format_density
from superposition.geometry import dimensionality, represented

CLUSTERS: tuple[tuple[Fraction, str, int], ...] = (
    (Fraction(1), "alone", 1),
    (Fraction(3, 4), "tetrahedron", 3),
    (Fraction(2, 3), "triangle", 2),
    (Fraction(1, 2), "antipodal pair", 1),
    (Fraction(2, 5), "pentagon", 2),
    (Fraction(3, 8), "square antiprism", 3),
    (Fraction(1, 3), "hexagon", 2),
    (Fraction(1, 4), "icosahedron", 3),
)
"""Dimensionalities that regular arrangements give their features, largest first: value, name, and
how many dimensions the arrangement needs."""


_NARROW = "containerSize()[0] < 480"
# Characters that fit above the chart on a phone.
_LINE = 62


def clusters_in(m: int) -> list[tuple[Fraction, str]]:
    """Those of `CLUSTERS` that fit into m dimensions."""
    return [(value, shape) for value, shape, needed in CLUSTERS if needed <= m]


def feature_rows(densities: Sequence[float], directions: NDArray[Any]) -> pd.DataFrame:
    """A row per model and feature: density, feature (from 1), D, kept ("yes" or "no").

    densities: (F,). directions: (F, m, n), W of the model at each density.
    """
    W = np.asarray(directions, dtype=np.float64)
    count, _, n = W.shape
    if len(densities) != count:
        raise ValueError(
            f"got {len(densities)} densities for {count} models; expected one for each model"
        )
    return pd.DataFrame(
        {
            "density": np.repeat(np.asarray(densities, dtype=float), n),
            "feature": np.tile(np.arange(1, n + 1), count),
            "D": dimensionality(W).round(4).ravel(),
            "kept": np.where(represented(W), "yes", "no").ravel(),
        }
    )


def dimensionality_dots(
    densities: Sequence[float], directions: NDArray[Any], here: float | None = None
) -> alt.LayerChart:
    """Dots of D_i against density, with a line for each regular arrangement that fits into m.

    densities: (F,), directions: (F, m, n), as for `feature_rows`. here: a density to mark.
    """
    rows = feature_rows(densities, directions)
    n = int(rows["feature"].max())
    # Equal features lie on top of each other: side by side, each can be seen.
    side = rows["feature"] - (n + 1) / 2
    rows["at"] = (rows["density"] * 10 ** (-side * min(0.025, 0.2 / n))).round(8)
    scale = alt.Scale(
        type="log", domain=[min(densities) / 1.35, max(densities) * 1.35], reverse=True, nice=False
    )
    x = alt.X(
        "at:Q",
        title="density p (sparser to the right)",
        scale=scale,
        axis=alt.Axis(values=[1, 0.1, 0.01, 0.001], format="~g", grid=False),
    )
    y_scale = alt.Scale(domain=[0, 1.05])
    y = alt.Y(
        "D:Q",
        title="dimensionality D",
        scale=y_scale,
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f", grid=False),
    )
    clusters = clusters_in(np.shape(directions)[1])
    lines = pd.DataFrame({"D": [float(value) for value, _ in clusters]})
    rules = (
        alt.Chart(lines)
        .mark_rule(color=FAMILY_COLOURS["linear"], strokeDash=[2, 3], opacity=0.8)
        .encode(
            y=alt.Y(
                "D:Q",
                title=None,
                scale=y_scale,
                axis=alt.Axis(
                    orient="right",
                    values=[float(value) for value, _ in clusters],
                    labelExpr=_labels(clusters),
                    labelOverlap=False,
                    labelLimit=0,
                    labelBaseline=_baseline(clusters),
                    ticks=False,
                    domain=False,
                    grid=False,
                ),
            )
        )
    )
    dots = (
        alt.Chart(rows)
        .mark_point(size=42, strokeWidth=1.5, opacity=1)
        .encode(
            x=x,
            y=y,
            color=_feature_colour(n),
            fill=_feature_colour(n),
            fillOpacity=alt.condition("datum.kept == 'yes'", alt.value(1), alt.value(0)),
            tooltip=[
                alt.Tooltip("feature:O", title="feature"),
                alt.Tooltip("density:Q", title="density", format="~g"),
                alt.Tooltip("D:Q", title="dimensionality", format=".3f"),
                alt.Tooltip("kept:N", title="represented"),
            ],
        )
    )
    layers = [rules]
    if here is not None:
        band = (
            alt.Chart(pd.DataFrame({"at": [here]}))
            .mark_rule(color=FAMILY_COLOURS["relu-hidden"], opacity=0.25, strokeWidth=30)
            .encode(x=x)
        )
        layers.insert(0, band)
    return (
        alt.LayerChart(layer=[*layers, dots])
        .resolve_axis(y="independent")
        .properties(height=400, title=_key(clusters))
    )


def describe_dimensionality(densities: Sequence[float], directions: NDArray[Any]) -> str:
    """What `dimensionality_dots` shows, in words."""
    rows = feature_rows(densities, directions)
    parts = []
    for density in (max(densities), min(densities)):
        part = rows[np.isclose(rows["density"], density)]
        parts.append(
            f"at density {format_density(density)} from {part['D'].min():.2f} to "
            f"{part['D'].max():.2f}, {int((part['kept'] == 'yes').sum())} of {len(part)} "
            "features represented"
        )
    return (
        "Dimensionality of each feature against density, sparser to the right: "
        + "; ".join(parts)
        + ". Dashed lines mark regular arrangements: "
        + ", ".join(f"{shape} {value}" for value, shape in clusters_in(np.shape(directions)[1]))
        + "."
    )


def _feature_colour(n: int) -> Any:
    return alt.Color(
        "feature:O",
        scale=alt.Scale(domain=list(range(1, n + 1)), range=feature_colours(n)),
        legend=None,
    )


def _labels(clusters: Sequence[tuple[Fraction, str]]) -> str:
    """A Vega expression: the label of a line, without its name where there is little room."""
    long = ", ".join(f"'{float(value):.4f}': '{value}  {shape}'" for value, shape in clusters)
    short = ", ".join(f"'{float(value):.4f}': '{value}'" for value, _ in clusters)
    return f"({_NARROW} ? {{{short}}} : {{{long}}})[format(datum.value, '.4f')]"


def _key(clusters: Sequence[tuple[Fraction, str]]) -> alt.TitleParams:
    """The names that the lines have no room for, above the chart."""
    lines = [""]
    for name in (f"{value} {shape}" for value, shape in clusters):
        longer = f"{lines[-1]} · {name}" if lines[-1] else name
        if len(longer) <= _LINE:
            lines[-1] = longer
        else:
            lines.append(name)
    quoted = ", ".join(f"'{line}'" for line in lines)
    return alt.TitleParams(
        text=alt.ExprRef(f"{_NARROW} ? [{quoted}] : ''"),
        fontSize=12,
        fontWeight="normal",
        anchor="start",
        offset=8,
    )


def _baseline(clusters: Sequence[tuple[Fraction, str]]) -> Any:
    """Labels are in the middle of their lines, as far as there is room for all."""
    if Fraction(3, 8) not in dict(clusters):
        return "middle"
    # Too close to 3/8, which is as close to 1/3, for both to be in the middle.
    raised = {"test": "abs(datum.value - 0.4) < 0.01", "value": "bottom"}
    return {"condition": raised, "value": "middle"}
