"""Features and sparsity: definitions that disagree, thresholds, and what S is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from superposition.features import CANDIDATES
from tests.pages.conftest import Visit, shown_text, unfold
from zoo import Zoo

PAGE = "pages/features.py"
# The networks that the page offers: grid, family, decay of the importance.
NETWORKS = {
    "5 × 2": ("bottleneck-5x2", "relu-output", 0.9),
    "5 × 2, equal importance": ("bottleneck-5x2", "relu-output", 1.0),
    "5 × 2, linear": ("bottleneck-5x2", "linear", 0.9),
    "20 × 5": ("bottleneck-20x5", "relu-output", 0.7),
}


def verdict_html(app: AppTest) -> str:
    (found,) = (e.proto.body for e in app.get("html") if "<table class='verdicts'>" in e.proto.body)
    return str(found)


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(element.proto.spec) for element in app.get("vega_lite_chart")]


def start(app: AppTest) -> dict[str, float]:
    """Where the sliders of the threshold chart begin."""
    (sliders,) = (p for p in charts(app)[0]["params"] if p["name"] == "off")
    return dict(sliders["value"][0])


def test_it_opens_on_a_picture_and_the_notes_own_numbers(visit: Visit) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert not app.info
    assert app.title[0].value == "Features and sparsity"
    assert start(app) == {"share": 0.8, "threshold": 0.1}
    html = verdict_html(app)
    assert html.count("<tr>") == 1 + len(CANDIDATES)
    assert "row 2.4, column 1.6" in html
    assert "agree about 1 of the 7 candidates: a vertical line." in shown_text(app)
    assert "picture" not in app.query_params
    assert "Threshold, set beforehand" in shown_text(unfold(app))
    for element in app.get("vega_lite_chart"):
        assert len(element.proto.alt) > 60


def test_pixels_and_pictures_change_the_values_and_the_address(visit: Visit) -> None:
    app = visit(PAGE)
    app.button(key="picture-dark").click().run()
    assert app.query_params["picture"] == "000000000"
    assert "none: nothing is lit" in verdict_html(app)
    app.button_group(key="pixels-1").select(5).run()
    assert not app.exception
    assert app.query_params["picture"] == "000010000"
    assert "row 2, column 2" in verdict_html(app)
    app.button(key="picture-letter L").click().run()
    assert "picture" not in app.query_params


def test_a_link_brings_back_picture_sliders_convention_and_networks(visit: Visit) -> None:
    app = visit(
        PAGE, picture="010010010", off="0.35,0.5", say="density p", networks="5 × 2, linear"
    )
    assert not app.exception
    assert not app.info
    assert app.button_group(key="pixels-0").value == [2]
    assert "row 2, column 2" in verdict_html(app)
    assert start(app) == {"share": 0.65, "threshold": 0.5}
    assert "the share that is on" in shown_text(app)
    unfold(app)
    assert "linear" in str(app.selectbox(key="represented-models-5 × 2, linear-model").value)


@pytest.mark.parametrize("picture", ["0101", "010010012"])
def test_a_bad_picture_gets_a_notice_and_the_default(visit: Visit, picture: str) -> None:
    app = visit(PAGE, picture=picture)
    assert not app.exception
    assert "not nine digits 0 or 1" in app.info[0].value
    assert app.button_group(key="pixels-2").value == [7, 8, 9]


@pytest.mark.parametrize("off", ["0.8", "0.81,0.1", "0.8,0.1,0.2", "nan,0", ","])
def test_bad_sliders_get_a_notice_and_the_default(visit: Visit, off: str) -> None:
    app = visit(PAGE, off=off)
    assert not app.exception
    assert "in steps of 0.05" in app.info[0].value
    assert start(app) == {"share": 0.8, "threshold": 0.1}


def test_bad_choices_get_notices(visit: Visit) -> None:
    app = visit(PAGE, say="odds", networks="7 × 7")
    assert not app.exception
    assert len(app.info) == 2


def test_the_convention_can_be_changed(visit: Visit) -> None:
    app = visit(PAGE)
    app.button_group(key="say").select("p").run()
    assert not app.exception
    assert start(app) == {"share": 0.2, "threshold": 0.1}
    assert charts(app)[1]["layer"][0]["encoding"]["x"]["title"] == "density p of the data"
    # And every sentence below the choice follows it.
    text = shown_text(app)
    below = text[text.index("Dots below the axis") :]
    assert "best at p = 0.2 represents" in below
    assert "each density" in below
    assert re.findall(r"\bS = [0-9.]+|set S to|S times n|each sparsity|sparsities", below) == []


def test_all_networks_are_shown_and_offered(visit: Visit, zoo_folder: Path) -> None:
    app = visit(PAGE)
    assert app.button_group(key="networks").options == list(NETWORKS)
    for name in NETWORKS:
        app.button_group(key="networks").select(name).run()
        assert not app.exception
        offered = unfold(app).selectbox(key=f"represented-models-{name}-model").options
        assert set(offered) == set(networks(zoo_folder, name)["model_id"])


def test_any_prediction_is_answered(visit: Visit) -> None:
    app = visit(PAGE)
    app.button_group(key="feature-guess").select("yes").run()
    assert "Not quite. It is a scalar function" in shown_text(app)
    app.button_group(key="feature-guess").select("it depends on the definition").run()
    assert "Yes. It is a scalar function" in shown_text(app)
    app.button_group(key="threshold-guess").select("half").run()
    assert "Not quite. Values are spread" in shown_text(app)
    app.button_group(key="threshold-guess").select("a tenth").run()
    assert "Yes. Values are spread" in shown_text(app)


# What the page says of the networks


def networks(zoo_folder: Path, name: str) -> pd.DataFrame:
    grid, family, decay = NETWORKS[name]
    return Zoo.open(zoo_folder).grid(grid).select(family=family, importance_decay=decay)


def best(zoo_folder: Path, name: str) -> pd.Series:
    rows = networks(zoo_folder, name)
    kept = rows[rows["best_of_seeds"]].set_index("density")["features_represented"]
    return kept.astype(int).sort_index(ascending=False)


def test_the_two_readings_meet_once_and_cross_back_at_the_jump(zoo_folder: Path) -> None:
    kept = best(zoo_folder, "5 × 2")
    gap = 5 * (1 - kept.index.to_numpy()) - kept.to_numpy()
    meeting = np.isclose(gap, 0)
    assert kept.index[meeting].tolist() == [0.2]
    above = (gap > 0) & ~meeting
    first, last = np.flatnonzero(above)[[0, -1]]
    # Next to the meeting, on the sparse side, up to where the networks jump to five.
    assert first == np.flatnonzero(meeting)[0] + 1
    assert above[first : last + 1].all()
    assert (kept.iloc[last], kept.iloc[last + 1]) == (4, 5)


def test_one_sparsity_and_several_counts(visit: Visit, zoo_folder: Path) -> None:
    rows = networks(zoo_folder, "5 × 2")
    seeds = rows.loc[np.isclose(rows["density"], 0.2), "features_represented"].astype(int)
    assert len(seeds) == 16
    assert seeds.nunique() > 1
    text = shown_text(visit(PAGE))
    for kept, count in seeds.value_counts().items():
        assert f"{count} represent{'s' if count == 1 else ''} {kept}" in text


def test_other_networks_break_the_coincidence(zoo_folder: Path) -> None:
    assert set(best(zoo_folder, "5 × 2, linear")) == {2}
    assert best(zoo_folder, "5 × 2, equal importance")[0.2] == 5
    twenty = best(zoo_folder, "20 × 5")
    assert (20 * (1 - twenty.index.to_numpy()) > twenty.to_numpy())[1:].all()
    assert best(zoo_folder, "5 × 2").iloc[0] == 2
