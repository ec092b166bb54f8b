"""Stacked bars of neurons: what is stacked is the weights, and nothing is lost or renamed."""

from __future__ import annotations

import json
import re
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from figures.neuron_bars import (
    MEASURES,
    MOST_IN_FULL,
    REST,
    SLIDER,
    SMALLEST_SHARE,
    Panel,
    describe_neuron_bars,
    describe_neuron_sweep,
    neuron_bars,
    neuron_sweep,
)
from figures.theme import feature_colours

LABELS = ["density 1", "density 0.1", "density 0.01"]


def weights(m: int, n: int, frames: int | None = None, seed: int = 0) -> np.ndarray:
    shape = (m, n) if frames is None else (frames, m, n)
    return np.random.default_rng(seed).normal(size=shape)


def segments(chart: alt.LayerChart) -> pd.DataFrame:
    table: Any = chart.layer[0].data if chart.data is alt.Undefined else chart.data
    return table[table["kind"] == "segment"]


@settings(max_examples=30)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(1, 20)),
        elements=st.floats(-3, 3).map(lambda v: round(v, 2)),
    )
)
def test_the_bars_of_a_neuron_are_its_weights(W: np.ndarray) -> None:
    rows = segments(neuron_bars([Panel("", W)]))
    assert (rows["y1"] > rows["y0"]).all()
    np.testing.assert_allclose(rows["y1"] - rows["y0"], rows["weight"].abs(), atol=1e-4)
    for k, row in enumerate(W):
        mine = rows[rows["neuron"] == k + 1]
        for sign, total in ((1, row.clip(min=0).sum()), (-1, row.clip(max=0).sum())):
            side = mine[np.sign(mine["weight"]) == sign].sort_values("y0")
            # No gap and no overlap from zero to the sum.
            ends = side["y0"].to_list() + side["y1"].to_list()[-1:]
            np.testing.assert_allclose(side["y0"].to_numpy()[1:], side["y1"].to_numpy()[:-1])
            if total:
                np.testing.assert_allclose(sorted([ends[0], ends[-1]]), sorted([0, total]))
            else:
                assert not len(side)
        for name, weight in zip(mine["feature"], mine["weight"], strict=True):
            if name != REST:
                assert row[int(name) - 1] == pytest.approx(weight, abs=1e-4)


def test_with_few_features_each_weight_has_its_segment() -> None:
    W = weights(4, MOST_IN_FULL)
    W[:, 0] = 100.0
    rows = segments(neuron_bars([Panel("", W)]))
    assert len(rows) == W.size
    assert REST not in set(rows["feature"])


def test_with_many_features_small_weights_are_one_grey_segment_a_side() -> None:
    W = weights(40, 100)
    rows = segments(neuron_bars([Panel("", W)]))
    share = np.abs(W) / np.abs(W).sum(1, keepdims=True)
    told = rows[rows["feature"] != REST]
    assert len(told) == (share >= SMALLEST_SHARE).sum()
    assert set(rows[rows["feature"] == REST].groupby("neuron").size()) == {2}
    assert (rows.groupby("neuron")["weight"].apply(lambda w: w.abs().sum())).to_numpy() == (
        pytest.approx(np.abs(W).sum(1), abs=1e-2)
    )


def test_panels_stand_beside_each_other_and_share_a_scale() -> None:
    chart = neuron_bars(
        [Panel("input weights", weights(6, 3)), Panel("output weights", np.eye(6, 3))]
    )
    rows = segments(chart)
    left, right = (rows[rows["panel"] == name] for name in ("input weights", "output weights"))
    assert left["x1"].max() < right["x0"].min()
    assert set(right["neuron"]) == {1, 2, 3}
    spec = chart.to_dict()
    domains = [
        (layer["encoding"]["y"]["scale"]["domainMin"], layer["encoding"]["y"]["scale"]["domainMax"])
        for layer in spec["layer"]
        if "scale" in layer["encoding"].get("y", {})
    ]
    assert len(set(domains)) == 1
    assert domains[0][0] <= rows["y0"].min()
    assert domains[0][1] > rows["y1"].max()
    assert len(spec["datasets"]) == 1


def test_features_have_their_colours_and_names() -> None:
    names = ["dog", "cat", "bird"]
    chart = neuron_bars([Panel("", weights(4, 3))], feature_names=names)
    colour = chart.to_dict()["layer"][0]["encoding"]["color"]
    assert colour["scale"] == {"domain": names, "range": feature_colours(3)}
    assert set(segments(chart)["feature"]) == set(names)
    many = neuron_bars([Panel("", weights(4, 100))]).to_dict()["layer"][0]["encoding"]["color"]
    assert many["scale"]["range"][:100] == feature_colours(100)
    assert many["legend"]["values"] == ["1", "34", "67", "100", REST]


