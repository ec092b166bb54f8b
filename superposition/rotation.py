"""Turning hidden space: what a change of basis leaves alone, and what it breaks.

Everything that is written into a space may go through an invertible matrix R, and
everything that is read from it through R⁻¹. A space that is only written and read by
linear maps cannot tell. A step that acts on each coordinate by itself, like a ReLU, can:
it belongs to one basis. And a model that reads with the transpose of what it writes
with, Wᵀ and W, stays such a model only under an R whose transpose is its inverse.

Shapes: m or d dimensions, N inputs. A matrix R is (…, m, m), and its leading dimensions
are a batch that everything below runs over at once.

Source: "Toy Models of Superposition" (Elhage et al., 2022), "Superposition in a Privileged
Basis"; "A Mathematical Framework for Transformer Circuits" (Elhage et al., 2021), "Virtual
Weights and the Residual Stream as a Communication Channel".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from superposition.distributions import FeatureDistribution
from superposition.expectation import Nodes
from superposition.families import Family
from superposition.geometry import align_to, haar_rotations, norms, represented

Floats = NDArray[np.float64]

Reading = Literal["inverse", "transpose"]
MatrixKind = Literal[
    "rotation",
    "reflection",
    "permutation",
    "permutation with signs",
    "stretch along the axes",
    "invertible",
    "nearly singular",
    "singular",
]
KINDS: tuple[MatrixKind, ...] = get_args(MatrixKind)

# Largest over smallest singular value: of a matrix that is plainly invertible, and of one
# whose inverse leaves six of double precision's sixteen digits.
CONDITION = 10.0
NEARLY_SINGULAR = 1e10

# From this condition number on an inverse has nothing to do with the matrix any more.
_SINGULAR = 1e13

# 720 orders.
_MOST_REORDERED = 6

# Nodes times angles whose outputs are in memory at once: few enough for a processor's cache, which
# is three times as fast as four times as many.
_AT_ONCE = 16_384


# Matrices.


def plane_rotation(m: int, first: int, second: int, degrees: ArrayLike) -> Floats:
    """Rotations of the plane of two axes of m, (…, m, m) for angles (…) in degrees.

    At 90° the first axis goes to the second. The other m − 2 axes stay where they are.

    Raises:
        ValueError: if the axes are not two different ones of the m.
    """
    if not (0 <= first < m and 0 <= second < m) or first == second:
        raise ValueError(
            f"axes are {first} and {second}; expected two different ones from 0 to {m - 1}"
        )
    turn = np.radians(np.asarray(degrees, dtype=np.float64))
    matrix = np.zeros((*turn.shape, m, m))
    matrix[..., range(m), range(m)] = 1.0
    matrix[..., first, first] = matrix[..., second, second] = np.cos(turn)
    matrix[..., second, first] = np.sin(turn)
    matrix[..., first, second] = -np.sin(turn)
    return matrix


def matrix_of_kind(kind: MatrixKind, d: int, rng: np.random.Generator) -> Floats:
    """A random matrix (d, d) of one kind.

    | kind | what it is |
    | --- | --- |
    | rotation | orthogonal, determinant 1; uniform over all of them |
    | reflection | in the hyperplane across a random direction |
    | permutation | axes change places; not the identity where d ≥ 2 |
    | permutation with signs | axes change places, and at least one changes its sign |
    | stretch along the axes | diagonal, factors from 1/√10 to √10 |
    | invertible | singular values from 1/√10 to √10: condition number 10 |
    | nearly singular | singular values from 1 down to 1/10¹⁰ |
    | singular | a rotation with one direction sent to 0 |

    With one dimension there is nothing to turn: every kind is then one number.

    Raises:
        ValueError: for another kind, or d below 1.
    """
    if d < 1:
        raise ValueError(f"d is {d}; expected at least one dimension")
    if kind == "rotation":
        turn = haar_rotations(1, d, rng)[0]
        turn[0] *= np.sign(np.linalg.det(turn))
        return turn
    if kind == "reflection":
        across = rng.standard_normal(d)
        return np.eye(d) - 2 * np.outer(across, across) / (across @ across)
    if kind == "permutation":
        return _shuffle(d, rng)
    if kind == "permutation with signs":
        signs = np.where(rng.random(d) < 0.5, -1.0, 1.0)
        signs[0] = -1.0
        return signs[:, None] * _shuffle(d, rng)
    if kind == "stretch along the axes":
        return np.diag(rng.permutation(_spread(CONDITION, d)))
    if kind == "invertible":
        return _with_singular_values(_spread(CONDITION, d), rng)
    if kind == "nearly singular":
        values = _spread(NEARLY_SINGULAR, d)
        return _with_singular_values(values / values[0], rng)
    if kind == "singular":
        values = np.ones(d)
        values[-1] = 0.0
        return _with_singular_values(values, rng)
    raise ValueError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")


def reading_matrix(write: ArrayLike, reading: Reading) -> Floats:
    """What reads go through when writes go through `write` (…, m, m).

    `inverse`: R⁻¹, and where there is none, the pseudoinverse, which is the best there is:
    it brings back all that the write has kept. `transpose`: Rᵀ.

    Raises:
        ValueError: for another way of reading.
    """
    R = np.asarray(write, dtype=np.float64)
    if reading == "transpose":
        return R.mT
    if reading != "inverse":
        raise ValueError(f"reading is {reading!r}; expected 'inverse' or 'transpose'")
    if np.all(np.linalg.cond(R) < _SINGULAR):
        return np.asarray(np.linalg.inv(R))
    return np.asarray(np.linalg.pinv(R, rcond=1 / _SINGULAR))


def _shuffle(d: int, rng: np.random.Generator) -> Floats:
    """A permutation matrix; drawn again while it is the identity, unless d is 1."""
    order = rng.permutation(d)
    while d > 1 and (order == np.arange(d)).all():
        order = rng.permutation(d)
    return np.eye(d)[order]


def _spread(condition: float, d: int) -> Floats:
    """d values from √condition down to its inverse, evenly spaced on a log scale."""
    return np.asarray(condition ** np.linspace(0.5, -0.5, d))


def _with_singular_values(values: Floats, rng: np.random.Generator) -> Floats:
    left, right = haar_rotations(2, len(values), rng)
    return (left * values) @ right


# Models whose hidden space is turned.


def turned_forward(
    family: Family,
    parameters: Mapping[str, ArrayLike],
    x: ArrayLike,
    write: ArrayLike,
    read: ArrayLike,
    *,
    before_step: bool = True,
) -> Floats:
    """Outputs (…, N, n) of a model that writes through one matrix and reads through another.

    With `before_step`, what is written goes through `write` before the family's element-wise
    step, if it has one: h = ReLU(R W x), and `read` applies to h. Without, both come after
    the step. A family without neurons has no step, and the two are the same.

    Args:
        parameters: as in `superposition.families`, of one model or a batch.
        x: (N, n).
        write, read: (…, m, m), R and mostly R⁻¹; see `reading_matrix`.
    """
    exact = {name: np.asarray(values, dtype=np.float64) for name, values in parameters.items()}
    inputs = np.asarray(x, dtype=np.float64)
    R, back = np.asarray(write, dtype=np.float64), np.asarray(read, dtype=np.float64)
    if before_step:
        name = "W" if family.tied else "W_in"
        h = family.hidden({**exact, name: R @ exact[name]}, inputs)
    else:
        h = (R @ family.hidden(exact, inputs).mT).mT
    return np.asarray(family.decode(exact, (back @ h.mT).mT))


def turned_loss(
    family: Family,
    parameters: Mapping[str, ArrayLike],
    nodes: Nodes,
    importances: ArrayLike,
    write: ArrayLike,
    read: ArrayLike,
) -> Floats:
    """Expected loss of one model under each of A changes of basis, (A,).

    The change comes before the element-wise step, as in `turned_forward`.

    Args:
        parameters: of one model.
        nodes: of the model's data, `superposition.expectation.expectation_nodes`.
        importances: (n,).
        write, read: (A, m, m).
    """
    weights = np.asarray(importances, dtype=np.float64)
    R, back = np.asarray(write, dtype=np.float64), np.asarray(read, dtype=np.float64)
    # Long last axes: see `families._map`.
    x = np.ascontiguousarray(nodes.points.T).T
    target = family.target(x)
    losses = np.empty(len(R))
    step = max(1, _AT_ONCE // len(nodes))
    for start in range(0, len(R), step):
        here = slice(start, start + step)
        error = turned_forward(family, parameters, x, R[here], back[here]) - target
        losses[here] = (weights @ (error * error).mT) @ nodes.weights
    return losses


def loss_against_angle(
    family: Family,
    parameters: Mapping[str, ArrayLike],
    nodes: Nodes,
    importances: ArrayLike,
    degrees: ArrayLike,
    plane: tuple[int, int],
) -> Floats:
    """Expected loss of one model while the plane of two hidden axes turns, (A,).

    Writes are turned before the element-wise step, if the family has one, and reads turned
    back. With one matrix W for both, the turned model is that family's own with R W for W: so
    at an angle of 0 the loss of a trained model is in a valley.

    Args:
        degrees: (A,) angles.
        plane: the two axes, from 0.
    """
    m = np.asarray(family.encoder(parameters)).shape[-2]
    R = plane_rotation(m, *plane, np.asarray(degrees, dtype=np.float64).ravel())
    return turned_loss(family, parameters, nodes, importances, R, R.mT)


def step_in_basis(write: ArrayLike, on: ArrayLike) -> Floats:
    """What a ReLU between R and R⁻¹ does where the given neurons are on: R⁻¹ diag(on) R.

    (…, m, m), in the coordinates from before R. Diagonal for every pattern of neurons only
    if R permutes and stretches the axes: then each coordinate is still treated by itself.

    Args:
        write: (…, m, m), invertible.
        on: (…, m), 1 for neurons that are on, and 0.
    """
    R = np.asarray(write, dtype=np.float64)
    return np.linalg.inv(R) @ (np.asarray(on, dtype=np.float64)[..., :, None] * R)


def activations_in_plane(
    W: ArrayLike,
    distribution: FeatureDistribution,
    plane: tuple[int, int],
    count: int,
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[np.int64]]:
    """Hidden activations W x before any step, in the plane of two axes.

    Of `count` inputs that have at least one feature on, drawn from the distribution.

    Args:
        W: (m, n).
        plane: the two axes, from 0.

    Returns:
        (count, 2) activations, and (count,) the feature that is largest in each input.
    """
    weights = np.asarray(W, dtype=np.float64)
    possible = distribution.count_probability()
    sizes = np.arange(1, len(possible))
    counts = rng.choice(sizes, size=count, p=possible[1:] / possible[1:].sum())
    active = distribution.active_given_count(counts, rng)
    values = rng.uniform(distribution.low, distribution.high, active.shape)
    x = np.where(active, values, 0.0)
    return x @ weights[list(plane)].T, np.abs(x).argmax(1)


# A residual stream.


@dataclass(frozen=True, eq=False)
class ResidualStream:
    """A space of d dimensions, known only by what is written into it and read from it.

    Attributes:
        writers: matrices (d, a): each adds its a inputs to the stream.
        blocks: pairs of matrices (k, d) and (d, k): each reads k numbers from the stream,
            applies a ReLU to them, in coordinates of its own, and adds the result to it.
        readers: matrices (b, d): each reads b outputs at the end.
    """

    writers: tuple[Floats, ...]
    blocks: tuple[tuple[Floats, Floats], ...]
    readers: tuple[Floats, ...]

    @property
    def d(self) -> int:
        """Dimensions of the stream."""
        return len(self.writers[0])

    def inputs(self, count: int, rng: np.random.Generator) -> list[Floats]:
        """Normal inputs (count, a) for each writer."""
        return [rng.standard_normal((count, writer.shape[1])) for writer in self.writers]

    def turned(self, write: Floats, read: Floats) -> ResidualStream:
        """The same stream with R after everything that writes and `read` before what reads."""
        return ResidualStream(
            tuple(write @ writer for writer in self.writers),
            tuple((into @ read, write @ back) for into, back in self.blocks),
            tuple(reader @ read for reader in self.readers),
        )

    def outputs(self, inputs: Sequence[Floats], *, step: bool = False) -> list[Floats]:
        """What each reader reads, (N, b). With `step`, the stream has a ReLU before them.

        Args:
            inputs: (N, a) for each writer.

        Raises:
            ValueError: if the inputs are not one for each writer.
        """
        if len(inputs) != len(self.writers):
            raise ValueError(
                f"got inputs for {len(inputs)} writers; expected {len(self.writers)}, one each"
            )
        state = np.zeros((len(inputs[0]), self.d))
        for x, writer in zip(inputs, self.writers, strict=True):
            state = state + x @ writer.T
        for into, back in self.blocks:
            state = state + (state @ into.T).clip(min=0) @ back.T
        if step:
            state = state.clip(min=0)
        return [state @ reader.T for reader in self.readers]


def random_stream(
    d: int,
    rng: np.random.Generator,
    *,
    writers: int = 2,
    blocks: int = 1,
    readers: int = 2,
    width: int = 3,
) -> ResidualStream:
    """A stream of d dimensions with random maps to and from it, `width` numbers each.

    Raises:
        ValueError: if a count is below one, but for blocks.
    """
    if min(d, writers, readers, width) < 1 or blocks < 0:
        raise ValueError(
            f"got {d} dimensions, {writers} writers, {blocks} blocks, {readers} readers of width "
            f"{width}; expected at least one of each, and no negative number of blocks"
        )

    def maps(count: int, rows: int, columns: int) -> tuple[Floats, ...]:
        return tuple(rng.standard_normal((count, rows, columns)) / np.sqrt(columns))

    into, back = maps(blocks, width, d), maps(blocks, d, width)
    return ResidualStream(
        maps(writers, d, width), tuple(zip(into, back, strict=True)), maps(readers, width, d)
    )


# Bases: does a model prefer its neurons to any other axes?


@dataclass(frozen=True, eq=False)
class AgainstRotations:
    """A measure of B models, beside the same measure after random rotations of each.

    Attributes:
        value: (B,) of the models as they are.
        rotated: (K, B) after each of K rotations.
    """

    value: Floats
    rotated: Floats

    @property
    def excess(self) -> Floats:
        """(B,) by how much a model is above the mean of its own rotations."""
        return self.value - self.rotated.mean(0)

    @property
    def excess_t(self) -> float:
        """The mean excess in units of its standard error over the B models: Student's t.

        It counts the models as independent. NaN for a single one, or if all excesses are equal.
        """
        spread = float(self.excess.std(ddof=1)) if len(self.excess) > 1 else 0.0
        if spread == 0:
            return float("nan")
        return float(self.excess.mean()) * len(self.excess) ** 0.5 / spread

    @property
    def p(self) -> Floats:
        """(B,) the share of rotations, the model itself among them, that reach its value.

        If a model's axes mean nothing, P(p ≤ α) ≤ α for any α (the Monte Carlo test of Barnard
        and Hope). The K + 1 possible values make 19, 99 or 199 rotations convenient.
        """
        # A rotation that changes nothing may differ in the last bit.
        reached = self.rotated >= self.value * (1 - 1e-12)
        return np.asarray((1 + reached.sum(0)) / (1 + len(self.rotated)))


def without_silencing(W: ArrayLike) -> Floats:
    """W (..., m, n) with no weight further below zero than its neuron's largest is above it.

    On sparse data a neuron often has one weight tens of times larger than the others and
    negative, with which a feature silences it. A measure of how unequal weights are sees that
    alone.
    """
    weights = np.asarray(W, dtype=np.float64)
    return np.maximum(weights, -weights.clip(min=0).max(-1, keepdims=True))


def alignment_against_rotations(
    W: ArrayLike, rotations: Floats
) -> tuple[AgainstRotations, AgainstRotations]:
    """Basis alignment and kurtosis of B models, each beside rotations of the same model.

    Alignment is `geometry.basis_alignment`, the mean over represented features of
    max_k |Ŵ_ki|; kurtosis is the mean of `geometry.kurtosis` over the same features. Both are 0
    for a model that represents nothing.

    Args:
        W: (B, m, n).
        rotations: (K, m, m) orthogonal, for instance of `geometry.haar_rotations`.
    """
    weights = np.asarray(W, dtype=np.float64)
    if weights.ndim != 3:
        raise ValueError(f"W has shape {weights.shape}; expected a batch of models, (B, m, n)")
    count, m, n = weights.shape
    kept = represented(weights)
    length = norms(weights)
    unit = weights / np.where(length > 0, length, 1.0)[:, None, :]
    share = kept / np.maximum(kept.sum(-1, keepdims=True), 1)
    # All directions of all models in the columns of one matrix: rotations keep their lengths.
    columns = unit.transpose(1, 0, 2).reshape(m, count * n)
    measured: list[tuple[Floats, Floats]] = []
    for R in (np.eye(m), *rotations):
        square = (R @ columns) ** 2
        peak = np.sqrt(square.max(0)).reshape(count, n)
        spread = m * (square * square).sum(0).reshape(count, n)
        measured.append(((peak * share).sum(-1), (spread * share).sum(-1)))
    both = []
    for values in zip(*measured, strict=True):
        stacked = np.stack(values)
        both.append(AgainstRotations(stacked[0], stacked[1:]))
    return both[0], both[1]


# Solutions that differ in their axes alone.


@dataclass(frozen=True, eq=False)
class UpToRotation:
    """Several models beside one of them, before and after turning each as close as it gets.

    Attributes:
        turned: (B, m, n) the models, turned.
        before, after: (B,) distances ‖W − W₀‖_F / ‖W₀‖_F to the reference W₀.
        reordered: (B,) the smallest distance when features may also change places; NaN where
            that was not asked for.
    """

    turned: Floats
    before: Floats
    after: Floats
    reordered: Floats


def up_to_rotation(W: ArrayLike, reference: ArrayLike, *, reorder: bool = False) -> UpToRotation:
    """How far models are from a reference when their hidden space may be turned or mirrored.

    Args:
        W: (B, m, n).
        reference: (m, n), not all zero.
        reorder: whether to try every order of the features too; for n up to 6.

    Raises:
        ValueError: if the features are too many to try every order.
    """
    models, one = np.asarray(W, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    length = np.linalg.norm(one)

    def distance(to: Floats) -> Floats:
        return np.asarray(np.linalg.norm(to - one, axis=(-2, -1)) / length)

    turned = align_to(models, one)
    reordered = np.full(len(models), np.nan)
    if reorder:
        n = one.shape[-1]
        if n > _MOST_REORDERED:
            raise ValueError(
                f"W has {n} features; expected at most {_MOST_REORDERED} to try every order"
            )
        orders = np.array(list(permutations(range(n))))
        reordered = distance(align_to(np.moveaxis(models[:, :, orders], 2, 0), one)).min(0)
    return UpToRotation(turned, distance(models), distance(turned), reordered)


def largest_change(before: Sequence[Any], after: Sequence[Any]) -> float:
    """The largest |difference| between two lists of arrays of equal shapes."""
    return max(
        float(np.max(np.abs(np.asarray(a) - np.asarray(b)), initial=0.0))
        for a, b in zip(before, after, strict=True)
    )
