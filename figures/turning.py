"""A hidden space that turns: what a bottleneck and a layer of neurons make of it.

The slider's angle is a parameter of the chart: everything that moves is computed in the
browser, from points and losses that were sent once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from figures.inputs import STEP, as_now, by_step, inputs, moving_title, now, slider, stops
from figures.pixels import (
    FAINT,
    GREY,
    X2,
    Y2,
    Planes,
    X,
    Y,
    of_kind,
    placed,
)
from figures.theme import (
    CANVAS_TEXT,
    DIVERGING,
    FAMILY_COLOURS,
    density_in_words,
    feature_colours,
    format_number,
)

Floats = NDArray[np.floating[Any]]
Points = tuple[Floats, NDArray[np.integer[Any]]]

ANGLE = "angle"
"""Name of the turning chart's parameter: a point selection of the fields `step` and `degrees`."""
BASIS = "basis"
"""Name of that of the chart of the step, whose only field is `degrees`."""
DEGREES = tuple(range(0, 361, 5))
"""The angles of the sliders: a full turn."""

BOTTLENECK, NEURONS = "bottleneck", "ReLU layer"
COLOURS = {BOTTLENECK: FAMILY_COLOURS["relu-output"], NEURONS: FAMILY_COLOURS["relu-hidden"]}

# Above the large planes there is a line more, for what the models are.
_PLANES = Planes(head=70, largest=300)
_SMALL = Planes(head=46, largest=260)
# The curves below the planes: pixels to the left, to the right, above and below them.
_LEFT, _RIGHT, _ABOVE, _BELOW = 46, 14, 122, 44
# The line in the colour of the words beside it.
_KEY = 20
QUIET = 0.65
"""Opacity of lines that only connect: quieter than what they connect, and seen in both themes."""
SEEDS = "seeds"
"""Name of the chart of seeds' parameter: a point selection of one value of the field `step`."""
# A plane leaves out points this many times as far out as the middle one: a few very long ones
# would make the rest too small to see.
FAR_OUT = 4.0
# From this ratio on, losses need a logarithmic scale.
_LOGARITHMIC = 12.0


def turning_chart(
    losses: Mapping[str, Floats],
    points: Mapping[str, Sequence[Points]],
    labels: Sequence[str],
    plane: tuple[int, int],
    n_features: int,
    start: tuple[int, int],
    height: int = 714,
) -> alt.LayerChart:
    """Two activation planes that turn, above the loss of both models against the angle.

    In the bottleneck the points turn, and that is all. In the layer of neurons they turn and
    are then clipped: the first quadrant, where nothing is clipped, stays where it is. A second
    slider goes over models of F densities.

    Args:
        losses: of `BOTTLENECK` and `NEURONS`, loss / p of each model at each of `DEGREES`, (F, A).
        points: of both, for each model activations (N, 2) before any step, and (N,) the strongest
            feature.
        labels: (F,) words above the planes: what the models are.
        plane: the two hidden axes, from 0, for the labels.
        start: the model shown first, from 0, and the angle, one of `DEGREES`.

    Raises:
        ValueError: if a loss is not given for each model at each of `DEGREES`.
    """
    for name, values in losses.items():
        if np.shape(values) != (len(labels), len(DEGREES)):
            raise ValueError(
                f"losses of {name} have shape {np.shape(values)}; expected "
                f"({len(labels)}, {len(DEGREES)}): a row for each model, a column for each angle"
            )
    # Not as a title: where that changes, the whole chart is laid out anew.
    label = by_step("text", np.array(labels, dtype=object)[:, None]).assign(kind="label")
    table = pd.concat([label, _plane_rows(points, plane), _curve_rows(losses)], ignore_index=True)
    step, degrees = start
    moved = inputs(ANGLE, {STEP: (stops(len(labels)), step), "degrees": (_turn(), degrees)})
    base = alt.Chart()
    layers = [
        placed(of_kind(base, "label"), "0", "12")
        .transform_calculate(text=now(ANGLE, "text"))
        .mark_text(align="left", fontSize=14, fontWeight="bold", color=CANVAS_TEXT)
        .encode(X, Y, alt.Text("text:N")),
        *_frames(base),
        *_points(base, n_features),
        *_plane_texts(base),
        *_curves(base),
    ]
    return _finished(table, layers, moved, height)


