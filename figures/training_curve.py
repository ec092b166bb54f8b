"""The loss of models while they train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from figures.theme import FAMILY_COLOURS, format_number

_NAME = "curve"
_YOURS, _REFERENCE = "#0072B2", "#D55E00"
_KINDS = ("other", "reference", "shown")
# A line of one point is not drawn, but gives the scale something to reach over.
_NOTHING = {"step": 0, "loss": 1.0, "model": 0, "kind": "shown"}


def training_curve(
    steps: Sequence[int],
    losses: NDArray[np.floating[Any]],
    *,
    total: int,
    shown: int = 0,
    reference: float | None = None,
    reference_name: str = "",
    title: str = "loss",
    height: int = 240,
) -> alt.LayerChart:
    """Loss over steps on a log scale, a line for each model, one of them strong.

    Charts of equal `total`, `reference` and `title` differ in their data alone, so that a page
    can draw them again and again while a model trains.

    Args:
        steps: (T,) rising. losses: (T, B); what is not a positive number is left out.
        total: the step at which the axis ends.
        shown: index of the model whose line is strong.
        reference: a loss to compare with, drawn as a dashed line across.
    """
    values = np.asarray(losses, dtype=float)
    if values.ndim != 2 or len(values) != len(steps):
        raise ValueError(f"losses have shape {values.shape}; expected ({len(steps)} steps, models)")
    rows: list[dict[str, Any]] = [
        {
            "step": int(step),
            "loss": float(f"{values[t, b]:.4g}"),
            "model": b + 1,
            "kind": "shown" if b == shown else "other",
        }
        for b in range(values.shape[1])
        for t, step in enumerate(steps)
        if np.isfinite(values[t, b]) and values[t, b] > 0
    ]
    if reference is not None:
        at = float(f"{reference:.4g}")
        rows += [{"step": step, "loss": at, "model": 0, "kind": "reference"} for step in (0, total)]
    # What comes last is drawn on top.
    rows.sort(key=lambda row: _KINDS.index(row["kind"]))
    # All kinds in one layer: a layer of its own would have no rows while there are none of its
    # kind, and Vega warns of a scale over nothing.
    base = alt.Chart(alt.NamedData(_NAME)).encode(
        x=alt.X(
            "step:Q",
            title="step",
            scale=alt.Scale(domain=[0, total], nice=False),
            axis=alt.Axis(grid=False, tickCount=6, format=",d"),
        ),
        y=alt.Y(
            "loss:Q",
            title=title,
            scale=alt.Scale(type="log", nice=False, padding=16),
            axis=alt.Axis(tickCount=5, format="~g"),
        ),
    )

    def by_kind(*looks: Any) -> alt.Scale:
        return alt.Scale(domain=list(_KINDS), range=list(looks))

    lines = base.mark_line().encode(
        detail="model:N",
        color=alt.Color(
            "kind:N", scale=by_kind(FAMILY_COLOURS["linear"], _REFERENCE, _YOURS), legend=None
        ),
        strokeWidth=alt.StrokeWidth("kind:O", scale=by_kind(1.2, 1.5, 2.4), legend=None),
        strokeDash=alt.StrokeDash("kind:N", scale=by_kind([1, 0], [5, 4], [1, 0]), legend=None),
        tooltip=[
            alt.Tooltip("step:Q", title="step", format=","),
            alt.Tooltip("loss:Q", title=title, format=".4g"),
        ],
    )
    # A text for each row, empty but for one, for the same reason.
    last = f"datum.kind == 'reference' && datum.step == {total}"
    name = base.mark_text(align="right", baseline="top", dy=5, color=_REFERENCE).encode(
        text=alt.condition(last, alt.value(reference_name), alt.value(""))
    )
    # A data set with a name of its own: without one, every table would make another chart.
    return alt.LayerChart(layer=[lines, name], datasets={_NAME: rows or [_NOTHING]}).properties(
        height=height
    )


def describe_training_curve(
    steps: Sequence[int],
    losses: NDArray[np.floating[Any]],
    *,
    shown: int = 0,
    reference: float | None = None,
    reference_name: str = "",
) -> str:
    """What `training_curve` shows, in words."""
    values = np.asarray(losses, dtype=float)
    if len(steps) == 0:
        return "Loss over training steps; nothing has been trained yet."
    words = (
        f"Loss over training steps: from {format_number(values[0, shown])} at step {steps[0]} to "
        f"{format_number(values[-1, shown])} at step {steps[-1]:,}."
    )
    more = values.shape[1] - 1
    if more:
        which = "model from another seed is" if more == 1 else "models from other seeds are"
        words += f" {more} more {which} drawn faintly."
    if reference is not None:
        words += (
            f" A dashed line marks {reference_name or 'a reference'}, {format_number(reference)}."
        )
    return words
