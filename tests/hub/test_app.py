"""The app on a zoo from the Hub: it shows that zoo, or says why not and shows another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from pages.parts import zoo_access
from pages.parts.zoo_access import ZOO_VARIABLE
from tests.hub.server import HubServer
from tests.hub.zoos import NAME, publish
from tests.pages.conftest import ROOT, open_page, shown_text
from tests.zoo.conftest import results_of
from zoo import Grid, ModelSpec, Zoo
from zoo.download import download
from zoo.shared import SharedZoo
from zoo.writer import write_grid, write_manifest

GRID = "bottleneck-5x2"


@pytest.fixture(scope="module")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One grid of the embedded zoo: the one that the first page is about."""
    folder = tmp_path_factory.mktemp("one-grid")
    download(Zoo.open(), [GRID], folder, lambda line: None)
    return folder


@pytest.fixture(autouse=True)
def as_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run goes through `app.py`, as on a server that has answered once.

    For AppTest each run is the first one, of which Streamlit cannot know yet that the folder
    `pages` is none of its own.
    """
    begin = PagesManager.__init__

    def begin_again(self: PagesManager, *arguments: Any, **options: Any) -> None:
        PagesManager.uses_pages_directory = False
        begin(self, *arguments, **options)

    monkeypatch.setattr(PagesManager, "__init__", begin_again)


@pytest.fixture
def app_on_hub(
    hub: HubServer, client: Path, zoo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HubServer]:
    """An app that is set to a zoo on the Hub, and asks for it for the first time."""
    publish(hub, zoo_folder)
    monkeypatch.setenv(ZOO_VARIABLE, f"hub:{NAME}")
    zoo_access._shared.clear()
    yield hub
    zoo_access._shared.clear()


def open_again(app: AppTest, page: str) -> AppTest:
    app.switch_page(page).run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception


def caption(app: AppTest) -> str:
    return str(app.sidebar.caption[0].value)


def test_the_app_shows_the_zoo_of_the_hub_and_names_its_commit(app_on_hub: HubServer) -> None:
    app = open_page()
    assert not app.exception
    assert not app.error
    assert not app.warning
    commit = app_on_hub.repos[NAME].branches["main"]
    assert f"`hub:{NAME}@{commit[:12]}`" in caption(app)
    assert "trained models on these pages are read from" in caption(app)
    # Another reader: nothing is asked for again.
    before = len(app_on_hub.requests)
    assert caption(open_page()) == caption(app)
    assert len(app_on_hub.requests) == before


def test_a_page_without_its_grid_offers_the_embedded_zoo(app_on_hub: HubServer) -> None:
    app = open_again(open_page(), "pages/sizes.py")
    assert "no grid 'sizes'" in app.error[0].value
    assert f"hub:{NAME}" in shown_text(app)
    press(app, "Show the embedded zoo instead")
    assert not app.error
    assert "come with the app" in caption(app)
    assert app.query_params["zoo"] == "embedded"
    # It holds for this reader's other pages, and can be taken back.
    assert "come with the app" in caption(open_again(app, "pages/home.py"))
    press(app, "Back to the app's zoo")
    assert f"hub:{NAME}" in caption(app)
    assert "zoo" not in app.query_params
    assert f"hub:{NAME}" in caption(open_page())  # and never held for others


def test_the_address_can_ask_for_the_embedded_zoo(app_on_hub: HubServer) -> None:
    app = open_page(zoo="embedded")
    assert "come with the app" in caption(app)
    assert app_on_hub.requests == []
    app = open_page(zoo="banana")
    assert f"hub:{NAME}" in caption(app)
    assert "banana" in app.info[0].value


def test_without_the_hub_the_embedded_zoo_is_shown_and_it_is_said(app_on_hub: HubServer) -> None:
    app_on_hub.stop()
    app = open_page()
    assert not app.exception
    assert not app.error
    assert app.title
    assert "cannot be reached" in app.warning[0].value
    assert "the zoo that comes with the app" in app.warning[0].value
    assert "come with the app" in caption(app)


def test_without_the_hub_what_was_fetched_earlier_is_shown(app_on_hub: HubServer) -> None:
    open_page()
    zoo_access._shared.clear()  # as after a restart
    app_on_hub.stop()
    app = open_page()
    assert not app.exception
    assert not app.error
    assert "fetched earlier" in app.warning[0].value
    assert f"hub:{NAME}@" in caption(app)


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_hub_that_refuses_never_leaves_the_page_blank(app_on_hub: HubServer, status: int) -> None:
    app_on_hub.fault("HEAD", "zoo.json", status=status, times=None)
    app = open_page()
    assert not app.exception
    assert not app.error
    assert f"hub:{NAME}" in app.warning[0].value
    assert "come with the app" in caption(app)


def test_the_hub_gone_after_the_start(
    app_on_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(Zoo.open(), [GRID, "sizes"], tmp_path / "two", lambda line: None)
    publish(app_on_hub, tmp_path / "two", "ada/two")
    monkeypatch.setenv(ZOO_VARIABLE, "hub:ada/two")
    app = open_page()
    app_on_hub.stop()
    # What is here goes on working; what is not says so, and can be asked for again.
    assert not open_again(app, "pages/home.py").warning
    open_again(app, "pages/sizes.py")
    assert "cannot be fetched now" in app.warning[0].value
    assert "sizes/index.parquet" in app.warning[0].value
    press(app, "Try again")
    assert "cannot be fetched now" in app.warning[0].value
    press(app, "Show the embedded zoo instead")
    assert not app.warning
    assert not app.error


def test_a_zoo_that_is_not_what_a_page_is_about(
    hub: HubServer, client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grid of the right name with models that the page cannot use."""
    specs = tuple(ModelSpec("linear", 3, 2, 0.5, seed=seed) for seed in range(2))
    grid = Grid(GRID, "Nothing to see?", specs)
    write_manifest(tmp_path / "zoo", [write_grid(tmp_path / "zoo", grid, results_of(grid))])
    publish(hub, tmp_path / "zoo")
    monkeypatch.setenv(ZOO_VARIABLE, f"hub:{NAME}")
    zoo_access._shared.clear()
    app = open_page()
    assert not app.exception
    assert "This page cannot be shown from this zoo" in app.error[0].value
    press(app, "Show the embedded zoo instead")
    assert not app.error
    zoo_access._shared.clear()


