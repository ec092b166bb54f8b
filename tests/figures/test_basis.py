from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from figures.basis import NAMES, alignment_dots, alignment_table, describe_alignment
from superposition.geometry import haar_rotations
from superposition.rotation import AgainstRotations, alignment_against_rotations

DENSITIES = (1.0, 0.1)


def measured() -> tuple[pd.DataFrame, dict[str, AgainstRotations]]:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        [(family, p, seed) for family in NAMES for p in DENSITIES for seed in range(3)],
        columns=["family", "density", "seed"],
    )
    rotations = haar_rotations(19, 4, rng)
    aligned = np.eye(4, 6) + 0.01 * rng.normal(size=(6, 4, 6))
    models = {"relu-hidden": aligned, "relu-output": haar_rotations(6, 4, rng) @ aligned}
    return rows, {
        family: alignment_against_rotations(W, rotations)[0] for family, W in models.items()
    }


def test_each_model_stands_beside_its_own_rotations() -> None:
    rows, measures = measured()
    table = alignment_table(rows, measures)
    assert len(table) == len(rows)
    own = table[table["name"] == "ReLU layer"]
    measure = measures["relu-hidden"]
    np.testing.assert_allclose(own["value"], measure.value)
    np.testing.assert_allclose(own["chance"], measure.rotated.mean(0))
    inside = (measure.rotated >= own["low"].to_numpy()) & (
        measure.rotated <= own["high"].to_numpy()
    )
    assert inside.mean() == pytest.approx(0.9, abs=0.06)
    assert list(own["density"]) == [1.0] * 3 + [0.1] * 3


def test_the_chart_has_a_dot_for_each_model_and_a_band_for_each_density() -> None:
    table = alignment_table(*measured())
    chart = alignment_dots(table)
    spec = chart.to_dict()
    band, _, dots = (spec["datasets"][layer["data"]["name"]] for layer in spec["layer"])
    assert len(dots) == len(table)
    assert len(band) == len(DENSITIES)
    # The two families stand beside each other, each close to its density.
    for dot in dots:
        assert 0.9 < dot["at"] / dot["density"] < 1.1
        assert (dot["at"] > dot["density"]) == (dot["name"] == "bottleneck")
    assert spec["layer"][2]["encoding"]["x"]["scale"]["reverse"]
    # Nothing is sent that is neither drawn nor told.
    encoding = spec["layer"][2]["encoding"]
    told = {tip["field"] for tip in encoding["tooltip"]} | {"at", "value", "name"}
    assert set(dots[0]) == told
    assert spec["usermeta"]["embedOptions"]["renderer"] == "canvas"


def test_the_description_compares_with_chance() -> None:
    text = describe_alignment(alignment_table(*measured()), "alignment")
    assert "ReLU layer at density 1 1.00, chance" in text
    assert "bottleneck at density 0.1" in text


def test_rows_that_do_not_match_the_measures_are_refused() -> None:
    rows, measures = measured()
    with pytest.raises(ValueError, match="relu-output has 5 rows and 6 measures"):
        alignment_table(rows.iloc[:-1], measures)
