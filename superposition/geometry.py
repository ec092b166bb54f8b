"""How a model arranges its features: norms, interference, packing, bases, names.

Every measure takes `W`, the matrix whose column i is the direction W_i of feature i
in hidden space, shape (…, m, n) with n features and m hidden dimensions; row k holds
the weights of neuron k. Leading dimensions are a batch of models, and every measure
is taken for each model on its own. `W` may be float32; arithmetic is in float64.

Models that represent nothing are ordinary here: each measure says what it returns for
features of zero norm, and none returns NaN or warns. Weights themselves must be finite.
A measure of whole models, shape (…,), is a NumPy scalar when W is a single model.

Source: "Toy Models of Superposition" (Elhage et al., 2022), section "The Geometry of
Superposition", unless a function names another.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse.csgraph import connected_components

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

# The published cut: with sparse data or unequal importance, trained norms are near 1 or
# near 0. With dense data and equal importance any subspace is as good as another, norms
# take any value up to 1, and counts of represented features mean little.
REPRESENTED_NORM = 0.5

# A weight under a fifth of the neuron's largest carries under 1/25 of its squared weight.
WEIGHT_SHARE = 0.2

# Weights of a neuron that is used are of order 1; one whose largest weight is below this
# is left over from the initialisation, and its weights say nothing about features.
DEAD_NEURON = 0.05

# Directions count as orthogonal up to this |cos| (within 5.7 degrees of a right angle).
# Trained "orthogonal" pairs stay well inside it, and the smallest cosine that has to
# count as a connection, that of a simplex in nine dimensions, is 1/9.
ORTHOGONAL_COS = 0.1

# How far, in degrees, each angle of an arrangement (of a polygon: each angle between
# neighbours) may be from the regular one's. Unequal importance and unfinished training
# bend arrangements by a few degrees; no arrangement named here is this close to another
# (the cube's largest angle, for one, is more than 30 degrees over the square antiprism's).
REGULAR_ANGLE = 12.0

# Polygon gaps must also be within this share of the regular gap, so that with many
# corners, where 12 degrees is a large part of a gap, "regular" keeps its meaning.
REGULAR_GAP_SHARE = 0.25

# A group's dimension counts the eigenvalues of its Gram matrix above this share of the
# largest. Two directions span one dimension when within 26 degrees of a line: as an
# antipodal pair they then have dimensionality 0.50 to 0.55. Simplices, polygons and the
# antiprism have (nearly) equal eigenvalues, and trained ones bent by their neighbours
# keep their zero ones below this.
FLAT_SHARE = 0.05


def _weights(W: ArrayLike) -> FloatArray:
    """`W` in float64, checked to end in a hidden and a feature dimension."""
    weights = np.asarray(W, dtype=np.float64)
    if weights.ndim < 2:
        raise ValueError(
            f"W has shape {weights.shape}; expected (…, m, n): m hidden dimensions by "
            "n features, after any batch dimensions"
        )
    return weights


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient, and 0 where the denominator is 0."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(numerator, denominator, out=np.zeros(shape), where=denominator > 0)


def _scalar(values: FloatArray) -> FloatArray:
    """`values`, or the NumPy scalar in it when it has no dimensions."""
    return np.asarray(values, dtype=np.float64)[()]


def _total(a: ArrayLike) -> FloatArray:
    """Sum over the last dimension, as an array whatever the dimensions left."""
    return np.asarray(np.sum(np.asarray(a, dtype=np.float64), axis=-1))


def _largest(a: FloatArray, axis: int) -> FloatArray:
    """Largest |a| along `axis`, kept as a dimension of 1; 0 along an empty one."""
    return np.asarray(np.max(np.abs(a), axis=axis, keepdims=True, initial=0.0))


def _directions(W: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit directions Ŵ (…, m, n), zero for features of zero norm, and norms (…, n)."""
    # Scaling first keeps the squares of very small weights from vanishing.
    largest = _largest(W, -2)
    scaled = _divide(W, largest)
    length = np.sqrt(np.sum(scaled**2, axis=-2, keepdims=True))
    return _divide(scaled, length), (largest * length)[..., 0, :]


# Size of features and of their interference


def norms(W: ArrayLike) -> FloatArray:
    """Norm ‖W_i‖ of each feature's direction, (…, n)."""
    return _directions(_weights(W))[1]


def represented(W: ArrayLike, threshold: float = REPRESENTED_NORM) -> BoolArray:
    """Whether each feature is represented, ‖W_i‖ > `threshold`, (…, n)."""
    return norms(W) > threshold


def cosines(W: ArrayLike) -> FloatArray:
    """Cosine Ŵ_i · Ŵ_j of each pair of features, (…, n, n).

    The diagonal is 1. Rows and columns of features of zero norm are 0, their diagonal too.
    """
    unit, _ = _directions(_weights(W))
    return np.clip(unit.mT @ unit, -1.0, 1.0)