@pytest.mark.parametrize("place", ["hub:", "hub:nobody", "hub:a/b@../c"])
def test_a_setting_that_cannot_be_a_place(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ZOO_VARIABLE, place)
    app = open_page()
    assert not app.exception
    assert "The zoo cannot be read" in app.error[0].value
    press(app, "Show the embedded zoo instead")
    assert not app.error


def test_a_secret_is_a_setting_too(
    hub: HubServer, client: Path, zoo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub, zoo_folder)
    monkeypatch.delenv(ZOO_VARIABLE, raising=False)
    zoo_access._shared.clear()
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.secrets[ZOO_VARIABLE] = f"hub:{NAME}"
    app.run()
    assert not app.exception
    assert f"hub:{NAME}" in caption(app)
    zoo_access._shared.clear()


# What readers share.


def until(holds: Callable[[], bool]) -> None:
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it did not come about within 20 seconds")


def test_a_hub_that_hangs_holds_up_only_the_first_reader(app_on_hub: HubServer) -> None:
    hanging = app_on_hub.fault("HEAD", "zoo.json", delay=1.5, times=1)
    shared = SharedZoo(f"hub:{NAME}", patience=0.2, pause=60)
    first = shared.now()
    assert "within 0.2 seconds" in str(first.notice)
    assert first.zoo.place == Zoo.open().place
    until(lambda: shared.now().notice is None)
    assert shared.now().zoo.place.startswith(f"hub:{NAME}@")
    assert hanging.hits == 1


def test_after_a_while_the_hub_is_asked_again_in_the_background(app_on_hub: HubServer) -> None:
    broken = app_on_hub.fault("HEAD", "zoo.json", status=500, times=None)
    patient = SharedZoo(f"hub:{NAME}", patience=20, pause=3600)
    for _ in range(3):
        assert "(500)" in str(patient.now().notice)
    assert broken.hits == 1
    eager = SharedZoo(f"hub:{NAME}", patience=20, pause=0)
    assert "(500)" in str(eager.now().notice)
    app_on_hub.clear_faults()
    until(lambda: eager.now().notice is None)
    assert patient.now().notice is not None
    # The commit stays, whatever happens on the Hub.
    commit = eager.now().zoo.place
    app_on_hub.commit(NAME, {"zoo.json": b"{}"})
    assert eager.now().zoo.place == commit
