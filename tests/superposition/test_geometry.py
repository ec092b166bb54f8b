import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from superposition import geometry
from superposition.theory import regular_polygon

PER_FEATURE: list[Callable[..., Any]] = [
    geometry.norms,
    geometry.represented,
    geometry.interference,
    geometry.dimensionality,
    geometry.kurtosis,
]
PER_NEURON: list[Callable[..., Any]] = [geometry.features_per_neuron, geometry.participation_ratio]
PER_MODEL: list[Callable[..., Any]] = [
    geometry.features_per_dimension,
    geometry.dimensions_per_feature,
    geometry.coherence,
    geometry.basis_alignment,
    geometry.monosemantic_share,
]
MEASURES = [*PER_FEATURE, *PER_NEURON, *PER_MODEL, geometry.cosines]
ROTATION_FREE: list[Callable[..., Any]] = [
    geometry.norms,
    geometry.represented,
    geometry.interference,
    geometry.dimensionality,
    geometry.features_per_dimension,
    geometry.dimensions_per_feature,
    geometry.coherence,
    geometry.cosines,
]

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6))
# Rounded, so that zero norms and repeated directions occur and vanishing ones do not.
ENTRIES = st.floats(-2, 2).map(lambda value: round(value, 2))
MODELS = SHAPES.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=ENTRIES))
# Any finite float32 up to 2^100, those that vanish when squared included.
EXTREMES = st.floats(-(2.0**100), 2.0**100, width=32)
EXTREME_MODELS = SHAPES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=EXTREMES))
SEEDS = st.integers(0, 2**32 - 1)


def antipodal_pair():
    return np.array([[1.0, -1.0]])


def tetrahedron():
    return np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).T / math.sqrt(3)


def simplex(k):
    """k unit directions in k − 1 dimensions, all pairs with cosine −1/(k − 1)."""
    centred = np.eye(k) - 1 / k
    u, s, _ = np.linalg.svd(centred)
    return (u[:, : k - 1] * s[: k - 1]).T / math.sqrt(1 - 1 / k)


