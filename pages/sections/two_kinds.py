"""Neurons of the absolute value over density: bars, functions, what each neuron is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from figures.computation import (
    CURVES,
    describe_handled_lines,
    describe_response_curves,
    describe_role_bars,
    handled_lines,
    response_curves,
    role_bars,
)
from figures.neuron_bars import (
    MEASURES,
    SLIDER,
    Measure,
    Panel,
    describe_neuron_bars,
    describe_neuron_sweep,
    neuron_bars,
    neuron_sweep,
)
from figures.theme import density_in_words, format_density
from pages.parts.claim_card import claim_card
from pages.parts.lab_settings import settings_for_spec
from pages.parts.layout import heading, notice, prose, spoken
from pages.parts.models_behind import models_behind
from pages.parts.retrain import retrain
from pages.parts.turns import fragment
from pages.parts.url_state import (
    chart_moved,
    chart_start,
    choice,
    density_in_address,
    follow,
    plain_text,
    switch_in_address,
)
from pages.parts.vega import vega, vega_once
from pages.parts.zoo_access import zoo_key, zoo_problems
from superposition.families import ABSOLUTE_VALUE
from superposition.neurons import (
    AmongOthers,
    for_showing,
    handled,
    neuron_effects,
    neuron_roles,
    outputs_alone,
    outputs_among_others,
    role_counts,
    shares_of_weight,
    without_neuron,
)
from zoo import Zoo
from zoo.computing import explained_by, explained_share

SIZES = {"6x10": (6, 10), "3x6": (3, 6), "100x40": (100, 40)}
NAMES = {"6x10": "6 × 10", "3x6": "3 × 6", "100x40": "100 × 40"}
# Of a hundred features, those on both sides of m/2 = 20, and one far beyond.
FEATURES = {"100x40": (0, 9, 17, 18, 19, 20, 21, 22, 25, 29, 34, 59)}
START_DENSITY = 0.01
START_MEASURE: Measure = "shares"
VALUES = np.linspace(-1, 1, 41)
NONE = "none"


@st.cache_data(show_spinner=False, max_entries=12)
def sweep(_zoo: Zoo, key: str, size: str) -> tuple[pd.DataFrame, list[dict[str, NDArray[Any]]]]:
    """The best seed of each density, dense data first: its row, and its weights for showing."""
    n, m = SIZES[size]
    grid = _zoo.grid("absolute-value")
    rows = grid.select(n_features=n, n_hidden=m, best_of_seeds=True)
    rows = rows.sort_values("density", ascending=False, ignore_index=True)
    stacked = grid.parameters(rows)
    return rows, [
        for_showing(ABSOLUTE_VALUE, {name: values[k] for name, values in stacked.items()})
        for k in range(len(rows))
    ]


@st.cache_data(show_spinner="Computing what each output explains…", max_entries=12)
def explained_shares(_zoo: Zoo, key: str, size: str) -> NDArray[np.float64]:
    """The share of its target's variance that each output explains, a row per density."""
    return explained_by(_zoo, list(sweep(_zoo, key, size)[0]["model_id"]))


@st.cache_data(show_spinner=False, max_entries=12)
def roles(_zoo: Zoo, key: str, size: str) -> pd.DataFrame:
    """How many neurons have which role at each density: density, role, neurons."""
    rows, models = sweep(_zoo, key, size)
    counts = [role_counts(neuron_roles(neuron_effects(ABSOLUTE_VALUE, model))) for model in models]
    return pd.DataFrame(
        [
            {"density": density, "role": role, "neurons": count}
            for density, here in zip(rows["density"], counts, strict=True)
            for role, count in here.items()
        ]
    )


def measure_in_address(asked: str) -> Measure:
    """What a bar measures, by the address, or shares, with a gentle notice if need be."""
    if asked and asked not in MEASURES:
        st.info(
            f"The address asks for bars that are {plain_text(asked)}. There are "
            f"{' and '.join(MEASURES)}; showing {START_MEASURE}.",
            icon=":material/link:",
        )
    return next((known for known in MEASURES if known == asked), START_MEASURE)


