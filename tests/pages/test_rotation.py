"""Rotation invariance: the stream, what breaks it, and solutions up to rotation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from superposition.rotation import KINDS, up_to_rotation
from tests.pages.conftest import Visit, described, shown_text, unfold
from zoo import Zoo

PAGE = "pages/rotation.py"
TRANSPOSE = "the transpose, Rᵀ"


def outputs(app: AppTest) -> str:
    """The verdict on the outputs."""
    return str(app.metric[0].value)


def test_it_opens_with_outputs_that_do_not_change(visit: Visit) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert not app.info
    assert app.title[0].value == "Rotation invariance"
    assert outputs(app) == "unchanged"
    alts = described(app)
    assert all(len(alt) > 60 for alt in alts)
    assert "every point lies on the diagonal" in alts[1]
    assert "no bottleneck model's output changes" in shown_text(app)
    # The table that answers the prediction is folded away.
    assert not any(alt.startswith("Table of") for alt in alts)
    assert "**Not measured here:**" in shown_text(app)


def test_the_reader_can_break_it(visit: Visit) -> None:
    app = visit(PAGE)
    app.toggle(key="relu").set_value(True).run()
    assert outputs(app) == "changed"
    assert "ReLU acts on every coordinate" in described(app)[0]
    app.selectbox(key="matrix").set_value("permutation").run()
    assert outputs(app) == "unchanged"
    app.toggle(key="relu").set_value(False).run()
    app.selectbox(key="matrix").set_value("invertible").run()
    assert outputs(app) == "unchanged"
    app.button_group(key="read").select(TRANSPOSE).run()
    assert outputs(app) == "changed"
    assert "points leave the diagonal" in described(app)[1]
    app.selectbox(key="draw").set_value(4).run()
    assert outputs(app) == "changed"
    assert not app.exception


@pytest.mark.parametrize(
    ("matrix", "verdict", "condition"),
    [("nearly singular", "digits lost", "1×10¹⁰"), ("singular", "changed", "infinite")],
)
def test_matrices_that_cannot_well_be_undone(
    visit: Visit, matrix: str, verdict: str, condition: str
) -> None:
    app = visit(PAGE, matrix=matrix, stream="20 dimensions")
    assert not app.exception
    assert outputs(app) == verdict
    assert str(app.metric[2].value) == condition


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
    assert "1 maps write" in described(app)[0]
    assert any("bottleneck-5x2/relu-output" in block.value for block in app.code)


def test_bad_values_in_the_address_get_notices(visit: Visit) -> None:
    app = visit(PAGE, stream="9 lives", matrix="shear", draw="99", read="aloud", p="7")
    assert not app.exception
    assert len(app.info) == 5
    assert outputs(app) == "unchanged"


def test_solutions_up_to_rotation_follow_the_density(visit: Visit) -> None:
    app = visit(PAGE)
    assert "**16 of 16** after turning or mirroring" in shown_text(app)
    app.select_slider(key="p").set_value(0.01).run()
    assert not app.exception
    text = shown_text(app)
    assert "**16 of 16**" not in text
    assert "16 of 16 if features may also change places" in text


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
