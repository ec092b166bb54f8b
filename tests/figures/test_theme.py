"""Marks that carry data can be told from the page, in both themes, with their opacity."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from figures import basis, dimensionality, packing, sparsity, stream, turning
from figures.theme import (
    CANVAS_TEXT,
    DARK_BACKGROUND,
    FAMILY_COLOURS,
    LIGHT_BACKGROUND,
    PAGE_TEXT,
    contrast,
    feature_colours,
)

PAGES = (LIGHT_BACKGROUND, DARK_BACKGROUND)
GREY = FAMILY_COLOURS["linear"]


def blended(colour: str, opacity: float, background: str) -> str:
    """What a colour of this opacity looks like on a background."""
    mixed = (
        opacity * int(colour[i : i + 2], 16) + (1 - opacity) * int(background[i : i + 2], 16)
        for i in (1, 3, 5)
    )
    return "#" + "".join(f"{round(value):02x}" for value in mixed)


def colours_of(layer: dict[str, Any], rows: list[dict[str, Any]]) -> set[str]:
    """Every colour that a layer gives its marks: by itself, a scale, a condition, or the data."""
    found: set[Any] = set()
    for channel in ("color", "fill", "stroke"):
        found.add(layer["mark"].get(channel))
        encoding = layer["encoding"].get(channel, {})
        scale = encoding.get("scale") or {}
        condition = encoding.get("condition", {})
        found |= {encoding.get("value"), condition.get("value"), *scale.get("range", [])}
        if "field" in encoding and encoding.get("scale", {}) is None:
            found |= {row.get(encoding["field"]) for row in rows}
    return {colour for colour in found if isinstance(colour, str) and colour.startswith("#")}


def marks_of(chart: alt.LayerChart) -> Iterator[tuple[str, set[str], float]]:
    """Kind, colours and opacity of each layer whose marks carry data and can be seen.

    A layer of areas or rectangles is seen by its stroke or by what is drawn over it, and
    rules only connect; words are not marks.
    """
    spec = chart.to_dict()
    rows = [row for table in spec["datasets"].values() for row in table]
    for layer in spec["layer"]:
        mark = layer["mark"]
        opacity = mark.get("opacity", 0.7)  # Vega-Lite's own for points, which lines do not have.
        if mark["type"] == "line":
            opacity = mark.get("opacity", 1)
        if mark["type"] in ("circle", "point", "line", "square") and opacity > 0:
            yield mark["type"], colours_of(layer, rows), opacity


def angles(high: float) -> np.ndarray:
    return np.linspace(0.1, high, len(turning.DEGREES))


def charts() -> dict[str, alt.LayerChart]:
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, 2, 8))
    models = pd.DataFrame(
        {
            "density": [1.0, 0.2, 0.01],
            "features_represented": [2, 4, 5],
            "n_features": 5,
            "best_of_seeds": True,
        }
    )
    points = {
        name: [(rng.normal(size=(20, 2)), rng.integers(0, 8, 20))]
        for name in (turning.BOTTLENECK, turning.NEURONS)
    }
    losses = {turning.BOTTLENECK: angles(0.1)[None], turning.NEURONS: angles(2.0)[None]}
    aligned = pd.DataFrame(
        [
            {"name": name, "density": p, "seed": 0}
            | dict.fromkeys(("value", "chance", "low", "high", "p"), 0.5)
            for name in basis.NAMES.values()
            for p in (1.0, 0.1)
        ]
    )
    share = np.linspace(1, 0, 20)
    learned = pd.DataFrame(
        {"step": [0], "load": [1.0], "value": [0.5], "label": ["a"], "model_id": ["a"]}
    )
    lines = pd.DataFrame(
        {"load": [1.0] * 3, "value": [0.2] * 3, "line": ["random", "optimised", "Welch bound"]}
    )
    counts = {
        name: pd.DataFrame({"m": [2, 3], "count": [3, 6]}) for name in list(packing.STYLES)[:5]
    }
    fits = {"exponential": np.ones((3, 2)), "power": np.ones((3, 2))}
    out = [rng.normal(size=(10, 2))] * 2
    return {
        "threshold": sparsity.threshold_chart(sparsity.threshold_rows(), 0.8, 0.1),
        "represented": sparsity.represented_chart(models),
        "alignment": basis.alignment_dots({"one": aligned}, {"one": "Alignment"}, "one"),
        "turning": turning.turning_chart(losses, points, ["a model"], (0, 1), 8, (0, 0)),
        "seeds": turning.seeds_chart(W[None], W[None], [(1, 2, 3)], 0.05, [1.0], 0),
        "outputs": stream.stream_chart(
            ["V"], ["block"], ["A₁", "A₂"], "R", "R⁻¹", [(out, out)] * 2, [(0.0, 1.0)] * 2, "1"
        ),
        "distances": packing.distance_scatter(np.ones(4), np.ones((2, 4)), [2, 9], 0.3, 0),
        "outside": packing.outside_lines(share, share, 9, 15),
        "counts": packing.count_lines(counts, fits, pd.DataFrame({"m": [1, 2], "count": [1, 3]})),
        "coherence": packing.coherence_chart(learned, lines, [1.0], 0, "Welch bound", "largest"),
        "histogram": packing.reading_histogram(
            {4: packing.count_readings(rng.normal(size=(30, 4)), rng.normal(size=(30, 6)))},
            {4: 0.5},
            10,
            0,
        ),
        "dimensionality": dimensionality.dimensionality_dots([1.0, 0.1, 0.01], W),
    }


CHARTS = charts()


def test_the_colours_of_the_page_are_those_of_the_app() -> None:
    settings = tomllib.loads(Path(".streamlit/config.toml").read_text())["theme"]
    assert tuple(settings[name]["backgroundColor"] for name in ("light", "dark")) == PAGES
    assert tuple(settings[name]["textColor"] for name in ("light", "dark")) == PAGE_TEXT


@pytest.mark.parametrize("count", [1, 8, 9, 20, 64])
def test_features_can_be_told_from_both_pages(count: int) -> None:
    for colour in feature_colours(count):
        assert min(contrast(colour, page) for page in PAGES) >= 3


@pytest.mark.parametrize("name", CHARTS)
def test_marks_can_be_told_from_both_pages(name: str) -> None:
    marks = list(marks_of(CHARTS[name]))
    assert marks
    for kind, colours, opacity in marks:
        assert colours, f"a layer of {kind}s has no colour of its own"
        for colour in colours:
            for page in PAGES:
                assert contrast(blended(colour, opacity, page), page) >= 3, (kind, colour, page)


@pytest.mark.parametrize(
    ("name", "opacity"), [("alignment", basis.BAND), ("distances", packing.BAND)]
)
def test_dots_can_be_told_from_the_band_they_lie_on(name: str, opacity: float) -> None:
    (area,) = (
        layer["mark"]
        for layer in CHARTS[name].to_dict()["layer"]
        if layer["mark"]["type"] == "area"
    )
    assert (area["fillOpacity"], area["stroke"]) == (opacity, GREY)
    dots = [colours for kind, colours, _ in marks_of(CHARTS[name]) if kind == "circle"]
    for colour in set().union(*dots):
        for page in PAGES:
            assert contrast(colour, blended(GREY, opacity, page)) >= 3


def test_lines_that_only_connect_are_quieter_but_can_be_seen() -> None:
    for colour in feature_colours(20):
        for page in PAGES:
            assert (
                1.9 <= contrast(blended(colour, turning.QUIET, page), page) < contrast(colour, page)
            )


def test_words_on_canvas_are_as_strong_on_both_pages() -> None:
    light, dark = (contrast(CANVAS_TEXT, page) for page in PAGES)
    assert min(light, dark) >= 4.2
