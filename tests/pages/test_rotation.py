"""Rotation invariance: the stream, what breaks it, and solutions up to rotation."""

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

from figures.stream import MOST_POINTS, verdict
from figures.theme import format_number
from pages.sections.rotation import (
    READINGS,
    SAME,
    before_and_after,
    change_of,
    condition,
    made_up,
    matrix,
    of_model,
)
from superposition.rotation import KINDS, MatrixKind, up_to_rotation
from tests.pages.conftest import Visit, described, shown_text, unfold
from zoo import Zoo

PAGE = "pages/rotation.py"
TRANSPOSE = "the transpose, Rᵀ"


OUTCOME, _, SEEDS = range(3)
"""Places of the charts that have inputs of their own."""


def data(app: AppTest, chart: int, column: str) -> pd.DataFrame:
    """The rows of a chart that have a column."""
    for each in app.get("vega_lite_chart")[chart].proto.datasets:
        table = pa.ipc.open_stream(each.data.data).read_all()
        if table.num_rows and column in table.column_names:
            rows: pd.DataFrame = table.to_pandas()
            return rows
    raise AssertionError(f"no rows with {column}")


def start(app: AppTest, chart: int) -> Any:
    """Where the input of a chart starts."""
    spec = json.loads(app.get("vega_lite_chart")[chart].proto.spec)
    (param,) = spec["params"]
    (value,) = param["value"][0].values()
    return value


def outputs(app: AppTest) -> str:
    """The verdict on the outputs, as it is shown and as it is told."""
    shown = results(app)[f"text{int(start(app, OUTCOME))}"]["Outputs"]
    assert f"Outputs: {shown}." in described(app)[OUTCOME]
    return str(shown)


def results(app: AppTest) -> pd.DataFrame:
    """The boxes: what stands in each."""
    return data(app, OUTCOME, "label").set_index("label")


def test_it_opens_with_outputs_that_do_not_change(visit: Visit) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert not app.info
    assert app.title[0].value == "Rotation invariance"
    assert outputs(app) == "unchanged"
    alts = described(app)
    assert all(len(alt) > 60 for alt in alts)
    assert "every point lies on the diagonal" in alts[OUTCOME]
    assert "no bottleneck model's output changes" in shown_text(app)
    # The table that answers the prediction is folded away.
    assert not any(alt.startswith("Table of") for alt in alts)
    assert "**Not measured here:**" in shown_text(app)


def test_the_reader_can_break_it(visit: Visit) -> None:
    app = visit(PAGE, relu="true")
    assert outputs(app) == "changed"
    assert "ReLU acts on every coordinate" in described(app)[OUTCOME]
    app.selectbox(key="matrix").set_value("permutation").run()
    assert outputs(app) == "unchanged"
    app = visit(PAGE, matrix="invertible")
    assert outputs(app) == "unchanged"
    app.button_group(key="read").select(TRANSPOSE).run()
    assert outputs(app) == "changed"
    assert "points leave the diagonal" in described(app)[OUTCOME]
    app.selectbox(key="draw").set_value(4).run()
    assert outputs(app) == "changed"
    assert not app.exception


