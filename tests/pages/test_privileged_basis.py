"""Privileged basis: the turning planes, the step, alignment against chance, the weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from figures.basis import DOTS, WEIGHTS
from figures.theme import format_number
from figures.turning import ANGLE, BASIS
from superposition.expectation import expectation_nodes
from superposition.geometry import features_per_neuron
from superposition.rotation import loss_against_angle
from tests.pages.conftest import Visit, described, shown_text, unfold
from zoo import Zoo

PAGE = "pages/privileged_basis.py"
GRID = "relu-hidden-10x5"


def charts(app: AppTest) -> list[dict[str, Any]]:
    """The specifications of the page's charts, in order."""
    return [json.loads(element.proto.spec) for element in app.get("vega_lite_chart")]


def starts(app: AppTest, name: str) -> dict[str, Any]:
    """Where the inputs of a chart start."""
    (inputs,) = (p for chart in charts(app) for p in chart.get("params", []) if p["name"] == name)
    return dict(inputs["value"][0])


def start_of(app: AppTest, name: str) -> float:
    """Where the slider of a chart starts, in degrees."""
    return float(starts(app, name)["degrees"])


def test_it_opens_on_a_turn_that_shows_the_effect(visit: Visit) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert not app.info
    assert app.title[0].value == "Privileged basis"
    assert start_of(app, ANGLE) == start_of(app, BASIS) == 30
    text = shown_text(app)
    for claim in ("The same rotation before", "Trained ReLU layers align"):
        assert claim in text
    alts = described(app)
    assert all(len(alt) > 60 for alt in alts)
    assert "bottleneck" in alts[0]
    assert "the same at every angle" in alts[0]
    # How large the effect is, and what makes it look larger at the sparse end.
    assert re.search(r"by 0\.\d+ \(t = [\d.]+\), that of a twin by", text)
    raised = re.search(r"([\d.]+)% of the seeds are beyond chance\. Cut .* and ([\d.]+)%", text)
    assert raised is not None
    assert float(raised[1]) > 50
    assert float(raised[2]) < 10
    ratio = re.search(r"the ReLU layer is ([\d.]+) times as high at 30°", text)
    assert ratio is not None
    assert float(ratio[1]) > 2


def test_the_address_holds_the_state(visit: Visit, zoo_folder: Path) -> None:
    app = visit(
        PAGE,
        p="0.01",
        plane="2 and 4",
        angle="91",
        axes="180",
        measure="kurtosis",
        w="0.1",
        mix="true",
    )
    assert not app.exception
    assert not app.info
    assert start_of(app, ANGLE) == 90  # The nearest stop of the slider.
    assert start_of(app, BASIS) == 180
    densities = [float(p) for p in best(Zoo.open(zoo_folder), "relu-hidden")["density"]]
    assert densities[starts(app, ANGLE)["step"]] == 0.01
    assert starts(app, DOTS) == {"measure": "kurtosis"}
    assert starts(app, WEIGHTS)["turned"]
    assert densities[starts(app, WEIGHTS)["step"]] == 0.1
    alts = described(app)
    assert "density p = 0.01 " in alts[0]
    assert "axes 2 and 4" in alts[0]
    assert "Kurtosis" in alts[2]
    assert "density p = 0.1 (sparsity S = 0.9), turned" in alts[3]


def test_what_is_told_and_offered_is_of_the_density_shown(visit: Visit, zoo_folder: Path) -> None:
    """The losses of the models themselves, and those models behind the figure."""
    app = visit(PAGE, p="0.01", plane="2 and 4")
    row = best(Zoo.open(zoo_folder), "relu-hidden").iloc[-1]
    first = format_number(float(row["loss"] / row["density"]), 2)
    told = re.search(r"ReLU layer: ([\d.]+) at 0 degrees", described(app)[0])
    assert told is not None
    assert float(told[1]) == pytest.approx(float(first), rel=0.05)
    unfold(app)
    assert row["model_id"] in [box.value for box in app.selectbox]


