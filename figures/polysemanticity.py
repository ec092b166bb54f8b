"""Neurons: what they hold over density, who shares them, a rare feature, and top inputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.inputs import STEP, inputs, stops, switch
from figures.theme import (
    CANVAS_TEXT,
    FAMILY_COLOURS,
    TEXT,
    feature_colours,
    format_density,
    format_number,
)
from superposition.sharing import antipodal_cost

Floats = NDArray[np.floating[Any]]

NEURON_COLOUR = FAMILY_COLOURS["relu-hidden"]
QUIET = "#8C929F"

MEETINGS: dict[float, tuple[str, str]] = {
    -1.0: ("never together", "#0072B2"),
    0.0: ("independent", QUIET),
    1.0: ("always together", "#D55E00"),
}
"""In-pair correlation -> its name and colour."""

PARTNERS, STRANGERS = "the two of a pair", "strangers"

# A weight this far below zero silences a neuron whatever else is on, since other weights are
# about 1; trained ones can be fifty times larger and would leave no room for the rest.
LOWEST_DRAWN = -2.0


# Over density


@dataclass(frozen=True)
class Band:
    """What one panel of `seed_bands` shows.

    Attributes:
        title: above it.
        top: where its axis ends; it begins at 0.
        ticks: the numbers on it.
    """

    title: str
    top: float
    ticks: tuple[float, ...]


BANDS = {
    "features_per_neuron": Band("features per neuron", 10, (0, 2, 4, 6, 8, 10)),
    "monosemantic_share": Band("monosemantic share", 1, (0, 0.2, 0.4, 0.6, 0.8, 1)),
}
"""Column of a table of counts -> its panel, from the top down."""

COUNTS = "counts"
"""Name of the parameter of `seed_bands`: a point selection of the fields `step` and `exciting`."""

# What of the seeds -> how its column in a table of counts ends.
_ENDS = {"mean": "", "low": "_low", "high": "_high"}
# Which column of a row the inputs ask for, a Vega expression: "mean2", or "mean2x" if exciting.
_ASKED = f"{COUNTS}_{STEP} + ({COUNTS}_exciting ? 'x' : '')"
# Between the panels and above them, where a panel is 1 high: room for their titles.
_BETWEEN_BANDS, _ABOVE_BANDS = 0.26, 0.14


def seed_bands(
    table: pd.DataFrame, start: int, exciting: bool, height: int = 480
) -> alt.LayerChart:
    """Features per neuron above the share of monosemantic neurons, both against density.

    A line is the mean over seeds, its band reaches from the least to the greatest. What counts as
    a feature of a neuron is a convention, and has two inputs that the browser answers: a slider
    over shares, and whether positive weights alone count. A page reads both back from the
    selection `COUNTS`, fields `step` and `exciting`.

    Args:
        table: a row for each convention and density: share, exciting, density, and of each of
            `BANDS` the mean, `_low` and `_high`.
        start: which of the shares comes first, by size from 0.
        exciting: whether positive weights alone count at first.

    Raises:
        ValueError: if the conventions do not all have the same densities, or `start` is none of
            them.
    """
    shares = sorted(float(share) for share in table["share"].unique())
    if not 0 <= start < len(shares):
        raise ValueError(f"start is {start}; expected the index of one of {len(shares)} shares")
    heads = pd.DataFrame(
        {
            "kind": "head",
            "level": [_foot(panel) + 1 for panel in range(len(BANDS))],
            "text": [band.title for band in BANDS.values()],
        }
    )
    rows = pd.concat(
        [*(_band_rows(table, shares, panel) for panel in range(len(BANDS))), heads],
        ignore_index=True,
    )
    base = alt.Chart()
    counts = (
        base.transform_filter("datum.kind == 'count'")
        .transform_calculate(**{name: f"datum['{name}' + {_ASKED}]" for name in _ENDS})
        .transform_calculate(
            **{f"{name}_at": f"datum.foot + datum.{name} / datum.top" for name in _ENDS}
        )
    )
    # Where a mark is on the common scale of both panels is nothing to be read out.
    x, detail = _density_axis(), "measure:N"
    layers = [
        counts.mark_area(color=NEURON_COLOUR, opacity=0.22, aria=False).encode(
            x, _bands_axis("low_at"), y2="high_at:Q", detail=detail
        ),
        counts.mark_line(color=NEURON_COLOUR, strokeWidth=2, aria=False).encode(
            x, _bands_axis("mean_at"), detail=detail
        ),
        counts.mark_circle(color=NEURON_COLOUR, size=32, opacity=1, aria=False).encode(
            x,
            _bands_axis("mean_at"),
            tooltip=[
                alt.Tooltip("measure:N"),
                alt.Tooltip("density:Q", format=".4~g"),
                alt.Tooltip("mean:Q", title="mean over seeds", format=".3~f"),
                alt.Tooltip("low:Q", title="least", format=".3~f"),
                alt.Tooltip("high:Q", title="greatest", format=".3~f"),
            ],
        ),
        base.transform_filter("datum.kind == 'head'")
        .mark_text(align="left", dy=-12, fontSize=13, fontWeight="bold", color=TEXT)
        .encode(alt.XValue(0), _bands_axis("level"), text="text:N"),
    ]
    controls = {
        STEP: (
            stops(len(shares), "A weight counts from this share of the neuron's largest"),
            start,
        ),
        "exciting": (switch("Count features that excite only"), exciting),
    }
    said = [[_convention(share, alone) for share in shares] for alone in (False, True)]
    text = f"{json.dumps(said)}[{COUNTS}_exciting ? 1 : 0][{COUNTS}_{STEP}]"
    title = alt.TitleParams(alt.ExprRef(text), anchor="start", fontSize=13, fontWeight="normal")
    return (
        # The data are named once: Altair would compare them layer by layer.
        alt.LayerChart(data=rows, layer=layers)
        .add_params(inputs(COUNTS, controls))
        .properties(height=height, title=title)
    )


def describe_seed_bands(table: pd.DataFrame, share: float, exciting: bool) -> str:
    """`seed_bands` in words, as one convention has it. table: its rows, dense data first."""
    first, last = table.iloc[0], table.iloc[-1]
    lines = [
        f"Line of {band.title} against density, the mean over seeds with the range of the seeds "
        f"around it: {format_number(first[name])} at density {format_density(first['density'])}, "
        f"{format_number(last[name])} ({format_number(last[f'{name}_low'])} to "
        f"{format_number(last[f'{name}_high'])}) at density {format_density(last['density'])}."
        for name, band in BANDS.items()
    ]
    return " ".join((*_convention(share, exciting), *lines))


def _convention(share: float, exciting: bool) -> list[str]:
    """What counts, in words: two lines, since one is too long for a phone."""
    if exciting:
        return [
            f"Positive weights count from {share:g} of the largest",
            "positive one, negative ones not at all.",
        ]
    return [f"Weights count from {share:g} of the neuron's largest,", "whatever their sign."]


def _foot(panel: int) -> float:
    """Where a panel begins on the common scale, on which each is 1 high; the first is on top."""
    return (len(BANDS) - 1 - panel) * (1 + _BETWEEN_BANDS)


def _band_rows(table: pd.DataFrame, shares: Sequence[float], panel: int) -> pd.DataFrame:
    """A row for each density, with columns of the ends for each convention: see `_ASKED`."""
    name, band = list(BANDS.items())[panel]
    densities = table["density"].unique()
    columns: dict[str, Any] = {
        "kind": "count",
        "measure": band.title,
        "density": densities,
        "foot": _foot(panel),
        "top": band.top,
    }
    for (share, exciting), rows in table.groupby(["share", "exciting"]):
        if rows["density"].tolist() != densities.tolist():
            raise ValueError(f"share {share:g}: expected the same densities as of the others")
        convention = f"{shares.index(float(share))}{'x' if exciting else ''}"
        for end, suffix in _ENDS.items():
            columns[f"{end}{convention}"] = rows[f"{name}{suffix}"].to_numpy()
    return pd.DataFrame(columns)


def _bands_axis(field: str) -> alt.Y:
    """One scale for both panels, whose numbers are those of the panel they stand beside."""
    ticks = {
        _foot(panel) + tick / band.top: f"{tick:g}"
        for panel, band in enumerate(BANDS.values())
        for tick in band.ticks
    }
    values, labels = json.dumps(list(ticks)), json.dumps(list(ticks.values()))
    return alt.Y(
        f"{field}:Q",
        title=None,
        scale=alt.Scale(domain=[0, _foot(0) + 1 + _ABOVE_BANDS], nice=False),
        axis=alt.Axis(
            values=list(ticks),
            labelExpr=f"{labels}[indexof({values}, datum.value)]",
            labelOverlap=False,
            aria=False,
        ),
    )


# Who shares


def overlap_means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and twice the standard error over seeds, for pairs and for strangers.

    table: density, correlation, overlap and overlap_of_strangers of each model.
    """
    long = pd.concat(
        [
            table[["density", "correlation"]].assign(who=who, overlap=table[column])
            for who, column in ((PARTNERS, "overlap"), (STRANGERS, "overlap_of_strangers"))
        ]
    )
    groups = long.groupby(["who", "correlation", "density"])["overlap"]
    means = pd.DataFrame({"mean": groups.mean(), "error": 2 * groups.sem()}).reset_index()
    means["low"], means["high"] = means["mean"] - means["error"], means["mean"] + means["error"]
    means["together"] = [MEETINGS[c][0] for c in means["correlation"]]
    return means


