"""The first page's networks: five features in two dimensions, at every density."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from figures.moving_geometry import Frames, Trajectories
from figures.sweeps import aligned_sweep
from figures.theme import format_density
from zoo import Zoo

GRID = "bottleneck-5x2"
START = 0.2
TRACKS = (
    ("ReLU", "relu-output", 0.9),
    ("ReLU, equal importance", "relu-output", 1.0),
    ("linear", "linear", 0.9),
)
# What stays put when neighbouring models arrange their features differently: feature 1 before
# feature 2 before feature 3. Equal weights would let all of them swing at every such change.
HOLD = 0.5 ** np.arange(5)


def best_seeds(zoo: Zoo, family: str, importance_decay: float) -> pd.DataFrame:
    """The seed of lowest loss at each density, dense data first."""
    rows = zoo.grid(GRID).select(
        family=family, importance_decay=importance_decay, best_of_seeds=True
    )
    return rows.sort_values("density", ascending=False)


@st.cache_resource(show_spinner=False, max_entries=4)
def tracks(_zoo: Zoo, key: str) -> tuple[tuple[Frames, ...], tuple[str, ...], int]:
    """The frames of every track, the ids of their models, and the frame to start at."""
    grid = _zoo.grid(GRID)
    frames, ids = [], []
    for name, family, importance_decay in TRACKS:
        rows = best_seeds(_zoo, family, importance_decay)
        densities = rows["density"].to_numpy()
        start = int(np.argmin(np.abs(densities - START)))
        parameters = grid.parameters(rows)
        paths = [grid.trajectory(model_id) for model_id in rows["model_id"]]
        directions, turned = aligned_sweep(
            parameters["W"], start, np.stack([path.parameters["W"] for path in paths]), HOLD
        )
        assert turned is not None
        losses = np.stack([path.losses for path in paths]) / densities[:, None]
        frames.append(
            Frames(
                directions,
                densities,
                [format_density(density) for density in densities],
                name,
                rows["loss_per_density"].to_numpy(),
                parameters["b"],
                Trajectories(turned, paths[0].steps, losses),
            )
        )
        ids.extend(rows["model_id"])
    return tuple(frames), tuple(ids), start
