"""The page on packing in a real browser: dots are drawn, sliders answer and reach the address."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright import sync_api

from tests.browser.waiting import settled

pytestmark = pytest.mark.browser

MILLISECONDS = 60_000
# Pixels of the dots inside the band, and of those outside, below the legend: blue and red on white.
COUNT = """canvas => {
  const head = Math.round(55 * canvas.height / canvas.clientHeight);
  const {data} = canvas.getContext('2d').getImageData(0, head, canvas.width, canvas.height - head);
  let blue = 0, red = 0;
  for (let i = 0; i < data.length; i += 4) {
    blue += data[i + 2] > data[i] + 80;
    red += data[i] > data[i + 2] + 80;
  }
  return [blue, red];
}"""


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(MILLISECONDS)
    yield context.new_page()
    context.close()


def test_dots_are_drawn_and_come_into_the_band(
    page: sync_api.Page, serve_app: Callable[..., str]
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(serve_app("app.py") + "/packing?m=20")
    sync_api.expect(page.get_by_role("heading", level=1)).to_have_text(
        "Johnson–Lindenstrauss and packing", timeout=MILLISECONDS
    )
    settled(page)
    slider = page.locator("[class*='st-key-pairs-'] input[type=range]")
    canvas = page.locator("[class*='st-key-pairs-'] canvas").first
    sync_api.expect(canvas).to_be_visible()
    blue, red = canvas.evaluate(COUNT)
    assert blue > 300
    assert red > 300
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_url("**/packing?m=378")
    after_blue, after_red = canvas.evaluate(COUNT)
    assert after_blue > blue
    assert after_red == 0

    # The other two sliders of the page reach the address as well.
    for key, pressed, part in (("learned", "Home", "p=1"), ("readings", "Home", "on=1")):
        page.locator(f"[class*='st-key-{key}-'] input[type=range]").focus()
        page.keyboard.press(pressed)
        page.wait_for_url(f"**{part}*")
    histogram = page.locator("[class*='st-key-readings-']")
    sync_api.expect(histogram).to_contain_text("1 of 1,000 features on")
    page.locator("[class*='st-key-readings-'] input[type=range]").focus()
    page.keyboard.press("End")
    sync_api.expect(histogram).to_contain_text("features on")
    sync_api.expect(histogram).not_to_contain_text("1 of 1,000 features on")
    assert page.get_by_test_id("stException").count() == 0
    assert errors == []
