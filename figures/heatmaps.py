"""Heat maps of WᵀW beside the norms, over a whole sweep of densities.

The sweep travels to the browser with the chart and a slider below it picks the density there.
Every layer filters one common data set: several data sets in one chart have had races. A row is a
mark, and has a column for each density. The slider then gives the marks other numbers; other rows
would be other marks, and making those takes longer than the slider to move.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.inputs import STEP, by_step, inputs, now, stops
from figures.theme import CANVAS_TEXT, DIVERGING, density_in_words, format_density
from superposition.geometry import REPRESENTED_NORM, interference, norms, represented

Floats = NDArray[np.floating[Any]]

SLIDER = "density"
"""Name of the chart's parameter: a point selection of one value of the field `step`."""

INTERFERENCE_COLOURS = ("#8C929F", "#8B74C2", "#8954E5")
# Grey is none; neither end is a colour of the maps. With a top of 2, the middle is as much as one
# whole other feature of norm 1; sweeps that go far beyond get a top of their own.
_INTERFERENCE_TOP, _FAR = 2.0, 3.0

# Above this many features the cells of one map are sent as one small picture per density:
# thousands of separate marks would take longer to draw than the slider to move.
MOST_CELLS_DRAWN = 24

# In units of the map's side: the bars' length for norm 1, gaps, the head, what cells overlap by.
_BAR, _GAP, _BETWEEN, _HEAD = 0.22, 0.03, 0.19, 0.16
# Room for numbers and titles beside the map and below it.
_LEFT, _BELOW = 0.13, 0.17
_OVERLAP = 0.01


def heatmaps(
    sweeps: Mapping[str, Floats], densities: Sequence[float], start: int, height: int = 380
) -> alt.LayerChart:
    """WᵀW of each model of one or two sweeps beside each other, with norms and a density slider.

    Row i of the map and bar i belong to feature i. A bar's colour is the interference that the
    feature feels. The dashed line is the norm above which a feature counts as represented.

    Args:
        sweeps: title -> W of the model at each density, (F, m, n); all of one F and n.
        densities: (F,).
        start: index of the density shown first.

    Raises:
        ValueError: if the sweeps do not share a shape with `densities`.
    """
    table, lefts = _rows(sweeps, densities)
    n = next(iter(sweeps.values())).shape[-1]
    drawn = n <= MOST_CELLS_DRAWN
    most = max(float(np.max(interference(W) * represented(W))) for W in sweeps.values())
    top = _INTERFERENCE_TOP if most <= _FAR else float(round(most))
    slider = inputs(SLIDER, {STEP: (stops(len(densities)), start)})
    x_end = lefts[-1] + n * (1 + _GAP + 1.5 * _BAR)
    x = alt.X(
        "x0:Q", axis=None, scale=alt.Scale(domain=[-_LEFT * n, x_end], nice=False, zero=False)
    )
    y = alt.Y(
        "y0:Q",
        axis=None,
        scale=alt.Scale(domain=[(1 + _BELOW) * n, -2 * _HEAD * n], nice=False, zero=False),
    )
    base = {
        kind: alt.Chart(table).transform_filter(f"datum.kind == '{kind}'")
        for kind in table["kind"].unique()
    }
    ends = {"x2": alt.X2("x1:Q"), "y2": alt.Y2("y1:Q")}
    layers: list[alt.Chart] = []
    if drawn:
        layers.append(
            base["cell"]
            .transform_calculate(value=_now("value"))
            .mark_rect(stroke=None, aria=False)
            .encode(
                x,
                y,
                color=alt.Color("value:Q", scale=_cell_scale(), legend=_legend("Wᵢ · Wⱼ")),
                # The number alone: what is put together here is put together for every cell at
                # every step of the slider.
                tooltip=alt.Tooltip("value:N"),
                **ends,
            )
        )
    else:
        # The pictures of all densities stay in the chart: one that comes and goes is decoded
        # again each time, and the map is empty until then.
        layers.append(
            base["picture"]
            .mark_image(aspect=False, smooth=False)
            .encode(
                x,
                y,
                url="picture:N",
                opacity=alt.condition(f"datum.step == {SLIDER}_step", alt.value(1), alt.value(0)),
                **ends,
            )
        )
        # A mark that is never seen brings the legend that an image cannot have.
        layers.append(
            base["picture"]
            .mark_rect(opacity=0)
            .encode(x, y, color=alt.Color("step:Q", scale=_cell_scale(), legend=_legend("Wᵢ · Wⱼ")))
        )
    layers.append(
        base["bar"]
        .transform_calculate(value=_now("value"), norm=_now("norm"))
        .transform_calculate(x1=f"datum.x0 + {_BAR * n} * datum.norm")
        .mark_rect()
        .encode(
            x,
            y,
            color=alt.Color(
                "value:Q",
                scale=alt.Scale(
                    domain=[0, top / 2, top],
                    range=list(INTERFERENCE_COLOURS),
                    clamp=True,
                    interpolate="rgb",
                ),
                legend=_legend("interference felt"),
            ),
            tooltip=[
                alt.Tooltip("sweep:N", title="model"),
                alt.Tooltip("i:O", title="feature"),
                alt.Tooltip("norm:Q", title="norm", format=".2f"),
                alt.Tooltip("value:Q", title="interference", format=".2f"),
            ],
            **ends,
        )
    )
    layers.append(
        base["line"].mark_rule(strokeDash=[3, 3], color="#8C929F").encode(x, y, y2=alt.Y2("y1:Q"))
    )
    layers.extend(_texts(base, x, y))
    return (
        alt.layer(*layers)
        .resolve_scale(color="independent")
        .add_params(slider)
        .properties(
            height=height,
            # As SVG, hundreds of cells take longer to redraw than the slider to move.
            usermeta={"embedOptions": {"renderer": "canvas"}},
        )
        .configure_view(stroke=None)
    )


