"""The ledger: every claim, as plainly when it fails as when it holds."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from figures.theme import STATUS_STYLES
from pages.parts.navigation import ROOT
from pages.parts.zoo_access import ZOO_VARIABLE
from tests.pages.conftest import Visit, headings, open_page, shown_text, unfold

PAGE = "pages/claims.py"


def test_every_claim_is_shown_with_all_that_decides_it(visit: Visit, measured: list[Any]) -> None:
    app = unfold(visit(PAGE))
    assert not app.exception
    assert not app.error
    text = shown_text(app)
    for claim in measured:
        for part in (claim.id, claim.sentence, claim.source, claim.measurement):
            assert part in text
        for part in re.split("(?:; )?(?:holds|with a caveat): ", claim.threshold):
            assert part in text
        assert claim.value in text
        assert claim.detail in text
        assert claim.plainly in text


def test_numbers_of_claims_are_those_of_the_ledger(visit: Visit, measured: list[Any]) -> None:
    text = shown_text(visit(PAGE))
    for status, style in STATUS_STYLES.items():
        number = sum(claim.status == status for claim in measured)
        assert re.search(rf"{re.escape(style.label)}\]\n{number} of {len(measured)}: ", text)


@pytest.mark.parametrize("status", STATUS_STYLES)
def test_claims_can_be_filtered_by_status(visit: Visit, measured: list[Any], status: str) -> None:
    app = visit(PAGE)
    app.button_group(key="status").select(status).run()
    assert not app.exception
    text = shown_text(app)
    for claim in measured:
        assert (claim.sentence in text) == (claim.status == status)
    if status not in {claim.status for claim in measured}:
        assert "No claim has this status." in text


@pytest.mark.parametrize("status", STATUS_STYLES)
def test_every_status_is_an_icon_a_word_and_a_colour(
    zoo_folder: Path, monkeypatch: pytest.MonkeyPatch, status: str, measured: list[Any]
) -> None:
    claim = dataclasses.replace(measured[0], status=status, id="made-up")
    monkeypatch.setattr("pages.parts.measured._measured", lambda _zoo, key, claim_id: claim)
    text = shown_text(open_page(PAGE))
    style = STATUS_STYLES[status]
    assert f":{style.badge}-badge[{style.icon} {style.label}]" in text


def test_a_claim_in_the_address_comes_first(visit: Visit, measured: list[Any]) -> None:
    claim = measured[-1]
    app = visit(PAGE, claim=claim.id)
    assert not app.info
    assert "The claim you came for" in headings(app)
    text = shown_text(app)
    assert text.index(claim.sentence) < text.index(measured[0].sentence)


@pytest.mark.parametrize(
    ("query", "message"),
    [({"claim": "earth-is-flat"}, "earth-is-flat"), ({"status": "maybe"}, "maybe")],
)
def test_bad_values_in_the_address_get_a_message(
    visit: Visit, measured: list[Any], query: dict[str, str], message: str
) -> None:
    app = visit(PAGE, **query)
    assert not app.exception
    assert [message in info.value for info in app.info] == [True]
    for claim in measured:
        assert claim.sentence in shown_text(app)


def test_every_claim_links_to_a_page_that_exists(visit: Visit, measured: list[Any]) -> None:
    assert all((ROOT / claim.page).is_file() for claim in measured)
    labels = [part.proto.label for part in visit(PAGE).get("page_link")]
    assert sum(label.startswith("Shown on: ") for label in labels) == len(measured)


def test_a_zoo_without_the_grids_says_so(
    zoo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = json.loads((zoo_folder / "zoo.json").read_text(encoding="utf-8"))
    values["grids"] = {}
    (tmp_path / "zoo.json").write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setenv(ZOO_VARIABLE, str(tmp_path))
    app = open_page(PAGE)
    assert not app.exception
    assert "lacks the grids" in app.info[0].value
    assert "dense-is-pca" in app.info[0].value
    # Two claims are about space itself, and any zoo decides them.
    text = shown_text(app)
    assert "`exponentially-many`" in text
    assert "`dense-is-pca`" not in text
