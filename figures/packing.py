"""Random projections, nearly orthogonal directions, and what is read back from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.inputs import STEP, inputs, moving_title, stops
from figures.theme import FAMILY_COLOURS, TEXT, feature_colours, format_density, format_number

Floats = NDArray[np.floating[Any]]

DIMENSION, DENSITY, ACTIVE = "dimension", "sparse", "active"
"""Names of the charts' parameters: point selections of one value of the field `step`."""

OUTSIDE = "#C8453B"
QUIET = FAMILY_COLOURS["linear"]
BLUE, VERMILION, _, _, VIOLET = feature_colours(5)
LIMIT = "#7C8696"
BAND = 0.1
"""Opacity of the band of a projection: little enough for the dots on it."""

READING_EDGES = np.arange(-3.0, 4.01, 0.125)
"""Edges of the bins in which readings are counted."""

RANDOM = "random"
KEPT = "random, kept if far enough"
MOVED = "moved aside to make room"
KNOWN = "best arrangement known"
WELCH = "Welch bound"
RANKIN = "Rankin bound"
LEARNED = "learned by sparse models"
OPTIMISED = "optimised"
STYLES: Mapping[str, tuple[str, str]] = {
    RANDOM: (QUIET, "square"),
    KEPT: (BLUE, "circle"),
    MOVED: (VERMILION, "triangle-up"),
    KNOWN: (VIOLET, "diamond"),
    LEARNED: (FAMILY_COLOURS["relu-output"], "circle"),
    OPTIMISED: (VERMILION, "triangle-up"),
}
"""Colour and shape of each way to find directions."""


def distance_scatter(
    distances: Floats, ratios: Floats, dimensions: Sequence[int], epsilon: float, start: int
) -> alt.LayerChart:
    """Distance after a projection against distance before, a dot per pair, with a slider for m.

    Args:
        distances: of all pairs before, (P,).
        ratios: of the squared distances, after over before, at each of `dimensions`, (M, P).
        dimensions: (M,), ascending.
        epsilon: the band is √(1 ± epsilon) times the distance before.
        start: index of the dimension shown first.

    Raises:
        ValueError: if the shapes do not agree.
    """
    if ratios.shape != (len(dimensions), len(distances)):
        raise ValueError(
            f"ratios have shape {ratios.shape}; expected ({len(dimensions)}, {len(distances)}): "
            "a row for each dimension, a column for each pair"
        )
    # A column for each dimension: a list in a cell would not survive the way to the browser.
    rows = pd.DataFrame(np.sqrt(ratios).T.round(4)).add_prefix("r").assign(d=distances.round(4))
    top = 1.08 * float(distances.max())
    slider = inputs(DIMENSION, {STEP: (stops(len(dimensions), "dimensions m"), start)})
    x = alt.X("d:Q", title="distance before", scale=alt.Scale(domain=[0, top], nice=False))
    highest = float(np.sqrt(1 + epsilon)) * top
    y_scale = alt.Scale(domain=[0, highest], nice=False, clamp=True)
    band = pd.DataFrame(
        [
            {"d": d, "low": d * math.sqrt(1 - epsilon), "high": d * math.sqrt(1 + epsilon)}
            for d in (0.0, top)
        ]
    )
    area = (
        alt.Chart(band)
        # Its edges make the band: a fill that can be seen well would hide the dots on it.
        .mark_area(color=QUIET, fillOpacity=BAND, stroke=QUIET, strokeWidth=1)
        .encode(
            x=x,
            y=alt.Y("low:Q", title="distance after", scale=y_scale),
            y2="high:Q",
        )
    )
    where = ["inside", "outside"]
    said = f"datum.value + (datum.value == 'inside' ? ' the band 1 ± {epsilon:g}' : ' it')"
    dots = (
        alt.Chart(rows)
        .transform_calculate(ratio=f"datum['r' + {DIMENSION}_step]")
        .transform_calculate(
            after="datum.d * datum.ratio",
            where=f"abs(datum.ratio * datum.ratio - 1) > {epsilon} ? 'outside' : 'inside'",
        )
        .mark_circle(opacity=1)
        .encode(
            x=x,
            y=alt.Y("after:Q", title="distance after", scale=y_scale),
            color=alt.Color("where:O", scale=alt.Scale(domain=where, range=[BLUE, OUTSIDE])),
            size=alt.Size(
                "where:O",
                scale=alt.Scale(domain=where, range=[16, 44]),
                legend=alt.Legend(title=None, orient="top", labelExpr=said),
            ),
            tooltip=[
                alt.Tooltip("d:Q", title="before", format=".3f"),
                alt.Tooltip("after:Q", title="after", format=".3f"),
                alt.Tooltip("where:N", title="1 ± δ"),
            ],
        )
        .add_params(slider)
    )
    outside = np.sum(np.abs(ratios - 1) > epsilon, axis=1)
    titles = [
        [
            f"m = {m:,} dimensions",
            f"{bad:,} of {len(distances):,} pairs outside 1 ± {epsilon:g}",
        ]
        for m, bad in zip(dimensions, outside, strict=True)
    ]
    return (
        alt.LayerChart(layer=[area, dots])
        .properties(height=380, title=moving_title(DIMENSION, titles, fontSize=13, offset=8))
        .properties(usermeta={"embedOptions": {"renderer": "canvas"}})
    )


