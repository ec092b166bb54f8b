"""The model browser as a reader uses it: filter, open a row, download, load the file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from safetensors import safe_open
from safetensors.numpy import load_file

from pages.parts.zoo_access import ZOO_VARIABLE
from tests.browser.conftest import ROOT
from tests.browser.waiting import settled
from zoo import Zoo
from zoo.reading import EMBEDDED

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return Zoo.open(os.environ.get(ZOO_VARIABLE) or EMBEDDED)


@pytest.fixture(scope="module")
def address(serve_apps: Callable[..., str], zoo: Zoo) -> str:
    return serve_apps(ROOT / "app.py")


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=60_000)
    page.get_by_test_id("stSidebarNavItems").get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    yield page
    context.close()
    assert complaints == []


def choose(page: Page, label: str, option: str) -> None:
    """Pick an option of a select box by typing it."""
    box = page.get_by_role("combobox", name=label)
    box.click()
    box.fill(option)
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def select_first_row(page: Page) -> None:
    """Tick the first row; the table is a canvas, so by place: below its head, at the left."""
    settled(page)
    table = page.get_by_test_id("stDataFrame")
    # A filter brings a new table, and the old one stands beside it for a moment.
    expect(table).to_have_count(1)
    table.evaluate("node => node.scrollIntoView({ block: 'center' })")
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 22, box["y"] + 52)


def test_filter_open_download_load(page: Page, zoo: Zoo, tmp_path: Path) -> None:
    choose(page, "Grid", "sizes")
    choose(page, "Features n", "6")
    choose(page, "Dimensions m", "2")
    rows = zoo.grid("sizes").select(n_features=6, n_hidden=2, best_of_seeds=True)
    expect(page.get_by_text(f"{len(rows)} of {len(zoo):,} models")).to_be_visible()
    assert "n=6" in page.url

    wanted = rows["model_id"].iloc[0]
    opened = page.get_by_role("textbox", name="Open model")
    expect(opened).not_to_have_value(wanted)
    select_first_row(page)
    expect(opened).to_have_value(wanted)
    settled(page)
    assert f"model={wanted}" in page.url.replace("%2F", "/")

    with page.expect_download() as started:
        page.get_by_role("button", name="Download (safetensors)").first.click()
    assert started.value.suggested_filename == f"{wanted.replace('/', '_')}.safetensors"
    file = tmp_path / "model.safetensors"
    started.value.save_as(file)
    model = zoo.model(wanted)
    state = load_file(file)
    assert state.keys() == model.parameters.keys()
    for name, values in model.parameters.items():
        np.testing.assert_array_equal(state[name], values)
    with safe_open(file, framework="numpy") as opened_file:
        metadata = opened_file.metadata()
    assert metadata["model_id"] == wanted
    assert json.loads(metadata["distribution"])["densities"] == list(model.spec.densities)


def test_another_filter_does_not_move_another_model_into_the_selected_row(
    page: Page, zoo: Zoo
) -> None:
    opened = page.get_by_role("textbox", name="Open model")
    first = zoo.table.query("best_of_seeds")["model_id"].iloc[0]
    select_first_row(page)
    expect(opened).to_have_value(first)
    choose(page, "Family", "linear bottleneck")
    settled(page)
    expect(opened).to_have_value(first)


def test_the_link_opens_the_model_in_a_fresh_browser(
    browser: Browser, address: str, page: Page, zoo: Zoo
) -> None:
    wanted = zoo.grid("sizes").table["model_id"].iloc[100]
    context = browser.new_context()
    fresh = context.new_page()
    fresh.goto(f"{address}/models?model={wanted}")
    expect(fresh.get_by_role("textbox", name="Open model")).to_have_value(wanted, timeout=60_000)
    expect(fresh.get_by_text(f"?model={wanted}")).to_be_visible()
    context.close()


def test_the_first_reader_of_a_server_may_come_by_a_link(
    browser: Browser, serve_app: Callable[..., str], zoo: Zoo
) -> None:
    wanted = zoo.grid("sizes").table["model_id"].iloc[100]
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{serve_app(ROOT / 'app.py')}/models?model={wanted}")
    expect(page.get_by_role("textbox", name="Open model")).to_have_value(wanted, timeout=60_000)
    expect(page.get_by_text("Page not found")).to_have_count(0)
    context.close()
