"""Two kinds of superposition in a real browser: the bars' slider, and the curves that follow it."""

from __future__ import annotations

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

    page.reload()
    sync_api.expect(page.locator(SLIDER)).to_have_value("0")
    sync_api.expect(page.get_by_text("6: 0% ✗")).to_be_visible()
    assert page.get_by_test_id("stException").count() == 0
    assert errors == []
