"""Privileged basis: whose hidden axes mean something, and do trained models use them?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from figures.basis import alignment_dots, alignment_table, describe_alignment
from figures.one_model import describe_matrix, matrix_map
from figures.theme import format_density, format_number
from figures.turning import (
    ANGLE,
    BASIS,
    BOTTLENECK,
    DEGREES,
    FAR_OUT,
    NEURONS,
    describe_step,
    describe_turning,
    step_chart,
    turning_chart,
)
from pages.parts.claim_card import claim_card
from pages.parts.lab_settings import settings_for_spec
from pages.parts.layout import (
    caveats,
    heading,
    maths,
    notice,
    prediction,
    prose,
    question,
    reading,
    spoken,
)
from pages.parts.models_behind import models_behind
from pages.parts.navigation import link, links
from pages.parts.retrain import retrain
from pages.parts.sources import cited
from pages.parts.turns import fragment
from pages.parts.url_state import chart_moved, chart_start, choice, plain_text
from pages.parts.vega import vega, vega_once
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from superposition.expectation import expectation_nodes
from superposition.geometry import haar_rotations
from superposition.rotation import (
    AgainstRotations,
    activations_in_plane,
    alignment_against_rotations,
    loss_against_angle,
    without_silencing,
)
from zoo import Zoo

GRID = "relu-hidden-10x5"
FAMILIES = {BOTTLENECK: "relu-output", NEURONS: "relu-hidden"}
START_DENSITY, START_ANGLE = 0.1, 30
POINTS, NODES, ROTATIONS = 150, 4096, 199
# A model is beyond chance when no more than this share of its rotations reach its value.
CHANCE = 0.05
MEASURES = {
    "alignment": "mean |cos| with the nearest axis",
    "kurtosis": "mean kurtosis of the coordinates",
}
# The sliders of the charts stand above them: on the first screen, however tall the chart.
STYLE = """
<style>
:is([class*="st-key-turn-"], [class*="st-key-step-"]) .vega-embed {
  display: flex !important; flex-direction: column;
}
:is([class*="st-key-turn-"], [class*="st-key-step-"]) .vega-bindings {
  order: -1; flex: none; padding-bottom: 0.7rem !important;
}
</style>
"""


@st.cache_resource(show_spinner=False, max_entries=4)
def best_models(_zoo: Zoo, key: str) -> dict[str, pd.DataFrame]:
    """Name of a model -> the best seed at each density, dense data first."""
    return {
        name: _zoo.grid(GRID)
        .select(family=family, best_of_seeds=True)
        .sort_values("density", ascending=False, ignore_index=True)
        for name, family in FAMILIES.items()
    }


@st.cache_resource(show_spinner=False, max_entries=40)
def turned(
    _zoo: Zoo, key: str, ids: tuple[str, str], plane: tuple[int, int]
) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Losses per density at every angle, and activations in the plane, of both models."""
    losses, points = {}, {}
    for name, model_id in zip((BOTTLENECK, NEURONS), ids, strict=True):
        model = _zoo.model(model_id)
        spec = model.spec
        nodes = expectation_nodes(spec.distribution, budget=NODES, rng=np.random.default_rng(0))
        losses[name] = (
            loss_against_angle(
                spec.model_family, model.parameters, nodes, spec.importances, DEGREES, plane
            )
            / spec.density
        )
        points[name] = activations_in_plane(
            model.parameters["W"], spec.distribution, plane, POINTS, np.random.default_rng(1)
        )
    return losses, points, spec.n_features


@dataclass(frozen=True)
class Chance:
    """The models of both families against random rotations of themselves.

    Attributes:
        tables: name of a measure -> a row per model.
        alignment: name of a model -> the alignment of all its models.
        sparsest: the lowest density.
        there, cut: alignment of the ReLU layers at that density, and of the same with silencing
            weights cut.
    """

    tables: dict[str, pd.DataFrame]
    alignment: dict[str, AgainstRotations]
    sparsest: float
    there: AgainstRotations
    cut: AgainstRotations