def _projections(W: FloatArray) -> FloatArray:
    """Ŵ_i · W_j, (…, n, n)."""
    unit, _ = _directions(W)
    return unit.mT @ W


def _without_diagonal(square: FloatArray) -> FloatArray:
    return square * ~np.eye(square.shape[-1], dtype=bool)


def interference(W: ArrayLike) -> FloatArray:
    """Interference Σ_{j≠i} (Ŵ_i · W_j)² felt by each feature, (…, n).

    0 for features of zero norm: they have no direction to be disturbed along.
    """
    return _total(_without_diagonal(_projections(_weights(W))) ** 2)


def dimensionality(W: ArrayLike) -> FloatArray:
    """Dimensionality D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)² of each feature, (…, n).

    The fraction of a hidden dimension that feature i has to itself: between 0 and 1, and
    at most rank W in sum. 0 for features of zero norm.
    """
    weights = _weights(W)
    along = _projections(weights)
    # D_i is a ratio of squares, so each row may be scaled by its largest entry.
    scale = _largest(along, -1)
    total = _total(_divide(along, scale) ** 2)
    return _divide(_divide(norms(weights), scale[..., 0]) ** 2, total)


def features_per_dimension(W: ArrayLike) -> FloatArray:
    """‖W‖_F² / m, (…,): about the number of features each hidden dimension holds.

    The inverse of `dimensions_per_feature`; 0 when every weight is 0.
    """
    weights = _weights(W)
    return _scalar(np.sum(weights**2, axis=(-2, -1)) / max(weights.shape[-2], 1))


def dimensions_per_feature(W: ArrayLike) -> FloatArray:
    """D* = m / ‖W‖_F², (…,): hidden dimensions spent on each feature.

    Infinite when every weight is 0: no feature is held in m dimensions.
    """
    held = np.asarray(features_per_dimension(W))
    with np.errstate(over="ignore"):
        return _scalar(np.divide(1.0, held, out=np.full(held.shape, np.inf), where=held > 0))


# Packing


def coherence(W: ArrayLike, threshold: float = REPRESENTED_NORM) -> FloatArray:
    """Coherence μ = max_{i≠j} |Ŵ_i · Ŵ_j| over represented features, (…,).

    0.0 when fewer than two features are represented: there is no pair to compare.
    """
    weights = _weights(W)
    kept = represented(weights, threshold)
    between = _without_diagonal(np.abs(cosines(weights)))
    between = between * kept[..., :, None] * kept[..., None, :]
    return _scalar(np.max(between, axis=(-2, -1), initial=0.0))


def welch_bound(k: ArrayLike, m: ArrayLike) -> FloatArray:
    """Least possible coherence of `k` unit vectors in `m` dimensions.

    √((k − m) / (m (k − 1))) for k > m, and 0 otherwise: k ≤ m vectors can be orthogonal.
    `k` and `m` broadcast against each other.

    Raises:
        ValueError: if an `m` is below 1 or a `k` below 0.

    Source: Welch, "Lower bounds on the maximum cross correlation of signals" (1974).
    """
    count, dimensions = np.asarray(k, dtype=np.float64), np.asarray(m, dtype=np.float64)
    if np.any(dimensions < 1) or np.any(count < 0):
        raise ValueError(f"expected k >= 0 vectors in m >= 1 dimensions, got k={k!r}, m={m!r}")
    excess = np.maximum(count - dimensions, 0.0)
    return _scalar(np.sqrt(_divide(excess, dimensions * np.maximum(count - 1.0, 0.0))))


# Bases: does hidden space have directions that features prefer?


def kurtosis(W: ArrayLike) -> FloatArray:
    """Kurtosis m Σ_k W_ki⁴ / (Σ_k W_ki²)² of each direction's coordinates, (…, n).

    Pearson's, not the excess, and not centred: coordinates are compared with zero, since
    it is being on or off a neuron that counts. m when the direction is a basis vector, 1
    when all coordinates are equally large, 3m / (m + 2) on average for random directions.
    0 for features of zero norm.
    """
    weights = _weights(W)
    unit, _ = _directions(weights)
    return weights.shape[-2] * _total(unit.mT**4)


def basis_alignment(W: ArrayLike, threshold: float = REPRESENTED_NORM) -> FloatArray:
    """Mean over represented features of max_k |Ŵ_ki|, (…,).

    1 when each represented feature lies on one neuron. By itself the number says little:
    compare it with `basis_alignment(haar_rotations(count, m, rng) @ W)`, the same model
    in random bases. 0.0 when no feature is represented.
    """
    weights = _weights(W)
    unit, _ = _directions(weights)
    kept = represented(weights, threshold)
    peak = _largest(unit, -2)[..., 0, :]
    return _scalar(_divide(_total(peak * kept), _total(kept)))


