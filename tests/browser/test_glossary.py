"""An address that names a term of the glossary, as a reader follows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright import sync_api

from tests.browser.waiting import settled

pytestmark = pytest.mark.browser

TERM = "Welch bound"


def test_an_address_leads_to_a_term(
    browser: sync_api.Browser, serve_app: Callable[..., str]
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(serve_app("app.py") + "/glossary#welch-bound")
    term = page.get_by_role("heading", name=TERM, exact=True)
    sync_api.expect(term).to_have_id("welch-bound")
    settled(page)
    sync_api.expect(term).to_be_in_viewport()
    context.close()