@st.cache_data(show_spinner=False, max_entries=100)
def shown_model(
    _zoo: Zoo, key: str, size: str, step: int, without: int | None
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """Weights of the model at a density, a neuron taken away or not, and what its outputs explain.

    without: index of the neuron.
    """
    rows, models = sweep(_zoo, key, size)
    if without is None:
        return models[step], explained_shares(_zoo, key, size)[step]
    model = without_neuron(models[step], without)
    return model, explained_share(_zoo.model(rows["model_id"].iloc[step]).spec, model)


@st.cache_data(show_spinner=False, max_entries=100)
def among_others(_zoo: Zoo, key: str, size: str, step: int, without: int | None) -> AmongOthers:
    """Outputs of that model while the other features follow the data, of the features drawn."""
    rows, _ = sweep(_zoo, key, size)
    model, _ = shown_model(_zoo, key, size, step, without)
    return outputs_among_others(
        ABSOLUTE_VALUE,
        model,
        _zoo.model(rows["model_id"].iloc[step]).spec.distribution,
        VALUES,
        features=FEATURES.get(size, tuple(range(SIZES[size][0]))),
        draws=300,
        rng=np.random.default_rng(0),
    )


@fragment
def neurons(zoo: Zoo, size: str) -> None:
    """The neurons of each density as bars, and the functions that come out of them."""
    with zoo_problems():
        key = zoo_key(zoo)
        rows, models = sweep(zoo, key, size)
        densities = [float(p) for p in rows["density"]]
        asked = st.query_params.get("p", ""), st.query_params.get("bars", "")
        (start, measure), key = chart_start(
            "neurons",
            "&".join(asked),
            lambda: (
                density_in_address("p", densities, START_DENSITY),
                measure_in_address(asked[1]),
            ),
            of=size,
        )
        weights = {
            "input weights": np.stack([model["W_in"] for model in models]),
            "output weights": np.stack([model["W_live"] for model in models]),
        }
        labels = [density_in_words(p) for p in densities]
        chosen = st.vega_lite_chart(
            vega(neuron_sweep, weights, labels, start, in_order=True, measure=measure, height=340),
            key=key,
            on_select="rerun",
            selection_mode=SLIDER,
            width=900,
            alt=describe_neuron_sweep(weights, labels, in_order=True),
        )
        step = start
        if moved := chosen.selection.get(SLIDER):
            step, measure = int(moved[0]["step"]), moved[0]["measure"]
            st.query_params["p"] = format_density(densities[step])
            follow("bars", measure, START_MEASURE)
            bars = st.query_params.get("bars", "")
            chart_moved("neurons", "&".join((st.query_params["p"], bars)))
        prose(
            f"What the features really get at density {format_density(densities[step])}. Thick: "
            "output $i$ while feature $i$ goes from −1 to 1 *alone*. Dashed: the wanted $|x_i|$, "
            "white where the two agree. Thin: [[cross-talk]], other outputs that come on (cut at "
            "1.25); to see some, take a neuron away. Above each: the "
            "feature, the share of the variance its output explains on the data, and ✓ if that "
            "makes it [[handled]]."
        )
        curves(zoo, size, step)
        models_behind(
            list(rows["model_id"]),
            key=f"neurons-models-{size}",
            chosen=rows["model_id"].iloc[step],
        )


@fragment
def curves(zoo: Zoo, size: str, step: int) -> None:
    """The functions of one model, with a neuron taken away if the reader wants.

    A part of its own, since nothing here changes the bars.
    """
    n, m = SIZES[size]
    with st.container(width=240):
        taken = choice(
            "Take away neuron",
            (NONE, *(str(k) for k in range(1, m + 1))),
            NONE,
            key="without",
            widget="select",
        )
    without = None if taken == NONE else int(taken) - 1
    model, shares = shown_model(zoo, zoo_key(zoo), size, step, without)
    features = FEATURES.get(size, tuple(range(n)))
    asked = st.query_params.get("others", "")
    varied, key = chart_start("curves", asked, lambda: switch_in_address("others"), of=size)
    chosen = st.vega_lite_chart(
        vega(
            response_curves,
            outputs_alone(ABSOLUTE_VALUE, model, VALUES),
            VALUES,
            shares,
            features,
            among_others(zoo, zoo_key(zoo), size, step, without),
            varied,
        ),
        key=key,
        on_select="rerun",
        selection_mode=CURVES,
        width=900,
        alt=f"Small charts of output against input, one for each of {len(features)} features.",
    )
    if moved := chosen.selection.get(CURVES):
        varied = bool(moved[0]["others"])
        follow("others", "true" if varied else "")
        chart_moved("curves", st.query_params.get("others", ""))
    band = " A band shows the middle 80% of each output while the other features vary."
    spoken(describe_response_curves(shares, features) + (band if varied else ""))


@fragment
def again(zoo: Zoo, size: str) -> None:
    """The shown density of the default size trained from another seed."""
    with zoo_problems():
        rows, _ = sweep(zoo, zoo_key(zoo), size)
        density = choice(
            "Density",
            [float(p) for p in rows["density"]],
            START_DENSITY,
            key="train",
            format_func=format_density,
        )
        row = rows[rows["density"] == density].iloc[0]
        model = zoo.model(row["model_id"])
        retrain(
            settings_for_spec(model.spec),
            key=f"again-{size}",
            compare_with=model,
            show=lambda parameters: show_bars(parameters, f"again-bars-{size}"),
        )


def show_bars(parameters: Any, key: str) -> None:
    """The neurons of one model, as the reader watches it train."""
    model = for_showing(ABSOLUTE_VALUE, parameters)
    panels = [
        Panel("input weights", shares_of_weight(model["W_in"])),
        Panel("output weights", shares_of_weight(model["W_live"])),
    ]
    st.vega_lite_chart(
        vega_once(neuron_bars, panels, unit="share of weight"),
        key=key,
        alt=describe_neuron_bars(panels),
    )


def past(zoo: Zoo, size: str) -> None:
    """How many features are handled at each density, and what the neurons are for."""
    key = zoo_key(zoo)
    rows, _ = sweep(zoo, key, size)
    counts = handled(explained_shares(zoo, key, size)).sum(-1)
    table = pd.DataFrame({"density": rows["density"], "handled": counts})
    pairs = SIZES[size][1] // 2
    prose(
        f"Features handled at each density, best network of each. At m/2 = {pairs} there is a pair "
        "of neurons for each."
    )
    st.vega_lite_chart(
        vega(handled_lines, table, pairs),
        key="handled",
        width=760,
        alt=describe_handled_lines(table, pairs),
    )
    prose(
        "What the neurons are for, found by taking each away. It *serves* a feature if the "
        "feature's own output falls by at least 0.2 of 1, and *inhibits* an output if that rises "
        "by as much while another feature is on alone."
    )
    table = roles(zoo, key, size)
    st.vega_lite_chart(
        vega(role_bars, table), key="roles", width=760, alt=describe_role_bars(table)
    )


@fragment
def sizes(zoo: Zoo) -> None:
    """The networks of one size: their neurons, what they handle, and another seed of them."""
    size = choice(
        "Features × neurons",
        list(SIZES),
        "6x10",
        key="size",
        widget="segmented",
        format_func=NAMES.__getitem__,
    )
    neurons(zoo, size)
    notice(
        (
            "Dense data, slider to the left: each bar has one colour, and each colour has two "
            "neurons, one reading the feature as it is and one reading its negative. Half a V "
            "each, and the curves are exact. Features beyond m/2 get the best constant and no "
            "neuron.",
            "Sparser data: bars of several colours. A neuron that reads feature 3 also writes to "
            "the output of feature 6, or reads both.",
            "Output weights *below* zero: **inhibition**. When feature 3 alone switches on a "
            "neuron that also writes to output 6, other neurons take the same amount off again. "
            "With 6 × 10 at density 0.01, take away neuron 8: output 6 comes on with features "
            "3 and 4.",
            "With 3 features and 6 neurons there is a pair for each, and sparsity changes nothing.",
        )
    )
    claim_card("neurons-compute-in-superposition")

    heading("Past a pair for each")
    with zoo_problems():
        past(zoo, size)
    if size != "100x40":
        heading("Does another seed do the same?")
        prose(
            "Training ends in many arrangements. Half a V for some feature is a common "
            "[[local minimum]]."
        )
        again(zoo, size)
