from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from figures.basis import (
    DOTS,
    NAMES,
    alignment_dots,
    alignment_table,
    describe_alignment,
    describe_weight_maps,
    weight_maps,
)
from figures.theme import format_number
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


def both_measures() -> dict[str, pd.DataFrame]:
    one = alignment_table(*measured())
    return {"alignment": one, "kurtosis": one.assign(value=5 * one["value"], chance=2.0, low=1.0)}


TITLES = {"alignment": "Alignment: mean |cos|", "kurtosis": "Kurtosis"}


def test_the_chart_has_a_dot_for_each_model_and_a_band_for_each_density() -> None:
    tables = both_measures()
    spec = alignment_dots(tables, TITLES, "kurtosis").to_dict()
    band, _, dots = (spec["datasets"][layer["data"]["name"]] for layer in spec["layer"])
    assert len(dots) == len(tables["alignment"])
    assert len(band) == len(DENSITIES)
    # The two families stand beside each other, each close to its density.
    for dot in dots:
        assert 0.9 < dot["at"] / dot["density"] < 1.1
        assert (dot["at"] > dot["density"]) == (dot["name"] == "bottleneck")
    assert spec["layer"][2]["encoding"]["x"]["scale"]["reverse"]
    # Nothing is sent that is neither drawn nor told.
    encoding = spec["layer"][2]["encoding"]
    told = {tip["field"] for tip in encoding["tooltip"]} | {"at", "value", "name"}
    moved = {f"{column}_{name}" for column in ("value", "chance", "p") for name in tables}
    assert set(dots[0]) == told - {"value", "chance", "p"} | moved
    assert spec["usermeta"]["embedOptions"]["renderer"] == "canvas"


def test_the_reader_chooses_a_measure_and_dots_and_band_are_its_own() -> None:
    tables = both_measures()
    spec = alignment_dots(tables, TITLES, "kurtosis").to_dict()
    (choice,) = spec["params"]
    assert choice["value"] == [{"measure": "kurtosis"}]
    assert choice["bind"]["measure"]["options"] == list(tables)
    assert TITLES["kurtosis"] in spec["title"]["text"]["expr"]
    band, _, dots = (spec["datasets"][layer["data"]["name"]] for layer in spec["layer"])
    for name, table in tables.items():
        np.testing.assert_allclose([dot[f"value_{name}"] for dot in dots], table["value"].round(4))
        means = table.groupby("density")["low"].mean()
        np.testing.assert_allclose([row[f"low_{name}"] for row in band], means.round(4))
        assert [row["at"] for row in band] == list(means.index)
    shown = {step["as"]: step["calculate"] for step in spec["layer"][2]["transform"]}
    assert shown["value"] == f"datum['value_' + {DOTS}_measure]"


def test_measures_of_other_models_are_refused() -> None:
    tables = both_measures()
    tables["kurtosis"] = tables["kurtosis"].iloc[::-1].reset_index(drop=True)
    with pytest.raises(ValueError, match="have other models"):
        alignment_dots(tables, TITLES, "alignment")


# The weights.


def maps(count: int = 3) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(4)
    sweeps = {
        "bottleneck": rng.uniform(-0.9, 0.9, (count, 2, 6)),
        "ReLU layer": 10 * rng.normal(size=(count, 2, 6)),
    }
    R = haar_rotations(1, 2, rng)[0]
    return sweeps, {name: R @ W for name, W in sweeps.items()}


ROWS = {"bottleneck": "axis", "ReLU layer": "neuron"}
LABELS = ["density 1", "density 0.1", "density 0.01"]


def test_each_cell_has_its_weight_at_each_density_as_it_is_and_turned() -> None:
    sweeps, turned = maps()
    chart = weight_maps(sweeps, turned, LABELS, ROWS, 1, is_turned=True)
    spec = chart.to_dict()
    (moves,) = spec["params"]
    assert moves["value"] == [{"step": 1, "turned": True}]
    (table,) = spec["datasets"].values()
    for name in sweeps:
        cells = [row for row in table if row["kind"] == "cell" and row["model"] == name]
        cells.sort(key=lambda row: (row["row"], row["column"]))
        (head,) = (row for row in table if str(row.get("title0")) == name)
        for mark, weights in (("", sweeps[name]), ("t", turned[name])):
            for step, W in enumerate(weights):
                told = [row[f"v{mark}{step}"] for row in cells]
                np.testing.assert_allclose(told, W.ravel(), atol=1e-3)
                # The strongest colour is that of the largest weight, or of 1.
                reach = max(1.0, float(np.abs(W).max()))
                shades = [row[f"c{mark}{step}"] for row in cells]
                np.testing.assert_allclose(shades, W.ravel() / reach, atol=1e-3)
                assert head[f"reach{mark}{step}"] == format_number(reach, 2)
    assert head["titlet0"] == "ReLU layer, turned"
    assert "a neuron" in head["text"]


def test_maps_lie_above_each_other_on_the_chart() -> None:
    sweeps, turned = maps()
    chart = weight_maps(sweeps, turned, LABELS, ROWS, 0)
    (table,) = chart.to_dict()["datasets"].values()
    at = {
        name: {row["y"] for row in table if row["kind"] == "cell" and row["model"] == name}
        for name in sweeps
    }
    assert max(at["bottleneck"]) < min(at["ReLU layer"])
    assert all(0 <= row["y"] <= chart.height for row in table)


def test_weights_of_other_shapes_are_refused() -> None:
    sweeps, turned = maps(count=2)
    with pytest.raises(ValueError, match=r"expected one shape, \(F, m, n\) with F = 3"):
        weight_maps(sweeps, turned, LABELS, ROWS, 0)


def test_the_maps_are_told_in_words() -> None:
    W = np.array([[1.0, 0.0], [0.0, -0.25]])
    text = describe_weight_maps({"ReLU layer": W}, "density p = 1")
    assert "at density p = 1" in text
    assert "ReLU layer: values from −0.25 to 1, 1 of 4 above half of the largest" in text


def test_the_description_compares_with_chance() -> None:
    text = describe_alignment(alignment_table(*measured()), "alignment")
    assert "ReLU layer at density 1 1.00, chance" in text
    assert "bottleneck at density 0.1" in text


def test_rows_that_do_not_match_the_measures_are_refused() -> None:
    rows, measures = measured()
    with pytest.raises(ValueError, match="relu-output has 5 rows and 6 measures"):
        alignment_table(rows.iloc[:-1], measures)
