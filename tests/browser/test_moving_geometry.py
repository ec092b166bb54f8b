"""The moving geometry in a real browser: slider, keys, hover, training, address, live frames."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import waiting

APP = Path(__file__).with_name("moving_geometry_app.py")
MADE = SimpleNamespace(**runpy.run_path(str(APP)))

pytestmark = pytest.mark.browser

SENT: list[Any] = []
"""Every message the page at hand has sent to the server over its socket."""


@pytest.fixture(scope="module")
def address(serve_apps: Callable[..., str]) -> str:
    return serve_apps(APP)


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Open the app at a query; fails at the end if the browser's console had an error."""
    complaints: list[str] = []
    contexts = []
    SENT.clear()

    def open_(query: str = "", **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )
        page.on(
            "websocket", lambda socket: socket.on("framesent", lambda message: SENT.append(message))
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/{query}")
        expect(page.locator(".geometry .bar").first).to_be_visible(timeout=60_000)
        expect(page.locator(".caption")).not_to_be_empty()
        settled(page)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def settled(page: Page) -> None:
    """Wait until Streamlit has nothing running and the arrows stand still."""
    waiting.settled(page)
    arrows = page.locator(".arrows")
    moving = """async (node) => {
        const before = node.innerHTML;
        for (let k = 0; k < 12; k++) await new Promise(requestAnimationFrame);
        return before !== node.innerHTML;
    }"""
    while arrows.evaluate(moving):
        pass


def tips(page: Page) -> np.ndarray:
    """(n, 2): where the arrows end in the picture, from its centre, y upwards."""
    ends = page.locator(".arrow circle").evaluate_all(
        "dots => dots.map(dot => [dot.cx.baseVal.value, -dot.cy.baseVal.value])"
    )
    return np.array(ends)


def value(page: Page) -> str:
    return page.locator(".value").inner_text()


def drag(page: Page, slider: Locator, shares: list[float]) -> list[str]:
    """Press the slider's thumb and move it to shares of its width; the readouts on the way."""
    # Well clear of Streamlit's header, which would catch the pointer at the top of the page.
    slider.evaluate("node => node.scrollIntoView({ block: 'center' })")
    box = slider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    at = float(slider.input_value()) / float(slider.get_attribute("max") or 1)
    # The thumb's centre stays half a thumb inside the ends.
    across = [box["x"] + 10 + (box["width"] - 20) * share for share in (at, *shares)]
    page.mouse.move(across[0], middle)
    page.mouse.down()
    seen = []
    for x in across[1:]:
        page.mouse.move(x, middle, steps=4)
        seen.append(value(page))
    page.mouse.up()
    settled(page)
    return seen


def test_dragging_moves_the_arrows_without_asking_the_server(
    open_page: Callable[..., Page],
) -> None:
    page = open_page("?p=1")
    assert value(page) == "1"
    assert page.locator(".count").inner_text() == "2 of 5"
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    # Chromium fetches the icon again when an address changes, whoever changes it.
    page.on(
        "request",
        lambda request: asked.append(request.url) if "favicon" not in request.url else None,
    )
    sent = len(SENT)
    assert sent > 0

    seen = drag(page, page.locator("#frame"), [0.5, 1.0])

    assert seen[-1] == value(page) == "0.001"
    assert len(set(seen)) == 2
    assert page.locator(".count").inner_text() == "5 of 5"
    expect(page.locator(".caption")).to_have_text(
        "Density 0.001: five features represented, nearest neighbours about 72° apart."
    )
    unit = 144 / 1.05
    np.testing.assert_allclose(tips(page) / unit, MADE.relu_directions()[-1].T, atol=0.01)
    page.wait_for_timeout(500)
    assert asked == []
    assert len(SENT) == sent
    expect(page.get_by_text("runs: 1")).to_be_visible()


def test_keyboard_moves_the_slider_and_names_the_value(open_page: Callable[..., Page]) -> None:
    page = open_page("?p=1")
    slider = page.get_by_role("slider", name="Density p")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "0.562")
    page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "0.001")
    expect(page.locator(".live")).to_contain_text("five features represented")
    expect(page.get_by_role("img", name="Density 0.001: five features")).to_be_visible()


