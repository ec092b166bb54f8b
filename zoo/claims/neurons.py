"""Claim 12: neurons that compute more than one pair of them for each feature could."""

from __future__ import annotations

import numpy as np
import pandas as pd

from superposition.claims import Claim, decide
from superposition.neurons import HANDLED, handled, pair_loss
from zoo.claims.entry import NOTES, PAPER, Entry
from zoo.computing import explained_by
from zoo.reading import Zoo

# Chosen before looking; each is quoted in its claim's `threshold`.
SPARSE = 0.1
# What a trained loss may be above a closed form and still count as reaching it.
REACHES = 1.005


def _neurons_compute_in_superposition(zoo: Zoo) -> Claim:
    rows = _best_absolute_value(zoo)
    # With a pair of neurons for every feature there is nothing to pass.
    rows = rows[rows["n_features"] > rows["n_hidden"] // 2]
    sizes = [(size, of_size) for size, of_size in rows.groupby(["n_features", "n_hidden"])]
    # Within a model, the largest share first.
    shares = [-np.sort(-explained_by(zoo, list(of_size["model_id"]))) for _, of_size in sizes]
    rows = rows.assign(
        pairs=rows["n_hidden"] // 2,
        handled=np.concatenate([handled(each).sum(-1) for each in shares]),
        following=np.concatenate(
            [each[:, m // 2] for ((_, m), _), each in zip(sizes, shares, strict=True)]
        ),
    )
    rows["pair_loss"] = [
        pair_loss(row.importance_decay ** np.arange(row.n_features), row.n_hidden, row.density)
        for row in rows.itertuples()
    ]
    passes = rows["handled"] > rows["pairs"]
    sparse = rows["density"] <= SPARSE * (1 + 1e-9)
    dense = rows["density"] == 1.0
    dense_within = bool((~passes[dense]).all())
    somewhere = all(passes[of_size.index].any() for _, of_size in sizes)
    missed = rows[rows["loss"] > REACHES * rows["pair_loss"]]
    short = rows[sparse & ~passes]
    return Claim(
        id="neurons-compute-in-superposition",
        number=12,
        sentence="Absolute-value models handle more features than m/2, which is what one pair of "
        "neurons for each feature allows.",
        source=f"{NOTES}; {PAPER}, Computation in Superposition",
        measurement="absolute-value models with more features than pairs of neurons (6 × 10, "
        "100 × 40), best seed at each density: the features whose output explains at least "
        f"{HANDLED:.0%} of the variance of |xᵢ|, midway between half a V and a whole one",
        threshold=f"holds: more than m/2 at every density up to {SPARSE:g}, in every size, and no "
        "more at density 1; with a caveat: more at some density, in every size",
        value="; ".join(
            f"{n} × {m}: {of_size['handled'].iloc[0]} features at density "
            f"{of_size['density'].iloc[0]:g}, then "
            + ", ".join(
                f"{count} at {p:g}"
                for count, p in zip(of_size["handled"][1:], of_size["density"][1:], strict=True)
            )
            + f" (m/2 = {m // 2})"
            for (n, m), of_size in rows.groupby(["n_features", "n_hidden"])
        ),
        status=decide(bool(passes[sparse].all()) and dense_within, somewhere),
        detail=_why_not(short, missed),
        page="pages/two_kinds.py",
        numbers={
            "sparse_models": int(sparse.sum()),
            "sparse_models_that_pass": int(passes[sparse].sum()),
            "models_worse_than_pairs": len(missed),
            "most_per_pair": float((rows["handled"] / rows["pairs"]).max()),
        },
        plainly=""
        if not len(short)
        else f"On sparse data {int(passes[sparse].sum())} of {int(sparse.sum())} networks pass "
        "m/2; the others, on the least sparse of it, do not."
        if passes[sparse & (rows["density"] < short["density"].min())].all()
        else f"On sparse data {int(passes[sparse].sum())} of {int(sparse.sum())} networks pass "
        "m/2.",
    )


def _why_not(short: pd.DataFrame, missed: pd.DataFrame) -> str:
    """What is known of the sparse models that do not pass m/2, in words."""
    if not len(short):
        return ""

    def named(rows: pd.DataFrame, *, following: bool = False) -> str:
        return ", ".join(
            f"{row.n_features} × {row.n_hidden} at density {row.density:g}"
            + (f" (the next feature's output explains {row.following:.1%})" if following else "")
            for row in rows.itertuples()
        )

    text = f"Not passed: {named(short, following=True)}."
    worse = missed[missed.index.isin(short.index)]
    if len(worse):
        text += (
            f" Not part of the decision: {named(worse)} has a higher loss than the closed form "
            "with one pair for each of the m/2 most important features, which any of these "
            "networks could be. There the few seeds say more about training than about what fits."
        )
    return text


def _best_absolute_value(zoo: Zoo) -> pd.DataFrame:
    """The best seed of each size and density, dense data first."""
    rows = zoo.grid("absolute-value").select(family="absolute-value", best_of_seeds=True)
    order = ["n_features", "n_hidden", "density"]
    return rows.sort_values(order, ascending=[True, True, False], ignore_index=True)


ENTRIES = (
    Entry(
        12,
        "neurons-compute-in-superposition",
        ("absolute-value",),
        _neurons_compute_in_superposition,
    ),
)