def beside(*blocks):
    """The blocks in subspaces orthogonal to each other."""
    rows, columns = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    W = np.zeros((rows, columns))
    row = column = 0
    for block in blocks:
        W[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return W


def far_from_thresholds(W):
    sizes = geometry.norms(W)
    return bool(np.all(np.abs(sizes - geometry.REPRESENTED_NORM) > 1e-9))


# Against the definitions, written out


@given(MODELS)
def test_measures_follow_their_definitions(W):
    m, n = W.shape
    size = [math.sqrt(sum(W[k, i] ** 2 for k in range(m))) for i in range(n)]
    for i in range(n):
        along = [float(W[:, i] @ W[:, j]) / size[i] if size[i] else 0.0 for j in range(n)]
        others = sum(along[j] ** 2 for j in range(n) if j != i)
        assert geometry.norms(W)[i] == pytest.approx(size[i], abs=1e-12)
        assert geometry.interference(W)[i] == pytest.approx(others, abs=1e-12)
        expected = size[i] ** 2 / (size[i] ** 2 + others) if size[i] else 0.0
        assert geometry.dimensionality(W)[i] == pytest.approx(expected, abs=1e-12)
    pairs = [
        abs(float(W[:, i] @ W[:, j])) / (size[i] * size[j])
        for i, j in itertools.combinations(range(n), 2)
        if min(size[i], size[j]) > geometry.REPRESENTED_NORM
    ]
    assume(far_from_thresholds(W))
    assert geometry.coherence(W) == pytest.approx(max(pairs, default=0.0), abs=1e-12)


@given(MODELS, SEEDS)
def test_bottleneck_measures_do_not_depend_on_the_basis(W, seed):
    assume(far_from_thresholds(W))
    rotation = geometry.haar_rotations(1, W.shape[0], np.random.default_rng(seed))[0]
    for measure in ROTATION_FREE:
        np.testing.assert_allclose(measure(rotation @ W), measure(W), atol=1e-9)


@given(MODELS)
def test_dimensionality_sums_to_at_most_the_rank(W):
    D = geometry.dimensionality(W)
    assert np.all((D >= 0) & (D <= 1 + 1e-12))
    assert D.sum() <= np.linalg.matrix_rank(W) + 1e-9


@given(MODELS)
def test_coherence_respects_the_welch_bound(W):
    count = geometry.represented(W).sum()
    assert geometry.coherence(W) >= geometry.welch_bound(count, W.shape[0]) - 1e-9
    assert 0 <= geometry.coherence(W) <= 1


@pytest.mark.parametrize("measure", [*MEASURES, geometry.solution_names])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_is_a_loop(measure, dtype):
    rng = np.random.default_rng(0)
    W = (rng.standard_normal((3, 4, 3, 5)) * rng.integers(0, 2, (3, 4, 1, 5))).astype(dtype)
    looped = [[measure(W[a, b]) for b in range(4)] for a in range(3)]
    batched = measure(W)
    if measure is geometry.solution_names:
        assert batched.tolist() == np.array(looped).tolist()
    else:
        np.testing.assert_allclose(batched, looped, atol=1e-12)


# Known arrangements


@pytest.mark.parametrize(
    ("W", "expected"),
    [
        (np.eye(3), 1),
        (antipodal_pair(), 1 / 2),
        (regular_polygon(3), 2 / 3),
        (beside(antipodal_pair(), antipodal_pair()), 1 / 2),
        (regular_polygon(5), 2 / 5),
        (regular_polygon(5, radius=1.3), 2 / 5),
        (tetrahedron(), 3 / 4),
        (simplex(6), 5 / 6),
    ],
)
def test_dimensionality_of_known_arrangements(W, expected):
    np.testing.assert_allclose(geometry.dimensionality(W), expected, rtol=1e-12)


def test_the_square_antiprism_is_thomsons():
    W = geometry.square_antiprism()
    np.testing.assert_allclose(geometry.norms(W), 1)
    # The energy of eight charges on a sphere, tabulated for Thomson's problem.
    energy = sum(
        1 / np.linalg.norm(W[:, i] - W[:, j]) for i, j in itertools.combinations(range(8), 2)
    )
    assert energy == pytest.approx(19.675287861, abs=1e-8)
    np.testing.assert_allclose(geometry.dimensionality(W), 3 / 8, atol=1e-3)
    # At the height where it is a tight frame the fraction is exact.
    tight = (
        W
        * np.sqrt(np.array([[1.0], [1.0], [1.0]]) / 3)
        / np.sqrt(np.mean(W**2, axis=1, keepdims=True))
    )
    np.testing.assert_allclose(geometry.norms(tight), 1)
    np.testing.assert_allclose(geometry.dimensionality(tight), 3 / 8, rtol=1e-12)


def test_packing_of_known_arrangements():
    assert geometry.coherence(np.eye(4)) == 0
    assert geometry.coherence(antipodal_pair()) == 1
    assert geometry.coherence(regular_polygon(5)) == pytest.approx(math.cos(math.pi / 5))
    # Simplices meet the bound; features that are not represented do not count.
    assert geometry.coherence(simplex(5)) == pytest.approx(geometry.welch_bound(5, 4))
    assert geometry.coherence(np.array([[1.0, 0.3], [0.0, 0.3]])) == 0
    assert geometry.features_per_dimension(regular_polygon(5)) == pytest.approx(5 / 2)
    assert geometry.dimensions_per_feature(regular_polygon(5)) == pytest.approx(2 / 5)


def test_welch_bound_is_vectorised_and_zero_when_there_is_room():
    bound = geometry.welch_bound(np.arange(6)[:, None], np.array([1, 2, 5]))
    assert bound.shape == (6, 3)
    assert np.all(bound[:2] == 0)
    assert bound[2].tolist() == [1, 0, 0]
    assert bound[5, 1] == pytest.approx(math.sqrt(3 / (2 * 4)))
    assert isinstance(geometry.welch_bound(5, 2), float)
    with pytest.raises(ValueError, match=r"m >= 1 dimensions, got k=5, m=0"):
        geometry.welch_bound(5, 0)


# Bases and neurons


def test_alignment_and_kurtosis_at_their_extremes():
    m = 4
    hadamard = np.array([[1, 1], [1, -1]])
    spread = np.kron(hadamard, hadamard) / 2
    assert geometry.basis_alignment(np.eye(m)) == 1
    assert geometry.basis_alignment(spread) == pytest.approx(1 / 2)
    np.testing.assert_allclose(geometry.kurtosis(3 * np.eye(m)), m)
    np.testing.assert_allclose(geometry.kurtosis(spread), 1)


def test_haar_rotations_are_orthogonal_and_uniform():
    m, rng = 3, np.random.default_rng(0)
    rotations = geometry.haar_rotations(4000, m, rng)
    np.testing.assert_allclose(
        rotations @ rotations.mT, np.broadcast_to(np.eye(m), rotations.shape), atol=1e-12
    )
    # Coordinates of a uniform unit vector: mean 0, variance 1/m, kurtosis 3m / (m + 2).
    assert np.max(np.abs(rotations.mean(0))) < 0.05
    np.testing.assert_allclose((rotations**2).mean(0), 1 / m, atol=0.03)
    assert geometry.kurtosis(rotations).mean() == pytest.approx(3 * m / (m + 2), abs=0.02)
    assert 0.45 < np.mean(np.linalg.det(rotations) > 0) < 0.55


@given(MODELS, SEEDS)
def test_alignment_undoes_a_rotation(W, seed):
    rotation = geometry.haar_rotations(1, W.shape[0], np.random.default_rng(seed))[0]
    np.testing.assert_allclose(geometry.align_to(rotation @ W, W), W, atol=1e-9)


@given(MODELS, SEEDS)
def test_alignment_keeps_the_model_and_is_the_closest(W, seed):
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal(W.shape)
    aligned = geometry.align_to(W, reference)
    np.testing.assert_allclose(aligned.T @ aligned, W.T @ W, atol=1e-9)
    others = geometry.haar_rotations(20, W.shape[0], rng) @ W
    distance = np.linalg.norm(others - reference, axis=(-2, -1))
    assert np.linalg.norm(aligned - reference) <= distance.min() + 1e-9


def test_alignment_broadcasts():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((6, 2, 5))
    aligned = geometry.align_to(W, W[0])
    assert aligned.shape == W.shape
    for frame, model in zip(aligned, W, strict=True):
        np.testing.assert_allclose(frame, geometry.align_to(model, W[0]))
    with pytest.raises(ValueError, match=r"\(2, 5\).*\(3, 5\)"):
        geometry.align_to(W[0], np.zeros((3, 5)))


def test_neurons_of_a_small_layer():
    W = np.array(
        [
            [1.0, 0.1, 0.0, 0.0],  # one feature, and a trace under a fifth
            [-1.0, 0.5, 0.25, 0.0],  # three features
            [1.0, 1.0, 1.0, 1.0],  # all
            [0.04, 0.04, 0.0, 0.0],  # left over from the initialisation
            [0.0, 0.0, 0.0, 0.0],
        ]
    )
    assert geometry.features_per_neuron(W).tolist() == [1, 3, 4, 0, 0]
    assert geometry.features_per_neuron(W, share=0.6).tolist() == [1, 1, 4, 0, 0]
    assert geometry.features_per_neuron(W, dead=0).tolist() == [1, 3, 4, 2, 0]
    assert geometry.monosemantic_share(W) == pytest.approx(1 / 3)
    assert geometry.monosemantic_share(W, share=0.6) == pytest.approx(2 / 3)
    ratio = (1 + 0.25 + 0.0625) ** 2 / (1 + 0.0625 + 0.25**4)
    np.testing.assert_allclose(
        geometry.participation_ratio(W), [1.01**2 / 1.0001, ratio, 4, 2, 0], rtol=1e-12
    )


# Edges


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 2), (3, 2, 4), (0, 2, 4), (2, 0)])
def test_models_that_learned_nothing_have_defined_measures(shape):
    W = np.zeros(shape)
    batch, m, n = shape[:-2], shape[-2], shape[-1]
    for measure in PER_FEATURE:
        assert measure(W).shape == (*batch, n)
        assert not np.any(measure(W))
    for measure in PER_NEURON:
        assert measure(W).shape == (*batch, m)
        assert not np.any(measure(W))
    for measure in PER_MODEL:
        assert np.shape(measure(W)) == batch
        empty = np.inf if measure is geometry.dimensions_per_feature else 0
        assert np.all(measure(W) == empty)
    assert geometry.cosines(W).shape == (*batch, n, n)
    assert not np.any(geometry.cosines(W))
    assert np.array_equal(geometry.align_to(W, W), W)
    assert np.all(geometry.solution_names(W) == "nothing")