def describe_turning(losses: Mapping[str, Floats], plane: tuple[int, int]) -> str:
    """The turning chart in words: how far each loss goes."""
    parts = []
    for name, values in losses.items():
        first, most = float(values[0]), float(np.max(values))
        parts.append(
            f"{name}: {format_number(first)} at 0 degrees"
            + (
                ", the same at every angle"
                if np.ptp(values) <= 1e-9 * first
                else f", up to {format_number(most)} at {DEGREES[int(np.argmax(values))]} degrees"
            )
        )
    return (
        f"Hidden activations in the plane of axes {plane[0] + 1} and {plane[1] + 1}, for a "
        "bottleneck and for a ReLU layer, turned by an angle that a slider sets; another sets the "
        "density of the data they are trained on. In the ReLU layer points outside the first "
        "quadrant are clipped to its edge. Below, loss per density against the angle. "
        + "; ".join(parts)
        + "."
    )


def step_chart(start: int, height: int = 320) -> alt.LayerChart:
    """What R⁻¹ ReLU(R z) does to two numbers z, for a rotation R by the slider's angle.

    Left, the first number that comes out, over the plane of the two that go in. Right, the
    matrix that the step is, for each pattern of neurons that are on.
    """
    side = np.linspace(-1, 1, 25)
    across, up = (a.ravel() for a in np.meshgrid(side, side))
    cells = pd.DataFrame({"kind": "cell", "panel": 0, "z1": across, "z2": up})
    entries = []
    for pattern, (name, first, second) in enumerate(
        (("both on", 1, 1), ("only 1 on", 1, 0), ("only 2 on", 0, 1), ("none on", 0, 0))
    ):
        corner = (-0.5 + pattern % 2, 0.5 - pattern // 2)
        # R⁻¹ diag(on) R, written out: what multiplies cos², sin² and cos · sin in each entry.
        for i, j, cc, ss, cs in (
            (0, 0, first, second, 0),
            (0, 1, 0, 0, second - first),
            (1, 0, 0, 0, second - first),
            (1, 1, second, first, 0),
        ):
            entries.append(
                {
                    "kind": "entry",
                    "panel": 1,
                    "pattern": name,
                    "z1": corner[0] + (0.19 if j else -0.19),
                    "z2": corner[1] + (-0.24 if i else 0.14),
                    "cc": cc,
                    "ss": ss,
                    "cs": cs,
                    "off": "yes" if i != j else "no",
                }
            )
        entries.append(
            {"kind": "name", "panel": 1, "z1": corner[0], "z2": corner[1] + 0.41, "text": name}
        )
    heads = pd.DataFrame(
        {
            "kind": "head",
            "panel": [0, 1],
            "text": ["first number out", "as a matrix"],
            "more": ["z₁ across, z₂ up; red < 0 < blue", "where these neurons are on"],
        }
    )
    table = pd.concat([cells, pd.DataFrame(entries), heads], ignore_index=True)
    base = alt.Chart()
    turn = {"c": _COS[BASIS], "s": _SIN[BASIS]}
    half = 1 / 25
    colour = alt.Color(
        "value:Q",
        scale=alt.Scale(
            domain=[-1, -0.5, 0, 0.5, 1], range=list(DIVERGING), clamp=True, interpolate="rgb"
        ),
        # A legend would take its room from the planes; the head says what the colours mean.
        legend=None,
    )
    shrink = f"{1 - half}"
    # What does not move comes first: only what follows the angle is worked out again.
    image = placed(
        of_kind(base, "cell"),
        _SMALL.x(f"datum.z1 * {shrink} - {half}"),
        _SMALL.y(f"datum.z2 * {shrink} - {half}"),
        # A canvas would show the background through cells that only just touch.
        _SMALL.x(f"datum.z1 * {shrink} + {half} + 0.02"),
        _SMALL.y(f"datum.z2 * {shrink} + {half} + 0.02"),
    )
    image = image.transform_calculate(**turn).transform_calculate(value=FIRST_OUT)
    squares = placed(
        of_kind(base, "entry"),
        _SMALL.x("datum.z1 - 0.18"),
        _SMALL.y("datum.z2 - 0.18"),
        _SMALL.x("datum.z1 + 0.18"),
        _SMALL.y("datum.z2 + 0.18"),
    )
    squares = squares.transform_calculate(**turn).transform_calculate(value=ENTRY)
    numbers = (
        placed(of_kind(base, "entry"), _SMALL.x("datum.z1"), _SMALL.y("datum.z2"))
        .transform_calculate(**turn)
        .transform_calculate(value=ENTRY)
    )
    tip = alt.Tooltip("value:Q", format=".2f")
    layers = [
        image.mark_rect(stroke=None).encode(
            X,
            Y,
            X2,
            Y2,
            color=colour,
            # One number: what is put together here is put together for every cell at every angle.
            tooltip=alt.Tooltip("value:Q", format=".2f"),
        ),
        squares.mark_rect(cornerRadius=3, stroke=FAINT, strokeWidth=0.6).encode(
            X, Y, X2, Y2, color=colour, tooltip=[alt.Tooltip("pattern:N"), tip]
        ),
        numbers.mark_text(fontSize=12).encode(
            X,
            Y,
            text=alt.Text("value:Q", format=".2f"),
            color=alt.condition(
                "abs(datum.value) > 0.75", alt.value("#ffffff"), alt.value("#12161d")
            ),
        ),
        placed(of_kind(base, "name"), _SMALL.x("datum.z1"), _SMALL.y("datum.z2"))
        .mark_text(fontSize=12, color=GREY)
        .encode(X, Y, text="text:N"),
        placed(
            of_kind(base, "cell").transform_filter("datum.z1 == 0 && datum.z2 == 0"),
            _SMALL.x("-1"),
            _SMALL.y("0"),
            _SMALL.x("1"),
        )
        .mark_rule(color=FAINT, strokeWidth=0.8)
        .encode(X, Y, X2),
        placed(
            of_kind(base, "cell").transform_filter("datum.z1 == 0 && datum.z2 == 0"),
            _SMALL.x("0"),
            _SMALL.y("-1"),
            None,
            _SMALL.y("1"),
        )
        .mark_rule(color=FAINT, strokeWidth=0.8)
        .encode(X, Y, Y2),
        *_heads(base, planes=_SMALL),
    ]
    return _finished(table, layers, inputs(BASIS, {"degrees": (_turn(), start)}), height)


def describe_step() -> str:
    """The chart of the step in words."""
    return (
        "Left, a map of the first number that comes out of a ReLU between a rotation and its "
        "inverse, over the two numbers that go in. At 0 degrees it depends on the first number "
        "alone, in upright stripes; at other angles on both. Right, the two by two matrix that the "
        "step is for each pattern of neurons that are on: diagonal at 0 degrees, with equal "
        "entries off the diagonal at others, unless both neurons are on or none is."
    )


def seeds_chart(
    before: Floats,
    after: Floats,
    counts: Sequence[tuple[int, int, int]],
    same: float,
    densities: Sequence[float],
    start: int,
    height: int = 350,
) -> alt.LayerChart:
    """Where the features of many models point: as they were trained, and turned to match.

    A slider picks the density; each fills its planes, on a scale of its own.

    Args:
        before, after: (F, B, 2, n) at F densities, W of each model and the same turned.
        counts: at each density, how many models are the same as the best one: as trained, after
            turning, and if features may also change places.
        same: up to which distance that is.
        start: index of the density shown first.
    """
    planes = _SMALL
    both = np.stack([before, after])
    _, frames, count, _, n = both.shape
    reach = 1.08 * np.abs(both).max((0, 2, 3, 4), keepdims=True).clip(min=1e-9)
    shown = (both / reach).round(4)
    seed, feature = (a.ravel() for a in np.meshgrid(range(count), range(n), indexing="ij"))
    tables = [
        pd.DataFrame({"kind": "tip", "panel": panel, "feature": feature + 1, "model": seed + 1})
        .join(by_step("across", W[:, :, 0].reshape(frames, -1)))
        .join(by_step("up", W[:, :, 1].reshape(frames, -1)))
        for panel, W in enumerate(shown)
    ]
    texts = [
        [f"as trained: {trained} of {count}", f"each turned: {turned} of {count}"]
        for trained, turned, _ in counts
    ]
    more = [
        [f"within {same:.0%} of the best seed", f"reordered too: {reordered} of {count}"]
        for *_, reordered in counts
    ]
    heads = (
        pd.DataFrame({"kind": "head", "panel": [0, 1]})
        .join(by_step("text", np.array(texts)))
        .join(by_step("more", np.array(more)))
    )
    base = alt.Chart()
    box = placed(
        of_kind(base, "head"), planes.x("-1"), planes.y("-1"), planes.x("1"), planes.y("1")
    )
    tips = of_kind(base, "tip")
    across, up = now(SEEDS, "across"), now(SEEDS, "up")
    colour = _feature_colour(n)
    layers = [
        box.mark_rect(fillOpacity=0, stroke=FAINT, strokeOpacity=0.5).encode(X, Y, X2, Y2),
        placed(tips, planes.x("0"), planes.y("0"), planes.x(across), planes.y(up))
        .mark_rule(strokeWidth=1, opacity=QUIET)
        .encode(X, Y, X2, Y2, color=colour),
        placed(tips, planes.x(across), planes.y(up))
        .mark_circle(size=40, opacity=1)
        .encode(
            X,
            Y,
            color=colour,
            tooltip=[alt.Tooltip("feature:O"), alt.Tooltip("model:O", title="seed, by loss")],
        ),
        *(
            head.transform_calculate(text=now(SEEDS, "text"), more=now(SEEDS, "more"))
            for head in _heads(base, planes=planes)
        ),
    ]
    slider = inputs(SEEDS, {STEP: (stops(len(densities)), start)})
    titles = [density_in_words(p) for p in densities]
    return _finished(
        pd.concat([*tables, heads], ignore_index=True), layers, slider, height
    ).properties(title=moving_title(SEEDS, titles, fontSize=14, offset=8))


def describe_seeds(before: Floats, distance: Floats, turned: Floats) -> str:
    """The chart of seeds in words. distance, turned: (B,) to the best, before and after."""
    return (
        f"Directions of {np.shape(before)[-1]} features in {len(before)} models, side by side as "
        "trained and after turning each model's plane to match the best. Median distance to the "
        f"best, as a share of its length: {np.median(distance):.2f} before, "
        f"{np.median(turned):.2f} after."
    )


# Expressions

_RADIANS = {name: f"{name}_degrees * PI / 180" for name in (ANGLE, BASIS)}
_COS = {name: f"cos({radians})" for name, radians in _RADIANS.items()}
_SIN = {name: f"sin({radians})" for name, radians in _RADIANS.items()}

# The first row of R⁻¹ ReLU(R z), R = [[c, −s], [s, c]].
FIRST_OUT = (
    "datum.c * max(0, datum.c * datum.z1 - datum.s * datum.z2)"
    " + datum.s * max(0, datum.s * datum.z1 + datum.c * datum.z2)"
)
ENTRY = "datum.cc * datum.c * datum.c + datum.ss * datum.s * datum.s + datum.cs * datum.c * datum.s"
# A point of the plane, turned.
ACROSS = "datum.c * datum.z1 - datum.s * datum.z2"
UP = "datum.s * datum.z1 + datum.c * datum.z2"


# Rows


def _plane_rows(points: Mapping[str, Sequence[Points]], plane: tuple[int, int]) -> pd.DataFrame:
    tables = []
    for panel, name in enumerate((BOTTLENECK, NEURONS)):
        placed_points = [_in_plane(*own) for own in points[name]]
        # A row is a dot of every model that has so many.
        most = max(len(at) for at, _ in placed_points)
        at = np.full((len(placed_points), most, 2), np.nan, dtype=np.float32)
        feature = np.full((len(placed_points), most), np.nan, dtype=np.float32)
        for step, (own, strongest) in enumerate(placed_points):
            at[step, : len(own)], feature[step, : len(own)] = own, strongest + 1
        dots = [by_step("z1_", at[..., 0]), by_step("z2_", at[..., 1]), by_step("f", feature)]
        tables.append(
            pd.concat(dots, axis=1).assign(kind="point", panel=panel, dot=np.arange(most))
        )
        tables.append(
            pd.DataFrame({"kind": "frame", "panel": panel, "z1": [1.0, 0.0], "z2": [0.0, 1.0]})
        )
        axis = "neuron" if panel else "axis"
        # Below the plane: beside the axes themselves, words would lie on dots.
        words = f"{axis} {plane[0] + 1} across, {axis} {plane[1] + 1} up"
        tables.append(pd.DataFrame({"kind": ["axis"], "panel": panel, "text": words}))
    tables.append(
        pd.DataFrame(
            {
                "kind": "head",
                "panel": [0, 1],
                "text": [BOTTLENECK, NEURONS],
                "more": ["turned, and read back", "turned, clipped, read back"],
            }
        )
    )
    return pd.concat(tables, ignore_index=True)


def _in_plane(at: Floats, strongest: NDArray[np.integer[Any]]) -> Points:
    """The points that the plane shows, at most 1 from its middle, and their strongest features."""
    radius = np.hypot(at[:, 0], at[:, 1])
    middle = float(np.median(radius[radius > 0])) if (radius > 0).any() else 1.0
    reach = 1.05 * max(min(float(radius.max()), FAR_OUT * middle), 1e-9)
    inside = radius <= reach
    return (at[inside] / reach).round(4), strongest[inside]


def _curve_rows(losses: Mapping[str, Floats]) -> pd.DataFrame:
    """Curves, ticks and titles, with a column for each model of what depends on it."""
    names = list(losses)
    values = np.stack([np.asarray(losses[name], dtype=np.float64) for name in names], axis=1)
    scales = [_loss_scale(own) for own in values]
    levels = np.array([scale.level for scale in scales])
    first = values[..., :1]
    ratios = np.where(first > 0, values / np.where(first > 0, first, 1), 1)
    tables = []
    for index, name in enumerate(names):
        own = values[:, index]
        tables.append(
            pd.concat(
                [
                    pd.DataFrame(
                        {"kind": "curve", "model": name, "line": index, "degrees": DEGREES}
                    ),
                    by_step("level", levels[:, index].astype(np.float32)),
                    by_step("loss", own),
                    by_step("text", _in_words(own)),
                    by_step(
                        "times",
                        np.where(_unchanged(ratios[:, index]), "", _in_words(ratios[:, index])),
                    ),
                ],
                axis=1,
            )
        )
    most = max(len(scale.ticks) for scale in scales)
    ticks = [[*scale.ticks, *[("", np.nan)] * (most - len(scale.ticks))] for scale in scales]
    tables.append(
        by_step("text", np.array([[text for text, _ in own] for own in ticks], dtype=object))
        .join(by_step("level", np.array([[level for _, level in own] for own in ticks])))
        .assign(kind="tick")
    )
    degrees = [0, 90, 180, 270, 360]
    tables.append(
        pd.DataFrame(
            {"kind": "degree", "degrees": degrees, "text": [f"{degree}°" for degree in degrees]}
        )
    )
    more = [
        "loss divided by density p" + ("; the scale is logarithmic" if scale.logarithmic else "")
        for scale in scales
    ]
    tables.append(
        pd.DataFrame({"kind": ["title"], "text": ["Loss of both models at each angle"]}).join(
            by_step("more", np.array(more, dtype=object)[:, None])
        )
    )
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class _LossScale:
    """Where losses (…, A) stand between 0 and 1, and the ticks: (text, level)."""

    level: Floats
    ticks: list[tuple[str, float]]
    logarithmic: bool


def _loss_scale(values: Floats) -> _LossScale:
    low, high = float(values.min()), float(values.max())
    logarithmic = high > _LOGARITHMIC * low > 0
    if logarithmic:
        bottom, top = np.log10(low / 1.3), np.log10(high * 1.1)
        ticks = [10.0**k for k in range(int(np.ceil(bottom)), int(np.floor(top)) + 1)]
        # Many decades get a label each two, three or more.
        ticks = ticks[:: -(-len(ticks) // 6)] or [low]
        level = (np.log10(values) - bottom) / (top - bottom)
        at = (np.log10(ticks) - bottom) / (top - bottom)
    else:
        top = 1.08 * high if high > 0 else 1.0
        step = 10 ** np.floor(np.log10(top / 2))
        step *= next(k for k in (1, 2, 2.5, 5, 10) if top / (step * k) <= 5)
        ticks = list(np.arange(0, top, step))
        level, at = values / top, np.asarray(ticks) / top
    texts = [format_number(tick, 2) for tick in ticks]
    return _LossScale(level, list(zip(texts, at.tolist(), strict=True)), logarithmic)


def _in_words(values: Floats) -> NDArray[np.object_]:
    words = [format_number(float(value)) for value in values.ravel()]
    return np.array(words, dtype=object).reshape(values.shape)


def _unchanged(ratios: Floats) -> NDArray[np.bool_]:
    return np.abs(ratios - 1) < 1e-9


# Layers


def _frames(base: alt.Chart) -> list[alt.Chart]:
    """The squares, their fixed axes, the quadrant that is not clipped, and the turned axes."""
    head = of_kind(base, "head")
    turned = of_kind(base, "frame").transform_calculate(c=_COS[ANGLE], s=_SIN[ANGLE])
    return [
        placed(
            head.transform_filter("datum.panel == 1"),
            _PLANES.x("0"),
            _PLANES.y("0"),
            _PLANES.x("1"),
            _PLANES.y("1"),
        )
        .mark_rect(color=COLOURS[NEURONS], opacity=0.13)
        .encode(X, Y, X2, Y2),
        placed(head, _PLANES.x("-1"), _PLANES.y("-1"), _PLANES.x("1"), _PLANES.y("1"))
        .mark_rect(fillOpacity=0, stroke=FAINT, strokeOpacity=0.5)
        .encode(X, Y, X2, Y2),
        placed(head, _PLANES.x("-1"), _PLANES.y("0"), _PLANES.x("1"))
        .mark_rule(color=FAINT, strokeWidth=1)
        .encode(X, Y, X2),
        placed(head, _PLANES.x("0"), _PLANES.y("-1"), None, _PLANES.y("1"))
        .mark_rule(color=FAINT, strokeWidth=1)
        .encode(X, Y, Y2),
        placed(
            turned,
            _PLANES.x(f"-0.97 * ({ACROSS})"),
            _PLANES.y(f"-0.97 * ({UP})"),
            _PLANES.x(f"0.97 * ({ACROSS})"),
            _PLANES.y(f"0.97 * ({UP})"),
        )
        .mark_rule(color=FAINT, strokeDash=[4, 4], strokeWidth=1)
        .encode(X, Y, X2, Y2),
    ]


def _points(base: alt.Chart, n: int) -> list[alt.Chart]:
    """Where each point is after the turn, and where the ReLU puts it."""
    turned = (
        as_now(
            of_kind(base, "point"),
            ANGLE,
            {"z1": "z1_", "z2": "z2_", "feature": "f"},
            ("panel", "dot"),
        )
        .transform_calculate(words="'strongest feature: ' + datum.feature")
        .transform_calculate(c=_COS[ANGLE], s=_SIN[ANGLE])
        .transform_calculate(u=ACROSS, v=UP)
        .transform_calculate(
            ru="datum.panel == 1 ? max(0, datum.u) : datum.u",
            rv="datum.panel == 1 ? max(0, datum.v) : datum.v",
        )
    )
    clipped = turned.transform_filter("datum.panel == 1 && (datum.u < 0 || datum.v < 0)")
    before = (_PLANES.x("datum.u"), _PLANES.y("datum.v"))
    after = (_PLANES.x("datum.ru"), _PLANES.y("datum.rv"))
    colour = _feature_colour(n)
    return [
        placed(clipped, *before, *after)
        .mark_rule(strokeWidth=0.8, opacity=QUIET)
        .encode(X, Y, X2, Y2, color=colour),
        placed(clipped, *before)
        .mark_point(size=22, strokeWidth=1, opacity=1)
        .encode(X, Y, color=colour),
        placed(turned, *after)
        .mark_circle(size=34, opacity=1)
        # Words alone: a table would be put together for every dot at every step of a slider.
        .encode(X, Y, color=colour, tooltip=alt.Tooltip("words:N")),
    ]


def _plane_texts(base: alt.Chart) -> list[alt.Chart]:
    axis = (
        placed(of_kind(base, "axis"), _PLANES.x("-1"), f"{_PLANES.bottom} + 16")
        .mark_text(align="left", fontSize=11, color=GREY)
        .encode(X, Y, text="text:N")
    )
    return [axis, *_heads(base, tuple(COLOURS.values()))]


def _heads(
    base: alt.Chart, colours: Sequence[str | None] = (None, None), planes: Planes = _PLANES
) -> list[alt.Chart]:
    """Title and subtitle above each plane, the title with a line in its colour, if it has one."""
    layers = []
    for panel, colour in enumerate(colours):
        head = of_kind(base, "head").transform_filter(f"datum.panel == {panel}")
        if colour is not None:
            layers.append(
                placed(head, planes.x("-1"), f"{planes.head - 38}", f"{planes.x('-1')} + {_KEY}")
                .mark_rule(color=colour, strokeWidth=2.2)
                .encode(X, Y, X2)
            )
        aside = f" + {_KEY + 7}" if colour is not None else ""
        layers.append(
            placed(head, planes.x("-1") + aside, f"{planes.head - 34}")
            .mark_text(align="left", fontSize=14, fontWeight="bold", color=CANVAS_TEXT)
            .encode(X, Y, text="text:N")
        )
        layers.append(
            placed(head, planes.x("-1"), f"{planes.head - 15}")
            .mark_text(align="left", fontSize=11, color=GREY)
            .encode(X, Y, text="more:N")
        )
    return layers


def _curves(base: alt.Chart) -> list[alt.Chart]:
    """Loss against angle, the marker at the slider's angle, and what it reads."""
    top, bottom = f"({_PLANES.bottom} + {_ABOVE})", f"(height - {_BELOW})"
    right = f"(width - {_RIGHT})"

    def x(value: str) -> str:
        return f"({_LEFT} + ({value}) / 360 * ({right} - {_LEFT}))"

    def y(value: str) -> str:
        return f"({bottom} - ({value}) * ({bottom} - {top}))"

    rows, one = of_kind(base, "curve"), ("model", "line", "degrees")
    numbers = {"level": "level", "loss": "loss"}
    place = (x("datum.degrees"), y("datum.level"))
    curve = placed(as_now(rows, ANGLE, numbers, one), *place)
    here = placed(
        as_now(
            rows.transform_filter(f"datum.degrees == {ANGLE}_degrees"),
            ANGLE,
            numbers,
            one,
            {"text": "text", "times": "times"},
        ),
        *place,
    ).transform_calculate(
        said="datum.model + ': ' + datum.text + ', ' + "
        "(datum.times ? datum.times + ' times as much' : 'unchanged')"
    )
    tick = as_now(of_kind(base, "tick"), ANGLE, {"level": "level"}, (), {"text": "text"})
    degree, title = of_kind(base, "degree"), of_kind(base, "title")
    tips = [
        alt.Tooltip("model:N"),
        alt.Tooltip("degrees:Q", title="angle in degrees"),
        alt.Tooltip("loss:Q", title="loss / p", format=".4~g"),
    ]
    layers = [
        placed(tick, x("0"), y("datum.level"), x("360"))
        .mark_rule(color=FAINT, opacity=0.3)
        .encode(X, Y, X2),
        placed(tick, f"{_LEFT} - 6", y("datum.level"))
        .mark_text(align="right", baseline="middle", fontSize=11, color=GREY)
        .encode(X, Y, text="text:N"),
        placed(degree, x("datum.degrees"), f"{bottom} + 14")
        .mark_text(align="center", fontSize=11, color=GREY)
        .encode(X, Y, text="text:N"),
        placed(title.transform_calculate(end="'angle'"), x("180"), f"{bottom} + 32")
        .mark_text(align="center", fontSize=12, color=GREY)
        .encode(X, Y, text="end:N"),
        placed(title, f"{_LEFT}", f"{top} - 72")
        .mark_text(align="left", fontSize=14, fontWeight="bold", color=GREY)
        .encode(X, Y, text="text:N"),
        placed(title.transform_calculate(more=now(ANGLE, "more")), f"{_LEFT}", f"{top} - 54")
        .mark_text(align="left", fontSize=11, color=GREY)
        .encode(X, Y, text="more:N"),
        placed(
            here.transform_filter("datum.line == 0"),
            x("datum.degrees"),
            top,
            None,
            bottom,
        )
        .mark_rule(color=GREY, strokeDash=[3, 3])
        .encode(X, Y, Y2),
    ]
    for index, (name, colour) in enumerate(COLOURS.items()):
        own = curve.transform_filter(f"datum.model == '{name}'")
        layers += [
            own.mark_line(color=colour, strokeWidth=2.2).encode(X, Y, order="degrees:Q"),
            here.transform_filter(f"datum.model == '{name}'")
            .mark_circle(color=colour, size=90, opacity=1)
            .encode(X, Y, tooltip=tips),
            # A legend that says the values at the slider's angle.
            placed(
                here.transform_filter(f"datum.model == '{name}'"),
                f"{_LEFT}",
                f"{top} - {32 - 18 * index}",
                f"{_LEFT} + {_KEY}",
            )
            .mark_rule(color=colour, strokeWidth=2.2)
            .encode(X, Y, X2),
            placed(
                here.transform_filter(f"datum.model == '{name}'"),
                f"{_LEFT} + {_KEY + 7}",
                f"{top} - {32 - 18 * index}",
            )
            .mark_text(
                align="left", baseline="middle", fontSize=13, fontWeight="bold", color=CANVAS_TEXT
            )
            .encode(X, Y, text="said:N"),
        ]
    return layers


def _feature_colour(n: int) -> alt.Color:
    return alt.Color(
        "feature:O",
        scale=alt.Scale(domain=list(range(1, n + 1)), range=feature_colours(n)),
        legend=None,
    )


def _turn() -> alt.BindRange:
    return slider(DEGREES[0], DEGREES[-1], DEGREES[1] - DEGREES[0], "angle in degrees")


def _finished(
    table: pd.DataFrame, layers: Sequence[alt.Chart], angle: alt.Parameter, height: int
) -> alt.LayerChart:
    """The layers over one table. It is named once: Altair would compare it layer by layer."""
    return (
        alt.LayerChart(data=table, layer=list(layers))
        .add_params(angle)
        .properties(
            height=height,
            # Hundreds of marks move with the slider.
            usermeta={"embedOptions": {"renderer": "canvas"}},
        )
        .configure_view(stroke=None)
    )
