"""The map of sizes in a real browser: the slider, the other controls, and a click on a cell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from figures.size_map import densities_of
from figures.theme import format_density
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
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    complaints: list[str] = []
    contexts = []

    def open_(query: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 1400}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # The menu is known once the first page has run.
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=60_000)
        page.goto(f"{address}/sizes{query}")
        expect(page.locator(".st-key-sizes_map .mark-rect path").first).to_be_visible(
            timeout=60_000
        )
        settled(page)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def title(page: Page) -> Locator:
    """The text above the map."""
    return page.locator(".st-key-sizes_map .role-title-text").first


def cell(page: Page, n: int, m: int) -> Locator:
    return page.locator(
        f'.st-key-sizes_map .mark-rect path[aria-label^="features, n: {n}; dimensions, m: {m};"]'
    ).first


def test_a_click_on_a_cell_shows_its_model(open_page: Callable[..., Page], zoo: Zoo) -> None:
    page = open_page("?p=0.1")
    expect(page.get_by_text("6 features in 2 dimensions, ReLU")).to_be_visible()
    for n, m in ((9, 3), (12, 5)):
        cell(page, n, m).click()
        expect(page.get_by_text(f"{n} features in {m} dimensions, ReLU")).to_be_visible()
        (row,) = (
            zoo.grid("sizes")
            .select(n_features=n, n_hidden=m, density=0.1, family="relu-output", best_of_seeds=True)
            .itertuples()
        )
        expect(
            page.get_by_text(f"{row.solution}; {row.features_represented} of {n}")
        ).to_be_visible()
        settled(page)
        assert f"n={n}&m={m}" in page.url
        slider = page.locator("input[name=cell_n]")
        expect(slider).to_have_value(str(n))


def test_the_slider_is_answered_in_the_browser(open_page: Callable[..., Page], zoo: Zoo) -> None:
    page = open_page("?p=1")
    expect(title(page)).to_contain_text("density p = 1,")
    # Two frames after each step of a drag, sooner than any server could answer.
    seen = page.locator("input[name=cell_step]").evaluate(
        """async (slider) => {
            const seen = [];
            for (let step = 1; step <= Number(slider.max); step++) {
                slider.value = step;
                slider.dispatchEvent(new Event("input", { bubbles: true }));
                for (let k = 0; k < 2; k++) await new Promise(requestAnimationFrame);
                const map = document.querySelector(".st-key-sizes_map");
                seen.push([
                    map.querySelector(".role-title-text").textContent.match(/p = ([0-9.]+),/)[1],
                    map.querySelectorAll(".mark-rect.role-mark path").length,
                ]);
            }
            return seen;
        }"""
    )
    densities = densities_of(zoo.grid("sizes").table)
    assert [shown for shown, _ in seen] == [format_density(p) for p in densities[1:]]
    # A cell for each size, and the ring around the chosen one.
    assert {count for _, count in seen} == {93}


def test_the_model_follows_the_slider(open_page: Callable[..., Page]) -> None:
    page = open_page("?p=1")
    slider = page.locator("input[name=cell_step]")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_text("seeds of 6 × 2 at density 0.1")).to_be_visible()
    expect(slider).to_have_value("3")
    settled(page)
    assert "p=0.1" in page.url


def test_every_control_changes_the_map(open_page: Callable[..., Page]) -> None:
    page = open_page("?p=0.1")
    page.locator("input[name=cell_family][value=linear]").check()
    expect(title(page)).to_contain_text("linear models")
    expect(page.get_by_text("6 features in 2 dimensions, linear")).to_be_visible()
    page.locator("select[name=cell_measure]").select_option("loss")
    expect(title(page)).to_contain_text("loss per density")
    page.locator("input[name=cell_n]").fill("10")
    page.locator("input[name=cell_m]").fill("4")
    expect(page.get_by_text("10 features in 4 dimensions, linear")).to_be_visible()
    settled(page)
    for part in ("p=0.1", "n=10", "m=4", "model=linear", "colour=loss"):
        assert part in page.url


def test_a_size_that_the_map_lacks_gets_a_sentence(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.locator("input[name=cell_m]").fill("8")
    expect(page.get_by_text("There are no models of 6 features in 8 dimensions")).to_be_visible()
    page.locator("input[name=cell_n]").fill("9")
    expect(page.get_by_text("9 features in 8 dimensions, ReLU")).to_be_visible()


def test_a_click_beside_the_cells_changes_nothing(open_page: Callable[..., Page]) -> None:
    page = open_page("?n=9&m=3")
    box = cell(page, 9, 8).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] - 3 * box["width"], box["y"] + box["height"] / 2)
    page.wait_for_timeout(600)
    settled(page)
    expect(page.get_by_text("9 features in 3 dimensions, ReLU")).to_be_visible()
    expect(title(page)).to_contain_text("density p =")


def test_a_link_reproduces_what_its_sender_saw(open_page: Callable[..., Page]) -> None:
    page = open_page("?p=0.01&n=7&m=4&model=linear&colour=represented")
    expect(title(page)).to_contain_text("features represented, per dimension")
    expect(title(page)).to_contain_text("linear models, density p = 0.01,")
    expect(page.get_by_text("7 features in 4 dimensions, linear")).to_be_visible()
    cell(page, 8, 4).click()
    expect(page.get_by_text("8 features in 4 dimensions, linear")).to_be_visible()


def test_the_map_fits_a_phone(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport={"width": 390, "height": 800})
    wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= 390
