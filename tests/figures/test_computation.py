"""Curves of what features get, counts of features handled, roles of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from figures.computation import (
    CURVES,
    ROLE_COLOURS,
    describe_handled_lines,
    describe_response_curves,
    describe_role_bars,
    handled_lines,
    response_curves,
    role_bars,
)
from figures.theme import DARK_BACKGROUND, LIGHT_BACKGROUND, contrast, feature_colours
from superposition.families import ABSOLUTE_VALUE
from superposition.neurons import (
    ONE,
    ROLES,
    SEVERAL,
    AmongOthers,
    outputs_alone,
    pair_model,
    without_neuron,
)

VALUES = np.linspace(-1, 1, 21)
N = 4


def alone() -> np.ndarray:
    """Four features with pairs, the second without its positive half; 1 leaks into 4."""
    model = without_neuron(pair_model(N, 2 * N, 0.1), 2)
    model["W_out"][3, 0] = 0.5
    return outputs_alone(ABSOLUTE_VALUE, model, VALUES)


SHARES = np.array([1.0, 0.5, 0.75, -0.2])


def table(others: AmongOthers | None = None) -> pd.DataFrame:
    rows: Any = response_curves(alone(), VALUES, SHARES, range(N), others).data
    return rows


def test_a_cell_has_the_output_the_target_and_the_cross_talk() -> None:
    rows = table()
    own = rows[(rows["kind"] == "own") & (rows["input"] == "2")]
    np.testing.assert_allclose(own["result"], np.maximum(-VALUES, 0), atol=1e-4)
    target = rows[(rows["kind"] == "target") & (rows["input"] == "2")]
    assert target["value"].tolist() == [-1, 0, 1]
    assert target["result"].tolist() == [1, 0, 1]
    cross = rows[rows["kind"] == "cross"]
    assert set(zip(cross["input"], cross["output"], strict=True)) == {("1", "4")}
    np.testing.assert_allclose(cross["result"], np.maximum(VALUES, 0) / 2, atol=1e-4)


def test_what_is_wanted_shows_below_the_output_and_on_top_of_it() -> None:
    spec = response_curves(alone(), VALUES, SHARES, range(N)).to_dict()
    kinds = [layer["transform"][0]["filter"].split("'")[1] for layer in spec["layer"]]
    assert [k for k in kinds if k in ("target", "own", "met")] == ["target", "own", "met"]
    marks = {k: layer["mark"] for layer, k in zip(spec["layer"], kinds, strict=True)}
    assert marks["target"]["strokeDash"] == marks["met"]["strokeDash"]
    assert marks["target"]["color"] != marks["met"]["color"]
    # On top only where the output hides it: feature 2 lacks its positive half.
    rows = table()
    met = rows[(rows["kind"] == "met") & (rows["input"] == "2")]
    np.testing.assert_array_equal(met["y"].notna(), VALUES <= 0.04)
    assert rows[(rows["kind"] == "met") & (rows["input"] == "3")]["y"].notna().all()


def test_cells_do_not_overlap() -> None:
    rows = table()
    own = rows[rows["kind"] == "own"].groupby("input")
    boxes = own.agg(left=("x", "min"), right=("x", "max"), low=("y", "min"), high=("y", "max"))
    for i, a in boxes.iterrows():
        for j, b in boxes.iterrows():
            apart = a["right"] < b["left"] or b["right"] < a["left"]
            assert i == j or apart or a["high"] < b["low"] or b["high"] < a["low"]


def test_heads_say_the_share_and_whether_it_is_enough() -> None:
    rows = table()
    heads = list(rows[rows["kind"] == "head"]["text"])
    assert heads == ["1: 100% ✓", "2: 50% ✗", "3: 75% ✓", "4: 0% ✗"]
    text = describe_response_curves(SHARES, range(N))
    assert "feature 2 50%" in text
    assert "75% or more" in text


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.75, "75% ✓"),
        (0.7451, "74.5% ✗"),
        (0.7449, "74% ✗"),
        (0.748, "74.8% ✗"),
        (0.7499, "74.99% ✗"),
        (0.749999, "just below 75% ✗"),
        (0.754, "75% ✓"),
        (-0.2, "0% ✗"),
    ],
)
def test_a_share_never_reads_as_what_it_falls_short_of(share: float, shown: str) -> None:
    rows: Any = response_curves(alone(), VALUES, np.full(N, share), [0]).data
    assert rows[rows["kind"] == "head"]["text"].to_list() == [f"1: {shown}"]


def test_outputs_far_above_are_cut() -> None:
    rows: Any = response_curves(alone() * 50, VALUES, SHARES, [0]).data
    own = rows[rows["kind"] == "own"]
    assert own["y"].max() == 1
    assert own["result"].max() == 50


def test_a_band_holds_the_outputs_among_others() -> None:
    low, high = np.zeros((N, len(VALUES))), np.full((N, len(VALUES)), 0.5)
    rows = table(others=AmongOthers(low, low, high))
    band = rows[rows["kind"] == "band"]
    assert len(band) == N * len(VALUES)
    assert (band["y"] > band["y2"]).all()


@pytest.mark.parametrize("varied", [False, True])
def test_a_switch_shows_the_band(varied: bool) -> None:
    others = AmongOthers(*(np.zeros((N, len(VALUES))) for _ in range(3)))
    spec = response_curves(alone(), VALUES, SHARES, range(N), others, varied).to_dict()
    (shown,) = spec["params"]
    assert shown["value"] == [{"others": varied}]
    (band,) = (layer["transform"] for layer in spec["layer"] if layer["mark"]["type"] == "area")
    assert band[1] == {"filter": f"{CURVES}_others"}
    # Without other features there is nothing to switch.
    assert "params" not in response_curves(alone(), VALUES, SHARES, range(N)).to_dict()


def test_features_keep_their_colours() -> None:
    spec = response_curves(alone(), VALUES, SHARES, [2]).to_dict()
    scales = [layer["encoding"].get("color", {}).get("scale") for layer in spec["layer"]]
    (scale,) = {str(scale) for scale in scales if scale}
    assert scale == str({"domain": ["1", "2", "3", "4"], "range": feature_colours(N)})


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        response_curves(alone()[:, :5], VALUES, SHARES, [0])
    with pytest.raises(ValueError, match="at least one feature"):
        response_curves(alone(), VALUES, SHARES, [])
    with pytest.raises(ValueError, match="others have shape"):
        response_curves(
            alone(), VALUES, SHARES, [0, 1], AmongOthers(*(np.zeros((1, 21)) for _ in range(3)))
        )


def test_counts_stand_against_a_pair_for_each() -> None:
    counts = pd.DataFrame({"density": [1.0, 0.1], "handled": [5, 6]})
    spec = handled_lines(counts, 5).to_dict()
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"][1] > 6
    assert any(row.get("text") == "m/2 = 5" for rows in spec["datasets"].values() for row in rows)
    assert describe_handled_lines(counts, 5).endswith("m/2 = 5: 5 at 1, 6 at 0.1.")


def test_roles_that_no_neuron_has_are_left_out() -> None:
    roles = pd.DataFrame(
        [
            {"density": p, "role": role, "neurons": count}
            for p, counts in ((1.0, {ONE: 4}), (0.1, {ONE: 1, SEVERAL: 3}))
            for role, count in {**dict.fromkeys(ROLES, 0), **counts}.items()
        ]
    )
    chart = role_bars(roles)
    assert chart.to_dict()["encoding"]["color"]["scale"]["domain"] == [ONE, SEVERAL]
    assert chart.data["neurons"].sum() == 8
    text = describe_role_bars(roles)
    assert text.endswith(
        "at density 1 4 one feature; at density 0.1 1 one feature, 3 several features."
    )


def test_every_role_has_a_colour_that_can_be_seen() -> None:
    assert set(ROLE_COLOURS) == set(ROLES)
    assert len(set(ROLE_COLOURS.values())) == len(ROLES)
    for colour in ROLE_COLOURS.values():
        for background in (LIGHT_BACKGROUND, DARK_BACKGROUND):
            assert contrast(colour, background) >= 3
