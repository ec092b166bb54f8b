"""Bottleneck superposition: heat maps, losses, outcomes, the antipodal pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from figures.curves import BEST_LINEAR, BROKEN, IRREGULAR, RELU, SOLUTION_COLOURS, loss_table
from tests.pages.conftest import Visit, described, shown_text, unfold
from zoo import GridView, Zoo

PAGE = "pages/bottleneck.py"


def charts(app: AppTest) -> list[dict[str, Any]]:
    """The specifications of the page's charts, in order."""
    return [json.loads(element.proto.spec) for element in app.get("vega_lite_chart")]


def slider_start(app: AppTest) -> int:
    """The density that the heat maps show first, as an index."""
    (slider,) = (p for p in charts(app)[0]["params"] if p["name"] == "density")
    return int(slider["value"][0]["step"])


def test_it_opens_on_five_features_in_two_pairs(visit: Visit, zoo_folder: Path) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert not app.info
    assert app.title[0].value == "Bottleneck superposition"
    assert "A perfect memory" in shown_text(app)
    assert len(charts(app)) == 4
    assert app.button_group(key="size").value == "5x2"
    densities = best(Zoo.open(zoo_folder).grid("bottleneck-5x2"), "relu-output", 0.9)
    row = densities.iloc[slider_start(app)]
    assert (row["density"], row["solution"]) == (0.2, "two antipodal pairs")


def test_every_figure_has_a_description(visit: Visit) -> None:
    for element in visit(PAGE).get("vega_lite_chart"):
        assert len(element.proto.alt) > 60


@pytest.mark.parametrize(("size", "steps"), [("20x5", 13), ("5x2", 26), ("80x20", 13)])
def test_every_size_is_shown_and_linked(visit: Visit, size: str, steps: int) -> None:
    app = visit(PAGE, size=size)
    assert not app.exception
    assert app.button_group(key="size").value == size
    (slider,) = (p for p in charts(app)[0]["params"] if p["name"] == "density")
    assert slider["bind"]["step"]["max"] == steps - 1


def test_the_size_can_be_changed(visit: Visit) -> None:
    app = visit(PAGE)
    app.button_group(key="size").select("20x5").run()
    assert not app.exception
    assert "of 20 features represented" in app.get("vega_lite_chart")[0].proto.alt


def test_the_address_holds_the_density(visit: Visit) -> None:
    assert slider_start(visit(PAGE, p="1")) == 0
    assert slider_start(visit(PAGE, p="0.001")) == 25
    assert slider_start(visit(PAGE)) == slider_start(visit(PAGE, p="0.2"))
    twenty = visit(PAGE, size="20x5")
    assert slider_start(twenty) == slider_start(visit(PAGE, size="20x5", p="0.03"))
    # A density that this size lacks, because the link came from another size.
    near = visit(PAGE, size="20x5", p="0.2")
    assert not near.info
    assert slider_start(near) == slider_start(visit(PAGE, size="20x5", p="0.1732"))


@pytest.mark.parametrize("bad", ["banana", "-1", "7", "nan", "inf"])
def test_a_bad_density_gets_a_notice_and_the_default(visit: Visit, bad: str) -> None:
    app = visit(PAGE, p=bad)
    assert not app.exception
    assert "not between 0 and 1" in app.info[0].value
    assert slider_start(app) == slider_start(visit(PAGE))


def test_bad_choices_get_notices(visit: Visit) -> None:
    app = visit(PAGE, size="9x9", networks="cubic")
    assert not app.exception
    assert len(app.info) == 2


def switch_start(app: AppTest) -> bool:
    """Whether the losses are first shown with the networks that lost their ReLU."""
    (switch,) = charts(app)[2]["params"]
    return bool(switch["value"][0]["broken"])


def test_taking_the_relu_away_adds_a_line(visit: Visit) -> None:
    app = visit(PAGE)
    assert not switch_start(app)
    assert "ReLU taken away from" not in described(app)[2]
    assert "Without its ReLU" not in shown_text(app)
    app.query_params["broken"] = "true"
    app.run()
    assert not app.exception
    assert switch_start(app)
    assert "ReLU taken away from" in described(app)[2]
    assert "Without its ReLU" in shown_text(app)
    app.button_group(key="size").select("20x5").run()
    assert switch_start(app)
    assert "Without its ReLU" in shown_text(app)


@pytest.mark.parametrize("bad", ["banana", "1", " "])
def test_a_bad_switch_gets_a_notice_and_is_off(visit: Visit, bad: str) -> None:
    app = visit(PAGE, broken=bad)
    assert not app.exception
    assert "The address asks for broken" in app.info[0].value
    assert not switch_start(app)
    assert not visit(PAGE, broken="false").info


@pytest.mark.parametrize("networks", ["ReLU", "ReLU, equal importance", "linear"])
def test_outcomes_of_each_kind_of_network(visit: Visit, networks: str) -> None:
    app = visit(PAGE)
    app.button_group(key="networks").select(networks).run()
    assert not app.exception
    assert "16 seeds" in app.get("vega_lite_chart")[3].proto.alt


@pytest.mark.parametrize(
    "guess", ["more features, like the ReLU one", "always the m most important", "fewer features"]
)
def test_any_prediction_is_answered(visit: Visit, guess: str) -> None:
    app = visit(PAGE)
    app.button_group(key="prediction").select(guess).run()
    right = guess == "always the m most important"
    assert ("Yes. Sparsity" in shown_text(app)) == right