@pytest.mark.parametrize("source", ["8 dimensions", "bottleneck 20 × 5"])
@pytest.mark.parametrize("kind", ["rotation", "permutation", "nearly singular"])
@pytest.mark.parametrize("by", READINGS)
def test_both_states_are_what_they_are_said_to_be(
    visit: Visit, zoo_folder: Path, source: str, kind: MatrixKind, by: str
) -> None:
    app = visit(PAGE, stream=source, matrix=kind, read=by, draw="2")
    boxes, dots = results(app), data(app, OUTCOME, "before0")
    made = source == "8 dimensions"
    stream = made_up(8, 2) if made else of_model(Zoo.open(zoo_folder), source, 2)
    R = matrix(kind, stream.d, 2)
    for state, step in enumerate((False, True)):
        before, after = before_and_after(stream, R, READINGS[by], step)
        change, scale = change_of(before, after)
        assert list(boxes[f"text{state}"]) == [
            verdict(change, scale),
            format_number(change, 2),
            condition(R),
        ]
        assert boxes[f"note{state}"]["Largest change"].endswith(format_number(scale, 2))
        every = max(1, -(-sum(out.size for out in before) // MOST_POINTS))
        for quantity, outs in (("before", before), ("after", after)):
            values = np.concatenate([out.ravel() for out in outs])[::every]
            np.testing.assert_allclose(
                np.sort(dots[f"{quantity}{state}"]), np.sort(values.round(4)), atol=1e-9
            )


def test_the_switch_stays_in_a_chart_that_is_the_same_for_every_stream(visit: Visit) -> None:
    app = visit(PAGE)
    first = app.get("vega_lite_chart")[OUTCOME].proto
    app.selectbox(key="stream").set_value("bottleneck 20 × 5").run()
    app.selectbox(key="matrix").set_value("singular").run()
    app.button_group(key="read").select(TRANSPOSE).run()
    then = app.get("vega_lite_chart")[OUTCOME].proto
    assert (first.spec, first.alt, first.id) == (then.spec, then.alt, then.id)
    assert [each.name for each in first.datasets] == [each.name for each in then.datasets]


@pytest.mark.parametrize(
    ("asked", "step", "notices"),
    [("true", True, 0), ("TRUE", True, 0), ("false", False, 0), ("", False, 0), ("1", False, 1)],
)
def test_the_address_sets_the_switch(visit: Visit, asked: str, step: bool, notices: int) -> None:
    app = visit(PAGE, relu=asked)
    assert not app.exception
    assert start(app, OUTCOME) is step
    assert ("ReLU acts" in described(app)[OUTCOME]) == step
    assert len(app.info) == notices
    assert all("neither true nor false" in info.value for info in app.info)


@pytest.mark.parametrize(
    ("kind", "meaning", "number"),
    [("nearly singular", "digits lost", "1×10¹⁰"), ("singular", "changed", "infinite")],
)
def test_matrices_that_cannot_well_be_undone(
    visit: Visit, kind: str, meaning: str, number: str
) -> None:
    app = visit(PAGE, matrix=kind, stream="20 dimensions")
    assert not app.exception
    assert outputs(app) == meaning
    assert results(app)["text0"]["Condition number"] == number
    assert f"Condition number of R: {number}." in described(app)[OUTCOME]


@pytest.mark.parametrize("stream", ["2 dimensions", "40 dimensions", "bottleneck 80 × 20"])
def test_the_table_says_which_matrices_are_allowed(visit: Visit, stream: str) -> None:
    """In any dimension, and for a trained model as for a made-up stream."""
    app = unfold(visit(PAGE, stream=stream))
    assert not app.exception
    (words,) = (alt for alt in described(app) if alt.startswith("Table of"))
    kept = dict(re.findall(r"(R[^:;]*): ([^;.]*)", words.partition("unchanged for ")[2]))
    orthogonal = ", ".join(KINDS[:4])
    assert kept == {
        "R⁻¹": ", ".join(KINDS[:6]),
        "Rᵀ": orthogonal,
        "R⁻¹, ReLU": "permutation, stretch along the axes",
        "Rᵀ, ReLU": "permutation",
    }


def test_a_model_of_the_zoo_can_be_the_stream(visit: Visit) -> None:
    app = unfold(visit(PAGE, stream="bottleneck 5 × 2", read=TRANSPOSE))
    assert not app.exception
    assert outputs(app) == "unchanged"
    assert "1 maps write" in described(app)[OUTCOME]
    assert any("bottleneck-5x2/relu-output" in block.value for block in app.code)


def test_bad_values_in_the_address_get_notices(visit: Visit) -> None:
    app = visit(PAGE, stream="9 lives", matrix="shear", draw="99", read="aloud", p="7", relu="on")
    assert not app.exception
    assert len(app.info) == 6
    assert outputs(app) == "unchanged"
    assert start(app, SEEDS) == 0


def test_solutions_up_to_rotation_follow_the_density(visit: Visit) -> None:
    app = visit(PAGE)
    assert start(app, SEEDS) == 0
    assert "**16 of 16** after turning or mirroring" in shown_text(app)
    app = visit(PAGE, p="0.01")
    assert not app.exception
    text = shown_text(app)
    assert "at density 0.01" in text
    assert "**16 of 16**" not in text
    assert "16 of 16 if features may also change places" in text
    assert "Density 0.01. Directions of 5 features in 16 models" in described(app)[SEEDS]


def test_every_density_is_sent_with_its_counts(visit: Visit, zoo_folder: Path) -> None:
    app = visit(PAGE, p="0.1")
    heads, tips = data(app, SEEDS, "text0"), data(app, SEEDS, "across0")
    grid = Zoo.open(zoo_folder).grid("bottleneck-5x2")
    rows = grid.select(family="relu-output", importance_decay=0.9)
    densities = sorted(set(rows["density"]), reverse=True)
    assert densities[start(app, SEEDS)] == 0.1
    for step, density in enumerate(densities):
        here = rows[rows["density"] == density].sort_values("loss")
        W = np.asarray(grid.parameters(here)["W"], dtype=np.float64)
        found = up_to_rotation(W, W[0], reorder=True)
        trained, turned, reordered = (
            int((distance <= SAME).sum())
            for distance in (found.before, found.after, found.reordered)
        )
        assert list(heads[f"text{step}"]) == [
            f"as trained: {trained} of 16",
            f"each turned: {turned} of 16",
        ]
        assert list(heads[f"more{step}"])[1] == f"reordered too: {reordered} of 16"
        reach = 1.08 * max(np.abs(W).max(), np.abs(found.turned).max())
        for panel, models in enumerate((W, found.turned)):
            own = tips[tips["panel"] == panel].sort_values(["model", "feature"])
            for axis, quantity in enumerate(("across", "up")):
                np.testing.assert_allclose(
                    own[f"{quantity}{step}"], models[:, axis].ravel() / reach, atol=1e-4
                )


@pytest.mark.parametrize("guess", ["only rotations", "any R that has an inverse"])
def test_any_prediction_is_answered(visit: Visit, guess: str) -> None:
    app = visit(PAGE)
    app.button_group(key="prediction").select(guess).run()
    assert ("Yes. Each read" in shown_text(app)) == (guess == "any R that has an inverse")


def test_pentagons_differ_by_a_rotation_and_an_order(zoo_folder: Path) -> None:
    zoo = Zoo.open(zoo_folder)
    grid = zoo.grid("bottleneck-5x2")
    rows = grid.select(family="relu-output", importance_decay=0.9, solution="pentagon")
    sparse = rows[rows["density"] < 0.06]
    for _, here in sparse.groupby("density"):
        W = grid.parameters(here)["W"]
        found = up_to_rotation(W, W[0], reorder=True)
        assert (found.reordered <= 0.05).all()
        assert (found.after > 0.5).any()