def haar_rotations(count: int, m: int, rng: np.random.Generator) -> FloatArray:
    """`count` orthogonal matrices drawn uniformly (Haar measure on O(m)), (count, m, m).

    Source: Mezzadri, "How to generate random matrices from the classical compact groups"
    (2007): QR of a Gaussian matrix, with the signs of R's diagonal moved into Q.
    """
    q, r = np.linalg.qr(rng.standard_normal((count, m, m)))
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    return q * np.where(diagonal < 0, -1.0, 1.0)[..., None, :]


def align_to(W: ArrayLike, reference: ArrayLike) -> FloatArray:
    """`W` with its hidden space rotated or reflected as close to `reference` as it can be.

    Returns Q W, (…, m, n), with the orthogonal Q that minimises ‖Q W − reference‖_F
    (orthogonal Procrustes). A bottleneck model computes the same before and after, so an
    animation may align each frame with the one before it. Leading dimensions broadcast.

    Raises:
        ValueError: if the last two dimensions of the arguments differ.
    """
    weights, target = _weights(W), _weights(reference)
    if weights.shape[-2:] != target.shape[-2:]:
        raise ValueError(
            f"cannot align W of shape {weights.shape} to a reference of shape {target.shape}; "
            "expected the same m and n"
        )
    u, _, vt = np.linalg.svd(target @ weights.mT)
    return (u @ vt) @ weights


# Neurons: what does one row of W respond to?


def features_per_neuron(
    W: ArrayLike, share: float = WEIGHT_SHARE, dead: float = DEAD_NEURON
) -> IntArray:
    """How many features each neuron holds, (…, m).

    Counts the features whose |weight| exceeds `share` times the neuron's largest. Neurons
    whose largest |weight| is at most `dead` hold 0.
    """
    size = np.abs(_weights(W))
    largest = _largest(size, -1)
    held = (size > share * largest) & (largest > dead)
    return np.asarray(np.sum(held, axis=-1, dtype=np.int64))


def participation_ratio(W: ArrayLike) -> FloatArray:
    """Participation ratio (Σ_i w_ki²)² / Σ_i w_ki⁴ of each neuron's weights, (…, m).

    A count of features without a threshold: 1 for a single weight, n for n equal ones. 0
    for a neuron without weights.
    """
    weights = _weights(W)
    squared = _divide(weights, _largest(weights, -1)) ** 2
    return _divide(_total(squared) ** 2, _total(squared**2))


def monosemantic_share(
    W: ArrayLike, share: float = WEIGHT_SHARE, dead: float = DEAD_NEURON
) -> FloatArray:
    """Share of the live neurons that hold exactly one feature, (…,).

    0.0 when no neuron is live. See `features_per_neuron`.
    """
    held = features_per_neuron(W, share, dead)
    return _scalar(_divide(_total(held == 1), _total(held > 0)))


# Names of arrangements

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_POLYGONS = {3: "triangle", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}


def solution_name(W: ArrayLike, threshold: float = REPRESENTED_NORM) -> str:
    """A plain name for how one model, W (m, n), arranges its represented features.

    The directions are split into groups that are orthogonal to each other, and each group
    is named from the angles within it alone, so that a rotation of hidden space or another
    order of the features never changes the name: "nothing", "one feature", "two orthogonal
    features", "antipodal pair + one feature", "two antipodal pairs" (in a plane: the
    square), "triangle", "pentagon", "tetrahedron", "square antiprism", "simplex of six
    features", "parallel pair", and for a group with no name of its own, "five features in
    two dimensions". Norms beyond the threshold do not matter. See the constants of this
    module for the tolerances.

    Raises:
        ValueError: if `W` is a batch; use `solution_names`.
    """
    weights = _weights(W)
    if weights.ndim != 2:
        raise ValueError(
            f"W has shape {weights.shape}; expected one model, (m, n). "
            "Use solution_names for a batch"
        )
    cos = cosines(weights[:, represented(weights, threshold)])
    if len(cos) == 0:
        return "nothing"
    _, group = connected_components(np.abs(cos) > ORTHOGONAL_COS, directed=False)
    members = [np.flatnonzero(group == g) for g in range(group.max() + 1)]
    counts: Counter[tuple[int, str]] = Counter()
    for index in members:
        size, name, count = _named_group(cos[np.ix_(index, index)])
        counts[size, name] += count
    # Larger groups first, and names in a fixed order: the name is then a key to count by.
    ordered = sorted(counts.items(), key=lambda item: (-item[0][0], item[0][1]))
    return " + ".join(_counted(name, count) for (_, name), count in ordered)


