"""Claims that are measured ahead: pages do not wait for them, and lose none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import measured as known
from pages.parts.measured import measure_ahead
from superposition.claims import Claim
from tests.pages.conftest import Visit, shown_text
from zoo import Zoo
from zoo.ahead import Ahead, NotMeasured
from zoo.sources import EMBEDDED

ON_HOME = ("dense-is-pca", "four-in-two", "pentagon")


class Slow(Ahead):
    """Answers for a claim when it has been asked for so many times; starts no process."""

    def __init__(self, claims: list[Claim]) -> None:
        self.claims = {claim.id: claim for claim in claims}
        self.asked: Counter[str] = Counter()
        self.times = 1
        self.fails = ""

    def is_known(self, claim_id: str) -> bool:
        return self.asked[claim_id] >= self.times

    def ask(self, claim_id: str) -> None:
        self.asked[claim_id] += 1

    def claim(self, claim_id: str) -> Claim | None:
        assert self.is_known(claim_id), "a page waits for a claim"
        if claim_id == self.fails:
            raise NotMeasured(claim_id)
        return self.claims.get(claim_id)


@pytest.fixture
def slow(
    zoo_folder: Path, measured: list[Claim], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Slow]:
    """The claims of the app's zoo are those of this object, and of none before."""
    ahead = Slow(measured)
    zoo = Zoo.open(zoo_folder)
    monkeypatch.setitem(known._ahead, known.zoo_key(zoo), ahead)
    known._measured.clear()
    yield ahead
    known._measured.clear()


def badges(app: AppTest) -> int:
    return sum("-badge[" in str(part.value) for part in app.markdown)


def test_a_page_is_there_before_its_claims(visit: Visit, slow: Slow) -> None:
    slow.times = 1000
    app = visit()
    assert not app.exception
    assert set(slow.asked) == set(ON_HOME)
    assert badges(app) == 0
    text = shown_text(app)
    assert text.count("A claim about this is being measured") == len(ON_HOME)
    assert "is a property of the *data*" in text

    slow.times = 1
    app.run()
    assert not app.exception
    text = shown_text(app)
    assert "is being measured" not in text
    # Where they belong, between the paragraphs around them.
    before, after = text.index("The same as claims"), text.index("is a property of the *data*")
    for claim_id in ON_HOME:
        assert before < text.index(slow.claims[claim_id].sentence) < after
    assert badges(app) == len(ON_HOME)


def test_a_claim_that_comes_is_shown_without_being_asked_for_again(
    visit: Visit, slow: Slow
) -> None:
    # The place of a card looks again by itself; what it does then is done here at its first look.
    assert badges(visit()) == len(ON_HOME)
    assert slow.asked == Counter(ON_HOME)


def test_what_could_not_be_measured_ahead_is_measured_here(visit: Visit, slow: Slow) -> None:
    slow.fails = "four-in-two"
    app = visit()
    assert not app.exception
    assert badges(app) == len(ON_HOME)


def test_the_ledger_is_whole(visit: Visit, slow: Slow) -> None:
    slow.times = 3
    app = visit("pages/claims.py")
    assert not app.exception
    assert not app.get("progress")
    assert badges(app) == 3 + len(slow.claims)  # three for the statuses
    assert set(slow.claims) <= set(slow.asked)


def test_a_page_with_its_claims_in_a_fragment(visit: Visit, slow: Slow) -> None:
    app = visit("pages/two_kinds.py")
    assert not app.exception
    assert "neurons-compute-in-superposition" in slow.asked
    assert badges(app) == 1


def test_a_machine_without_room_for_a_process_measures_in_the_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    def refuse(place: str) -> None:
        tried.append(place)
        raise OSError("no more processes")

    monkeypatch.delenv(known.AHEAD_VARIABLE)
    monkeypatch.setattr(known, "_ahead", {})
    monkeypatch.setattr(known, "Ahead", refuse)
    monkeypatch.setattr(known, "open_zoo", lambda: Zoo.open(EMBEDDED))
    for _ in range(2):
        measure_ahead()
    assert len(tried) == 1
    assert known.is_known("pentagon")


def test_a_zoo_is_measured_once_and_one_on_the_hub_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []
    zoo = Zoo.open(EMBEDDED)
    monkeypatch.setattr(known, "_ahead", {})
    monkeypatch.setattr(known, "Ahead", lambda place: started.append(place))
    monkeypatch.setattr(known, "open_zoo", lambda: zoo)
    measure_ahead()
    assert started == []  # as for all tests of pages
    monkeypatch.delenv(known.AHEAD_VARIABLE)
    for _ in range(2):
        measure_ahead()
    assert started == [str(EMBEDDED)]

    class OnTheHub:
        place = "hub:some/zoo@0123"
        manifest = zoo.manifest

    monkeypatch.setattr(known, "open_zoo", OnTheHub)
    measure_ahead()
    assert started == [str(EMBEDDED)]