def test_every_neuron_has_its_number_below() -> None:
    spec = neuron_bars([Panel("a", weights(5, 3)), Panel("b", weights(5, 3))]).to_dict()
    axis = spec["layer"][0]["encoding"]["x"]["axis"]
    (stride,) = map(int, re.findall(r"% (\d+)", axis["labelExpr"]))
    assert [round((v - 0.5) % stride) + 1 for v in axis["values"]] == [1, 2, 3, 4, 5] * 2
    # Many get some, fewer on a phone; and no layer brings back a thinning of its own.
    made = neuron_bars([Panel("", weights(100, 3)), Panel("b", weights(100, 3))]).to_dict()
    axes = [layer["encoding"]["x"].get("axis") for layer in made["layer"]]
    assert all(axis == axes[0] for axis in axes)
    assert axes[0]["labelOverlap"] is False
    narrow, wide = map(json.loads, re.findall(r"\[[^]]*\]", axes[0]["values"]["expr"]))
    assert len(narrow) <= 16
    assert len(narrow) <= len(wide) <= 26


def test_hovering_names_feature_neuron_and_weight() -> None:
    spec = neuron_bars([Panel("", weights(5, 3))]).to_dict()
    titles = [tip["title"] for tip in spec["layer"][0]["encoding"]["tooltip"]]
    assert titles == ["neuron", "feature", "weight"]
    spec = neuron_bars([Panel("", weights(5, 3))], unit="share").to_dict()
    assert [tip["title"] for tip in spec["layer"][0]["encoding"]["tooltip"]][-1] == "share"
    assert spec["layer"][0]["encoding"]["y"]["title"] == "share"


def test_a_sweep_starts_where_told_and_names_its_slider() -> None:
    chart = neuron_sweep(weights(5, 3, 3), LABELS, 1, slider="training step")
    spec = chart.to_dict()
    (slider,) = (p for p in spec["params"] if p["name"] == SLIDER)
    assert slider["value"] == [{"step": 1}]
    assert slider["bind"]["step"]["max"] == 2
    assert slider["bind"]["step"]["name"] == "training step"
    assert json.loads(spec["title"]["text"]["expr"].removesuffix(f"[{SLIDER}_step]")) == LABELS


def test_the_neurons_of_each_frame_are_sorted_and_panels_stay_together() -> None:
    inputs = weights(5, 3, 3)
    outputs = inputs * 2
    for frame, order in enumerate(([3, 1, 0, 4, 2], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0])):
        inputs[frame] = np.eye(5, 3)[order]
        outputs[frame] = inputs[frame] * 2
    rows = segments(neuron_sweep({"input": inputs, "output": outputs}, LABELS, 0))
    for panel, size in (("input", 1), ("output", 2)):
        mine = rows[rows["panel"] == panel]
        assert (mine["weight"] == size).all()
        # The two unused neurons come last.
        assert (mine["neuron"] == mine["feature"].astype(int)).all()
        assert len(mine) == 9


def test_neurons_that_are_in_order_keep_it() -> None:
    W = np.stack([np.eye(3)[[2, 0, 1]]] * 3)
    rows = segments(neuron_sweep(W, LABELS, 0, in_order=True, unit="share"))
    assert rows["feature"].to_list() == ["3", "1", "2"] * 3
    text = describe_neuron_sweep(W, LABELS, in_order=True)
    assert "neuron 1 feature 3 1; neuron 2 feature 1 1" in text


def test_frames_can_have_scales_of_their_own() -> None:
    W = weights(5, 3, 3) * np.array([1.0, 10.0, 100.0])[:, None, None]
    shared = neuron_sweep(W, LABELS, 0).to_dict()["layer"][0]["encoding"]["y"]["scale"]
    assert isinstance(shared["domainMax"], float)
    own = neuron_sweep(W, LABELS, 0, common_scale=False)
    top = own.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domainMax"]["expr"]
    tops = json.loads(top.removesuffix(f"[{SLIDER}_step]"))
    highest = segments(own).groupby("step")["y1"].max().to_numpy()
    assert (np.array(tops) >= highest).all()
    assert (np.array(tops) < 2 * highest).all()


