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


def training_curve(
    steps: Sequence[int],
    losses: NDArray[np.floating[Any]],
    *,
    total: int,
    shown: int = 0,
    reference: float | None = None,
    reference_name: str = "",
    title: str = "loss",
    height: int = 190,
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
    # A data set with a name of its own: without one, every table would make another chart.
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
            axis=alt.Axis(grid=False, tickCount=4, format="~g"),
        ),
    )
    tooltip = [
        alt.Tooltip("step:Q", title="step", format=","),
        alt.Tooltip("loss:Q", title=title, format=".4g"),
    ]
    others = (
        base.transform_filter("datum.kind == 'other'")
        .mark_line(color=FAMILY_COLOURS["linear"], strokeWidth=1.2, opacity=0.8)
        .encode(detail="model:N", tooltip=tooltip)
    )
    strong = (
        base.transform_filter("datum.kind == 'shown'")
        .mark_line(color=_YOURS, strokeWidth=2.4)
        .encode(tooltip=tooltip)
    )
    across = (
        base.transform_filter("datum.kind == 'reference'")
        .mark_line(color=_REFERENCE, strokeWidth=1.5, strokeDash=[5, 4])
        .encode(tooltip=[alt.Tooltip("loss:Q", title=reference_name or "reference", format=".4g")])
    )
    name = (
        base.transform_filter(f"datum.kind == 'reference' && datum.step == {total}")
        .mark_text(align="right", baseline="top", dy=4, color=_REFERENCE)
        .encode(text=alt.value(reference_name))
    )
    return alt.LayerChart(
        layer=[others, across, name, strong],
        datasets={_NAME: rows or [{"step": 0, "kind": "none"}]},
    ).properties(height=height)


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
