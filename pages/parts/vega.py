"""Figures as Streamlit sends them to the browser, drawn once for all readers."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, ParamSpec

import altair as alt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st
from altair.utils import schemapi

MOST_FIGURES = 400
"""Figures that are kept. One takes some ten kilobytes, the largest a few hundred."""

P = ParamSpec("P")
Spec = dict[str, Any]

# Altair's choice of what to do with data holds for the whole process, so one figure at a time.
_one_at_a_time = Lock()


def vega(figure: Callable[P, alt.TopLevelMixin], *args: P.args, **kwargs: P.kwargs) -> Spec:
    """The Vega-Lite specification of `figure(*args, **kwargs)`, for `st.vega_lite_chart`.

    What was drawn before, for any reader, is not drawn again: a figure is a function of its
    arguments.
    """
    return _kept(f"{figure.__module__}.{figure.__qualname__}", figure, args, kwargs)


def vega_once(figure: Callable[P, alt.TopLevelMixin], *args: P.args, **kwargs: P.kwargs) -> Spec:
    """The same for a figure that no other reader will see, such as that of a run: it is not kept.

    Altair spends most of its time on checking its own work against the schema. The tests of
    `figures` check it; no reader has to wait for that.

    The data sets are named by their order. A figure that differs from the last one in its data
    alone then has the same specification, and the browser moves the marks instead of setting the
    chart up anew.
    """
    tables: list[pa.Table] = []

    def keep(data: Any) -> dict[str, str]:
        table = pa.Table.from_pandas(pd.DataFrame(data))
        if table not in tables:
            tables.append(table)
        return {"name": _name(tables.index(table))}

    with _one_at_a_time, schemapi.debug_mode(False):
        chart = figure(*args, **kwargs)
        alt.data_transformers.register("superposition-zoo", keep)
        with alt.theme.enable("none"), alt.data_transformers.enable("superposition-zoo"):
            spec: Spec = chart.to_dict(validate=False)
    # Streamlit's theme moves the first and the last label of an axis inwards, off their ticks.
    axis = spec.setdefault("config", {}).setdefault("axis", {})
    axis.setdefault("labelFlush", False)
    # On canvas no mark can be read out by itself, but the browser would put words to each of them
    # each time it moves.
    if spec.get("usermeta", {}).get("embedOptions", {}).get("renderer") == "canvas":
        spec["config"].setdefault("mark", {}).setdefault("aria", False)
    # Altair names what a figure gives as plain rows by their hash, or as the figure says.
    for name, rows in spec.pop("datasets", {}).items():
        spec = _renamed(spec, name, keep(rows)["name"])
    return _apart(spec, {_name(k): table for k, table in enumerate(tables)})


def _content(rows: pd.DataFrame) -> bytes:
    """All that a table says, to tell it from others. Streamlit's own way takes thrice as long."""
    table, stream = pa.Table.from_pandas(rows), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as sink:
        sink.write_table(table)
    return stream.getvalue()


@st.cache_data(show_spinner=False, max_entries=MOST_FIGURES, hash_funcs={pd.DataFrame: _content})
def _kept(
    name: str,
    _figure: Callable[..., alt.TopLevelMixin],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Spec:
    """`name` stands for the figure among the arguments that are compared."""
    return vega_once(_figure, *args, **kwargs)


def _apart(spec: Spec, tables: Mapping[str, pa.Table]) -> Spec:
    """The same figure, where a layer that draws the rows of one kind has just those rows.

    Most figures are one table with a column that says which layer a row is for. In the browser
    each layer would look through all of it, and would do so again with every change. It also makes
    an object of every row, cell by cell, so a layer has just the columns that it mentions too.
    """
    found: dict[tuple[str, str], pa.Table] = {}
    said: dict[tuple[str, str], str] = {}  # what the layers that draw it say

    def own(part: Any, name: str | None = None, above: str = "") -> Any:
        """A part of the figure.

        name: of what the whole of it draws.
        above: what is said around it, for all parts.
        """
        if isinstance(part, list):
            return [own(each, name, above) for each in part]
        name = part.get("data", {}).get("name", name)
        inner = _COMPOSED & set(part)
        if inner and "transform" not in part:
            rest = {key: value for key, value in part.items() if key != "data"}
            above += _text({key: value for key, value in rest.items() if key not in inner})
            return rest | {key: own(part[key], name, above) for key in inner}
        if name is None:
            return part
        kind, transform, table = "", list(part.get("transform", ())), tables[name]
        wanted = _ONE_KIND.fullmatch(str(transform[0].get("filter"))) if transform else None
        if wanted is not None and wanted["field"] in table.column_names:
            kind, transform = wanted[0], transform[1:]
            table = table.filter(pc.equal(table[wanted["field"]], wanted["value"]))
        rest = {key: value for key, value in part.items() if key not in ("data", "transform")}
        if transform:
            rest["transform"] = transform
        found.setdefault((name, kind), table)
        said[name, kind] = said.get((name, kind), "") + above + _text(rest)
        return rest | {"data": {"name": _name(list(found).index((name, kind)))}}

    spec = own(spec)
    told = [_told(table, said[key]) for key, table in found.items()]
    return {**spec, "datasets": {_name(k): table for k, table in enumerate(told)}}


_COMPOSED = {"layer", "concat", "hconcat", "vconcat"}
_ONE_KIND = re.compile(r"datum\.(?P<field>\w+) == '(?P<value>[^']*)'")


def _text(part: Spec) -> str:
    return json.dumps(part, ensure_ascii=False, default=str)


def _told(table: pa.Table, said: str) -> pa.Table:
    """A table without columns that are empty, or that what is `said` of it does not mention.

    An expression such as `datum['r' + step]` may mean any of them. A layer that mentions none still
    draws a mark for each row, so it has one.
    """
    rows, any_of_them = len(table), "datum[" in said
    told = [
        name
        for name in table.column_names
        if (any_of_them or name in said) and (table[name].null_count < rows or not rows)
    ]
    return table.select(told or table.column_names[:1])


def _name(k: int) -> str:
    return f"data-{k}"


def _renamed(spec: Any, name: str, new: str) -> Any:
    """A specification in which the data set `name` is called `new`."""
    if isinstance(spec, list):
        return [_renamed(part, name, new) for part in spec]
    if not isinstance(spec, dict):
        return spec
    if spec.get("data") == {"name": name}:
        spec = {**spec, "data": {"name": new}}
    return {key: _renamed(part, name, new) for key, part in spec.items()}
