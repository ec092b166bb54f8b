"""Sparsity × dimension: how densely features are packed, for every size and density."""

from __future__ import annotations

import streamlit as st

from figures.size_map import SELECTION, densities_of
from pages.parts.claim_card import claim_card
from pages.parts.layout import caveats, heading, maths, notice, prediction, question, reading
from pages.parts.navigation import links
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from pages.sections.sizes import (
    MAP,
    best_models,
    explorer,
    facts,
    how_losses_were_computed,
    ratio_fact,
)

# Density is what most readers change here; the sliders of the size need less room. There are so
# many inputs that the map comes first.
_STYLE = f"""
<style>
.st-key-{MAP} .vega-bindings:has(.vega-bind) {{ order: 0; padding-bottom: 0 !important; }}
.st-key-{MAP} .vega-bind:has(input[type="range"]) {{ flex-basis: 100%; }}
.st-key-{MAP} .vega-bind input:is([name={SELECTION}_n], [name={SELECTION}_m]) {{ flex: 0 1 10rem; }}
</style>
"""


with zoo_problems():
    zoo = open_zoo()
    table = best_models(zoo, zoo_key(zoo))
st.html(_STYLE)

question(
    "Sparsity × dimension",
    "How many [[feature|features]] fit into a space of m dimensions? Here are models of every "
    f"size from 2 × 1 to 16 × 8, trained at {len(densities_of(table))} densities, each with and "
    "without the [[ReLU]] on its outputs. All features are equally important here.",
)
prediction(
    "Take 4 features in 2 dimensions, and 8 features in 4. Same [[density]], same ratio, twice the "
    "size. Which puts more features into each dimension?",
    ("4 × 2", "8 × 4", "about the same"),
    "about the same",
    "For n = 2m, almost exactly, because antipodal pairs fit every m: "
    + ratio_fact(table[table["family"] == "relu-output"])
    + " At larger ratios sizes differ more.",
    key="ratio-guess",
)
explorer()
notice(facts(table))
claim_card("sparser-is-denser-packing")
claim_card("linear-never-superposes")
maths(
    r"""
The models are those of the bottleneck pages: $y' = \mathrm{ReLU}(W^\top W x + b)$, and
$y' = W^\top W x + b$ for the linear ones, with $W$ of $m$ rows and $n$ columns. All features have
importance 1 here and the same density $p$, so that only size and sparsity differ.

**Features per dimension.** If a feature that is kept has a norm near 1 and one that is dropped a
norm near 0, the sum of squared norms counts features:

$$
\begin{aligned} \lVert W \rVert_F^2 &= \sum_i \lVert W_i \rVert^2, \\
D^* &= \frac{m}{\lVert W \rVert_F^2}. \end{aligned}
$$

$D^*$ is the number of dimensions per feature. The colour ‖W‖² / m shows $1 / D^*$; the map begins
with the count of norms above one half.

**Dimensionality.** How the dimensions are shared out among the features:

$$
D_i = \frac{\lVert W_i \rVert^2}{\sum_j (\hat W_i \cdot W_j)^2}, \qquad \sum_i D_i \le m,
$$

where $\hat W_i = W_i / \lVert W_i \rVert$. Why they cannot add up to more: with
$M = W W^\top$, $D_i = \lVert W_i \rVert^4 / (W_i^\top M W_i)$.
By Cauchy and Schwarz this is at most $W_i^\top M^{+} W_i$, and those add up to the rank of $W$.
Scherlis et al. call $D_i$ the capacity of a feature.

A feature with a direction of its own has $D_i = 1$. Two opposite ones have $1/2$ each, three in a
triangle $2/3$ (three features in two dimensions), five in a pentagon $2/5$, six in a hexagon
$1/3$; in three dimensions, four in a tetrahedron $3/4$, eight in a square antiprism $3/8$, twelve
in an icosahedron $1/4$.

**Loss per density.** $L$ shrinks with $p$ because fewer features are on; $L / p$ does not, and a
feature that is not represented adds about $1/3$ to it when features are sparse: the mean square of
a number that is uniform on $[0, 1]$.
"""
)
caveats(
    (
        "‖W‖² / m counts features only while norms are near 1. Sparse models make kept features "
        "longer than that and correct with a negative bias, so that the number can exceed n / m. "
        "The colour *features represented, per dimension* counts norms above one half instead.",
        "Each cell is the best of 4 [[seed|seeds]]. The others often end in another arrangement; "
        "the table below the map shows them. A single cell that stands out from its neighbours "
        "may be a [[local minimum]], not a law.",
        "With equal importance, every subspace is as good as another for dense data, and for the "
        "linear networks at any density. Norms then "
        "take any value up to 1, and the count of represented features means little at density 1.",
        "In very sparse data features are on one at a time. The [[interference]] left is what one "
        "feature writes into the outputs of the others: the ReLU removes it where it is negative, "
        "and a negative bias where it is small. Many arrangements then differ little in loss, and "
        "four seeds often miss the best one. A line that falls on its way to the right is "
        "mostly that; the claim above counts how often.",
        how_losses_were_computed(table),
    )
)
reading(
    (
        cited(
            "toy-models",
            "the section on the geometry of superposition defines D* and the dimensionality, and "
            "has the figure for 400 features in 30 dimensions (Elhage et al., 2022).",
        ),
        cited(
            "capacity",
            "the dimensionality of a feature as its share of a budget, and when it is all, a part "
            "or none of a dimension.",
        ),
        cited(
            "nanda-notes",
            "the vocabulary in short definitions.",
        ),
    )
)
heading("Where to go next")
links(
    (
        ("pages/packing.py", "How many directions a space has room for"),
        ("pages/bottleneck.py", "One size in detail, as heat maps"),
        ("pages/lab.py", "Train a size yourself"),
    )
)
