"""How much fits into m dimensions: random projections, and directions that are nearly orthogonal.

Two questions that are often taken for one. The Johnson–Lindenstrauss lemma asks how few dimensions
keep the distances within a *finite set of points*. Packing asks how many *directions* have pairwise
|cos| ≤ ε. The first gives the second, with poor constants: see `promised_dimension`.

Points are rows, (N, n), as data are; a projection W, (m, n), takes them to `points @ W.T`.
Directions are the columns of an (m, K) matrix, as in `superposition.geometry`.

Everywhere here the lemma is about *squared* distances, as its proof is: within 1 ± ε of what they
were. Distances themselves are then within √(1 ± ε), which is narrower than 1 ± ε.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.spatial.distance import pdist
from scipy.special import betainc
from scipy.stats import chi2

from superposition.geometry import REPRESENTED_NORM, coherence, cosines, represented

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# |cos| of found directions may exceed the wanted one by this: an optimiser meets a bound from
# outside, and arrangements that are unique, such as root systems, leave it no room inside.
COS_TOLERANCE = 1e-4

# Multiplications in a product of two matrices up to which BLAS libraries use one thread. On a busy
# machine the threads of a larger one wait for each other, at several times the cost of the work.
ONE_THREAD = 200_000


# Random projections


def random_projection(m: int, n: int, rng: np.random.Generator) -> FloatArray:
    """A matrix (m, n) of independent N(0, 1/m): it keeps squared lengths on average.

    Its columns are where it takes the axes: n random directions of length about 1.
    """
    return rng.standard_normal((m, n)) / math.sqrt(m)


def product(left: FloatArray, right: FloatArray) -> FloatArray:
    """left @ right for matrices, in groups of rows of `left` small enough for `ONE_THREAD`."""
    rows = max(1, ONE_THREAD // max(right.size, 1))
    if rows >= len(left):
        return np.asarray(left @ right)
    return np.concatenate([left[at : at + rows] @ right for at in range(0, len(left), rows)])


def lemma_dimension(count: int, epsilon: float) -> int:
    """Dimension that the Johnson–Lindenstrauss lemma asks for to keep `count` points.

    The least whole m ≥ 4 ln N / (ε²/2 − ε³/3). One random projection to m dimensions then keeps
    all squared distances within 1 ± ε with a probability of at least 1/N. That is enough for the
    lemma, which says that a projection *exists*. The dimension of the points does not enter.

    Raises:
        ValueError: for fewer than two points, or ε outside (0, 1).

    Source: Dasgupta and Gupta, "An elementary proof of a theorem of Johnson and Lindenstrauss"
    (2003), Theorem 2.1. Their projections are onto random subspaces; the tail bounds for Gaussian
    matrices are the same.
    """
    _check_points(count, epsilon)
    return math.ceil(4 * math.log(count) / (epsilon**2 / 2 - epsilon**3 / 3))


def outside_probability(m: ArrayLike, epsilon: float) -> FloatArray:
    """Probability that one squared distance leaves 1 ± ε in `m` dimensions, same shape as `m`.

    Exact for `random_projection`: the ratio of squared distances is χ²_m / m, whatever the points.
    """
    m = np.asarray(m, dtype=np.float64)
    below, above = chi2.cdf(m * (1 - epsilon), m), chi2.sf(m * (1 + epsilon), m)
    return np.asarray(below + above)[()]


def union_dimension(count: int, epsilon: float, failure: float | None = None) -> int:
    """Dimension from `outside_probability` and the union bound, without the lemma's tail bound.

    The least m whose expected number of pairs outside 1 ± ε is at most `failure`, by default what
    the lemma allows, 1 − 1/N. What lies between this and `lemma_dimension` is the price of a
    formula; what lies between this and a measured dimension is the price of the union bound.

    Raises:
        ValueError: for fewer than two points, or ε or `failure` outside (0, 1).
    """
    _check_points(count, epsilon)
    allowed = 1 - 1 / count if failure is None else failure
    if not 0 < allowed < 1:
        raise ValueError(f"failure is {failure!r}; expected a probability between 0 and 1")
    pairs = count * (count - 1) / 2
    # With fewer dimensions squared distances spread more, so the smallest m is found by halving.
    low, high = 0, math.ceil(lemma_dimension(count, epsilon) * (1 - math.log(allowed)))
    while high - low > 1:
        middle = (low + high) // 2
        if pairs * float(outside_probability(middle, epsilon)) <= allowed:
            high = middle
        else:
            low = middle
    return high


def squared_distances(points: ArrayLike) -> FloatArray:
    """Squared distance of every pair of `points` (N, n), (N(N−1)/2,), in the order of `pdist`."""
    return np.asarray(pdist(np.asarray(points, dtype=np.float64), "sqeuclidean"))


def ratios_by_dimension(points: ArrayLike, most: int, rng: np.random.Generator) -> FloatArray:
    """Squared distances after a random projection over those before, for every m up to `most`.

    One Gaussian matrix of `most` rows is drawn; its first m rows, scaled, are the projection to m
    dimensions. Row m − 1 of the result holds the ratios of all pairs there, (most, N(N−1)/2).

    Raises:
        ValueError: if two points are the same: a distance of 0 has no ratio.
    """
    points = np.asarray(points, dtype=np.float64)
    before = squared_distances(points)
    if not before.size or before.min() <= 0:
        raise ValueError(
            f"expected at least two points, all of them different; got {len(points)} points, the "
            f"nearest two {math.sqrt(before.min()) if before.size else 0:g} apart"
        )
    y = product(rng.standard_normal((most, points.shape[1])), points.T).T
    first, second = np.triu_indices(len(points), 1)
    steps = (y[first] - y[second]).T ** 2
    np.cumsum(steps, axis=0, out=steps)
    return steps / before / np.arange(1, most + 1)[:, None]


def share_outside(ratios: ArrayLike, epsilon: float) -> FloatArray:
    """Share of the ratios outside 1 ± ε, over the last axis."""
    return np.asarray(np.mean(np.abs(np.asarray(ratios) - 1) > epsilon, axis=-1))


def dimension_that_works(ratios: ArrayLike, epsilon: float) -> int | None:
    """The smallest m from which on every pair stays within 1 ± ε; None where the last one fails.

    Not the first m at which all happen to be inside: that would be luck, and a dimension more
    could undo it.

    Args:
        ratios: (most, pairs), from `ratios_by_dimension`.
    """
    fails = np.flatnonzero(share_outside(ratios, epsilon) > 0)
    last = int(fails[-1]) + 1 if fails.size else 0
    return last + 1 if last < len(np.asarray(ratios)) else None


PointSet = Literal["spread", "clusters", "axes"]
POINT_SETS: tuple[PointSet, ...] = ("spread", "clusters", "axes")


def point_set(kind: PointSet, count: int, n: int, rng: np.random.Generator) -> FloatArray:
    """`count` points in n dimensions, (count, n).

    "spread": random directions, with lengths uniform on [0, 1]; "clusters": around five centres,
    so that some distances are thirty times others; "axes": the first unit vectors, one feature
    each, which a projection takes to the directions of those features.

    Raises:
        ValueError: for an unknown kind, or more axes than dimensions.
    """
    if kind == "spread":
        lengths = rng.random(count)
        return random_directions(count, n, rng).T * lengths[:, None]
    if kind == "clusters":
        centres = random_directions(5, n, rng).T
        return centres[np.arange(count) % 5] + 0.03 * random_directions(count, n, rng).T
    if kind == "axes":
        if count > n:
            raise ValueError(f"there are only {n} axes in {n} dimensions; asked for {count}")
        return np.eye(count, n)
    raise ValueError(f"there is no point set {kind!r}; expected one of {', '.join(POINT_SETS)}")


# From the lemma to directions


def promised_dimension(count: int, epsilon: float) -> int:
    """Dimension in which the lemma promises `count` directions with pairwise |cos| ≤ ε.

    Take the 2N points ±e_i. If a projection keeps their squared distances within 1 ± δ, then

        4 W_i·W_j = ‖W_i + W_j‖² − ‖W_i − W_j‖²  is between  ±4δ,   and   ‖W_i‖² ≥ 1 − δ,

    so that |cos| ≤ δ / (1 − δ). That is ε for δ = ε / (1 + ε).

    Raises:
        ValueError: for fewer than one direction, or ε outside (0, 1).
    """
    if count < 1:
        raise ValueError(f"expected at least 1 direction, got {count}")
    _check_cos(epsilon)
    return lemma_dimension(2 * count, epsilon / (1 + epsilon))


# Directions that are nearly orthogonal


def random_directions(count: int, m: int, rng: np.random.Generator) -> FloatArray:
    """`count` unit vectors uniform on the sphere in `m` dimensions, (m, count)."""
    W = rng.standard_normal((m, count))
    return W / np.linalg.norm(W, axis=0)


def pair_probability(epsilon: ArrayLike, m: int) -> FloatArray:
    """Probability that two random directions in `m` dimensions have |cos| > ε, shape of ε.

    cos² of two random directions is Beta(1/2, (m − 1)/2). At most 2 exp(−m ε²/2): it falls
    exponentially with m, and that is why the number of directions can grow so.
    """
    epsilon = np.asarray(epsilon, dtype=np.float64)
    if m == 1:
        return np.where(epsilon < 1, 1.0, 0.0)[()]
    return np.asarray(betainc((m - 1) / 2, 0.5, 1 - np.clip(epsilon, 0, 1) ** 2))[()]


def random_coherence(
    count: int, m: int, rng: np.random.Generator, draws: int = 200
) -> tuple[float, float]:
    """Mean coherence and mean signed coherence of `count` random directions, by sampling."""
    W = random_directions(draws * count, m, rng).reshape(m, draws, count).swapaxes(0, 1)
    return float(np.mean(coherence(W))), float(np.mean(signed_coherence(W)))


def signed_coherence(W: ArrayLike, threshold: float = REPRESENTED_NORM) -> FloatArray:
    """max_{i≠j} Ŵ_i · Ŵ_j over represented features, (…,): opposite directions do not count.

    What a ReLU sees: it forgives negative interference. −1 where fewer than two features are
    represented.
    """
    W = np.asarray(W, dtype=np.float64)
    kept = represented(W, threshold)
    pair = kept[..., :, None] & kept[..., None, :] & ~np.eye(W.shape[-1], dtype=bool)
    return np.asarray(np.max(np.where(pair, cosines(W), -1.0), axis=(-2, -1), initial=-1.0))[()]


def rankin_bound(count: int, m: int) -> float:
    """Least possible largest *signed* cosine between `count` unit vectors in `m` dimensions.

    −1/(K − 1) for K ≤ m + 1, reached by the simplex, and 0 beyond: reached up to K = 2m, by m
    antipodal pairs. For more than 2m vectors the least is above 0, and this bound says only that.

    Raises:
        ValueError: for fewer than two vectors or no dimension.

    Source: Rankin, "The closest packing of spherical caps in n dimensions" (1955).
    """
    if count < 2 or m < 1:
        raise ValueError(f"expected at least 2 vectors in at least 1 dimension, got {count}, {m}")
    return -1 / (count - 1) if count <= m + 1 else 0.0


def welch_count(epsilon: float, m: int) -> float:
    """The most directions that Welch's bound allows with pairwise |cos| ≤ ε in `m` dimensions.

    m (1 − ε²) / (1 − m ε²) while m < 1/ε², so that nothing can grow exponentially there; infinite
    from 1/ε² on, where the bound never exceeds ε, however many directions there are.
    """
    _check_cos(epsilon)
    room = 1 - m * epsilon**2
    return math.floor(m * (1 - epsilon**2) / room + 1e-9) if room > 1e-12 else math.inf


def random_count(epsilon: float, m: int, rng: np.random.Generator, most: int = 10_000) -> int:
    """How many random directions can be drawn before two of them have |cos| > ε; up to `most`."""
    _check_cos(epsilon)
    drawn = random_directions(min(64, most), m, rng)
    while True:
        close = np.triu(np.abs(product(drawn.T, drawn)) > epsilon, 1).any(axis=0)
        if close.any():
            return int(close.argmax())
        if drawn.shape[1] >= most:
            return most
        more = random_directions(min(drawn.shape[1], most - drawn.shape[1]), m, rng)
        drawn = np.concatenate([drawn, more], axis=1)


def kept_directions(
    epsilon: float, m: int, rng: np.random.Generator, patience: int = 500, most: int = 5_000
) -> FloatArray:
    """Random directions, each kept if its |cos| with all kept before is at most ε; (m, K).

    Stops after `patience` candidates in a row were turned down, or at `most` kept: the rule does
    not depend on m, so that counts for different m can be compared.
    """
    _check_cos(epsilon)
    kept = np.empty((m, most))
    count = since = 0
    while count < most:
        batch = random_directions(256, m, rng)
        overlap = np.abs(product(kept[:, :count].T, batch))
        free = np.flatnonzero((overlap <= epsilon).all(axis=0)).tolist()
        before, start = -1, count
        for index in free:
            candidate = batch[:, index]
            if (np.abs(candidate @ kept[:, start:count]) > epsilon).any():
                continue
            if since + index - before - 1 >= patience:
                return kept[:, :count].copy()
            kept[:, count] = candidate
            count, since, before = count + 1, 0, index
            if count == most:
                break
        since += batch.shape[1] - before - 1
        if since >= patience:
            break
    return kept[:, :count].copy()


def growth_dimensions(epsilon: float, count: int = 8) -> IntArray:
    """Dimensions in which the growth of the number of directions can be seen, (count,).

    From 1/ε², below which Welch's bound holds it down, to 6/ε²: at every ε the numbers kept then
    run from about as many as dimensions to some hundreds.
    """
    _check_cos(epsilon)
    return np.rint(np.linspace(1, 6, count) / epsilon**2).astype(np.int64)


def kept_counts(
    epsilon: float, dimensions: ArrayLike, rng: np.random.Generator, runs: int = 5
) -> FloatArray:
    """How many `kept_directions` there are in each of `dimensions` (M,), (M,).

    The geometric mean over `runs`, so that it is a mean of ln K.
    """
    return np.array(
        [
            math.exp(
                np.mean([math.log(kept_directions(epsilon, m, rng).shape[1]) for _ in range(runs)])
            )
            for m in np.asarray(dimensions).tolist()
        ]
    )


def crowded_directions(
    epsilon: float,
    m: int,
    rng: np.random.Generator,
    start: FloatArray | None = None,
    attempts: int = 3,
    most: int = 200,
) -> FloatArray:
    """Directions with pairwise |cos| ≤ ε, as many as are found by moving them aside; (m, K).

    Adds one direction after another, and after each moves all of them downhill on
    Σ max(0, |cos| − ε)² until none is too close. Stops when `attempts` additions in a row fail.
    A lower bound on what fits: a better arrangement may exist.

    Args:
        start: directions to begin with, (m, K); by default those of `kept_directions`.
    """
    _check_cos(epsilon)
    found = kept_directions(epsilon, m, rng) if start is None else np.asarray(start)
    failed = 0
    while failed < attempts and found.shape[1] < most:
        candidates = random_directions(64, m, rng)
        nearest = np.abs(found.T @ candidates).max(axis=0, initial=0.0)
        tried = np.concatenate([found, candidates[:, [int(nearest.argmin())]]], axis=1)
        tried = _moved_apart(tried, epsilon)
        if _largest_cosine(tried) <= epsilon + COS_TOLERANCE:
            found, failed = tried, 0
        else:
            failed += 1
    return found


def least_coherent(
    count: int, m: int, rng: np.random.Generator, restarts: int = 4, signed: bool = False
) -> FloatArray:
    """`count` directions in `m` dimensions of small coherence, (m, count), by optimisation.

    Minimises (1/β) ln Σ_{i<j} exp(β cos²) by conjugate gradients for a growing β: smooth, and
    ever closer to the largest cos². The best of `restarts` random starts; not always the best
    there is.

    Args:
        signed: let opposite directions be: minimise the largest cos instead of the largest |cos|.
    """
    best = random_directions(count, m, rng)
    if count < 2:
        return best
    lowest = math.inf
    for _ in range(restarts):
        W = random_directions(count, m, rng)
        for sharpness in (4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0):
            W = _minimised(W, lambda c, sharpness=sharpness: _soft_largest(c, sharpness, signed))
        reached = _largest_cosine(W, signed)
        if reached < lowest:
            best, lowest = W, reached
    return best


def root_lines(m: int) -> FloatArray:
    """The lines of a root system in `m` dimensions, all with |cos| ≤ 1/2 between them; (m, K).

    A₂ in the plane, E₆, E₇ and E₈, and D_m else: 3, 6, 12, 20, 36, 63, 120 lines in 2 to 8
    dimensions. No larger number is known there for arrangements of lines, and in 2, 3, 4 and 8
    dimensions none is possible: they are half the kissing number.

    Raises:
        ValueError: outside 2 to 8 dimensions.

    Source: Conway and Sloane, "Sphere Packings, Lattices and Groups", chapters 1 and 4.
    """
    if not 2 <= m <= 8:
        raise ValueError(f"root systems are listed for 2 to 8 dimensions, got {m}")
    if m == 2:
        turn = np.arange(3) * np.pi / 3
        return np.stack([np.cos(turn), np.sin(turn)])
    ambient = 8 if m > 5 else m
    roots = [
        np.eye(ambient)[i] + sign * np.eye(ambient)[j]
        for i, j in combinations(range(ambient), 2)
        for sign in (1, -1)
    ]
    if m > 5:
        # E₈: beside those of D₈, (±1/2, …, ±1/2) with an even number of minus signs. One of each
        # pair of opposite ones has its first coordinate positive.
        signs = np.array(np.meshgrid(*[[1, -1]] * 7, indexing="ij")).reshape(7, -1).T
        halves = np.concatenate([np.ones((len(signs), 1)), signs], axis=1) / 2
        roots.extend(halves[(halves < 0).sum(axis=1) % 2 == 0])
    lines = np.array(roots).T / math.sqrt(2)
    if m in (6, 7):
        # E₇ is what in E₈ is orthogonal to a root, E₆ what is orthogonal to two roots at 60°.
        normals = np.eye(8)[:2] + np.eye(8)[1:3]
        lines = lines[:, (np.abs(normals[: 8 - m] @ lines) < 1e-9).all(axis=0)]
        u, s, _ = np.linalg.svd(lines, full_matrices=False)
        lines = u[:, s > 1e-9].T @ lines
    return lines


def _check_points(count: int, epsilon: float) -> None:
    if count < 2:
        raise ValueError(f"expected at least 2 points, got {count}: one has no distances")
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon is {epsilon!r}; expected a number between 0 and 1")


def _check_cos(epsilon: float) -> None:
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon is {epsilon!r}; expected a |cos| between 0 and 1")


def _largest_cosine(W: FloatArray, signed: bool = False) -> float:
    cos = W.T @ W
    np.fill_diagonal(cos, -1.0 if signed else 0.0)
    return float((cos if signed else np.abs(cos)).max(initial=-1.0))


def _moved_apart(W: FloatArray, epsilon: float) -> FloatArray:
    def too_close(cos: FloatArray) -> tuple[float, FloatArray]:
        excess = np.maximum(np.abs(cos) - epsilon, 0.0)
        return float(np.sum(excess**2)) / 2, excess * np.sign(cos)

    return _minimised(W, too_close)


def _soft_largest(cos: FloatArray, sharpness: float, signed: bool) -> tuple[float, FloatArray]:
    value = cos if signed else cos**2
    top = float(value.max())
    weight = np.exp(sharpness * (value - top))
    total = float(weight.sum())
    weight /= total
    return top + math.log(total) / sharpness, weight if signed else 2 * weight * cos


def _minimised(W: FloatArray, energy: Any) -> FloatArray:
    """Unit columns moved downhill on an energy of their cosines.

    energy: cosines of all pairs, (pairs,) -> its value and its derivatives, (pairs,).
    """
    m, count = W.shape
    pairs = np.triu_indices(count, 1)

    def value(flat: FloatArray) -> tuple[float, FloatArray]:
        V = flat.reshape(m, count)
        length = np.linalg.norm(V, axis=0)
        U = V / length
        result, slope = energy((U.T @ U)[pairs])
        G = np.zeros((count, count))
        G[pairs] = slope
        along = U @ (G + G.T)
        # Only what turns a vector counts, not what makes it longer.
        along -= U * np.sum(U * along, axis=0)
        return result, (along / length).ravel()

    # Conjugate gradients, because they are plain NumPy: L-BFGS takes fewer steps, but each calls a
    # LAPACK that starts threads; see `ONE_THREAD`.
    found: Any = minimize(
        value,
        W.ravel(),
        jac=True,
        method="CG",
        options={"maxiter": 80, "gtol": 1e-5},
    )
    V = found.x.reshape(m, count)
    return np.asarray(V / np.linalg.norm(V, axis=0))


# Does a count grow exponentially?


Growth = Literal["exponential", "power"]
GROWTHS: tuple[Growth, ...] = ("exponential", "power")


@dataclass(frozen=True)
class GrowthFit:
    """ln K = intercept + slope · u, by least squares.

    Attributes:
        kind: "exponential" for u = m, K = e^a e^{bm}; "power" for u = ln m, K = e^a m^b.
        intercept, slope: a and b.
        rms: root mean square of the residuals of ln K.
    """

    kind: Growth
    intercept: float
    slope: float
    rms: float

    def count(self, m: ArrayLike) -> FloatArray:
        """The fitted K at dimensions `m`, same shape."""
        return np.asarray(np.exp(self.intercept + self.slope * _abscissa(self.kind, m)))[()]

    def dimension(self, count: float) -> float:
        """The dimension at which the fitted K is `count`."""
        u = (math.log(count) - self.intercept) / self.slope
        return u if self.kind == "exponential" else math.exp(u)

    def rms_on(self, dimensions: ArrayLike, counts: ArrayLike) -> float:
        """Root mean square of ln K − ln of the fitted K, on other data."""
        off = np.log(np.asarray(counts, dtype=np.float64)) - np.log(self.count(dimensions))
        return float(np.sqrt(np.mean(off**2)))


def growth_fit(dimensions: ArrayLike, counts: ArrayLike, kind: Growth = "exponential") -> GrowthFit:
    """Fit counts K at dimensions m, both (M,), by an exponential or a power of m.

    Raises:
        ValueError: for fewer than three points, or counts below 1.
    """
    m, K = np.asarray(dimensions, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if len(m) < 3 or len(m) != len(K) or K.min() < 1:
        raise ValueError(
            f"expected counts of at least 1 at three or more dimensions, got {len(K)} counts at "
            f"{len(m)} dimensions"
        )
    u = _abscissa(kind, m)
    slope, intercept = np.polynomial.polynomial.polyfit(u, np.log(K), 1)[::-1]
    residual = np.log(K) - intercept - slope * u
    return GrowthFit(kind, float(intercept), float(slope), float(np.sqrt(np.mean(residual**2))))


def _abscissa(kind: Growth, m: ArrayLike) -> FloatArray:
    m = np.asarray(m, dtype=np.float64)
    return m if kind == "exponential" else np.log(m)
