from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
import pytest

from figures.stream import (
    CHANGED,
    LOST,
    MOST_POINTS,
    UNCHANGED,
    change_table,
    describe_changes,
    describe_scatter,
    describe_stream,
    output_scatter,
    stream_diagram,
    verdict,
)

PARTS = (("V₁", "V₂"), ("block",), ("A₁", "A₂"))


def rows(chart: alt.LayerChart, layer: int = 0) -> pd.DataFrame:
    return chart.layer[layer].data if chart.data is alt.Undefined else chart.data


@pytest.mark.parametrize("step", [False, True])
def test_every_write_and_read_passes_its_matrix(step: bool) -> None:
    chart = stream_diagram(*PARTS, "R", "Rᵀ", step)
    table = rows(chart)
    chips = list(table[table["kind"] == "chip"]["text"])
    # Two writers and the block's own write; the block's read and two readers.
    assert (chips.count("R"), chips.count("Rᵀ")) == (3, 3)
    assert set(table[table["kind"] == "box"]["text"]) == {"V₁", "V₂", "block", "A₁", "A₂"}
    assert (table["kind"] == "step").sum() == step
    at = table[table["kind"] == "chip"]["at"]
    assert at.is_unique
    assert at.between(0.05, 0.95).all()
    if step:
        (here,) = table[table["kind"] == "step"]["at"]
        readers = table[(table["kind"] == "box") & table["text"].isin(["A₁", "A₂"])]["at"]
        assert at[table["text"] == "R"].max() < here < readers.min()
    assert chart.to_dict()["height"] > 150


def test_the_diagram_in_words() -> None:
    plain = describe_stream(*PARTS, "R", "R⁻¹")
    assert "2 maps write into it, each through R" in plain
    assert "2 maps read from it, each through R⁻¹" in plain
    assert "ReLU acts" not in plain
    assert "ReLU acts on every coordinate" in describe_stream(*PARTS, "R", "R⁻¹", True)
    assert "block" not in describe_stream(("W",), (), ("Wᵀ",), "R", "R⁻¹")


def test_outputs_are_drawn_after_against_before() -> None:
    rng = np.random.default_rng(0)
    before = [rng.normal(size=(7, 3)), rng.normal(size=(7, 2))]
    after = [before[0] + 1, before[1]]
    chart = output_scatter(before, after, ("A₁", "A₂"))
    dots = rows(chart, 1)
    assert len(dots) == 7 * 5
    first = dots[dots["reader"] == "A₁"]
    np.testing.assert_allclose(first["after"] - first["before"], 1, atol=2e-4)
    # Both axes reach from end to end of the line, and it past all dots.
    ends = rows(chart, 0)
    assert list(ends["before"]) == list(ends["after"])
    assert ends["before"].min() < dots[["before", "after"]].min().min()
    assert ends["before"].max() > dots[["before", "after"]].max().max()
    spec = chart.to_dict()
    for axis in "xy":
        assert all("domain" not in layer["encoding"][axis]["scale"] for layer in spec["layer"])
    # Other outputs differ in the data alone.
    other = output_scatter(after, before, ("A₁", "A₂")).to_dict()
    assert [layer["encoding"] for layer in other["layer"]] == [
        layer["encoding"] for layer in spec["layer"]
    ]


def test_many_outputs_are_thinned_and_equal_ones_still_have_a_scale() -> None:
    many = np.random.default_rng(1).normal(size=(900, 4))
    assert len(rows(output_scatter([many], [many], ("A",)), 1)) <= MOST_POINTS
    none = np.zeros((3, 2))
    low, high = rows(output_scatter([none], [none], ("A",)), 0)["before"]
    assert low < high


@pytest.mark.parametrize(
    ("change", "meaning"), [(0.0, UNCHANGED), (4e-13, UNCHANGED), (1e-6, LOST), (0.4, CHANGED)]
)
def test_what_a_change_means_depends_on_the_outputs(change: float, meaning: str) -> None:
    assert verdict(change, 1.0) == meaning
    assert verdict(change * 50, 50.0) == meaning


def test_the_table_of_all_matrices() -> None:
    changes = {
        "rotation": {"R⁻¹": (1e-15, 1.0), "R⁻¹, ReLU": (0.5, 1.0)},
        "nearly singular": {"R⁻¹": (1e-6, 1.0), "R⁻¹, ReLU": (7.0, 1.0)},
    }
    chart = change_table(changes)
    table = rows(chart).set_index(["kind", "way"])
    assert table.loc[("rotation", "R⁻¹"), "text"] == "✓ 1×10⁻¹⁵"
    assert table.loc[("rotation", "R⁻¹, ReLU"), "text"] == "✗ 0.5"
    assert table.loc[("nearly singular", "R⁻¹"), "text"] == "≈ 1×10⁻⁶"
    assert chart.to_dict()["layer"][0]["encoding"]["y"]["sort"] == list(changes)
    assert describe_changes(changes).endswith("R⁻¹: rotation; R⁻¹, ReLU: none.")


def test_the_scatter_in_words() -> None:
    assert "every point lies on the diagonal" in describe_scatter(1e-15, 2.0)
    assert "by up to 0.5, where the largest output is 2" in describe_scatter(0.5, 2.0)