@given(EXTREME_MODELS)
def test_no_finite_model_gives_nan_or_a_warning(W):
    for measure in MEASURES:
        assert not np.any(np.isnan(measure(W)))
    assert geometry.solution_name(W)
    assert not np.any(np.isnan(geometry.align_to(W, W[::-1])))


def test_very_small_weights_keep_their_directions():
    W = 1e-200 * regular_polygon(5)
    np.testing.assert_allclose(geometry.dimensionality(W), 2 / 5)
    np.testing.assert_allclose(geometry.norms(W), 1e-200)
    np.testing.assert_allclose(geometry.kurtosis(1e-200 * np.eye(3)), 3)


def test_measures_of_one_model_are_scalars():
    for measure in PER_MODEL:
        assert isinstance(measure(regular_polygon(5)), float)


@pytest.mark.parametrize("measure", [*MEASURES, geometry.solution_name, geometry.solution_names])
def test_a_vector_is_not_a_model(measure):
    with pytest.raises(ValueError, match=r"W has shape \(5,\); expected \(…, m, n\)"):
        measure(np.ones(5))


# Names

CUBE = np.array(list(itertools.product([1.0, -1.0], repeat=3))).T / math.sqrt(3)

ARRANGEMENTS = [
    (np.zeros((2, 5)), "nothing"),
    (np.array([[1.0, 0.0], [0.0, 0.3]]), "one feature"),
    (np.eye(2), "two orthogonal features"),
    (0.8 * np.eye(12), "12 orthogonal features"),
    (antipodal_pair(), "antipodal pair"),
    (np.array([[1.0, 0.8]]), "parallel pair"),
    (beside(antipodal_pair(), np.eye(1)), "antipodal pair + one feature"),
    (regular_polygon(3), "triangle"),
    (regular_polygon(4), "two antipodal pairs"),
    (regular_polygon(5), "pentagon"),
    (regular_polygon(6), "hexagon"),
    (regular_polygon(9), "polygon of nine features"),
    (regular_polygon(5)[:, :4], "four features in two dimensions"),
    (np.array([[1.0, -1.0, 1.0]]), "three features in one dimension"),
    (tetrahedron(), "tetrahedron"),
    (simplex(6), "simplex of six features"),
    (beside(simplex(5), simplex(5)), "two simplices of five features"),
    (geometry.square_antiprism(), "square antiprism"),
    (CUBE, "eight features in three dimensions"),
    (
        beside(antipodal_pair(), regular_polygon(3), antipodal_pair()),
        "triangle + two antipodal pairs",
    ),
    (
        beside(np.eye(2), antipodal_pair(), regular_polygon(5), regular_polygon(3)),
        "pentagon + triangle + antipodal pair + two orthogonal features",
    ),
    (
        beside(regular_polygon(5)[:, :4], regular_polygon(5)[:, :4]),
        "two groups of four features in two dimensions",
    ),
]


