"""The address of a cell on the map of sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from figures.size_map import FAMILIES, FIRST_MEASURE, MEASURES, Cell, densities_of
from figures.theme import format_density
from pages.parts.url_state import meant_by, plain_text

START_DENSITY = 0.05
START = {"n": 6, "m": 2}


def cell_in_url(table: pd.DataFrame) -> tuple[Cell, list[str]]:
    """What the address asks for, and a message for each value that makes no sense."""
    densities = densities_of(table)
    start_step = int(np.argmin(np.abs(np.log(densities) - np.log(START_DENSITY))))
    messages: list[str] = []

    def asked(name: str, options: list[Any], default: Any, texts: dict[Any, str]) -> Any:
        text = st.query_params.get(name)
        if text is None:
            return default
        by_text = {shown: option for option, shown in texts.items()}
        meant = by_text[text] if text in by_text else meant_by(text, options)
        if meant is None:
            shown = texts.get(default, str(default))
            messages.append(
                f"The address asks for {name} = {plain_text(text)}, which is not among the "
                f"models here. Showing {shown} instead."
            )
            return default
        return meant

    density = asked(
        "p", densities, densities[start_step], {p: format_density(p) for p in densities}
    )
    family = asked("model", list(FAMILIES), "relu-output", dict(FAMILIES))
    measure = asked("colour", list(MEASURES), FIRST_MEASURE, {})
    n = asked("n", sorted(table["n_features"].unique().tolist()), START["n"], {})
    m = asked("m", sorted(table["n_hidden"].unique().tolist()), START["m"], {})
    if not has_size(table, n, m):
        messages.append(
            f"The address asks for {n} features in {m} dimensions. The map has sizes with fewer "
            f"dimensions than features; showing {START['n']} × {START['m']} instead."
        )
        n, m = START["n"], START["m"]
    return Cell(densities.index(density), n, m, family, measure), messages


def has_size(table: pd.DataFrame, n: int, m: int) -> bool:
    """Whether the grid has models of n features in m dimensions."""
    return bool(((table["n_features"] == n) & (table["n_hidden"] == m)).any())


def put_in_url(cell: Cell, table: pd.DataFrame) -> None:
    """Make the address one that brings back what is shown."""
    wanted = {
        "p": format_density(densities_of(table)[cell.step]),
        "n": str(cell.n),
        "m": str(cell.m),
    }
    if cell.family != "relu-output":
        wanted["model"] = FAMILIES[cell.family]
    if cell.measure != FIRST_MEASURE:
        wanted["colour"] = cell.measure
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
