"""Two kinds of superposition in a real browser: the bars' slider, and the curves that follow it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright import sync_api

from tests.browser.waiting import settled

pytestmark = pytest.mark.browser

SLIDER = "input[name=neurons_step]"
MILLISECONDS = 60_000


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(MILLISECONDS)
    yield context.new_page()
    context.close()


def test_the_curves_and_the_address_follow_the_slider(
    page: sync_api.Page, serve_app: Callable[..., str]
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(serve_app("app.py"))
    menu = page.get_by_test_id("stSidebarNav")
    menu.get_by_text("Storing and computing").click()
    settled(page)
    slider = page.locator(SLIDER)
    sync_api.expect(slider).to_have_value("4")
    control = slider.bounding_box()
    assert control is not None
    assert control["y"] < 700
    # At density 0.01 all six features are handled, at density 1 all but the last.
    sync_api.expect(page.get_by_text("6: 98% ✓")).to_be_visible()
    slider.focus()
    page.keyboard.press("Home")
    sync_api.expect(slider).to_have_value("0")
    page.wait_for_url("**/two_kinds?p=1")
    sync_api.expect(page.get_by_text("6: 0% ✗")).to_be_visible()
    sync_api.expect(page.get_by_text("5: 100% ✓")).to_be_visible()

    # What a bar measures is changed in the browser, and the address hears of it.
    settled(page)
    bars = page.locator(".vega-embed canvas").first
    shares = bars.evaluate("canvas => canvas.toDataURL()")
    page.get_by_role("radio", name="weights", exact=True).check()
    page.wait_for_url("**/two_kinds?p=1&bars=weights")
    assert bars.evaluate("canvas => canvas.toDataURL()") != shares

    page.reload()
    sync_api.expect(page.locator(SLIDER)).to_have_value("0")
    sync_api.expect(page.get_by_text("6: 0% ✗")).to_be_visible()
    sync_api.expect(page.get_by_role("radio", name="weights", exact=True)).to_be_checked()
    settled(page)
    page.get_by_role("radio", name="shares of a neuron's weights").check()
    page.wait_for_url("**/two_kinds?p=1")

    # Neither control of the curves is an affair of the bars.
    drawn = bars.element_handle()
    band = page.locator(".vega-embed svg .mark-area path")
    assert band.count() == 0
    page.get_by_label("Let the other features vary too").check()
    page.wait_for_url(re.compile("others=true"))
    sync_api.expect(band).to_have_count(6)
    # It stays while a neuron is taken away.
    page.get_by_role("combobox", name="Take away neuron").click()
    page.get_by_role("option", name="3", exact=True).click()
    page.wait_for_url(re.compile("without=3"))
    sync_api.expect(band).to_have_count(6)
    settled(page)
    assert drawn is not None
    assert drawn.evaluate("canvas => canvas.isConnected")
    assert page.get_by_test_id("stException").count() == 0
    assert errors == []
