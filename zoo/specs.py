"""What a model of the zoo was asked to be: its architecture and its data.

A `ModelSpec` fixes everything that training needs and that a reader of a
checkpoint needs to sample the same data again; a `Grid` is a named tuple of them.
The model id is a pure function of the spec, so it is stable across rebuilds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from superposition.distributions import FeatureDistribution
from superposition.families import FAMILIES, Family


@dataclass(frozen=True)
class ModelSpec:
    """One model: family, size, data, loss weights and seed.

    Attributes:
        family: a key of `superposition.families.FAMILIES`.
        n_features: n, the input width.
        n_hidden: m, the width of the hidden space.
        density: p = P(x_i ≠ 0) of every feature (of every popular one, if
            `rare_ratio` is set).
        importance_decay: the loss weight of feature i is `importance_decay ** i`.
        seed: of the initial weights (and of the sampled part of the loss, if any).
        correlation: in-set co-activity in [-1, 1] of the consecutive sets of
            `set_size` features; -1 never together, 0 independent, 1 always together.
        set_size: 1 for independent features, 2 for pairs.
        rare_ratio: if set, the last feature's density is `rare_ratio * density`.
    """

    family: str
    n_features: int
    n_hidden: int
    density: float
    importance_decay: float = 1.0
    seed: int = 0
    correlation: float = 0.0
    set_size: int = 1
    rare_ratio: float | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"family is {self.family!r}; expected one of {', '.join(FAMILIES)}")
        for name in ("n_features", "n_hidden", "set_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        if not 0 < self.density <= 1:
            raise ValueError(f"density is {self.density}; expected 0 < density <= 1")
        if not self.importance_decay > 0:
            raise ValueError(f"importance_decay is {self.importance_decay}; expected > 0")
        if self.rare_ratio is not None and not 0 <= self.rare_ratio <= 1:
            raise ValueError(f"rare_ratio is {self.rare_ratio}; expected 0 to 1")
        if not -1 <= self.correlation <= 1:
            raise ValueError(f"correlation is {self.correlation}; expected -1 to 1")
        if self.correlation and self.set_size == 1:
            raise ValueError(
                f"correlation is {self.correlation} but set_size is 1; a correlation is between "
                "the members of a set, so give set_size 2 or more"
            )
        if self.set_size > 1 and self.n_features % self.set_size:
            raise ValueError(
                f"set_size {self.set_size} does not divide n_features {self.n_features}"
            )

    @property
    def model_family(self) -> Family:
        return FAMILIES[self.family]

    @property
    def sparsity(self) -> float:
        """S = P(x_i = 0) = 1 - density."""
        return 1.0 - self.density

    @property
    def densities(self) -> tuple[float, ...]:
        """P(x_i ≠ 0) of each feature, length n."""
        if self.rare_ratio is None:
            return (self.density,) * self.n_features
        popular = (self.density,) * (self.n_features - 1)
        return (*popular, self.density * self.rare_ratio)

    @property
    def importances(self) -> np.ndarray:
        """I_i = importance_decay ** i, shape (n,)."""
        return np.asarray(self.importance_decay ** np.arange(self.n_features), dtype=float)

    @property
    def distribution(self) -> FeatureDistribution:
        """The data the model is trained on; it can be sampled again."""
        low, high = self.model_family.value_range
        sets: tuple[tuple[int, ...], ...] = ()
        if self.set_size > 1:
            starts = range(0, self.n_features, self.set_size)
            sets = tuple(tuple(range(s, s + self.set_size)) for s in starts)
        return FeatureDistribution(
            densities=self.densities,
            low=low,
            high=high,
            sets=sets,
            correlation=self.correlation,
        )

    @property
    def setting(self) -> str:
        """The data and size part of the id: `n5-m2-p0.1-i0.9`."""
        parts = [f"n{self.n_features}", f"m{self.n_hidden}", f"p{_number(self.density)}"]
        if self.rare_ratio is not None:
            parts.append(f"rare{_number(self.rare_ratio)}")
        if self.set_size > 1:
            parts.append(f"sets{self.set_size}")
            parts.append(f"c{_number(self.correlation)}")
        parts.append(f"i{_number(self.importance_decay)}")
        return "-".join(parts)

    def model_id(self, grid: str) -> str:
        """`GRID/FAMILY/SETTING/sSEED`, stable across rebuilds."""
        return f"{grid}/{self.family}/{self.setting}/s{self.seed:02d}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelSpec:
        return cls(**values)

    def with_seed(self, seed: int) -> ModelSpec:
        return replace(self, seed=seed)


@dataclass(frozen=True)
class Grid:
    """A named family of models that answers one question.

    Attributes:
        name: lower case words with hyphens; the folder on disk.
        question: what the grid is there to show, in one sentence.
        models: every model, in a fixed order.
        keep_trajectories: whether the best seed of each setting keeps its weights
            at intermediate steps.
    """

    name: str
    question: str
    models: tuple[ModelSpec, ...]
    keep_trajectories: bool = False

    def __post_init__(self) -> None:
        if len(set(self.model_ids)) != len(self):
            twice, _ = Counter(self.model_ids).most_common(1)[0]
            raise ValueError(f"grid {self.name!r} declares {twice} more than once")

    @cached_property
    def model_ids(self) -> tuple[str, ...]:
        """The id of each model."""
        return tuple(spec.model_id(self.name) for spec in self.models)

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)


def log_spaced(
    high: float, low: float, count: int, also: Iterable[float] = ()
) -> tuple[float, ...]:
    """`count` densities from `high` down to `low`, log spaced, and `also` exactly.

    Rounded to four significant digits, so that ids are short and the value in the
    id is the value that was used.
    """
    spaced = np.geomspace(high, low, count)
    values = {float(f"{v:.4g}") for v in spaced} | {float(v) for v in also}
    return tuple(sorted(values, reverse=True))


def _number(value: float) -> str:
    """The shortest text that reads back as `value`: 0.1, 1, 0.001778."""
    text = repr(float(value) + 0.0)  # + 0.0 turns -0.0 into 0.0
    return text[:-2] if text.endswith(".0") else text
