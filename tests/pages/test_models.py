"""Models: the filters, the open model, and what happens to ids that are none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.model_words import FAMILY_NAMES, data_sentence, family_name, link_to
from pages.parts.zoo_access import ZOO_VARIABLE
from superposition.families import FAMILIES
from tests.pages.conftest import Visit, headings, open_page, shown_text
from zoo import ModelSpec, Zoo

PAGE = "pages/models.py"


@pytest.fixture
def zoo(zoo_folder: Path) -> Zoo:
    return Zoo.open(zoo_folder)


@pytest.fixture
def table(zoo: Zoo) -> pd.DataFrame:
    return zoo.table


def count_shown(app: AppTest) -> int:
    """How many models the caption says there are, which is how many the table holds."""
    (caption,) = [part.value for part in app.caption if "Select a row" in part.value]
    (shown,) = app.dataframe
    found = int(caption.partition(" of ")[0].replace(",", ""))
    assert found == len(shown.value)
    return found


def test_it_opens_on_the_pentagon(visit: Visit, table: pd.DataFrame) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert count_shown(app) == table["best_of_seeds"].sum()
    assert "bottleneck-5x2/relu-output/n5-m2-p0.1-" in str(app.text_input(key="model").value)
    assert "pentagon" in shown_text(app)
    # Words before ids, in the table and above the model.
    assert app.dataframe[0].value.columns[0] == "kind"
    assert "5 × 2 ReLU bottleneck at density 0.1" in headings(app)


@pytest.mark.parametrize(
    ("key", "column", "value"),
    [
        ("grid", "grid", "sizes"),
        ("family", "family", "linear"),
        ("n", "n_features", 6),
        ("m", "n_hidden", 2),
        ("arrangement", "solution", "pentagon"),
    ],
)
def test_a_filter_leaves_the_rows_that_match(
    visit: Visit, table: pd.DataFrame, key: str, column: str, value: Any
) -> None:
    app = visit(PAGE)
    app.selectbox(key=key).select(value).run()
    assert not app.exception
    assert count_shown(app) == ((table[column] == value) & table["best_of_seeds"]).sum()
    ids = app.dataframe[0].value["model_id"]
    assert set(table.set_index("model_id").loc[ids, column]) == {value}
    app.button_group(key="seeds").select("all").run()
    assert count_shown(app) == (table[column] == value).sum()


def test_a_range_of_densities(visit: Visit, table: pd.DataFrame) -> None:
    app = visit(PAGE)
    app.select_slider(key="density").set_range(0.01, 0.1).run()
    assert not app.exception
    inside = table["density"].between(0.01, 0.1)
    assert 0 < count_shown(app) == (inside & table["best_of_seeds"]).sum()


def test_filters_that_leave_nothing_say_so(visit: Visit) -> None:
    app = visit(PAGE, grid="sizes", n="80")
    assert not app.exception
    assert not app.dataframe
    assert "No model passes all of these filters" in app.info[0].value


def test_the_address_sets_the_filters(visit: Visit, table: pd.DataFrame) -> None:
    app = visit(PAGE, grid="sizes", n="6", m="2", seeds="all")
    assert not app.info
    assert count_shown(app) == len(
        table.query("grid == 'sizes' and n_features == 6 and n_hidden == 2")
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grid", "size"),
        ("family", "cubic"),
        ("n", "-3"),
        ("m", "two"),
        ("density", "0.1"),
        ("density", "all"),
        ("seeds", "some"),
        ("arrangement", "blob"),
    ],
)
def test_bad_filters_in_the_address_get_a_message(
    visit: Visit, table: pd.DataFrame, name: str, value: str
) -> None:
    app = visit(PAGE, **{name: value})
    assert not app.exception
    assert ["The address asks for" in info.value for info in app.info] == [True]
    assert value in app.info[0].value
    assert count_shown(app) == table["best_of_seeds"].sum()


def test_a_model_of_every_grid_opens(visit: Visit, zoo: Zoo) -> None:
    app = visit(PAGE)
    for name in zoo.grids:
        rows = zoo.grid(name).table
        for _, row in (
            rows.groupby(["family", "n_features", "n_hidden"]).head(1).iloc[:4].iterrows()
        ):
            app.text_input(key="model").set_value(row["model_id"]).run()
            assert not app.exception, row["model_id"]
            text = shown_text(app)
            assert row["solution"] in text
            assert (
                f"{row['n_features']} × {row['n_hidden']} {family_name(row['family'])}"
                in "\n".join(headings(app))
            )
            code = "\n".join(block.value for block in app.code)
            assert f'Zoo.open().model("{row["model_id"]}")' in code
            assert "load_file(" in code
            assert f"?model={row['model_id']}" in code


def test_the_link_opens_the_model(visit: Visit, zoo: Zoo) -> None:
    model_id = zoo.grid("sizes").table["model_id"].iloc[-1]
    app = visit(PAGE, model=model_id)
    assert not app.info
    assert app.text_input(key="model").value == model_id
    assert any(model_id in block.value for block in app.code)


def test_an_unknown_model_gets_the_nearest(visit: Visit) -> None:
    app = visit(PAGE, model="bottleneck-5x2/relu-output/n5-m2-p0.11-i0.9/s03")
    assert not app.exception
    assert not app.error
    assert "There is no model" in app.info[0].value
    wanted = "bottleneck-5x2/relu-output/n5-m2-p0.1-i0.9/s03"
    app.button(key=f"open-{wanted}").click().run()
    assert not app.exception
    assert not app.info
    assert app.text_input(key="model").value == wanted
    assert any(wanted in block.value for block in app.code)


@pytest.mark.parametrize(
    "asked", ["x", "   ", "../../etc/passwd", "sizes", "<b>bold</b>", "a/b/c/d"]
)
def test_nonsense_gets_a_message_and_suggestions(visit: Visit, asked: str) -> None:
    app = visit(PAGE, model=asked)
    assert not app.exception
    assert "There is no model" in app.info[0].value
    assert "<b>" not in app.info[0].value
    assert [button for button in app.button if str(button.key).startswith("open-")]


def test_the_code_that_samples_the_data_runs(visit: Visit, zoo_folder: Path) -> None:
    app = visit(PAGE)
    (code,) = [block.value for block in app.code if "distribution.sample" in block.value]
    names: dict[str, Any] = {}
    exec(code.replace("Zoo.open()", f"Zoo.open({str(zoo_folder)!r})"), names)
    assert names["x"].shape == names["y"].shape == (1000, 5)
    assert abs(np.mean(names["x"] != 0) - 0.1) < 0.03


def test_every_figure_is_described(visit: Visit, zoo: Zoo) -> None:
    app = visit(PAGE, model=zoo.grid("absolute-value").table["model_id"].iloc[0])
    charts = app.get("vega_lite_chart")
    assert len(charts) == 3
    assert all(len(chart.proto.alt) > 40 for chart in charts)


def test_kept_training_can_be_played(visit: Visit, zoo: Zoo) -> None:
    app = visit(PAGE, model=zoo.grid("bottleneck-5x2").trajectory_ids[0])
    (element,) = app.get("bidi_component")
    assert json.loads(element.proto.json)["tracks"][0]["training"] is not None


def test_an_empty_zoo_says_so(
    zoo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = json.loads((zoo_folder / "zoo.json").read_text(encoding="utf-8"))
    values["grids"] = {}
    (tmp_path / "zoo.json").write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setenv(ZOO_VARIABLE, str(tmp_path))
    app = open_page(PAGE)
    assert not app.exception
    assert "no models yet" in app.info[0].value


# Words.

MODEL = "bottleneck-5x2/relu-output/n5-m2-p0.1-i0.9/s03"


@pytest.mark.parametrize(
    "url", [None, "http://localhost:8501/models", "http://localhost:8501/models?model=x&n=3"]
)
def test_a_link_keeps_only_the_model(url: str | None) -> None:
    found = link_to(MODEL, url)
    assert found.endswith(f"/models?model={MODEL}")
    assert found.startswith("http://localhost:8501" if url else "/models")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_sentence_has_the_numbers_of_the_data(family: str) -> None:
    spec = ModelSpec(family, 6, 4, 0.05, importance_decay=0.7)
    text = data_sentence(spec)
    low, high = spec.model_family.value_range
    assert re.search(r"6 features .* S = 0\.95\b", text)
    assert f"[{low:g}, {high:g}]".replace("-", "−") in text
    assert "independently" in text
    assert "each next one 0.7 times that of the one before" in text


def test_every_family_has_a_name_of_its_own() -> None:
    assert set(FAMILY_NAMES) == set(FAMILIES)
    assert len(set(FAMILY_NAMES.values())) == len(FAMILIES)
    assert not set(FAMILY_NAMES.values()) & set(FAMILIES)
    assert family_name("one of another zoo") == "one of another zoo"


def test_the_sentence_tells_of_sets_and_rare_features() -> None:
    together = ModelSpec("relu-hidden", 8, 4, 0.1, correlation=1.0, set_size=2)
    never = ModelSpec("relu-hidden", 8, 4, 0.1, correlation=-1.0, set_size=2)
    rare = ModelSpec("relu-output", 5, 4, 0.2, rare_ratio=0.01)
    assert "sets of 2 are always on together" in data_sentence(together)
    assert "sets of 2 are never on together" in data_sentence(never)
    assert "the last is on with probability 0.002" in data_sentence(rare)
    assert "All features have importance 1." in data_sentence(rare)


def test_alignment_stands_beside_its_value_at_random(visit: Visit) -> None:
    # In a plane the larger of |cos| and |sin| of a random angle is 2 √2 / π on average.
    text = shown_text(visit(PAGE))
    assert f"(at random {2 * np.sqrt(2) / np.pi:.1f}" in text
    assert "(at random 1.5)" in text
