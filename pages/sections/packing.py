"""Distances under a projection, directions that fit, what models learn, and reading them back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import numpy as np
import streamlit as st

from figures.packing import (
    ACTIVE,
    DENSITY,
    DIMENSION,
    KEPT,
    MOVED,
    RANKIN,
    WELCH,
    coherence_chart,
    count_lines,
    describe_coherence_chart,
    describe_count_lines,
    describe_distance_scatter,
    describe_outside_lines,
    describe_reader_lines,
    describe_reading_histogram,
    distance_scatter,
    outside_lines,
    reader_lines,
    reading_histogram,
)
from figures.theme import format_density, format_number
from pages.parts import packing_data as data
from pages.parts.layout import notice, prose, spoken
from pages.parts.models_behind import models_behind
from pages.parts.turns import fragment
from pages.parts.url_state import chart_moved, chart_start, choice, plain_text
from pages.parts.vega import vega
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from superposition.packing import POINT_SETS, promised_dimension, union_dimension, welch_count

SETS = {"spread": "spread out", "clusters": "in five clusters", "axes": "one on each axis"}
START_DIMENSION, START_DENSITY, START_ACTIVE = 100.0, 0.01, 8.0


def nearest(values: Sequence[float], wanted: float) -> int:
    """Index of the value that is the fewest times off."""
    return min(range(len(values)), key=lambda i: abs(math.log(values[i]) - math.log(wanted)))


def slider_start(
    chart: str,
    parameter: str,
    what: str,
    values: Sequence[float],
    default: float,
    *,
    of: str = "",
) -> tuple[int, str]:
    """The stop of a chart's slider that the address asks for, and the chart's key.

    Or the default, with a notice. The nearest stop counts: the stops move with the other settings,
    and a link should survive.

    Args:
        chart, of: see `chart_start`.
        parameter: of the address.
        what: the slider sets, in words.
        values: of its stops.
    """
    asked = st.query_params.get(parameter, "")

    def read() -> float:
        try:
            wanted = float(asked) if asked else default
        except ValueError:
            wanted = math.nan
        # The ends are approximate: a link may come from settings with a longer slider.
        if 0 < wanted < math.inf:
            return wanted
        st.info(
            f"The address asks for {what} {plain_text(asked)}, which is not a positive number. "
            f"Showing {default:g} instead.",
            icon=":material/link:",
        )
        return default

    wanted, key = chart_start(chart, asked, read, of=of)
    return nearest(values, wanted), key


@fragment
def distances() -> None:
    """Points before and after a projection. The slider for m is the chart's own."""
    with st.container(horizontal=True, gap="medium"):
        count = choice("Points N", (5, 10, 20, 30, 50), 30, key="points", widget="segmented")
        epsilon = choice("Band δ", (0.2, 0.3, 0.5), 0.3, key="eps", widget="segmented")
        kind = choice(
            "The points lie",
            POINT_SETS,
            "spread",
            key="set",
            widget="segmented",
            format_func=SETS.__getitem__,
        )
        seed = choice("Draw", (1, 2, 3, 4, 5), 1, key="draw", widget="segmented")
    shown = data.projection(kind, count, epsilon, seed)
    start, key = slider_start(
        "pairs",
        "m",
        "dimension m =",
        shown.dimensions,
        START_DIMENSION,
        of=f"{kind}-{count}-{epsilon}-{seed}",
    )
    chosen = st.vega_lite_chart(
        vega(distance_scatter, shown.distances, shown.ratios, shown.dimensions, epsilon, start),
        key=key,
        on_select="rerun",
        selection_mode=DIMENSION,
        alt=describe_distance_scatter(shown.ratios, shown.dimensions, epsilon),
    )
    if moved := chosen.selection.get(DIMENSION):
        st.query_params["m"] = str(shown.dimensions[int(moved[0]["step"])])
        chart_moved("pairs", st.query_params["m"])
    st.vega_lite_chart(
        vega(outside_lines, shown.outside, shown.expected, shown.enough, shown.named),
        key="outside",
        alt=describe_outside_lines(shown.outside, shown.enough, shown.named),
    )
    enough = (
        f"**{shown.enough:,}** is where the last pair of *this draw* came in, which is luck, and "
        "another number in another draw."
        if shown.enough is not None
        else "in *this draw* a pair is still outside even there, since not every projection is "
        "promised to work."
    )
    prose(
        f"Three numbers for {count} points and δ = {epsilon:g}. From **{shown.named:,}** "
        "dimensions on, which the lemma asks for, *some* projection is sure to keep all distances, "
        "whatever the points are; a sharper proof (“The maths”) is sure of the same from "
        f"**{union_dimension(count, epsilon):,}** on; and {enough}"
    )