def describe_distance_scatter(ratios: Floats, dimensions: Sequence[int], epsilon: float) -> str:
    """The scatter in words: how many pairs are outside at both ends of the slider."""
    outside = np.sum(np.abs(ratios - 1) > epsilon, axis=1)
    return (
        f"Dots for {ratios.shape[1]} pairs of points, distance after a random projection against "
        f"distance before, with the band of 1 ± {epsilon:g} around the diagonal and a slider for "
        f"the number of dimensions. Outside the band, in larger red dots, are {outside[0]} "
        f"pairs in {dimensions[0]} dimensions and {outside[-1]} in {dimensions[-1]}."
    )


def outside_lines(
    measured: Floats, expected: Floats, enough: int | None, named: int
) -> alt.LayerChart:
    """Share of pairs outside the band against m: in this draw, and by the exact distribution.

    Args:
        measured, expected: at m = 1, 2, …, (M,).
        enough: the dimension from which on no pair is outside, if there is one.
        named: the dimension of the lemma.
    """
    m = np.arange(1, len(measured) + 1)
    names = ["this draw", "on average over draws"]
    # A line needs no more points than pixels; the ends stay.
    keep = np.unique(np.rint(np.geomspace(1, len(m), 160)).astype(int)) - 1
    table = pd.concat(
        [
            pd.DataFrame({"m": m[keep], "share": 100 * values[keep], "line": name})
            for name, values in zip(names, (measured, expected), strict=True)
        ]
    )
    x = alt.X(
        "m:Q",
        title="dimensions m",
        scale=alt.Scale(type="log", domain=[1, 1.1 * len(m)], nice=False),
        axis=alt.Axis(format="~s", grid=False, values=_log_ticks(len(m))),
    )
    lines = (
        alt.Chart(table)
        .mark_line(strokeWidth=2, interpolate="step-after")
        .encode(
            x=x,
            y=alt.Y("share:Q", title="pairs outside, %", scale=alt.Scale(domain=[0, 100])),
            stroke=alt.Stroke(
                "line:N",
                scale=alt.Scale(domain=names, range=[BLUE, QUIET]),
                legend=_legend("stroke", 2),
            ),
            strokeDash=alt.StrokeDash(
                "line:N",
                scale=alt.Scale(domain=names, range=[[1, 0], [4, 3]]),
                legend=_legend("stroke", 2),
            ),
            tooltip=[
                alt.Tooltip("line:N", title="pairs outside"),
                alt.Tooltip("m:Q", title="m", format=","),
                alt.Tooltip("share:Q", title="%", format=".2~f"),
            ],
        )
    )
    # Labels stand to the left of their lines, where the curve has long come down; the first line
    # ends below the label of the second, which may have to cross it.
    marks = [(named, f"the lemma asks for {named:,}", 100.0, VIOLET)]
    if enough is not None:
        marks.append((enough, f"{enough:,} are enough here", 76.0, BLUE))
    rules = pd.DataFrame(marks, columns=["m", "text", "top", "colour"])
    scale = alt.Scale(domain=[0, 100])
    base = alt.Chart(rules).encode(
        x=x, y=alt.Y("top:Q", scale=scale), color=alt.Color("colour:N", scale=None)
    )
    rule = base.mark_rule(strokeWidth=1.5, strokeDash=[2, 2]).encode(y2=alt.Y2Datum(0))
    # Between two lines of the grid.
    text = base.mark_text(align="right", baseline="top", dx=-6, dy=7, fontSize=12).encode(
        text="text:N", color=alt.value(TEXT)
    )
    return alt.LayerChart(layer=[lines, rule, text]).properties(height=260)


