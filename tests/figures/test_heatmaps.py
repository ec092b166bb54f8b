from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import altair as alt
import numpy as np
import pytest

from figures.heatmaps import (
    INTERFERENCE_COLOURS,
    MOST_CELLS_DRAWN,
    SLIDER,
    describe_heatmaps,
    heatmaps,
    map_picture,
)
from figures.theme import DARK_BACKGROUND, DIVERGING, LIGHT_BACKGROUND, contrast

DENSITIES = [1.0, 0.1, 0.01]


def sweep(n: int, m: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(DENSITIES), m, n)) / np.sqrt(m)


def rows(chart: alt.LayerChart) -> Any:
    return chart.layer[0].data if chart.data is alt.Undefined else chart.data


def test_the_specification_is_valid_and_starts_where_told() -> None:
    chart = heatmaps({"ReLU": sweep(6), "linear": sweep(6, seed=1)}, DENSITIES, 1)
    spec = chart.to_dict()
    (slider,) = (p for p in spec["params"] if p["name"] == SLIDER)
    assert slider["value"] == [{"step": 1}]
    assert slider["bind"]["step"] == {
        "input": "range",
        "min": 0,
        "max": 2,
        "step": 1,
        "name": "density, from dense to sparse",
    }


def test_all_layers_share_one_data_set() -> None:
    assert len(heatmaps({"ReLU": sweep(6)}, DENSITIES, 0).to_dict()["datasets"]) == 1


def by_step(table: Any, quantity: str) -> np.ndarray:
    """(F, rows): what the marks are given at each density."""
    return np.stack([table[f"{quantity}{step}"].to_numpy() for step in range(len(DENSITIES))])


def test_cells_are_the_products_of_directions() -> None:
    W = sweep(6)
    table = rows(heatmaps({"ReLU": W}, DENSITIES, 0))
    cells = table[table["kind"] == "cell"]
    gram = np.einsum("fki,fkj->fij", W, W)
    # Two decimals, as a reader sees who points at a cell.
    np.testing.assert_allclose(by_step(cells, "value").reshape(3, 6, 6), gram, atol=0.005001)
    np.testing.assert_array_equal(cells["i"].to_numpy().reshape(6, 6)[:, 0], np.arange(1, 7))
    np.testing.assert_array_equal(cells["y0"] + 1, cells["i"])


def test_marks_stay_the_same_while_the_slider_moves() -> None:
    table = rows(heatmaps({"ReLU": sweep(6), "linear": sweep(6, seed=1)}, DENSITIES, 0))
    assert (table["kind"] == "cell").sum() == 2 * 6 * 6
    assert (table["kind"] == "bar").sum() == 2 * 6


@pytest.mark.parametrize("n", [2, 5, 20, 80])
def test_the_edges_of_a_map_are_numbered_and_named(n: int) -> None:
    table = rows(heatmaps({"ReLU": sweep(n)}, DENSITIES, 0))
    words = table[table["kind"].isin(["across", "down"])].dropna(subset="words")
    titles = {"feature j, leaking in", "feature i, read back"}
    assert titles <= set(words["words"])
    numbers = words[~words["words"].isin(titles)]
    below = numbers[numbers["y0"] > n]
    beside = numbers[numbers["x0"] < 0]
    assert len(below) == len(beside) == len(numbers) / 2 <= 8
    np.testing.assert_allclose(below["x0"] + 0.5, below["words"].astype(int))
    np.testing.assert_allclose(beside["y0"] + 0.5, beside["words"].astype(int))
    assert {1, n} <= set(below["words"].astype(int))


def test_bars_are_norms_and_their_interference() -> None:
    W = sweep(6)
    table = rows(heatmaps({"ReLU": W}, DENSITIES, 0))
    bars = table[table["kind"] == "bar"]
    length = np.sqrt((W**2).sum(1))
    np.testing.assert_allclose(by_step(bars, "norm"), length)
    gram = np.einsum("fki,fkj->fij", W, W)
    felt = (gram**2).sum(2) / length**2 - length**2
    np.testing.assert_allclose(by_step(bars, "value"), felt, atol=1e-9)


def test_colours_of_the_bars_are_seen_on_both_pages_and_are_not_those_of_the_maps() -> None:
    for colour in INTERFERENCE_COLOURS:
        assert min(contrast(colour, page) for page in (LIGHT_BACKGROUND, DARK_BACKGROUND)) >= 3
    assert not set(INTERFERENCE_COLOURS) & set(DIVERGING)


def test_heads_count_the_represented_features() -> None:
    W = np.zeros((3, 2, 4))
    W[:, 0, 0] = W[1:, 1, 1] = W[2, 0, 2] = 1.0
    table = rows(heatmaps({"ReLU": W}, DENSITIES, 0))
    heads = by_step(table[table["kind"] == "head"], "text")
    assert [head for head, norm in heads] == [f"ReLU: {k} of 4 kept" for k in (1, 2, 3)]
    titles = by_step(table[table["kind"] == "title"], "text")
    assert titles[1] == ["density p = 0.1 (sparsity S = 0.9)"]


def test_large_maps_are_pictures_of_the_same_numbers() -> None:
    n = MOST_CELLS_DRAWN + 1
    W = sweep(n)
    table = rows(heatmaps({"ReLU": W}, DENSITIES, 0))
    assert "cell" not in set(table["kind"])
    pictures = table[table["kind"] == "picture"]["picture"]
    assert list(pictures) == [map_picture(one) for one in W.mT @ W]


def pixels(uri: str) -> np.ndarray:
    """A PNG as this module writes it, read back without it."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, body, size = 8, b"", (0, 0)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (check,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(kind + content)
        if kind == b"IHDR":
            size = struct.unpack(">II", content[:8])
        elif kind == b"IDAT":
            body += content
        at += 12 + length
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(size[1], 1 + 3 * size[0])
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(size[1], size[0], 3)


def test_a_picture_has_the_colours_of_the_scale() -> None:
    found = pixels(map_picture(np.array([[-1.0, -0.5, 0.0], [0.5, 1.0, 7.0]])))
    hexes = ["#" + "".join(f"{v:02X}" for v in pixel) for pixel in found.reshape(-1, 3)]
    assert hexes == [colour.upper() for colour in (*DIVERGING, DIVERGING[-1])]


def test_sweeps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one shape, \(F, m, n\) with F = 3"):
        heatmaps({"ReLU": sweep(6), "linear": sweep(5)}, DENSITIES, 0)
    with pytest.raises(ValueError, match="F = 2 densities"):
        heatmaps({"ReLU": sweep(6)}, DENSITIES[:2], 0)


def test_the_description_counts_at_both_ends() -> None:
    W = np.zeros((3, 2, 4))
    W[:, 0, 0] = W[2, 1, 1] = 1.0
    text = describe_heatmaps({"ReLU": W}, DENSITIES)
    assert "1 of 4 features represented at density 1, 2 at density 0.01" in text
