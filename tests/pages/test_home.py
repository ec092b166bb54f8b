"""The home page: the effect itself."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from streamlit.testing.v1 import AppTest

from superposition.geometry import solution_name
from tests.pages.conftest import Visit, headings, shown_text, unfold
from zoo import GridView, Zoo


def geometry(app: AppTest) -> dict[str, Any]:
    """What the moving geometry was given."""
    (element,) = app.get("bidi_component")
    return dict(json.loads(element.proto.json))


def directions(track: dict[str, Any]) -> NDArray[np.float32]:
    """(F, m, n), as the browser unpacks them."""
    packed = base64.b64decode(track["directions"])
    return np.frombuffer(packed, "<f4").reshape(track["shape"])


def test_it_opens_on_superposition(visit: Visit) -> None:
    app = visit()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == "Five features, two dimensions"
    assert "Caveats" in headings(app)


@pytest.mark.parametrize("guess", ["two", "four", "five", "it depends on the data"])
def test_any_guess_is_answered(visit: Visit, guess: str) -> None:
    app = visit()
    app.button_group(key="guess").select(guess).run()
    assert not app.exception
    right = guess == "it depends on the data"
    assert ("Yes. Two when" in shown_text(app)) == right
    assert ("Not quite. Two when" in shown_text(app)) != right


def test_sparsity_of_the_data_is_told_from_features_of_the_model(
    visit: Visit, zoo_folder: Path
) -> None:
    assert "represent four features of five" in shown_text(visit())
    rows = best(Zoo.open(zoo_folder).grid("bottleneck-5x2"), "relu-output", 0.9)
    kept = rows.set_index("density")["features_represented"]
    assert kept[0.2] == 4
    assert kept[0.1] == 5


def test_claims_are_shown_with_their_status(visit: Visit) -> None:
    app = unfold(visit())
    assert "Threshold, set beforehand" in shown_text(app)
    assert "has not been measured" not in shown_text(app)


@pytest.mark.parametrize(("asked", "notices"), [("0.1", 0), ("0.0999", 0), ("7", 1), ("x", 1)])
def test_the_address_holds_the_density(visit: Visit, asked: str, notices: int) -> None:
    app = visit(p=asked)
    assert not app.exception
    assert len(app.info) == notices


def test_a_track_that_does_not_exist_gets_a_notice(visit: Visit) -> None:
    app = visit(model="cubic")
    assert not app.exception
    assert "cubic" in app.info[0].value


def test_a_model_can_be_chosen_and_downloaded(visit: Visit) -> None:
    app = unfold(visit())
    box = app.selectbox(key="home-models-model")
    box.set_value(box.options[-1]).run()
    assert not app.exception
    code = "\n".join(block.value for block in app.code)
    assert box.options[-1] in code
    assert "load_file" in code


def test_it_shows_the_best_seeds_turned_and_otherwise_unchanged(
    visit: Visit, zoo_folder: Path
) -> None:
    data = geometry(visit())
    assert [track["name"] for track in data["tracks"]] == [
        "ReLU",
        "ReLU, equal importance",
        "linear",
    ]
    grid = Zoo.open(zoo_folder).grid("bottleneck-5x2")
    settings = [("relu-output", 0.9), ("relu-output", 1.0), ("linear", 0.9)]
    for track, (family, decay) in zip(data["tracks"], settings, strict=True):
        rows = grid.select(family=family, importance_decay=decay, best_of_seeds=True)
        rows = rows.sort_values("density", ascending=False)
        np.testing.assert_allclose(track["values"], rows["density"])
        W, shown = grid.parameters(rows)["W"], directions(track)
        np.testing.assert_allclose(shown.mT @ shown, W.mT @ W, atol=1e-5)
        assert track["training"]["steps"][0] == 0
    first = data["tracks"][data["start"]["track"]]
    assert first["values"][data["start"]["frame"]] == 0.2


def test_the_first_frame_is_a_square(visit: Visit) -> None:
    data = geometry(visit())
    first = directions(data["tracks"][0])[data["start"]["frame"]]
    assert solution_name(first) == "two antipodal pairs"


def test_the_address_chooses_the_frame(visit: Visit) -> None:
    data = geometry(visit(p="0.1", model="linear"))
    track = data["tracks"][data["start"]["track"]]
    assert (track["name"], track["values"][data["start"]["frame"]]) == ("linear", 0.1)


def best(grid: GridView, family: str, importance_decay: float) -> pd.DataFrame:
    """The best seed at each density, dense data first."""
    rows = grid.select(family=family, importance_decay=importance_decay, best_of_seeds=True)
    return rows.sort_values("density", ascending=False)


def test_what_the_page_says_of_the_relu_network_is_so(zoo_folder: Path) -> None:
    grid = Zoo.open(zoo_folder).grid("bottleneck-5x2")
    rows = best(grid, "relu-output", 0.9)
    kept = rows["features_represented"].to_numpy()
    density = rows["density"].to_numpy()
    parameters = grid.parameters(rows)
    norms = np.linalg.norm(parameters["W"], axis=1)
    # Two when every feature is always on: the first two, at a right angle.
    assert np.flatnonzero(norms[0] > 0.5).tolist() == [0, 1]
    assert rows["solution"].iloc[0] == "two orthogonal features"
    # Four or five when features are mostly off; first four, then five to the sparse end.
    assert set(kept[density < 0.5]) == {4, 5}
    assert (np.diff(kept) >= 0).all()
    assert set(rows["solution"][kept == 4]) == {"two antipodal pairs"}
    assert set(rows["solution"][kept == 5]) == {"pentagon"}
    # In the pentagon the biases are negative and the arrows longer than 1.
    assert (parameters["b"][kept == 5] < -0.1).all()
    assert (norms[kept == 5] > 1).all()


def test_equal_importance_reaches_the_pentagon_too(zoo_folder: Path) -> None:
    rows = best(Zoo.open(zoo_folder).grid("bottleneck-5x2"), "relu-output", 1.0)
    kept = rows["features_represented"].to_numpy()
    assert kept[0] == 2
    assert (np.diff(kept) >= 0).all()
    assert set(rows["solution"][kept == 5]) == {"pentagon"}


def test_no_linear_network_of_the_page_keeps_more_than_two(zoo_folder: Path) -> None:
    rows = Zoo.open(zoo_folder).grid("bottleneck-5x2").select(family="linear", importance_decay=0.9)
    assert set(rows["features_represented"]) == {2}


def test_neighbours_in_a_pentagon_hardly_matter_to_its_loss(zoo_folder: Path) -> None:
    rows = (
        Zoo.open(zoo_folder)
        .grid("bottleneck-5x2")
        .select(family="relu-output", importance_decay=0.9, solution="pentagon")
    )
    losses = rows.groupby("density")["loss_per_density"]
    assert (losses.max() / losses.min()).max() < 1.01


def test_each_stop_is_the_best_of_sixteen(zoo_folder: Path) -> None:
    table = Zoo.open(zoo_folder).grid("bottleneck-5x2").table
    seeds = table.groupby(["family", "importance_decay", "density"])["seed"].nunique()
    assert set(seeds) == {16}
