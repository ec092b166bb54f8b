from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from figures.sparsity import (
    BEST_SEED,
    DRAWS,
    EVERY_SEED,
    MEETING,
    READING,
    SLIDERS,
    STOPS,
    Convention,
    describe_represented_chart,
    describe_threshold_chart,
    represented_chart,
    represented_rows,
    threshold_chart,
    threshold_rows,
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return threshold_rows()


def table(chart: alt.LayerChart) -> Any:
    return chart.layer[0].data if chart.data is alt.Undefined else chart.data


def sliders(chart: alt.LayerChart) -> dict[str, Any]:
    (found,) = (p for p in chart.to_dict()["params"] if p["name"] == SLIDERS)
    return dict(found)


def test_the_line_is_the_formula_and_the_rings_lie_on_it(rows: pd.DataFrame) -> None:
    share = rows[rows["kind"] == "share"]
    assert len(share) == len(STOPS) ** 2
    S, cut = share["sparsity"], share["threshold"]
    np.testing.assert_allclose(share["exact"], S + (1 - S) * cut, atol=1e-12)
    error = np.sqrt(share["exact"] * (1 - share["exact"]) / DRAWS)
    assert (np.abs(share["sampled"] - share["exact"]) <= 5 * error + 1e-12).all()
    # Samples, not the formula again.
    assert (share["sampled"] != share["exact"]).mean() > 0.5


def test_values_at_zero_stand_aside_and_others_at_their_value(rows: pd.DataFrame) -> None:
    values = rows[rows["kind"] == "value"]
    zero = values["value"] == 0
    assert (values.loc[zero, "x"] < 0).all()
    np.testing.assert_array_equal(values.loc[~zero, "x"], values.loc[~zero, "value"])
    assert (values["y"] < 0).all()
    assert not zero[values["sparsity"] == 0].any()
    assert zero[values["sparsity"] == 1].all()


def test_the_same_draws_every_time(rows: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(rows, threshold_rows())


@pytest.mark.parametrize(("convention", "share"), [("S", 0.8), ("p", 0.2)])
def test_the_sliders_start_where_told(
    rows: pd.DataFrame, convention: Convention, share: float
) -> None:
    found = sliders(threshold_chart(rows, 0.8, 0.1, convention))
    assert found["value"] == [{"share": share, "threshold": 0.1}]
    assert found["bind"]["share"]["name"].endswith(convention)


def test_the_other_convention_shows_what_is_on(rows: pd.DataFrame) -> None:
    off = table(threshold_chart(rows, 0.8, 0.1, "S"))
    on = table(threshold_chart(rows, 0.8, 0.1, "p"))
    np.testing.assert_allclose(off["share"] + on["share"], 1)
    share = off["kind"] == "share"
    for name in ("exact", "sampled"):
        np.testing.assert_allclose(off.loc[share, name] + on.loc[share, name], 1)
    # Every stop of the slider finds its rows, by the very number that the slider gives.
    assert set(on["share"]) == set(off["share"]) == set(STOPS)


def test_a_start_between_the_stops_is_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"sparsity is 0\.81"):
        threshold_chart(rows, 0.81, 0.1)
    with pytest.raises(ValueError, match=r"threshold is 0\.12"):
        threshold_chart(rows, 0.8, 0.12)


def test_one_data_set_and_words_for_both_conventions(rows: pd.DataFrame) -> None:
    assert len(threshold_chart(rows, 0.8, 0.1).to_dict()["datasets"]) == 1
    assert "sparsity 0.8 and threshold 0.1 it is 0.82" in describe_threshold_chart(rows, 0.8, 0.1)
    other = describe_threshold_chart(rows, 0.8, 0.1, "p")
    assert "density 0.2 and threshold 0.1 it is 0.18" in other


MODELS = pd.DataFrame(
    {
        "density": [1.0, 1.0, 0.2, 0.2, 0.2, 0.01, 0.01],
        "features_represented": [2, 2, 4, 5, 4, 5, 4],
        "n_features": 5,
        "best_of_seeds": [True, False, True, False, False, True, False],
    }
)


def test_represented_features_are_counted_by_seed() -> None:
    found = represented_rows(MODELS)
    every = found[found["line"] == EVERY_SEED]
    assert list(every[["density", "features", "seeds"]].itertuples(index=False, name=None)) == [
        (0.01, 4, 1),
        (0.01, 5, 1),
        (0.2, 4, 2),
        (0.2, 5, 1),
        (1.0, 2, 2),
    ]
    best = found[found["line"] == BEST_SEED]
    assert dict(zip(best["density"], best["features"], strict=True)) == {1.0: 2, 0.2: 4, 0.01: 5}


def test_the_mistaken_line_meets_the_best_seed_where_it_does() -> None:
    found = represented_rows(MODELS)
    line = found[found["line"] == READING]
    np.testing.assert_allclose(line["features"], 5 * (1 - line["density"]))
    assert (line["density"].min(), line["density"].max()) == pytest.approx((0.01, 1.0))
    meeting = found[found["line"] == MEETING]
    assert list(zip(meeting["density"], meeting["features"], strict=True)) == [(0.2, 4)]


@pytest.mark.parametrize(("convention", "words"), [("S", "S · n"), ("p", "(1 − p) · n")])
def test_the_chart_is_labelled_in_the_convention(convention: Convention, words: str) -> None:
    chart = represented_chart(MODELS, convention).to_dict()
    (names,) = {
        tuple(layer["encoding"]["shape"]["scale"]["domain"])
        for layer in chart["layer"]
        if "shape" in layer["encoding"]
    }
    assert names == ("best seed", "all seeds", words, "both the same")
    (title,) = {layer["encoding"]["x"]["title"] for layer in chart["layer"]}
    assert title.split()[1] == convention


def test_networks_without_a_ring_differ_in_their_data_alone() -> None:
    apart = MODELS.assign(features_represented=3)
    assert MEETING not in set(represented_rows(apart)["line"])
    one, other = (represented_chart(models).to_dict() for models in (MODELS, apart))
    assert one.pop("datasets") != other.pop("datasets")
    assert one.pop("data") != other.pop("data")
    assert one == other


def test_the_description_compares_at_three_densities() -> None:
    text = describe_represented_chart(MODELS)
    assert "2 at density 1, where S · n is 0" in text
    assert "4 at density 0.2, where S · n is 4" in text
    assert "5 at density 0.01, where S · n is 4.95" in text
    assert text.endswith("Rings where both are the same: density 0.2.")
    assert "Rings" not in describe_represented_chart(MODELS.assign(features_represented=3))
