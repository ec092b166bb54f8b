"""What a claim is, and the measurements that decide the first of them.

A claim is a sentence that can be true or false, with a measurement and a threshold that
were fixed before looking. The functions here measure arrays of weights; which models of
a zoo a claim is measured on is told in `zoo.claims`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superposition.geometry import ORTHOGONAL_COS, cosines, norms, represented

Status = Literal["holds", "holds with a caveat", "does not hold"]
HOLDS: Status = "holds"
CAVEAT: Status = "holds with a caveat"
FAILS: Status = "does not hold"


@dataclass(frozen=True)
class Claim:
    """A sentence of the source, measured.

    Attributes:
        id: lower case words with hyphens.
        number: its place in the ledger.
        sentence: the claim in our words.
        source: where it comes from.
        measurement: what is measured, and on which models.
        threshold: what decides the status, chosen before looking.
        value: what was measured, in words and numbers.
        status: what follows.
        detail: what a reader should know of the result; may be empty.
        page: file of the page that shows it.
        numbers: the measured values by name, for machines.
        plainly: what the result comes to, in a sentence for someone who reads no further;
            empty where the claim simply holds.
    """

    id: str
    number: int
    sentence: str
    source: str
    measurement: str
    threshold: str
    value: str
    status: Status
    detail: str
    page: str
    numbers: Mapping[str, float]
    plainly: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "numbers": dict(self.numbers)}


def decide(holds: bool, with_caveat: bool) -> Status:
    """The status, from whether the full and the weaker threshold are met."""
    if holds:
        return HOLDS
    return CAVEAT if with_caveat else FAILS


def keeps_only_the_first(W: ArrayLike, n_kept: int) -> NDArray[np.bool_]:
    """Whether exactly the first `n_kept` features are represented, pairwise orthogonal.

    Features are in order of importance. Orthogonal is |cos| ≤ `geometry.ORTHOGONAL_COS`.

    Args:
        W: (B, m, n).

    Returns:
        (B,).
    """
    W = np.asarray(W, dtype=np.float64)
    wanted = np.arange(W.shape[-1]) < n_kept
    right_ones = (represented(W) == wanted).all(-1)
    between = np.abs(cosines(W))[..., :n_kept, :n_kept]
    off_diagonal = between * ~np.eye(n_kept, dtype=bool)
    return np.asarray(right_ones & (off_diagonal.max((-2, -1)) <= ORTHOGONAL_COS))


def neighbour_angles(W: ArrayLike, threshold: float = 0.5) -> NDArray[np.float64]:
    """Angles in degrees between neighbouring represented features of one 2 × n model.

    Returns:
        (k,) for k represented features, in order around the circle, summing to 360; empty
        for k < 2.

    Raises:
        ValueError: if hidden space is not a plane.
    """
    W = np.asarray(W, dtype=np.float64)
    if W.ndim != 2 or W.shape[0] != 2:
        raise ValueError(f"W has shape {W.shape}; expected one model in a plane, (2, n)")
    kept = W[:, norms(W) > threshold]
    if kept.shape[1] < 2:
        return np.zeros(0)
    angles = np.sort(np.degrees(np.arctan2(kept[1], kept[0])))
    return np.diff(angles, append=angles[0] + 360)


def largest_relative_drop(values: ArrayLike) -> NDArray[np.float64]:
    """The largest fall below an earlier value, as a share of it, along the last axis.

    0 for a sequence that never falls. Values must be positive.
    """
    values = np.asarray(values, dtype=np.float64)
    highest = np.maximum.accumulate(values, axis=-1)
    return np.asarray(np.max(1 - values / highest, axis=-1))