@fragment
def directions() -> None:
    """How many directions fit, for one ε."""
    epsilon = choice("|cos| up to ε", (0.3, 0.4, 0.5), 0.5, key="cos", widget="segmented")
    found = data.counts(epsilon)
    m = np.linspace(float(found.grown[0]), float(found.grown[-1]), 60)
    power, exponential = found.fits["power"], found.fits["exponential"]
    names = {
        "exponential": f"exponential: {math.exp(exponential.slope):.3f} to the m",
        "power": f"power: m to the {power.slope:.2f}",
    }
    curves = {names[kind]: np.stack([m, fit.count(m)], axis=1) for kind, fit in found.fits.items()}
    st.vega_lite_chart(
        vega(count_lines, found.by_way, curves, found.welch),
        key=f"counts-{epsilon}",
        alt=describe_count_lines(found.by_way, epsilon),
    )
    last, kept = found.by_way[MOVED].iloc[-1], found.by_way[KEPT]
    few = round(0.5 / epsilon**2)
    thousand = exponential.dimension(1000)
    notice(
        (
            f"The scale is logarithmic: an exponential is a straight line. Both curves are fitted "
            f"to the blue dots from 1/ε² = {1 / epsilon**2:.0f} dimensions on. The exponential is "
            f"typically off by {exponential.rms:.0%}, the power of m by {power.rms:.0%}.",
            f"Below 1/ε² dimensions a limit that nothing can beat, the [[Welch bound]], holds the "
            f"number down: it allows at most {welch_count(epsilon, few):.0f} in {few} dimensions. "
            "That is less than twice as many as dimensions. The bound rises steeply towards 1/ε², "
            "and from there on it forbids nothing.",
            f"Moving all directions aside to make room finds {last['count']:.0f} in "
            f"{last['m']:.0f} dimensions, where chance keeps "
            f"{kept.loc[kept['m'] == last['m'], 'count'].iloc[0]:.0f}."
            + (
                " The best arrangements that mathematics knows are better still: what an optimiser "
                "finds is a lower bound."
                if epsilon == 0.5
                else ""
            ),
            f"1,000 directions are kept in about {thousand:.0f} dimensions, if the exponential "
            f"goes on so far. The lemma promises 1,000 from {promised_dimension(1000, epsilon):,} "
            "on. It is right, and far from what is possible.",
        )
    )


