"""Neurons as stacked bars of their weights by feature, still or over a sweep.

Positive weights are stacked upwards from zero, negative ones downwards, each in the colour of
its feature. Panels stand side by side on one scale of weights. A sweep travels to the browser
with the chart, and a slider picks the frame there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.inputs import DENSE_TO_SPARSE, STEP, inputs, options, stops
from figures.theme import CANVAS_TEXT, feature_colours, format_number
from superposition.geometry import features_per_neuron
from superposition.neurons import neuron_order

Floats = NDArray[np.floating[Any]]
Measure = Literal["shares", "weights"]

SLIDER = "neurons"
"""Name of the sweep's parameter: a point selection of one value of the field `step`.

Where the reader chooses what a bar measures, it has a second field, `measure`.
"""

MEASURES: dict[Measure, str] = {"shares": "shares of a neuron's weights", "weights": "weights"}
"""What a bar can measure, and what the switch calls it."""

SMALLEST_SHARE = 0.02
"""With many features, weights below this share of a neuron's total |weight| are not told apart."""

MOST_IN_FULL = 12
"""Up to this many features every weight gets a segment of its own."""

REST = "others"
_REST_COLOUR = "#8C929F"

# A segment has its feature's number in it where there are no more bars than this, and it is
# no shorter than this share of the chart.
_MOST_NUMBERED, _TALL = 24, 0.055
_NARROW = 480  # pixels: below, half as many neurons get a number
_WIDTH = 0.84  # of a bar, where 1 is the distance between two
_HEAD = 26  # pixels above the bars, for the titles of the panels
_AROUND = 130  # pixels of the height that axis, legend and title take, at most
_MOST_IN_WORDS = 10
_IN_SHARES = f"{SLIDER}_measure == 'shares'"  # an expression


@dataclass(frozen=True)
class Panel:
    """One group of bars: the weights of each neuron under a title.

    Attributes:
        title: what the weights are, "input weights" for one.
        weights: (m, n), row k holding the weights of neuron k for each feature.
    """

    title: str
    weights: NDArray[Any]


def neuron_bars(
    panels: Sequence[Panel],
    *,
    unit: str = "weight",
    feature_names: Sequence[str] | None = None,
    height: int = 300,
) -> alt.LayerChart:
    """Stacked bars of the weights of each neuron, one panel or more side by side.

    Neurons keep the order of the rows; `superposition.neurons.neuron_order` is a good one.

    Args:
        panels: at least one; all of one n, the number of features.
        unit: what the bars measure, for the axis.
        feature_names: (n,), by default 1, 2, 3 and so on.

    Raises:
        ValueError: if there is no panel, the panels differ in n, or names are missing.
    """
    titles = [panel.title for panel in panels]
    frames = [_checked(panel.weights, 2, panel.title)[None] for panel in panels]
    return _chart(titles, frames, None, _names(frames, feature_names), height, unit)


def neuron_sweep(
    weights: Floats | Mapping[str, Floats],
    labels: Sequence[str],
    start: int,
    *,
    slider: str = DENSE_TO_SPARSE,
    common_scale: bool = True,
    in_order: bool = False,
    unit: str = "weight",
    measure: Measure | None = None,
    feature_names: Sequence[str] | None = None,
    height: int = 320,
) -> alt.LayerChart:
    """`neuron_bars` of F models with a slider over them, handled in the browser.

    The neurons of each frame are put in the order of `superposition.neurons.neuron_order`, that
    of the first panel. A page reads the frame back from the selection `SLIDER`, whose one point has
    the field `step`.

    Args:
        weights: (F, m, n); or title -> (F, m, n), for panels side by side of one F and m.
        labels: (F,) words above the bars: what the frame shows.
        start: index of the frame shown first.
        slider: words beside the slider.
        common_scale: one scale of weights for all frames; else each frame fills the chart, and
            the axis says how large its weights are.
        in_order: whether the neurons of each frame are in the order wanted already.
        unit: what the bars measure, for the axis.
        measure: if given, the reader chooses among `MEASURES`, and this comes first. Shares have
            one scale for all frames and weights one for each, whatever `common_scale` says.
        feature_names: (n,), by default 1, 2, 3 and so on.

    Raises:
        ValueError: if shapes, labels and start do not fit each other.
    """
    titles, frames = _sorted_frames(weights, in_order)
    if len(labels) != len(frames[0]) or not 0 <= start < len(labels):
        raise ValueError(
            f"got {len(labels)} labels and start {start} for {len(frames[0])} frames; expected a "
            "label for each frame, and the index of one"
        )
    fields: dict[str, tuple[Any, Any]] = {STEP: (stops(len(labels), slider), start)}
    if measure is not None:
        fields = {"measure": (options("A bar is", MEASURES), measure), **fields}
    names = _names(frames, feature_names)
    chart = _chart(titles, frames, labels, names, height, unit, common_scale, measure is not None)
    return chart.add_params(inputs(SLIDER, fields))