def describe_outside_lines(measured: Floats, enough: int | None, named: int) -> str:
    """The lines in words."""
    quarter = max(len(measured) // 4, 1)
    reached = (
        f"From {enough} dimensions on no pair is outside"
        if enough is not None
        else f"In {len(measured)} dimensions some pairs are still outside"
    )
    return (
        "Share of pairs outside the band against the number of dimensions, for one random "
        f"projection and on average: {measured[0]:.0%} in 1 dimension, {measured[quarter - 1]:.1%} "
        f"in {quarter}. {reached}; the lemma asks for {named}."
    )


def count_lines(
    counts: Mapping[str, pd.DataFrame], fits: Mapping[str, Floats], welch: pd.DataFrame
) -> alt.LayerChart:
    """How many directions fit against m, on a logarithmic scale, one series for each way.

    Args:
        counts: name of a way, a key of `STYLES` -> rows with `m` and `count`.
        fits: name of a curve -> (points, 2) of m and K.
        welch: rows with `m` and `count`: the most that Welch's bound allows, where it allows
            finitely many.
    """
    table = pd.concat([rows.assign(way=name) for name, rows in counts.items()], ignore_index=True)
    highest = max(4 * float(table["count"].max()), 10)
    deepest = float(table["m"].max())
    x = alt.X(
        "m:Q",
        title="dimensions m",
        scale=alt.Scale(domain=[0, 1.03 * deepest], nice=False),
        axis=alt.Axis(grid=False, tickMinStep=1),
    )
    y_scale = alt.Scale(type="log", domain=[1, highest], nice=False, clamp=True)
    y = alt.Y(
        "count:Q",
        title="directions",
        scale=y_scale,
        axis=alt.Axis(values=_log_ticks(highest), format="~s"),
    )
    curves = pd.concat(
        [pd.DataFrame(points, columns=["m", "count"]).assign(line=n) for n, points in fits.items()]
        + [welch.assign(line=f"most, by the {WELCH}")],
        ignore_index=True,
    )
    dashes = [[6, 3], [2, 3], [1, 0]]
    line_colours = [BLUE, BLUE, LIMIT]
    names = list(dict.fromkeys(curves["line"]))
    lines = (
        alt.Chart(curves)
        .mark_line(strokeWidth=1.6, clip=True)
        .encode(
            x=x,
            y=y,
            stroke=alt.Stroke(
                "line:N",
                scale=alt.Scale(domain=names, range=line_colours[-len(names) :]),
                legend=_legend("stroke", 3, orient="bottom"),
            ),
            strokeDash=alt.StrokeDash(
                "line:N",
                scale=alt.Scale(domain=names, range=dashes[-len(names) :]),
                legend=_legend("stroke", 3, orient="bottom"),
            ),
        )
    )
    ways = list(counts)
    dots = (
        alt.Chart(table)
        .mark_point(filled=True, size=60, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "way:N",
                scale=alt.Scale(domain=ways, range=[STYLES[way][0] for way in ways]),
                legend=_legend("symbol", 2),
            ),
            shape=alt.Shape(
                "way:N",
                scale=alt.Scale(domain=ways, range=[STYLES[way][1] for way in ways]),
                legend=_legend("symbol", 2),
            ),
            tooltip=[
                alt.Tooltip("way:N", title="directions"),
                alt.Tooltip("m:Q", title="m"),
                alt.Tooltip("count:Q", title="how many", format=".3~r"),
            ],
        )
    )
    return alt.LayerChart(layer=[lines, dots]).properties(height=420)


