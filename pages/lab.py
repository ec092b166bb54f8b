"""The Lab: train a small model, watch it find its arrangement, compare it with the zoo."""

from __future__ import annotations

import streamlit as st

from pages.parts.layout import maths, notice, prediction, question, reading
from pages.parts.live_run import Watched, redraw_seconds
from pages.parts.models_behind import models_behind
from pages.parts.sources import cited
from pages.parts.turns import fragment
from pages.parts.zoo_access import open_zoo, zoo_problems
from pages.sections.lab import (
    State,
    controls,
    invite,
    limits,
    nearest,
    result,
    seed_controls,
    start_run,
    workbench,
    write_address,
)

zoo = open_zoo()
question(
    "Lab: train one yourself",
    "Every other page shows models that were trained beforehand. Here you choose the data and "
    "the [[model]], and watch it find room for its [[feature|features]]. **What will yours do?**",
)
prediction(
    "Two models, same data, same size, other random starting weights. Do they end the same?",
    ("always", "not always"),
    "not always",
    "Training stops in whichever [[local minimum]] is downhill of the start. Train below with "
    "several models at once and compare.",
    key="lab-guess",
    short=True,
)
seed_controls()
settings = controls()
initial, messages = State["lab-messages"]
if settings == initial:
    for message in messages:
        st.info(message, icon=":material/link:")
write_address(settings)

watched: Watched | None = State.get("lab-watched")
if watched is not None and watched.watching and watched.run.settings != settings:
    watched.stop()
    watched.watching = False
    State["lab-note"] = "Training was stopped, because a setting changed."
if State.pop("lab-start", False):
    start_run(settings)
    watched = State["lab-watched"]

rows = nearest(zoo, settings)
zoo_model, zoo_loss = None, float("nan")
if not rows.empty:
    zoo_model = zoo.model(rows["model_id"].iloc[0])
    zoo_loss = float(rows["loss_here"].iloc[0])
watching = watched is not None and watched.watching
fragment(workbench, run_every=redraw_seconds() if watching else None)(
    settings, zoo_model, zoo_loss, invite(settings, rows)
)
if watched is not None and not watching:
    with zoo_problems():
        result(zoo, watched, settings)

notice(
    (
        "The weights first grow along the few directions that pay most, then sort themselves "
        "out: the loss falls in steps, with the arrows turning in between.",
        "Change only the [[seed]]. At density 0.1 some starts end as a pentagon, others lose a "
        "feature or two for good, since giving up a feature is a [[local minimum]] as well.",
        "Change only the [[density]]. At 1 the best that five features can do is to keep two; "
        "the sparser the data, the more of them fit.",
        "To break it: plain gradient descent (SGD) with a learning rate of 3, under “Importance, a "
        "density for each feature, how it is trained”.",
    )
)
if zoo_model is not None:
    models_behind([zoo_model.model_id], key="lab-zoo")
maths(
    r"""
The loss is the expectation over the data, $L = \mathbb{E}_x \sum_i I_i (y_i - y'_i)^2$ with
importance $I_i$, computed instead of sampled: inputs are grouped by which features are on, each
group counts with its probability, and within a group the values are integrated on a few hundred
fixed points. So a step sees the whole distribution, and a few hundred steps are enough. With more
than 16 features the points are drawn anew every few steps.

The curve shows this training estimate. The loss below it, yours and the zoo's, is computed
afterwards on many more points, so that a model gains nothing by fitting the points it was
trained on.
"""
)


limits()
reading(
    (
        cited(
            "toy-models",
            "the models trained here (Elhage et al., 2022).",
        ),
        cited(
            "dynamics",
            "why the loss falls in steps, from one arrangement to the next (Chen et al., 2023).",
        ),
    )
)
