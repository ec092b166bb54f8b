"""What a layer of neurons computes: the function of each feature, how many, and by which roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.inputs import inputs, switch
from figures.theme import CANVAS_TEXT, FAMILY_COLOURS, feature_colours, format_density
from superposition.neurons import (
    EFFECT,
    HANDLED,
    ONE,
    ONE_INHIBITS,
    ONLY_INHIBITS,
    ROLES,
    SEVERAL,
    SEVERAL_INHIBITS,
    UNUSED,
    AmongOthers,
)

Floats = NDArray[np.floating[Any]]

ROLE_COLOURS = {
    ONE: "#157079",
    ONE_INHIBITS: "#7B5EA7",
    SEVERAL: "#B98B3E",
    SEVERAL_INHIBITS: "#DB6C66",
    ONLY_INHIBITS: "#8C5D2B",
    UNUSED: "#8C929F",
}
"""A colour for each role of a neuron; grey where it does nothing."""

CURVES = "curves"
"""Name of the curves' parameter: a point selection of one value of the field `others`."""

_COLUMNS = 3
_TOP = 1.25  # Outputs above this are drawn there.
_GAP, _HEAD = 0.12, 0.34  # between cells and above each, in units of a cell
_DASH = [4, 4]
_COVERED = 0.04  # of 1: about half the thickness of the line of an output
_MOST_CROSS = 3  # lines of cross-talk in one cell


