"""Training again on the page of a figure, in a real browser: watch, stop, go on reading."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import ROOT
from tests.browser.waiting import settled

pytestmark = pytest.mark.browser

PATIENCE = 120_000  # milliseconds; PyTorch starts within them on the slowest machine
QUIET = 1_500  # milliseconds; while a run is watched, the page asks five times in this time
STEP = re.compile(r"^Step [\d,]+ of 400$")


def test_train_again_watch_and_settle(browser: Browser, serve_app: Callable[..., str]) -> None:
    address = serve_app(ROOT / "app.py")
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/bottleneck?size=5x2")
    main = page.get_by_test_id("stMain")
    main.get_by_role("button", name="Train this one again with another seed").click(
        timeout=PATIENCE
    )
    expect(page.get_by_text(STEP)).to_be_visible(timeout=PATIENCE)
    expect(main.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    expect(page.get_by_text("by the same estimate")).to_be_visible(timeout=PATIENCE)
    # It is over, and the page asks for nothing more: no redrawing goes on in the background. A
    # last one may have been on its way; a timer that was left behind would never let it be quiet.
    settled(page)
    page.evaluate(
        """() => {
            window.runs = 0;
            new MutationObserver(() => { window.runs += 1; }).observe(
                document.querySelector('[data-testid="stApp"]'),
                {attributes: true, attributeFilter: ["data-test-script-state"]});
        }"""
    )
    for _ in range(20):
        before = page.evaluate("window.runs")
        page.wait_for_timeout(QUIET)
        if page.evaluate("window.runs") == before:
            break
    else:
        pytest.fail("the page was run again and again after the training was over")
    main.get_by_role("button", name="Again, from the next seed").click()
    expect(page.get_by_text("101, yours")).to_be_visible(timeout=PATIENCE)
    assert complaints == []
    context.close()
