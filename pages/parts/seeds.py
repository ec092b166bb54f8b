"""The seeds of one setting beside each other: how often does training end where?"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from figures.theme import format_number


def seed_table(seeds: pd.DataFrame) -> None:
    """A small table of the seeds of one setting, the best first.

    seeds: rows of the index that differ in their seed alone.
    """
    rows = seeds.sort_values("loss")
    best = float(rows["loss"].iloc[0])
    st.markdown(
        "| seed | loss / p | represented | arrangement |\n| ---: | ---: | ---: | --- |\n"
        + "\n".join(
            f"| {row.seed} | {format_number(row.loss_per_density)}{_error(row)}"
            f"{_above(row.loss, best)} "
            f"| {row.features_represented} of {row.n_features} | {row.solution} |"
            for row in rows.itertuples()
        )
    )


def _error(row: Any) -> str:
    """The standard error of the loss per density; nothing where nothing was sampled."""
    error = float(row.loss_standard_error)
    return f" ± {format_number(error / row.density, 1)}" if error else ""


def _above(loss: float, best: float) -> str:
    """How far a loss is above the best one, in brackets; nothing for the best itself."""
    return f" (+{format_number(100 * (loss / best - 1), 2)}%)" if loss > best > 0 else ""
