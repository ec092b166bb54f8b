"""Training again from another seed, on a page of its own: progress, result, comparison."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import live_run, retrain
from pages.parts.retrain import FIRST_SEED, Trained, arrangement, compared
from superposition.families import FAMILIES
from tests.pages.conftest import ROOT, Visit, shown_text
from zoo import Zoo

PATIENCE = 120.0


@pytest.fixture(autouse=True)
def _watch_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_run, "WATCH_SECONDS", 0.1)


def part(steps: int = 100, density: float = 0.1, draw: bool = False, rate: float = 0.1) -> None:
    """The page: only the part itself. AppTest runs the text of this function."""
    import streamlit as st

    from pages.parts.retrain import retrain
    from training.live import LiveSettings
    from zoo import Zoo

    settings = LiveSettings(
        densities=(density,),
        steps=steps,
        learning_rate=rate,
        optimiser="sgd" if rate > 1 else "adam",
    )
    zoo = Zoo.open()
    rows = zoo.grid("bottleneck-5x2").select(
        family="relu-output", density=density, importance_decay=0.9, best_of_seeds=True
    )
    show = (lambda parameters: st.write(f"shapes {sorted(parameters)}")) if draw else None
    retrain(settings, key="it", compare_with=zoo.model(rows["model_id"].iloc[0]), show=show)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    # A page by itself has no others to link to.
    monkeypatch.setattr(retrain, "link", lambda *_, **__: None)

    def open_(**arguments: Any) -> AppTest:
        return AppTest.from_function(part, default_timeout=PATIENCE, kwargs=arguments).run()

    return open_


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def press(app: AppTest, until: Callable[[AppTest], bool] | None = None) -> AppTest:
    """Press the button and look again and again, as the part does by itself in a browser."""
    app.button(key="it-retrain-go").click().run()
    return look(app, until or (lambda app: "Stop" not in labels(app)))


def look(app: AppTest, until: Callable[[AppTest], bool]) -> AppTest:
    deadline = time.monotonic() + PATIENCE
    while not until(app):
        assert time.monotonic() < deadline, shown_text(app)
        assert not app.exception
        time.sleep(0.05)
        app.run()
    return app


def session(app: AppTest) -> Any:
    return app.session_state["it-retrain"]


def test_trains_from_new_seeds_and_compares_with_the_zoo(page: Callable[..., AppTest]) -> None:
    app = page()
    assert labels(app) == ["Train this one again with another seed"]
    press(app)
    assert not app.exception
    text = shown_text(app)
    assert f"Seed {FIRST_SEED}. Finished: 100 steps" in text
    assert "The zoo's, on the same data and by the same estimate: **0.214" in text
    assert "pentagon" in text
    assert len(app.get("vega_lite_chart")) == 1
    press(app)
    assert not app.exception
    assert f"Seed {FIRST_SEED + 1}. Finished" in shown_text(app)
    # Both runs and the zoo's model, the best first.
    table = next(
        block.value for block in app.markdown if block.value.startswith("| seed | loss / p |")
    )
    assert f"{FIRST_SEED}, yours" in table
    losses = [float(line.split("|")[2]) for line in table.splitlines()[2:]]
    assert len(losses) == 3
    assert losses == sorted(losses)


def test_the_zoos_loss_is_the_one_it_has_stored(page: Callable[..., AppTest]) -> None:
    app = press(page(steps=10))
    stored = (
        Zoo.open()
        .grid("bottleneck-5x2")
        .select(family="relu-output", density=0.1, importance_decay=0.9, best_of_seeds=True)
    )
    assert session(app).zoo.loss == pytest.approx(stored["loss"].iloc[0], rel=1e-9)
    (yours,) = session(app).done
    assert yours.loss > session(app).zoo.loss


def test_a_page_can_draw_the_new_model_itself(page: Callable[..., AppTest]) -> None:
    app = press(page(draw=True))
    assert "shapes ['W', 'b']" in shown_text(app)


def test_stop_keeps_what_was_seen_and_another_run_can_follow(
    page: Callable[..., AppTest],
) -> None:
    app = press(page(steps=5000), until=lambda app: "Stop" in labels(app))
    look(app, lambda app: bool(session(app).watched.run.progress().frames))
    app.button(key="it-retrain-stop").click().run()
    look(app, lambda app: "Stop" not in labels(app))
    assert session(app).watched.run.progress().state == "stopped"
    assert "of 5,000." in shown_text(app)
    assert not session(app).done
    assert labels(app) == ["Again, from the next seed"]


def test_a_run_that_diverges_says_why(page: Callable[..., AppTest]) -> None:
    app = press(page(rate=3.0))
    assert not app.exception
    assert "too high for SGD" in app.error[0].value
    assert "same estimate" not in shown_text(app)


def test_readers_train_at_once(page: Callable[..., AppTest]) -> None:
    one, other = page(steps=5000), page(steps=1500)
    for app in (one, other):
        press(app, until=lambda app: "Stop" in labels(app))
    for app in (one, other):
        look(app, lambda app: bool(session(app).watched.run.progress().frames))
    one.button(key="it-retrain-stop").click().run()
    for app in (one, other):
        look(app, lambda app: "Stop" not in labels(app))
    assert session(one).watched.run.progress().state == "stopped"
    assert session(other).watched.run.progress().state == "finished"


def test_it_starts_afresh_when_the_page_shows_another_model(visit: Visit) -> None:
    app = visit("pages/bottleneck.py")
    app.button(key="outcomes-retrain-go").click().run()
    look(app, lambda app: "Stop" not in labels(app))
    assert "by the same estimate" in shown_text(app)
    app.select_slider(key="again").set_value(1.0).run()
    assert not app.exception
    assert "by the same estimate" not in shown_text(app)
    assert "Train this one again with another seed" in labels(app)


def test_the_lab_opens_with_the_same_settings(visit: Visit) -> None:
    app = visit("pages/bottleneck.py", again="0.05623")
    (open_lab,) = (e.proto for e in app.get("page_link") if e.proto.label == "Open in the Lab")
    assert f"seed={FIRST_SEED}" in open_lab.query_string
    assert "p=0.05623" in open_lab.query_string


def test_pytorch_is_imported_by_the_first_press_alone(zoo_folder: object) -> None:
    check = (
        "import sys\n"
        "from tests.pages.conftest import open_page\n"
        "app = open_page('pages/bottleneck.py')\n"
        "assert not app.exception and app.button(key='outcomes-retrain-go')\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", check]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


# Without a page.


def trained(loss: float, error: float = 0.0) -> Trained:
    return Trained(1, loss, error, "pentagon")


@pytest.mark.parametrize(
    ("yours", "zoo", "words"),
    [
        (trained(0.9), trained(1.0), "**Yours is better by 10%.**"),
        (trained(1.3), trained(1.0), "The zoo's is better by 30%."),
        (trained(16.3), trained(1.0), "The zoo's is better: yours is 16 times it."),
        (trained(1.004), trained(1.0), "Yours is as good."),
        # Sampled losses further apart than that, and no further than their errors allow.
        (trained(1.03, 0.02), trained(1.0, 0.02), "Yours is as good."),
        (trained(0.0), trained(0.0), "Yours is as good."),
        (trained(0.1), trained(0.0), "The zoo's is better."),
    ],
)
def test_a_loss_is_better_only_if_the_estimates_can_tell(
    yours: Trained, zoo: Trained, words: str
) -> None:
    assert compared(yours, zoo) == words


def test_arrangements_have_names_and_neurons_are_counted() -> None:
    W = np.zeros((2, 4))
    W[0, 0], W[1, 1], W[1, 2] = 1, 1, 1
    assert arrangement(FAMILIES["relu-hidden"], W) == "1.5 features per neuron"
    assert arrangement(FAMILIES["relu-output"], np.eye(2, 4)) == "two orthogonal features"
    assert arrangement(FAMILIES["relu-hidden"], 0 * W) == "no neuron is used"


def test_a_model_that_cannot_be_compared_is_an_error() -> None:
    from training.live import LiveSettings

    zoo = Zoo.open()
    model = zoo.model(zoo.grid("relu-hidden-10x5").table["model_id"].iloc[0])
    with pytest.raises(ValueError, match="expected relu-output of 5, to be compared"):
        retrain.retrain(LiveSettings(), key="x", compare_with=model)
