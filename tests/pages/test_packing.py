"""Johnson–Lindenstrauss and packing: distances, directions, models, readings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from figures.packing import ACTIVE, DENSITY, DIMENSION, KEPT, KNOWN, MOVED, RANKIN
from pages.parts import packing_data as data
from pages.parts.zoo_access import ZOO_VARIABLE
from superposition.packing import lemma_dimension, union_dimension
from tests.pages.conftest import Visit, described, open_page, shown_text, unfold
from zoo import Zoo

PAGE = "pages/packing.py"
SCATTER, OUTSIDE, COUNTS, COHERENCE, READINGS, READERS = range(6)


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(element.proto.spec) for element in app.get("vega_lite_chart")]


def alt_of(app: AppTest, chart: int) -> str:
    return described(app)[chart]


def start(app: AppTest, chart: int, name: str) -> int:
    """Where the slider of a chart stands at first."""
    (slider,) = (p for p in charts(app)[chart]["params"] if p["name"] == name)
    return int(slider["value"][0]["step"])


def test_it_opens_with_some_pairs_outside_and_every_figure_described(visit: Visit) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert not app.info
    assert app.title[0].value == "Johnson–Lindenstrauss and packing"
    assert len(charts(app)) == 6
    assert all(len(element.proto.alt) > 60 for element in app.get("vega_lite_chart"))
    text = shown_text(app)
    # The lemma's dimension, the sharper proof's and this draw's, each beside what it is.
    assert f"From **{lemma_dimension(30, 0.3)}** dimensions on, which the lemma asks" in text
    assert f"is sure of the same from **{union_dimension(30, 0.3)}** on" in text
    assert f"**{data.projection('spread', 30, 0.3, 1).enough}** is where the last pair" in text
    for number in (9, 10, 11):
        assert f"Claim {number}" in {link.proto.label for link in app.get("page_link")}
    # The effect is there before anything is touched: some are outside, most are not.
    shown = data.projection("spread", 30, 0.3, 1)
    at = start(app, SCATTER, DIMENSION)
    outside = np.mean(np.abs(shown.ratios[at] - 1) > 0.3)
    assert 0 < outside < 0.2
    assert shown.dimensions[at] < shown.named / 2


def test_every_control_of_the_distances(visit: Visit) -> None:
    app = visit(PAGE)
    before = alt_of(app, SCATTER)
    for key, value in (("points", 50), ("eps", 0.5), ("set", "clusters"), ("draw", 3)):
        app.button_group(key=key).select(value).run()
        assert not app.exception
        assert alt_of(app, SCATTER) != before or key == "draw"
        before = alt_of(app, SCATTER)
    assert f"the lemma asks for {lemma_dimension(50, 0.5)}" in alt_of(app, OUTSIDE)
    assert "Dots for 1225 pairs" in before


def test_every_control_of_the_rest(visit: Visit) -> None:
    app = visit(PAGE)
    assert "arrangements that mathematics knows" in shown_text(app)
    app.button_group(key="cos").select(0.3).run()
    assert "|cos| up to 0.3" in alt_of(app, COUNTS)
    assert "arrangements that mathematics knows" not in shown_text(app)
    app.button_group(key="dims").select(2).run()
    assert "in 2 dimensions" in alt_of(app, COHERENCE)
    app.button_group(key="closest").select("cos").run()
    assert "largest cos of" in json.dumps(charts(app)[COHERENCE])
    assert RANKIN in json.dumps(charts(app)[COHERENCE])
    app.button_group(key="room").select(50).run()
    assert "in 50 dimensions" in alt_of(app, READINGS)
    box = unfold(app).selectbox(key="packing-models-model")
    box.set_value(box.options[-1]).run()
    assert not app.exception
    assert any(box.options[-1] in block.value for block in app.code)


def test_the_address_holds_what_is_shown(visit: Visit) -> None:
    query = {"points": "10", "eps": "0.5", "set": "in five clusters", "draw": "2", "m": "40"}
    query |= {"cos": "0.4", "dims": "3", "closest": "cos", "p": "1", "room": "200", "on": "64"}
    app = visit(PAGE, **query)
    assert not app.exception
    assert not app.info
    assert app.button_group(key="set").value == "clusters"
    shown = data.projection("clusters", 10, 0.5, 2)
    at = shown.dimensions[start(app, SCATTER, DIMENSION)]
    assert abs(math.log(at / 40)) == min(abs(math.log(m / 40)) for m in shown.dimensions)
    assert "|cos| up to 0.4" in alt_of(app, COUNTS)
    assert start(app, COHERENCE, DENSITY) == 0
    assert data.ACTIVE[start(app, READINGS, ACTIVE)] == 64


def test_bad_numbers_get_a_notice_and_the_default(visit: Visit) -> None:
    plain = visit(PAGE)
    for bad in ("banana", "-3", "inf"):
        app = visit(PAGE, m=bad, p=bad, on=bad)
        assert not app.exception
        assert len(app.info) == 3
        assert all("not a positive number" in info.value for info in app.info)
        for chart, name in ((SCATTER, DIMENSION), (COHERENCE, DENSITY), (READINGS, ACTIVE)):
            assert start(app, chart, name) == start(plain, chart, name)


def test_bad_choices_get_notices(visit: Visit) -> None:
    bad = dict.fromkeys(("points", "eps", "set", "draw", "cos", "dims", "closest", "room"), "17x")
    app = visit(PAGE, **bad)
    assert not app.exception
    assert len(app.info) == len(bad)


def test_the_prediction_is_answered(visit: Visit) -> None:
    app = visit(PAGE)
    app.button_group(key="lemma-guess").select("how many dimensions they had").run()
    assert "Not quite. And how near" in shown_text(app)


def test_a_zoo_without_the_sizes_shows_the_rest(
    zoo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = json.loads((zoo_folder / "zoo.json").read_text(encoding="utf-8"))
    values["grids"] = {}
    (tmp_path / "zoo.json").write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setenv(ZOO_VARIABLE, str(tmp_path))
    app = open_page(PAGE)
    assert not app.exception
    assert "grid `sizes`, which the open zoo does not have" in app.info[0].value
    assert len(charts(app)) == 5


# What the page says


def test_numbers_kept_are_those_of_the_claim_and_moving_aside_finds_more() -> None:
    for epsilon in (0.3, 0.4, 0.5):
        found = data.counts(epsilon)
        assert (KNOWN in found.by_way) == (epsilon == 0.5)
        kept = found.by_way[KEPT].set_index("m")["count"]
        assert kept.index.is_monotonic_increasing
        fit = found.fits["exponential"]
        residual = np.log(kept[found.grown].to_numpy()) - np.log(fit.count(found.grown))
        assert np.sqrt(np.mean(residual**2)) == pytest.approx(fit.rms)
        moved = found.by_way[MOVED].set_index("m")["count"]
        assert (moved >= kept[moved.index]).all()
        assert moved.iloc[-1] > 2 * kept[moved.index[-1]]
        if epsilon == 0.5:
            known = found.by_way[KNOWN].set_index("m")["count"]
            shared = moved.index.intersection(known.index)
            assert (moved[shared] <= known[shared]).all()
            assert moved[6] < known[6]


def test_what_the_page_says_of_the_models_is_so(zoo_folder: Path) -> None:
    table = data.learned(Zoo.open(zoo_folder), "test")
    sparse = table[(table["density"] < 0.0101) & (table["represented"] > table["n_hidden"])]
    # “Many sit at |cos| = 1”; “most models lie below random directions” once the sign counts.
    assert (sparse["coherence"] > 0.99).mean() > 0.3
    assert (sparse["signed"] < sparse["random_signed"]).mean() > 0.8
    within = sparse["represented"] <= 2 * sparse["n_hidden"]
    assert sparse["signed"][within].max() <= 0.1


def test_what_models_are_compared_with_is_in_order() -> None:
    for m, signed in ((2, False), (4, True)):
        lines = data.compared_with(m, signed).pivot(index="load", columns="line", values="value")
        bound, random, best = (lines[name] for name in sorted(lines.columns, key=bound_first))
        assert (bound <= best + 1e-3).all()
        assert (best < random).all()


def bound_first(name: str) -> int:
    return {"random": 1, "optimised": 2}.get(name, 0)


def test_what_the_page_says_of_readings_is_so() -> None:
    for m in (50, 100, 200):
        shown = data.readings(m)
        errors = shown.readers.pivot(index="active", columns="reader", values="error")
        assert errors["linear"][1] == pytest.approx(errors["linear"][4], abs=0.01)
        assert errors["ReLU"][4] < 0.6 * errors["linear"][4]
        assert errors["ReLU"][512] == pytest.approx(errors["linear"][512], abs=0.005)
        # “Any linear map leaves at least 1 − m/n”, or that over n − 1 as exactly k are on.
        assert errors["linear"].min() > 1 - m / (data.FEATURES - 1)
        assert shown.noise[4] == pytest.approx(math.sqrt(3 / m))
        assert any(noise >= 1 for noise in shown.noise.values())
        # “Lines are computed, dots sampled”: they agree.
        assert (shown.readers["error"] - shown.readers["sampled"]).abs().max() < 0.08
