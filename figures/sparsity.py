"""Sparsity of the data with a threshold, and how many features a trained model represents.

The two are different things that share a word; one figure for each. Both can be said in either
convention: sparsity S, how much is off, or density p = 1 − S, how much is on.
"""

from __future__ import annotations

from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from figures.inputs import inputs, slider
from figures.theme import CANVAS_TEXT, FAMILY_COLOURS, format_density, format_number
from superposition.distributions import independent

Convention = Literal["S", "p"]

SLIDERS = "off"
"""Name of the first chart's parameter: a point selection of the fields `share` and `threshold`.

`share` is S or p, as the convention has it.
"""

STOPS = tuple(np.round(np.linspace(0, 1, 21), 2).tolist())
"""What both sliders can be set to."""

DRAWS = 2000
_SHOWN = 150
_SEED = 0

ON, OFF, CURVE, SAMPLE = "#D55E00", "#8C929F", "#0072B2", "#CC79A7"
MISTAKEN = "#C8453B"
BEST_SEED, EVERY_SEED = "best seed", "all seeds"
READING, MEETING = "mistaken reading", "meeting"

# Where the values drawn are shown: below the axis, and those at exactly 0 left of it.
_STRIP = (-0.34, -0.1)
_ZERO = (-0.13, -0.03)


