from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from figures.packing import (
    ACTIVE,
    DENSITY,
    DIMENSION,
    KEPT,
    MOVED,
    OPTIMISED,
    RANDOM,
    WELCH,
    coherence_chart,
    count_lines,
    count_readings,
    describe_coherence_chart,
    describe_count_lines,
    describe_distance_scatter,
    describe_outside_lines,
    describe_reader_lines,
    describe_reading_histogram,
    distance_scatter,
    outside_lines,
    reader_lines,
    reading_histogram,
)
from figures.theme import format_number
from superposition.packing import growth_fit, ratios_by_dimension, share_outside, squared_distances

DIMENSIONS = [2, 5, 20]


def spec_of(chart: alt.LayerChart) -> dict[str, Any]:
    return dict(chart.to_dict())


def slider_of(spec: dict[str, Any], name: str) -> dict[str, Any]:
    (slider,) = (p for p in spec["params"] if p["name"] == name)
    return dict(slider)


def datasets(spec: dict[str, Any]) -> list[list[dict[str, Any]]]:
    return list(spec["datasets"].values())


@pytest.fixture
def projected() -> tuple[np.ndarray, np.ndarray]:
    """Distances of six points and all their ratios, up to twenty dimensions."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 30))
    return np.sqrt(squared_distances(points)), ratios_by_dimension(points, 20, rng)


def test_the_scatter_holds_every_pair_at_every_dimension(
    projected: tuple[np.ndarray, np.ndarray],
) -> None:
    distances, ratios = projected
    at = ratios[np.array(DIMENSIONS) - 1]
    spec = spec_of(distance_scatter(distances, at, DIMENSIONS, 0.4, 1))
    slider = slider_of(spec, DIMENSION)
    assert slider["value"] == [{"step": 1}]
    assert slider["bind"]["step"]["max"] == 2
    rows = next(rows for rows in datasets(spec) if "r0" in rows[0])
    assert len(rows) == 15
    # What is no plain value does not reach the browser.
    assert all(isinstance(value, int | float) for row in rows for value in row.values())
    for step in range(3):
        after = [row[f"r{step}"] ** 2 for row in rows]
        np.testing.assert_allclose(after, at[step], atol=1e-3)
    outside = [int(np.sum(np.abs(row - 1) > 0.4)) for row in at]
    title = spec["title"]["text"]["expr"]
    for m, bad in zip(DIMENSIONS, outside, strict=True):
        assert f'"m = {m} dimensions", "{bad} of 15 pairs outside 1 ± 0.4"' in title
    text = describe_distance_scatter(at, DIMENSIONS, 0.4)
    assert f"{outside[0]} pairs in 2 dimensions and {outside[2]} in 20" in text


def test_the_band_is_that_of_squared_distances(
    projected: tuple[np.ndarray, np.ndarray],
) -> None:
    distances, ratios = projected
    spec = spec_of(distance_scatter(distances, ratios[:3], DIMENSIONS, 0.4, 0))
    band = next(rows for rows in datasets(spec) if "low" in rows[0])
    assert band[1]["low"] / band[1]["d"] == pytest.approx(math.sqrt(0.6))
    assert band[1]["high"] / band[1]["d"] == pytest.approx(math.sqrt(1.4))
    assert band[1]["d"] >= distances.max()


def test_a_scatter_of_the_wrong_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"expected \(3, 4\)"):
        distance_scatter(np.ones(4), np.ones((2, 4)), DIMENSIONS, 0.4, 0)


@pytest.mark.parametrize("enough", [12, None])
def test_outside_lines_mark_the_lemma_and_what_is_enough(
    projected: tuple[np.ndarray, np.ndarray], enough: int | None
) -> None:
    measured = share_outside(projected[1], 0.4)
    spec = spec_of(outside_lines(measured, measured * 0.9, enough, 20))
    marks = next(rows for rows in datasets(spec) if "text" in rows[0])
    texts = {row["m"]: row["text"] for row in marks}
    assert texts[20] == "the lemma asks for 20"
    assert (texts.get(12) == "12 are enough here") == (enough is not None)
    assert len(texts) == (1 if enough is None else 2)
    lines = next(rows for rows in datasets(spec) if "share" in rows[0])
    drawn = {row["m"]: row["share"] for row in lines if row["line"] == "this draw"}
    assert {1, 20} <= set(drawn)
    for m, share in drawn.items():
        assert share == pytest.approx(100 * measured[m - 1])
    text = describe_outside_lines(measured, enough, 20)
    assert ("From 12 dimensions on" in text) == (enough is not None)
    assert "the lemma asks for 20" in text


def test_count_lines_show_each_way_and_each_fit() -> None:
    m = np.array([4, 8, 12])
    counts = {
        KEPT: pd.DataFrame({"m": m, "count": 2.0 ** (m / 2)}),
        MOVED: pd.DataFrame({"m": m[:2], "count": [7, 30]}),
    }
    fit = growth_fit(m, 2.0 ** (m / 2))
    curves = {"exponential": np.stack([m, fit.count(m)], axis=1)}
    welch = pd.DataFrame({"m": [1, 2, 3], "count": [1.0, 3.0, 9.0]})
    spec = spec_of(count_lines(counts, curves, welch))
    dots = next(rows for rows in datasets(spec) if "way" in rows[0])
    assert [(r["m"], r["count"]) for r in dots if r["way"] == MOVED] == [(4, 7.0), (8, 30.0)]
    lines = next(rows for rows in datasets(spec) if "line" in rows[0])
    assert {row["line"] for row in lines} == {"exponential", "most, by the Welch bound"}
    scales = [layer["encoding"]["y"]["scale"] for layer in spec["layer"]]
    assert all(scale["type"] == "log" and scale["domain"][1] >= 64 for scale in scales)
    text = describe_count_lines(counts, 0.5)
    assert f"{KEPT}: 4 in 4 dimensions, 64 in 12" in text


def test_the_coherence_chart_sifts_its_models_by_density() -> None:
    learned = pd.DataFrame(
        {
            "step": [0, 1, 1],
            "load": [0.5, 1.0, 2.0],
            "value": [0.1, 0.4, 1.0],
            "label": ["a", "b", "c"],
            "model_id": ["x", "y", "z"],
        }
    )
    lines = pd.DataFrame(
        [
            (load, value, line)
            for line, values in ((RANDOM, (0.7, 0.9)), (OPTIMISED, (0.2, 0.5)), (WELCH, (0.1, 0.4)))
            for load, value in zip((1.0, 2.0), values, strict=True)
        ],
        columns=["load", "value", "line"],
    )
    spec = spec_of(coherence_chart(learned, lines, [1.0, 0.01], 1, WELCH, "largest |cos|"))
    assert slider_of(spec, DENSITY)["bind"]["step"]["max"] == 1
    assert "density p = 0.01" in spec["title"]["text"]["expr"]
    assert any(f"{DENSITY}_step" in str(layer.get("transform")) for layer in spec["layer"])
    domains = [layer["encoding"]["y"]["scale"]["domain"] for layer in spec["layer"]]
    assert domains[0] == domains[1]
    assert domains[0][0] == 0
    text = describe_coherence_chart(learned, lines, [1.0, 0.01], 4)
    assert "At density 0.01 the 2 models lie between 0.4 and 1" in text
    assert "random directions between 0.7 and 0.9" in text
    below = lines.assign(value=lines["value"] - 0.8)
    spec = spec_of(coherence_chart(learned, below, [1.0, 0.01], 0, WELCH, "largest cos"))
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"][0] == -1


def test_the_histogram_counts_every_reading() -> None:
    rng = np.random.default_rng(0)
    readings = {
        1: (np.ones((30, 1)), rng.normal(0, 0.1, (30, 9))),
        4: (rng.normal(1, 0.5, (30, 4)), rng.normal(0, 9.0, (30, 6))),
    }
    counts = {k: count_readings(*values) for k, values in readings.items()}
    for k, (on, off) in readings.items():
        assert (counts[k].on.sum(), counts[k].off.sum()) == (on.size, off.size)
    spec = spec_of(reading_histogram(counts, {1: 0.0, 4: 0.5}, 10, 1))
    assert slider_of(spec, ACTIVE)["value"] == [{"step": 1}]
    bars, outlines, words = (spec["datasets"][layer["data"]["name"]] for layer in spec["layer"])
    for step in (0, 1):
        for feature in ("on, should read 1", "off, should read 0"):
            own, corners = (
                [r for r in rows if r["step"] == step and r["feature"] == feature]
                for rows in (bars, outlines)
            )
            assert max(bar["share"] for bar in own) == 100
            assert all(-3 <= bar["left"] < bar["right"] <= 4 for bar in own)
            # The outline goes over the bars, and down to 0 after the last.
            heights = {corner["left"]: corner["share"] for corner in corners}
            assert {bar["left"]: bar["share"] for bar in own}.items() <= heights.items()
            assert heights[max(heights)] == 0
            assert max(heights) == max(bar["right"] for bar in own)
    # Alone, a feature reads exactly 1.
    (bar,) = (r for r in bars if r["step"] == 0 and r["feature"] == "on, should read 1")
    assert bar["left"] <= 1 < bar["right"]
    assert '"4 of 10 features on"' in spec["title"]["text"]["expr"]
    sampled = format_number(float(np.std(readings[4][0])), 2)
    assert f"= 0.5,\nsampled {sampled}" in words[1]["text"]
    assert "from 0 with 1 on to 0.5 with 4 on" in describe_reading_histogram({1: 0, 4: 0.5}, 10, 3)


def test_reader_lines_are_computed_and_dots_sampled() -> None:
    table = pd.DataFrame(
        {
            "active": [1, 8, 1, 8],
            "reader": ["linear", "linear", "ReLU", "ReLU"],
            "error": [0.9, 0.9, 0.0, 0.6],
            "sampled": [0.91, 0.88, 0.0, 0.61],
        }
    )
    spec = spec_of(reader_lines(table))
    assert [layer["encoding"]["y"]["field"] for layer in spec["layer"]] == ["error", "sampled"]
    text = describe_reader_lines(table)
    assert "linear from 90% with 1 on to 90% with 8 on" in text
    assert "ReLU from 0% with 1 on to 60% with 8 on" in text