def test_a_model_can_be_chosen(visit: Visit) -> None:
    app = unfold(visit(PAGE, size="80x20"))
    box = app.selectbox(key="maps-models-80x20-model")
    box.set_value(box.options[-1]).run()
    assert not app.exception
    assert any(box.options[-1] in block.value for block in app.code)


def pair_start(app: AppTest) -> dict[str, float]:
    (pair,) = charts(app)[1]["params"]
    return dict(pair["value"][0])


def test_the_address_holds_the_inputs_of_the_pair(visit: Visit) -> None:
    assert pair_start(visit(PAGE)) == {"one": 0.7, "two": 0.0}
    assert pair_start(visit(PAGE, inputs="0.2,0.5")) == {"one": 0.2, "two": 0.5}


@pytest.mark.parametrize("bad", ["1", "a,b", "0.2,3", "0,0,0", "nan,0"])
def test_bad_inputs_get_a_notice_and_the_default(visit: Visit, bad: str) -> None:
    app = visit(PAGE, inputs=bad)
    assert not app.exception
    assert "not two numbers from 0 to 1" in app.info[0].value
    assert pair_start(app) == {"one": 0.7, "two": 0.0}


def test_a_link_is_followed_again_in_the_same_visit(visit: Visit) -> None:
    app = visit(PAGE, p="1")
    assert slider_start(app) == 0
    app.query_params["p"] = "0.001"
    assert slider_start(app.run()) == 25


SIZES = [("bottleneck-20x5", 20, 5, 0.7), ("bottleneck-5x2", 5, 2, 0.9)]
WITH_LARGEST = [*SIZES, ("bottleneck-80x20", 80, 20, 0.9)]


def best(grid: GridView, family: str, importance_decay: float) -> pd.DataFrame:
    """The best seed at each density, dense data first."""
    rows = grid.select(family=family, importance_decay=importance_decay, best_of_seeds=True)
    return rows.sort_values("density", ascending=False)


@pytest.mark.parametrize(("name", "n", "m", "decay"), WITH_LARGEST)
def test_red_cells_come_first_and_blue_ones_later(
    zoo_folder: Path, name: str, n: int, m: int, decay: float
) -> None:
    grid = Zoo.open(zoo_folder).grid(name)
    W = grid.parameters(best(grid, "relu-output", decay))["W"]
    gram = W.mT @ W
    np.testing.assert_allclose(gram[0], np.diag(np.arange(n) < m), atol=0.02)
    leaks = gram[:, ~np.eye(n, dtype=bool)]
    strong = np.abs(leaks) > 0.3
    first = int(np.argmax(strong.any(axis=1)))
    assert strong.any()
    assert (leaks[first][strong[first]] < 0).all()
    assert (leaks[-1] > 0.3).any()


@pytest.mark.parametrize(("name", "n", "m", "decay"), SIZES)
def test_the_linear_network_keeps_the_same_diagonal(
    zoo_folder: Path, name: str, n: int, m: int, decay: float
) -> None:
    grid = Zoo.open(zoo_folder).grid(name)
    for W in grid.parameters(best(grid, "linear", decay))["W"]:
        np.testing.assert_allclose(W.T @ W, np.diag(np.arange(n) < m), atol=0.02)


@pytest.mark.parametrize(("name", "n", "m", "decay"), WITH_LARGEST)
def test_what_the_page_says_of_the_losses_is_so(
    zoo_folder: Path, name: str, n: int, m: int, decay: float
) -> None:
    grid = Zoo.open(zoo_folder).grid(name)
    rows = best(grid, "relu-output", decay)
    importances = decay ** np.arange(n)
    table = loss_table({RELU: rows}, n, m, importances, grid.parameters(rows)["W"])
    losses = table.pivot(index="density", columns="model", values="loss")
    losses = losses.sort_index(ascending=False)
    sparse = losses.index < 0.5
    assert (losses[RELU] < losses[BEST_LINEAR])[sparse].all()
    packed = rows["features_represented"].to_numpy() > m
    assert (losses[BROKEN] > losses[BEST_LINEAR])[packed].all()
    # Giving back 0 costs the second moment of a feature, a third of the density.
    assert (losses[BROKEN] > importances.sum() / 3)[losses.index < 0.02].all()


def test_the_caveat_on_seeds_is_right(zoo_folder: Path) -> None:
    zoo = Zoo.open(zoo_folder)
    for (name, _, _, decay), count in zip(WITH_LARGEST, (4, 16, 2), strict=True):
        rows = zoo.grid(name).select(family="relu-output", importance_decay=decay)
        assert set(rows.groupby("density")["seed"].nunique()) == {count}


def test_irregular_is_two_or_three_arrows_at_odd_angles(zoo_folder: Path) -> None:
    grid = Zoo.open(zoo_folder).grid("bottleneck-5x2")
    assert IRREGULAR in SOLUTION_COLOURS
    for family, decay in (("relu-output", 0.9), ("relu-output", 1.0), ("linear", 0.9)):
        names = set(grid.select(family=family, importance_decay=decay)["solution"])
        assert names - set(SOLUTION_COLOURS) <= {
            "two features in two dimensions",
            "three features in two dimensions",
        }
