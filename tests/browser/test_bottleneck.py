"""Bottleneck superposition in a real browser: a cold server, a slider, and a switch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright import sync_api

from tests.browser.waiting import settled

pytestmark = pytest.mark.browser

SLIDER = ".vega-bind input[type=range]"
MILLISECONDS = 60_000


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(MILLISECONDS)
    yield context.new_page()
    context.close()


def test_a_link_on_a_cold_server_and_the_slider(
    page: sync_api.Page, serve_app: Callable[..., str]
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    # The first request to this server: Streamlit must not take pages/ for an app of its own.
    page.goto(serve_app("app.py") + "/bottleneck?p=0.1")
    menu = page.get_by_test_id("stSidebarNav")
    sync_api.expect(menu.get_by_text("Bottleneck superposition")).to_be_visible()
    sync_api.expect(menu.get_by_text("app", exact=True)).to_have_count(0)

    slider = page.locator(SLIDER).first
    sync_api.expect(slider).to_have_value("9")
    # Above the maps that it changes, so that both are in sight at once.
    control, maps = slider.bounding_box(), page.locator(".vega-embed canvas").first.bounding_box()
    assert control is not None
    assert maps is not None
    assert control["y"] + control["height"] <= maps["y"] < 600
    slider.focus()
    page.keyboard.press("ArrowRight")
    sync_api.expect(slider).to_have_value("10")
    page.wait_for_url("**/bottleneck?p=0.075")

    page.reload()
    sync_api.expect(page.locator(SLIDER).first).to_have_value("10")
    assert page.get_by_test_id("stException").count() == 0
    assert errors == []


def test_the_relu_is_taken_away_in_every_size(
    page: sync_api.Page, serve_app: Callable[..., str]
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(serve_app("app.py") + "/bottleneck")
    switch = page.locator("input[name=losses_broken]")
    sync_api.expect(switch).not_to_be_checked()
    settled(page)
    figure = page.locator(".vega-embed", has=switch)
    name = figure.get_by_text("ReLU taken away")
    sync_api.expect(figure.get_by_text("best possible linear")).to_be_visible()
    sync_api.expect(name).to_have_count(0)
    switch.focus()
    page.keyboard.press("Space")
    sync_api.expect(name).to_be_visible()
    page.wait_for_url("**/bottleneck?broken=true")
    said = page.get_by_text("Without its ReLU, a network")
    sync_api.expect(said).to_be_visible()

    # There and back: each size begins as the last one was left.
    sizes = page.get_by_test_id("stButtonGroup").filter(has_text="20 × 5")
    for size, on in (("20 × 5", True), ("5 × 2", True), ("80 × 20", False)):
        settled(page)
        if not on:
            switch.focus()
            page.keyboard.press("Space")
            page.wait_for_url(lambda address: "broken" not in address)
            settled(page)
        sizes.get_by_role("radio", name=size, exact=True).click()
        sync_api.expect(sizes.get_by_role("radio", name=size, exact=True)).to_be_checked()
        settled(page)
        sync_api.expect(switch).to_be_checked(checked=on)
        sync_api.expect(name).to_have_count(int(on))
        sync_api.expect(said).to_have_count(int(on))
        assert ("broken=true" in page.url) == on
    assert page.get_by_test_id("stException").count() == 0
    assert errors == []


def test_a_chart_that_comes_back_is_as_it_was_left(
    page: sync_api.Page, serve_app: Callable[..., str]
) -> None:
    """After another size, and after another page: the slider and the address agree."""
    page.goto(serve_app("app.py") + "/bottleneck")
    slider = page.locator(SLIDER).first
    sync_api.expect(slider).to_have_value("6")
    settled(page)
    slider.focus()
    page.keyboard.press("Home")
    page.wait_for_url("**/bottleneck?p=1")
    sizes = page.get_by_test_id("stButtonGroup").filter(has_text="20 × 5")
    for size in ("20 × 5", "5 × 2"):
        settled(page)
        sizes.get_by_role("radio", name=size, exact=True).click()
        sync_api.expect(sizes.get_by_role("radio", name=size, exact=True)).to_be_checked()
        settled(page)
        sync_api.expect(slider).to_have_value("0")
        assert "p=1" in page.url

    menu = page.get_by_test_id("stSidebarNav")
    menu.get_by_text("Rotation invariance").click()
    page.wait_for_url("**/rotation")
    settled(page)
    page.go_back()
    page.wait_for_url("**/bottleneck*")
    settled(page)
    # The browser may come back to the page as it was opened, or as it was left.
    sync_api.expect(slider).to_have_value("0" if "p=1" in page.url else "6")
