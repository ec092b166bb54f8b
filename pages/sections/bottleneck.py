"""The bottleneck's heat maps and pairs over density, and how often training finds what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from figures.curves import (
    LINEAR,
    LOSSES,
    PAIR,
    RELU,
    antipodal_example,
    describe_loss_curves,
    describe_solution_bars,
    loss_curves,
    loss_table,
    solution_bars,
)
from figures.heatmaps import SLIDER, describe_heatmaps, heatmaps
from figures.theme import format_density
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
    follow,
    nearest,
    plain_text,
    switch_in_address,
)
from pages.parts.vega import vega
from pages.parts.zoo_access import zoo_key, zoo_problems
from zoo import GridView, Zoo

# Size -> grid, decay of the importance, the density shown first, the height of the maps.
SIZES = {
    "5x2": ("bottleneck-5x2", 0.9, 0.2, 330),
    "20x5": ("bottleneck-20x5", 0.7, 0.03, 390),
    "80x20": ("bottleneck-80x20", 0.9, 0.03, 510),
}
NAMES = {"5x2": "5 × 2", "20x5": "20 × 5", "80x20": "80 × 20"}
FAMILIES = {RELU: "relu-output", LINEAR: "linear"}
# Where a quarter of the seeds miss the pentagon.
START_AGAIN = 0.1


def best_rows(grid: GridView, importance_decay: float) -> dict[str, pd.DataFrame]:
    """Name of a family -> the best seed at each density, dense data first."""
    found = {}
    for name, family in FAMILIES.items():
        rows = grid.select(family=family, importance_decay=importance_decay, best_of_seeds=True)
        if len(rows):
            found[name] = rows.sort_values("density", ascending=False)
    return found


def density_in_address(densities: list[float], asked: str, otherwise: float) -> float:
    """The density that the address asks for, or the default, with a gentle notice if need be.

    One that lies between those there are may come from another size: the nearest is shown.
    """
    default = nearest(densities, otherwise)
    if not asked:
        return default
    wanted = number(asked)
    if wanted is not None and 0 < wanted <= 1:
        return nearest(densities, wanted)
    st.info(
        f"The address asks for density {plain_text(asked)}, which is not between 0 and 1. "
        f"Showing {format_density(default)} instead.",
        icon=":material/link:",
    )
    return default


def pair_in_address(asked: str) -> tuple[float, float]:
    """The two inputs that the address asks for, as "0.7,0", or the default with a notice."""
    default = (0.7, 0.0)
    if not asked:
        return default
    values = [number(part) for part in asked.split(",")]
    inputs = [value for value in values if value is not None and 0 <= value <= 1]
    if len(values) == len(inputs) == 2:
        return inputs[0], inputs[1]
    st.info(
        f"The address asks for the inputs {plain_text(asked)}, which are not two numbers from 0 "
        "to 1. Showing 0.7,0 instead.",
        icon=":material/link:",
    )
    return default


def number(text: str) -> float | None:
    """The number that a text is, or None."""
    try:
        return float(text)
    except ValueError:
        return None


@fragment
def maps(zoo: Zoo, size: str) -> None:
    """The heat maps of one size. The slider is the chart's own; the address follows it."""
    with zoo_problems():
        grid_name, importance_decay, otherwise, height = SIZES[size]
        grid = zoo.grid(grid_name)
        best = best_rows(grid, importance_decay)
        sweeps = {name: grid.parameters(rows)["W"] for name, rows in best.items()}
    densities = [float(p) for p in best[RELU]["density"]]
    asked = st.query_params.get("p", "")
    start, key = chart_start(
        "maps",
        asked,
        lambda: densities.index(density_in_address(densities, asked, otherwise)),
        of=size,
    )
    chosen = st.vega_lite_chart(
        vega(heatmaps, sweeps, densities, start, height),
        key=key,
        on_select="rerun",
        selection_mode=SLIDER,
        width=900 if len(sweeps) > 1 else 620,
        alt=describe_heatmaps(sweeps, densities),
    )
    if moved := chosen.selection.get(SLIDER):
        st.query_params["p"] = format_density(densities[int(moved[0]["step"])])
        chart_moved("maps", st.query_params["p"])
    ids = [model_id for rows in best.values() for model_id in rows["model_id"]]
    models_behind(ids, key=f"maps-models-{size}", chosen=best[RELU]["model_id"].iloc[start])