@fragment
def models() -> None:
    """Coherence of what the zoo's models learn. The slider for density is the chart's own."""
    with zoo_problems():
        zoo = open_zoo()
        table = data.learned(zoo, zoo_key(zoo))
    with st.container(horizontal=True, gap="medium"):
        m = choice(
            "Dimensions of the models",
            sorted(table["n_hidden"].unique().tolist()),
            4,
            key="dims",
            widget="segmented",
        )
        measure = choice(
            "Closest pair by",
            ("|cos|", "cos"),
            "|cos|",
            key="closest",
            widget="segmented",
            help="|cos| counts opposite directions as close, as coherence does. cos does not, and "
            "neither does a ReLU: negative interference becomes 0.",
        )
    signed = measure == "cos"
    dots, densities = data.learned_dots(table, m, signed)
    lines = data.compared_with(m, signed)
    start, key = slider_start(
        "learned", "p", "density", densities, START_DENSITY, of=f"{m}-{signed}"
    )
    chosen = st.vega_lite_chart(
        vega(
            coherence_chart,
            dots,
            lines,
            densities,
            start,
            RANKIN if signed else WELCH,
            f"largest {measure} of two directions",
        ),
        key=key,
        on_select="rerun",
        selection_mode=DENSITY,
        alt=describe_coherence_chart(dots, lines, densities, m),
    )
    if moved := chosen.selection.get(DENSITY):
        st.query_params["p"] = format_density(densities[int(moved[0]["step"])])
        chart_moved("learned", st.query_params["p"])
    ids = dots.sort_values("step", kind="stable", ascending=False)["model_id"].tolist()
    models_behind(ids, key="packing-models")


def histogram(m: int, start: int) -> alt.LayerChart:
    """The readings in m dimensions. Two numbers name what are millions."""
    shown = data.readings(m)
    return reading_histogram(shown.sampled, shown.noise, data.FEATURES, start)


@fragment
def readout() -> None:
    """Reading features back. The slider for how many are on is the chart's own."""
    m = choice("Dimensions", (50, 100, 200), 100, key="room", widget="segmented")
    shown = data.readings(m)
    start, key = slider_start("readings", "on", "a number of features", data.ACTIVE, START_ACTIVE)
    chosen = st.vega_lite_chart(
        vega(histogram, m, start),
        key=key,
        on_select="rerun",
        selection_mode=ACTIVE,
        alt="Histograms of readings of features that are on and that are off, with a slider.",
    )
    spoken(describe_reading_histogram(shown.noise, data.FEATURES, m))
    if moved := chosen.selection.get(ACTIVE):
        st.query_params["on"] = str(data.ACTIVE[int(moved[0]["step"])])
        chart_moved("readings", st.query_params["on"])
    prose(
        "How much of the error is left if a reader may scale what it reads and add a [[bias]]? "
        "100% is no reading at all, the same output for every input. Lines are computed, dots "
        "sampled."
    )
    st.vega_lite_chart(
        vega(reader_lines, shown.readers),
        key="readers",
        alt="Error left by the best linear and the best ReLU reader against features that are on.",
    )
    spoken(describe_reader_lines(shown.readers))
    errors = shown.readers.pivot(index="active", columns="reader", values="error")
    few, many = data.ACTIVE[2], data.ACTIVE[-1]
    drowned = next(k for k, noise in shown.noise.items() if noise >= 1)
    notice(
        (
            f"With {few} of {data.FEATURES:,} features on, noise is "
            f"√({few - 1}/{m}) = {format_number(shown.noise[few], 2)}, and 0 and 1 can mostly be "
            f"told apart. With {drowned} on it is {format_number(shown.noise[drowned], 3)}, more "
            "than the signal: the reading drowns. That any two directions barely overlap does not "
            "help against many small overlaps at once. This is what sparsity is needed for.",
            f"The best scaled *linear* reading leaves {errors['linear'][few]:.0%} of the error "
            f"with {few} features on, and {errors['linear'][data.ACTIVE[0]]:.0%} with one. "
            "Sparsity is worth nothing to it: it adds up the noise of all outputs that should be "
            "0. Other directions would not help. Of n independent features that vary alike, *any* "
            f"linear map from m numbers leaves at least 1 − m/n = {1 - m / data.FEATURES:.0%} of "
            "the variance unread.",
            f"A [[ReLU]] with a negative bias cuts that noise off. It leaves "
            f"{errors['ReLU'][few]:.0%} with {few} on. With {many} on it is no better than the "
            "linear one. The nonlinearity is needed, *and* sparsity.",
        )
    )
