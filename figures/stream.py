"""A residual stream: who writes, who reads, and what comes out when its basis changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.inputs import by_step, inputs, switch
from figures.pixels import FAINT, GREY, X2, Y2, X, Y, of_kind, placed
from figures.theme import CANVAS_INK, STATUS_STYLES, feature_colours, format_number

Floats = NDArray[np.floating[Any]]

SWITCH = "stream"
"""Name of the chart's parameter: a point selection of one value, true or false, of `relu`."""

CHANGE_COLOUR = "#8954E5"
STEP_COLOUR = "#D55E00"
# As a share of the largest output: below the first nothing has changed but rounding.
ROUNDING, SMALL = 1e-12, 1e-3
UNCHANGED, LOST, CHANGED = "unchanged", "digits lost", "changed"
_INK = alt.ExprRef(CANVAS_INK)
_MARKS = {UNCHANGED: "✓", LOST: "≈", CHANGED: "✗"}
_PAINT = dict(zip(_MARKS, (style.colour for style in STATUS_STYLES.values()), strict=True))
# Points of a scatter beyond this many are left out: they would only cover each other.
MOST_POINTS = 600

# Pixels: the stream's own line, the boxes above and below it, the chips between.
_STREAM, _TOP, _BOTTOM = 104, 26, 182
_CHIPS = (64, 144)
# Below the stream: the dots, with their results beside them, or between on a narrow screen.
_PHONE = "width < 680"
_LOWER, _LOW, _HIGH, _GAP = 220, 72, 110, 8
_LEFT, _PLOT_RIGHT = 66, f"({_PHONE} ? width - 8 : min(0.48 * width, 410))"
_PLOT_TOP = f"({_PHONE} ? {_LOWER + _LOW + 64} : {_LOWER + 50})"
_PLOT_BOTTOM = "(height - 46)"
_NARROW = 420  # pixels: below, a cell of the table holds no more than a power of ten


