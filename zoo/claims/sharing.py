"""Claims 13 to 15: neurons that work for several features, and what a rare feature costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from superposition.claims import Claim, decide
from superposition.sharing import cost_to_others, gain_of_adding, partners_overlap
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


def neurons_over_density(zoo: Zoo) -> pd.DataFrame:
    """Means over the seeds at each density of `relu-hidden-10x5`, dense data first.

    Columns: density, features_per_neuron, monosemantic_share, and the least and greatest of each
    over the seeds: `_low` and `_high`.
    """
    rows = zoo.grid("relu-hidden-10x5").select(family="relu-hidden")
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
    return Claim(
        id="sparser-is-more-polysemantic",
        number=13,
        sentence="The sparser the data, the more features a neuron works for, and the fewer "
        "neurons work for one feature only.",
        source=NOTES,
        measurement="relu-hidden 10 × 5, importance 0.7^i, the mean over 16 seeds at each of 25 "
        "densities: features with a |weight| above a fifth of the neuron's largest, and the share "
        "of live neurons that have one such feature",
        threshold=f"holds: rank correlation with sparsity at least {STRONG_RANK:g} for the one "
        f"and at most −{STRONG_RANK:g} for the other, and features per neuron at least "
        f"{MORE_FEATURES:g} times as many at the sparsest as at the densest; with a caveat: at "
        f"least {SOME_RANK:g} and at most −{SOME_RANK:g}",
        value=f"rank correlations {rises:+.2f} and {falls:+.2f}; features per neuron from "
        f"{held[0]:.2f} to {held[-1]:.2f}, monosemantic neurons from {alone[0]:.0%} to "
        f"{alone[-1]:.0%}",
        status=decide(strong, some),
        detail="",
        page=PAGE,
        numbers={"rises": rises, "falls": falls, "gain": gain},
    )


def _rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's; 0 where one of the two never changes."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def overlap_of_partners(zoo: Zoo, family: str = "relu-hidden") -> pd.DataFrame:
    """A row per model of `co-occurrence`: density, correlation, seed, loss, overlap of partners."""
    view = zoo.grid("co-occurrence")
    rows = view.select(family=family).reset_index(drop=True)
    n, size = int(rows["n_features"].iloc[0]), int(rows["set_size"].iloc[0])
    pairs = [(i, i + 1) for i in range(0, n, size)]
    table = rows[["model_id", "density", "correlation", "seed", "loss", "best_of_seeds"]].copy()
    table["overlap"] = partners_overlap(view.parameters(rows)["W"], pairs)
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
    twin = overlap_of_partners(zoo, "relu-output").groupby("correlation")["overlap"].mean()
    at_every = bool((differences > 0).all())
    count = differences.shape[1]
    return Claim(
        id="rarely-together-share",
        number=14,
        sentence="Features that are never on together share neurons more than independent ones, "
        "and those more than features that are always on together.",
        source=NOTES,
        measurement="relu-hidden 8 × 4, equal importance, four pairs of features, 16 seeds at each "
        "of four densities: the overlap Σ_k |w_ki| |w_kj| / (‖W_i‖ ‖W_j‖) of the two of a pair, 0 "
        "where one of them is not represented",
        threshold=f"holds: in this order at every density, each step more than "
        f"{STANDARD_ERRORS:g} standard errors over the seeds; with a caveat: in this order at "
        f"every density, or each step more than {STANDARD_ERRORS:g} standard errors on the average "
        "of the densities",
        value=f"overlap {_three(means)}; never above independent at "
        f"{int(clear[0].sum())} of {count} densities, independent above always at "
        f"{int(clear[1].sum())} of {count}",
        status=decide(bool(clear.all()), at_every or clear_on_average),
        detail=f"The twin without neurons, relu-output: {_three(twin)}. Its axes mean nothing, so "
        "that its overlap is only how directions happen to lie to them.",
        page=PAGE,
        numbers={
            **{f"overlap_{name.replace(' ', '_')}": float(means[c])
               for c, name in CORRELATIONS.items()},
            "clear_steps": int(clear.sum()),
            "ordered_steps": int((differences > 0).sum()),
        },
    )  # fmt: skip


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
    table["norm"] = np.linalg.norm(view.parameters(table)["W"][:, :, -1], axis=1)
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
    return Claim(
        id="rare-features-are-nearly-free",
        number=15,
        sentence="The rarer a feature that is added, the closer to nothing it costs the popular "
        "ones, and holding it lowers the total loss.",
        source=f"{NOTES}; {PAPER}, Superposition as a Phase Change",
        measurement="relu-output 5 × 4 and 6 × 4, equal importance, five popular densities, best "
        "seed: the loss of the popular features against a model of the same size without the rare "
        "one, in units of one popular feature forgotten; and the total loss against leaving the "
        "rare one out",
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
        detail="",
        page=PAGE,
        numbers={
            "largest_cost_of_the_rarest": float(cost[:, 0].max()),
            "settings": count,
            "settings_where_cost_falls": int(falls.sum()),
            "settings_where_it_pays": int(pays.sum()),
        },
    )


ENTRIES = (
    Entry(13, "sparser-is-more-polysemantic", ("relu-hidden-10x5",), _sparser_is_more_polysemantic),
    Entry(14, "rarely-together-share", ("co-occurrence",), _rarely_together_share),
    Entry(15, "rare-features-are-nearly-free", ("rare-feature",), _rare_features_are_nearly_free),
)
