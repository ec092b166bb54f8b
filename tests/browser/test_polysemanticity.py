"""Polysemanticity in a real browser: what counts is moved by key, and the address follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright import sync_api

from tests.browser.waiting import settled

pytestmark = pytest.mark.browser

SHARE, EXCITING = "input[name=counts_step]", "input[name=counts_exciting]"
MILLISECONDS = 60_000


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(MILLISECONDS)
    yield context.new_page()
    context.close()


def test_the_counts_and_the_address_follow_the_convention(
    page: sync_api.Page, serve_app: Callable[..., str]
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(serve_app("app.py") + "/polysemanticity?share=0.3")
    slider, switch = page.locator(SHARE), page.locator(EXCITING)
    sync_api.expect(slider).to_have_value("3")
    settled(page)
    figure = page.locator(".vega-embed", has=slider)
    told = figure.get_by_text("count from")
    sync_api.expect(told).to_contain_text("Weights count from 0.3 of the neuron's largest,")
    # The line of each panel; the figure stays, and so do they.
    lines = figure.locator(".mark-line path[d]")
    sync_api.expect(lines).to_have_count(2)
    drawn = figure.locator("svg").element_handle()
    before = shapes(lines)

    slider.focus()
    page.keyboard.press("End")
    sync_api.expect(told).to_contain_text("Weights count from 0.5 of the neuron's largest,")
    page.wait_for_url("**/polysemanticity?share=0.5")
    moved = shapes(lines)
    assert all(one != other for one, other in zip(before, moved, strict=True))

    switch.focus()
    page.keyboard.press("Space")
    sync_api.expect(told).to_contain_text("Positive weights count from 0.5 of the largest")
    page.wait_for_url("**/polysemanticity?share=0.5&exciting=true")
    assert shapes(lines) != moved
    spoken = page.locator(".spoken", has_text="Positive weights count from 0.5")
    sync_api.expect(spoken).to_have_count(1)
    settled(page)
    assert drawn is not None
    assert drawn.evaluate("svg => svg.isConnected")

    page.reload()
    sync_api.expect(page.locator(SHARE)).to_have_value("4")
    sync_api.expect(page.locator(EXCITING)).to_be_checked()
    settled(page)
    # Back to what counts by itself: the address is clean.
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    switch.focus()
    page.keyboard.press("Space")
    page.wait_for_url("**/polysemanticity")
    sync_api.expect(told).to_contain_text("Weights count from 0.2 of the neuron's largest,")
    assert page.get_by_test_id("stException").count() == 0
    assert errors == []


def shapes(lines: sync_api.Locator) -> list[str]:
    """Where each line runs, as paths."""
    return [str(line.get_attribute("d")) for line in lines.all()]
