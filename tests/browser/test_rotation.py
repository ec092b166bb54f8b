"""Rotation invariance on a phone: the switch and the slider, from the keyboard, in the browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.waiting import settled

pytestmark = pytest.mark.browser

SWITCH, SLIDER = "input[name=stream_relu]", "input[name=seeds_step]"
MILLISECONDS = 60_000


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(MILLISECONDS)
    yield context.new_page()
    context.close()


def picture(chart: Locator) -> str:
    return str(chart.locator("canvas").evaluate("canvas => canvas.toDataURL()"))


def choose(page: Page, key: str, option: str) -> None:
    """Another option of a select box."""
    page.locator(f".st-key-{key}").get_by_role("combobox").click()
    page.get_by_role("option", name=option, exact=True).click()


def test_both_inputs_are_worked_from_the_keyboard(
    page: Page, serve_app: Callable[..., str]
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda said: (
            errors.append(said.text)
            if said.type in ("error", "warning")
            and not said.location["url"].endswith(("/_stcore/health", "/_stcore/host-config"))
            else None
        ),
    )
    page.goto(f"{serve_app('app.py')}/rotation")
    stream, seeds = (
        page.get_by_test_id("stVegaLiteChart").filter(has=page.locator(each))
        for each in (SWITCH, SLIDER)
    )
    told = page.locator(".spoken")
    expect(told.filter(has_text="Outputs: unchanged.")).to_have_count(1)
    settled(page)

    switch = page.locator(SWITCH)
    expect(switch).not_to_be_checked()
    before = picture(stream)
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).to_be_checked()
    page.wait_for_url("**/rotation?relu=true")
    expect(told.filter(has_text="Outputs: changed.")).to_have_count(1)
    settled(page)
    assert picture(stream) != before

    # Other streams and matrices move in the same chart, and leave its switch as it is.
    drawn = stream.locator("canvas").element_handle()
    choose(page, "matrix", "permutation")
    expect(told.filter(has_text="Outputs: unchanged.")).to_have_count(1)
    choose(page, "stream", "bottleneck 5 × 2")
    expect(told.filter(has_text="1 maps write into it")).to_have_count(1)
    settled(page)
    expect(switch).to_be_checked()
    assert "relu=true" in page.url
    assert drawn is not None
    assert drawn.evaluate("canvas => canvas.isConnected")

    slider = page.locator(SLIDER)
    expect(slider).to_have_value("0")
    dense = picture(seeds)
    slider.focus()
    page.keyboard.press("End")
    expect(slider).to_have_value("25")
    page.wait_for_url(re.compile(r"[?&]p=0\.001(&|$)"))
    expect(page.get_by_text("Within 5% of the best seed at density 0.001:")).to_be_visible()
    settled(page)
    assert picture(seeds) != dense

    page.reload()
    expect(page.locator(SLIDER)).to_have_value("25")
    expect(page.locator(SWITCH)).to_be_checked()
    settled(page)
    wide = page.get_by_test_id("stMain").evaluate("main => main.scrollWidth - main.clientWidth")
    assert wide <= 1

    # What a page shows by itself leaves the address clean.
    page.locator(SLIDER).focus()
    page.keyboard.press("Home")
    page.wait_for_url(lambda url: "p=" not in url)
    page.locator(SWITCH).focus()
    page.keyboard.press("Space")
    page.wait_for_url(lambda url: "relu" not in url)
    settled(page)
    assert page.get_by_test_id("stException").count() == 0
    assert errors == []
