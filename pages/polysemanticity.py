"""Polysemanticity: when does a neuron work for several features, and would you notice?"""

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
    LOWEST_DRAWN,
    MEETINGS,
    cost_curves,
    describe_cost_curves,
    describe_overlap_curves,
    describe_seed_band,
    overlap_curves,
    overlap_means,
    seed_band,
)
from figures.theme import format_density, format_number
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
from pages.parts.navigation import links
from pages.parts.neuron_quiz import neuron_quiz
from pages.parts.retrain import retrain
from pages.parts.sources import cited
from pages.parts.turns import fragment
from pages.parts.url_state import chart_moved, chart_start, choice, plain_text
from pages.parts.vega import vega, vega_once
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
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
# The sliders of the charts stand above them: on the first screen, however tall the chart.
STYLE = """
<style>
[class*="st-key-neurons-"] .vega-embed { display: flex !important; flex-direction: column; }
[class*="st-key-neurons-"] .vega-bindings {
  order: -1; flex: none; padding-bottom: 0.7rem !important;
}
</style>
"""


@st.cache_data(show_spinner=False, max_entries=40)
def counted(_zoo: Zoo, key: str, share: float, exciting: bool) -> pd.DataFrame:
    """`neurons_over_density`, once for each zoo."""
    return neurons_over_density(_zoo, share=share, exciting=exciting)


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
    start = chart_start("neurons", asked, lambda: start_of(densities, asked))
    chosen = st.vega_lite_chart(
        vega(neuron_sweep, drawn(W), labels, start, height=380),
        key=f"neurons-sweep-{start}",
        on_select="rerun",
        selection_mode=SLIDER,
        width=760,
        alt=describe_neuron_sweep(drawn(W), labels),
    )
    step = start
    if moved := chosen.selection.get(SLIDER):
        step = int(moved[0]["step"])
        st.query_params["p"] = format_density(densities[step])
        chart_moved("neurons", st.query_params["p"])
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


@fragment
def counts(zoo: Zoo) -> None:
    """Features per neuron and the share of monosemantic ones, by a convention to be moved."""
    with st.container(horizontal=True, gap="large"):
        share = choice(
            "A weight counts from this share of the neuron's largest",
            SHARES,
            WEIGHT_SHARE,
            key="share",
            format_func=lambda value: f"{value:g}",
        )
        exciting = st.toggle(
            "Count features that excite only",
            key="exciting",
            bind="query-params",
            help="Positive weights alone, against the largest positive one.",
        )
    with zoo_problems():
        table = counted(zoo, zoo_key(zoo), share, exciting)
    left, right = st.columns(2, gap="medium")
    for column, name, title, top in (
        (left, "features_per_neuron", "features per neuron", 10.0),
        (right, "monosemantic_share", "monosemantic share", 1.05),
    ):
        with column:
            st.vega_lite_chart(
                vega(seed_band, table, name, title, top=top),
                key=f"counts-{name}",
                alt=f"Line of {title} against density, the mean over seeds with their range.",
            )
            spoken(describe_seed_band(table, name, title))


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
        vega(cost_curves, curves), key="cost", width=760, alt=describe_cost_curves(curves)
    )
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


zoo = open_zoo()
st.html(STYLE)

question(
    "Polysemanticity",
    "A neuron that works for one [[feature]] is [[monosemantic]]; one that works for several is "
    "[[polysemantic]], and cannot be read by itself. When does training make neurons "
    "polysemantic, and would you notice?",
)
prediction(
    "Five neurons, ten features; the data gets sparser. What do the neurons do?",
    ("keep one feature each", "work for more and more features", "work for fewer"),
    "work for more and more features",
    "In dense data each neuron keeps one of the five features that count most. The rarer the "
    "features, the less often two that share a neuron are on at once, and the more of them fit.",
    key="prediction",
)
neurons(zoo)
table = counted(zoo, zoo_key(zoo), WEIGHT_SHARE, False)
pure = table[table["monosemantic_share_low"] == 1]["density"]
notice(
    (
        "A bar is a neuron, h = ReLU(Wx); a segment is its weight for one feature. Upwards: the "
        "feature excites the neuron. Downwards: it silences it.",
        *(
            [
                f"Dense data, slider to the left: one segment per bar. From density 1 to "
                f"{format_density(pure.min())} every neuron of all 16 [[seed|seeds]] is "
                "monosemantic, for one of the five features that count most (each next one has "
                "0.7 times the [[importance]])."
            ]
            if len(pure)
            else []
        ),
        "Then the least important of the stored features begin to share, while feature 1 still "
        "has a neuron to itself. On sparse data no bar has one colour.",
        "Signs matter. A neuron that one feature excites and another silences can tell the two "
        "apart when they are not on together, and that is the usual case in sparse data.",
    )
)

heading("Would this neuron fool you?")
prose(
    "In a real network nobody knows the features. One looks at the inputs that activate a neuron "
    "most and guesses. Try it, on trained neurons whose answer is known."
)
neuron_quiz(zoo)

heading("How polysemantic, over all seeds")
prose(
    "The study notes on superposition that this zoo grew from say:\n\n"
    "> A neuron is more likely to be polysemantic if the features it represents are sparse w.r.t. "
    "each other, and higher sparsity corresponds to more superposition in the general case.\n\n"
    "The line is the mean over 16 seeds, the band reaches from the least to the greatest. What "
    "counts as working for a feature is a convention: **move it, and see what stays.**"
)
counts(zoo)
claim_card("sparser-is-more-polysemantic")

