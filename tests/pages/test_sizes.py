"""Sparsity × dimension: the chart has its own controls, so here the address moves it."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from figures.size_map import FAMILIES, MEASURES, Cell, densities_of
from figures.theme import format_density
from pages.parts.size_cell import cell_in_url, put_in_url
from pages.parts.zoo_access import ZOO_VARIABLE
from superposition.geometry import solution_name
from tests.pages.conftest import Visit, open_page, shown_text, unfold
from zoo import Zoo

PAGE = "pages/sizes.py"


@pytest.fixture
def zoo(zoo_folder: Path) -> Zoo:
    return Zoo.open(zoo_folder)


def start_of(app: AppTest) -> dict[str, Any]:
    """The cell and the controls with which the map opens."""
    charts = [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart")]
    (found,) = [
        parameter["value"][0]
        for chart in charts
        for parameter in chart.get("params", [])
        if parameter["name"] == "cell"
    ]
    return dict(found)


def test_it_opens_on_a_small_model_in_superposition(visit: Visit) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert not app.info
    assert app.title[0].value == "Sparsity × dimension"
    start = start_of(app)
    assert (start["n"], start["m"], start["family"]) == (6, 2, "relu-output")
    assert "of 6 represented" in shown_text(app)


@pytest.mark.parametrize(
    ("n", "m", "family"), [(2, 1, "relu-output"), (8, 3, "linear"), (16, 8, "relu-output")]
)
def test_the_address_opens_any_cell(visit: Visit, zoo: Zoo, n: int, m: int, family: str) -> None:
    app = visit(PAGE, n=str(n), m=str(m), p="0.1", model=FAMILIES[family])
    assert not app.exception
    assert not app.info
    (row,) = (
        zoo.grid("sizes")
        .select(n_features=n, n_hidden=m, density=0.1, family=family, best_of_seeds=True)
        .itertuples()
    )
    W = zoo.model(row.model_id).parameters["W"]
    text = shown_text(app)
    assert f"**{n} features in {m} dimension" in text
    assert f"{solution_name(W)}; {row.features_represented} of {n} represented" in text
    # Arrows where they can be drawn, a heat map where they cannot.
    assert len(app.get("bidi_component")) == (1 if m <= 3 else 0)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_colour_can_be_linked_to(visit: Visit, measure: str) -> None:
    app = visit(PAGE, colour=measure)
    assert not app.exception
    assert start_of(app)["measure"] == measure


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"p": "0.5"}, "p = 0.5"),
        ({"p": "dense"}, "p = dense"),
        ({"n": "1"}, "n = 1"),
        ({"n": "six"}, "n = six"),
        ({"m": "99"}, "m = 99"),
        ({"model": "cubic"}, "model = cubic"),
        ({"colour": "<b>red"}, "colour = ·b·red"),
        ({"n": "4", "m": "4"}, "4 features in 4 dimensions"),
    ],
)
def test_bad_values_in_the_address_get_a_message_and_the_default(
    visit: Visit, query: dict[str, str], message: str
) -> None:
    app = visit(PAGE, **query)
    assert not app.exception
    assert [message in info.value for info in app.info] == [True]
    start = start_of(app)
    assert (start["n"], start["m"], start["family"]) == (6, 2, "relu-output")


def test_a_density_close_to_one_of_the_zoo_means_it(visit: Visit) -> None:
    app = visit(PAGE, p="0.0999")
    assert not app.info
    assert start_of(app)["step"] == 3


@pytest.mark.parametrize("guess", ["4 × 2", "8 × 4", "about the same"])
def test_any_prediction_is_answered(visit: Visit, guess: str) -> None:
    app = visit(PAGE)
    app.button_group(key="ratio-guess").select(guess).run()
    assert not app.exception
    assert ("Yes. For n = 2m" in shown_text(app)) == (guess == "about the same")


def test_the_answer_to_the_prediction_is_what_the_models_say(zoo: Zoo) -> None:
    rows = zoo.grid("sizes").select(family="relu-output", density=0.1, best_of_seeds=True)
    twice = rows[rows["n_features"] == 2 * rows["n_hidden"]]
    assert (twice["features_represented"] == twice["n_features"]).all()
    packing = twice["features_per_dimension"].astype(float)
    assert packing.max() / packing.min() < 1.2


def test_all_seeds_are_listed_and_offered(visit: Visit, zoo: Zoo) -> None:
    app = visit(PAGE, n="5", m="2", p="0.1")
    rows = zoo.grid("sizes").select(n_features=5, n_hidden=2, density=0.1, family="relu-output")
    box = unfold(app).selectbox(key="sizes-models-model")
    assert set(box.options) == set(rows["model_id"])
    for solution in rows["solution"]:
        assert solution in shown_text(app)


def test_claims_of_this_page_are_measured(visit: Visit) -> None:
    text = shown_text(unfold(visit(PAGE)))
    assert text.count("Threshold, set beforehand") == 2
    assert "has not been measured" not in text


def test_every_figure_is_described(visit: Visit) -> None:
    app = visit(PAGE)
    charts = app.get("vega_lite_chart")
    assert len(charts) >= 3
    assert all(len(chart.proto.alt) > 40 for chart in charts)


def test_numbers_in_the_prose_are_those_of_the_models(visit: Visit, zoo: Zoo) -> None:
    rows = zoo.grid("sizes").select(family="relu-output", best_of_seeds=True)
    dense = rows[rows["density"] == 1]
    counted = dense["features_represented"].astype(float) / dense["n_hidden"]
    text = shown_text(visit(PAGE))
    assert f"middle one is {np.median(counted):.2f}, the largest {counted.max():.2f}" in text
    squared = dense["features_per_dimension"].astype(float)
    assert f"add up to {np.median(squared):.2f} for each dimension" in text
    # What is above 1 there are shortened features, at no gain.
    assert (counted > 1).any()
    assert squared.max() < 1.05


def test_it_opens_on_the_count_and_on_its_own_size_among_the_lines(visit: Visit) -> None:
    app = visit(PAGE)
    assert start_of(app)["measure"] == "represented"
    assert "the thick one is 6 × 2" in shown_text(app)
    assert "the thick one is 5 × 3" in shown_text(visit(PAGE, n="5", m="3"))


def test_the_address_comes_back_as_it_was_put(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    table = zoo.grid("sizes").select(best_of_seeds=True)
    for step, family, measure, (n, m) in product(
        (0, 5, len(densities_of(table)) - 1), FAMILIES, MEASURES, [(2, 1), (16, 8)]
    ):
        query = Query()
        monkeypatch.setattr(st, "query_params", query)
        cell = Cell(step, n, m, family, measure)
        put_in_url(cell, table)
        assert query["p"] == format_density(densities_of(table)[step])
        assert cell_in_url(table) == (cell, [])


class Query(dict[str, str]):
    """Query parameters without a browser."""

    def to_dict(self) -> dict[str, str]:
        return dict(self)

    def from_dict(self, values: dict[str, str]) -> None:
        self.clear()
        self.update(values)


def test_a_zoo_without_the_grid_says_so(
    zoo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = json.loads((zoo_folder / "zoo.json").read_text(encoding="utf-8"))
    values["grids"] = {}
    (tmp_path / "zoo.json").write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setenv(ZOO_VARIABLE, str(tmp_path))
    app = open_page(PAGE)
    assert not app.exception
    assert "there is no grid 'sizes'" in app.error[0].value


def test_a_missing_zoo_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ZOO_VARIABLE, str(tmp_path))
    app = open_page(PAGE)
    assert not app.exception
    assert "zoo.json is missing" in app.error[0].value.replace("\\", "")


def test_seeds_whose_loss_was_sampled_show_its_standard_error(visit: Visit, zoo: Zoo) -> None:
    assert " ± " in shown_text(visit(PAGE, n="16", m="8", p="0.1"))
    assert " ± " not in shown_text(visit(PAGE, n="6", m="2", p="0.1"))
    errors = zoo.grid("sizes").table
    errors = errors[errors["loss_method"] == "stratified"]
    share = (errors["loss_standard_error"] / errors["loss"])[errors["best_of_seeds"]].max()
    assert f"at most {share:.1%} of the loss" in shown_text(visit(PAGE))


def test_packing_above_n_over_m_is_explained(visit: Visit, zoo: Zoo) -> None:
    (row,) = (
        zoo.grid("sizes")
        .select(n_features=6, n_hidden=2, family="relu-output", best_of_seeds=True)
        .query("0.04 < density < 0.05")
        .itertuples()
    )
    W = zoo.model(row.model_id).parameters["W"]
    length = np.sqrt(np.mean(np.sum(W**2, axis=0)))
    assert f"root mean square of its norms is {length:.2f}" in shown_text(visit(PAGE))
    assert "no model there represents more than 2" in shown_text(visit(PAGE))
