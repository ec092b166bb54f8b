"""The zoo's nearest setting: shape before data, and every seed of it, best first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zoo import Zoo
from zoo.similar import similar_models


def nearest(zoo: Zoo, **changes: Any) -> Any:
    asked: dict[str, Any] = {
        "family": "relu-output",
        "n_features": 5,
        "n_hidden": 2,
        "densities": (0.1,) * 5,
        "importance_decay": 0.9,
    } | changes
    return similar_models(zoo, **asked)


def test_the_same_setting_is_the_nearest_and_the_best_seed_comes_first(zoo: Zoo) -> None:
    rows = nearest(zoo)
    assert sorted(rows["seed"]) == [0, 1, 2]
    assert set(rows["density"]) == {0.1}
    assert set(rows["grid"]) == {"tiny-bottleneck"}
    assert (np.diff(rows["loss"]) >= 0).all()


@pytest.mark.parametrize(
    ("density", "found"), [(0.5, 1.0), (0.2, 0.1), (0.02, 0.1), (0.005, 0.001)]
)
def test_densities_are_compared_by_their_logarithms(zoo: Zoo, density: float, found: float) -> None:
    assert nearest(zoo, densities=(density,) * 5)["density"].iloc[0] == found


def test_shape_counts_more_than_data(zoo: Zoo) -> None:
    rows = nearest(zoo, n_features=4, n_hidden=3, densities=(0.1,) * 4)
    assert (rows["n_features"].iloc[0], rows["n_hidden"].iloc[0]) == (4, 3)
    rows = nearest(zoo, n_features=19, n_hidden=8, densities=(0.1,) * 19)
    assert (rows["n_features"].iloc[0], rows["n_hidden"].iloc[0]) == (4, 3)


def test_a_rare_last_feature_finds_the_rare_models(zoo: Zoo) -> None:
    rows = nearest(
        zoo, n_features=3, n_hidden=2, densities=(0.2, 0.2, 0.0002), importance_decay=1.0
    )
    assert set(rows["grid"]) == {"tiny-rare"}
    assert set(rows["rare_ratio"]) == {0.001}


def test_features_that_depend_on_each_other_come_last(zoo: Zoo) -> None:
    rows = nearest(zoo, family="relu-hidden", n_features=4, densities=(0.2,) * 4)
    assert set(rows["correlation"]) == {0.0}


def test_a_family_the_zoo_lacks_finds_nothing(zoo: Zoo) -> None:
    assert nearest(zoo, family="gelu").empty