def response_curves(
    alone: Floats,
    values: Floats,
    shares: Floats,
    features: Sequence[int],
    others: AmongOthers | None = None,
    varied: bool = False,
    row_height: int = 120,
) -> alt.LayerChart:
    """The function each feature really gets: a small chart for each, output against input.

    Dashed |x|, white where the output covers it; a thick line for the output while the feature is
    on alone; thin lines for the other outputs that then come on. With `others`, a switch shows a
    band that holds the middle 80 % of the output while the other features vary. Above each, its
    number and the share of the variance it explains.

    Args:
        alone: (n, V, n), see `superposition.neurons.outputs_alone`.
        values: (V,) of the inputs, rising, from −1 to 1.
        shares: (n,), see `superposition.neurons.explained`.
        features: indices from 0 of those shown.
        others: of the features shown, each (K, V).
        varied: whether the switch is on first.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    table = _curve_rows(alone, values, shares, features, others)
    n = len(shares)
    rows = -(-len(features) // _COLUMNS)
    across = min(_COLUMNS, len(features))
    colour = alt.Color(
        "colour:N",
        scale=alt.Scale(domain=[str(i) for i in range(1, n + 1)], range=feature_colours(n)),
        legend=None,
    )
    x = alt.X(
        "x:Q",
        axis=None,
        scale=alt.Scale(domain=[-0.02, across + (across - 1) * _GAP + 0.02], nice=False),
    )
    y = alt.Y(
        "y:Q",
        axis=None,
        scale=alt.Scale(domain=[-(rows - 1) * (1 + _HEAD) - 0.16, 1 + _HEAD], nice=False),
    )

    def rows_of(kind: str) -> alt.Chart:
        return alt.Chart(table).transform_filter(f"datum.kind == '{kind}'")

    tips = [
        alt.Tooltip("input:N", title="feature that is on"),
        alt.Tooltip("value:Q", title="its value", format=".2f"),
        alt.Tooltip("output:N", title="output"),
        alt.Tooltip("result:Q", title="gives", format=".2f"),
    ]
    # The same layers whatever there is to draw: where the data alone changes, the browser moves the
    # lines instead of setting the chart up anew.
    layers = [
        rows_of("floor").mark_line(color="#8C929F", strokeWidth=0.5).encode(x, y, detail="line:N"),
        *(
            [
                rows_of("band")
                .transform_filter(f"{CURVES}_others")
                .mark_area(opacity=0.3)
                .encode(x, y, y2=alt.Y2("y2:Q"), color=colour, detail="line:N")
            ]
            if others is not None
            else []
        ),
        rows_of("target")
        .mark_line(color="#8C929F", strokeWidth=1.5, strokeDash=_DASH)
        .encode(x, y, detail="line:N"),
        rows_of("cross")
        .mark_line(strokeWidth=1.2)
        .encode(x, y, color=colour, detail="line:N", tooltip=tips),
        rows_of("own")
        .mark_line(strokeWidth=4)
        .encode(x, y, color=colour, detail="line:N", tooltip=tips),
        # Once more, on top, where the output hides it: most are what they should be.
        rows_of("met")
        .mark_line(color="#ffffff", strokeWidth=1.5, strokeDash=_DASH)
        .encode(x, y, detail="line:N"),
        rows_of("head")
        .mark_text(align="left", baseline="middle", fontSize=12, color=CANVAS_TEXT)
        .encode(x, y, text="text:N"),
        rows_of("tick")
        # Within the cell: on a phone the next one begins a few pixels on.
        .mark_text(
            baseline="middle",
            fontSize=10,
            color=CANVAS_TEXT,
            align=alt.ExprRef(
                "datum.text == '0' ? 'center' : datum.text == '1' ? 'right' : 'left'"
            ),
        )
        .encode(x, y, text="text:N"),
    ]
    chart = alt.layer(*layers)
    if others is not None:
        label = "Let the other features vary too: the band is the middle 80% of the output"
        chart = chart.add_params(inputs(CURVES, {"others": (switch(label), varied)}))
    return chart.properties(height=rows * row_height + 20).configure_view(stroke=None)


def describe_response_curves(shares: Floats, features: Sequence[int]) -> str:
    """`response_curves` in words: how much each output explains."""
    parts = ", ".join(f"feature {i + 1} {_percent(shares[i])}" for i in features)
    return (
        "Small charts of output against input, one for each feature shown, with the wanted "
        f"absolute value dashed. Variance explained: {parts}. {HANDLED:.0%} or more counts as "
        "handled."
    )


def _curve_rows(
    alone: Floats,
    values: Floats,
    shares: Floats,
    features: Sequence[int],
    others: AmongOthers | None,
) -> pd.DataFrame:
    n, count = len(shares), len(values)
    shown = (len(features), count)
    if alone.shape != (n, count, n) or not features:
        raise ValueError(
            f"alone has shape {alone.shape} for {n} shares and {count} values; expected "
            f"{(n, count, n)}, and at least one feature to show"
        )
    if others is not None and others.low.shape != shown:
        raise ValueError(f"others have shape {others.low.shape}; expected {shown}")
    ends, corners = values[[0, -1]], np.array([values[0], 0.0, values[-1]])
    tables = []
    for place, i in enumerate(features):
        left = place % _COLUMNS * (1 + _GAP)
        base = -(place // _COLUMNS) * (1 + _HEAD)

        def line(
            kind: str,
            output: int,
            curve: Floats,
            values: Floats = values,
            i: int = i,
            left: float = left,
            base: float = base,
        ) -> pd.DataFrame:
            return pd.DataFrame(
                {
                    "kind": kind,
                    "line": f"{kind} {i} {output}",
                    "colour": str(output + 1),
                    "input": str(i + 1),
                    "output": str(output + 1),
                    "value": np.round(values, 3),
                    "result": np.round(curve, 4),
                    "x": left + (values + 1) / 2,
                    "y": base + np.clip(curve, 0, _TOP) / _TOP,
                }
            )

        # No more points than straight lines need.
        tables.append(line("floor", i, np.zeros(2), ends))
        tables.append(line("target", i, np.abs(corners), corners))
        if others is not None:
            band = line("band", i, others.high[place])
            band["y2"] = base + np.clip(others.low[place], 0, _TOP) / _TOP
            tables.append(band)
        for j in _cross_talk(alone[i], i):
            tables.append(line("cross", j, alone[i, :, j]))
        tables.append(line("own", i, alone[i, :, i]))
        # No point where the output does not cover what is wanted: the line has a gap there.
        met = line("met", i, np.abs(values))
        met.loc[np.abs(alone[i, :, i] - np.abs(values)) > _COVERED, "y"] = np.nan
        tables.append(met)
        done = "✓" if shares[i] >= HANDLED else "✗"
        words = [
            {
                "kind": "head",
                "x": left,
                "y": base + 1 + 0.42 * _HEAD,
                "text": f"{i + 1}: {_percent(shares[i])} {done}",
            }
        ]
        if place + _COLUMNS >= len(features):
            words.extend(
                {"kind": "tick", "x": left + (v + 1) / 2, "y": base - 0.09, "text": text}
                for v, text in ((-1, "−1"), (0, "0"), (1, "1"))
            )
        tables.append(pd.DataFrame(words))
    return pd.concat(tables, ignore_index=True)


def _cross_talk(outputs: Floats, own: int) -> list[int]:
    """The other outputs that come on most, strongest first. outputs: (V, n)."""
    strength = outputs.max(0) - outputs.min(0)
    strength[own] = 0.0
    strongest = np.argsort(-strength, kind="stable")[:_MOST_CROSS]
    return [int(j) for j in strongest if strength[j] >= EFFECT / 2]


def _percent(share: float) -> str:
    share = max(share, 0.0)
    # 74.8 % must not read as the 75 % that it falls short of.
    for decimals in (0, 1, 2):
        if (round(share, 2 + decimals) >= HANDLED) == (share >= HANDLED):
            return f"{share:.{decimals}%}"
    return f"just below {HANDLED:.0%}"


def handled_lines(table: pd.DataFrame, pairs: int, height: int = 260) -> alt.LayerChart:
    """How many features are handled at each density, against one pair of neurons for each.

    Args:
        table: columns density, handled.
        pairs: m // 2, where the dashed line is.
    """
    colour = FAMILY_COLOURS["absolute-value"]
    x = alt.X(
        "density:Q",
        title="density p, from dense to sparse",
        scale=alt.Scale(type="log", reverse=True, nice=False),
        axis=alt.Axis(
            values=[1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001],
            format="~g",
            grid=False,
            # Every other one on a phone.
            labelOverlap="parity",
            labelSeparation=12,
            labelFlush=False,
        ),
    )
    top = max(float(table["handled"].max()), pairs) * 1.15
    y = alt.Y(
        "handled:Q",
        title="features handled",
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d"),
    )
    base = alt.Chart(table).encode(x, y)
    rule = alt.Chart(
        pd.DataFrame(
            {
                "handled": [pairs],
                "density": [float(table["density"].min())],
                "text": [f"m/2 = {pairs}"],
            }
        )
    )
    return alt.LayerChart(
        layer=[
            rule.mark_rule(strokeDash=[5, 4], color="#8C929F").encode(y=y),
            rule.mark_text(align="right", dy=10, color=CANVAS_TEXT).encode(x, y, text="text:N"),
            base.mark_line(color=colour, strokeWidth=2),
            base.mark_circle(color=colour, size=60, opacity=1).encode(
                tooltip=[
                    alt.Tooltip("density:Q", format=".4~g"),
                    alt.Tooltip("handled:Q", title="features handled"),
                ]
            ),
        ]
    ).properties(height=height)


def describe_handled_lines(table: pd.DataFrame, pairs: int) -> str:
    """`handled_lines` in words: every count."""
    rows = table.sort_values("density", ascending=False)
    counts = ", ".join(
        f"{handled} at {format_density(p)}"
        for handled, p in zip(rows["handled"], rows["density"], strict=True)
    )
    return (
        f"Line of the features handled against density, with a dashed line at m/2 = {pairs}: "
        f"{counts}."
    )


def role_bars(table: pd.DataFrame, height: int = 330) -> alt.Chart:
    """Stacked bars of how many neurons have which role, a bar per density, dense on the left.

    Args:
        table: columns density, role (of `superposition.neurons.ROLES`), neurons.
    """
    rows = table[table["neurons"] > 0].copy()
    rows["label"] = rows["density"].map(format_density)
    rows["rank"] = rows["role"].map(ROLES.index)
    found = [role for role in ROLES if role in set(rows["role"])]
    order = [format_density(p) for p in sorted(rows["density"].unique(), reverse=True)]
    return (
        alt.Chart(rows)
        .mark_bar()
        .encode(
            x=alt.X(
                "label:O",
                sort=order,
                title="density p, from dense to sparse",
                axis=alt.Axis(labelAngle=0),
                scale=alt.Scale(paddingInner=0.15),
            ),
            y=alt.Y("neurons:Q", title="neurons", axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                "role:N",
                scale=alt.Scale(domain=found, range=[ROLE_COLOURS[role] for role in found]),
                legend=alt.Legend(title=None, orient="top", columns=1, labelLimit=240),
            ),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("label:O", title="density"),
                alt.Tooltip("role:N"),
                alt.Tooltip("neurons:Q"),
            ],
        )
        .properties(height=height)
    )


def describe_role_bars(table: pd.DataFrame) -> str:
    """`role_bars` in words: the roles at both ends."""
    parts = []
    for density in (table["density"].max(), table["density"].min()):
        here = table[(table["density"] == density) & (table["neurons"] > 0)]
        counts = ", ".join(
            f"{count} {role}" for role, count in zip(here["role"], here["neurons"], strict=True)
        )
        parts.append(f"at density {format_density(density)} {counts}")
    return f"Stacked bars of neurons by what they are for: {'; '.join(parts)}."
