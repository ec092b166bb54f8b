"""The first page in a real browser: a reader drags from dense to sparse and sees the effect."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pages.parts.zoo_access import zoo_path
from tests.browser.waiting import settled
from zoo import Zoo

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def drag(page: Page, share: float) -> None:
    """Take the thumb of the density slider to a share of its width."""
    slider = page.locator("#frame")
    box = slider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    at = float(slider.input_value()) / float(slider.get_attribute("max") or 1)
    page.mouse.move(box["x"] + 10 + (box["width"] - 20) * at, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 10 + (box["width"] - 20) * share, middle, steps=8)
    page.mouse.up()


def test_dragging_shows_the_effect_without_asking_the_server(
    page: Page, serve_app: Callable[..., str]
) -> None:
    errors: list[str] = []
    sent: list[Any] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(data)))
    page.goto(serve_app("app.py"))
    expect(page.locator(".geometry .bar").first).to_be_visible()
    settled(page)
    expect(page.locator(".ends")).to_have_text(re.compile("1, always on.*0.001, rarely on"))
    # The whole figure is on the first screen.
    for part in ("#frame", ".caption", ".arrows"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800

    page.wait_for_load_state("networkidle")
    before = len(sent)
    assert before > 0
    rows = (
        Zoo.open(zoo_path())
        .grid("bottleneck-5x2")
        .select(family="relu-output", importance_decay=0.9, best_of_seeds=True)
        .sort_values("density")
    )
    for share, row in ((0.0, rows.iloc[-1]), (1.0, rows.iloc[0])):
        drag(page, share)
        expect(page.locator(".value")).to_have_text(f"{row['density']:g}")
        expect(page.locator(".count")).to_have_text(f"{row['features_represented']} of 5")
    assert len(sent) == before

    page.get_by_text("Play training").click()
    expect(page.locator(".count")).not_to_have_text(f"{rows.iloc[0]['features_represented']} of 5")
    expect(page.locator(".count")).to_have_text(f"{rows.iloc[0]['features_represented']} of 5")
    assert page.get_by_test_id("stException").count() == 0
    assert errors == []


def test_the_picture_is_large_and_makes_room_for_long_random_starts(
    page: Page, serve_app: Callable[..., str]
) -> None:
    page.goto(serve_app("app.py") + "/?p=0.003162")
    expect(page.locator(".value")).to_have_text("0.00316")
    circle = page.locator(".ground circle").first
    ends = """dots => Math.max(...dots.map(
        dot => Math.hypot(dot.cx.baseVal.value, dot.cy.baseVal.value)))"""

    def radius() -> float:
        page.wait_for_timeout(500)
        return float(circle.get_attribute("r") or 0)

    # The picture reaches 200 from its centre to its edge; arrows may reach 144 of these.
    large = radius()
    assert large > 115
    scrubber = page.locator("#step")
    scrubber.focus()
    page.keyboard.press("Home")
    expect(page.locator(".step")).to_have_text("step 0")
    assert radius() < large
    assert page.locator(".arrow circle").evaluate_all(ends) < 145
    page.keyboard.press("End")
    expect(page.locator(".step")).to_contain_text("trained")
    assert abs(radius() - large) < 1


def test_claims_come_when_they_are_measured(page: Page, serve_app: Callable[..., str]) -> None:
    page.goto(f"{serve_app('app.py', ahead='1')}/claims")
    # Measured in another process while the page is there, and all of them in the end.
    expect(page.get_by_role("heading", name="Claims", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"Measuring claim \d+ of \d+"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Claim 15 · "))).to_be_visible(timeout=120_000)
    expect(page.get_by_text(re.compile("Measuring claim"))).to_have_count(0)
    page.get_by_role("link", name="Five features, two dimensions").first.click()
    for number in (1, 3, 4):
        expect(page.get_by_role("link", name=f"Claim {number}", exact=True)).to_be_visible()
    expect(page.get_by_text("is being measured")).to_have_count(0)