def describe_count_lines(counts: Mapping[str, pd.DataFrame], epsilon: float) -> str:
    """The counts in words: each way at both ends of its range."""
    parts = []
    for name, rows in counts.items():
        ordered = rows.sort_values("m")
        first, last = ordered.iloc[0], ordered.iloc[-1]
        parts.append(
            f"{name}: {first['count']:.3g} in {first['m']:.0f} dimensions, {last['count']:.3g} in "
            f"{last['m']:.0f}"
        )
    return (
        f"How many directions with pairwise |cos| up to {epsilon:g} fit, against the number of "
        f"dimensions, on a logarithmic scale. {'; '.join(parts)}."
    )


def coherence_chart(
    learned: pd.DataFrame,
    lines: pd.DataFrame,
    densities: Sequence[float],
    start: int,
    bound: str,
    title: str,
) -> alt.LayerChart:
    """Coherence of trained models over features per dimension, with a slider for density.

    Args:
        learned: a row per model: `step` (index into `densities`), `load` (features represented
            per dimension), `value`, `label` and `model_id`.
        lines: what they are compared with: `load`, `value`, `line` (`RANDOM`, `OPTIMISED` or
            `bound`).
        densities: (F,), from dense to sparse.
        start: index of the density shown first.
        bound: name of the bound.
        title: of the vertical axis.
    """
    low = -1.0 if min(lines["value"].min(), learned["value"].min()) < -1e-9 else 0.0
    x = alt.X(
        "load:Q",
        title="features represented per dimension",
        scale=alt.Scale(domain=[0, 1.04 * float(lines["load"].max())], nice=False),
        axis=alt.Axis(grid=False),
    )
    y = alt.Y("value:Q", title=title, scale=alt.Scale(domain=[low, 1.03], nice=False))
    names = [RANDOM, OPTIMISED, bound]
    colours = [QUIET, VERMILION, LIMIT]
    dashes = [[5, 3], [1, 0], [2, 2]]
    curves = (
        alt.Chart(lines)
        .mark_line(strokeWidth=1.8)
        .encode(
            x=x,
            y=y,
            stroke=alt.Stroke(
                "line:N",
                scale=alt.Scale(domain=names, range=colours),
                legend=_legend("stroke", 3),
            ),
            strokeDash=alt.StrokeDash(
                "line:N",
                scale=alt.Scale(domain=names, range=dashes),
                legend=_legend("stroke", 3),
            ),
            tooltip=[
                alt.Tooltip("line:N", title="directions"),
                alt.Tooltip("load:Q", title="per dimension", format=".2f"),
                alt.Tooltip("value:Q", title="coherence", format=".3f"),
            ],
        )
    )
    slider = inputs(DENSITY, {STEP: (stops(len(densities)), start)})
    dots = (
        alt.Chart(alt.InlineData(values=learned.to_dict("records")))
        .transform_filter(f"datum.step == {DENSITY}_step")
        .mark_circle(size=70, opacity=1, color=STYLES[LEARNED][0])
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("label:N", title="model"),
                alt.Tooltip("load:Q", title="represented per dimension", format=".2f"),
                alt.Tooltip("value:Q", title="coherence", format=".3f"),
            ],
        )
        .add_params(slider)
    )
    titles = [[f"dots: ReLU models at density p = {format_density(p)}"] for p in densities]
    return alt.LayerChart(layer=[curves, dots]).properties(
        height=380, title=moving_title(DENSITY, titles, fontSize=13, offset=8)
    )


def describe_coherence_chart(
    learned: pd.DataFrame, lines: pd.DataFrame, densities: Sequence[float], m: int
) -> str:
    """The chart in words: the models at the sparsest density, and random directions."""
    sparse = learned[learned["step"] == len(densities) - 1]
    random = lines[lines["line"] == RANDOM]
    return (
        f"Coherence against features represented per dimension in {m} dimensions, with a slider "
        f"over {len(densities)} densities. At density {format_density(densities[-1])} the "
        f"{len(sparse)} models lie between {_signed(sparse['value'].min())} and "
        f"{_signed(sparse['value'].max())}; as many random directions between "
        f"{_signed(random['value'].min())} and {_signed(random['value'].max())}."
    )


@dataclass(frozen=True)
class ReadingCounts:
    """What a histogram needs of readings, of which there may be hundreds of thousands.

    Attributes:
        off, on: how many readings of features that are off and on lie between two of
            `READING_EDGES`, (bins,). What lies beyond them is counted in the outermost bins.
        noise: standard deviation of the readings of features that are on.
    """

    off: NDArray[np.int64]
    on: NDArray[np.int64]
    noise: float


