"""What may be called a feature: functions of a small picture, judged over every picture.

A picture is nine pixels, each lit (1) or dark (0), row by row. There are only 2^9 of them, so
whether a function is a single number, or a property that a picture has or lacks, is not a matter
of opinion here: it is decided by trying all of them. Whether it is *meaningful* is opinion, and
no function of this module says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superposition.distributions import independent

Floats = NDArray[np.float64]

SIDE = 3
PIXELS = SIDE * SIDE

# Values that differ by less are one value, computed in two orders.
_SAME = 9


def every_picture() -> Floats:
    """All pictures, (512, 9), values 0 and 1."""
    numbers = np.arange(2**PIXELS)
    return ((numbers[:, None] >> np.arange(PIXELS)[::-1]) & 1).astype(np.float64)


@dataclass(frozen=True)
class PictureFunction:
    """A function of a picture that somebody might call a feature.

    Attributes:
        name: short, in words.
        rule: how it is computed, in words or as a formula in x₁ … x₉.
        compute: pictures (K, 9) -> one number each (K,), or several (K, d). NaN where a picture
            has no value.
    """

    name: str
    rule: str
    compute: Callable[[Floats], Floats]

    def __call__(self, pictures: ArrayLike) -> Floats:
        """The values on pictures (K, 9), or on one of shape (9,).

        Raises:
            ValueError: for anything but nine pixels, or pixels neither lit nor dark.
        """
        x = np.asarray(pictures, dtype=np.float64)
        if x.ndim not in (1, 2) or x.shape[-1] != PIXELS:
            raise ValueError(f"pictures have shape {x.shape}; expected ({PIXELS},) or (K, 9)")
        if not np.isin(x, (0, 1)).all():
            raise ValueError("a pixel is neither 0 (dark) nor 1 (lit)")
        values = np.asarray(self.compute(np.atleast_2d(x)), dtype=np.float64)
        return values if x.ndim == 2 else values[0]

    @cached_property
    def _everywhere(self) -> Floats:
        """The values on every picture, (512,) or (512, d)."""
        return self(every_picture())

    @property
    def numbers(self) -> int:
        """How many numbers it gives for a picture; 1 for a scalar function."""
        return 1 if self._everywhere.ndim == 1 else self._everywhere.shape[1]

    @cached_property
    def distinct_values(self) -> int:
        """How many different values it takes over all pictures."""
        return len(np.unique(np.round(self._everywhere, _SAME), axis=0))

    @property
    def is_scalar(self) -> bool:
        """Whether it gives every picture exactly one number."""
        return self.numbers == 1 and bool(np.isfinite(self._everywhere).all())

    @property
    def is_property(self) -> bool:
        """Whether a picture has it or lacks it: a scalar function of exactly two values."""
        return self.is_scalar and self.distinct_values == 2

    @cached_property
    def reads(self) -> tuple[int, ...]:
        """The pixels that matter, from 0: flipping one changes the value of some picture."""
        pictures, values = every_picture(), self._everywhere
        found = []
        for pixel in range(PIXELS):
            flipped = pictures.copy()
            flipped[:, pixel] = 1 - flipped[:, pixel]
            if not np.allclose(self(flipped), values, equal_nan=True):
                found.append(pixel)
        return tuple(found)

    @property
    def is_coordinate(self) -> bool:
        """Whether it is one of the nine pixels itself: the toy model's notion of a feature."""
        return self.is_scalar and bool((self._everywhere[:, None] == every_picture()).all(0).any())

    def sparsity(self, density: float) -> float | None:
        """P(value = 0) if each pixel is lit with probability `density`, independently.

        Exact: a sum over all pictures. None for what is not a scalar function.
        """
        if not self.is_scalar:
            return None
        lit = every_picture().astype(bool)
        probability = independent(PIXELS, density).set_probability(lit)
        return float(probability[np.isclose(self._everywhere, 0)].sum())


def _vertical_line(x: Floats) -> Floats:
    columns = np.all(x.reshape(-1, SIDE, SIDE) == 1, axis=1)
    return np.asarray(np.any(columns, axis=1), dtype=np.float64)


def _odd_sum(x: Floats) -> Floats:
    return 0.7 * x[:, 0] - 1.3 * x[:, 3] + 0.4 * x[:, 8]


def _centre_of_light(x: Floats) -> Floats:
    """Mean row and column, from 1, of the lit pixels; NaN for the dark picture."""
    rows, columns = np.divmod(np.arange(PIXELS), SIDE)
    places = np.stack([rows, columns], axis=1) + 1.0
    lit = x.sum(axis=1, keepdims=True)
    return np.divide(x @ places, lit, out=np.full((len(x), 2), np.nan), where=lit > 0)


CANDIDATES = (
    PictureFunction("the middle pixel", "x₅", lambda x: x[:, 4]),
    PictureFunction("a vertical line", "some column is lit from top to bottom", _vertical_line),
    PictureFunction("brightness", "x₁ + x₂ + … + x₉", lambda x: x.sum(axis=1)),
    PictureFunction("a sum with odd weights", "0.7 x₁ − 1.3 x₄ + 0.4 x₉", _odd_sum),
    PictureFunction(
        "the same, past a threshold",
        "0.7 x₁ − 1.3 x₄ + 0.4 x₉ > 0.2",
        lambda x: (_odd_sum(x) > 0.2).astype(np.float64),
    ),
    PictureFunction(
        "two pixels, turned by 45°", "(x₁ + x₂) / √2", lambda x: (x[:, 0] + x[:, 1]) / np.sqrt(2)
    ),
    PictureFunction(
        "where the light is", "mean row and column of the lit pixels", _centre_of_light
    ),
)
"""What the page on features asks about, in its order."""