def test_a_reader_can_choose_what_a_bar_measures() -> None:
    inputs = weights(5, 3, 3) * np.array([1.0, 10.0, 100.0])[:, None, None]
    panels = {"input": inputs, "output": np.ones((3, 5, 3))}
    chart = neuron_sweep(panels, LABELS, 2, in_order=True, measure="weights")
    spec = chart.to_dict()
    (switch,) = (p for p in spec["params"] if p["name"] == SLIDER)
    assert switch["value"] == [{"step": 2, "measure": "weights"}]
    assert switch["select"]["fields"] == ["step", "measure"]
    assert switch["bind"]["measure"]["options"] == list(MEASURES)
    # The bars are the weights, and by their totals they are the shares.
    rows = segments(chart)
    np.testing.assert_allclose(rows["y1"] - rows["y0"], rows["weight"].abs(), atol=1e-4)
    totals = rows[rows["panel"] == "input"].groupby(["step", "neuron"])["total"].first()
    np.testing.assert_allclose(totals.to_numpy().reshape(3, 5), np.abs(inputs).sum(-1))
    made = {c["as"]: c["calculate"] for c in spec["layer"][0]["transform"] if "as" in c}
    by_share = f"({SLIDER}_measure == 'shares' ? datum.total : 1)"
    assert made["low"] == f"datum.y0 / {by_share}"
    assert made["high"] == f"datum.y1 / {by_share}"
    # Shares have one scale, weights one for each frame.
    top = spec["layer"][0]["encoding"]["y"]["scale"]["domainMax"]["expr"]
    found = re.fullmatch(
        rf"{{shares: ([\d.]+), weights: (\[.*\])\[{SLIDER}_step\]}}\[{SLIDER}_measure\]", top
    )
    assert found is not None
    highest = rows["y1"] / rows["total"]
    assert highest.max() <= float(found[1]) < 2
    assert (np.array(json.loads(found[2])) >= rows.groupby("step")["y1"].max().to_numpy()).all()


def test_weights_that_are_all_zero_are_drawn_as_nothing() -> None:
    spec = neuron_bars([Panel("", np.zeros((3, 2)))]).to_dict()
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domainMin"] == -1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"input: shape \(3,\); expected \(m, n\)"):
        neuron_bars([Panel("input", np.zeros(3))])
    with pytest.raises(ValueError, match=r"shape \(0, 3\)"):
        neuron_bars([Panel("", np.zeros((0, 3)))])
    with pytest.raises(ValueError, match="finite"):
        neuron_bars([Panel("", np.full((2, 2), np.nan))])
    with pytest.raises(ValueError, match="at least one panel"):
        neuron_bars([])
    with pytest.raises(ValueError, match="one number of features for all"):
        neuron_bars([Panel("", weights(3, 2)), Panel("", weights(3, 4))])
    with pytest.raises(ValueError, match="expected 2, all different"):
        neuron_bars([Panel("", weights(3, 2))], feature_names=["a", "a"])
    with pytest.raises(ValueError, match="2 labels and start 0 for 3 frames"):
        neuron_sweep(weights(4, 3, 3), LABELS[:2], 0)
    with pytest.raises(ValueError, match="start 3"):
        neuron_sweep(weights(4, 3, 3), LABELS, 3)
    with pytest.raises(ValueError, match="one F and m for all"):
        neuron_sweep({"a": weights(4, 3, 3), "b": weights(5, 3, 3)}, LABELS, 0)


def test_few_neurons_are_described_one_by_one() -> None:
    W = np.array([[1.0, 0.0, -0.5], [0.0, 0.0, 0.0]])
    text = describe_neuron_bars([Panel("input weights", W)])
    assert "2 neurons for 3 features" in text
    assert "input weights: neuron 1 feature 1 1, feature 3 −0.5; neuron 2 unused" in text


def test_many_neurons_are_described_by_counts() -> None:
    W = np.zeros((12, 3))
    W[:8, 0] = W[:4, 1] = 1.0
    text = describe_neuron_bars([Panel("", W)])
    assert "8 of 12 neurons in use, each with 1 to 2 features of some weight, 1.5 on aver" in text


def test_a_sweep_is_described_at_both_ends() -> None:
    W = np.zeros((3, 2, 2))
    W[0] = np.eye(2)
    W[2] = [[0, 0], [1, 1]]
    text = describe_neuron_sweep(W, LABELS)
    assert "At density 1, neuron 1 feature 1 1; neuron 2 feature 2 1" in text
    assert "At density 0.01, neuron 1 feature 1 1, feature 2 1; neuron 2 unused" in text
    assert "slider over 3 frames" in text
