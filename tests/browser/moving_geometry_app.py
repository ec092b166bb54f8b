"""A small app around the moving geometry, with made-up frames. `python -m streamlit run` it."""

from __future__ import annotations

import numpy as np
import streamlit as st

from figures.moving_geometry import Frames, Trajectories, moving_geometry
from figures.theme import format_density

DENSITIES = np.logspace(0, -3, 13)
STEPS = np.arange(0, 4100, 100)


def ring(degrees: list[float], lengths: list[float]) -> np.ndarray:
    angles = np.radians(degrees)
    return np.array([np.cos(angles), np.sin(angles)]) * np.array(lengths)


def relu_directions() -> np.ndarray:
    """(13, 2, 5): two orthogonal features, then a square, then a pentagon."""
    two = ring([0, 90, 45, 135, 225], [1, 1, 0, 0, 0])
    square = ring([0, 90, 180, 270, 225], [1, 1, 0.97, 0.95, 0.01])
    pentagon = ring([0, 72, 144, 216, 288], [1.05, 1.04, 1.03, 1.02, 1.01])
    return np.stack([two] * 4 + [square] * 4 + [pentagon] * 5)


def tracks() -> list[Frames]:
    labels = [format_density(density) for density in DENSITIES]
    relu = relu_directions()
    share = np.linspace(0, 1, len(STEPS))
    start = 0.2 * np.random.default_rng(0).normal(size=(13, 1, 2, 5))
    trajectory = start + (relu[:, None] - start) * share[None, :, None, None]
    losses = 0.5 * DENSITIES[:, None] * np.exp(-4 * share)[None]
    linear = np.zeros((13, 2, 5))
    linear[:, 0, 0] = linear[:, 1, 1] = 1.0
    return [
        Frames(
            relu,
            DENSITIES,
            labels,
            "ReLU",
            losses[:, -1],
            np.full((13, 5), -0.1),
            Trajectories(trajectory, STEPS, losses),
        ),
        Frames(linear, DENSITIES, labels, "linear", 2 * losses[:, -1]),
    ]


def solid() -> Frames:
    """(1, 3, 4): a tetrahedron."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).T / np.sqrt(3)
    return Frames(corners[None], [0.1], ["0.1"])


@st.fragment
def live() -> None:
    """One frame, pushed anew with every press of the button."""
    pushed = st.session_state.get("pushed", 0)
    st.button("Push", key="push", on_click=lambda: st.session_state.update(pushed=pushed + 1))
    turn = np.radians(30 * pushed)
    W = np.array([[np.cos(turn)], [np.sin(turn)]])
    frame = Frames(W[None], [float(pushed)], [f"push {pushed}"])
    moving_geometry(frame, key="live", subject="")


def main() -> None:
    st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    st.text(f"runs: {st.session_state['runs']}")
    view = st.query_params.get("view", "sweep")
    if view == "solid":
        moving_geometry(solid(), key="solid")
    elif view == "live":
        live()
    else:
        shown = moving_geometry(
            tracks(),
            key="sweep",
            loss_title="loss",
            url_parameter="p",
            track_parameter="model",
            report=view == "report",
        )
        st.text(f"server: track {shown.track}, p {shown.label}")
        st.button("Rerun")
        st.slider("Bound", 0, 10, 3, key="bound", bind="query-params")


if __name__ == "__main__":
    main()