@pytest.mark.parametrize("way", ["arrow", "bar", "keyboard", "digit"])
def test_interference_agrees_with_numpy(open_page: Callable[..., Page], way: str) -> None:
    page = open_page("?p=0.001")
    chosen = 2
    if way == "arrow":
        box = page.locator(".picture").bounding_box()
        assert box is not None
        x, y = tips(page)[chosen] * 0.8 * box["width"] / 400
        page.mouse.move(box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 - y)
    elif way == "bar":
        page.locator(".bar").nth(chosen).hover()
    elif way == "keyboard":
        page.get_by_role("slider", name="Density p").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
    else:
        page.get_by_role("slider", name="Density p").press("3")
    # The readout is drawn with the next frame, also when several keys came before it.
    expect(page.locator(".products b").nth(chosen)).to_have_text("itself")
    expect(page.locator(".total")).to_contain_text("Interference")

    W = MADE.relu_directions()[-1]
    along = W[:, chosen] / np.linalg.norm(W[:, chosen]) @ W
    others = [j for j in range(5) if j != chosen]
    shown = [text.replace("−", "-") for text in page.locator(".products b").all_inner_texts()]
    assert shown[chosen] == "itself"
    np.testing.assert_allclose([float(shown[j]) for j in others], along[others], atol=0.00501)
    expect(page.locator(".total b")).to_have_text(f"{np.sum(along[others] ** 2):.2f}")
    # The same numbers stand beside the arrows, and the feet lie on the chosen axis.
    beside = page.locator(".figure").all_text_contents()
    assert [beside[j].replace("−", "-") for j in others] == [shown[j] for j in others]
    feet = page.locator(".foot").evaluate_all(
        "dots => dots.map(dot => [dot.cx.baseVal.value, -dot.cy.baseVal.value])"
    )
    hat = W[:, chosen] / np.linalg.norm(W[:, chosen])
    wanted = 144 / 1.05 * along[others, None] * hat
    np.testing.assert_allclose(np.array(feet)[others], wanted, atol=0.2)


def test_dropped_features_are_named_between_the_arrows(open_page: Callable[..., Page]) -> None:
    page = open_page("?p=1")
    dropped = page.locator(".labels .dropped")
    slider = page.get_by_role("slider", name="Density p")
    for words in ("3, 4, 5 dropped", "5 dropped"):
        expect(dropped).to_have_text(words)
        box = dropped.evaluate("node => { const b = node.getBBox(); return [b.x, b.y, b.width]; }")
        height = dropped.evaluate("node => node.getBBox().height")
        for tip in tips(page) * (1, -1):
            along = tip[None] * np.linspace(0, 1, 200)[:, None] - box[:2]
            inside = (along > 0) & (along < (box[2], height))
            assert not inside.all(axis=1).any(), words
        for _ in range(4):
            slider.press("ArrowRight")
        settled(page)
    # All five are kept from here on.
    expect(dropped).to_be_hidden()


def test_training_plays_pauses_and_scrubs(open_page: Callable[..., Page]) -> None:
    page = open_page("?p=0.001")
    trained = tips(page)
    page.get_by_role("button", name="Play training").click()
    expect(page.locator(".step")).to_have_text(re.compile(r"step [1-9]\d*00$"))
    expect(page.locator(".caption")).to_contain_text("step")
    page.get_by_role("button", name="Pause").click()
    settled(page)
    assert np.abs(tips(page) - trained).max() > 1
    step = page.get_by_role("slider", name="Training step")
    step.press("Home")
    settled(page)
    expect(page.locator(".step")).to_have_text("step 0")
    start = MADE.tracks()[0].trajectories.directions[-1, 0]
    np.testing.assert_allclose(tips(page) / (144 / 1.05), start.T, atol=0.01)
    step.press("End")
    settled(page)
    expect(page.locator(".step")).to_have_text("trained, 4,000 steps")
    np.testing.assert_allclose(tips(page), trained, atol=0.2)


