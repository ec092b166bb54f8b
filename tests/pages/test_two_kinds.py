"""Two kinds of superposition: bars of neurons, the functions they give, and what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from superposition.families import ABSOLUTE_VALUE
from superposition.neurons import (
    ONE,
    for_showing,
    handled,
    neuron_effects,
    neuron_roles,
    outputs_among_others,
    pair_loss,
    role_counts,
    without_neuron,
)
from tests.pages.conftest import Visit, described, shown_text
from zoo import GridView, Zoo
from zoo.computing import explained_by

PAGE = "pages/two_kinds.py"
SIZES = {"6x10": (6, 10), "3x6": (3, 6), "100x40": (100, 40)}
BARS, CURVES, HANDLED, ROLES = range(4)


def alt(app: AppTest, chart: int) -> str:
    return described(app)[chart]


def shares(app: AppTest) -> dict[int, int]:
    """Per cent of the variance explained, by feature, as the curves are described."""
    found = re.findall(r"feature (\d+) (\d+)%", alt(app, CURVES).partition("Variance")[2])
    return {int(feature): int(share) for feature, share in found}


def slider(app: AppTest) -> dict[str, Any]:
    spec = json.loads(app.get("vega_lite_chart")[BARS].proto.spec)
    (found,) = (p for p in spec["params"] if p["name"] == "neurons")
    return dict(found)


def start(app: AppTest) -> int:
    return int(slider(app)["value"][0]["step"])


def test_it_opens_on_six_features_that_ten_neurons_handle(visit: Visit) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert not app.info
    assert app.title[0].value == "Storing and computing in superposition"
    assert len(app.get("vega_lite_chart")) == 4
    for chart in range(4):
        assert len(alt(app, chart)) > 60
    assert min(shares(app).values()) >= 75
    assert len(shares(app)) == 6
    assert "neuron 1 feature 1 1" in alt(app, BARS)
    assert "m/2 = 5: 5 at 1" in alt(app, HANDLED)
    assert "at density 1 10 one feature;" in alt(app, ROLES)
    assert slider(app)["bind"]["step"]["max"] == 6
    assert start(app) == 4
    text = shown_text(app)
    assert "handle more features than m/2" in text
    assert "Predict first" in text


def test_every_size_and_dense_data_are_shown_and_linked(visit: Visit) -> None:
    app = visit(PAGE, size="3x6", p="1")
    assert app.button_group(key="size").value == "3x6"
    assert start(app) == 0
    assert shares(app) == {1: 100, 2: 100, 3: 100}
    app.button_group(key="size").select("100x40").run()
    assert not app.exception
    assert "40 neurons for 100 features" in alt(app, BARS)
    # Dense data: a pair for each of the first twenty, and nothing for the others.
    found = shares(app)
    assert len(found) == 12
    assert all(share == (100 if feature <= 20 else 0) for feature, share in found.items())
    assert not any(button.key == "again-100x40-retrain-go" for button in app.button)


@pytest.mark.parametrize("bad", ["banana", "-1", "0.2", "nan"])
def test_a_bad_density_gets_a_notice_and_the_default(visit: Visit, bad: str) -> None:
    app = visit(PAGE, p=bad)
    assert not app.exception
    assert "not among the models here" in app.info[0].value
    assert start(app) == 4


def test_bad_choices_get_notices(visit: Visit) -> None:
    app = visit(PAGE, size="9x9", bars="pies", without="11", train="7", others="some")
    assert not app.exception
    assert len(app.info) == 5
    assert "others some, which is neither true nor false" in " ".join(one.value for one in app.info)


def test_taking_a_neuron_away_breaks_what_it_serves(visit: Visit) -> None:
    app = visit(PAGE, without="1", p="1")
    assert app.selectbox(key="without").value == "1"
    # Half of feature 1 is gone; on dense data that is more than half of the variance.
    assert shares(app)[1] < 50
    assert shares(app)[2] == 100
    spec = app.get("vega_lite_chart")[CURVES].proto.spec
    app.selectbox(key="without").select("none").run()
    assert not app.exception
    assert shares(app)[1] == 100
    # The same specification: the browser then only moves the lines.
    assert spec == app.get("vega_lite_chart")[CURVES].proto.spec


@pytest.mark.parametrize("asked", ["true", "false"])
def test_the_band_is_always_sent_and_the_address_says_whether_it_is_shown(
    visit: Visit, zoo_folder: Path, asked: str
) -> None:
    app = visit(PAGE, p="0.1", size="6x10", without="2", others=asked)
    assert not app.info
    spec = json.loads(app.get("vega_lite_chart")[CURVES].proto.spec)
    (switch,) = spec["params"]
    assert switch["value"] == [{"others": asked == "true"}]
    assert ("A band shows" in alt(app, CURVES)) == (asked == "true")
    tables = [
        pa.ipc.open_stream(data.data.data).read_pandas()
        for data in app.get("vega_lite_chart")[CURVES].proto.datasets
    ]
    (band,) = (table for table in tables if "y2" in table)
    # Between the tenth and the ninetieth percentile lies what was sampled.
    rows = best(Zoo.open(zoo_folder).grid("absolute-value"), "6x10")
    row = rows[rows["density"] == 0.1].iloc[0]
    model = Zoo.open(zoo_folder).model(row["model_id"])
    weights = for_showing(ABSOLUTE_VALUE, model.parameters)
    found = outputs_among_others(
        ABSOLUTE_VALUE,
        without_neuron(weights, 1),
        model.spec.distribution,
        (0.5,),
        draws=20_000,
        rng=np.random.default_rng(5),
    )
    # At 0.5, three quarters of the way across a cell. Drawn are 300, and cut at 1.25.
    cells = band.groupby("colour")["x"].transform("min")
    here = band[np.isclose(band["x"] - cells, 0.75)].set_index("colour")
    for i in range(6):
        floor = -(i // 3) * 1.34
        high = (here.loc[str(i + 1), "y"] - floor) * 1.25
        assert high == pytest.approx(min(found.high[i, 0], 1.25), abs=0.1)


def test_bars_can_be_the_weights_themselves(visit: Visit) -> None:
    for asked, measure in ((None, "shares"), ("weights", "weights"), ("pies", "shares")):
        app = visit(PAGE, **({} if asked is None else {"bars": asked}))
        assert not app.exception
        assert slider(app)["value"][0]["measure"] == measure
        assert len(app.info) == (asked == "pies")


def test_any_prediction_is_answered(visit: Visit) -> None:
    app = visit(PAGE)
    for guess in ("three", "five: a pair for each", "all six"):
        app.button_group(key="prediction").select(guess).run()
        answer = shown_text(app)
        assert ("Yes. Five is what pairs allow" in answer) == (guess == "all six")
        assert ("Not quite. Five is what pairs allow" in answer) == (guess != "all six")


def test_the_density_to_train_again_can_be_chosen(visit: Visit) -> None:
    app = visit(PAGE, train="0.1")
    assert not app.info
    assert app.select_slider(key="train").value == 0.1
    assert app.button(key="again-6x10-retrain-go")


# What the page says of the models.


@pytest.fixture(scope="module")
def grid(zoo_folder: Path) -> GridView:
    return Zoo.open(zoo_folder).grid("absolute-value")


def best(grid: GridView, size: str) -> pd.DataFrame:
    n, m = SIZES[size]
    rows = grid.select(n_features=n, n_hidden=m, best_of_seeds=True)
    return rows.sort_values("density", ascending=False, ignore_index=True)


def shown(grid: GridView, rows: pd.DataFrame, step: int) -> dict[str, np.ndarray]:
    weights = grid.parameters(rows)
    return for_showing(ABSOLUTE_VALUE, {name: stack[step] for name, stack in weights.items()})


@pytest.mark.parametrize("size", list(SIZES))
def test_dense_data_has_pairs_and_their_loss(grid: GridView, size: str) -> None:
    rows = best(grid, size)
    n, m = SIZES[size]
    roles = neuron_roles(neuron_effects(ABSOLUTE_VALUE, shown(grid, rows, 0)))
    assert roles.half_a_v.all()
    assert (roles.serves.sum(0) == 2 * (np.arange(n) < m // 2)).all()
    importances = rows["importance_decay"].iloc[0] ** np.arange(n)
    assert rows["loss"].iloc[0] == pytest.approx(pair_loss(importances, m, 1.0), rel=1e-4, abs=1e-9)


def test_sparse_data_has_neurons_that_serve_several_and_that_inhibit(grid: GridView) -> None:
    for size, (_, m) in SIZES.items():
        rows = best(grid, size)
        for step in np.flatnonzero(rows["density"] <= 0.1):
            roles = neuron_roles(neuron_effects(ABSOLUTE_VALUE, shown(grid, rows, int(step))))
            if size == "3x6":
                assert role_counts(roles)[ONE] == m
            else:
                assert roles.shared.any()
                assert roles.inhibitory.any()


def test_without_neuron_8_output_6_comes_on_with_features_3_and_4(grid: GridView) -> None:
    rows = best(grid, "6x10")
    step = int(np.flatnonzero(np.isclose(rows["density"], 0.01))[0])
    effects = neuron_effects(ABSOLUTE_VALUE, shown(grid, rows, step))[7, :, :, 5]
    assert (effects.min(-1)[[2, 3]] < -0.9).all()


def test_forty_neurons_handle_fewer_than_forty_features_and_more_than_twenty(
    zoo_folder: Path, grid: GridView
) -> None:
    rows = grid.select(n_features=100, density=0.001)
    counts = handled(explained_by(Zoo.open(zoo_folder), list(rows["model_id"]))).sum(-1)
    assert ((counts > 30) & (counts < 40)).all()


def test_the_caveats_on_seeds_and_importance_are_right(grid: GridView) -> None:
    table = grid.table
    for n, seeds in ((3, 8), (6, 8), (100, 2)):
        of_size = table[table["n_features"] == n]
        assert set(of_size.groupby("density")["seed"].nunique()) == {seeds}
        assert set(of_size["importance_decay"]) == {0.8 if n == 100 else 0.7}


def test_half_a_v_is_a_common_local_minimum(zoo_folder: Path, grid: GridView) -> None:
    rows = grid.select(n_features=6, density=0.001)
    found = explained_by(Zoo.open(zoo_folder), list(rows["model_id"]))
    assert (np.abs(found - 0.5) < 0.02).any(-1).sum() >= 2
