"""Neurons over density, features per neuron, partners that share, and a rare feature's cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from figures.neuron_bars import (
    SLIDER,
    Panel,
    describe_neuron_bars,
    describe_neuron_sweep,
    neuron_bars,
    neuron_sweep,
)
from figures.polysemanticity import (
    COUNTS,
    LOWEST_DRAWN,
    MEETINGS,
    cost_curves,
    describe_cost_curves,
    describe_overlap_curves,
    describe_seed_bands,
    overlap_curves,
    overlap_means,
    seed_bands,
)
from figures.theme import format_density, format_number
from pages.parts.lab_settings import settings_for_spec
from pages.parts.layout import notice, prose, spoken
from pages.parts.models_behind import models_behind
from pages.parts.retrain import retrain
from pages.parts.turns import fragment
from pages.parts.url_state import (
    chart_moved,
    chart_start,
    choice,
    follow,
    meant_by,
    plain_text,
    switch_in_address,
)
from pages.parts.vega import vega, vega_once
from pages.parts.zoo_access import zoo_key, zoo_problems
from superposition.geometry import WEIGHT_SHARE, features_per_neuron
from superposition.neurons import neuron_order
from superposition.sharing import antipodal_cost
from zoo import Zoo
from zoo.claims.sharing import neurons_over_density, overlap_of_partners, rare_feature_costs

GRID = "relu-hidden-10x5"
START_DENSITY = 0.1
SHARES = (0.05, 0.1, WEIGHT_SHARE, 0.3, 0.5)
# A dot is on a line if it is no further off than this share of the line.
NEAR = 0.1


@st.cache_data(show_spinner=False, max_entries=4)
def counted(_zoo: Zoo, key: str) -> pd.DataFrame:
    """`neurons_over_density` by every convention, once for each zoo.

    Its columns, after `share` and `exciting`, which say the convention.
    """
    tables = []
    for share in SHARES:
        for exciting in (False, True):
            table = neurons_over_density(_zoo, share=share, exciting=exciting)
            table.insert(0, "share", share)
            table.insert(1, "exciting", exciting)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def by_convention(table: pd.DataFrame, share: float, exciting: bool) -> pd.DataFrame:
    """The rows of `counted` that count by one convention."""
    return table[(table["share"] == share) & (table["exciting"] == exciting)]


@st.cache_data(show_spinner=False, max_entries=4)
def partners(_zoo: Zoo, key: str) -> pd.DataFrame:
    """`overlap_of_partners`, once for each zoo."""
    return overlap_of_partners(_zoo)


@st.cache_data(show_spinner=False, max_entries=4)
def costs(_zoo: Zoo, key: str) -> pd.DataFrame:
    """`rare_feature_costs`, once for each zoo."""
    return rare_feature_costs(_zoo)


def drawn(W: Any) -> Any:
    """Weights as the bars show them: cut where they only silence."""
    return np.maximum(W, LOWEST_DRAWN)


def label(density: float, W: Any) -> str:
    """What stands above the bars of one model (m, n)."""
    held = features_per_neuron(W)
    alone = int((held == 1).sum())
    return f"density {format_density(density)}: {alone} of {len(held)} monosemantic"


def start_of(densities: list[float], asked: str) -> int:
    """The frame of the density that the address asks for, or the default with a notice."""
    wanted = START_DENSITY
    if asked:
        try:
            wanted = float(asked)
        except ValueError:
            wanted = -1.0
        if not 0 < wanted <= 1:
            wanted = START_DENSITY
            st.info(
                f"The address asks for density {plain_text(asked)}, which is not between 0 and 1. "
                f"Showing {format_density(wanted)} instead.",
                icon=":material/link:",
            )
    return int(np.argmin(np.abs(np.log(np.asarray(densities) / wanted))))


def bars_of_new_model(parameters: Mapping[str, Any]) -> None:
    """The neurons of a model that the reader trains, as the figure above draws its own."""
    W = np.asarray(parameters["W"], dtype=np.float64)
    panels = [Panel("your neurons", drawn(W[neuron_order(drawn(W))]))]
    st.vega_lite_chart(
        vega_once(neuron_bars, panels, height=260),
        key="neurons-new",
        alt=describe_neuron_bars(panels),
    )


@fragment
def neurons(zoo: Zoo) -> None:
    """The neurons over density. The slider is the chart's own; the address follows it."""
    with zoo_problems():
        grid = zoo.grid(GRID)
        rows = grid.select(family="relu-hidden", best_of_seeds=True)
        rows = rows.sort_values("density", ascending=False)
        W = grid.parameters(rows)["W"]
    densities = [float(p) for p in rows["density"]]
    labels = [label(p, one) for p, one in zip(densities, W, strict=True)]
    asked = st.query_params.get("p", "")
    start, key = chart_start("neurons-sweep", asked, lambda: start_of(densities, asked))
    chosen = st.vega_lite_chart(
        vega(neuron_sweep, drawn(W), labels, start, height=380),
        key=key,
        on_select="rerun",
        selection_mode=SLIDER,
        width=760,
        alt=describe_neuron_sweep(drawn(W), labels),
    )
    step = start
    if moved := chosen.selection.get(SLIDER):
        step = int(moved[0]["step"])
        st.query_params["p"] = format_density(densities[step])
        chart_moved("neurons-sweep", st.query_params["p"])
    lowest = format_number(LOWEST_DRAWN)
    st.caption(
        f"Weights below {lowest} are drawn as {lowest}: there a feature silences the neuron, "
        f"whatever else is on. The lowest here is {format_number(float(W.min()), 2)}. The "
        "count above the bars goes by the real weights, and next to such a one a weight of 1 "
        "counts for nothing."
    )
    models_behind(list(rows["model_id"]), key="neurons-models", chosen=rows["model_id"].iloc[step])
    with zoo_problems():
        model = zoo.model(rows["model_id"].iloc[step])
    prose(
        "**Does the same neuron become polysemantic again?** Train this model from other starting "
        "weights and compare."
    )
    retrain(
        settings_for_spec(model.spec), key="neurons", compare_with=model, show=bars_of_new_model
    )


