"""What a zoo holds per model: the result of training, and what is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.specs import ModelSpec

Arrays = Mapping[str, NDArray[np.float32]]

# How a stored loss was computed: in closed form, by deterministic quadrature over every
# active set, or by sampling strata (the only one with a standard error).
LOSS_METHODS = ("exact", "quadrature", "stratified")


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One model's weights while it trained.

    Attributes:
        steps: (T,) optimiser steps, increasing; 0 is before the first update.
        losses: (T,) the training estimate of the expected loss at those steps.
        parameters: tensor name -> (T, …) float32.
    """

    steps: NDArray[np.int64]
    losses: NDArray[np.float32]
    parameters: Arrays


@dataclass(frozen=True, eq=False)
class Result:
    """One trained model, on its way into a zoo.

    Attributes:
        parameters: tensor name -> array of the family's shape; stored as float32.
        loss: expected loss of the float32 parameters.
        loss_method: one of `LOSS_METHODS`.
        loss_standard_error: of `loss`; 0 for the deterministic methods.
        popular_loss: the part of the loss due to all features but the last, where a
            rare feature is the question.
        trajectory: if it is to be kept; every kept trajectory of a grid has the same steps.
    """

    parameters: Arrays
    loss: float
    loss_method: str
    loss_standard_error: float = 0.0
    popular_loss: float | None = None
    trajectory: Trajectory | None = None


@dataclass(frozen=True, eq=False)
class Model:
    """One model read from a zoo.

    Attributes:
        model_id: `GRID/FAMILY/SETTING/sSEED`.
        grid: name of its grid.
        spec: what it was asked to be, its data included.
        parameters: tensor name -> float32 array, shapes as in `superposition.families`.
        record: its row of the index as plain values; None where there is no value.
        zoo_version: of the zoo it was read from.
    """

    model_id: str
    grid: str
    spec: ModelSpec
    parameters: dict[str, NDArray[np.float32]]
    record: dict[str, Any]
    zoo_version: str
