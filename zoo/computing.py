"""What the models of a zoo compute: the share of each target's variance that they explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superposition.expectation import Nodes, expectation_nodes
from superposition.neurons import HANDLED, explained
from zoo.reading import Zoo
from zoo.specs import ModelSpec

NEAR = 0.1
"""A model with a feature this near the cut of `superposition.neurons.handled` is looked at again.

Features that a network handles in part have most of their error in rare sets of active features,
where it is large. The nodes of the first look leave up to half of `NEAR` there; those of the
second a hundredth.
"""

# Up to 13 features every set of active ones is integrated; above, strata of too many sets are
# sampled. A node of a hundred features takes as much room as 16 of six.
_FEW = 13
_FIRST_LOOK, _SECOND_LOOK = (2**16, 2**14), (2**21, 2**16)


def nodes_for(spec: ModelSpec, *, second_look: bool = False) -> Nodes:
    """The nodes that a model is judged on: a function of its data alone."""
    budgets = _SECOND_LOOK if second_look else _FIRST_LOOK
    budget = budgets[spec.n_features > _FEW]
    return expectation_nodes(spec.distribution, budget=budget, rng=np.random.default_rng(0))


def explained_share(
    spec: ModelSpec, parameters: Mapping[str, NDArray[Any]], nodes: Nodes | None = None
) -> NDArray[np.float64]:
    """The share of its target's variance that each output of one model explains, (n,).

    Args:
        parameters: of the model, or of a changed one.
        nodes: of `nodes_for(spec)`, where they are at hand.
    """
    family, distribution = spec.model_family, spec.distribution
    share = explained(family, parameters, distribution, nodes or nodes_for(spec))
    if (np.abs(share - HANDLED) < NEAR).any():
        share = explained(family, parameters, distribution, nodes_for(spec, second_look=True))
    return share


def explained_by(zoo: Zoo, model_ids: Sequence[str]) -> NDArray[np.float64]:
    """`explained_share` of B models of one number of features, (B, n).

    Quickest with models that were trained on the same data beside each other: they are judged on
    the same nodes, drawn up once.

    Raises:
        ZooError: if there is no such model, or a file of the zoo is damaged.
    """
    shares = []
    last: ModelSpec | None = None
    for model_id in model_ids:
        model = zoo.model(model_id)
        if last is None or model.spec.distribution != last.distribution:
            nodes = nodes_for(model.spec)
        last = model.spec
        shares.append(explained_share(model.spec, model.parameters, nodes))
    return np.stack(shares)