@st.cache_resource(show_spinner=False, max_entries=4)
def against_chance(_zoo: Zoo, key: str) -> Chance:
    """Every model of both families beside its own random rotations."""
    rows = _zoo.grid(GRID).select(family=list(FAMILIES.values()))
    measured: dict[str, dict[str, AgainstRotations]] = {name: {} for name in MEASURES}
    rotations = haar_rotations(ROTATIONS, int(rows["n_hidden"].iloc[0]), np.random.default_rng(8))
    for family in FAMILIES.values():
        W = _zoo.grid(GRID).parameters(rows[rows["family"] == family])["W"]
        both = alignment_against_rotations(W, rotations)
        measured["alignment"][family], measured["kurtosis"][family] = both
    sparsest = float(rows["density"].min())
    own = rows[(rows["family"] == FAMILIES[NEURONS]) & (rows["density"] == sparsest)]
    W = _zoo.grid(GRID).parameters(own)["W"]
    return Chance(
        {name: alignment_table(rows, one) for name, one in measured.items()},
        {name: measured["alignment"][family] for name, family in FAMILIES.items()},
        sparsest,
        alignment_against_rotations(W, rotations)[0],
        alignment_against_rotations(without_silencing(W), rotations)[0],
    )


def angle_in_address(asked: str) -> int:
    """The angle that the address asks for, to the nearest stop, or the default with a notice."""
    if not asked:
        return START_ANGLE
    try:
        wanted = float(asked)
    except ValueError:
        wanted = float("nan")
    if DEGREES[0] <= wanted <= DEGREES[-1]:
        return min(DEGREES, key=lambda degrees: abs(degrees - wanted))
    st.info(
        f"The address asks for the angle {plain_text(asked)}, which is not between {DEGREES[0]} "
        f"and {DEGREES[-1]}. Showing {START_ANGLE} instead.",
        icon=":material/link:",
    )
    return START_ANGLE


@fragment
def turning(zoo: Zoo) -> None:
    """The main figure. The slider is the chart's own; the address follows it."""
    with zoo_problems():
        best = best_models(zoo, zoo_key(zoo))
        densities = [float(p) for p in best[NEURONS]["density"]]
        default = min(densities, key=lambda p: abs(np.log(p / START_DENSITY)))
        m = int(best[NEURONS]["n_hidden"].iloc[0])
        left, right = st.columns([3, 2], gap="large")
        with left:
            density = choice("Density p", densities, default, key="p", format_func=format_density)
        with right:
            plane = choice(
                "Plane of the neurons",
                list(combinations(range(m), 2)),
                (0, 1),
                key="plane",
                widget="select",
                format_func=lambda pair: f"{pair[0] + 1} and {pair[1] + 1}",
            )
        at = densities.index(density)
        ids = (best[BOTTLENECK]["model_id"].iloc[at], best[NEURONS]["model_id"].iloc[at])
        losses, points, n = turned(zoo, zoo_key(zoo), ids, plane)
    asked = st.query_params.get("angle", "")
    start = chart_start("turning", asked, lambda: angle_in_address(asked))
    key = f"turn-{at}-{plane[0]}-{plane[1]}-{start}"
    chosen = st.vega_lite_chart(
        vega(turning_chart, losses, points, plane, n, start),
        key=key,
        on_select="rerun",
        selection_mode=ANGLE,
        width=760,
        alt=describe_turning(losses, plane),
    )
    if moved := chosen.selection.get(ANGLE):
        st.query_params["angle"] = f"{moved[0]['degrees']:g}"
        chart_moved("turning", st.query_params["angle"])
    models_behind(ids, key=f"turn-models-{at}", chosen=ids[1])


@fragment
def step() -> None:
    """The step in turned axes. The slider is the chart's own; the address follows it."""
    asked = st.query_params.get("axes", "")
    start = chart_start("step", asked, lambda: angle_in_address(asked))
    chosen = st.vega_lite_chart(
        vega(step_chart, start),
        key=f"step-{start}",
        on_select="rerun",
        selection_mode=BASIS,
        width=640,
        alt=describe_step(),
    )
    if moved := chosen.selection.get(BASIS):
        st.query_params["axes"] = f"{moved[0]['degrees']:g}"
        chart_moved("step", st.query_params["axes"])