def share_in_address(asked: str) -> float:
    """From which share a weight counts, by the address, or the default with a notice."""
    if not asked:
        return WEIGHT_SHARE
    meant = meant_by(asked, SHARES)
    if meant is not None:
        return meant
    st.info(
        f"The address asks for share {plain_text(asked)}, which is not among "
        f"{', '.join(f'{share:g}' for share in SHARES)}. Showing {WEIGHT_SHARE:g} instead.",
        icon=":material/link:",
    )
    return WEIGHT_SHARE


@fragment
def counts(zoo: Zoo) -> None:
    """Features per neuron and the share of monosemantic ones, by a convention to be moved.

    Both inputs are the chart's own; the address follows them.
    """
    with zoo_problems():
        table = counted(zoo, zoo_key(zoo))
    asked = st.query_params.get("share", ""), st.query_params.get("exciting", "")
    (share, exciting), key = chart_start(
        "counts",
        "&".join(asked),
        lambda: (share_in_address(asked[0]), switch_in_address("exciting")),
    )
    step = SHARES.index(share)
    chosen = st.vega_lite_chart(
        vega(seed_bands, table, step, exciting),
        key=key,
        on_select="rerun",
        selection_mode=COUNTS,
        width=760,
        alt="Two lines against density, one above the other: features per neuron and monosemantic "
        "share, each the mean over seeds with their range. A slider and a switch say which weights "
        "count.",
    )
    if moved := chosen.selection.get(COUNTS):
        share, exciting = SHARES[int(moved[0]["step"])], bool(moved[0]["exciting"])
        follow("share", f"{share:g}", f"{WEIGHT_SHARE:g}")
        follow("exciting", "true" if exciting else "")
        chart_moved(
            "counts",
            "&".join((st.query_params.get("share", ""), st.query_params.get("exciting", ""))),
        )
    spoken(describe_seed_bands(by_convention(table, share, exciting), share, exciting))


@fragment
def meetings(zoo: Zoo) -> None:
    """Overlap by how often features meet, and the neurons of three models beside each other."""
    with zoo_problems():
        table = partners(zoo, zoo_key(zoo))
        means = overlap_means(table)
        st.vega_lite_chart(
            vega(overlap_curves, means),
            key="overlap",
            width=760,
            alt=describe_overlap_curves(means),
        )
        densities = sorted((float(p) for p in table["density"].unique()), reverse=True)
        density = choice(
            "Show the neurons at density",
            densities,
            densities[0],
            key="meet",
            widget="segmented",
            format_func=format_density,
        )
        rows = table[table["best_of_seeds"] & (table["density"] == density)]
        rows = rows.sort_values("correlation")
        W = zoo.grid("co-occurrence").parameters(rows)["W"]
    panels = [
        Panel(MEETINGS[float(c)][0], drawn(one[neuron_order(drawn(one))]))
        for c, one in zip(rows["correlation"], W, strict=True)
    ]
    st.vega_lite_chart(
        vega(neuron_bars, panels, height=340),
        key="meet-bars",
        width=900,
        alt=describe_neuron_bars(panels),
    )
    models_behind(list(rows["model_id"]), key="meet-models")


