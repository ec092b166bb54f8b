"""A reader's way through every page, and what each page looks like.

Pictures of every page, at desktop and phone width, light and dark, are written to
`screenshots/`, which is not committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from pages.parts.navigation import VIEWS
from tests.browser.conftest import ROOT
from tests.browser.waiting import settled

pytestmark = pytest.mark.browser

SCREENSHOTS = ROOT / "screenshots"
TALLEST = 16_000
PHONE = 390
PATIENCE = 60_000


@pytest.fixture(scope="module")
def address(serve_apps: Callable[..., str]) -> str:
    return serve_apps(ROOT / "app.py")


class Complaints(list[str]):
    """What the browser complains of."""

    def listen(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self.note(page, said))

    def note(self, page: Page, said: ConsoleMessage) -> None:
        # Streamlit looks for its server below the address of a page, too, before it finds it.
        looking = said.location["url"].endswith(("/_stcore/health", "/_stcore/host-config"))
        if said.type == "error" and not looking:
            self.append(f"{page.url}: {said.text} ({said.location['url']})")


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    found = Complaints()
    yield found
    assert found == []


def arrived(page: Page, title: str) -> None:
    """The page is there, whole, and without a traceback or a red box."""
    expect(page.get_by_role("heading", level=1)).to_contain_text(title, timeout=PATIENCE)
    settled(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)


def titles() -> dict[str, str]:
    """Address of a page -> its title in the menu, in the menu's order."""
    return {view.address: view.title for view in VIEWS}


def test_a_reader_goes_through_every_page_by_the_menu(
    browser: Browser, address: str, complaints: Complaints
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    complaints.listen(page)
    page.goto(address)
    menu = page.get_by_test_id("stSidebarNavItems")
    for path, title in titles().items():
        link = menu.get_by_role("link", name=title, exact=True)
        expect(link).to_be_visible(timeout=PATIENCE)
        link.click()
        arrived(page, title)
        assert page.url.split("?")[0].rstrip("/") == f"{address}/{path}".rstrip("/")
        # Something to see comes with every page: figures, tables or cards.
        main = page.get_by_test_id("stMainBlockContainer")
        assert len(main.inner_text()) > 200
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, PHONE])
def test_every_page_fits_its_window(
    browser: Browser, address: str, complaints: Complaints, width: int, scheme: str
) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    for path, title in titles().items():
        picture = SCREENSHOTS / f"{path or 'home'}-{width}-{scheme}.png"
        too_wide = look(context, complaints, f"{address}/{path}", title, str(picture))
        assert too_wide == 0, f"{path} is {too_wide} px wider than a window of {width} px"
    context.close()


def look(
    context: BrowserContext, complaints: Complaints, address: str, title: str, picture: str
) -> int:
    """Take a picture of a whole page; by how many pixels it is wider than its window."""
    page = context.new_page()
    complaints.listen(page)
    page.goto(address)
    arrived(page, title)
    main = page.get_by_test_id("stMain")
    height, wide = main.evaluate("it => [it.scrollHeight, it.scrollWidth - it.clientWidth]")
    width = page.viewport_size["width"] if page.viewport_size else 1280
    page.set_viewport_size({"width": width, "height": min(int(height) + 60, TALLEST)})
    settled(page)
    page.screenshot(path=picture)
    if width == PHONE:
        assert cut_formulas(page) == [], f"{address}: too wide for a phone"
    page.close()
    return int(wide)


def cut_formulas(page: Page) -> list[str]:
    """Formulas on lines of their own, folded ones too, that the edge of the page cuts.

    They do not wrap, and nothing on a phone says that they scroll.
    """
    for fold in page.locator("details").filter(has_text="The maths").all():
        fold.locator("summary").click()
        expect(fold.locator(".katex").first).to_be_visible()
    found = page.locator(".katex-display").evaluate_all(
        "all => all.filter(it => it.scrollWidth > it.clientWidth).map(it => it.innerText)"
    )
    return [str(formula) for formula in found]
