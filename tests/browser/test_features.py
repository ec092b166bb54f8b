"""Features and sparsity as a reader drives it: pixels, sliders, and a link that keeps both."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright import sync_api

pytestmark = pytest.mark.browser

MILLISECONDS = 60_000


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(MILLISECONDS)
    yield context.new_page()
    context.close()


def test_pixels_and_sliders_are_kept_by_a_link(
    page: sync_api.Page, serve_app: Callable[..., str]
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(serve_app("app.py") + "/features")
    value = page.locator(".verdicts tbody tr").first.locator("td").first
    sync_api.expect(value).to_contain_text("0")
    page.get_by_role("button", name="x₅", exact=True).click()
    sync_api.expect(value).to_contain_text("1")
    page.wait_for_url("**/features?picture=100110111")

    sliders = page.locator(".vega-bind input[type=range]")
    sync_api.expect(sliders.first).to_have_value("0.8")
    sliders.first.focus()
    page.keyboard.press("ArrowRight")
    sync_api.expect(sliders.first).to_have_value("0.85")
    page.wait_for_url("**/features?picture=100110111&off=0.85%2C0.1")

    page.reload()
    sync_api.expect(page.locator(".vega-bind input[type=range]").first).to_have_value("0.85")
    sync_api.expect(value).to_contain_text("1")
    assert page.get_by_test_id("stException").count() == 0
    assert errors == []
