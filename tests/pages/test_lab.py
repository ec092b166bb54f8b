"""The Lab without a browser: controls, address, training, comparison, download."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from pages.parts import live_run
from pages.parts.lab_settings import (
    PARAMETERS,
    query_for_spec,
    query_from_settings,
    settings_from_query,
)
from superposition.families import FAMILIES
from tests.pages.conftest import ROOT, Visit, headings, shown_text
from training.live import LIMITS, OPTIMISERS, LiveRun, LiveSettings
from zoo import ModelSpec, Zoo

LAB = "pages/lab.py"
PATIENCE = 120.0


@pytest.fixture(autouse=True)
def _watch_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_run, "WATCH_SECONDS", 0.1)


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def train(app: AppTest, until: Callable[[AppTest], bool] | None = None) -> AppTest:
    """Press Train and look again and again, as the page does by itself in a browser."""
    app.button(key="lab-train").click().run()
    return look(app, until or (lambda app: "Stop" not in labels(app)))


def look(app: AppTest, until: Callable[[AppTest], bool]) -> AppTest:
    deadline = time.monotonic() + PATIENCE
    while not until(app):
        assert time.monotonic() < deadline, shown_text(app)
        assert not app.exception
        time.sleep(0.05)
        app.run()
    return app


def run_of(app: AppTest) -> LiveRun:
    return app.session_state["lab-watched"].run


# Before training.


def test_opens_on_the_zoos_model_and_an_invitation(visit: Visit) -> None:
    app = visit(LAB)
    assert not app.exception
    assert "Train" in labels(app)
    assert "Press Train" in shown_text(app)
    assert "the zoo's best of 16 seeds" in shown_text(app)
    assert app.query_params == {}


def test_reading_the_page_does_not_import_pytorch(zoo_folder: Path) -> None:
    check = (
        "import sys\n"
        "from tests.pages.conftest import open_page\n"
        "app = open_page('pages/lab.py')\n"
        "assert not app.exception and app.button(key='lab-train')\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", check]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


CONTROLS: list[tuple[str, str, Any, str, str]] = [
    ("selectbox", "lab-family", "linear", "family", "linear"),
    ("slider", "lab-n", 8, "n", "8"),
    ("slider", "lab-m", 3, "m", "3"),
    ("select_slider", "lab-p", 0.03, "p", "0.03"),
    ("select_slider", "lab-decay", 0.7, "decay", "0.7"),
    ("selectbox", "lab-optimiser", "sgd", "optimiser", "sgd"),
    ("select_slider", "lab-lr", 0.03, "lr", "0.03"),
    ("select_slider", "lab-steps", 800, "steps", "800"),
    ("number_input", "lab-seed", 17, "seed", "17"),
    ("slider", "lab-seeds", 4, "seeds", "4"),
]


@pytest.mark.parametrize(("kind", "key", "value", "parameter", "text"), CONTROLS)
def test_every_control_reaches_the_address_and_comes_back_from_it(
    visit: Visit, kind: str, key: str, value: Any, parameter: str, text: str
) -> None:
    app = visit(LAB)
    getattr(app, kind)(key=key).set_value(value).run()
    assert not app.exception
    assert app.query_params == {parameter: text}
    again = visit(LAB, **{parameter: text})
    assert not again.exception
    assert getattr(again, kind)(key=key).value == value
    assert again.query_params == {parameter: text}


def test_a_density_for_each_feature(visit: Visit) -> None:
    app = visit(LAB)
    app.toggle(key="lab-each").set_value(True).run()
    app.select_slider(key="lab-p1").set_value(0.5).run()
    assert app.query_params["p"] == "0.1,0.5,0.1,0.1,0.1"
    app.slider(key="lab-n").set_value(6).run()
    assert app.query_params["p"] == "0.1,0.5,0.1,0.1,0.1,0.1"
    again = visit(LAB, n="3", p="0.5,0.25,0.125")
    assert not again.exception
    assert [again.select_slider(key=f"lab-p{i}").value for i in range(3)] == [0.5, 0.25, 0.125]
    app = train(again)
    assert run_of(app).settings.densities == (0.5, 0.25, 0.125)
    assert "pmean" in shown_text(app) or app.expander


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "m"), [("1", "1"), ("5", "2"), ("6", "3"), ("20", "10")])
def test_every_size_has_a_first_picture(visit: Visit, family: str, n: str, m: str) -> None:
    app = visit(LAB, family=family, n=n, m=m)
    assert not app.exception
    assert "Train" in labels(app)


# Malformed and absurd addresses.


@pytest.mark.parametrize(
    ("query", "says", "shows"),
    [
        ({"n": "999"}, "n “999”; the Lab takes 1 to 20. Showing 20", {"n": "20"}),
        ({"m": "-1"}, "m “-1”; the Lab takes 1 to 10. Showing 1", {"m": "1"}),
        ({"n": "five"}, "n “five”, which cannot be used. Showing 5", {}),
        ({"n": "2.5"}, "n “2.5”, which cannot be used. Showing 5", {}),
        ({"steps": "1e999"}, "which cannot be used. Showing 200", {}),
        ({"seed": "9" * 400}, "which cannot be used. Showing 0", {}),
        ({"lr": "nan"}, "the learning rate “nan”, which cannot be used. Showing 0.1", {}),
        ({"lr": "1e9"}, "the Lab takes 0.0001 to 10. Showing 10", {"lr": "10"}),
        ({"p": "0"}, "the Lab takes 0.0001 to 1. Showing 0.0001", {"p": "0.0001"}),
        ({"p": "0.1,0.2"}, "asks for 2 densities; expected one for all features, or 5", {}),
        ({"p": "0.1,,"}, "which cannot be used. Showing 0.1", {}),
        ({"family": "<script>"}, "·script·”, which cannot be used. Showing ReLU bottleneck", {}),
        ({"optimiser": "muon"}, "the optimiser “muon”, which cannot be used. Showing Adam", {}),
    ],
)
def test_bad_address_gets_a_gentle_message(
    visit: Visit, query: dict[str, str], says: str, shows: dict[str, str]
) -> None:
    app = visit(LAB, **query)
    assert not app.exception
    assert len(app.info) == 1
    assert says in app.info[0].value
    assert app.query_params == shows
    # The message has been read once something else is chosen.
    app.select_slider(key="lab-decay").set_value(0.5).run()
    assert not app.info


TEXTS = st.one_of(
    st.text(max_size=12),
    st.floats().map(repr),
    st.integers().map(str),
    st.lists(st.floats(0, 1).map(repr), max_size=30).map(",".join),
    st.sampled_from([*FAMILIES, *OPTIMISERS, "1e400", "-0", "١٢", "0x10", "1_000", " 5 "]),
)


@settings(max_examples=1000)
@given(st.dictionaries(st.sampled_from(list(PARAMETERS)), TEXTS))
def test_any_address_gives_settings_within_the_limits(query: dict[str, str]) -> None:
    found, messages = settings_from_query(query)
    assert all(len(message) < 400 for message in messages)
    assert query_from_settings(found) is not None
    # What the page then writes into the address means the same, and needs no message.
    assert settings_from_query(query_from_settings(found)) == (found, ())


@given(
    st.builds(
        LiveSettings,
        family=st.sampled_from(list(FAMILIES)),
        n_features=st.just(3),
        n_hidden=st.integers(*LIMITS.n_hidden),
        densities=st.lists(
            st.floats(*LIMITS.density).map(lambda p: float(f"{p:.6g}")), min_size=3, max_size=3
        ).map(tuple),
        optimiser=st.sampled_from(OPTIMISERS),
        steps=st.integers(*LIMITS.steps),
        seed=st.integers(*LIMITS.seed),
        seeds=st.integers(*LIMITS.seeds),
    )
)
def test_settings_survive_the_address(wanted: LiveSettings) -> None:
    assert settings_from_query(query_from_settings(wanted)) == (wanted, ())


def test_a_model_of_the_zoo_can_be_opened_in_the_lab() -> None:
    spec = ModelSpec("relu-hidden", 10, 5, 0.01778, 0.7, seed=3)
    query = query_for_spec(spec)
    assert query is not None
    found, _ = settings_from_query(query)
    assert found.spec == spec
    rare = query_for_spec(ModelSpec("relu-output", 5, 4, 0.2, rare_ratio=0.1))
    assert rare is not None
    assert rare["p"] == "0.2,0.2,0.2,0.2,0.02"
    assert query_for_spec(ModelSpec("relu-output", 80, 20, 0.1)) is None
    assert query_for_spec(ModelSpec("relu-output", 8, 4, 0.1, correlation=1, set_size=2)) is None


# Training.


def test_trains_compares_and_offers_the_result(visit: Visit, zoo_folder: Path) -> None:
    app = train(visit(LAB, seed="2"))
    assert not app.exception
    assert "Train again" in labels(app)
    text = shown_text(app)
    assert "Finished: 200 steps" in text
    assert "The setting is the same" in text or "It is the best of 16 seeds" in text
    best = (
        Zoo.open(zoo_folder)
        .grid("bottleneck-5x2")
        .select(family="relu-output", density=0.1, importance_decay=0.9, best_of_seeds=True)
    )
    assert best["model_id"].iloc[0] in text
    assert app.get("download_button")
    frame = run_of(app).progress().frames[-1]
    assert {name: values.shape for name, values in frame.model(0).items()} == {
        "W": (2, 5),
        "b": (5,),
    }


def test_says_when_the_setting_differs_and_how(visit: Visit) -> None:
    text = shown_text(train(visit(LAB, p="0.15", decay="0.8")))
    assert "It was trained on another setting (density" in text
    assert "importance × 0.9" in text


def test_stop_keeps_the_weights_that_were_seen(visit: Visit) -> None:
    app = train(visit(LAB, steps="5000"), until=lambda app: "Stop" in labels(app))
    look(app, lambda app: bool(run_of(app).progress().frames))
    app.button(key="lab-stop").click().run()
    look(app, lambda app: "Stop" not in labels(app))
    now = run_of(app).progress()
    assert now.state == "stopped"
    assert now.step == now.frames[-1].step < 5000
    assert f"Stopped at step {now.step:,} of 5,000" in shown_text(app)
    assert app.get("download_button")


def test_changing_a_setting_stops_the_run(visit: Visit) -> None:
    app = train(visit(LAB, steps="5000"), until=lambda app: "Stop" in labels(app))
    app.select_slider(key="lab-p").set_value(0.5).run()
    assert not app.exception
    assert run_of(app).wait(PATIENCE).state == "stopped"
    assert "because a setting changed" in shown_text(app)
    assert "Train" in labels(app)


def test_several_models_at_once(visit: Visit) -> None:
    app = train(visit(LAB, seeds="8"))
    assert not app.exception
    pills: Any = app.get("button_group")[-1]
    assert len(pills.options) == 8
    losses = run_of(app).progress().frames[-1].losses
    assert np.ptp(losses) > 0.005


def test_next_seed_trains_again(visit: Visit) -> None:
    app = train(visit(LAB, steps="50", seeds="2"))
    app.button(key="lab-next").click().run()
    assert not app.exception
    assert app.query_params["seed"] == "2"
    assert run_of(app).settings.seed == 2
    look(app, lambda app: "Stop" not in labels(app))
    assert run_of(app).progress().state == "finished"


def test_a_run_that_diverges_says_why(visit: Visit) -> None:
    app = train(visit(LAB, optimiser="sgd", lr="3"))
    assert not app.exception
    assert "too high for SGD" in app.error[0].value
    assert not app.get("download_button") or "lab-download" not in str(app.get("download_button"))
    assert "Train again" in labels(app)


def test_one_model_that_diverges_does_not_spoil_the_others(visit: Visit) -> None:
    app = train(visit(LAB, optimiser="sgd", lr="0.3", seeds="4"))
    assert not app.exception
    assert "1 more diverged" in shown_text(app)
    pills: Any = app.get("button_group")[-1]
    assert len(pills.options) == 3


@pytest.mark.parametrize(
    "query",
    [
        {"family": "absolute-value", "n": "3", "m": "6", "decay": "0.7"},
        {"family": "relu-hidden", "n": "10", "m": "5"},
        {"family": "linear", "n": "7", "m": "3"},
        {"n": "1", "m": "1"},
        {"n": "18", "m": "4", "steps": "50"},
        {"family": "relu-hidden", "n": "4", "m": "3", "seeds": "3"},
    ],
)
def test_other_models_train_and_compare(visit: Visit, query: dict[str, str]) -> None:
    app = train(visit(LAB, **query))
    assert not app.exception
    assert "Finished" in shown_text(app)


def test_readers_train_at_once(visit: Visit) -> None:
    one, other = visit(LAB, steps="5000", seed="1"), visit(LAB, steps="1500", seed="2")
    for app in (one, other):
        app.button(key="lab-train").click().run()
        look(app, lambda app: bool(run_of(app).progress().frames))
    one.button(key="lab-stop").click().run()
    for app in (one, other):
        look(app, lambda app: "Stop" not in labels(app))
    assert run_of(one).progress().state == "stopped"
    assert run_of(other).progress().state == "finished"


def test_the_last_run_is_there_when_the_reader_comes_back(visit: Visit) -> None:
    app = train(visit(LAB, n="4", steps="50"))
    app.switch_page("pages/home.py").run()
    app.query_params.clear()
    app.switch_page(LAB).run()
    assert not app.exception
    assert app.slider(key="lab-n").value == 4
    assert "Your model" in headings(app)