def stream_chart(
    writers: Sequence[str],
    blocks: Sequence[str],
    readers: Sequence[str],
    write: str,
    read: str,
    outputs: Sequence[tuple[Sequence[Floats], Sequence[Floats]]],
    changes: Sequence[tuple[float, float]],
    condition: str,
    start: bool = False,
    height: int = 640,
) -> alt.LayerChart:
    """The stream, every output after a change of basis against before, and what that amounts to.

    The stream is a line from left to right, writes coming from above, reads going below. A switch
    puts an element-wise step into it, before the readers: both states are in the chart. What
    differs between streams, their names and colours too, is in the data: with another stream the
    chart is the same, and its switch stays as it is.

    Args:
        writers, blocks, readers: what each is called. Blocks read, compute, and write back.
        write, read: what every write and every read goes through, as written on their arrows.
        outputs: without the step and with it: before and after, each (N, b) for each reader.
        changes: without the step and with it: the largest change of an output, and the largest
            output before it.
        condition: the condition number of the change of basis, as it is to be read.
        start: whether the step is there at first.
    """
    colours = dict(zip(readers, feature_colours(max(len(readers), 1)), strict=False))
    table = pd.concat(
        [
            _station_rows(writers, blocks, readers, write, read, colours),
            *_output_rows(outputs, colours),
            _result_rows(changes, condition, f"of {len(outputs[0][0][0])} inputs"),
        ],
        ignore_index=True,
    )
    base = alt.Chart()
    first, *others = [*_stream_layers(base), *_scatter_layers(base), *_result_layers(base)]
    # All at once: what is added to a chart later makes a copy of it, which takes Altair as long as
    # all else. A channel written as mere text would take it long, too.
    return alt.LayerChart(
        data=table,
        layer=[
            first.add_params(inputs(SWITCH, {"relu": (switch("A ReLU in the stream"), start)})),
            *others,
        ],
        height=height,
        # Hundreds of dots move with the switch.
        usermeta={"embedOptions": {"renderer": "canvas"}},
        config=alt.Config(view=alt.ViewConfig(stroke=None)),
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


# Rows


def _station_rows(
    writers: Sequence[str],
    blocks: Sequence[str],
    readers: Sequence[str],
    write: str,
    read: str,
    colours: Mapping[str, str],
) -> pd.DataFrame:
    """What stands along the stream. `at` is a share of its length, without the step and with it."""
    stations = [("write", name) for name in writers]
    for name in blocks:
        stations += [("block", name), ("back", name)]
    stations += [("step", "ReLU"), *(("read", name) for name in readers)]
    places = np.array([_places([kind for kind, _ in stations], step) for step in (False, True)])
    rows: list[dict[str, Any]] = []
    at: list[Floats] = []
    ends: list[Floats] = []

    def add(kind: str, here: Floats, end: Floats | None = None, **more: Any) -> None:
        rows.append({"kind": kind, **more})
        at.append(here)
        ends.append(here if end is None else end)

    add("stream", np.zeros(2))
    for index, (kind, name) in enumerate(stations):
        here = places[:, index]
        if kind == "write":
            add("arrow", here, y=_TOP + 14, to=_STREAM - 8)
            add("box", here, y=_TOP, text=name, colour=GREY)
            add("chip", here, y=_CHIPS[0], text=write)
        elif kind == "read":
            add("arrow", here, y=_STREAM + 6, to=_BOTTOM - 16)
            add("box", here, y=_BOTTOM, text=name, colour=colours[name])
            add("chip", here, y=_CHIPS[1], text=read)
        elif kind == "block":
            back = places[:, index + 1]
            add("line", here, y=_STREAM + 6, to=_BOTTOM)
            add("arrow", back, y=_BOTTOM, to=_STREAM + 8)
            add("link", here, back, y=_BOTTOM)
            add("box", (here + back) / 2, y=_BOTTOM, text=name, colour=GREY)
            add("chip", here, y=_CHIPS[1], text=read)
            add("chip", back, y=_CHIPS[1], text=write)
        elif kind == "step":
            add("step", here, y=_STREAM, text=name)
    return (
        pd.DataFrame(rows)
        .join(by_step("at", np.transpose(at)))
        .join(by_step("end", np.transpose(ends)))
    )


def _places(kinds: Sequence[str], step: bool) -> Floats:
    """Where stations stand along the stream, as shares of it: (stations,).

    A step that is not there has the place of the station before it.
    """
    there = np.array([step or kind != "step" for kind in kinds])
    return np.asarray((np.cumsum(there) - 0.25) / (there.sum() + 0.5))


def _output_rows(
    outputs: Sequence[tuple[Sequence[Floats], Sequence[Floats]]], colours: Mapping[str, str]
) -> list[pd.DataFrame]:
    """The dots of the scatter, its ticks, and the key to its colours."""
    names = list(colours)
    both = [
        [np.concatenate([np.ravel(out) for out in side]) for side in state] for state in outputs
    ]
    of_reader = np.repeat(range(len(names)), [np.size(out) for out in outputs[0][0]])
    every = max(1, -(-len(of_reader) // MOST_POINTS))
    values = np.round(both, 4)[:, :, ::every]
    low, high = values.min((1, 2)), values.max((1, 2))
    margin = 0.05 * np.maximum(high - low, 1e-3)
    low, side = low - margin, high - low + 2 * margin
    dots = pd.DataFrame(
        {
            "kind": "dot",
            "reader": np.array(names)[of_reader[::every]],
            "colour": np.array(list(colours.values()))[of_reader[::every]],
        }
    )
    ends = np.ones(len(dots))
    for quantity, numbers in (
        ("before", values[:, 0]),
        ("after", values[:, 1]),
        ("low", np.outer(low, ends)),
        ("side", np.outer(side, ends)),
    ):
        dots = dots.join(by_step(quantity, numbers))
    ticks = [
        {"kind": "tick", "state": state, "share": (tick - low[state]) / side[state]}
        | {"words": format_number(tick)}
        for state in (0, 1)
        for tick in _ticks(low[state], low[state] + side[state])
    ]
    key = {"kind": "key", "place": range(len(names)), "words": names, "colour": colours.values()}
    plane = {
        "kind": ["plane"],
        "title": "Every output, after against before",
        "across": "output before",
        "up": "output after",
    }
    # Shuffled: the dots of one reader would cover those of the others.
    return [
        dots.sample(frac=1, random_state=0),
        pd.DataFrame(ticks),
        pd.DataFrame(key),
        pd.DataFrame(plane),
    ]


def _ticks(low: float, high: float) -> Floats:
    """Some round numbers between two."""
    step = 10 ** np.floor(np.log10((high - low) / 2))
    step = next(step * k for k in (0.2, 0.5, 1, 2, 5) if (high - low) / (step * k) <= 6)
    return np.asarray(step * np.arange(np.ceil(low / step), np.floor(high / step) + 1))


def _result_rows(
    changes: Sequence[tuple[float, float]], condition: str, counted: str
) -> pd.DataFrame:
    """Three numbers in boxes: beside each other on a phone, else one above two."""
    meant = [verdict(*change) for change in changes]
    texts = [
        [meaning, format_number(most, 2), condition]
        for meaning, (most, _) in zip(meant, changes, strict=True)
    ]
    notes = [
        [counted, f"before: up to {format_number(scale, 2)}", "of the matrix R"]
        for _, scale in changes
    ]
    colours = [[_PAINT[meaning], FAINT, FAINT] for meaning in meant]
    boxes = pd.DataFrame(
        {
            "kind": "result",
            "label": ["Outputs", "Largest change", "Condition number"],
            "place": range(3),
            "row": [0, 1, 1],
            "left": [0, 0, 0.5],
            "right": [1, 0.5, 1],
        }
    )
    for quantity, values in (("text", texts), ("note", notes), ("colour", colours)):
        boxes = boxes.join(by_step(quantity, np.array(values)))
    return boxes


# Layers


def _now(quantity: str) -> str:
    """A Vega expression: the quantity of a row without the step or with it, as the switch says."""
    return f"({SWITCH}_relu ? datum.{quantity}1 : datum.{quantity}0)"


def _stream_layers(base: alt.Chart) -> list[alt.Chart]:
    """The stream, what writes and what reads."""
    at = f"({_now('at')} * width)"
    stream = placed(of_kind(base, "stream"), "4", f"{_STREAM}", "width - 6")
    ends = (at, "datum.y", None, "datum.to")
    arrow, line = of_kind(base, "arrow"), of_kind(base, "line")
    heads = placed(arrow, at, "datum.to").transform_calculate(turn="datum.to > datum.y ? 180 : 0")
    link = placed(of_kind(base, "link"), at, "datum.y", f"{_now('end')} * width")
    step = of_kind(base, "step").transform_filter(f"{SWITCH}_relu")
    return [
        stream.mark_rule(color=GREY, strokeWidth=5, opacity=0.8).encode(X, Y, X2),
        placed(of_kind(base, "stream"), "width - 6", f"{_STREAM}")
        .mark_point(shape="triangle-right", filled=True, color=GREY, size=160, opacity=1)
        .encode(X, Y),
        link.mark_rule(color=GREY).encode(X, Y, X2),
        placed(line, *ends).mark_rule(color=GREY, strokeWidth=1.5).encode(X, Y, Y2),
        placed(arrow, *ends).mark_rule(color=GREY, strokeWidth=1.5).encode(X, Y, Y2),
        heads.mark_point(shape="triangle-up", filled=True, color=GREY, size=60, opacity=1).encode(
            X, Y, angle=alt.Angle("turn:Q", scale=None)
        ),
        *_labels(of_kind(base, "chip"), at, CHANGE_COLOUR),
        *_labels(of_kind(base, "box"), at, GREY, "colour"),
        *_labels(step, at, STEP_COLOUR),
    ]


def _scatter_layers(base: alt.Chart) -> list[alt.Chart]:
    """Every output after against before, on two axes of one scale."""
    right, top = _PLOT_RIGHT, _PLOT_TOP

    def x(share: str) -> str:
        return f"({_LEFT} + ({share}) * ({right} - {_LEFT}))"

    def y(share: str) -> str:
        return f"({_PLOT_BOTTOM} - ({share}) * ({_PLOT_BOTTOM} - {top}))"

    def share(quantity: str) -> str:
        return f"({_now(quantity)} - {_now('low')}) / {_now('side')}"

    plane, key = of_kind(base, "plane"), of_kind(base, "key")
    tick = of_kind(base, "tick").transform_filter(f"datum.state == ({SWITCH}_relu ? 1 : 0)")
    grid: Any = {"color": FAINT, "opacity": 0.3}
    beside = f"{_LEFT} + 6 + 46 * datum.place"
    dots = placed(of_kind(base, "dot"), x(share("before")), y(share("after")))
    return [
        placed(tick, x("datum.share"), y("0"), None, y("1")).mark_rule(**grid).encode(X, Y, Y2),
        placed(tick, x("0"), y("datum.share"), x("1")).mark_rule(**grid).encode(X, Y, X2),
        placed(tick, x("datum.share"), f"{_PLOT_BOTTOM} + 16")
        .mark_text(fontSize=12, color=GREY)
        .encode(X, Y, alt.Text("words:N")),
        placed(tick, f"{_LEFT} - 8", y("datum.share"))
        .mark_text(align="right", baseline="middle", fontSize=12, color=GREY)
        .encode(X, Y, alt.Text("words:N")),
        placed(plane, x("0"), y("0"), x("1"), y("1"))
        .mark_rule(color=FAINT, strokeDash=[4, 3], strokeWidth=2)
        .encode(X, Y, X2, Y2),
        dots.transform_calculate(before=_now("before"), after=_now("after"))
        .mark_circle(size=24, opacity=1)
        .encode(
            X,
            Y,
            color=alt.Color("colour:N", scale=None),
            tooltip=[
                alt.Tooltip("reader:N"),
                alt.Tooltip("before:Q", format=".3f"),
                alt.Tooltip("after:Q", format=".3f"),
            ],
        ),
        placed(plane, f"{_LEFT}", f"{top} - 36")
        .mark_text(align="left", fontSize=14, fontWeight="bold", color=_INK)
        .encode(X, Y, alt.Text("title:N")),
        placed(key, beside, f"{top} - 16")
        .mark_circle(size=80, opacity=1)
        .encode(X, Y, color=alt.Color("colour:N", scale=None)),
        placed(key, f"{beside} + 10", f"{top} - 16")
        .mark_text(align="left", baseline="middle", fontSize=12, color=_INK)
        .encode(X, Y, alt.Text("words:N")),
        placed(plane, x("0.5"), f"{_PLOT_BOTTOM} + 38")
        .mark_text(fontSize=13, color=GREY)
        .encode(X, Y, alt.Text("across:N")),
        placed(plane, "8", y("0.5"))
        .mark_text(fontSize=13, color=GREY, angle=270)
        .encode(X, Y, alt.Text("up:N")),
    ]


def _result_layers(base: alt.Chart) -> list[alt.Chart]:
    """The boxes with what it amounts to."""
    boxes = of_kind(base, "result")
    edge = f"({_PLOT_RIGHT} + 44)"
    across = f"(width - {edge} + {_GAP})"
    middle = f"({_PLOT_TOP} + {_PLOT_BOTTOM}) / 2"
    third = f"(width + {_GAP}) / 3"
    left = f"({_PHONE} ? datum.place * {third} : {edge} + datum.left * {across})"
    right = f"({_PHONE} ? (datum.place + 1) * {third} : {edge} + datum.right * {across}) - {_GAP}"
    high = f"({_PHONE} ? {_LOW} : {_HIGH})"
    top = f"({_PHONE} ? {_LOWER} : {middle} - {_HIGH} - {_GAP / 2} + datum.row * {_HIGH + _GAP})"
    inner = f"{left} + ({_PHONE} ? 8 : 16)"

    def line(phone: int, wide: int) -> alt.Chart:
        return placed(boxes, inner, f"{top} + ({_PHONE} ? {phone} : {wide})")

    return [
        placed(boxes, left, top, right, f"{top} + {high}")
        .transform_calculate(colour=_now("colour"), strength="datum.place == 0 ? 1 : 0.5")
        .mark_rect(fillOpacity=0, cornerRadius=8, strokeWidth=1.5)
        .encode(
            X,
            Y,
            X2,
            Y2,
            alt.Stroke("colour:N", scale=None),
            alt.StrokeOpacity("strength:Q", scale=None),
        ),
        line(18, 26)
        .mark_text(align="left", fontSize=_size(12, 14), color=_INK)
        .encode(X, Y, alt.Text("label:N")),
        line(43, 65)
        .transform_calculate(text=_now("text"))
        # As large as the box has room for 1.8×10⁻¹⁵.
        .mark_text(
            align="left",
            fontSize=alt.ExprRef(f"{_PHONE} ? 20 : clamp(width / 25, 26, 32)"),
            color=_INK,
        )
        .encode(X, Y, alt.Text("text:N")),
        line(62, 94)
        .transform_calculate(note=_now("note"))
        .mark_text(align="left", fontSize=_size(11, 13), color=GREY)
        .encode(X, Y, alt.Text("note:N")),
    ]


def _size(phone: int, wide: int) -> alt.ExprRef:
    return alt.ExprRef(f"{_PHONE} ? {phone} : {wide}")


def _labels(chart: alt.Chart, at: str, colour: str, field: str | None = None) -> list[alt.Chart]:
    """Text in a box of its own size, in a colour or in that of a field."""
    # Wide enough for the longest label at this size; Vega cannot measure text in a transform.
    half = "(6 + 4.2 * length(datum.text))"
    wide = placed(chart, f"{at} - {half}", "datum.y - 12", f"{at} + {half}", "datum.y + 12")
    paint = [alt.Color(f"{field}:N", scale=None)] if field else []
    return [
        wide.mark_rect(cornerRadius=5, opacity=1, color=colour).encode(X, Y, X2, Y2, *paint),
        placed(chart, at, "datum.y")
        .mark_text(fontSize=12, fontWeight="bold", color="#ffffff", baseline="middle")
        .encode(X, Y, alt.Text("text:N")),
    ]