def test_tracks_switch_at_the_same_value(open_page: Callable[..., Page]) -> None:
    page = open_page("?p=0.001")
    page.get_by_role("radio", name="linear").check(force=True)
    settled(page)
    assert value(page) == "0.001"
    assert page.locator(".count").inner_text() == "2 of 5"
    expect(page.get_by_role("button", name="Play training")).to_be_hidden()


def test_address_holds_the_state_beside_streamlits_own(open_page: Callable[..., Page]) -> None:
    page = open_page("?p=1")
    drag(page, page.locator("#frame"), [0.5])
    shown = value(page)
    page.wait_for_url("**/?p=0.0316228&model=relu")
    page.get_by_role("radio", name="linear").check(force=True)
    page.wait_for_url("**/?p=0.0316228&model=linear")

    # Streamlit may not have noticed yet; a rerun then moves neither the figure nor the address.
    page.get_by_role("button", name="Rerun").click()
    expect(page.get_by_text("runs: 2")).to_be_visible()
    settled(page)
    assert value(page) == shown
    assert "p=0.0316228&model=linear" in page.url

    page.get_by_role("slider", name="Bound").press("ArrowRight")
    page.wait_for_url(lambda url: "bound=4" in url and "p=0.0316228" in url)
    expect(page.get_by_text("runs: 3")).to_be_visible()
    expect(page.get_by_text(f"server: track 1, p {shown}")).to_be_visible()
    drag(page, page.locator("#frame"), [1.0])
    page.wait_for_url(lambda url: "bound=4" in url and "p=0.001" in url)
    page.get_by_role("button", name="Rerun").click()
    expect(page.get_by_text("runs: 4")).to_be_visible()
    settled(page)
    assert value(page) == "0.001"
    assert "p=0.001" in page.url

    page.reload()
    expect(page.locator(".value")).to_have_text("0.001")
    expect(page.get_by_role("radio", name="linear")).to_be_checked()


def test_report_reaches_the_server_once_the_reader_lets_go(open_page: Callable[..., Page]) -> None:
    page = open_page("?view=report&p=1")
    drag(page, page.locator("#frame"), [0.25, 0.75, 1.0])
    expect(page.get_by_text("server: track 0, p 0.001")).to_be_visible()
    expect(page.get_by_text("runs: 2")).to_be_visible()
    settled(page)
    assert value(page) == "0.001"


def test_three_dimensions_turn(open_page: Callable[..., Page]) -> None:
    page = open_page("?view=solid")
    expect(page.locator("#frame")).to_be_hidden()
    expect(page.locator(".caption")).to_have_text(
        "Density 0.1: four features represented, nearest neighbours about 109° apart."
    )
    before = tips(page)
    box = page.locator(".picture").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 70, steps=5)
    page.mouse.up()
    settled(page)
    dragged = tips(page)
    assert np.abs(dragged - before).max() > 5
    page.locator(".stage").press("ArrowLeft")
    settled(page)
    assert np.abs(tips(page) - dragged).max() > 2


def test_live_frames_move_the_same_figure(open_page: Callable[..., Page]) -> None:
    page = open_page("?view=live")
    page.locator(".geometry").evaluate("node => { node.mark = 'same'; }")
    page.get_by_role("button", name="Push").click()
    expect(page.locator(".caption")).to_have_text("Push 1: one feature represented (1).")
    settled(page)
    assert page.locator(".geometry").evaluate("node => node.mark") == "same"
    turned = [np.cos(np.radians(30)), np.sin(np.radians(30))]
    np.testing.assert_allclose(tips(page)[0] / 144, turned, atol=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone(open_page: Callable[..., Page], scheme: Any) -> None:
    page = open_page(
        "?p=0.001", viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".geometry").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    page.locator(".bar").nth(1).tap()
    expect(page.locator(".total")).to_contain_text("Interference")
    ink = page.locator(".caption").evaluate("node => getComputedStyle(node).color")
    assert (ink == "rgb(29, 37, 48)") == (scheme == "light")


def test_reduced_motion_jumps(open_page: Callable[..., Page]) -> None:
    page = open_page("?p=1", reduced_motion="reduce")
    page.get_by_role("slider", name="Density p").press("End")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    unit = 144 / 1.05
    np.testing.assert_allclose(tips(page) / unit, MADE.relu_directions()[-1].T, atol=0.01)