def describe_heatmaps(sweeps: Mapping[str, Floats], densities: Sequence[float]) -> str:
    """The chart in words: what is drawn, and how many features each sweep represents."""
    parts = []
    for name, directions in sweeps.items():
        counts = np.sum(norms(directions) > REPRESENTED_NORM, axis=-1)
        parts.append(
            f"{name}: {counts[0]} of {directions.shape[-1]} features represented at density "
            f"{format_density(densities[0])}, {counts[-1]} at density "
            f"{format_density(densities[-1])}"
        )
    maps = "Heat map" if len(sweeps) == 1 else "Heat maps side by side"
    return (
        f"{maps} of the products of all pairs of feature directions, with a bar for the norm of "
        f"each feature, and a slider over {len(densities)} densities. " + "; ".join(parts) + "."
    )


def map_picture(gram: Floats) -> str:
    """One (n, n) matrix as a data URI of an n × n PNG in the colours of the heat maps."""
    stops = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in DIVERGING], dtype=float)
    at = (np.clip(gram, -1, 1) + 1) / 2 * (len(stops) - 1)
    left = np.minimum(at.astype(int), len(stops) - 2)
    share = (at - left)[..., None]
    pixels = np.rint(stops[left] * (1 - share) + stops[left + 1] * share).astype(np.uint8)
    return "data:image/png;base64," + base64.b64encode(_png(pixels)).decode("ascii")


def _cell_scale() -> alt.Scale:
    return alt.Scale(
        domain=[-1, -0.5, 0, 0.5, 1], range=list(DIVERGING), clamp=True, interpolate="rgb"
    )


def _legend(title: str) -> alt.Legend:
    return alt.Legend(
        title=title,
        orient="bottom",
        direction="horizontal",
        gradientLength=110,
        gradientThickness=8,
        tickCount=3,
        titleFontSize=12,
        labelFontSize=11,
    )


def _now(quantity: str) -> str:
    """A Vega expression: the quantity of a row at the density that the slider shows."""
    return now(SLIDER, quantity)


