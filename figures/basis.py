"""Do the features of trained models lie on the axes of hidden space, more than by chance?"""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from figures.theme import FAMILY_COLOURS, format_density
from superposition.rotation import AgainstRotations

NAMES = {"relu-hidden": "ReLU layer", "relu-output": "bottleneck"}
_COLOURS = [FAMILY_COLOURS[family] for family in NAMES]
# The two families beside each other at one density: the log of the ratio between them.
_APART = 0.018
BAND = 0.03
"""Opacity of the band of chance. On more, the bottleneck's dots would be too weak in the dark."""


def alignment_table(rows: pd.DataFrame, measured: dict[str, AgainstRotations]) -> pd.DataFrame:
    """A row per model: density, seed, name, value, chance, low, high, p.

    Chance is the mean over the rotations of the same model, low and high their 5th and 95th
    percentiles.

    Args:
        rows: of the index, in the order of the measures of their family.
        measured: family -> its models against their rotations.

    Raises:
        ValueError: if a family has another number of rows than measures.
    """
    tables = []
    for family, measure in measured.items():
        own = rows[rows["family"] == family]
        if len(own) != len(measure.value):
            raise ValueError(
                f"{family} has {len(own)} rows and {len(measure.value)} measures; expected the same"
            )
        low, high = np.quantile(measure.rotated, (0.05, 0.95), axis=0)
        tables.append(
            pd.DataFrame(
                {
                    "density": own["density"].to_numpy(),
                    "seed": own["seed"].to_numpy(),
                    "name": NAMES[family],
                    "value": measure.value,
                    "chance": measure.rotated.mean(0),
                    "low": low,
                    "high": high,
                    "p": measure.p,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def alignment_dots(table: pd.DataFrame, height: int = 380) -> alt.LayerChart:
    """A dot for each model of `alignment_table`, over density, and the band of chance.

    By which measure is for the page to say: with its name on the axis, another measure would be
    another chart to set up, and not the same with other data.

    The band reaches from the mean 5th to the mean 95th percentile of the rotations of the models
    at each density, both families together: they hardly differ.
    """
    names = [name for name in NAMES.values() if name in set(table["name"])]
    dots = table[["name", "density", "seed", "value", "chance", "p"]].round(4)
    side = dots["name"].map({name: (1 if k else -1) for k, name in enumerate(names)})
    dots["at"] = (dots["density"] * 10 ** (side * _APART)).round(5)
    band = table.groupby("density", as_index=False)[["low", "chance", "high"]].mean().round(4)
    x = alt.X(
        "at:Q",
        title="density p, from dense to sparse",
        scale=alt.Scale(type="log", reverse=True, nice=False, padding=12),
        axis=alt.Axis(values=[1, 0.3, 0.1, 0.03, 0.01], format="~g", grid=False),
    )
    title = "alignment with the axes"
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    shade = (
        alt.Chart(band.rename(columns={"density": "at"}))
        # Its edges make the band: a fill that can be seen well would hide the dots on it.
        .mark_area(
            color=FAMILY_COLOURS["linear"],
            fillOpacity=BAND,
            stroke=FAMILY_COLOURS["linear"],
            strokeWidth=1,
        )
        .encode(x=x, y=alt.Y("low:Q", title=title), y2=alt.Y2("high:Q"))
    )
    middle = (
        alt.Chart(band.rename(columns={"density": "at"}))
        .mark_line(color=FAMILY_COLOURS["linear"], strokeDash=[4, 3])
        .encode(x=x, y=alt.Y("chance:Q", title=title))
    )
    marks = (
        alt.Chart(dots)
        .mark_circle(size=22, opacity=1, aria=False)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "name:N",
                scale=alt.Scale(domain=list(NAMES.values()), range=_COLOURS),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=[
                alt.Tooltip("name:N", title="model"),
                alt.Tooltip("density:Q", format=".3~g"),
                alt.Tooltip("seed:O"),
                alt.Tooltip("value:Q", title="as trained", format=".3f"),
                alt.Tooltip("chance:Q", title="mean of its rotations", format=".3f"),
                alt.Tooltip("p:Q", title="share of rotations that reach it", format=".3f"),
            ],
        )
    )
    return alt.LayerChart(layer=[shade, middle, marks]).properties(
        height=height,
        # Hundreds of dots.
        usermeta={"embedOptions": {"renderer": "canvas"}},
    )


def describe_alignment(table: pd.DataFrame, title: str) -> str:
    """The dots in words: means of both families at both ends, beside chance."""
    ends = sorted(table["density"].unique())
    parts = []
    for name, own in table.groupby("name", sort=False):
        for density in (ends[-1], ends[0]):
            here = own[own["density"] == density]
            parts.append(
                f"{name} at density {format_density(density)} {here['value'].mean():.2f}, chance "
                f"{here['chance'].mean():.2f}"
            )
    return (
        f"Dots of {title} of each model against density, with a band where random rotations of "
        f"the same models lie. In the mean: {'; '.join(parts)}."
    )