def solution_names(W: ArrayLike, threshold: float = REPRESENTED_NORM) -> NDArray[np.str_]:
    """`solution_name` of each model of a batch, (…,)."""
    weights = _weights(W)
    flat = weights.reshape(math.prod(weights.shape[:-2]), *weights.shape[-2:])
    names = np.array([solution_name(model, threshold) for model in flat], dtype=np.str_)
    return names.reshape(weights.shape[:-2])


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _counted(name: str, count: int) -> str:
    """`count` groups called `name`, in words."""
    if name == "feature":
        return "one feature" if count == 1 else f"{_number(count)} orthogonal features"
    if count == 1:
        return name
    if " in " in name:
        return f"{_number(count)} groups of {name}"
    shape, of, size = name.partition(" of ")
    plural = "simplices" if shape == "simplex" else f"{shape}s"
    return f"{_number(count)} {plural}{of}{size}"


def _named_group(cos: FloatArray) -> tuple[int, str, int]:
    """Size, name and count of the parts of a group, from its (k, k) matrix of cosines.

    The count is 1, except that a square is two antipodal pairs, bent or not.
    """
    k = len(cos)
    if k == 1:
        return 1, "feature", 1
    values, vectors = np.linalg.eigh(cos)
    dimension = int(np.sum(values > FLAT_SHARE * values[-1]))
    if k == 2 and dimension == 1:
        return k, "antipodal pair" if cos[0, 1] < 0 else "parallel pair", 1
    if k > 2 and dimension == 2 and _is_polygon(vectors[:, -2:] * np.sqrt(values[-2:])):
        if k == 4:
            return 2, "antipodal pair", 2
        return k, _POLYGONS.get(k, f"polygon of {_number(k)} features"), 1
    if k > 3 and dimension == k - 1 and _angles_near(cos, _simplex_cosines(k)):
        return k, "tetrahedron" if k == 4 else f"simplex of {_number(k)} features", 1
    if k == 8 and dimension == 3 and _angles_near(cos, _ANTIPRISM_COSINES):
        return k, "square antiprism", 1
    dimensions = "one dimension" if dimension == 1 else f"{_number(dimension)} dimensions"
    return k, f"{_number(k)} features in {dimensions}", 1


def _sorted_angles(cos: FloatArray) -> FloatArray:
    """Angles between all pairs, in degrees, ascending."""
    upper = np.triu_indices(len(cos), 1)
    return np.sort(np.degrees(np.arccos(np.clip(cos[upper], -1.0, 1.0))))


def _angles_near(cos: FloatArray, regular: FloatArray) -> bool:
    """Whether the two sets of pairwise angles agree, whatever the order of the features."""
    difference = np.abs(_sorted_angles(cos) - _sorted_angles(regular))
    return bool(np.max(difference) <= REGULAR_ANGLE)


def _is_polygon(points: FloatArray) -> bool:
    """Whether the (k, 2) points point in evenly spaced directions."""
    turn = np.sort(np.degrees(np.arctan2(points[:, 1], points[:, 0])))
    gaps = np.diff(turn, append=turn[0] + 360.0)
    regular = 360.0 / len(points)
    allowed = min(REGULAR_ANGLE, REGULAR_GAP_SHARE * regular)
    return bool(np.max(np.abs(gaps - regular)) <= allowed)


def _simplex_cosines(k: int) -> FloatArray:
    """Cosines (k, k) of k directions as far apart as can be in k − 1 dimensions."""
    return np.where(np.eye(k, dtype=bool), 1.0, -1.0 / (k - 1))


def square_antiprism() -> FloatArray:
    """The square antiprism of least Coulomb energy, eight unit vectors, (3, 8).

    Thomson's arrangement of eight charges on a sphere, and what eight equally important,
    very sparse features in three dimensions come close to. Its height makes it almost, not
    exactly, a tight frame: dimensionality is 0.3743 rather than 3/8.
    """
    corner = np.arange(4) * np.pi / 2

    def at(height: float) -> FloatArray:
        turn = np.concatenate([corner, corner + np.pi / 4])
        level = np.repeat([height, -height], 4)
        radius = np.sqrt(1.0 - height**2)
        return np.stack([radius * np.cos(turn), radius * np.sin(turn), level])

    def energy(height: float) -> float:
        points = at(height)
        gaps = np.linalg.norm(points[:, :, None] - points[:, None, :], axis=0)
        return float(np.sum(1.0 / gaps[np.triu_indices(8, 1)]))

    best: Any = minimize_scalar(energy, bounds=(0.1, 0.9), options={"xatol": 1e-12})
    return at(float(best.x))


_ANTIPRISM_COSINES = cosines(square_antiprism())