def describe_neuron_bars(
    panels: Sequence[Panel], *, feature_names: Sequence[str] | None = None
) -> str:
    """`neuron_bars` in words: each neuron's largest weights, or counts where there are many."""
    frames = [_checked(panel.weights, 2, panel.title)[None] for panel in panels]
    names = _names(frames, feature_names)
    m, n = frames[0].shape[1:]
    parts = [
        f"{panel.title}: {_in_words(frame[0], names)}"
        if panel.title
        else _in_words(frame[0], names)
        for panel, frame in zip(panels, frames, strict=True)
    ]
    return (
        f"Stacked bars of the weights of {m} neurons for {n} features, positive weights upwards "
        f"and negative ones downwards. {'. '.join(parts)}."
    )


def describe_neuron_sweep(
    weights: Floats | Mapping[str, Floats],
    labels: Sequence[str],
    *,
    in_order: bool = False,
    feature_names: Sequence[str] | None = None,
) -> str:
    """`neuron_sweep` in words: its first and its last frame."""
    titles, frames = _sorted_frames(weights, in_order)
    names = _names(frames, feature_names)
    m, n = frames[0].shape[1:]
    parts = []
    for index in dict.fromkeys((0, len(labels) - 1)):
        here = "; ".join(
            f"{title}: {_in_words(frame[index], names)}"
            if title
            else _in_words(frame[index], names)
            for title, frame in zip(titles, frames, strict=True)
        )
        parts.append(f"At {labels[index]}, {here}")
    return (
        f"Stacked bars of the weights of {m} neurons for {n} features, positive weights upwards "
        f"and negative ones downwards, with a slider over {len(labels)} frames. "
        f"{'. '.join(parts)}."
    )


def _sorted_frames(
    weights: Floats | Mapping[str, Floats], in_order: bool
) -> tuple[list[str], list[Floats]]:
    """Titles, and the weights of each panel with the neurons of each frame in their order."""
    panels = weights if isinstance(weights, Mapping) else {"": weights}
    frames = [_checked(values, 3, title) for title, values in panels.items()]
    if not frames or len({values.shape[:2] for values in frames}) != 1:
        shapes = [values.shape for values in frames]
        raise ValueError(f"panels have shapes {shapes}; expected one F and m for all, (F, m, n)")
    if in_order:
        return list(panels), frames
    order = neuron_order(frames[0])[..., None]
    return list(panels), [np.take_along_axis(values, order, 1) for values in frames]


def _checked(weights: Any, dimensions: int, title: str) -> Floats:
    values = np.asarray(weights, dtype=np.float64)
    expected = "(m, n)" if dimensions == 2 else "(F, m, n)"
    if values.ndim != dimensions or 0 in values.shape:
        raise ValueError(f"{title or 'weights'}: shape {values.shape}; expected {expected}")
    if not np.isfinite(values).all():
        raise ValueError(f"{title or 'weights'}: expected finite weights")
    return values


def _names(frames: Sequence[Floats], feature_names: Sequence[str] | None) -> list[str]:
    counts = {values.shape[-1] for values in frames}
    if len(counts) != 1:
        raise ValueError(
            f"panels have {sorted(counts)} features; expected at least one panel, "
            "and one number of features for all"
        )
    n = counts.pop()
    names = [str(i) for i in range(1, n + 1)] if feature_names is None else list(feature_names)
    if len(names) != n or len(set(names)) != n:
        raise ValueError(f"feature_names has {len(names)} names; expected {n}, all different")
    return names