def overlap_curves(means: pd.DataFrame) -> alt.LayerChart:
    """How much features share neurons against density, by how often they meet.

    means: as of `overlap_means`. Bars are two standard errors over the seeds each way.
    """
    names = [name for name, _ in MEETINGS.values()]
    colours = [colour for _, colour in MEETINGS.values()]
    who = [PARTNERS, STRANGERS]
    y = alt.Y("mean:Q", title="overlap", scale=alt.Scale(domain=[0, 1.05], nice=False))
    base = alt.Chart(means).encode(
        x=_density_axis(),
        color=alt.Color(
            "together:N",
            scale=alt.Scale(domain=names, range=colours),
            legend=_legend("circle", 3),
        ),
    )
    lines = base.mark_line(strokeWidth=2).encode(
        y=y,
        strokeDash=alt.StrokeDash(
            "who:N",
            scale=alt.Scale(domain=who, range=[[1, 0], [3, 4]]),
            legend=_legend("stroke", 2),
        ),
    )
    partners = base.transform_filter(f"datum.who == '{PARTNERS}'")
    errors = partners.mark_rule(strokeWidth=1.5).encode(
        y=alt.Y("low:Q", scale=alt.Scale(domain=[0, 1.05], nice=False)), y2="high:Q"
    )
    points = partners.mark_circle(size=54, opacity=1).encode(
        y=y,
        tooltip=[
            alt.Tooltip("together:N", title="pairs are"),
            alt.Tooltip("density:Q", format=".4~g"),
            alt.Tooltip("mean:Q", title="overlap", format=".2f"),
            alt.Tooltip("error:Q", title="± (2 standard errors)", format=".2f"),
        ],
    )
    return alt.LayerChart(layer=[lines, errors, points]).properties(height=320)