def test_the_figure_has_the_losses_of_every_density(visit: Visit, zoo_folder: Path) -> None:
    app = visit(PAGE)
    rows = best(Zoo.open(zoo_folder), "relu-output")
    assert starts(app, ANGLE)["step"] in range(len(rows))
    figure = app.get("vega_lite_chart")[0].proto
    tables = [pa.ipc.open_stream(one.data.data).read_pandas() for one in figure.datasets]
    (curves,) = (table for table in tables if "loss0" in table)
    at_zero = curves[(curves["degrees"] == 0) & (curves["model"] == "bottleneck")].iloc[0]
    for step, row in rows.iterrows():
        expected = row["loss"] / row["density"]
        assert at_zero[f"loss{step}"] == pytest.approx(expected, rel=0.05)


def test_bad_values_in_the_address_get_notices(visit: Visit) -> None:
    app = visit(
        PAGE, p="7", plane="1 and 1", angle="banana", axes="-1", measure="taste", w="x", mix="?"
    )
    assert not app.exception
    notices = "\n".join(info.value for info in app.info)
    assert len(app.info) == 7
    assert "density 7, which is not among the models here. Showing 0.1" in notices
    assert "mix ·, which is neither true nor false" in notices
    assert "the measure taste. There are alignment and kurtosis" in notices
    assert "angle banana, which is not between 0 and 360" in notices
    assert start_of(app, ANGLE) == 30


def test_another_plane_is_another_figure_with_its_sliders_where_they_were(visit: Visit) -> None:
    app = visit(PAGE, p="0.01", angle="90")
    before, specs = described(app), charts(app)
    app.selectbox(key="plane").set_value((1, 2)).run()
    assert not app.exception
    after = described(app)
    moved = [old != new for old, new in zip(before, after, strict=True)]
    assert moved == [True, False, False, False]
    # The same specification: the browser moves the marks.
    assert charts(app)[0] == specs[0]


@pytest.mark.parametrize("guess", ["neither's", "the ReLU layer's"])
def test_any_prediction_is_answered(visit: Visit, guess: str) -> None:
    app = visit(PAGE)
    app.button_group(key="prediction").select(guess).run()
    assert ("Yes. Turning" in shown_text(app)) == (guess == "the ReLU layer's")


# What the page says, on the models it says it of.


def best(zoo: Zoo, family: str) -> Any:
    rows = zoo.grid(GRID).select(family=family, best_of_seeds=True)
    return rows.sort_values("density", ascending=False, ignore_index=True)


def test_angle_zero_is_the_bottom_of_a_valley(zoo_folder: Path) -> None:
    """At some densities and for some planes; the claim looks at all of them."""
    zoo = Zoo.open(zoo_folder)
    degrees = np.arange(0, 360, 20)
    rows = best(zoo, "relu-hidden")
    for at, plane in ((0, (0, 1)), (12, (1, 3)), (24, (2, 4))):
        model = zoo.model(rows["model_id"].iloc[at])
        nodes = expectation_nodes(
            model.spec.distribution, budget=1024, rng=np.random.default_rng(at)
        )
        losses = loss_against_angle(
            model.spec.model_family,
            model.parameters,
            nodes,
            model.spec.importances,
            degrees,
            plane,
        )
        assert losses.argmin() == 0
        assert losses[1:].min() > 1.01 * losses[0]


def test_dense_layers_have_one_feature_to_a_neuron_and_sparse_ones_many(zoo_folder: Path) -> None:
    zoo = Zoo.open(zoo_folder)
    rows = zoo.grid(GRID).select(family="relu-hidden")
    held = features_per_neuron(zoo.grid(GRID).parameters(rows)["W"])
    assert (held[rows["density"].to_numpy() > 0.46] == 1).all()
    assert held[rows["density"].to_numpy() < 0.05].mean() > 3


def test_sparse_layers_have_strong_negative_weights(zoo_folder: Path) -> None:
    zoo = Zoo.open(zoo_folder)
    rows = best(zoo, "relu-hidden")
    W = zoo.grid(GRID).parameters(rows)["W"]
    sparse = rows["density"].to_numpy() < 0.05
    assert (W[sparse].min((-2, -1)) < -1.2 * W[sparse].max((-2, -1))).all()
    assert (W[~sparse][:5].min((-2, -1)) > -0.1).all()
