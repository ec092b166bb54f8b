"""What the features do: sparse uniform data, its moments, and its expectation nodes.

Each feature is 0 with probability S = 1 - p, else uniform on `[low, high]`. Features
are independent unless they belong to a *set*, whose members tend to be active
together or apart (paper: "Correlated and Anticorrelated Features", "The Geometry of
Superposition").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from math import comb, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class FeatureDistribution:
    """The joint distribution of n sparse features.

    Attributes:
        densities: p_i = P(x_i ≠ 0), one per feature; 0 is allowed (never active).
        low, high: an active feature is uniform on [low, high].
        sets: disjoint groups of feature indices with equal density within a group.
        correlation: the in-set co-activity c in [-1, 1]. With probability |c| the
            set is drawn at its extreme (c > 0: all members active together; c < 0:
            at most one member active), else its members are independent. The
            marginal density of every member is p whatever c is. For a pair, the
            correlation of the two activity indicators is c for c >= 0 and
            c · p / (1 - p) for c < 0.

    Raises:
        ValueError: for densities outside [0, 1], an empty or infinite range, empty or
            overlapping sets, unequal densities in a set, or c < 0 with `len(set) * p > 1`, where
            "never together" is impossible.
    """

    densities: tuple[float, ...]
    low: float = 0.0
    high: float = 1.0
    sets: tuple[tuple[int, ...], ...] = ()
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if not self.densities:
            raise ValueError("densities is empty; expected one density per feature")
        if not all(0 <= p <= 1 for p in self.densities):
            raise ValueError(f"densities are {self.densities}; expected each in [0, 1]")
        if not (isfinite(self.low) and isfinite(self.high)):
            raise ValueError(f"the range is [{self.low}, {self.high}]; expected finite numbers")
        if not self.low < self.high:
            raise ValueError(f"the range [{self.low}, {self.high}] is empty; expected low < high")
        if not -1 <= self.correlation <= 1:
            raise ValueError(f"correlation is {self.correlation}; expected -1 to 1")
        members = [i for group in self.sets for i in group]
        if len(set(members)) != len(members):
            raise ValueError(f"sets {self.sets} overlap; expected disjoint sets")
        if any(not 0 <= i < self.n_features for i in members):
            raise ValueError(f"sets {self.sets} name a feature outside 0 to {self.n_features - 1}")
        if () in self.sets:
            raise ValueError(f"sets {self.sets} hold an empty one; leave it out")
        for group in self.sets:
            density = {self.densities[i] for i in group}
            if len(density) != 1:
                raise ValueError(f"set {group} has densities {density}; expected equal densities")
            if self.correlation < 0 and len(group) * density.pop() > 1:
                raise ValueError(
                    f"set {group} cannot be anticorrelated: {len(group)} features of density "
                    f"{self.densities[group[0]]} cannot be active one at a time; lower the density"
                )

    @property
    def n_features(self) -> int:
        return len(self.densities)

    @property
    def is_exchangeable(self) -> bool:
        """Whether features are independent with one common density."""
        no_sets = not self.sets or self.correlation == 0
        return no_sets and len(set(self.densities)) == 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoint metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FeatureDistribution:
        """The inverse of `to_dict`, also after a round trip through JSON."""
        return cls(
            densities=tuple(values["densities"]),
            low=values["low"],
            high=values["high"],
            sets=tuple(tuple(group) for group in values["sets"]),
            correlation=values["correlation"],
        )

    # Activity: which features are on.

    @cached_property
    def _blocks(self) -> tuple[tuple[int, ...], ...]:
        """The independent groups: the sets, then every remaining feature alone."""
        grouped = {i for group in self.sets for i in group}
        alone = ((i,) for i in range(self.n_features) if i not in grouped)
        return (*self.sets, *alone)

    def _subset_probability(self, block: tuple[int, ...], count: NDArray[np.int_]) -> Floats:
        """P(one particular subset of `count` members is the active part of `block`)."""
        size, p, c = len(block), self.densities[block[0]], self.correlation
        independent = p**count * (1 - p) ** (size - count)
        if size == 1 or c == 0:
            return independent
        if c > 0:
            extreme = np.where(count == size, p, np.where(count == 0, 1 - p, 0.0))
        else:
            extreme = np.where(count == 1, p, np.where(count == 0, 1 - size * p, 0.0))
        return abs(c) * extreme + (1 - abs(c)) * independent

    def set_probability(self, active: Bools) -> Floats:
        """P(exactly these features are active), (K,) for `active` (K, n)."""
        active = np.asarray(active, dtype=bool)
        probability = np.ones(active.shape[0])
        for block in self._blocks:
            probability *= self._subset_probability(block, active[:, list(block)].sum(1))
        return probability

    def count_probability(self) -> Floats:
        """P(exactly k features are active) for k = 0 … n, shape (n + 1,)."""
        total = np.ones(1)
        for block in self._blocks:
            total = np.convolve(total, self._block_counts(block))
        return total

    def _block_counts(self, block: tuple[int, ...]) -> Floats:
        counts = np.arange(len(block) + 1)
        subsets = np.array([comb(len(block), int(c)) for c in counts], dtype=float)
        return subsets * self._subset_probability(block, counts)

    def pair_probability(self) -> Floats:
        """P(i and j both active), (n, n); the diagonal is P(i active)."""
        p = np.asarray(self.densities)
        pairs = np.outer(p, p)
        for group in self.sets:
            counts = np.arange(len(group) + 1)
            weights = self._block_counts(group)
            size = len(group)
            # A uniform subset of c of s members holds a given pair with c(c-1)/(s(s-1)).
            both = float((weights * counts * (counts - 1)).sum() / (size * (size - 1) or 1))
            pairs[np.ix_(group, group)] = both
        np.fill_diagonal(pairs, p)
        return pairs

    def active_given_count(self, counts: NDArray[np.int_], rng: np.random.Generator) -> Bools:
        """Active sets (K, n) drawn from the distribution given their sizes (K,).

        Exact conditional sampling: block by block, from the convolution of the
        count distributions of the blocks that remain.

        Raises:
            ValueError: if a count has probability zero.
        """
        counts = np.asarray(counts, dtype=int)
        inside = (counts >= 0) & (counts <= self.n_features)
        if not (inside.all() and (self.count_probability()[counts] > 0).all()):
            raise ValueError("a requested number of active features has probability zero")
        if self.is_exchangeable and 0 < self.densities[0] < 1:
            # Every set of a size is equally likely: the k smallest of n random keys.
            keys = rng.random((len(counts), self.n_features))
            return np.asarray(keys.argsort(1).argsort(1) < counts[:, None])
        blocks = self._blocks
        per_block = [self._block_counts(block) for block in blocks]
        remaining = [np.ones(1)]
        for weights in reversed(per_block):
            remaining.append(np.convolve(remaining[-1], weights))
        remaining.reverse()  # remaining[j] is the count distribution of blocks j, j+1, …

        active = np.zeros((len(counts), self.n_features), dtype=bool)
        left = counts.copy()
        for j, block in enumerate(blocks):
            size, after = len(block), remaining[j + 1]
            options = left[:, None] - np.arange(size + 1)
            feasible = (options >= 0) & (options < len(after))
            weight = per_block[j] * np.where(feasible, after[options.clip(0, len(after) - 1)], 0)
            weight /= weight.sum(1, keepdims=True)
            draw = rng.random(len(counts))[:, None]
            chosen = (draw >= weight.cumsum(1)[:, :-1]).sum(1)
            if size == 1:
                active[:, block[0]] = chosen == 1
            else:
                order = rng.random((len(counts), size)).argsort(1).argsort(1)
                active[:, list(block)] = order < chosen[:, None]
            left = left - chosen
        return active

    # Samples and moments.

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """`count` independent inputs, shape (count, n)."""
        p = np.asarray(self.densities)
        active = rng.random((count, self.n_features)) < p
        if self.correlation:
            for group in self.sets:
                extreme = rng.random(count) < abs(self.correlation)
                density = self.densities[group[0]]
                if self.correlation > 0:
                    together = np.repeat((rng.random(count) < density)[:, None], len(group), axis=1)
                else:
                    # One uniform draw picks the active member, or none.
                    slot = np.floor(rng.random(count) / density) if density else np.full(count, -1)
                    together = slot[:, None] == np.arange(len(group))
                active[:, list(group)] = np.where(
                    extreme[:, None], together, active[:, list(group)]
                )
        values = rng.uniform(self.low, self.high, (count, self.n_features))
        return np.where(active, values, 0.0)

    def mean(self) -> Floats:
        """E[x], shape (n,)."""
        return np.asarray(self.densities) * (self.low + self.high) / 2

    def second_moment(self) -> Floats:
        """E[x xᵀ], shape (n, n)."""
        low, high = self.low, self.high
        moments = self.pair_probability() * ((low + high) / 2) ** 2
        square = (low * low + low * high + high * high) / 3
        np.fill_diagonal(moments, np.asarray(self.densities) * square)
        return moments

    def off_probability(self, threshold: float = 0.0) -> Floats:
        """P(|x_i| ≤ threshold), (n,): sparsity, when small values count as off as well.

        S_i + (1 − S_i) · share, where `share` is how much of [low, high] lies within the
        threshold: the threshold itself for values on [0, 1] or [−1, 1], if it is at most 1.

        Raises:
            ValueError: for a threshold that is negative or no number.
        """
        if not threshold >= 0:
            raise ValueError(f"threshold is {threshold}; expected 0 or more")
        within = min(self.high, threshold) - max(self.low, -threshold)
        share = max(within, 0.0) / (self.high - self.low)
        p = np.asarray(self.densities)
        return (1 - p) + p * share


def independent(
    n_features: int, density: float, low: float = 0.0, high: float = 1.0
) -> FeatureDistribution:
    """n independent features of one density, the data of most of the paper."""
    return FeatureDistribution((float(density),) * n_features, low, high)


def enumerate_sets(n_features: int, sizes: Iterable[int]) -> Bools:
    """Every active set of the given sizes, (K, n), in a fixed order."""
    rows = [combo for k in sizes for combo in combinations(range(n_features), k)]
    active = np.zeros((len(rows), n_features), dtype=bool)
    for row, combo in enumerate(rows):
        active[row, list(combo)] = True
    return active