def count_readings(on: Floats, off: Floats) -> ReadingCounts:
    """Readings of features that are on and of features that are off, counted."""
    edges = READING_EDGES
    off_counts, on_counts = (
        np.histogram(np.clip(values, edges[0], edges[-1] - 1e-9), edges)[0] for values in (off, on)
    )
    return ReadingCounts(off_counts, on_counts, float(np.std(on)))


def reading_histogram(
    readings: Mapping[int, ReadingCounts],
    computed: Mapping[int, float],
    n: int,
    start: int,
) -> alt.LayerChart:
    """What is read back of features that are on and off, with a slider for how many are on.

    Args:
        readings: for each number k of features that are on.
        computed: k -> standard deviation of a reading of a feature that is on.
        n: number of features.
        start: index of the k shown first.
    """
    edges = READING_EDGES
    names = ["off, should read 0", "on, should read 1"]
    rows: list[dict[str, Any]] = []
    corners: list[dict[str, Any]] = []
    # The noise is in the data, not in the title: where the data alone changes, the browser moves
    # the marks instead of setting the chart up anew.
    titles, noise = [], []
    for step, (k, counted) in enumerate(readings.items()):
        titles.append([f"{k:,} of {n:,} features on"])
        text = (
            f"noise of one that is on: √((k − 1)/m) = {format_number(computed[k], 2)},\n"
            f"sampled {format_number(counted.noise, 2)}"
        )
        noise.append({"step": step, "text": text})
        for name, heights in zip(names, (counted.off, counted.on), strict=True):
            # Of the tallest bar: alone, a feature reads exactly 1 every time.
            share = 100 * heights / heights.max()
            rows.extend(
                {
                    "step": step,
                    "left": float(left),
                    "right": float(left) + 0.125,
                    "share": round(float(value), 3),
                    "feature": name,
                }
                for left, value in zip(edges[:-1], share, strict=True)
                if value > 0
            )
            (filled,) = np.nonzero(heights)
            # An outline goes up from 0 where the bars begin, and down to it where they end.
            begin, end = max(filled[0] - 1, 0), filled[-1] + 1
            corners.extend(
                {
                    "step": step,
                    "left": float(edges[bin_]),
                    "share": round(float(share[bin_]), 3) if bin_ < len(share) else 0.0,
                    "feature": name,
                }
                for bin_ in range(begin, end + 1)
            )
    slider = inputs(ACTIVE, {STEP: (stops(len(readings), "features on"), start)})
    colour = alt.Color(
        "feature:N",
        scale=alt.Scale(domain=names, range=[QUIET, BLUE]),
        legend=_legend("stroke", 2),
    )
    x = alt.X(
        "left:Q",
        title="reading",
        scale=alt.Scale(domain=[float(edges[0]), float(edges[-1])], nice=False),
        axis=alt.Axis(grid=False, values=[-3, -2, -1, 0, 1, 2, 3, 4]),
    )
    y = alt.Y(
        "share:Q",
        title="% of the commonest",
        # Above the tallest bar there is room for two lines of text.
        scale=alt.Scale(domain=[0, 132], nice=False),
        axis=alt.Axis(values=[0, 50, 100]),
    )
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .transform_filter(f"datum.step == {ACTIVE}_step")
        .mark_rect(fillOpacity=0.3)
        .encode(
            x=x,
            x2="right:Q",
            y=y,
            y2=alt.Y2Datum(0),
            color=colour,
            tooltip=[
                alt.Tooltip("feature:N", title="feature"),
                alt.Tooltip("left:Q", title="reading from", format=".2f"),
                alt.Tooltip("share:Q", title="% of the commonest", format=".1f"),
            ],
        )
        .add_params(slider)
    )
    # Both can be seen where they overlap: the bars are faint, and their outlines are not.
    outlines = (
        alt.Chart(alt.InlineData(values=corners))
        .transform_filter(f"datum.step == {ACTIVE}_step")
        .mark_line(interpolate="step-after", strokeWidth=2, opacity=1)
        .encode(
            x=x,
            y=y,
            color=colour,
        )
    )
    words = (
        alt.Chart(alt.InlineData(values=noise))
        .transform_filter(f"datum.step == {ACTIVE}_step")
        .mark_text(align="left", baseline="top", lineBreak="\n", fontSize=12, color=TEXT)
        .encode(x=alt.value(6), y=alt.value(3), text="text:N")
    )
    return alt.LayerChart(layer=[bars, outlines, words]).properties(
        height=330, title=moving_title(ACTIVE, titles, fontSize=13, offset=8)
    )