def _legend(symbol: str, columns: int) -> alt.Legend:
    """In one row above the chart, and in a column on a phone, where it would be cut off."""
    return alt.Legend(
        title=None,
        orient="top",
        columns=alt.ExprRef(f"width < 480 ? 1 : {columns}"),
        symbolType=symbol,
        # Long enough for a dash and the gap after it.
        symbolSize=400 if symbol == "stroke" else 100,
        rowPadding=2,
    )


def describe_overlap_curves(means: pd.DataFrame) -> str:
    """`overlap_curves` in words."""
    parts = []
    for name, _ in MEETINGS.values():
        rows = means[(means["together"] == name) & (means["who"] == PARTNERS)]
        rows = rows.sort_values("density", ascending=False)
        first, last = rows.iloc[0], rows.iloc[-1]
        parts.append(
            f"{name}: {first['mean']:.2f} at density {format_density(first['density'])}, "
            f"{last['mean']:.2f} at {format_density(last['density'])}"
        )
    return (
        "Overlap of the neurons that the two features of a pair use, against density, for pairs "
        f"that are on {'; '.join(parts)}. Dashed lines show strangers, features of different "
        "pairs."
    )


# A rare feature


def cost_curves(table: pd.DataFrame) -> alt.LayerChart:
    """What one more feature costs the popular ones, against how rare it is.

    Dots are trained models, lines the closed form of an antipodal pair.

    table: rows of `zoo.claims.sharing.rare_feature_costs` of one n_features.
    """
    densities = sorted(table["density"].unique())
    names = [format_density(p) for p in densities]
    ramp = feature_colours(12)
    colours = [ramp[round(i)] for i in np.linspace(0, 11, len(names))]
    rows = pd.DataFrame(
        {
            "ratio": table["rare_ratio"],
            "cost": table["cost"].round(6),
            "gain": table["gain"].round(4),
            "popular": [format_density(p) for p in table["density"]],
            "kind": "model",
        }
    )
    ratios = np.geomspace(table["rare_ratio"].min(), table["rare_ratio"].max(), 40)
    lines = pd.concat(
        [
            pd.DataFrame(
                {
                    "ratio": ratios,
                    "cost": antipodal_cost(p, p * ratios).round(6),
                    "popular": name,
                    "kind": "closed form",
                }
            )
            for p, name in zip(densities, names, strict=True)
        ]
    )
    base = alt.Chart(pd.concat([rows, lines], ignore_index=True)).encode(
        x=alt.X(
            "ratio:Q",
            scale=alt.Scale(type="log", reverse=True, nice=False, padding=8),
            title="times as frequent as a popular feature",
            axis=alt.Axis(values=[1, 0.1, 0.01, 0.001], format="~g", grid=False),
        ),
        y=alt.Y(
            "cost:Q",
            title="cost, in popular features",
            scale=alt.Scale(zero=True),
            axis=alt.Axis(tickCount=6),
        ),
        color=alt.Color(
            "popular:N",
            scale=alt.Scale(domain=names, range=colours),
            legend=alt.Legend(
                title="density of the popular ones", orient="top", symbolType="circle", columns=5
            ),
        ),
    )
    forms = base.transform_filter("datum.kind == 'closed form'").mark_line(
        strokeWidth=1.5, strokeDash=[4, 3]
    )
    points = (
        base.transform_filter("datum.kind == 'model'")
        .mark_circle(size=54, opacity=1)
        .encode(
            tooltip=[
                alt.Tooltip("popular:N", title="popular density"),
                alt.Tooltip("ratio:Q", title="times as frequent", format=".4~g"),
                alt.Tooltip("cost:Q", title="cost", format=".2~g"),
                alt.Tooltip("gain:Q", title="saved of leaving it out", format=".2f"),
            ]
        )
    )
    return alt.LayerChart(layer=[forms, points]).properties(height=320)


