"""The ledger as a whole, on the embedded zoo."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo import Zoo
from zoo.claims import LEDGER, measure_claim, measure_claims


def test_the_embedded_zoo_measures_every_claim_of_the_ledger() -> None:
    claims = measure_claims(Zoo.open())
    assert [(c.number, c.id) for c in claims] == [(e.number, e.id) for e in LEDGER]
    assert [c.number for c in claims] == sorted({c.number for c in claims})
    for claim in claims:
        assert claim.status in ("holds", "holds with a caveat", "does not hold")
        assert claim.threshold.startswith("holds: ")
        words = (claim.sentence, claim.measurement, claim.threshold, claim.value, claim.detail)
        assert not any("{" in text or "_" in text for text in words)
        assert Path(claim.page).is_file()
        assert measure_claim(Zoo.open(), claim.id) == claim


def test_a_claim_that_is_not_in_the_ledger_is_an_error() -> None:
    with pytest.raises(KeyError, match="the ledger has dense-is-pca"):
        measure_claim(Zoo.open(), "earth-is-flat")