@st.cache_resource(show_spinner=False, max_entries=12)
def losses_of(_zoo: Zoo, key: str, size: str) -> pd.DataFrame:
    """Loss over density of one size, and that of its ReLU networks without their ReLU."""
    grid_name, importance_decay, *_ = SIZES[size]
    grid = _zoo.grid(grid_name)
    best = best_rows(grid, importance_decay)
    n, m = (int(best[RELU][column].iloc[0]) for column in ("n_features", "n_hidden"))
    importances = importance_decay ** np.arange(n)
    return loss_table(best, n, m, importances, grid.parameters(best[RELU])["W"])


@fragment
def losses(zoo: Zoo, size: str) -> None:
    """Loss over density, and the same networks without their ReLU.

    The switch is the chart's own; the address follows it.
    """
    with zoo_problems():
        table = losses_of(zoo, zoo_key(zoo), size)
    asked = st.query_params.get("broken", "")
    start, key = chart_start("losses", asked, lambda: switch_in_address("broken"), of=size)
    chosen = st.vega_lite_chart(
        vega(loss_curves, table, start),
        key=key,
        on_select="rerun",
        selection_mode=LOSSES,
        width=760,
        alt="Lines of loss per density against density, one for each kind of network, with a "
        "switch that adds the ReLU networks without their ReLU.",
    )
    broken = start
    if moved := chosen.selection.get(LOSSES):
        broken = bool(moved[0]["broken"])
        follow("broken", "true" if broken else "")
        chart_moved("losses", st.query_params.get("broken", ""))
    spoken(describe_loss_curves(table, broken))
    if broken:
        prose(
            "*ReLU taken away* has the same W, the output left linear, and the bias set to the "
            "best it then can be. Without its ReLU, a network that stores features in "
            "superposition does worse than the best linear one, and for the sparsest data worse "
            "than giving back 0 for every feature. Its arrangement is only good together with the "
            "nonlinearity that cleans up after it."
        )


@fragment
def antipodal_pair() -> None:
    """Two features in one dimension. The sliders are the chart's own; the address follows."""
    asked = st.query_params.get("inputs", "")
    (first, second), key = chart_start("pair", asked, lambda: pair_in_address(asked))
    chosen = st.vega_lite_chart(
        vega(antipodal_example, first, second),
        key=key,
        on_select="rerun",
        selection_mode=PAIR,
        width=620,
        alt="Bars of two inputs and of what a linear and a ReLU network give back for them, with "
        "a slider for each input. With one input at 0, the ReLU output equals the input, and the "
        "linear output of the other feature is negative. With both on, both networks are wrong.",
    )
    if moved := chosen.selection.get(PAIR):
        st.query_params["inputs"] = f"{moved[0]['one']:g},{moved[0]['two']:g}"
        chart_moved("pair", st.query_params["inputs"])


