"""The ledger: each claim measured every time it is asked for, on the zoo's weights.

Claims about space itself take no weights, and are measured on seeded random points.

A claim that fails is returned as failing. One module for each group of claims:
`bottleneck`, `basis`, `packing`, `neurons`, `sharing`.
"""

from __future__ import annotations

from superposition.claims import Claim
from zoo.claims import basis, bottleneck, neurons, packing, sharing
from zoo.claims.entry import Entry
from zoo.reading import Zoo

LEDGER: tuple[Entry, ...] = tuple(
    sorted(
        (
            *bottleneck.ENTRIES,
            *basis.ENTRIES,
            *packing.ENTRIES,
            *neurons.ENTRIES,
            *sharing.ENTRIES,
        ),
        key=lambda entry: entry.number,
    )
)
"""Every claim there is, in the order of the ledger."""


def measure_claims(zoo: Zoo) -> list[Claim]:
    """Every claim whose grids are in `zoo`, in the order of the ledger.

    Raises:
        ZooError: if a file of the zoo is damaged.
    """
    return [entry.measure(zoo) for entry in LEDGER if entry.decidable(zoo)]


def measure_claim(zoo: Zoo, claim_id: str) -> Claim | None:
    """One claim, without the work of the others; None where the zoo lacks its grids.

    Raises:
        KeyError: if the ledger has no claim of this id.
        ZooError: if a file of the zoo is damaged.
    """
    for entry in LEDGER:
        if entry.id == claim_id:
            return entry.measure(zoo) if entry.decidable(zoo) else None
    known = ", ".join(entry.id for entry in LEDGER)
    raise KeyError(f"there is no claim {claim_id!r}; the ledger has {known}")
