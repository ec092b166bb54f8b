"""Pictures of a live run and of the zoo's model beside it, drawn anew while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from figures.moving_geometry import Frames, Trajectories, moving_geometry
from figures.one_model import describe_matrix, describe_norms, matrix_map, norm_bars
from figures.training_curve import describe_training_curve, training_curve
from pages.parts.vega import vega_once
from superposition.families import Family
from superposition.geometry import align_to
from zoo import Model

if TYPE_CHECKING:
    from training.live import Frame, LiveSettings


def loss_words(settings: LiveSettings) -> tuple[str, float]:
    """What the loss is called for these data, and what it is divided by."""
    density = settings.common_density
    return ("loss", 1.0) if density is None else ("loss / p", density)


def draw_model(
    settings: LiveSettings,
    yours: Sequence[Frame],
    index: int,
    your_loss: float,
    zoo_model: Model | None,
    zoo_loss: float,
    *,
    moving: bool,
    key: str,
    zoo_name: str = "the zoo's nearest",
) -> None:
    """The geometry of the reader's model, the zoo's, or both to switch between.

    Args:
        yours: the run so far. index: which of its models.
        your_loss: the readout for the last of `yours`.
        moving: whether the run is still being watched.
        key: unique on the page.
    """
    family = settings.model_family
    loss_title, scale = loss_words(settings)
    mine = np.stack([family.encoder(f.model(index)) for f in yours]) if yours else None
    theirs = None
    if zoo_model is not None:
        theirs = np.asarray(family.encoder(zoo_model.parameters), dtype=np.float64)
    if mine is not None and theirs is not None:
        if theirs.shape != mine[-1].shape:
            theirs = None
        elif not moving and not family.has_neurons:
            theirs = align_to(theirs, mine[-1])
    shown = mine[-1] if mine is not None else theirs
    if shown is None:
        return
    if len(shown) > 3:
        draw_matrices(family, shown, key=key)
        return
    tracks = []
    if mine is not None:
        losses = np.array([f.losses[index] for f in yours]) / scale
        trajectories = None
        if not moving and len(yours) > 1:
            trajectories = Trajectories(mine[None], [f.step for f in yours], losses[None])
        tracks.append(
            Frames(
                mine[-1:],
                [0.0],
                [f"step {yours[-1].step:,}" if moving else "your model"],
                "Yours",
                [your_loss / scale],
                yours[-1].parameters["b"][index][None],
                trajectories,
            )
        )
    if theirs is not None and zoo_model is not None:
        tracks.append(
            Frames(
                theirs[None],
                [0.0],
                [zoo_name],
                "The zoo's",
                [zoo_loss / scale],
                zoo_model.parameters["b"][None],
            )
        )
    names = [f"neuron {k + 1}" for k in range(len(shown))] if family.has_neurons else None
    moving_geometry(
        tracks, key=f"{key}-geometry", subject="", hidden_names=names, loss_title=loss_title
    )


def draw_matrices(family: Family, W: np.ndarray, *, key: str) -> None:
    """A model (m, n) of too many dimensions to draw: its matrix and the norms."""
    left, right = st.columns([1, 1], gap="medium")
    with left:
        if family.has_neurons:
            what = "W, what each neuron reads from each feature"
            matrix, chart = W, vega_once(matrix_map, W, row="neuron")
        else:
            what = "WᵀW, what each output reads from each feature"
            matrix = W.T @ W
            chart = vega_once(matrix_map, matrix)
        st.markdown(what[0].upper() + what[1:])
        st.vega_lite_chart(chart, key=f"{key}-matrix", alt=describe_matrix(matrix, what))
    with right:
        st.markdown("Norm of each feature")
        st.vega_lite_chart(vega_once(norm_bars, W), key=f"{key}-norms", alt=describe_norms(W))


def draw_curve(
    settings: LiveSettings,
    frames: Sequence[Frame],
    index: int,
    reference: float,
    *,
    key: str,
    reference_name: str = "the zoo's nearest",
) -> None:
    """The losses of a run, and beside them that of a model of the zoo; NaN for none."""
    title, scale = loss_words(settings)
    steps = [frame.step for frame in frames]
    losses = np.array([frame.losses for frame in frames]).reshape(len(frames), -1) / scale
    compared = None if np.isnan(reference) or reference <= 0 else reference / scale
    chart = vega_once(
        training_curve,
        steps,
        losses,
        total=settings.steps,
        shown=index,
        reference=compared,
        reference_name=reference_name,
        title=title,
    )
    words = describe_training_curve(
        steps, losses, shown=index, reference=compared, reference_name=reference_name
    )
    st.vega_lite_chart(chart, key=f"{key}-curve", alt=words)
