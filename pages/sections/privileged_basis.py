"""Turning the hidden space, and the twin models beside random rotations of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from figures.basis import (
    DOTS,
    WEIGHTS,
    alignment_dots,
    alignment_table,
    describe_alignment,
    describe_weight_maps,
    weight_maps,
)
from figures.one_model import describe_matrix, matrix_map
from figures.theme import density_in_words, format_density, format_number
from figures.turning import (
    ANGLE,
    BASIS,
    BOTTLENECK,
    DEGREES,
    NEURONS,
    Points,
    describe_step,
    describe_turning,
    step_chart,
    turning_chart,
)
from pages.parts.layout import spoken
from pages.parts.models_behind import models_behind
from pages.parts.turns import fragment
from pages.parts.url_state import (
    chart_moved,
    chart_start,
    choice,
    density_in_address,
    follow,
    nearest,
    plain_text,
    switch_in_address,
)
from pages.parts.vega import vega, vega_once
from pages.parts.zoo_access import zoo_key, zoo_problems
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
START_DENSITY, START_ANGLE, START_MEASURE = 0.1, 30, "alignment"
POINTS, NODES, ROTATIONS = 80, 4096, 199
# A model is beyond chance when no more than this share of its rotations reach its value.
CHANCE = 0.05
MEASURES = {
    "alignment": "Alignment: mean |cos| with the nearest axis",
    "kurtosis": "Kurtosis: how unequal the coordinates are, in the mean",
}


@st.cache_resource(show_spinner=False, max_entries=4)
def best_models(_zoo: Zoo, key: str) -> dict[str, pd.DataFrame]:
    """Name of a model -> the best seed at each density, dense data first."""
    return {
        name: _zoo.grid(GRID)
        .select(family=family, best_of_seeds=True)
        .sort_values("density", ascending=False, ignore_index=True)
        for name, family in FAMILIES.items()
    }


@dataclass(frozen=True)
class Turned:
    """Both models of each density while one plane turns, dense data first.

    Attributes:
        losses: name of a model -> loss / p at each of `DEGREES`, (F, A).
        points: name -> for each density its activations in the plane, and their strongest feature.
        n_features: of all.
    """

    losses: dict[str, NDArray[np.float64]]
    points: dict[str, list[Points]]
    n_features: int


@st.cache_resource(show_spinner="Turning the models of all densities…", max_entries=20)
def turned(_zoo: Zoo, key: str, plane: tuple[int, int]) -> Turned:
    """The best models of all densities, turned in the plane of two hidden axes."""
    losses: dict[str, list[NDArray[np.float64]]] = {name: [] for name in FAMILIES}
    points: dict[str, list[Points]] = {name: [] for name in FAMILIES}
    n = 0
    best = best_models(_zoo, key)
    for ids in zip(*(best[name]["model_id"] for name in FAMILIES), strict=True):
        nodes = None
        for name, model_id in zip(FAMILIES, ids, strict=True):
            model = _zoo.model(model_id)
            spec, n = model.spec, model.spec.n_features
            # Twins have the same data.
            nodes = nodes or expectation_nodes(
                spec.distribution, budget=NODES, rng=np.random.default_rng(0)
            )
            losses[name].append(
                loss_against_angle(
                    spec.model_family, model.parameters, nodes, spec.importances, DEGREES, plane
                )
                / spec.density
            )
            W, rng = model.parameters["W"], np.random.default_rng(1)
            points[name].append(activations_in_plane(W, spec.distribution, plane, POINTS, rng))
    return Turned({name: np.stack(own) for name, own in losses.items()}, points, n)


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


def densities_of(best: dict[str, pd.DataFrame]) -> tuple[list[float], list[str]]:
    """The densities, dense data first, and each in words."""
    densities = [float(p) for p in best[NEURONS]["density"]]
    return densities, [density_in_words(p) for p in densities]


@fragment
def turning(zoo: Zoo) -> None:
    """The main figure. The sliders are the chart's own; the address follows them."""
    with zoo_problems():
        best = best_models(zoo, zoo_key(zoo))
        densities, labels = densities_of(best)
        default = nearest(densities, START_DENSITY)
        m = int(best[NEURONS]["n_hidden"].iloc[0])
        with st.container(width=240):
            plane = choice(
                "Plane of the neurons",
                list(combinations(range(m), 2)),
                (0, 1),
                key="plane",
                widget="select",
                format_func=lambda pair: f"{pair[0] + 1} and {pair[1] + 1}",
            )
        shown = turned(zoo, zoo_key(zoo), plane)
    asked = st.query_params.get("angle", "")
    start, key = chart_start(
        "turn",
        "&".join((st.query_params.get("p", ""), asked)),
        lambda: (density_in_address("p", densities, default), angle_in_address(asked)),
    )
    # The same chart whatever the plane: its marks move, and its sliders stay where they were put.
    chosen = st.vega_lite_chart(
        vega(turning_chart, shown.losses, shown.points, labels, plane, shown.n_features, start),
        key=key,
        on_select="rerun",
        selection_mode=ANGLE,
        width=760,
        alt="Activations of two models in a plane that a slider turns, above loss against angle.",
    )
    at = start[0]
    if moved := chosen.selection.get(ANGLE):
        at = int(moved[0]["step"])
        st.query_params["angle"] = f"{moved[0]['degrees']:g}"
        follow("p", format_density(densities[at]), format_density(default))
        chart_moved("turn", "&".join((st.query_params.get("p", ""), st.query_params["angle"])))
    losses = {name: own[at] for name, own in shown.losses.items()}
    spoken(f"{labels[at]}. {describe_turning(losses, plane)}")
    ids = [best[name]["model_id"].iloc[at] for name in FAMILIES]
    models_behind(ids, key="turn-models", chosen=ids[1])