@fragment
def outcomes(zoo: Zoo) -> None:
    """How often each arrangement is found, 5 × 2."""
    kind = choice(
        "Networks",
        ("ReLU", "ReLU, equal importance", "linear"),
        "ReLU",
        key="networks",
        widget="segmented",
    )
    family, importance_decay = {
        "ReLU": ("relu-output", 0.9),
        "ReLU, equal importance": ("relu-output", 1.0),
        "linear": ("linear", 0.9),
    }[kind]
    with zoo_problems():
        rows = zoo.grid("bottleneck-5x2").select(family=family, importance_decay=importance_decay)
    drawn = rows.loc[:, ["density", "solution"]]
    st.vega_lite_chart(
        vega(solution_bars, drawn), key="outcomes", width=900, alt=describe_solution_bars(drawn)
    )
    models_behind(list(rows["model_id"]), key="outcomes-models")
    prose("Train one more. Does yours end where the zoo's best seed did?")
    again = rows[rows["best_of_seeds"]].sort_values("density", ascending=False)
    density = choice(
        "Density of the data",
        [float(p) for p in again["density"]],
        START_AGAIN,
        key="again",
        format_func=format_density,
    )
    with zoo_problems():
        model = zoo.model(again.loc[again["density"] == density, "model_id"].iloc[0])
    retrain(settings_for_spec(model.spec), key="outcomes", compare_with=model)


@fragment
def networks(zoo: Zoo) -> None:
    """What the networks of one size keep, and whether it is worth it."""
    size = choice(
        "Features × dimensions",
        list(SIZES),
        "5x2",
        key="size",
        widget="segmented",
        format_func=NAMES.__getitem__,
    )
    prose("Row i, column j: how much of feature j leaks in when feature i is read back.")
    maps(zoo, size)
    has_linear = size != "80x20"
    notice(
        (
            "A cell is the [[dot product]] $W_i \\cdot W_j$ of two [[direction|directions]], the "
            "arrows of the first page. The diagonal is how well a feature is stored. A perfect "
            "memory would be the identity: a blue diagonal and nothing else.",
            "Dense data, slider to the left: a blue diagonal for the m most important features, "
            f"and nothing for the others{', in both networks' if has_linear else ''}.",
            "Sparser data: the ReLU network lengthens its diagonal and pays with cells off it. The "
            "first strong ones are all red: negative, which the ReLU makes harmless, as the next "
            "figure shows. Sparser still, blue ones join them. Those do harm unless a negative "
            "[[bias]] silences them, which has its price.",
            *(["The linear network keeps the same diagonal throughout."] if has_linear else []),
            "A bar is the [[norm]] of a feature; past the dashed line it counts as kept, or "
            "[[represented]]. Its colour is the [[interference]] it feels: grey is none, for a "
            "feature with a dimension to itself; the more violet, the more.",
        )
    )
    heading("What fails without the nonlinearity")
    prose(
        "Why are red cells harmless? The smallest case: two features in *one* dimension, in "
        "opposite directions, an [[antipodal pair]]. The hidden number is $h = x_1 - x_2$. Feature "
        "1 is read as $h$, feature 2 as $-h$. Move the sliders."
    )
    antipodal_pair()
    notice(
        (
            "One feature on: the linear network reports the other one as *negative*. The ReLU "
            "turns that into 0, and both outputs are exact. Negative interference costs nothing "
            "while the feature that it falls on is off.",
            "Both on: they cancel, and no ReLU brings back what the subtraction has lost. That "
            "happens with probability $p^2$, against $2p(1-p)$ for exactly one: rarely, when "
            "features are rare. That is why sparsity makes superposition pay.",
        ),
        title="",
    )
    prose(
        "The linear network has nothing that cleans up after an overlap. The best it can do is to "
        "store m features whole and no others; the maths below has the proof. (Where all features "
        "count alike it can as well store more of them in part: as much as m features in all.) As "
        "claims, where S = 0 is density 1 and "
        "*orthogonal* means at right angles:"
    )
    claim_card("dense-is-pca")
    claim_card("linear-never-superposes")

    heading("Is it worth it?")
    prose(
        "[[loss per density|Loss per density]] of the best network found at each density. As "
        "features become rare the best linear network keeps losing what it does not store. The "
        "ReLU network stores more and loses less. Dashed, where it can be told from the line of "
        "the trained ones: the best that a linear network can do. The scale is logarithmic."
    )
    losses(zoo, size)