def _texts(base: Mapping[str, alt.Chart], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    grey = alt.value(CANVAS_TEXT)
    styles: tuple[tuple[str, int, Literal["bold", "normal"], Literal["left", "center"]], ...] = (
        ("title", 14, "bold", "left"),
        ("head", 12, "normal", "left"),
    )
    layers = [
        base[kind]
        .transform_calculate(text=_now("text"))
        .mark_text(align=align, baseline="middle", fontSize=size, fontWeight=weight)
        .encode(x, y, text="text:N", color=grey)
        for kind, size, weight, align in styles
    ]
    for kind, angle in (("across", 0), ("down", 270)):
        layers.append(
            base[kind]
            .mark_text(align="center", baseline="middle", fontSize=11, angle=angle, aria=False)
            .encode(
                x,
                y,
                text="words:N",
                color=grey,
                # On a phone there is room for the title of an axis or for its numbers.
                opacity=alt.condition(
                    "isNumber(datum.i) && width < 480", alt.value(0), alt.value(1)
                ),
            )
        )
    return layers


def _rows(
    sweeps: Mapping[str, Floats], densities: Sequence[float]
) -> tuple[pd.DataFrame, list[float]]:
    """A row for each mark, and where the map of each sweep begins.

    What depends on the density has a column for each: `value0`, `value1` and so on.
    """
    shapes = {directions.shape for directions in sweeps.values()}
    if len(shapes) != 1 or next(iter(shapes))[0] != len(densities):
        raise ValueError(
            f"sweeps have shapes {sorted(shapes)}; expected one shape, (F, m, n) with "
            f"F = {len(densities)} densities"
        )
    n = next(iter(shapes))[-1]
    wide = n * (1 + _GAP + 1.5 * _BAR + _BETWEEN)
    lefts = [index * wide for index in range(len(sweeps))]
    tables = []
    for left, (name, directions) in zip(lefts, sweeps.items(), strict=True):
        tables.extend(_sweep_rows(name, left, np.asarray(directions, dtype=np.float64)))
    texts = [density_in_words(p) for p in densities]
    tables.append(
        pd.DataFrame({"kind": ["title"], "x0": 0.0, "y0": -1.65 * _HEAD * n}).join(
            by_step("text", np.array(texts)[:, None])
        )
    )
    return pd.concat(tables, ignore_index=True), lefts


def _sweep_rows(name: str, left: float, W: Floats) -> list[pd.DataFrame]:
    count, _, n = W.shape
    gram = W.mT @ W
    length = norms(W)
    bars = left + n * (1 + _GAP)
    i = np.arange(n)
    tables = [
        pd.DataFrame({"kind": "bar", "i": i + 1, "x0": bars, "y0": i + 0.08, "y1": i + 0.92})
        .join(by_step("value", interference(W)))
        .join(by_step("norm", length))
    ]
    if n <= MOST_CELLS_DRAWN:
        row, column = (a.ravel() for a in np.indices((n, n)))
        tables.append(
            pd.DataFrame(
                {
                    "kind": "cell",
                    "i": row + 1,
                    "j": column + 1,
                    "x0": left + column,
                    # A canvas would show the background through cells that only just touch.
                    "x1": left + column + 1 + _OVERLAP * n * (column < n - 1),
                    "y0": row.astype(float),
                    "y1": row + 1 + _OVERLAP * n * (row < n - 1),
                }
            ).join(by_step("value", gram.reshape(count, -1).round(2) + 0.0))
        )
    else:
        tables.append(
            pd.DataFrame(
                {
                    "kind": "picture",
                    "step": np.arange(count),
                    "x0": left,
                    "x1": left + n,
                    "y0": 0.0,
                    "y1": float(n),
                    "picture": [map_picture(one) for one in gram],
                }
            )
        )
    half = bars + REPRESENTED_NORM * _BAR * n
    tables.append(pd.DataFrame({"kind": ["line"], "x0": half, "y0": 0.0, "y1": float(n)}))
    kept = np.sum(length > REPRESENTED_NORM, axis=-1)
    heads = [[f"{name}: {k} of {n} kept", "norm"] for k in kept]
    tables.append(
        pd.DataFrame({"kind": "head", "x0": [left, bars], "y0": -0.5 * _HEAD * n}).join(
            by_step("text", np.array(heads))
        )
    )
    # Numbers along the edges, and below and beside them what they number.
    every = 1 if n <= 8 else n // 4
    numbers = np.unique([1, *range(every, n + 1, every)])
    beside, below = left - 0.03 * n, 1.045 * n
    numbered = {"kind": "across", "i": numbers, "words": numbers.astype(str)}
    tables += [
        pd.DataFrame({**numbered, "x0": left + numbers - 0.5, "y0": below}),
        pd.DataFrame({**numbered, "x0": beside, "y0": numbers - 0.5}),
        pd.DataFrame(
            {
                "kind": ["across", "down"],
                "words": ["feature j, leaking in", "feature i, read back"],
                "x0": [left + n / 2, left - 0.75 * _LEFT * n],
                "y0": [(1 + 0.7 * _BELOW) * n, n / 2],
            }
        ),
    ]
    return [table.assign(sweep=name) for table in tables]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """An (h, w, 3) picture as a PNG file, with the standard library alone."""
    height, width = pixels.shape[:2]
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # each line begins with filter type 0
    lines[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
