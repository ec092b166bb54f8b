"""A residual stream: who writes, who reads, and what comes out when its basis changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.pixels import FAINT, GREY, X2, Y2, X, Y, of_kind
from figures.theme import STATUS_STYLES, feature_colours, format_number

Floats = NDArray[np.floating[Any]]

CHANGE_COLOUR = "#8954E5"
STEP_COLOUR = "#D55E00"
# As a share of the largest output: below the first nothing has changed but rounding.
ROUNDING, SMALL = 1e-12, 1e-3
UNCHANGED, LOST, CHANGED = "unchanged", "digits lost", "changed"
_MARKS = {UNCHANGED: "✓", LOST: "≈", CHANGED: "✗"}
_PAINT = dict(zip(_MARKS, (style.colour for style in STATUS_STYLES.values()), strict=True))
# Points of a scatter beyond this many are left out: they would only cover each other.
MOST_POINTS = 600

# Pixels: the stream's own line, the boxes above and below it, the chips between.
_STREAM, _TOP, _BOTTOM = 104, 26, 182
_CHIPS = (64, 144)
_NARROW = 420  # pixels: below, a cell of the table holds no more than a power of ten


def stream_diagram(
    writers: Sequence[str],
    blocks: Sequence[str],
    readers: Sequence[str],
    write: str,
    read: str,
    step: bool = False,
) -> alt.LayerChart:
    """The stream as a line from left to right, writes coming from above, reads going below.

    Args:
        writers, blocks, readers: what each is called. Blocks read, compute, and write back.
        write, read: what every write and every read goes through, as written on their arrows.
        step: whether an element-wise step stands in the stream, before the readers.
    """
    stations = [*(("write", name) for name in writers)]
    for name in blocks:
        stations.append(("block", name))
        stations.append(("back", ""))
    if step:
        stations.append(("step", "ReLU"))
    stations += [("read", name) for name in readers]
    rows: list[dict[str, Any]] = [{"kind": "stream", "at": 0.5}]
    colours = dict(zip(readers, feature_colours(max(len(readers), 1)), strict=False))
    for index, (kind, name) in enumerate(stations):
        at = (index + 0.75) / (len(stations) + 0.5)
        if kind == "write":
            rows += [
                {"kind": "arrow", "at": at, "from": _TOP + 14, "to": _STREAM - 8},
                {"kind": "box", "at": at, "y": _TOP, "text": name, "colour": GREY},
                {"kind": "chip", "at": at, "y": _CHIPS[0], "text": write},
            ]
        elif kind == "read":
            rows += [
                {"kind": "arrow", "at": at, "from": _STREAM + 6, "to": _BOTTOM - 16},
                {"kind": "box", "at": at, "y": _BOTTOM, "text": name, "colour": colours[name]},
                {"kind": "chip", "at": at, "y": _CHIPS[1], "text": read},
            ]
        elif kind == "block":
            end = (index + 1.75) / (len(stations) + 0.5)
            rows += [
                {"kind": "line", "at": at, "from": _STREAM + 6, "to": _BOTTOM},
                {"kind": "arrow", "at": end, "from": _BOTTOM, "to": _STREAM + 8},
                {"kind": "link", "at": at, "end": end, "y": _BOTTOM},
                {
                    "kind": "box",
                    "at": (at + end) / 2,
                    "y": _BOTTOM,
                    "text": name,
                    "colour": GREY,
                },
                {"kind": "chip", "at": at, "y": _CHIPS[1], "text": read},
                {"kind": "chip", "at": end, "y": _CHIPS[1], "text": write},
            ]
        elif kind == "step":
            rows.append({"kind": "step", "at": at, "y": _STREAM, "text": name})
    table = pd.DataFrame(rows)
    base = alt.Chart().transform_calculate(px="datum.at * width", py="datum.y")
    stream = of_kind(base, "stream").transform_calculate(px="4", px2="width - 6", py=f"{_STREAM}")
    arrow, line = (
        of_kind(base, kind).transform_calculate(py="datum.from", py2="datum.to")
        for kind in ("arrow", "line")
    )
    heads = of_kind(base, "arrow").transform_calculate(
        py="datum.to", turn="datum.to > datum.from ? 180 : 0"
    )
    chip = of_kind(base, "chip")
    box = of_kind(base, "box")
    link = of_kind(base, "link").transform_calculate(px2="datum.end * width")
    step_box = of_kind(base, "step")
    layers = [
        stream.mark_rule(color=GREY, strokeWidth=5, opacity=0.8).encode(X, Y, X2),
        stream.mark_point(
            shape="triangle-right", filled=True, color=GREY, size=160, opacity=1
        ).encode(alt.X("px2:Q", scale=None, axis=None), Y),
        link.mark_rule(color=GREY).encode(X, Y, X2),
        line.mark_rule(color=GREY, strokeWidth=1.5).encode(X, Y, Y2),
        arrow.mark_rule(color=GREY, strokeWidth=1.5).encode(X, Y, Y2),
        heads.mark_point(shape="triangle-up", filled=True, color=GREY, size=60, opacity=1).encode(
            X, Y, angle=alt.Angle("turn:Q", scale=None)
        ),
        *_labels(chip, CHANGE_COLOUR),
        *_labels(box, GREY, "colour"),
        *_labels(step_box, STEP_COLOUR),
    ]
    return (
        alt.LayerChart(data=table, layer=layers)
        .properties(
            height=_BOTTOM + 24,
            # Redrawn at every change, and all of it.
            usermeta={"embedOptions": {"renderer": "canvas"}},
        )
        .configure_view(stroke=None)
    )


def describe_stream(
    writers: Sequence[str],
    blocks: Sequence[str],
    readers: Sequence[str],
    write: str,
    read: str,
    step: bool = False,
) -> str:
    """The diagram in words."""
    return (
        f"A residual stream from left to right. {len(writers)} maps write into it, each through "
        f"{write}; "
        + (f"{len(blocks)} block reads from it and writes back; " if blocks else "")
        + ("then a ReLU acts on every coordinate of it; " if step else "")
        + f"{len(readers)} maps read from it, each through {read}."
    )


def output_scatter(
    before: Sequence[Floats], after: Sequence[Floats], names: Sequence[str], height: int = 320
) -> alt.LayerChart:
    """Every output after the change of basis against the same output before it.

    Args:
        before, after: (N, b) for each reader.
        names: of the readers.
    """
    tables = []
    for name, a, b in zip(names, before, after, strict=True):
        tables.append(pd.DataFrame({"reader": name, "before": np.ravel(a), "after": np.ravel(b)}))
    table = pd.concat(tables, ignore_index=True)
    every = max(1, -(-len(table) // MOST_POINTS))
    # Shuffled: the dots of one reader would cover those of the others.
    table = table.iloc[::every].round(4).sample(frac=1, random_state=0)
    ends = np.array(
        [table[["before", "after"]].min().min(), table[["before", "after"]].max().max()]
    )
    ends = ends + np.array([-0.05, 0.05]) * max(float(np.ptp(ends)), 1e-3)
    # The line reaches a little further than the dots, and sets the scales. Given as a domain, its
    # ends would make another specification of each draw, and the browser set the chart up anew.
    scale = alt.Scale(zero=False, nice=False)
    line = (
        alt.Chart(pd.DataFrame({"before": ends, "after": ends}).round(6))
        .mark_line(color=FAINT, strokeDash=[4, 3])
        .encode(x=alt.X("before:Q", scale=scale), y=alt.Y("after:Q", scale=scale))
    )
    dots = (
        alt.Chart(table)
        .mark_circle(size=24, opacity=1)
        .encode(
            x=alt.X("before:Q", title="output before", scale=scale, axis=alt.Axis(tickCount=5)),
            y=alt.Y("after:Q", title="output after", scale=scale, axis=alt.Axis(tickCount=5)),
            color=alt.Color(
                "reader:N",
                scale=alt.Scale(domain=list(names), range=feature_colours(len(names))),
                legend=None
                if len(names) == 1
                else alt.Legend(title=None, orient="top", labelFontSize=12),
            ),
            tooltip=[
                "reader:N",
                alt.Tooltip("before:Q", format=".3f"),
                alt.Tooltip("after:Q", format=".3f"),
            ],
        )
    )
    return alt.LayerChart(layer=[line, dots]).properties(
        height=height,
        title=alt.TitleParams(
            "Every output, after against before", anchor="start", fontSize=14, offset=8
        ),
        # Hundreds of dots.
        usermeta={"embedOptions": {"renderer": "canvas"}},
    )


def describe_scatter(largest: float, scale: float) -> str:
    """The scatter in words. largest: change of an output; scale: the largest output."""
    if largest <= 1e-9 * scale:
        return "Outputs after the change against outputs before: every point lies on the diagonal."
    return (
        "Outputs after the change against outputs before: points leave the diagonal by up to "
        f"{largest:.2g}, where the largest output is {scale:.2g}."
    )


def verdict(change: float, scale: float) -> str:
    """What a largest change means, where the largest output is `scale`."""
    if change <= ROUNDING * scale:
        return UNCHANGED
    return LOST if change <= SMALL * scale else CHANGED


def change_table(
    changes: Mapping[str, Mapping[str, tuple[float, float]]], height: int = 300
) -> alt.LayerChart:
    """A cell for each matrix and each way to use it: the largest change, and what it means.

    Args:
        changes: kind of matrix -> way to use it -> (largest change, largest output).
    """
    rows = pd.DataFrame(
        [
            {
                "kind": kind,
                "way": way,
                "change": change,
                "verdict": verdict(change, scale),
                "text": f"{_MARKS[verdict(change, scale)]} {format_number(change, 1)}",
                "short": f"{_MARKS[verdict(change, scale)]} {_order(change)}",
            }
            for kind, ways in changes.items()
            for way, (change, scale) in ways.items()
        ]
    )
    base = alt.Chart(rows).encode(
        x=alt.X(
            "way:N",
            sort=list(next(iter(changes.values()))),
            title=None,
            axis=alt.Axis(
                orient="top",
                labelAngle=0,
                ticks=False,
                domain=False,
                labelFontSize=12,
                # Two lines rather than none, where columns are narrow.
                labelExpr="split(datum.label, ', ')",
                labelOverlap=False,
                grid=False,
            ),
            scale=alt.Scale(padding=0.04),
        ),
        y=alt.Y(
            "kind:N",
            sort=list(changes),
            title=None,
            axis=alt.Axis(ticks=False, domain=False, labelFontSize=12, labelLimit=150, grid=False),
            scale=alt.Scale(padding=0.06),
        ),
    )
    names = list(_MARKS)
    cells = base.mark_rect(cornerRadius=4).encode(
        color=alt.Color(
            "verdict:N",
            scale=alt.Scale(domain=names, range=[_PAINT[name] for name in names]),
            legend=None,
        ),
        tooltip=[
            alt.Tooltip("kind:N", title="R"),
            alt.Tooltip("way:N", title="reads"),
            alt.Tooltip("change:Q", title="largest change", format=".2~e"),
            alt.Tooltip("verdict:N", title="outputs"),
        ],
    )
    texts = (
        base.transform_calculate(shown=f"width < {_NARROW} ? datum.short : datum.text")
        .mark_text(fontSize=12, color="#ffffff")
        .encode(text="shown:N")
    )
    return alt.LayerChart(layer=[cells, texts]).properties(height=height)


def _order(change: float) -> str:
    """The number, or the power of ten next to it where it would be written with one."""
    text = format_number(change, 1)
    return text.partition("×")[2] or text


def describe_changes(changes: Mapping[str, Mapping[str, tuple[float, float]]]) -> str:
    """The table of changes in words: which matrices leave the outputs alone, for each way."""
    parts = []
    for way in next(iter(changes.values())):
        kept = [kind for kind, ways in changes.items() if verdict(*ways[way]) == UNCHANGED]
        parts.append(f"{way}: {', '.join(kept) if kept else 'none'}")
    return (
        "Table of the largest change of an output, by kind of matrix and way to read. Outputs are "
        "unchanged for " + "; ".join(parts) + "."
    )


def _labels(chart: alt.Chart, colour: str, field: str | None = None) -> list[alt.Chart]:
    """Text in a box of its own size, in a colour or in that of a field."""
    # Wide enough for the longest label at this size; Vega cannot measure text in a transform.
    wide = chart.transform_calculate(half="6 + 4.2 * length(datum.text)").transform_calculate(
        px="datum.at * width - datum.half",
        px2="datum.at * width + datum.half",
        py="datum.y - 12",
        py2="datum.y + 12",
    )
    paint: Any = alt.Color(f"{field}:N", scale=None) if field else alt.value(colour)
    return [
        wide.mark_rect(cornerRadius=5, opacity=1).encode(X, Y, X2, Y2, color=paint),
        chart.transform_calculate(px="datum.at * width")
        .mark_text(fontSize=12, fontWeight="bold", color="#ffffff", baseline="middle")
        .encode(X, Y, text="text:N"),
    ]
