"""The index columns that are measured on the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superposition import geometry
from superposition.families import Family

Floats = NDArray[np.float64]


def measure(family: Family, parameters: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Measures of a stack of B models: column name -> (B,).

    All are taken on the encoder, the matrix (B, m, n) whose column i is the direction of
    feature i: `W`, or `W_in` of the untied family. Means and the maximum run over the
    represented features, and are 0 where there are none, since the direction of a feature
    that was not learned is noise.

    | column | of each model |
    | --- | --- |
    | features_represented | how many ‖W_i‖ are above 0.5 |
    | dimensions_per_feature, features_per_dimension | m / ‖W‖_F² and its inverse |
    | mean_dimensionality | mean D_i |
    | mean_interference, max_interference | of Σ_{j≠i} (Ŵ_i · W_j)² |
    | coherence | largest abs(Ŵ_i · Ŵ_j) |
    | solution | name of the arrangement |
    | features_per_neuron | mean over live neurons; NaN in a family without neurons |
    | monosemantic_share | share of live neurons with one feature; NaN likewise |
    | alignment | mean max_k abs(Ŵ_ki) |
    | kurtosis | mean kurtosis of a direction's coordinates |
    """
    W = np.asarray(family.encoder(parameters), dtype=np.float64)
    represented = geometry.represented(W)
    interference = geometry.interference(W)
    held = geometry.features_per_neuron(W)
    if family.has_neurons:
        features_per_neuron = _mean_where(held.astype(np.float64), held > 0)
        monosemantic_share = geometry.monosemantic_share(W)
    else:
        features_per_neuron = monosemantic_share = np.full(len(W), np.nan)
    return {
        "features_represented": represented.sum(-1),
        "dimensions_per_feature": geometry.dimensions_per_feature(W),
        "features_per_dimension": geometry.features_per_dimension(W),
        "mean_dimensionality": _mean_where(geometry.dimensionality(W), represented),
        "mean_interference": _mean_where(interference, represented),
        "max_interference": np.max(interference, axis=-1, where=represented, initial=0.0),
        "coherence": geometry.coherence(W),
        "solution": geometry.solution_names(W),
        "features_per_neuron": features_per_neuron,
        "monosemantic_share": monosemantic_share,
        "alignment": geometry.basis_alignment(W),
        "kurtosis": _mean_where(geometry.kurtosis(W), represented),
    }


def _mean_where(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Mean along the last axis over the chosen entries, and 0 where none is."""
    total = np.sum(values * chosen, axis=-1)
    return np.asarray(total / np.maximum(chosen.sum(-1), 1))