@fragment
def alignment(zoo: Zoo) -> None:
    """Every model of the twins against rotations of itself."""
    measure = choice("Measure", list(MEASURES), "alignment", key="measure", widget="segmented")
    with zoo_problems():
        table = against_chance(zoo, zoo_key(zoo)).tables[measure]
    prose(f"Each dot is a model; upwards, its **{MEASURES[measure]}**.")
    st.vega_lite_chart(
        vega(alignment_dots, table),
        key="alignment",
        width=900,
        alt="Dots for all models against density, with a band where random rotations of them lie.",
    )
    spoken(describe_alignment(table, MEASURES[measure]))


@fragment
def matrices(zoo: Zoo) -> None:
    """The weights of both models at one density, as they are or turned at random."""
    with zoo_problems():
        best = best_models(zoo, zoo_key(zoo))
        densities = [float(p) for p in best[NEURONS]["density"]]
        default = min(densities, key=lambda p: abs(np.log(p / 1.0)))
        density = choice(
            "Density p of the weights", densities, default, key="w", format_func=format_density
        )
        turn = st.toggle(
            "Turn both hidden spaces by one random rotation",
            key="mix",
            bind="query-params",
        )
        at = densities.index(density)
        ids = [best[name]["model_id"].iloc[at] for name in FAMILIES]
        models = [zoo.model(model_id) for model_id in ids]
    m = models[0].spec.n_hidden
    R = haar_rotations(1, m, np.random.default_rng(3))[0] if turn else np.eye(m)
    for column, name, model in zip(st.columns(2, gap="large"), FAMILIES, models, strict=True):
        W = R @ model.parameters["W"]
        with column:
            st.markdown(f"**{name}**{', turned' if turn else ''}")
            st.vega_lite_chart(
                vega(matrix_map, W, row="neuron" if name == NEURONS else "axis", size=230),
                key=f"weights-{name}-{at}-{turn}",
                alt=describe_matrix(W, f"W of the {name}, its hidden axes by its features"),
            )
    models_behind(ids, key=f"weights-models-{at}", chosen=ids[1])


def weights(parameters: Any) -> None:
    """What a reader trains again, drawn as the matrices above."""
    W = np.asarray(parameters["W"])
    st.vega_lite_chart(
        vega_once(matrix_map, W, row="neuron", size=230),
        key="again-weights",
        alt=describe_matrix(W, "W of the layer in training"),
    )


