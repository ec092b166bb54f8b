"""The Lab in a real browser: train, watch, stop, take the model home; two readers at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from safetensors.numpy import load_file

from tests.browser.conftest import ROOT

pytestmark = pytest.mark.browser

PATIENCE = 120_000  # milliseconds; PyTorch starts within them on the slowest machine
STEP = re.compile(r"^Step [\d,]+ of [\d,]+$")
FINISHED = re.compile(r"^Finished: [\d,]+ steps")
STOPPED = re.compile(r"^Stopped at step ([\d,]+) of ([\d,]+)")


@pytest.fixture(scope="module")
def address(serve_apps: Callable[..., str]) -> str:
    return serve_apps(ROOT / "app.py")


@pytest.fixture
def open_lab(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Open the Lab at a query, each time as another reader."""
    contexts = []
    complaints: list[str] = []

    def open_(query: str = "") -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 1400})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/lab{query}")
        expect(button(page, "Train")).to_be_visible(timeout=PATIENCE)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def button(page: Page, name: str) -> Locator:
    # Streamlit has a button in the header that is also called Stop.
    return page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True)


def note_losses(page: Page) -> None:
    """Have the page remember every loss it shows beside the moving geometry."""
    page.locator(".geometry .loss").evaluate(
        """(node) => {
            window.losses = [node.textContent];
            const note = () => window.losses.push(node.textContent);
            new MutationObserver(note).observe(node, {childList: true, characterData: true});
        }"""
    )


def test_train_watch_and_download(open_lab: Callable[..., Page], tmp_path: Path) -> None:
    page = open_lab()
    note_losses(page)
    button(page, "Train").click()
    expect(page.get_by_text(STEP)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text(FINISHED)).to_be_visible(timeout=PATIENCE)
    expect(button(page, "Train again")).to_be_visible()
    # The zoo's, the one at the start, and some on the way.
    assert len(page.evaluate("window.losses")) > 4
    expect(page.get_by_text("by the same estimate")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Play training")).to_be_visible()

    with page.expect_download(timeout=PATIENCE) as waiting:
        page.get_by_role("button", name="Download (safetensors)").first.click()
    path = tmp_path / "model.safetensors"
    waiting.value.save_as(path)
    assert waiting.value.suggested_filename == "lab_relu-output_n5-m2-p0.1-i0.9_s00.safetensors"
    tensors = load_file(path)
    assert {name: values.shape for name, values in tensors.items()} == {"W": (2, 5), "b": (5,)}
    data = path.read_bytes()
    about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert json.loads(about["distribution"])["densities"] == [0.1] * 5
    assert json.loads(about["training"])["steps_done"] == 200


def test_stop_at_any_time(open_lab: Callable[..., Page]) -> None:
    page = open_lab("?steps=5000&n=8&m=3")
    button(page, "Train").click()
    expect(page.get_by_text(STEP)).to_be_visible(timeout=PATIENCE)
    button(page, "Stop").click()
    said = page.get_by_text(STOPPED)
    expect(said).to_be_visible(timeout=PATIENCE)
    found = STOPPED.match(said.inner_text())
    assert found is not None
    assert int(found[1].replace(",", "")) < 5000
    expect(page.get_by_role("button", name="Download (safetensors)").first).to_be_visible()


def test_two_readers_train_at_once(open_lab: Callable[..., Page]) -> None:
    one, other = open_lab("?steps=5000&n=12&m=2&seeds=8"), open_lab("?p=1&seed=3")
    button(one, "Train").click()
    expect(one.get_by_text(STEP)).to_be_visible(timeout=PATIENCE)
    button(other, "Train").click()
    expect(other.get_by_text(STEP)).to_be_visible(timeout=PATIENCE)
    button(one, "Stop").click()
    expect(one.get_by_text(STOPPED)).to_be_visible(timeout=PATIENCE)
    expect(other.get_by_text(FINISHED)).to_be_visible(timeout=PATIENCE)
    assert "p=1" in other.url
    assert "p=1" not in one.url


def test_malformed_address_is_answered_gently(open_lab: Callable[..., Page]) -> None:
    page = open_lab("?n=1e999&m=99&p=,&family=%3Cscript%3E")
    expect(page.get_by_text("Showing", exact=False).first).to_be_visible()
    assert page.get_by_test_id("stAlert").count() == 4
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/lab\?m=10$"))
