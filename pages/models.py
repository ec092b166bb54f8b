"""Models: filter the whole zoo, open one model, take it away."""

from __future__ import annotations

import streamlit as st

from pages.parts.layout import caveats, folded, maths, question
from pages.parts.navigation import link
from pages.parts.zoo_access import open_zoo
from pages.sections.models import browser, grids_of

zoo = open_zoo()
question(
    "Models",
    f"All {len(zoo):,} trained models: which one do you want? Every figure of these pages is drawn "
    "from them. Find one, look at it, take it with you.",
)
folded(
    f"The {len(zoo.grids)} grids, and what each asks",
    lambda: st.markdown(grids_of(zoo)),
    key="fold-grids",
    icon=":material/grid_on:",
)
browser()
maths(
    r"""
All measures are of the encoder, the matrix with a column $W_i$ for each feature: $W$, or
$W_\text{in}$ of the absolute-value models. $\hat W_i = W_i / \lVert W_i \rVert$.

- **Features per dimension**: $\lVert W \rVert_F^2 / m$; **dimensions per feature** is its inverse.
- **Interference** of feature $i$: $\sum_{j \ne i} (\hat W_i \cdot W_j)^2$.
- **Dimensionality**: $D_i = \lVert W_i \rVert^2 / \sum_j (\hat W_i \cdot W_j)^2$.
- **Coherence**: $\max_{i \ne j} |\hat W_i \cdot \hat W_j|$ over represented features.
- **Alignment**: the mean of $\max_k |\hat W_{ki}|$, 1 when every direction is an axis. It is high
  in few dimensions whatever the directions are, so it stands beside its value at random.
- **Kurtosis** of the coordinates of a direction: $m \sum_k W_{ki}^4 / (\sum_k W_{ki}^2)^2$:
  $m$ on an axis, 1 when all coordinates are equally large, and $3m/(m+2)$ on average at random.
- **Features per neuron**: features whose weight exceeds a fifth of the neuron's largest, mean over
  the neurons that are used. A **monosemantic** neuron has one.
- **Loss of the popular features** (grid `rare-feature`): the loss without the last feature's term.
""",
    "What the measures mean",
)
caveats(
    (
        "An id reads GRID / FAMILY / SETTING / SEED: n5-m2-p0.1-i0.9 is 5 features, 2 dimensions, "
        "[[density]] 0.1, and each feature 0.9 times as [[importance|important]] as the one "
        "before. Retraining keeps the ids.",
        "The loss is an expectation over the data, not an average over a batch: *exact* in closed "
        "form, by *quadrature* over every set of active features, or *stratified* by their number "
        "with a standard error.",
        "Measures are of the trained weights. Means run over [[represented]] features, because the "
        "direction of a feature that was not learned is noise.",
        "Absolute-value models have a freedom that tied ones lack: multiply a neuron's row of Wᵢₙ "
        "by any positive number, divide its column of Wₒᵤₜ by it, and the model computes the "
        "same. Norms and angles of Wᵢₙ, and all that is made of them (represented, per dimension, "
        "interference, dimensionality, arrangement), depend on that scale. Features per neuron "
        "and the monosemantic share do not.",
        "Bottleneck models (linear, ReLU on the output) compute the same in any rotation of hidden "
        "space. Their alignment and kurtosis tell of the optimiser, not of the function.",
    )
)
link("pages/lab.py", "Train a model that is not here")