@pytest.mark.parametrize(("W", "name"), ARRANGEMENTS, ids=[name for _, name in ARRANGEMENTS])
def test_names_of_known_arrangements(W, name):
    assert geometry.solution_name(W) == name


@pytest.mark.parametrize(("W", "name"), ARRANGEMENTS, ids=[name for _, name in ARRANGEMENTS])
@settings(max_examples=10)
@given(SEEDS)
def test_names_survive_rotation_reordering_scale_and_training_noise(W, name, seed):
    rng = np.random.default_rng(seed)
    m, n = W.shape
    changed = geometry.haar_rotations(1, m, rng)[0] @ W[:, rng.permutation(n)]
    changed = changed * rng.uniform(0.9, 1.2, n) + rng.normal(0, 0.01, (m, n))
    assert geometry.solution_name(changed.astype(np.float32)) == name


def test_a_bent_square_is_still_two_pairs():
    bent = np.radians([0, 83, 180, 263])
    assert geometry.solution_name(np.stack([np.cos(bent), np.sin(bent)])) == "two antipodal pairs"


def test_names_of_a_batch():
    W = np.stack([regular_polygon(5), np.zeros((2, 5)), np.eye(2, 5)])
    names = geometry.solution_names(W[:, None])
    assert names.shape == (3, 1)
    assert names[:, 0].tolist() == ["pentagon", "nothing", "two orthogonal features"]
    with pytest.raises(ValueError, match=r"\(3, 2, 5\); expected one model"):
        geometry.solution_name(W)
