"""The angle in a real browser: from the keyboard, in the address, and on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright import sync_api

from tests.browser.waiting import settled

pytestmark = pytest.mark.browser

MILLISECONDS = 60_000


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(MILLISECONDS)
    yield context.new_page()
    context.close()


def test_the_angle_is_turned_from_the_keyboard(
    page: sync_api.Page, serve_app: Callable[..., str]
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    address = serve_app("app.py")
    page.goto(address)
    settled(page)
    page.goto(f"{address}/privileged_basis?angle=60")
    slider = page.get_by_label("angle in degrees").first
    sync_api.expect(slider).to_have_value("60")
    # Above the figure that it turns.
    control, figure = slider.bounding_box(), page.locator(".vega-embed canvas").first.bounding_box()
    assert control is not None
    assert figure is not None
    assert control["y"] + control["height"] <= figure["y"]
    assert figure["width"] <= 390
    slider.focus()
    page.keyboard.press("ArrowRight")
    sync_api.expect(slider).to_have_value("65")
    page.wait_for_url("**/privileged_basis?angle=65")

    density = page.get_by_label("density, from dense to sparse").first
    density.focus()
    page.keyboard.press("End")
    page.wait_for_url("**/privileged_basis?angle=65&p=0.01")
    # What was turned by hand stays as it is when another plane is shown.
    page.get_by_role("combobox", name="Plane of the neurons").click()
    page.get_by_role("option", name="2 and 3").click()
    page.wait_for_url("**/privileged_basis?angle=65&p=0.01&plane=2*")
    settled(page)
    sync_api.expect(slider).to_have_value("65")
    sync_api.expect(density).to_have_value("24")

    page.reload()
    sync_api.expect(page.get_by_label("angle in degrees").first).to_have_value("65")
    settled(page)
    assert page.get_by_test_id("stException").count() == 0
    wide = page.get_by_test_id("stMain").evaluate("main => main.scrollWidth - main.clientWidth")
    assert wide <= 1
    assert errors == []