def _chart(
    titles: Sequence[str],
    frames: Sequence[Floats],
    labels: Sequence[str] | None,
    names: Sequence[str],
    height: int,
    unit: str = "weight",
    common_scale: bool = True,
    choose: bool = False,
) -> alt.LayerChart:
    widest = max(values.shape[1] for values in frames)
    stride = widest + max(1, round(0.06 * widest))
    table = pd.concat(
        [
            _segments(values, title, names, index * stride)
            for index, (title, values) in enumerate(zip(titles, frames, strict=True))
        ],
        ignore_index=True,
    )
    count = 1 if labels is None else len(labels)
    ranges = {"": _ranges(table, count, common_scale)}
    low, high = "datum.y0", "datum.y1"
    if choose:
        # All segments of a bar together.
        table["total"] = (
            (table["y1"] - table["y0"])
            .groupby([table["step"], table["panel"], table["neuron"]])
            .transform("sum")
        )
        shares = table.assign(y0=table["y0"] / table["total"], y1=table["y1"] / table["total"])
        ranges = {"shares": _ranges(shares, count, True), "weights": _ranges(table, count, False)}
        low, high = (f"{end} / ({_IN_SHARES} ? datum.total : 1)" for end in (low, high))
    numbered = len(frames) * widest <= _MOST_NUMBERED
    table = pd.concat([table, _lines(titles, frames, stride)], ignore_index=True)

    x_end = (len(frames) - 1) * stride + widest
    centres = [
        index * stride + k + 0.5
        for index, values in enumerate(frames)
        for k in range(len(values[0]))
    ]
    x_scale = alt.Scale(domain=[0, x_end], nice=False, zero=False)
    x_axis = alt.Axis(
        title="neuron",
        values=_by_width(
            _thinned(centres, stride, widest, len(frames), _MOST_NUMBERED // 2),
            _thinned(centres, stride, widest, len(frames), _MOST_NUMBERED),
        ),
        labelExpr=f"format(round((datum.value - 0.5) % {stride}) + 1, 'd')",
        labelOverlap=False,
        labelPadding=4,
        labelAngle=0,
        ticks=False,
        domain=False,
        grid=False,
    )
    x = alt.X("x0:Q", scale=x_scale, axis=x_axis)
    # The head is above the bars, where no tick belongs.
    head = _HEAD if any(titles) else 0
    above = head / max(height - _AROUND - head, head + 1)
    y = alt.Y(
        "low:Q",
        title=None if choose else unit,
        scale=alt.Scale(
            domainMin=_of_frame({name: foot.tolist() for name, (foot, _) in ranges.items()}),
            domainMax=_of_frame(
                {
                    name: (top + above * (top - foot)).tolist()
                    for name, (foot, top) in ranges.items()
                }
            ),
            nice=False,
        ),
        axis=alt.Axis(
            values=_of_frame(
                {
                    name: [_ticks(*ends) for ends in zip(*both, strict=True)]
                    for name, both in ranges.items()
                }
            ),
            # Left alone, it would have as many decimals as ticks of its own would need, and any
            # other format a precision that follows from their distance.
            labelExpr="replace(format(datum.value, '~r'), '-', '−')",
        ),
    )

    def rows(kind: str) -> alt.Chart:
        chosen = alt.Chart(table).transform_filter(f"datum.kind == '{kind}'")
        if labels is not None:
            # By the selection's own signal: many times faster than asking it about each row.
            chosen = chosen.transform_filter(f"!isValid(datum.step) || datum.step == {SLIDER}_step")
        if kind != "segment":
            return chosen
        share = {"share": "datum.weight / datum.total"} if choose else {}
        return chosen.transform_calculate(low=low, high=high, **share)

    layers: list[alt.Chart] = [
        rows("segment")
        # A pixel between segments: neighbours on the ramp of many features look alike.
        .mark_rect(stroke=None, yOffset=-0.5, y2Offset=0.5)
        .encode(
            x,
            y,
            color=_colour(names, bool((table["feature"] == REST).any())),
            tooltip=[
                *([alt.Tooltip("panel:N", title="weights")] if any(titles) else []),
                alt.Tooltip("neuron:O", title="neuron"),
                alt.Tooltip("feature:N", title="feature"),
                alt.Tooltip("weight:Q", title=unit, format="+.3f"),
                *([alt.Tooltip("share:Q", title="share", format="+.1%")] if choose else []),
            ],
            x2=alt.X2("x1:Q"),
            y2=alt.Y2("high:Q"),
        ),
        rows("zero")
        .mark_rule(color=_REST_COLOUR, strokeWidth=1)
        .encode(x, alt.YDatum(0), x2=alt.X2("x1:Q")),
    ]
    if numbered:
        # White reads on every feature's colour in both themes.
        layers.append(
            rows("segment")
            .transform_filter(
                f"datum.feature != '{REST}' && datum.high - datum.low > {_TALL} * "
                + _looked_up({name: (top - foot).tolist() for name, (foot, top) in ranges.items()})
            )
            .transform_calculate(middle="(datum.low + datum.high) / 2")
            .mark_text(fontSize=11, fontWeight="bold", color="#ffffff")
            .encode(
                # The same axis: left to itself, it would bring back the thinning of labels.
                x=alt.X("xm:Q", scale=x_scale, axis=x_axis),
                y=alt.Y("middle:Q"),
                text="feature:N",
            )
        )
    if any(titles):
        in_shares = f"{_IN_SHARES} ? ', in shares' : ''" if choose else "''"
        layers.append(
            rows("title")
            .transform_calculate(words=f"datum.text + ({in_shares})")
            .mark_text(align="left", baseline="top", fontSize=12, color=CANVAS_TEXT)
            .encode(x, y=alt.value(2), text="words:N")
        )
    if labels is None:
        chart = alt.layer(*layers)
    else:
        chart = alt.layer(*layers).properties(
            title=alt.TitleParams(
                _of_frame({"": list(labels)}),
                anchor="start",
                fontSize=14,
                color=CANVAS_TEXT,
                offset=4,
            )
        )
    return chart.properties(
        height=height,
        # As SVG, thousands of segments take longer to redraw than the slider to move.
        usermeta={"embedOptions": {"renderer": "canvas"}},
    ).configure_view(stroke=None)


def _segments(values: Floats, title: str, names: Sequence[str], left: int) -> pd.DataFrame:
    """A row per segment: where it is, and what it stands for. values: (F, m, n)."""
    size = np.abs(values)
    told = size > 0
    if values.shape[-1] > MOST_IN_FULL:
        told &= size >= SMALLEST_SHARE * size.sum(-1, keepdims=True)
    # What is not told apart goes to the end of its side, as one segment in grey.
    rest = np.where(told, 0.0, values)
    shown = np.concatenate(
        [
            np.where(told, values, 0.0),
            rest.clip(min=0).sum(-1, keepdims=True),
            rest.clip(max=0).sum(-1, keepdims=True),
        ],
        axis=-1,
    )
    up, down = shown.clip(min=0).cumsum(-1), shown.clip(max=0).cumsum(-1)
    high = np.where(shown > 0, up, down - shown.clip(max=0))
    low = np.where(shown > 0, up - shown.clip(min=0), down)
    step, neuron, feature = np.nonzero(shown)
    labels = np.array([*names, REST, REST], dtype=object)
    at = (step, neuron, feature)
    x0 = left + neuron + (1 - _WIDTH) / 2
    return pd.DataFrame(
        {
            "kind": "segment",
            "step": step,
            "panel": title,
            "neuron": neuron + 1,
            "feature": labels[feature],
            "weight": shown[at].round(4),
            "x0": x0,
            "x1": x0 + _WIDTH,
            "xm": left + neuron + 0.5,
            "y0": low[at],
            "y1": high[at],
        }
    )


def _lines(titles: Sequence[str], frames: Sequence[Floats], stride: int) -> pd.DataFrame:
    """The zero line and the title of each panel."""
    rows: list[dict[str, Any]] = []
    for index, (title, values) in enumerate(zip(titles, frames, strict=True)):
        left = index * stride
        rows.append({"kind": "title", "x0": left, "text": title})
        rows.append({"kind": "zero", "x0": left, "x1": left + values.shape[1]})
    return pd.DataFrame(rows)


def _thinned(
    centres: Sequence[float], stride: int, widest: int, panels: int, most: int
) -> list[float]:
    """The neurons that get a number below: all, or with many the 1st and every 5th, 10th, …."""
    every = next((step for step in (1, 5, 10, 20) if panels * widest / step <= most), 50)
    # The last of one panel would run into the first of the next.
    end = widest if every > 1 and panels > 1 else widest + 1
    numbers = [round((centre - 0.5) % stride) + 1 for centre in centres]
    return [
        c for c, k in zip(centres, numbers, strict=True) if (k % every == 0 and k < end) or k == 1
    ]


def _by_width(narrow: list[float], wide: list[float]) -> Any:
    """Values of an axis, on a phone and on all that is wider."""
    if narrow == wide:
        return wide
    return {"expr": f"width < {_NARROW} ? {json.dumps(narrow)} : {json.dumps(wide)}"}


def _ranges(table: pd.DataFrame, frames: int, common_scale: bool) -> tuple[Floats, Floats]:
    """The least and the greatest end of a bar in each frame, (frames,) each, 0 between them."""
    by_step = table.groupby("step")
    lows = by_step["y0"].min().reindex(range(frames), fill_value=0.0).to_numpy().clip(max=0)
    highs = by_step["y1"].max().reindex(range(frames), fill_value=0.0).to_numpy().clip(min=0)
    if common_scale:
        lows, highs = np.full(frames, lows.min()), np.full(frames, highs.max())
    empty = highs == lows
    return np.where(empty, -1.0, lows), np.where(empty, 1.0, highs)


def _of_frame(values: Mapping[str, list[Any]]) -> Any:
    """What is the same in each frame, or an expression that looks it up; see `_looked_up`."""
    first, *others = values.values()
    if not others and all(value == first[0] for value in first):
        return first[0]
    return {"expr": _looked_up(values)}


def _looked_up(values: Mapping[str, list[Any]]) -> str:
    """An expression: the value of the frame, by what a bar measures if the reader chooses that.

    values: measure -> a value for each frame; any name will do for the only one.
    """
    each = {
        name: json.dumps(of[0])
        if all(value == of[0] for value in of)
        else f"{json.dumps(of)}[{SLIDER}_step]"
        for name, of in values.items()
    }
    if len(each) == 1:
        return next(iter(each.values()))
    return f"{{{', '.join(f'{name}: {value}' for name, value in each.items())}}}[{SLIDER}_measure]"


def _ticks(low: float, high: float) -> list[float]:
    """Round values for the axis from `low` to `high`, zero among them."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough)
    return [float(step * k) for k in range(int(np.ceil(low / step)), int(high // step) + 1)]


def _colour(names: Sequence[str], with_rest: bool) -> alt.Color:
    n = len(names)
    legend_names = list(names)
    if n > MOST_IN_FULL:
        legend_names = [names[i] for i in np.linspace(0, n - 1, 4).round().astype(int)]
    domain, colours = list(names), feature_colours(n)
    if with_rest:
        domain, colours = [*domain, REST], [*colours, _REST_COLOUR]
        legend_names.append(REST)
    return alt.Color(
        "feature:N",
        scale=alt.Scale(domain=domain, range=colours),
        legend=alt.Legend(
            title="feature",
            titleOrient="left",
            orient="bottom",
            offset=2,
            direction="horizontal",
            values=legend_names,
            symbolType="square",
            columns=min(len(legend_names), 6 if max(map(len, names)) < 4 else 3),
        ),
    )


def _in_words(weights: Floats, names: Sequence[str]) -> str:
    """What the neurons (m, n) of one panel of one frame weigh."""
    held = features_per_neuron(weights)
    if len(weights) > _MOST_IN_WORDS:
        live = held > 0
        text = f"{int(live.sum())} of {len(weights)} neurons in use"
        if live.any():
            text += (
                f", each with {int(held[live].min())} to {int(held[live].max())} features of "
                f"some weight, {format_number(float(held[live].mean()), 2)} on average"
            )
        return text
    parts = []
    for index, (row, count) in enumerate(zip(weights, held, strict=True)):
        largest = np.argsort(-np.abs(row), kind="stable")[: min(int(count), 3)]
        told = ", ".join(f"feature {names[i]} {format_number(float(row[i]), 2)}" for i in largest)
        more = f" and {count - 3} more" if count > 3 else ""
        parts.append(f"neuron {index + 1} {told or 'unused'}{more}")
    return "; ".join(parts)