def beyond(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    """The share of seeds beyond chance at each density, dense data first."""
    own = table[table["name"] == name]
    shares = (own["p"] <= CHANCE).groupby(own["density"]).mean()
    return shares.sort_index(ascending=False)


def lowest_full(shares: pd.Series[Any]) -> float | None:
    """The lowest density down to which, from the densest on, every seed is beyond chance."""
    full = shares.to_numpy() == 1
    count = len(full) if full.all() else int(np.argmin(full))
    return float(shares.index[count - 1]) if count else None


def use_facts(zoo: Zoo) -> tuple[str, ...]:
    """What to notice about alignment, with numbers from the models themselves."""
    chance = against_chance(zoo, zoo_key(zoo))
    table = chance.tables["alignment"]
    neurons = beyond(table, NEURONS)
    twin_rows = table[table["name"] == BOTTLENECK]
    full = lowest_full(neurons)
    facts = []
    if full is not None:
        facts.append(
            f"Dense data, down to density {format_density(full)}: every seed of the ReLU layer is "
            "beyond chance. Each feature that is kept sits on a neuron of its own, the matrix of "
            "weights (further down) is a few blue squares, and each neuron is [[monosemantic]]."
        )
    facts += [
        "Sparser: features outnumber the neurons that hold them, and each is spread over several. "
        f"The share of seeds beyond chance falls to {neurons.min():.0%} at density "
        f"{format_density(float(neurons.idxmin()))}. By this measure they could hardly be told "
        "from random ones.",
        f"That is not because the basis has lost its privilege. {cost_of_turning(zoo)} Sparse "
        "layers use their neurons in *patterns*: the weights further down, at a low density, are "
        "positive on some and strongly negative on others. A measure of one coordinate at a time "
        "does not see that.",
        "At the sparse end the dots rise again, for another reason: **single silencing weights**, "
        "large and negative, make a direction look aligned, and its kurtosis large. At density "
        f"{format_density(chance.sparsest)}, {beyond_chance(chance.there):.0%} of the seeds are "
        "beyond chance. Cut each negative weight to the size of its neuron's largest positive one, "
        f"and {beyond_chance(chance.cut):.0%} are.",
        f"The bottleneck: {(twin_rows['p'] <= CHANCE).mean():.0%} of all "
        f"{len(twin_rows)} models are beyond chance, and {CHANCE:.0%} would be if its axes meant "
        f"nothing. By kurtosis it is {bottleneck_by_kurtosis(chance.tables['kurtosis']):.0%}.",
        f"How large is it? {effect(chance.alignment)}",
    ]
    return tuple(facts)


def beyond_chance(measure: AgainstRotations) -> float:
    """The share of models beyond chance."""
    return float((measure.p <= CHANCE).mean())


def effect(alignment: dict[str, AgainstRotations]) -> str:
    """How far both kinds of models are above their rotations in the mean, in words."""
    neurons, twins = (
        f"{format_number(float(alignment[name].excess.mean()), 2)} "
        f"(t = {format_number(alignment[name].excess_t, 2)})"
        for name in (NEURONS, BOTTLENECK)
    )
    return (
        "Over all densities and seeds the alignment of a ReLU layer is above the mean of its own "
        f"rotations by {neurons}, that of a twin by {twins}; t is how many standard errors over "
        f"the {len(alignment[NEURONS].value)} models of each kind that is."
    )


def bottleneck_by_kurtosis(table: pd.DataFrame) -> float:
    """The share of the bottlenecks that are beyond chance by kurtosis."""
    return float((table.loc[table["name"] == BOTTLENECK, "p"] <= CHANCE).mean())


def times_as_much(zoo: Zoo, density: float) -> NDArray[np.float64]:
    """Loss of the ReLU layer nearest to a density, at each angle, relative to that at 0°."""
    best = best_models(zoo, zoo_key(zoo))
    at = int(np.argmin(np.abs(np.log(best[NEURONS]["density"].to_numpy() / density))))
    ids = (best[BOTTLENECK]["model_id"].iloc[at], best[NEURONS]["model_id"].iloc[at])
    losses = turned(zoo, zoo_key(zoo), ids, (0, 1))[0][NEURONS]
    return losses / losses[0]


def first_turn(zoo: Zoo) -> str:
    """How high the loss of the first model goes, in words."""
    times = times_as_much(zoo, START_DENSITY)
    return (
        f"{format_number(times[DEGREES.index(START_ANGLE)], 2)} times as high at {START_ANGLE}°, "
        f"and {format_number(times.max(), 2)} times at {DEGREES[int(times.argmax())]}°"
    )


def cost_of_turning(zoo: Zoo) -> str:
    """What the worst turn of the first plane costs at both ends of the densities, in words."""
    densities = best_models(zoo, zoo_key(zoo))[NEURONS]["density"]
    dense, sparse = float(densities.max()), float(densities.min())
    return (
        "In the first figure, the worst angle of neurons 1 and 2 multiplies the loss by "
        f"{format_number(times_as_much(zoo, dense).max(), 2)} at density {format_density(dense)}, "
        f"and by {format_number(times_as_much(zoo, sparse).max(), 2)} at {format_density(sparse)}, "
        "where a turn can make a large negative weight positive."
    )


zoo = open_zoo()
st.html(STYLE)

question(
    "Privileged basis",
    "Does a single hidden number mean something by itself? Only if the network treats each one "
    "separately; its axes are then a [[privileged basis]]. Two networks squeeze ten "
    "[[feature|features]] through five hidden numbers. In one, the bottleneck, those numbers are "
    "stored and read back. In the other each passes a [[ReLU]] first: they are [[neuron|neurons]]. "
    "In which of the two do the five axes mean anything?",
)
prediction(
    "Turn the hidden space by an angle after writing, and back before reading. Whose loss changes?",
    ("neither's", "the bottleneck's", "the ReLU layer's", "both"),
    "the ReLU layer's",
    "Turning and turning back cancel, unless something happens in between that depends on the "
    "axes. A ReLU does: it clips each coordinate at 0, and which numbers are coordinates is what a "
    "rotation changes.",
    key="prediction",
)
turning(zoo)
notice(
    (
        "Each dot is an input, where it lands in the plane of two hidden axes; its colour is the "
        "feature that is strongest in it. The dashed cross turns with the dots. The solid one is "
        "the axes themselves.",
        "Left, nothing else happens. What is read is turned back first, so that every output and "
        "the loss stay what they were. The line is flat.",
        "Right, the dots turn and the ReLU does not. Only the shaded quadrant, where both neurons "
        "are positive, passes untouched. Hollow dots are clipped to its edge, and what is clipped "
        "cannot be turned back.",
        f"Below, the loss. At the density shown first, that of the ReLU layer is "
        f"{first_turn(zoo)}; the scale is logarithmic, so that equal steps up are equal factors. "
        "It comes back only after a full turn: a quarter turn puts axes on axes again, but one of "
        "them the wrong way round.",
        "Any density, any two neurons: angle 0 is the bottom of a valley. That is training's "
        "doing. It chose these axes out of all that the layer could have been given.",
    )
)
claim_card("neurons-are-not")
link("pages/rotation.py", "And the bottleneck, for every model of the zoo: claim 6")

heading("Why one coordinate at a time makes a basis special")
prose(
    "A [[privileged basis]] is one that the computation itself singles out. An [[element-wise]] "
    "step does: every number that comes out depends on one number that goes in. Say in other axes "
    "what that step does and this is lost. The figure is a ReLU seen from axes at an angle: "
    "$R^{-1}\\,\\mathrm{ReLU}(R z)$."
)
step()
notice(
    (
        "At 0° the left map has upright stripes: the first number out depends on $z_1$ alone. "
        "Turn, and it depends on $z_2$ too. The step is still the same ReLU. Seen from these axes "
        "it no longer acts on the *elements* independently.",
        "Wherever the same neurons are on, the step is a matrix. At 0° all four are diagonal. At "
        "other angles those with one neuron on are not: each element leaks into the other.",
        "At 90° they are diagonal again, because axes lie on axes. But one lies on another's wrong "
        "end, so that its *negative* values are the ones passed on. At 180° that is so for the "
        "first number too, as the map shows.",
        "So these axes are not a choice of ours, as those of the bottleneck are. Asking what one "
        "neuron responds to is a sensible question, and asking it of one coordinate of a residual "
        "stream is not, unless something else has made that coordinate special.",
    ),
    title="",
)

heading("Do trained models use their neurons?")
prose(
    "A privileged basis *may* be used; nothing forces features onto the axes. So measure how "
    "close a feature's direction is to its nearest axis. [[alignment|Alignment]] is |cos| of the "
    "angle between them: 1 on the axis. [[kurtosis|Kurtosis]] says how unequal the five "
    "coordinates of the direction are: 1 if all are equally large, 5 if one has everything."
)
prose(
    "A number alone says little, because in five dimensions a random direction is close to some "
    f"axis too. So each model is compared with itself turned at random, with {ROTATIONS} rotations "
    "of which each is as likely as any other ([[Haar-random rotation|Haar-random]]). The band "
    "holds the middle 90% of them. A model is *beyond chance* if fewer than one in twenty reach "
    "its value. And each ReLU layer has a [[twin]], a bottleneck of the same size for the same "
    "data."
)
alignment(zoo)
with zoo_problems():
    notice(use_facts(zoo))
claim_card("privileged-basis-aligns")

heading("The same, as weights")
prose(
    "Rows are hidden axes, columns features. Which of the two can be told from its turned self by "
    "looking?"
)
matrices(zoo)
with zoo_problems():
    best = best_models(zoo, zoo_key(zoo))[NEURONS]
    model = zoo.model(best["model_id"].iloc[0])
prose(
    "Break it: train the layer at density 1 again from another random start. Which feature lands "
    "on which neuron is chance; that each lands on one is not."
)
retrain(
    settings_for_spec(model.spec),
    key="again",
    compare_with=model,
    show=weights,
    label="Train the ReLU layer again with another seed",
)
maths(
    r"""
Write through $R$, read through $R^{-1}$. For the bottleneck

$$
\begin{aligned} h &= R\,W x, \\ y' &= \mathrm{ReLU}(W^\top R^{-1} h + b) \\
&= \mathrm{ReLU}(W^\top W x + b), \end{aligned}
$$

whatever the invertible matrix $R$. For the layer of neurons

$$
\begin{aligned} h &= \mathrm{ReLU}(R\,W x), \\
y' &= \mathrm{ReLU}(W^\top R^{-1} h + b), \end{aligned}
$$

and $R^{-1}\,\mathrm{ReLU}(R z) = \mathrm{ReLU}(z)$ for all $z$ only if $R$ maps each axis to a
positive multiple of an axis: neurons may change places, and their scales. Where the neurons in
a set are on, the left side is the matrix $R^{-1} D R$, with $D$ diagonal, 1 for neurons in the
set and 0 for the others. In the plane, with $c = \cos\theta$, $s = \sin\theta$ and the first neuron
on alone,

$$
R^{-1} D R = \begin{pmatrix} c^2 & -cs \\ -cs & s^2 \end{pmatrix}.
$$

**Why angle 0 is a valley.** $R$ is orthogonal here, so that $R^{-1} = R^\top$ and the turned
layer is $\mathrm{ReLU}\big((RW)^\top \mathrm{ReLU}(RW x) + b\big)$: of the same kind, with $RW$ for
$W$. Training looked for the $W$ of lowest loss among all of these. At a minimum no small turn
can lower it. For the bottleneck all $RW$ have the same loss: each of its minima belongs to a whole
family, one for every orthogonal $R$. In two dimensions these are two circles, turned and mirrored;
in five the family has ten dimensions.

**The measures.** For a feature of direction $\hat W_i$ in $m$ dimensions

$$
\begin{aligned} \text{alignment:} \quad & \max_k |\hat W_{ki}|, \\
\text{kurtosis:} \quad & m \sum_k \hat W_{ki}^4, \end{aligned}
$$

averaged over features with $\lVert W_i \rVert > 0.5$. On one axis they are $1$ and $m$, evenly
spread over all axes $1/\sqrt m$ and $1$; a random direction has a kurtosis of $3m/(m+2)$ in the
mean. A model counts as beyond chance when at most 9 of its 199 rotations reach its value. If its
axes mean nothing, the model is one draw among 200 that are alike, and that happens with
probability $10/200$.
"""
)
caveats(
    (
        "The loss of the bottleneck is the same in all axes, and the random start has no preferred "
        "ones. The *optimiser* has: Adam scales its step for each coordinate by itself, and turned "
        "axes would give another path. So the bottleneck might have come out aligned after all. "
        "Measured, it does not here. In large transformers the residual stream does show preferred "
        "axes, and its authors point at Adam; see the reading below.",
        f"The {ROTATIONS} rotations are the same for all models, and the 16 random starts are the "
        "same at every density: the dots of one seed are not independent of each other, as t takes "
        "them to be.",
        "Training of a ReLU layer starts with each feature's largest weight made positive, lest a "
        "feature be cut off for good. That changes signs, not alignment: both measures look at "
        "sizes.",
        "Alignment and kurtosis look at one feature at a time. A layer can use its neurons in "
        "patterns that neither sees. Loss against angle sees all of them, but not how.",
        "Turning one plane is one way through the rotations of five dimensions. The claim looks at "
        "all ten planes.",
        f"A plane leaves out dots more than {FAR_OUT:g} times as far out as the middle one. Sparse "
        "layers have some very long weights.",
    )
)
reading(
    (
        cited("toy-models", "“Superposition in a Privileged Basis” trains this ReLU layer."),
        cited(
            "privileged-bases",
            "finds axes in residual streams that should have none, and provisionally blames Adam's "
            "step for each coordinate.",
        ),
        cited(
            "framework",
            "where the residual stream is described as a channel without a basis of its own.",
        ),
    )
)
heading("Where to go next")
links(
    (
        ("pages/rotation.py", "Rotate a residual stream, and break it"),
        ("pages/polysemanticity.py", "Which features share a neuron"),
        ("pages/bottleneck.py", "What the bottleneck stores"),
    )
)
