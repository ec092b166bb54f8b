from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, ttest_1samp

from superposition.distributions import independent
from superposition.expectation import expectation_nodes, expected_loss
from superposition.families import FAMILIES, Family, family
from superposition.geometry import basis_alignment, haar_rotations, kurtosis, represented
from superposition.rotation import (
    CONDITION,
    KINDS,
    NEARLY_SINGULAR,
    AgainstRotations,
    MatrixKind,
    activations_in_plane,
    alignment_against_rotations,
    largest_change,
    loss_against_angle,
    matrix_of_kind,
    plane_rotation,
    random_stream,
    reading_matrix,
    step_in_basis,
    turned_forward,
    turned_loss,
    up_to_rotation,
    without_silencing,
)

dimensions = st.integers(2, 9)
seeds = st.integers(0, 2**32 - 1)


def random_parameters(kind: Family, n: int, m: int, rng: np.random.Generator) -> dict:
    shapes = kind.parameter_shapes(n, m)
    return {name: rng.normal(size=shape) / np.sqrt(m) for name, shape in shapes.items()}


# Matrices


@given(m=dimensions, degrees=st.floats(-720, 720), seed=seeds)
def test_a_plane_rotation_turns_two_axes_and_no_other(m: int, degrees: float, seed: int) -> None:
    j, k = np.random.default_rng(seed).permutation(m)[:2]
    R = plane_rotation(m, j, k, degrees)
    np.testing.assert_allclose(R @ R.T, np.eye(m), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    turned = R @ np.eye(m)[j]
    assert turned[j] == pytest.approx(np.cos(np.radians(degrees)), abs=1e-12)
    assert turned[k] == pytest.approx(np.sin(np.radians(degrees)), abs=1e-12)
    for other in set(range(m)) - {j, k}:
        np.testing.assert_array_equal(R @ np.eye(m)[other], np.eye(m)[other])


def test_angles_are_a_batch_and_add_up() -> None:
    R = plane_rotation(4, 1, 3, [[10.0, 20.0, 30.0]])
    assert R.shape == (1, 3, 4, 4)
    np.testing.assert_allclose(R[0, 0] @ R[0, 1], R[0, 2], atol=1e-14)


@pytest.mark.parametrize("axes", [(0, 0), (-1, 2), (1, 3)])
def test_axes_that_are_none_are_refused(axes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected two different ones from 0 to 2"):
        plane_rotation(3, *axes, 10.0)


@given(kind=st.sampled_from(KINDS), d=dimensions, seed=seeds)
def test_each_kind_of_matrix_is_what_it_says(kind: MatrixKind, d: int, seed: int) -> None:
    R = matrix_of_kind(kind, d, np.random.default_rng(seed))
    assert R.shape == (d, d)
    values = np.linalg.svd(R, compute_uv=False)
    orthogonal = kind in ("rotation", "reflection", "permutation", "permutation with signs")
    assert np.allclose(R @ R.T, np.eye(d), atol=1e-12) == orthogonal
    if kind == "rotation":
        assert np.linalg.det(R) == pytest.approx(1)
    if kind == "reflection":
        assert np.linalg.det(R) == pytest.approx(-1)
        np.testing.assert_allclose(R, R.T)
    if "permutation" in kind:
        assert set(np.abs(R).ravel()) == {0.0, 1.0}
        assert (R < 0).any() == (kind == "permutation with signs")
        assert not np.array_equal(R, np.eye(d))
    if kind == "stretch along the axes":
        np.testing.assert_array_equal(R, np.diag(np.diag(R)))
        assert (np.diag(R) > 0).all()
    if kind in ("stretch along the axes", "invertible"):
        assert values[0] / values[-1] == pytest.approx(CONDITION)
    if kind == "nearly singular":
        assert values[0] / values[-1] == pytest.approx(NEARLY_SINGULAR, rel=1e-4)
    if kind == "singular":
        assert values[-1] < 1e-12
        assert values[-2] == pytest.approx(1)


def test_one_dimension_and_none() -> None:
    for kind in KINDS:
        assert matrix_of_kind(kind, 1, np.random.default_rng(0)).shape == (1, 1)
    with pytest.raises(ValueError, match="at least one dimension"):
        matrix_of_kind("rotation", 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected one of rotation"):
        matrix_of_kind("shear", 2, np.random.default_rng(0))  # type: ignore[arg-type]


@given(kind=st.sampled_from(KINDS), d=dimensions, seed=seeds)
def test_what_reads_go_through(kind: MatrixKind, d: int, seed: int) -> None:
    R = matrix_of_kind(kind, d, np.random.default_rng(seed))
    np.testing.assert_array_equal(reading_matrix(R, "transpose"), R.T)
    both = reading_matrix(R, "inverse") @ R
    if kind == "singular":
        # What was written is there but for the direction that was sent to 0.
        np.testing.assert_allclose(both @ both, both, atol=1e-10)
        assert np.trace(both) == pytest.approx(d - 1)
    else:
        np.testing.assert_allclose(both, np.eye(d), atol=1e-4)


def test_another_way_of_reading_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 'inverse' or 'transpose'"):
        reading_matrix(np.eye(2), "twice")  # type: ignore[arg-type]


# Models


@given(
    name=st.sampled_from(sorted(FAMILIES)),
    kind=st.sampled_from(("rotation", "reflection", "permutation", "invertible")),
    m=dimensions,
    n=dimensions,
    seed=seeds,
)
def test_a_change_after_the_step_is_never_seen(
    name: str, kind: MatrixKind, m: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    model, x = family(name), rng.normal(size=(7, n))
    parameters = random_parameters(model, n, m, rng)
    R = matrix_of_kind(kind, m, rng)
    back = reading_matrix(R, "inverse")
    before = model.forward(parameters, x)
    after = turned_forward(model, parameters, x, R, back, before_step=False)
    np.testing.assert_allclose(after, before, atol=1e-10)
    if not model.has_neurons:
        turned = turned_forward(model, parameters, x, R, back)
        np.testing.assert_allclose(turned, before, atol=1e-10)


@given(m=dimensions, n=dimensions, seed=seeds)
def test_before_the_step_it_is_one_matrix_more(m: int, n: int, seed: int) -> None:
    """Against the formula, written out one input at a time."""
    rng = np.random.default_rng(seed)
    W, b, x = rng.normal(size=(m, n)), rng.normal(size=n), rng.normal(size=(5, n))
    R = matrix_of_kind("invertible", m, rng)
    found = turned_forward(family("relu-hidden"), {"W": W, "b": b}, x, R, np.linalg.inv(R))
    for row, expected in zip(x, found, strict=True):
        h = np.maximum(R @ (W @ row), 0)
        np.testing.assert_allclose(
            np.maximum(W.T @ np.linalg.solve(R, h) + b, 0), expected, atol=1e-9
        )


@given(
    name=st.sampled_from(("relu-hidden", "absolute-value")),
    kind=st.sampled_from(("permutation", "stretch along the axes")),
    m=dimensions,
    n=dimensions,
    seed=seeds,
)
def test_neurons_may_change_places_and_scale(
    name: str, kind: MatrixKind, m: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    parameters = random_parameters(family(name), n, m, rng)
    x = rng.normal(size=(7, n))
    R = matrix_of_kind(kind, m, rng)
    after = turned_forward(family(name), parameters, x, R, reading_matrix(R, "inverse"))
    np.testing.assert_allclose(after, family(name).forward(parameters, x), atol=1e-10)


@pytest.mark.parametrize("kind", ["rotation", "reflection", "permutation with signs"])
def test_neurons_may_not_be_turned(kind: MatrixKind) -> None:
    rng = np.random.default_rng(0)
    parameters = random_parameters(family("relu-hidden"), 6, 4, rng)
    x = rng.normal(size=(50, 6))
    R = matrix_of_kind(kind, 4, rng)
    after = turned_forward(family("relu-hidden"), parameters, x, R, R.T)
    assert largest_change([family("relu-hidden").forward(parameters, x)], [after]) > 0.1


@given(m=dimensions, n=dimensions, seed=seeds)
def test_a_tied_model_turned_by_an_orthogonal_matrix_is_one_of_its_family(
    m: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    W, b, x = rng.normal(size=(m, n)), rng.normal(size=n), rng.normal(size=(5, n))
    R = matrix_of_kind("rotation", m, rng)
    for name in ("relu-output", "relu-hidden", "linear"):
        turned = turned_forward(family(name), {"W": W, "b": b}, x, R, R.T)
        of_family = family(name).forward({"W": R @ W, "b": b}, x)
        np.testing.assert_allclose(turned, of_family, atol=1e-10)


def test_reading_by_the_transpose_needs_an_orthogonal_matrix() -> None:
    rng = np.random.default_rng(1)
    parameters = random_parameters(family("linear"), 6, 4, rng)
    x = rng.normal(size=(50, 6))
    before = family("linear").forward(parameters, x)
    for kind in KINDS:
        R = matrix_of_kind(kind, 4, rng)
        after = turned_forward(family("linear"), parameters, x, R, R.T)
        same = np.allclose(after, before, atol=1e-10)
        assert same == np.allclose(R.T @ R, np.eye(4))


def test_models_and_matrices_may_be_batches() -> None:
    rng = np.random.default_rng(2)
    W, b, x = rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 6)), rng.normal(size=(5, 6))
    R = haar_rotations(3, 4, rng)
    together = turned_forward(family("relu-hidden"), {"W": W, "b": b}, x, R, R.mT)
    for i in range(3):
        one = turned_forward(family("relu-hidden"), {"W": W[i], "b": b[i]}, x, R[i], R[i].T)
        np.testing.assert_allclose(together[i], one, atol=1e-12)


# Loss against angle


def test_loss_against_angle_is_the_loss_of_the_turned_model() -> None:
    rng = np.random.default_rng(3)
    n, m = 5, 3
    nodes = expectation_nodes(independent(n, 0.3), budget=256, rng=rng)
    W, b, importances = rng.normal(size=(m, n)), rng.normal(size=n) / 5, 0.7 ** np.arange(n)
    degrees = np.arange(0, 361, 7.5)
    for name in ("relu-hidden", "relu-output"):
        losses = loss_against_angle(
            family(name), {"W": W, "b": b}, nodes, importances, degrees, (2, 0)
        )
        turned = plane_rotation(m, 2, 0, degrees) @ W
        count = len(degrees)
        expected = expected_loss(
            family(name),
            {"W": turned, "b": np.tile(b, (count, 1))},
            nodes.points,
            np.tile(nodes.weights, (count, 1)),
            np.tile(importances, (count, 1)),
        )
        np.testing.assert_allclose(losses, expected, rtol=1e-10)
        flat = np.ptp(losses) < 1e-12
        assert flat == (name == "relu-output")


def test_many_nodes_are_taken_a_few_angles_at_a_time() -> None:
    rng = np.random.default_rng(4)
    nodes = expectation_nodes(independent(4, 0.5), budget=40_000, rng=rng)
    W, b = rng.normal(size=(2, 4)), np.zeros(4)
    R = plane_rotation(2, 0, 1, [0.0, 20.0, 40.0, 60.0, 80.0])
    together = turned_loss(family("relu-hidden"), {"W": W, "b": b}, nodes, np.ones(4), R, R.mT)
    alone = [
        turned_loss(
            family("relu-hidden"), {"W": W, "b": b}, nodes, np.ones(4), one[None], one.T[None]
        )[0]
        for one in R
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@given(d=dimensions, seed=seeds)
def test_the_step_in_another_basis_is_the_relu_between_two_matrices(d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    R, z = matrix_of_kind("invertible", d, rng), rng.normal(size=d)
    on = (R @ z > 0).astype(float)
    through = np.linalg.inv(R) @ np.maximum(R @ z, 0)
    np.testing.assert_allclose(step_in_basis(R, on) @ z, through, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS[:6])
def test_the_step_stays_element_wise_only_if_axes_stay_axes(kind: MatrixKind) -> None:
    R = matrix_of_kind(kind, 3, np.random.default_rng(5))
    patterns = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1).T
    steps = step_in_basis(R, patterns)
    apart = np.abs(steps * ~np.eye(3, dtype=bool)).max() < 1e-12
    assert apart == ("permutation" in kind or kind == "stretch along the axes")


def test_activations_are_those_of_inputs_with_something_on() -> None:
    rng = np.random.default_rng(6)
    W = rng.normal(size=(3, 4))
    points, strongest = activations_in_plane(W, independent(4, 0.02), (2, 0), 40, rng)
    assert points.shape == (40, 2)
    assert strongest.shape == (40,)
    assert (np.abs(points).max(1) > 0).all()
    # With one feature in fifty on, nearly all inputs have just one: a multiple of its direction.
    direction = W[[2, 0]][:, strongest].T
    cross = points[:, 0] * direction[:, 1] - points[:, 1] * direction[:, 0]
    assert np.mean(np.abs(cross) < 1e-12) > 0.8


# A residual stream


@given(d=st.integers(1, 40), kind=st.sampled_from(KINDS[:6]), seed=seeds)
def test_a_stream_cannot_tell_its_basis(d: int, kind: MatrixKind, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stream = random_stream(d, rng, writers=3, blocks=2, readers=4)
    inputs = stream.inputs(20, rng)
    before = stream.outputs(inputs)
    assert [out.shape for out in before] == [(20, 3)] * 4
    R = matrix_of_kind(kind, d, rng)
    turned = stream.turned(R, reading_matrix(R, "inverse"))
    scale = max(float(np.abs(out).max()) for out in before)
    assert largest_change(before, turned.outputs(inputs)) < 1e-10 * max(scale, 1)


def test_one_element_wise_step_in_the_stream_breaks_it() -> None:
    rng = np.random.default_rng(7)
    stream = random_stream(8, rng)
    inputs = stream.inputs(100, rng)
    before = stream.outputs(inputs, step=True)
    for kind in KINDS:
        R = matrix_of_kind(kind, 8, rng)
        turned = stream.turned(R, reading_matrix(R, "inverse"))
        change = largest_change(before, turned.outputs(inputs, step=True))
        assert (change < 1e-10) == (kind in ("permutation", "stretch along the axes"))


def test_a_stream_by_hand() -> None:
    stream = random_stream(4, np.random.default_rng(8), writers=2, blocks=1, readers=1)
    rng = np.random.default_rng(9)
    x = stream.inputs(1, rng)
    state = stream.writers[0] @ x[0][0] + stream.writers[1] @ x[1][0]
    into, back = stream.blocks[0]
    state = state + back @ np.maximum(into @ state, 0)
    np.testing.assert_allclose(stream.outputs(x)[0][0], stream.readers[0] @ state)
    np.testing.assert_allclose(
        stream.outputs(x, step=True)[0][0], stream.readers[0] @ np.maximum(state, 0)
    )
    assert stream.d == 4


def test_streams_that_cannot_be_are_refused() -> None:
    rng = np.random.default_rng(10)
    with pytest.raises(ValueError, match="at least one of each"):
        random_stream(3, rng, readers=0)
    stream = random_stream(3, rng, writers=2)
    with pytest.raises(ValueError, match="inputs for 1 writers; expected 2"):
        stream.outputs(stream.inputs(4, rng)[:1])


# Bases


def test_alignment_and_kurtosis_are_those_of_rotated_models() -> None:
    rng = np.random.default_rng(11)
    W = rng.normal(size=(6, 4, 7)) * rng.random((6, 1, 7))
    W[0] = 0  # represents nothing
    W[1, :, 2] = 0
    rotations = haar_rotations(9, 4, rng)
    alignment, sharpness = alignment_against_rotations(W, rotations)

    def mean_kurtosis(models: np.ndarray) -> np.ndarray:
        kept = represented(models)
        total = (kurtosis(models) * kept).sum(-1)
        return np.divide(total, kept.sum(-1), out=np.zeros(total.shape), where=total > 0)

    for measured, measure in ((alignment, basis_alignment), (sharpness, mean_kurtosis)):
        np.testing.assert_allclose(measured.value, measure(W), atol=1e-12)
        np.testing.assert_allclose(measured.rotated, measure(rotations[:, None] @ W), atol=1e-12)
        np.testing.assert_allclose(measured.excess, measured.value - measured.rotated.mean(0))
        assert measured.p[0] == 1  # Nothing is no more than nothing.


def test_p_is_uniform_for_models_without_a_basis_and_small_for_aligned_ones() -> None:
    rng = np.random.default_rng(12)
    aligned = np.tile(np.eye(5), (400, 1, 2)) + 0.05 * rng.normal(size=(400, 5, 10))
    turned = haar_rotations(400, 5, rng) @ aligned
    rotations = haar_rotations(199, 5, rng)
    for measured in alignment_against_rotations(turned, rotations):
        assert kstest(measured.p, "uniform").pvalue > 0.01
    for measured in alignment_against_rotations(aligned, rotations):
        assert measured.p.max() == pytest.approx(1 / 200)
        assert measured.excess.min() > 0


def test_the_excess_is_told_in_standard_errors() -> None:
    rng = np.random.default_rng(2)
    measure = AgainstRotations(rng.normal(size=30) + 0.4, rng.normal(size=(19, 30)))
    assert measure.excess_t == pytest.approx(ttest_1samp(measure.excess, 0).statistic)
    assert np.isnan(AgainstRotations(np.ones(3), np.zeros((19, 3))).excess_t)
    assert np.isnan(AgainstRotations(np.ones(1), np.zeros((19, 1))).excess_t)


def test_silencing_weights_are_cut_and_nothing_else_is() -> None:
    W = np.array([[0.5, -30.0, 1.0, -0.2], [-1.0, -2.0, 0.0, 0.0]])
    np.testing.assert_array_equal(
        without_silencing(W), [[0.5, -1.0, 1.0, -0.2], [0.0, 0.0, 0.0, 0.0]]
    )
    batch = np.random.default_rng(3).normal(size=(5, 3, 6))
    cut = without_silencing(batch)
    np.testing.assert_array_equal(cut, [without_silencing(one) for one in batch])
    assert (cut >= batch).all()
    assert (cut[batch > 0] == batch[batch > 0]).all()


def test_a_single_model_is_not_a_batch() -> None:
    with pytest.raises(ValueError, match="expected a batch of models"):
        alignment_against_rotations(np.eye(3), np.eye(3)[None])


# Solutions


@given(m=st.integers(1, 4), n=st.integers(1, 5), seed=seeds)
def test_what_was_turned_is_found_again(m: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(m, n))
    order = rng.permutation(n)
    R = haar_rotations(3, m, rng)
    found = up_to_rotation(R @ W, W)
    np.testing.assert_allclose(found.after, 0, atol=1e-7)
    np.testing.assert_allclose(found.turned, np.stack([W] * 3), atol=1e-7)
    np.testing.assert_allclose(
        found.before, np.linalg.norm(R @ W - W, axis=(1, 2)) / np.linalg.norm(W)
    )
    assert np.isnan(found.reordered).all()
    shuffled = up_to_rotation((R @ W)[..., order], W, reorder=True)
    np.testing.assert_allclose(shuffled.reordered, 0, atol=1e-7)
    assert (shuffled.reordered <= shuffled.after + 1e-9).all()


def test_a_length_is_not_lost_by_turning() -> None:
    found = up_to_rotation(np.eye(2)[None] * 1.5, np.eye(2), reorder=True)
    assert found.after[0] == pytest.approx(0.5)
    assert found.reordered[0] == pytest.approx(0.5)


def test_too_many_orders_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 6 to try every order"):
        up_to_rotation(np.ones((1, 2, 7)), np.ones((2, 7)), reorder=True)