def strangers(table: pd.DataFrame) -> str:
    """What partners share beside what strangers do, where features still meet, in words."""
    densest, sparsest = float(table["density"].max()), float(table["density"].min())
    measures = ["overlap", "overlap_of_strangers"]
    means = table.groupby(["density", "correlation"])[measures].mean()

    def beside(density: float, correlation: float) -> str:
        pair, other = means.loc[(density, correlation)]
        return f"{MEETINGS[correlation][0]} {pair:.2f} against {other:.2f}"

    return (
        f"*Beside strangers*, at density {format_density(densest)}: "
        f"{'; '.join(beside(densest, c) for c in MEETINGS)}. So where features still meet, those "
        "that never do share far more than strangers, as the sentence says. On sparser data "
        "strangers hardly ever meet either, and the difference is gone: "
        f"{beside(sparsest, min(MEETINGS))} at density {format_density(sparsest)}."
    )


@fragment
def rare(zoo: Zoo) -> None:
    """The cost of a rare feature, and a chance to do better where the zoo did badly."""
    with zoo_problems():
        table = costs(zoo, zoo_key(zoo))
    sizes = sorted(int(n) for n in table["n_features"].unique())
    n = choice(
        "Features, the rare one included, in four dimensions",
        sizes,
        sizes[0],
        key="n",
        widget="segmented",
    )
    rows = table[table["n_features"] == n]
    curves = rows.loc[:, ["density", "rare_ratio", "cost", "gain"]]
    st.vega_lite_chart(
        vega(cost_curves, curves),
        key="cost",
        width=760,
        alt="What one more feature costs the popular ones against how rare it is.",
    )
    spoken(describe_cost_curves(curves))
    models_behind(list(rows["model_id"]), key="cost-models")
    notice(cost_facts(rows))


def cost_facts(rows: pd.DataFrame) -> tuple[str, ...]:
    """What to notice about the cost of a rare feature. rows: of the models shown."""
    as_frequent = format_number(rows.loc[rows["rare_ratio"] == 1, "cost"].max(), 2)
    hundredth = format_number(rows.loc[rows["rare_ratio"] == 0.01, "cost"].max(), 2)
    missed = [format_density(p) for p in sorted(rows.loc[rows["gain"] < 0, "density"].unique())]
    alike = rows[rows["rare_ratio"] == 1]
    p = alike["density"].to_numpy(dtype=np.float64)
    doubled = 2 * antipodal_cost(p, p)
    twice = int((np.abs(alike["cost"].to_numpy(dtype=np.float64) / doubled - 1) <= NEAR).sum())
    return (
        f"As frequent as the others, one more feature costs up to {as_frequent} of a popular one. "
        f"At a hundredth, at most {hundredth}.",
        "The dashed lines are the closed form of two features in opposite directions, an "
        "[[antipodal pair]]: ten times rarer is ten times cheaper. "
        + (
            f"Most dots are near them. With popular features of density {' and '.join(missed)} "
            "they are not: there some models do worse than one that leaves the rare feature out."
            if missed
            else "The dots follow them as long as the new feature is the rarer one."
        ),
        f"At the left end it is as frequent as the others. There {twice} of {len(alike)} models "
        "cost about twice what the line says: which two features share is then chance, and where "
        "both are popular ones, both pay.",
        "The harm is done only when the rare feature and its partner are on at once. Its own use "
        "falls in the same proportion. In the closed form, holding it therefore pays however rare "
        "it is: for a popular density p it saves about 1 − p of what leaving it out would lose. "
        "But what there is to save shrinks too, and training can miss it: with six features it "
        "did, as the claim below says.",
        "What it is compared with is a model of the same size in which the last feature is never "
        "on.",
    )


@fragment
def missed(zoo: Zoo) -> None:
    """Where leaving the rare feature out would beat the zoo's best seed: train it again."""
    with zoo_problems():
        table = costs(zoo, zoo_key(zoo))
        worst = table.loc[table["gain"].idxmin()]
        if worst["gain"] >= 0:
            return
        model = zoo.model(str(worst["model_id"]))
    spec = model.spec
    prose(
        f"**Where the claim fails.** With {spec.n_features} features in {spec.n_hidden} dimensions "
        f"and popular ones of density {format_density(spec.density)}, training tends to end in a "
        "[[local minimum]]: the best of 8 [[seed|seeds]] is worse than a model that leaves the "
        "rare feature out. The one furthest off has a rare feature that is "
        f"{format_number(float(spec.rare_ratio or 0))} times as frequent as the others. Can you "
        "find a better one?"
    )
    retrain(settings_for_spec(spec), key="rare", compare_with=model)