def threshold_rows() -> pd.DataFrame:
    """What the threshold chart draws, for every stop of its sliders; see `threshold_chart`.

    Rows by `kind`: "share" (sparsity, threshold; exact and sampled share of values that are off)
    and "value" (sparsity; value, and where it is drawn). Values are samples of one feature,
    `DRAWS` for each sparsity, all from one seed, so that they move little from stop to stop.
    """
    tables = []
    for sparsity in STOPS:
        data = independent(1, 1 - sparsity)
        x = data.sample(DRAWS, np.random.default_rng(_SEED))[:, 0]
        tables.append(
            pd.DataFrame(
                {
                    "kind": "share",
                    "sparsity": sparsity,
                    "threshold": STOPS,
                    "exact": [float(data.off_probability(t)[0]) for t in STOPS],
                    "sampled": [float(np.mean(np.abs(x) <= t)) for t in STOPS],
                }
            )
        )
        shown = np.abs(x[:_SHOWN])
        spread = np.random.default_rng(_SEED + 1)
        aside, height = spread.uniform(*_ZERO, _SHOWN), spread.uniform(*_STRIP, _SHOWN)
        tables.append(
            pd.DataFrame(
                {
                    "kind": "value",
                    "sparsity": sparsity,
                    "value": np.round(shown, 3),
                    "x": np.round(np.where(shown == 0, aside, shown), 3),
                    "y": np.round(height, 3),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def threshold_chart(
    rows: pd.DataFrame,
    sparsity: float,
    threshold: float,
    convention: Convention = "S",
    height: int = 400,
) -> alt.LayerChart:
    """Share of values that count as off (or on) against the threshold, with two sliders.

    Args:
        rows: of `threshold_rows`.
        sparsity, threshold: where the sliders start, each one of `STOPS`.
        convention: "S" draws the share that is off, "p" the share that is on.

    Raises:
        ValueError: if a slider is to start between its stops.
    """
    for name, value in (("sparsity", sparsity), ("threshold", threshold)):
        if value not in STOPS:
            raise ValueError(f"{name} is {value}; expected one of {', '.join(map(str, STOPS))}")
    off = convention == "S"
    table = rows.copy()
    table["share"] = table["sparsity"] if off else np.round(1 - table["sparsity"], 2)
    for name in ("exact", "sampled"):
        table[name] = table[name] if off else 1 - table[name]
    start = sparsity if off else round(1 - sparsity, 2)
    sliders = inputs(
        SLIDERS,
        {
            "share": (slider(0, 1, 0.05, "sparsity S" if off else "density p"), start),
            "threshold": (slider(0, 1, 0.05, "threshold τ"), threshold),
        },
    )
    base = {
        kind: alt.Chart(table)
        .transform_filter(f"datum.kind == '{kind}'")
        .transform_filter(f"datum.share == {SLIDERS}_share")
        for kind in ("share", "value")
    }
    here = base["share"].transform_filter(f"datum.threshold == {SLIDERS}_threshold")
    x_scale = alt.Scale(domain=[-0.15, 1], nice=False, zero=False)
    y_scale = alt.Scale(domain=[_STRIP[0] - 0.04, 1.18], nice=False, zero=False)
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    x = alt.X(
        "threshold:Q",
        title="threshold τ; dots: values |x| drawn",
        scale=x_scale,
        axis=alt.Axis(values=ticks, grid=False, format="~g"),
    )

    def y(field: str) -> alt.Y:
        title = "share of values off, P(|x| ≤ τ)" if off else "share of values on, P(|x| > τ)"
        return alt.Y(
            f"{field}:Q",
            title=title,
            scale=y_scale,
            axis=alt.Axis(values=ticks, grid=True, format="~g"),
        )

    tooltip = [
        alt.Tooltip("threshold:Q", title="threshold τ"),
        alt.Tooltip("exact:Q", title="formula", format=".3f"),
        alt.Tooltip("sampled:Q", title=f"of {DRAWS:,} draws", format=".3f"),
    ]
    readout = (
        f"'formula ' + format(datum.exact, '.3f') + ', of {DRAWS:,} draws ' + "
        "format(datum.sampled, '.3f')"
    )
    layers: list[alt.Chart] = [
        here.mark_rule(strokeWidth=1.5, color=CURVE).encode(
            x, y=alt.datum(_STRIP[0] - 0.03), y2=alt.datum(1.02)
        ),
        base["value"]
        .mark_circle(size=20, opacity=1)
        .encode(
            x=alt.X("x:Q", scale=x_scale),
            y=y("y"),
            color=alt.condition(
                f"datum.value <= {SLIDERS}_threshold", alt.value(OFF), alt.value(ON)
            ),
            tooltip=[alt.Tooltip("value:Q", title="|x|")],
        ),
        base["share"].mark_line(strokeWidth=2, color=CURVE).encode(x, y("exact"), tooltip=tooltip),
        base["share"]
        .mark_point(size=40, filled=False, strokeWidth=1.8, color=SAMPLE, opacity=1)
        .encode(x, y("sampled"), tooltip=tooltip),
        here.mark_text(text="exactly 0", fontSize=11, baseline="bottom", color=CANVAS_TEXT).encode(
            x=alt.datum(sum(_ZERO) / 2), y=alt.datum(_STRIP[1] + 0.015)
        ),
        here.mark_circle(size=130, color=CURVE, opacity=1).encode(x, y("exact"), tooltip=tooltip),
        here.transform_calculate(words=readout)
        .mark_text(align="left", baseline="middle", fontSize=13, fontWeight="bold")
        .encode(
            x=alt.datum(0),
            y=alt.datum(1.11),
            text="words:N",
            color=alt.value(CANVAS_TEXT),
        ),
    ]
    return (
        alt.LayerChart(layer=layers)
        .add_params(sliders)
        .properties(
            height=height, usermeta={"embedOptions": {"renderer": "canvas"}}, padding={"right": 12}
        )
    )


def describe_threshold_chart(
    rows: pd.DataFrame, sparsity: float, threshold: float, convention: Convention = "S"
) -> str:
    """The chart in words, at the stops where it starts."""
    row = rows[
        (rows["kind"] == "share")
        & (rows["sparsity"] == sparsity)
        & (rows["threshold"] == threshold)
    ].iloc[0]
    exact, sampled = float(row["exact"]), float(row["sampled"])
    if convention == "S":
        at, shape = f"sparsity {sparsity:g}", "rises in a straight line from the sparsity to 1"
        what = "off, at most the threshold"
    else:
        at, shape = f"density {1 - sparsity:.2g}", "falls in a straight line from the density to 0"
        what = "on, above the threshold"
        exact, sampled = 1 - exact, 1 - sampled
    return (
        f"The share of values that are {what}, against the threshold: it {shape}, and points from "
        f"samples lie on it. At {at} and threshold {threshold:g} it is {format_number(exact)}, and "
        f"{format_number(sampled)} of {DRAWS:,} draws. Below, {_SHOWN} of the values drawn, those "
        "that are off in grey. Sliders for both numbers."
    )


def represented_rows(models: pd.DataFrame) -> pd.DataFrame:
    """What the chart of represented features draws, as long rows: line, density, features, seeds.

    Args:
        models: a row per trained model of one family, size and importance: `density`,
            `features_represented`, `n_features`, `best_of_seeds`.

    The lines are `EVERY_SEED`, with a row for each number that some seed represents,
    `BEST_SEED`, `READING`, what S · n would be, and `MEETING`, where the last two are the same.
    """
    n = int(models["n_features"].iloc[0])
    counts = models.groupby(["density", "features_represented"]).size()
    every = counts.rename("seeds").reset_index().assign(line=EVERY_SEED)
    best = models[models["best_of_seeds"]].assign(line=BEST_SEED, seeds=1)
    same = np.isclose((1 - best["density"]) * n, best["features_represented"])
    densities = np.geomspace(models["density"].min(), 1, 80)
    reading = pd.DataFrame(
        {"density": densities, "features": (1 - densities) * n, "line": READING, "seeds": 0}
    )
    named = {"features_represented": "features"}
    columns = ["line", "density", "features", "seeds"]
    tables = [every, best, best[same].assign(line=MEETING)]
    return pd.concat(
        [*(table.rename(columns=named)[columns] for table in tables), reading], ignore_index=True
    ).astype({"features": float, "seeds": int})


def represented_chart(
    models: pd.DataFrame, convention: Convention = "S", height: int = 340
) -> alt.LayerChart:
    """Features represented against density, of every seed and the best, beside S · n.

    Args:
        models: as for `represented_rows`.
        convention: whether the axis is labelled with sparsity or with density.
    """
    table = represented_rows(models)
    n = int(models["n_features"].iloc[0])
    off = convention == "S"
    table["S"] = 1 - table["density"]
    product = "S · n" if off else "(1 − p) · n"
    x = alt.X(
        "density:Q",
        title="sparsity S of the data" if off else "density p of the data",
        scale=alt.Scale(type="log", reverse=True, nice=False),
        axis=alt.Axis(
            values=[1, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001],
            format="~g",
            grid=False,
            # On an axis of log p, S = 0.9 and 0.99 are as far apart as 0.99 and 0.999.
            labelExpr="format(1 - datum.value, '.3~f')" if off else alt.Undefined,
            labelOverlap="greedy",
        ),
    )
    y = alt.Y(
        "features:Q",
        title=f"features represented, of {n}",
        scale=alt.Scale(domain=[0, n * 1.06], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d"),
    )
    data = alt.Tooltip("S:Q" if off else "density:Q", title=convention, format=".3~f")
    line = {
        name: alt.Chart(table).transform_filter(f"datum.line == '{name}'")
        for name in (EVERY_SEED, BEST_SEED, READING, MEETING)
    }
    model = FAMILY_COLOURS["relu-output"]
    # Names, colours and shapes of the legend: words beside the lines would lie on one of them for
    # some networks and some width.
    key = {
        BEST_SEED: (BEST_SEED, model, "M-2.6,0H2.6", [1, 0]),
        EVERY_SEED: (EVERY_SEED, model, "circle", [1, 0]),
        READING: (product, MISTAKEN, "M-2.6,0H2.6", [6, 4]),
        MEETING: ("both the same", MISTAKEN, "circle", [1, 0]),
    }
    table["name"] = table["line"].map({name: style[0] for name, style in key.items()})
    names, colours, shapes, dashes = (list(values) for values in zip(*key.values(), strict=True))
    legend = alt.Legend(
        title=None,
        orient="top",
        columns=alt.ExprRef("width < 480 ? 2 : 4"),
        symbolSize=100,
        symbolStrokeWidth=2,
        # Lines are longer than the circles, to both sides.
        symbolOffset=7,
        labelOffset=14,
        columnPadding=24,
    )
    styled = {
        "stroke": alt.Stroke("name:N", scale=alt.Scale(domain=names, range=colours), legend=legend),
        "shape": alt.Shape("name:N", scale=alt.Scale(domain=names, range=shapes), legend=legend),
        "strokeDash": alt.StrokeDash(
            "name:N", scale=alt.Scale(domain=names, range=dashes), legend=legend
        ),
    }
    layers: list[alt.Chart] = [
        # Hollow: full circles of a size that tells apart would run into each other.
        line[EVERY_SEED]
        .mark_point(filled=False, strokeWidth=1.6, opacity=1)
        .encode(
            x,
            y,
            size=alt.Size(
                "seeds:Q",
                scale=alt.Scale(
                    domain=[0, 16], rangeMin=0, rangeMax=alt.ExprRef("width < 480 ? 200 : 420")
                ),
                legend=None,
            ),
            tooltip=[data, alt.Tooltip("features:Q", title="represented"), "seeds:Q"],
            **styled,
        ),
        line[READING]
        .mark_line(strokeWidth=2, strokeDash=[6, 4], color=MISTAKEN)
        .encode(x, y, tooltip=[data, alt.Tooltip("features:Q", title=product, format=".2f")]),
        line[BEST_SEED]
        .mark_line(
            interpolate="step",
            strokeWidth=2.5,
            color=model,
            point=alt.OverlayMarkDef(
                size=alt.ExprRef("width < 480 ? 18 : 36"), opacity=1, color=model
            ),
        )
        .encode(x, y, tooltip=[data, alt.Tooltip("features:Q", title="best seed")]),
        # There too where no network has one: the browser then moves marks from network to network.
        line[MEETING]
        .mark_point(
            size=alt.ExprRef("width < 480 ? 330 : 620"),
            strokeWidth=2.5,
            color=MISTAKEN,
            filled=False,
            opacity=1,
        )
        .encode(x, y, tooltip=[data, alt.Tooltip("features:Q", title=f"{product}, and best seed")]),
    ]
    return alt.LayerChart(layer=layers).properties(height=height)


def describe_represented_chart(models: pd.DataFrame) -> str:
    """The chart in words: the best seed and S · n at both ends, and at S = 0.8 where it is."""
    best = models[models["best_of_seeds"]].sort_values("density", ascending=False)
    n = int(best["n_features"].iloc[0])
    densities = best["density"].tolist()
    chosen = sorted({densities[0], min(densities, key=lambda p: abs(p - 0.2)), densities[-1]})
    parts = [
        f"{int(best.loc[best['density'] == p, 'features_represented'].iloc[0])} at density "
        f"{format_density(p)}, where S · n is {format_number((1 - p) * n)}"
        for p in reversed(chosen)
    ]
    meets = np.isclose((1 - best["density"]) * n, best["features_represented"])
    same = best.loc[meets, "density"].tolist()
    ringed = (
        f" Rings where both are the same: density {', '.join(map(format_density, same))}."
        if same
        else ""
    )
    return (
        f"Features represented of {n} against the density of the data, for every seed and the "
        f"best one, with a dashed line for S · n. Best seed: {'; '.join(parts)}.{ringed}"
    )