@fragment
def step() -> None:
    """The step in turned axes. The slider is the chart's own; the address follows it."""
    asked = st.query_params.get("axes", "")
    start, key = chart_start("step", asked, lambda: angle_in_address(asked))
    chosen = st.vega_lite_chart(
        vega(step_chart, start),
        key=key,
        on_select="rerun",
        selection_mode=BASIS,
        width=640,
        alt=describe_step(),
    )
    if moved := chosen.selection.get(BASIS):
        st.query_params["axes"] = f"{moved[0]['degrees']:g}"
        chart_moved("step", st.query_params["axes"])


def measure_in_address(asked: str) -> str:
    """The measure that the address asks for, or alignment, with a notice if need be."""
    if asked and asked not in MEASURES:
        st.info(
            f"The address asks for the measure {plain_text(asked)}. There are "
            f"{' and '.join(MEASURES)}; showing {START_MEASURE}.",
            icon=":material/link:",
        )
    return asked if asked in MEASURES else START_MEASURE


@fragment
def alignment(zoo: Zoo) -> None:
    """Every model of the twins against rotations of itself. The choice is the chart's own."""
    with zoo_problems():
        tables = against_chance(zoo, zoo_key(zoo)).tables
    asked = st.query_params.get("measure", "")
    start, key = chart_start("against", asked, lambda: measure_in_address(asked))
    chosen = st.vega_lite_chart(
        vega(alignment_dots, tables, MEASURES, start),
        key=key,
        on_select="rerun",
        selection_mode=DOTS,
        width=900,
        alt="Dots for all models against density, with a band where random rotations of them lie.",
    )
    measure = start
    if moved := chosen.selection.get(DOTS):
        measure = moved[0]["measure"]
        follow("measure", measure, START_MEASURE)
        chart_moved("against", st.query_params.get("measure", ""))
    spoken(describe_alignment(tables[measure], MEASURES[measure]))


@st.cache_resource(show_spinner=False, max_entries=4)
def matrices_of(_zoo: Zoo, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights of the best models of all densities, (F, m, n), and the same turned at random."""
    best = best_models(_zoo, key)
    sweeps = {name: _zoo.grid(GRID).parameters(best[name])["W"] for name in FAMILIES}
    R = haar_rotations(1, sweeps[NEURONS].shape[1], np.random.default_rng(3))[0]
    return sweeps, {name: R @ W for name, W in sweeps.items()}


@fragment
def matrices(zoo: Zoo) -> None:
    """The weights of both models, as they are or turned at random. The inputs are the chart's."""
    with zoo_problems():
        best = best_models(zoo, zoo_key(zoo))
        densities, labels = densities_of(best)
        default = nearest(densities, 1.0)
        sweeps, mixed = matrices_of(zoo, zoo_key(zoo))
    asked = st.query_params.get("w", ""), st.query_params.get("mix", "")
    (start, turn), key = chart_start(
        "weights",
        "&".join(asked),
        lambda: (
            density_in_address("w", densities, default),
            switch_in_address("mix"),
        ),
    )
    rows = {name: "neuron" if name == NEURONS else "hidden axis" for name in FAMILIES}
    chosen = st.vega_lite_chart(
        vega(weight_maps, sweeps, mixed, labels, rows, start, turn),
        key=key,
        on_select="rerun",
        selection_mode=WEIGHTS,
        width=640,
        alt="Heat maps of W of a bottleneck and of a ReLU layer, hidden axes by features.",
    )
    at = start
    if moved := chosen.selection.get(WEIGHTS):
        at, turn = int(moved[0]["step"]), bool(moved[0]["turned"])
        follow("w", format_density(densities[at]), format_density(default))
        follow("mix", "true" if turn else "")
        address = st.query_params
        chart_moved("weights", "&".join((address.get("w", ""), address.get("mix", ""))))
    shown = {name: W[at] for name, W in (mixed if turn else sweeps).items()}
    spoken(describe_weight_maps(shown, f"{labels[at]}{', turned' if turn else ''}"))
    ids = [best[name]["model_id"].iloc[at] for name in FAMILIES]
    models_behind(ids, key="weights-models", chosen=ids[1])


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
    densities, _ = densities_of(best_models(zoo, zoo_key(zoo)))
    at = densities.index(nearest(densities, density))
    losses = turned(zoo, zoo_key(zoo), (0, 1)).losses[NEURONS][at]
    return np.asarray(losses / losses[0])


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