def describe_reading_histogram(computed: Mapping[int, float], n: int, m: int) -> str:
    """The histogram in words."""
    ks = list(computed)
    return (
        f"Histograms of what is read back of features that are on and of features that are off, "
        f"{n} random directions in {m} dimensions, with a slider for how many are on. The noise "
        f"goes from {format_number(computed[ks[0]], 2)} with {ks[0]} on to "
        f"{format_number(computed[ks[-1]], 2)} with {ks[-1]} on; the signal is 1."
    )


def reader_lines(table: pd.DataFrame) -> alt.LayerChart:
    """Error left by the best linear and the best ReLU reader over how many features are on.

    table: rows with `active`, `reader` ("linear" or "ReLU"), `error` (a share) and `sampled`.
    """
    names = {"linear": QUIET, "ReLU": FAMILY_COLOURS["relu-output"]}
    base = alt.Chart(table).encode(
        x=alt.X(
            "active:Q",
            title="features on, k",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(grid=False, values=_log_ticks(float(table["active"].max())), format="~s"),
        ),
        color=_names(names, "reader"),
        tooltip=[
            alt.Tooltip("reader:N"),
            alt.Tooltip("active:Q", title="features on"),
            alt.Tooltip("error:Q", title="error left, computed", format=".1%"),
            alt.Tooltip("sampled:Q", title="sampled", format=".1%"),
        ],
    )
    title = "error left"
    scale = alt.Scale(domain=[0, 1.05], nice=False)
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    lines = base.mark_line(strokeWidth=2).encode(
        y=alt.Y("error:Q", title=title, scale=scale, axis=axis)
    )
    dots = base.mark_circle(size=50, opacity=1).encode(
        y=alt.Y("sampled:Q", title=title, scale=scale, axis=axis)
    )
    return alt.LayerChart(layer=[lines, dots]).properties(height=280)


def describe_reader_lines(table: pd.DataFrame) -> str:
    """The lines in words: the error left at both ends."""
    parts = []
    for name, rows in table.groupby("reader", sort=False):
        ordered = rows.sort_values("active")
        first, last = ordered.iloc[0], ordered.iloc[-1]
        parts.append(
            f"{name} from {first['error']:.0%} with {first['active']} on to {last['error']:.0%} "
            f"with {last['active']} on"
        )
    return (
        "Error left by the best reader of its kind, as a share of that of a constant, against how "
        f"many features are on: {'; '.join(parts)}. Lines are computed, dots sampled."
    )


def _legend(
    kind: Literal["stroke", "symbol"], columns: int, orient: Literal["top", "bottom"] = "top"
) -> alt.Legend:
    return alt.Legend(
        title=None,
        orient=orient,
        # One below the other where there is little room.
        columns=alt.ExprRef(f"width < 480 ? 1 : {columns}"),
        labelLimit=260,
        **(_LONG_SYMBOL if kind == "stroke" else {}),
    )


# A stroke as long as four of the largest dashes and their gaps, to the right of where a symbol
# would be: a symbol as long as that would be as high, too, and so would its row.
_LONG_SYMBOL: Mapping[str, Any] = {
    "symbolType": "M-1,0H4.4",
    "symbolSize": 100,
    "symbolStrokeWidth": 2,
    "labelOffset": 26,
    "columnPadding": 24,
}


def _names(colours: Mapping[str, str], field: str) -> alt.Color:
    return alt.Color(
        f"{field}:N",
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(title=None, orient="top", columns=2),
    )


def _log_ticks(highest: float) -> list[int]:
    """1, 3, 10, 30, … up to a value."""
    ticks = (step * 10**power for power in range(9) for step in (1, 3))
    return [tick for tick in ticks if tick <= highest]


def _signed(value: float) -> str:
    return format_number(value, 2)
