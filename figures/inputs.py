"""Inputs of a chart that the browser answers by itself, and data that follow them.

A page reads back where the reader has put them: they are the fields of one point selection, whose
values Streamlit tells the page. An expression of the chart has each as the signal `NAME_FIELD`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from numpy.typing import NDArray

DENSE_TO_SPARSE = "density, from dense to sparse"
"""What stands beside a slider over the densities of a grid."""

STEP = "step"
"""The field of a slider over frames. The page hides its number: the chart says what it means."""


def inputs(name: str, fields: Mapping[str, tuple[Any, Any]]) -> alt.Parameter:
    """A parameter with an input for each field, from the top down.

    Args:
        name: of the parameter.
        fields: field -> one of `stops`, `slider`, `switch` and `options`, and where it starts.
    """
    binding: Any = {field: bind for field, (bind, _) in fields.items()}
    return alt.selection_point(
        name=name,
        # Vega puts the input of the last field on top.
        fields=list(fields)[::-1],
        bind=binding,
        value=[{field: start for field, (_, start) in fields.items()}],
    )


def stops(count: int, label: str = DENSE_TO_SPARSE) -> alt.BindRange:
    """A slider over frames, from 0 to `count` − 1."""
    return slider(0, count - 1, 1, label)


def slider(low: float, high: float, step: float, label: str) -> alt.BindRange:
    """A slider over numbers."""
    return alt.binding_range(min=low, max=high, step=step, name=label)


def switch(label: str) -> alt.BindCheckbox:
    """True or false."""
    return alt.binding_checkbox(name=label)


def options(label: str, texts: Mapping[Any, str]) -> alt.BindRadioSelect:
    """One of a few values. texts: value -> what the reader chooses by."""
    return alt.binding_radio(name=label, options=list(texts), labels=list(texts.values()))


def by_step(quantity: str, values: NDArray[Any]) -> pd.DataFrame:
    """Values (F, rows) as a table of F columns, `value0`, `value1` and so on: see `now`.

    A row is a mark. The slider then gives the marks other numbers; other rows would be other marks,
    and making those takes longer than the slider to move.
    """
    return pd.DataFrame({f"{quantity}{step}": row for step, row in enumerate(values)})


def now(name: str, quantity: str) -> str:
    """A Vega expression: the quantity of a row at the step that the slider of `name` shows."""
    return f"datum['{quantity}' + {name}_{STEP}]"


def as_now(
    chart: alt.Chart,
    name: str,
    numbers: Mapping[str, str],
    fields: Sequence[str],
    words: Mapping[str, str] | None = None,
) -> alt.Chart:
    """The rows of a chart as they are at the step of the slider of `name`, without the other steps.

    Rows with a column for each step are long, and the browser copies the whole of a row for each
    layer that draws it, whenever another input changes anything of it. Rows without the first of
    the numbers at that step are left out.

    Args:
        numbers: what a number is called afterwards -> its name as of `by_step`.
        fields: those that are kept besides, and tell one row from all others.
        words: as `numbers`. Rows with other words are other rows, and marks.
    """
    words = words or {}
    first = next(iter(numbers))
    # Each is the only one of its group. A sum is brought up to date, where a minimum is looked for.
    alone: dict[str, Any] = {number: f"sum({number})" for number in numbers}
    here = {new: now(name, old) for new, old in {**numbers, **words}.items()}
    return (
        chart.transform_calculate(**here)
        .transform_filter(f"isValid(datum.{first})")
        .transform_aggregate(groupby=[*fields, *words], **alone)
    )


def moving_title(name: str, texts: Sequence[Any], **how: Any) -> alt.TitleParams:
    """A title that follows the slider of `name`.

    texts: of each step, a line, or a list of lines.
    """
    said = json.dumps(list(texts), ensure_ascii=False)
    return alt.TitleParams(alt.ExprRef(f"{said}[{name}_{STEP}]"), anchor="start", **how)