def describe_cost_curves(table: pd.DataFrame) -> str:
    """`cost_curves` in words."""
    parts = []
    for p, rows in table.groupby("density"):
        rows = rows.sort_values("rare_ratio", ascending=False)
        parts.append(
            f"at popular density {format_density(float(str(p)))}, "
            f"{format_number(rows['cost'].iloc[0], 2)} when it is as frequent, "
            f"{format_number(rows['cost'].iloc[-1], 2)} when it is a thousandth as frequent"
        )
    return (
        "Cost of one more feature to the popular ones, in units of a popular feature forgotten, "
        f"against how rare it is: {'; '.join(parts)}."
    )


# One neuron


def input_bars(inputs: Floats, activations: Floats) -> alt.LayerChart:
    """Inputs as rows of small bars, one for each feature, and how active the neuron is on each.

    Args:
        inputs: (K, n), the strongest first, on [0, 1].
        activations: (K,).
    """
    count, n = inputs.shape
    row, feature = np.nonzero(inputs)
    bars = pd.DataFrame(
        {
            "kind": "bar",
            "input": row + 1,
            "feature": feature + 1,
            "value": inputs[row, feature].round(3),
            "x0": feature + 0.58,
            "x1": feature + 1.42,
            "y0": row + 1.0,
            "y1": row + 1 - 0.82 * inputs[row, feature],
        }
    )
    words = pd.DataFrame(
        {
            "kind": "activation",
            "x0": n + 1.1,
            "y0": np.arange(count) + 0.62,
            "text": [format_number(float(a), 2) for a in activations],
        }
    )
    ground = pd.DataFrame(
        {"kind": "ground", "x0": 0.5, "x1": n + 0.5, "y0": np.arange(count) + 1.0}
    )
    head = pd.DataFrame({"kind": ["head"], "x0": n + 2, "y0": -0.2, "text": "activation"})
    table = pd.concat([bars, words, ground, head], ignore_index=True)
    x = alt.X(
        "x0:Q",
        title="feature",
        scale=alt.Scale(domain=[0.5, n + 2], nice=False, zero=False),
        axis=alt.Axis(
            values=list(range(1, n + 1)), grid=False, ticks=False, domain=False, format="d"
        ),
    )
    y = alt.Y(
        "y0:Q", axis=None, scale=alt.Scale(domain=[count + 0.1, -0.4], nice=False, zero=False)
    )
    base = alt.Chart(table)
    layers = [
        base.transform_filter("datum.kind == 'ground'")
        .mark_rule(color=QUIET, strokeWidth=0.7)
        .encode(x=x, y=y, x2="x1:Q"),
        base.transform_filter("datum.kind == 'bar'")
        .mark_rect(stroke=None)
        .encode(
            x=x,
            y=y,
            x2="x1:Q",
            y2="y1:Q",
            color=alt.Color(
                "feature:O",
                scale=alt.Scale(domain=list(range(1, n + 1)), range=feature_colours(n)),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("input:O"),
                alt.Tooltip("feature:O"),
                alt.Tooltip("value:Q", format=".2f"),
            ],
        ),
        base.transform_filter("datum.kind == 'activation'")
        .mark_text(align="left", color=CANVAS_TEXT, fontSize=12)
        .encode(x=x, y=y, text="text:N"),
        base.transform_filter("datum.kind == 'head'")
        .mark_text(align="right", color=CANVAS_TEXT, fontSize=12)
        .encode(x=x, y=y, text="text:N"),
    ]
    return (
        alt.LayerChart(layer=layers).properties(height=30 * count + 60).configure_view(stroke=None)
    )


