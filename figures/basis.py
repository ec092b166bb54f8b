"""Do the features of trained models lie on the axes of hidden space, more than by chance?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.inputs import STEP, by_step, inputs, moving_title, options, stops, switch
from figures.pixels import GREY, X2, Y2, X, Y, of_kind, placed
from figures.theme import CANVAS_TEXT, DIVERGING, FAMILY_COLOURS, format_density, format_number
from superposition.rotation import AgainstRotations

Floats = NDArray[np.floating[Any]]

DOTS = "against"
"""Name of the parameter of the dots: a point selection of one value of the field `measure`."""
WEIGHTS = "weights"
"""Name of that of the weights, of the fields `step` and `turned`."""

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


def alignment_dots(
    tables: Mapping[str, pd.DataFrame],
    titles: Mapping[str, str],
    start: str,
    height: int = 390,
) -> alt.LayerChart:
    """A dot for each model of `alignment_table`, over density, and the band of chance.

    The reader chooses among the measures, which differ in numbers alone: the dots move.

    The band reaches from the mean 5th to the mean 95th percentile of the rotations of the models
    at each density, both families together: they hardly differ.

    Args:
        tables: measure -> its table; all of the same models in the same order.
        titles: measure -> what it is, in words.
        start: the measure shown first.

    Raises:
        ValueError: if the tables are not of the same models.
    """
    first = next(iter(tables.values()))
    models = ["name", "density", "seed"]
    if not all(table[models].equals(first[models]) for table in tables.values()):
        raise ValueError("the measures have other models; expected the same in the same order")
    names = [name for name in NAMES.values() if name in set(first["name"])]
    dots = first[models].copy()
    side = dots["name"].map({name: (1 if k else -1) for k, name in enumerate(names)})
    dots["at"] = (dots["density"] * 10 ** (side * _APART)).round(5)
    band = pd.DataFrame({"at": sorted(first["density"].unique())})
    for measure, table in tables.items():
        for column in ("value", "chance", "p"):
            dots[f"{column}_{measure}"] = table[column].round(4)
        means = table.groupby("density")[["low", "chance", "high"]].mean().round(4)
        for column in means:
            band[f"{column}_{measure}"] = means[column].to_numpy()

    def shown(*columns: str) -> dict[str, str]:
        return {column: f"datum['{column}_' + {DOTS}_measure]" for column in columns}

    x = alt.X(
        "at:Q",
        title="density p, from dense to sparse",
        scale=alt.Scale(type="log", reverse=True, nice=False, padding=12),
        axis=alt.Axis(values=[1, 0.3, 0.1, 0.03, 0.01], format="~g", grid=False),
    )
    title = "alignment with the axes"
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    shade = (
        alt.Chart(band)
        .transform_calculate(**shown("low", "high"))
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
        alt.Chart(band)
        .transform_calculate(**shown("chance"))
        .mark_line(color=FAMILY_COLOURS["linear"], strokeDash=[4, 3])
        .encode(x=x, y=alt.Y("chance:Q", title=title))
    )
    marks = (
        alt.Chart(dots)
        .transform_calculate(**shown("value", "chance", "p"))
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
        .add_params(inputs(DOTS, {"measure": (options("Measure", {m: m for m in tables}), start)}))
    )
    said = json.dumps({measure: titles[measure] for measure in tables}, ensure_ascii=False)
    return alt.LayerChart(layer=[shade, middle, marks]).properties(
        height=height,
        title=alt.TitleParams(
            alt.ExprRef(f"{said}[{DOTS}_measure]"),
            subtitle="a dot is a model",
            anchor="start",
            fontSize=13,
            color=CANVAS_TEXT,
            subtitleColor=CANVAS_TEXT,
            offset=6,
        ),
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


# The weights. Pixels: to the left and right of a map, its head, a row, below the last row.
_LEFT, _RIGHT, _HEAD, _ROW, _FOOT = 34, 4, 44, 27, 40
# Columns narrower than this have no room for a number.
_NARROW = 24


def weight_maps(
    sweeps: Mapping[str, Floats],
    turned: Mapping[str, Floats],
    labels: Sequence[str],
    rows: Mapping[str, str],
    start: int,
    is_turned: bool = False,
) -> alt.LayerChart:
    """Heat maps of W of two or more models above each other, with a slider over F densities.

    A switch shows the same models with their hidden spaces turned. Each map has colours of its own,
    as far as its largest weight, or ±1 where none is larger.

    Args:
        sweeps: name of a model -> its weights, (F, m, n); all of one n.
        turned: the same turned, (F, m, n).
        labels: (F,) words above the maps: what is shown.
        rows: name of a model -> what a row is.
        start: the density shown first, from 0.
        is_turned: whether the switch is on first.

    Raises:
        ValueError: if the shapes do not agree.
    """
    shapes = {np.shape(values) for values in (*sweeps.values(), *turned.values())}
    if len(shapes) != 1 or next(iter(shapes))[0] != len(labels):
        raise ValueError(
            f"weights have shapes {sorted(shapes)}; expected one shape, (F, m, n) with "
            f"F = {len(labels)} labels"
        )
    _, m, n = next(iter(shapes))
    block = _HEAD + m * _ROW + _FOOT
    tables = []
    for k, name in enumerate(sweeps):
        tables += _map_rows(name, rows[name], sweeps[name], turned[name], k * block + _HEAD)
    table = pd.concat(tables, ignore_index=True)
    base = alt.Chart()
    side = f"((width - {_LEFT + _RIGHT}) / {n})"

    def x(value: str) -> str:
        return f"({_LEFT} + ({value}) * {side})"

    cell = of_kind(base, "cell").transform_calculate(value=_weight("v"), shade=_weight("c"))
    numbers: dict[str, Any] = {"baseline": "middle", "fontSize": 11, "color": GREY}
    colour = alt.Color(
        "shade:Q",
        scale=alt.Scale(
            domain=[-1, -0.5, 0, 0.5, 1], range=list(DIVERGING), clamp=True, interpolate="rgb"
        ),
        # The head of each map says what its strongest colours are.
        legend=None,
    )
    layers = [
        # A canvas would show the background through cells that only just touch.
        placed(
            cell,
            x("datum.column - 1"),
            "datum.y",
            x("datum.column") + " + 0.6",
            f"datum.y + {_ROW} + 0.6",
        )
        .mark_rect(stroke=None)
        .encode(
            X,
            Y,
            X2,
            Y2,
            color=colour,
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("row:O", title="hidden axis"),
                alt.Tooltip("column:O", title="feature"),
                alt.Tooltip("value:Q", title="weight", format="+.3f"),
            ],
        ),
        placed(
            cell.transform_filter(f"abs(datum.value) >= 0.05 && {side} > {_NARROW}"),
            x("datum.column - 0.5"),
            f"datum.y + {_ROW / 2}",
        )
        .mark_text(fontSize=10, baseline="middle")
        .encode(
            X,
            Y,
            text=alt.Text("value:Q", format=".1f"),
            color=alt.condition(
                "abs(datum.shade) > 0.75", alt.value("#ffffff"), alt.value("#12161d")
            ),
        ),
        placed(of_kind(base, "row"), f"{_LEFT} - 12", f"datum.y + {_ROW / 2}")
        .mark_text(**numbers)
        .encode(X, Y, text="row:N"),
        placed(of_kind(base, "column"), x("datum.column - 0.5"), "datum.y + 12")
        .mark_text(**numbers)
        .encode(X, Y, text="column:N"),
        placed(of_kind(base, "head"), f"{_LEFT}", "datum.y")
        .transform_calculate(words=_weight("title"))
        .mark_text(align="left", fontSize=13, fontWeight="bold", color=CANVAS_TEXT)
        .encode(X, Y, text="words:N"),
        placed(of_kind(base, "head"), f"{_LEFT}", "datum.y + 16")
        .transform_calculate(words=f"datum.text + {_weight('reach')}")
        .mark_text(align="left", fontSize=11, color=GREY)
        .encode(X, Y, text="words:N"),
    ]
    fields = {
        STEP: (stops(len(labels)), start),
        "turned": (switch("Turn both hidden spaces by one random rotation"), is_turned),
    }
    return (
        alt.LayerChart(data=table, layer=layers)
        .add_params(inputs(WEIGHTS, fields))
        .properties(
            height=len(sweeps) * block - _FOOT + 20,
            title=moving_title(WEIGHTS, labels, fontSize=14, color=CANVAS_TEXT, offset=4),
            usermeta={"embedOptions": {"renderer": "canvas"}},
        )
        .configure_view(stroke=None)
    )


def describe_weight_maps(weights: Mapping[str, Floats], label: str) -> str:
    """The maps in words, at one density. weights: name of a model -> W (m, n) as it is shown."""
    parts = [
        f"{name}: values from {format_number(float(W.min()), 2)} to "
        f"{format_number(float(W.max()), 2)}, {int((np.abs(W) > np.abs(W).max() / 2).sum())} of "
        f"{W.size} above half of the largest"
        for name, W in weights.items()
    ]
    return f"Heat maps of W at {label}, hidden axes by features. {'; '.join(parts)}."


def _weight(quantity: str) -> str:
    """A Vega expression: the quantity of a row in the state that is shown."""
    return f"datum['{quantity}' + ({WEIGHTS}_turned ? 't' : '') + {WEIGHTS}_{STEP}]"


def _map_rows(name: str, row: str, sweep: Floats, turned: Floats, top: int) -> list[pd.DataFrame]:
    """The rows of one map. top: pixels above its first row."""
    m, n = np.shape(sweep)[1:]
    down, across = (a.ravel() for a in np.indices((m, n)))
    cells = [pd.DataFrame({"model": name, "row": down + 1, "column": across + 1})]
    heads = []
    for mark, values in (("", sweep), ("t", turned)):
        W = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        # One scale for a well-trained model of any kind, wider only where weights are larger.
        reach = np.maximum(np.abs(W).max(-1), 1.0)
        cells += [
            by_step(f"v{mark}", (W.round(3) + 0.0).astype(np.float32)),
            by_step(f"c{mark}", (W / reach[:, None]).round(3).astype(np.float32)),
        ]
        titles = np.full((len(W), 1), f"{name}{', turned' if mark else ''}", dtype=object)
        words = np.array([[format_number(float(r), 2)] for r in reach], dtype=object)
        heads += [by_step(f"title{mark}", titles), by_step(f"reach{mark}", words)]
    what = f"a row is a{'n' if row[0] in 'aeiou' else ''} {row}; dark blue and dark red are ±"
    return [
        pd.concat(cells, axis=1).assign(kind="cell", y=top + down * _ROW),
        pd.DataFrame({"kind": "row", "row": np.arange(1, m + 1), "y": top + np.arange(m) * _ROW}),
        pd.DataFrame({"kind": "column", "column": np.arange(1, n + 1), "y": top + m * _ROW}),
        pd.concat(heads, axis=1).assign(kind="head", text=what, y=top - _HEAD + 16),
    ]
