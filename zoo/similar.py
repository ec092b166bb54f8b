"""Which models of a zoo are most like a given setting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from zoo.reading import Zoo

# Another shape is a greater difference than any other data; data whose features depend on each
# other are a greater one than any other density.
_SHAPE, _DEPENDENT = 100.0, 10.0
_SETTING = (
    "grid",
    "n_features",
    "n_hidden",
    "density",
    "importance_decay",
    "correlation",
    "set_size",
    "rare_ratio",
)


def similar_models(
    zoo: Zoo,
    *,
    family: str,
    n_features: int,
    n_hidden: int,
    densities: Sequence[float],
    importance_decay: float,
) -> pd.DataFrame:
    """Every seed of the setting in the zoo that is nearest to this one, the best loss first.

    The family is the same; then the shape counts most, then the densities and the importances,
    as mean differences of their logarithms over the features. Rows as in `Zoo.table`; none if
    the zoo lacks the family.

    densities: P(x_i ≠ 0) of each feature, length n_features.
    """
    table = zoo.table
    table = table[table["family"] == family]
    if table.empty:
        return table
    n, m = table["n_features"].to_numpy(), table["n_hidden"].to_numpy()
    distance = _SHAPE * (np.abs(np.log(n / n_features)) + np.abs(np.log(m / n_hidden)))
    wanted = np.log10(np.asarray(densities, dtype=float))
    density = np.log10(table["density"].to_numpy())
    rare = np.log10(np.clip(table["rare_ratio"].fillna(1.0).to_numpy(dtype=float), 1e-6, 1.0))
    # The last feature is compared with the rare one, if there is one.
    gaps = np.abs(wanted[None, :] - density[:, None])
    gaps[:, -1] = np.abs(wanted[-1] - density - rare)
    decay = np.log10(table["importance_decay"].to_numpy() / importance_decay)
    distance += gaps.mean(1) + np.abs(decay) * (n_features - 1) / 2
    dependent = (table["correlation"] != 0) & (table["set_size"] > 1)
    distance += _DEPENDENT * dependent.to_numpy()
    nearest = table.iloc[[int(np.argmin(distance))]]
    same = np.ones(len(table), dtype=bool)
    for column in _SETTING:
        value = nearest[column].iloc[0]
        same &= (table[column].isna() if pd.isna(value) else table[column] == value).to_numpy()
    return table[same].sort_values("loss", kind="stable").reset_index(drop=True)