def describe_input_bars(inputs: Floats, activations: Floats) -> str:
    """`input_bars` in words: which features are on in each input."""
    parts = []
    for x, activation in zip(inputs, activations, strict=True):
        on = ", ".join(f"{i + 1} at {x[i]:.2f}" for i in np.flatnonzero(x))
        parts.append(f"activation {format_number(float(activation), 2)}: features {on or 'none'}")
    return f"The {len(inputs)} inputs that activate a neuron most. {'; '.join(parts)}."


def weight_bars(weights: Floats) -> alt.LayerChart:
    """The weights (n,) of one neuron as bars in the colours of the features.

    Bars end at `LOWEST_DRAWN`; the numbers above and below them do not.
    """
    n = len(weights)
    drawn = np.maximum(weights, LOWEST_DRAWN)
    table = pd.DataFrame(
        {
            "feature": np.arange(1, n + 1),
            "weight": np.round(weights, 3),
            "drawn": drawn.round(3),
            "text": [format_number(float(w), 2) if abs(w) >= 0.05 else "" for w in weights],
        }
    )
    top = max(1.0, float(drawn.max())) + 0.25
    base = alt.Chart(table).encode(
        x=alt.X(
            "feature:O",
            title="feature",
            axis=alt.Axis(labelAngle=0, ticks=False, domain=False, orient="bottom"),
        ),
        y=alt.Y(
            "drawn:Q",
            title="weight",
            scale=alt.Scale(domain=[min(-0.5, float(drawn.min())) - 0.3, top], nice=False),
            axis=alt.Axis(tickCount=5),
        ),
    )
    bars = base.mark_bar().encode(
        color=alt.Color(
            "feature:O",
            scale=alt.Scale(domain=list(range(1, n + 1)), range=feature_colours(n)),
            legend=None,
        ),
        tooltip=[alt.Tooltip("feature:O"), alt.Tooltip("weight:Q", format="+.3~f")],
    )
    numbers = [
        base.transform_filter(f"datum.drawn {sign} 0")
        .mark_text(dy=dy, fontSize=11, color=CANVAS_TEXT)
        .encode(text="text:N")
        for sign, dy in ((">", -8), ("<=", 9))
    ]
    return alt.LayerChart(layer=[bars, *numbers]).properties(height=260)


def describe_weight_bars(weights: Floats) -> str:
    """`weight_bars` in words."""
    parts = [
        f"feature {i + 1}: {format_number(float(w), 2)}"
        for i, w in enumerate(weights)
        if abs(w) >= 0.05
    ]
    return f"Weights of one neuron by feature. {'; '.join(parts) or 'All are near 0'}."


def _density_axis() -> alt.X:
    return alt.X(
        "density:Q",
        scale=alt.Scale(type="log", reverse=True, nice=False, padding=10),
        title="density p, from dense to sparse",
        axis=alt.Axis(values=[1, 0.3, 0.1, 0.03, 0.01], format="~g", grid=False),
    )