heading("Do features that rarely meet share neurons?")
prose(
    "That is what the sentence above suggests. Here eight features of equal importance come in "
    "four pairs, 1 and 2, 3 and 4, and so on. The two of a pair are never on together, "
    "independent, or always on together; pairs are independent of each other. The [[overlap]] says "
    "how far the two of a pair use the same neurons. Dashed, for comparison, the overlap of "
    "*strangers*: features of different pairs in the same networks. Upright lines are two standard "
    "errors over the seeds, each way."
)
meetings(zoo)
notice(
    (
        "*Never together*, at density 0.3: each pair has a neuron of its own. One of the two "
        f"excites it; the other silences it with a very large negative weight (drawn as "
        f"{format_number(LOWEST_DRAWN)} where it is below that).",
        "*Always together*: **the pair acts as one feature.** It, too, has a neuron of its own, "
        "which both excite alike and which holds their sum. Overlap is largest here, against the "
        "claim, but no neuron has to tell two things apart: reading it as “either of the two” is "
        "nearly right.",
        "*Independent*: no such order at density 0.3. On sparser data independent features hardly "
        "ever meet either, and for the network there is little difference left between them and "
        "those that never do.",
        strangers(partners(zoo, zoo_key(zoo))),
    )
)
claim_card("rarely-together-share")

heading("What does one more rare feature cost the popular ones?")
prose(
    "The notes again, on why superposition should be expected:\n\n"
    "> It will almost always make sense for networks to try to represent ever-more-sparse yet "
    "useful features, and these can be added to popular features at almost 0 cost.\n\n"
    "Here four dimensions hold popular features of equal density, and one more that gets rarer to "
    "the right. The cost is what the popular ones lose against the same model without it; 1 would "
    "be one popular feature forgotten."
)
rare(zoo)
claim_card("rare-features-are-nearly-free")
missed(zoo)

maths(
    r"""
**Serving a feature.** Neuron $k$ works for feature $i$ when $|w_{ki}|$ is more than a fifth of
$\max_j |w_{kj}|$; a neuron whose largest weight is at most 0.05 is dead and left out. The quiz
counts both signs from a fifth of the largest *positive* weight, since a neuron without a positive
weight is never active.

**Overlap** of features $i$ and $j$ is the cosine of their directions without the signs,

$$
\frac{\sum_k |w_{ki}|\,|w_{kj}|}{\lVert W_i \rVert \, \lVert W_j \rVert},
$$

0 if no neuron has a weight for both, 1 if both spread over the neurons in the same proportions.

**Why a rare feature is nearly free.** Let feature $i$, on with probability $p$, and a new feature
$j$, on with probability $q$, share a dimension in opposite directions: $h = x_i - x_j$,
$y'_i = \mathrm{ReLU}(h)$, $y'_j = \mathrm{ReLU}(-h)$. If at most one of them is on, both outputs
are exact. If both are, each is read too small by $\min(x_i, x_j)$, and
$\mathbb{E} \min(x_i, x_j)^2 = 1/6$. So each loses

$$
\tfrac16 \, p \, q.
$$

In units of feature $i$ forgotten, which costs $\mathrm{Var}(x_i) = p/3 - p^2/4$, that is
proportional to $q$: ten times rarer, ten times cheaper. Leaving $j$ out loses
$\mathrm{Var}(x_j) \approx q/3$, holding it costs $2 \cdot pq/6$ for the two together, so that the
saving is $1 - p$ of it, whatever $q$.
"""
)
caveats(
    (
        "Polysemanticity is not superposition. More *represented* features than neurons force "
        "sharing (others may be dropped, as on dense data above). But sharing does not need them: "
        "features turned against the neurons mix in every neuron, however few they are.",
        "Bars, panels and cost curves show the best seed of each setting; counts and overlaps are "
        "means over all 16 seeds.",
        "A feature here is one coordinate of made-up data, and every neuron of this network reads "
        "it directly. In a real network a neuron's inputs are themselves mixtures.",
        "Weights tell what a neuron responds to, not what the output makes of it. A feature that "
        "silences a neuron with a very large negative weight is read back all the same: from the "
        "neuron's silence, or from other neurons. For pairs that are never on together its output "
        "may then say little more than on or off.",
        "The number of features per neuron depends on where one cuts. Move the share above; the "
        "direction stays, the numbers do not.",
        "The rare-feature models are bottlenecks, without neurons. What they say is about sharing "
        "dimensions.",
    )
)
reading(
    (
        cited(
            "toy-models",
            "“Superposition in a Privileged Basis” has these networks and their stacked bars; "
            "“Correlated and Anticorrelated Features” the bottleneck's side of the pairs.",
        ),
        cited(
            "open-problems",
            "what to look for in networks whose features nobody knows.",
        ),
        cited(
            "capacity",
            "how much of a dimension training gives to each feature, by importance and sparsity.",
        ),
        cited("learner-notes", "the two sentences quoted above."),
        cited(
            "nanda-notes",
            "polysemanticity and superposition, told apart.",
        ),
    )
)
heading("Where to go next")
links(
    (
        ("pages/two_kinds.py", "Storing is not computing"),
        ("pages/bottleneck.py", "The same without neurons"),
        ("pages/lab.py", "Train one yourself"),
        ("pages/claims.py", "All claims"),
    )
)
