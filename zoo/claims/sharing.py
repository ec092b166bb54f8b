"""Claims 13 to 15: neurons that work for several features, and what a rare feature costs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from superposition.claims import Claim, decide
from superposition.geometry import WEIGHT_SHARE
from superposition.sharing import (
    cost_to_others,
    gain_of_adding,
    partner_cosines,
    partners_overlap,
    serves,
)
from superposition.theory import sparse_variance
from zoo.claims.entry import NOTES, PAPER, Entry
from zoo.reading import Zoo

Floats = NDArray[np.float64]

# Chosen before looking; each is quoted in its claim's `threshold`.
STRONG_RANK, SOME_RANK = 0.9, 0.6
MORE_FEATURES = 1.5
STANDARD_ERRORS = 2.0
NEARLY_FREE = 0.01
WORTH_IT = 0.01
SHARE_OF_SETTINGS = 0.5

PAGE = "pages/polysemanticity.py"
CORRELATIONS = {-1.0: "never together", 0.0: "independent", 1.0: "always together"}


def neurons_over_density(
    zoo: Zoo, *, share: float = WEIGHT_SHARE, exciting: bool = False
) -> pd.DataFrame:
    """What the neurons of `relu-hidden-10x5` hold at each density, dense data first.

    Columns: density, features_per_neuron (mean over live neurons) and monosemantic_share (of
    them), each the mean over the seeds, and the least and greatest: `_low` and `_high`.

    share: of the neuron's largest |weight|, above which a feature counts. exciting: count
    positive weights alone, against the largest of them.
    """
    view = zoo.grid("relu-hidden-10x5")
    rows = view.select(family="relu-hidden").reset_index(drop=True)
    W = np.asarray(view.parameters(rows)["W"], dtype=np.float64)
    served = serves(W.clip(min=0) if exciting else W, share).sum(-1)
    live = (served > 0).sum(-1).clip(min=1)
    rows["features_per_neuron"] = served.sum(-1) / live
    rows["monosemantic_share"] = (served == 1).sum(-1) / live
    groups = rows.groupby("density")
    columns = {}
    for name in ("features_per_neuron", "monosemantic_share"):
        columns[name] = groups[name].mean()
        columns[f"{name}_low"] = groups[name].min()
        columns[f"{name}_high"] = groups[name].max()
    table = pd.DataFrame(columns).sort_index(ascending=False)
    return table.rename_axis("density").reset_index()


def _sparser_is_more_polysemantic(zoo: Zoo) -> Claim:
    table = neurons_over_density(zoo)
    held = table["features_per_neuron"].to_numpy()
    alone = table["monosemantic_share"].to_numpy()
    sparsity = -table["density"].to_numpy()
    rises = _rank_correlation(sparsity, held)
    falls = _rank_correlation(sparsity, alone)
    gain = float(held[-1] / held[0])
    strong = rises >= STRONG_RANK and falls <= -STRONG_RANK and gain >= MORE_FEATURES
    some = rises >= SOME_RANK and falls <= -SOME_RANK
    # What follows explains the result and decides nothing.
    excited = neurons_over_density(zoo, exciting=True)
    held_excited = excited["features_per_neuron"].to_numpy()
    rises_excited = _rank_correlation(sparsity, held_excited)
    falls_excited = _rank_correlation(sparsity, excited["monosemantic_share"].to_numpy())
    return Claim(
        id="sparser-is-more-polysemantic",
        number=13,
        sentence="The sparser the data, the more features a neuron works for, and the fewer "
        "neurons work for one feature only.",
        source=NOTES,
        measurement="ReLU layers, 10 × 5, importance 0.7^(i−1), the mean over 16 seeds at each of "
        "25 densities: features with a |weight| above a fifth of the neuron's largest, and the "
        "share of live neurons that have one such feature",
        threshold=f"holds: rank correlation with sparsity at least {STRONG_RANK:g} for the one "
        f"and at most −{STRONG_RANK:g} for the other, and features per neuron at least "
        f"{MORE_FEATURES:g} times as many at the sparsest as at the densest; with a caveat: at "
        f"least {SOME_RANK:g} and at most −{SOME_RANK:g}",
        value=f"rank correlations {_signed(rises)} and {_signed(falls)}; features per neuron from "
        f"{held[0]:.2f} to {held[-1]:.2f}, monosemantic neurons from {alone[0]:.0%} to "
        f"{alone[-1]:.0%}",
        status=decide(strong, some),
        detail=""
        if strong
        else "Not part of the decision: on the sparsest data many neurons have one negative "
        "weight tens of times larger than the others, with which one feature silences them, and "
        "next to it the rest counts as small. Of the features that excite a neuron, by positive "
        f"weights alone, the rank correlations are {_signed(rises_excited)} and "
        f"{_signed(falls_excited)}, and there are {held_excited[0]:.2f} to "
        f"{held_excited[-1]:.2f} of them.",
        page=PAGE,
        numbers={
            "rises": rises,
            "falls": falls,
            "gain": gain,
            "rises_exciting": rises_excited,
            "falls_exciting": falls_excited,
        },
        plainly=""
        if strong
        else "The trend is there, but not at every step: on the sparsest data single large "
        "negative weights hide the others from this count.",
    )


def _rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's; 0 where one of the two never changes."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def overlap_of_partners(zoo: Zoo, family: str = "relu-hidden") -> pd.DataFrame:
    """What the two features of a pair share, a row per model of `co-occurrence`.

    Columns: model_id, density, correlation, seed, best_of_seeds; overlap of the two of a pair;
    overlap_of_strangers, of features of different pairs, which are always independent; cosine, of
    the directions of the two of a pair.
    """
    view = zoo.grid("co-occurrence")
    rows = view.select(family=family).reset_index(drop=True)
    n, size = int(rows["n_features"].iloc[0]), int(rows["set_size"].iloc[0])
    pairs = [(i, i + 1) for i in range(0, n, size)]
    strangers = [pair for pair in combinations(range(n), 2) if pair not in pairs]
    table = rows[["model_id", "density", "correlation", "seed", "best_of_seeds"]].copy()
    W = view.parameters(rows)["W"]
    table["overlap"] = partners_overlap(W, pairs)
    table["overlap_of_strangers"] = partners_overlap(W, strangers)
    table["cosine"] = partner_cosines(W, pairs)
    return table


def _gaps(table: pd.DataFrame) -> tuple[Floats, Floats]:
    """Never minus independent, independent minus always: differences and their errors, (2, P)."""
    groups = table.groupby(["correlation", "density"])["overlap"]
    mean = groups.mean().unstack("density").sort_index()
    error = groups.sem().unstack("density").sort_index()
    differences = -np.diff(mean.to_numpy(), axis=0)
    errors = np.hypot(error.to_numpy()[:-1], error.to_numpy()[1:])
    return differences, errors


def _rarely_together_share(zoo: Zoo) -> Claim:
    table = overlap_of_partners(zoo)
    differences, errors = _gaps(table)
    clear = differences > STANDARD_ERRORS * errors
    over_all, error_of_all = differences.mean(1), np.sqrt((errors**2).mean(1) / errors.shape[1])
    clear_on_average = bool((over_all > STANDARD_ERRORS * error_of_all).all())
    means = table.groupby("correlation")["overlap"].mean()
    # What follows explains the result and decides nothing.
    densest = table[table["density"] == table["density"].max()]
    cosine = densest.groupby("correlation")["cosine"].mean()
    twin = overlap_of_partners(zoo, "relu-output")
    twin = twin[twin["density"] == twin["density"].max()].groupby("correlation")["cosine"].mean()
    at_every = bool((differences > 0).all())
    count = differences.shape[1]
    return Claim(
        id="rarely-together-share",
        number=14,
        sentence="Features that are never on together share neurons more than independent ones, "
        "and those more than features that are always on together.",
        source=NOTES,
        measurement="ReLU layers, 8 × 4, equal importance, four pairs of features, 16 seeds at "
        "each of four densities: the overlap of the two of a pair, which is the cosine of their "
        "directions without the signs of the weights, 0 where one of them is not represented",
        threshold=f"holds: in this order at every density, each step more than "
        f"{STANDARD_ERRORS:g} standard errors over the seeds; with a caveat: in this order at "
        f"every density, or each step more than {STANDARD_ERRORS:g} standard errors on the average "
        "of the densities",
        value=f"overlap {_three(means)}; never above independent at "
        f"{int(clear[0].sum())} of {count} densities, independent above always at "
        f"{int(clear[1].sum())} of {count}",
        status=decide(bool(clear.all()), at_every or clear_on_average),
        detail=""
        if clear.all()
        else "Not part of the decision: features that are always on together share a neuron as "
        f"one, with weights of one sign (at density {densest['density'].iloc[0]:g} the mean cosine "
        f"of the two is {_signed(cosine[1.0])}); there the neuron keeps what the two have in "
        "common. Two that are never on together share it with opposite signs "
        f"({_signed(cosine[-1.0])}): one excites it, the other silences it. On sparser "
        "data independent features hardly ever meet either, and those that never do no longer "
        "lead. In the twin without neurons, the ReLU bottleneck, the cosines are "
        f"{_signed(twin[-1.0])} for never, {_signed(twin[0.0])} for independent and "
        f"{_signed(twin[1.0])} for always.",
        page=PAGE,
        numbers={
            **{f"overlap_{name.replace(' ', '_')}": float(means[c])
               for c, name in CORRELATIONS.items()},
            **{f"cosine_{name.replace(' ', '_')}": float(cosine[c])
               for c, name in CORRELATIONS.items()},
            "clear_steps": int(clear.sum()),
            "ordered_steps": int((differences > 0).sum()),
        },
        plainly="Features that are always on together share their neurons most, not least: a "
        "network that never sees them apart treats the two as one feature."
        if means[1.0] > means[0.0]
        else "",
    )  # fmt: skip


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _three(means: pd.Series) -> str:
    return ", ".join(f"{means[c]:.2f} {name}" for c, name in CORRELATIONS.items())


def rare_feature_costs(zoo: Zoo) -> pd.DataFrame:
    """The best seed of each setting of `rare-feature`, against the control without a rare feature.

    Columns of the index, and: cost, to the popular features, in units of one of them forgotten;
    gain, of the total loss, as a share of what leaving the rare one out loses; norm of the rare
    one's direction. The rarest first. The control itself, ratio 0, is left out.
    """
    view = zoo.grid("rare-feature")
    rows = view.table[view.table["best_of_seeds"]]
    setting = ["n_features", "density"]
    control = rows[rows["rare_ratio"] == 0].set_index(setting)["popular_loss"]
    table = rows[rows["rare_ratio"] > 0].sort_values([*setting, "rare_ratio"])
    table = table.reset_index(drop=True)
    without = control.loc[pd.MultiIndex.from_frame(table[setting])].to_numpy()
    popular = sparse_variance(table["density"].to_numpy())
    rare = sparse_variance((table["density"] * table["rare_ratio"]).to_numpy())
    table["cost"] = cost_to_others(table["popular_loss"].to_numpy(), without, popular)
    table["gain"] = gain_of_adding(table["loss"].to_numpy(), without, rare)
    for _, size in table.groupby("n_features"):
        norms = np.linalg.norm(view.parameters(size)["W"][:, :, -1], axis=1)
        table.loc[size.index, "norm"] = norms
    return table


def _rare_features_are_nearly_free(zoo: Zoo) -> Claim:
    table = rare_feature_costs(zoo)
    setting = ["n_features", "density"]
    cost = table.pivot_table(index=setting, columns="rare_ratio", values="cost").to_numpy()
    gain = table.pivot_table(index=setting, columns="rare_ratio", values="gain").to_numpy()
    # Columns from the rarest to as popular as the others.
    free = cost[:, 0] <= NEARLY_FREE
    dearer = np.maximum(cost[:, :-1] - np.minimum.accumulate(cost[:, ::-1], 1)[:, ::-1][:, 1:], 0)
    falls = dearer.max(1) <= NEARLY_FREE
    pays = (gain[:, :-1] >= WORTH_IT).all(1)
    count = len(cost)
    # What follows explains the result and decides nothing.
    missed = (gain < 0).any(1)
    elsewhere = float(cost[~missed, 0].max()) if not missed.all() else float("nan")
    return Claim(
        id="rare-features-are-nearly-free",
        number=15,
        sentence="The rarer a feature that is added, the closer to nothing it costs the popular "
        "ones, and holding it lowers the total loss.",
        source=f"{NOTES}; {PAPER}, Superposition as a Phase Change",
        measurement="ReLU bottlenecks, 5 × 4 and 6 × 4, equal importance, five popular densities, "
        "best seed: the loss of the popular features against a model of the same size without the "
        "rare one, in units of one popular feature forgotten; and the total loss against leaving "
        "the rare one out",
        threshold=f"holds: in every setting the rarest (a thousandth as frequent) costs at most "
        f"{NEARLY_FREE:g}, the cost never rises by more than {NEARLY_FREE:g} as the feature gets "
        f"rarer, and any rarer feature saves at least {WORTH_IT:.0%} of what leaving it out loses; "
        f"with a caveat: the first in every setting, the last in {SHARE_OF_SETTINGS:.0%} of them",
        value=f"the rarest costs at most {cost[:, 0].max():.2g} of a popular feature; the cost "
        f"falls in {int(falls.sum())} of {count} settings; holding it pays at every rarer ratio in "
        f"{int(pays.sum())} of {count}",
        status=decide(
            bool((free & falls & pays).all()),
            bool(free.all()) and float(pays.mean()) >= SHARE_OF_SETTINGS,
        ),
        detail=_why_a_rare_feature_costs(table, missed, elsewhere),
        page=PAGE,
        numbers={
            "settings_where_training_missed": int(missed.sum()),
            "largest_cost_elsewhere": elsewhere,
            "largest_cost_of_the_rarest": float(cost[:, 0].max()),
            "settings": count,
            "settings_where_cost_falls": int(falls.sum()),
            "settings_where_it_pays": int(pays.sum()),
        },
        plainly=f"In {count - int(missed.sum())} of {count} settings the rarest feature costs next "
        f"to nothing, {elsewhere:.2g} of a popular one at most. In the other training missed a "
        "better solution."
        if missed.sum() == 1 and elsewhere <= NEARLY_FREE
        else "",
    )


def _why_a_rare_feature_costs(
    table: pd.DataFrame, missed: NDArray[np.bool_], elsewhere: float
) -> str:
    """What is known of the settings in which holding the rare feature did worse, in words."""
    if not missed.any():
        return ""
    worse = table[table["gain"] < 0].drop_duplicates(["n_features", "density"])
    where = " and ".join(
        f"{row.n_features} × {row.n_hidden} at density {row.density:g}"
        for row in worse.itertuples()
    )
    return (
        f"Not part of the decision: with {where} training missed a better solution. The model "
        "without the rare feature, giving back its mean, has a lower loss on the same data than "
        "the best of 8 seeds that were trained on it, so that the cost is one of training. "
        f"Everywhere else the rarest costs at most {elsewhere:.2g} of a popular feature."
    )


ENTRIES = (
    Entry(13, "sparser-is-more-polysemantic", ("relu-hidden-10x5",), _sparser_is_more_polysemantic),
    Entry(14, "rarely-together-share", ("co-occurrence",), _rarely_together_share),
    Entry(15, "rare-features-are-nearly-free", ("rare-feature",), _rare_features_are_nearly_free),
)
