"""One line of the ledger, and the words its claims share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from superposition.claims import Claim
from zoo.reading import Zoo

NOTES = "Study notes"
PAPER = "Toy Models of Superposition (2022)"


@dataclass(frozen=True)
class Entry:
    """A claim that has not been measured yet.

    Attributes:
        number: its place in the ledger.
        id: lower case words with hyphens.
        grids: the grids it is measured on; a zoo without them cannot decide it. None for a
            claim about space itself, which any zoo can decide.
        measure: names the models, measures them with `superposition.claims`, and compares
            with a threshold that was written down before the zoo was looked at.
    """

    number: int
    id: str
    grids: tuple[str, ...]
    measure: Callable[[Zoo], Claim]

    def decidable(self, zoo: Zoo) -> bool:
        """Whether the zoo has every grid it takes."""
        return set(self.grids) <= set(zoo.grids)


def percent(share: float) -> str:
    """Two decimals; what would read as zero is called less than the smallest of them."""
    return f"{share:.2%}" if share >= 5e-5 else "0.01%"


def scientific(value: float) -> str:
    """`1.2×10⁻¹⁵`, and `1×10⁻⁹`."""
    if value == 0:
        return "0"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def rounding(value: float) -> str:
    """The power of ten that an error of rounding stays below, `10⁻¹⁴`.

    More of it is the processor's: another one adds up in another order.
    """
    if value == 0:
        return "10⁻¹⁶"
    return f"10{str(math.floor(math.log10(value)) + 1).translate(_SUPERSCRIPTS)}"


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def counts(values: pd.Series) -> str:
    """`pentagon (3), triangle (1)`."""
    return ", ".join(f"{name} ({count})" for name, count in values.value_counts().items())
