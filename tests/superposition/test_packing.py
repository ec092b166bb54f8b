"""Projections and packings, against scikit-learn, exact distributions and known arrangements."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2, ks_2samp, kstest, linregress
from sklearn.random_projection import GaussianRandomProjection, johnson_lindenstrauss_min_dim

from superposition import packing
from superposition.geometry import coherence, haar_rotations, welch_bound
from superposition.theory import regular_polygon

COUNTS = st.integers(2, 10_000)
EPSILONS = st.floats(0.05, 0.95)
SEEDS = st.integers(0, 2**32 - 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# The lemma


@given(COUNTS, EPSILONS)
def test_the_dimension_of_the_lemma_is_the_one_of_scikit_learn(count, epsilon):
    # Theirs is cut to a whole number, ours is rounded up to one that satisfies the lemma.
    theirs = int(johnson_lindenstrauss_min_dim(count, eps=epsilon))
    assert packing.lemma_dimension(count, epsilon) - theirs in (0, 1)


@given(COUNTS, EPSILONS)
def test_the_dimension_of_the_lemma_is_the_least_that_satisfies_it(count, epsilon):
    def satisfied(m):
        return m * (epsilon**2 / 2 - epsilon**3 / 3) >= 4 * math.log(count)

    m = packing.lemma_dimension(count, epsilon)
    assert satisfied(m)
    assert not satisfied(m - 1)


@given(COUNTS, EPSILONS)
def test_the_lemma_holds_by_the_exact_distribution(count, epsilon):
    m = packing.lemma_dimension(count, epsilon)
    pairs = count * (count - 1) / 2
    assert pairs * packing.outside_probability(m, epsilon) <= 1 - 1 / count
    assert packing.union_dimension(count, epsilon) <= m


@given(st.integers(2, 300), st.floats(0.1, 0.9), st.floats(1e-4, 0.9))
def test_the_union_dimension_is_the_least_of_its_kind(count, epsilon, failure):
    m = packing.union_dimension(count, epsilon, failure)
    pairs = count * (count - 1) / 2
    assert pairs * packing.outside_probability(m, epsilon) <= failure
    if m > 1:
        assert pairs * packing.outside_probability(m - 1, epsilon) > failure


@pytest.mark.parametrize(
    ("count", "epsilon", "message"),
    [(1, 0.5, "at least 2 points"), (9, 0.0, "between 0 and 1"), (9, 1.0, "between 0 and 1")],
)
def test_the_lemma_says_what_it_cannot_answer(count, epsilon, message):
    for dimension in (packing.lemma_dimension, packing.union_dimension):
        with pytest.raises(ValueError, match=message):
            dimension(count, epsilon)
    with pytest.raises(ValueError, match="a probability"):
        packing.union_dimension(5, 0.5, 0.0)


# Projections


@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 200))
def test_products_in_pieces_are_products(p, q, r):
    left, right = rng(p).normal(size=(p, q)), rng(r).normal(size=(q, r))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "ONE_THREAD", 900)
        np.testing.assert_allclose(packing.product(left, right), left @ right, atol=1e-12)


def test_ratios_at_every_dimension_are_those_of_the_first_rows():
    points = rng(1).normal(size=(6, 40))
    ratios = packing.ratios_by_dimension(points, 12, rng(2))
    G = rng(2).standard_normal((12, 40))
    for m in (1, 5, 12):
        y = points @ (G[:m] / math.sqrt(m)).T
        for at, (i, j) in enumerate(itertools.combinations(range(6), 2)):
            before, after = np.sum((points[i] - points[j]) ** 2), np.sum((y[i] - y[j]) ** 2)
            assert ratios[m - 1, at] == pytest.approx(after / before)


@pytest.mark.parametrize("kind", packing.POINT_SETS)
def test_ratios_are_chi_squared_whatever_the_points(kind):
    points = packing.point_set(kind, 2, 30, rng())
    ratios = np.array([packing.ratios_by_dimension(points, 7, rng(s))[-1, 0] for s in range(2000)])
    assert kstest(7 * ratios, chi2(7).cdf).pvalue > 0.001
    expected = packing.outside_probability(7, 0.3)
    assert np.mean(np.abs(ratios - 1) > 0.3) == pytest.approx(expected, abs=0.04)


def test_ratios_are_distributed_as_with_scikit_learn():
    points = rng(5).normal(size=(20, 60))
    before = packing.squared_distances(points)
    theirs = []
    for seed in range(30):
        y = GaussianRandomProjection(8, random_state=seed).fit_transform(points)
        theirs.append(packing.squared_distances(y) / before)
    ours = [packing.ratios_by_dimension(points, 8, rng(seed))[-1] for seed in range(30)]
    # One pair in ten, so that those compared are nearly independent.
    pairs = slice(None, None, 10)
    result = ks_2samp(np.array(theirs)[:, pairs].ravel(), np.array(ours)[:, pairs].ravel())
    assert result.pvalue > 0.001


def test_a_projection_keeps_squared_lengths_on_average():
    x = rng(3).normal(size=50)
    lengths = [np.sum((packing.random_projection(10, 50, rng(s)) @ x) ** 2) for s in range(1000)]
    # The standard deviation of one is √(2/10) of its mean.
    assert np.mean(lengths) / np.sum(x**2) == pytest.approx(1, abs=5 * math.sqrt(0.2 / 1000))


def test_the_same_point_twice_is_an_error():
    with pytest.raises(ValueError, match="all of them different"):
        packing.ratios_by_dimension(np.ones((3, 4)), 2, rng())
    with pytest.raises(ValueError, match="got 1 points"):
        packing.ratios_by_dimension(np.ones((1, 4)), 2, rng())


def test_the_dimension_that_works_is_past_the_last_failure():
    ratios = np.array([[1.0, 1.6], [1.0, 1.1], [1.4, 1.0], [0.9, 1.0], [1.0, 1.2]])
    assert packing.share_outside(ratios, 0.3).tolist() == [0.5, 0, 0.5, 0, 0]
    assert packing.dimension_that_works(ratios, 0.3) == 4
    assert packing.dimension_that_works(ratios, 0.7) == 1
    assert packing.dimension_that_works(ratios, 0.15) is None


@pytest.mark.parametrize("kind", packing.POINT_SETS)
def test_point_sets_are_what_they_are_called(kind):
    points = packing.point_set(kind, 12, 40, rng())
    distance = np.sqrt(packing.squared_distances(points))
    assert points.shape == (12, 40)
    if kind == "axes":
        np.testing.assert_allclose(distance, math.sqrt(2))
    if kind == "clusters":
        assert distance.max() / distance.min() > 20
    if kind == "spread":
        assert np.linalg.norm(points, axis=1).max() <= 1
        assert distance.max() / distance.min() > 2


def test_point_sets_that_cannot_be():
    with pytest.raises(ValueError, match="only 4 axes"):
        packing.point_set("axes", 5, 4, rng())
    with pytest.raises(ValueError, match="expected one of spread, clusters, axes"):
        packing.point_set("cloud", 5, 4, rng())  # type: ignore[arg-type]


# From distances to directions


@given(SEEDS, st.integers(2, 6), st.integers(5, 40))
def test_kept_distances_make_kept_angles(seed, count, m):
    W = packing.random_projection(m, count, rng(seed))
    ends = np.concatenate([W.T, -W.T])
    before = packing.squared_distances(np.concatenate([np.eye(count), -np.eye(count)]))
    distortion = np.abs(packing.squared_distances(ends) / before - 1).max()
    assume(distortion < 0.9)
    assert coherence(W, 0.0) <= distortion / (1 - distortion) + 1e-12


@given(st.integers(1, 1000), st.floats(0.1, 0.9))
def test_the_lemma_promises_directions_in_the_dimension_of_their_ends(count, epsilon):
    delta = epsilon / (1 + epsilon)
    assert delta / (1 - delta) == pytest.approx(epsilon)
    wanted = packing.lemma_dimension(2 * count, delta)
    assert packing.promised_dimension(count, epsilon) == wanted


def test_random_directions_keep_the_promise():
    m = packing.promised_dimension(30, 0.6)
    held = [coherence(packing.random_projection(m, 30, rng(s))) <= 0.6 for s in range(20)]
    assert all(held)


# Directions


@pytest.mark.parametrize("epsilon", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_the_cosine_of_random_directions_in_low_dimensions(epsilon):
    assert packing.pair_probability(epsilon, 1) == (epsilon < 1)
    assert packing.pair_probability(epsilon, 2) == pytest.approx(2 * math.acos(epsilon) / math.pi)
    assert packing.pair_probability(epsilon, 3) == pytest.approx(1 - epsilon)


@given(st.floats(0, 1), st.integers(2, 500))
def test_the_cosine_of_random_directions_has_an_exponential_tail(epsilon, m):
    assert packing.pair_probability(epsilon, m) <= 2 * math.exp(-m * epsilon**2 / 2) + 1e-12


def test_the_cosine_of_random_directions_is_what_sampling_gives():
    W = packing.random_directions(600, 9, rng(4))
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1)
    cos = (W.T @ W)[np.triu_indices(600, 1)]
    for epsilon in (0.1, 0.3, 0.6):
        expected = packing.pair_probability(epsilon, 9)
        assert np.mean(np.abs(cos) > epsilon) == pytest.approx(expected, abs=0.01)


def test_the_coherence_of_two_random_directions_is_a_mean_of_the_beta_distribution():
    for m in (2, 5, 30):
        both, signed = packing.random_coherence(2, m, rng(6), draws=4000)
        exact = math.gamma(m / 2) / (math.sqrt(math.pi) * math.gamma((m + 1) / 2))
        assert both == pytest.approx(exact, abs=0.02)
        assert signed == pytest.approx(0, abs=0.05)


def test_signed_coherence_lets_opposite_directions_be():
    pairs = np.array([[1.0, -1, 0, 0], [0, 0, 1, -1]])
    assert packing.signed_coherence(pairs) == 0
    assert coherence(pairs) == 1
    # A weak feature does not count, and alone there is no pair.
    assert packing.signed_coherence(np.array([[1.0, 0.3]])) == -1
    stack = np.stack([regular_polygon(5), regular_polygon(5) * 2])
    np.testing.assert_allclose(packing.signed_coherence(stack), math.cos(math.radians(72)))


@given(SEEDS, st.integers(2, 9), st.integers(1, 5))
def test_no_directions_are_below_rankins_bound(seed, count, m):
    W = packing.random_directions(count, m, rng(seed))
    assert packing.signed_coherence(W) >= packing.rankin_bound(count, m) - 1e-9


def test_rankins_bound_needs_a_pair():
    with pytest.raises(ValueError, match="at least 2 vectors"):
        packing.rankin_bound(1, 3)


@given(st.floats(0.05, 0.95), st.integers(1, 60))
def test_welchs_count_is_where_welchs_bound_passes_epsilon(epsilon, m):
    most = packing.welch_count(epsilon, m)
    if math.isinf(most):
        assert welch_bound(10**9, m) <= epsilon + 1e-6
    else:
        assert most >= m
        assert welch_bound(most, m) <= epsilon + 1e-6
        assert welch_bound(most + 1, m) > epsilon - 1e-6


@given(SEEDS, st.floats(0.2, 0.8), st.integers(1, 8))
def test_kept_directions_are_far_enough_apart(seed, epsilon, m):
    W = packing.kept_directions(epsilon, m, rng(seed), patience=60, most=40)
    count = W.shape[1]
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1)
    assert 1 <= count <= min(40, packing.welch_count(epsilon, m))
    assert coherence(W) <= epsilon + 1e-12


def test_kept_directions_leave_little_room():
    W = packing.kept_directions(0.5, 6, rng(), patience=500)
    fresh = packing.random_directions(2000, 6, rng(1))
    free = (np.abs(W.T @ fresh) <= 0.5).all(axis=0)
    assert free.mean() < 0.02
    # Less patience leaves more.
    hasty = packing.kept_directions(0.5, 6, rng(), patience=3)
    assert hasty.shape[1] < W.shape[1]


def test_kept_directions_are_those_of_one_candidate_after_another():
    generator = rng(7)
    candidates = np.concatenate(
        [packing.random_directions(256, 5, generator) for _ in range(8)], axis=1
    )
    kept: list[np.ndarray] = []
    since = 0
    for candidate in candidates.T:
        if all(abs(candidate @ other) <= 0.4 for other in kept):
            kept.append(candidate)
            since = 0
        else:
            since += 1
        if since == 300:
            break
    else:
        pytest.fail("the candidates drawn here do not suffice")
    W = packing.kept_directions(0.4, 5, rng(7), patience=300)
    np.testing.assert_allclose(W, np.stack(kept, axis=1))


@given(SEEDS, st.floats(0.2, 0.8), st.integers(1, 12))
def test_random_counts_stop_at_the_first_close_pair(seed, epsilon, m):
    count = packing.random_count(epsilon, m, rng(seed), most=64)
    drawn = packing.random_directions(64, m, rng(seed))
    assert coherence(drawn[:, :count]) <= epsilon
    if count < 64:
        assert coherence(drawn[:, : count + 1]) > epsilon


def test_random_counts_go_on_past_the_first_draw():
    assert packing.random_count(0.99, 60, rng(), most=300) == 300


@pytest.mark.parametrize(
    ("epsilon", "m", "count"),
    [
        (0.5, 2, 3),  # lines at 60°
        (1 / 3, 3, 4),  # the diagonals of the cube
        (1 / math.sqrt(5), 3, 6),  # the diagonals of the icosahedron
        (0.5, 4, 12),  # half of the 24-cell
        (0.01, 5, 5),  # an orthogonal frame
    ],
)
def test_moving_aside_finds_the_packings_that_are_known(epsilon, m, count):
    W = packing.crowded_directions(epsilon, m, rng(1), attempts=6)
    assert W.shape == (m, count)
    assert coherence(W) <= epsilon + packing.COS_TOLERANCE


def test_moving_aside_finds_more_than_keeping_does():
    start = packing.kept_directions(0.5, 6, rng(2))
    W = packing.crowded_directions(0.5, 6, rng(3), start)
    assert start.shape[1] < W.shape[1] <= packing.root_lines(6).shape[1]
    assert coherence(W) <= 0.5 + packing.COS_TOLERANCE
    capped = packing.crowded_directions(0.5, 6, rng(3), start, most=start.shape[1] + 2)
    assert capped.shape[1] == start.shape[1] + 2


@pytest.mark.parametrize(
    ("count", "m", "least"),
    [
        (4, 4, 0.0),  # orthogonal
        (3, 2, 0.5),
        (5, 4, 1 / 4),  # the simplex, as lines
        (4, 3, 1 / 3),
        (6, 3, 1 / math.sqrt(5)),  # icosahedron
        (16, 6, 1 / 3),  # 16 equiangular lines in 6 dimensions
    ],
)
def test_least_coherent_directions_are_the_packings_that_are_known(count, m, least):
    W = packing.least_coherent(count, m, rng(), restarts=6)
    assert coherence(W) == pytest.approx(least, abs=2e-3)
    assert coherence(W) >= welch_bound(count, m) - 1e-9


@pytest.mark.parametrize(
    ("count", "m", "least"),
    [
        (2, 2, -1.0),
        (5, 4, -1 / 4),  # simplex
        (8, 4, 0.0),  # antipodal pairs
        (5, 2, math.cos(math.radians(72))),
        (8, 3, (2 * math.sqrt(2) - 1) / 7),  # the square antiprism of Tammes's problem
        (12, 3, 1 / math.sqrt(5)),  # icosahedron, as points
    ],
)
def test_signed_least_coherent_directions_are_the_spherical_codes_that_are_known(count, m, least):
    W = packing.least_coherent(count, m, rng(), restarts=6, signed=True)
    assert packing.signed_coherence(W) == pytest.approx(least, abs=2e-3)


def test_one_direction_has_nothing_to_be_far_from():
    assert packing.least_coherent(1, 3, rng()).shape == (3, 1)


@pytest.mark.parametrize(
    ("m", "count"), [(2, 3), (3, 6), (4, 12), (5, 20), (6, 36), (7, 63), (8, 120)]
)
def test_root_systems_have_the_known_number_of_lines(m, count):
    W = packing.root_lines(m)
    assert W.shape == (m, count)
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1)
    cos = np.abs(W.T @ W)[np.triu_indices(count, 1)]
    assert set(np.round(cos, 9)) <= {0.0, 0.5}
    # All dimensions are used alike: a tight frame, which a wrong subset would not be.
    np.testing.assert_allclose(W @ W.T, np.eye(m) * count / m, atol=1e-9)


def test_root_systems_beyond_eight_dimensions_are_not_listed():
    with pytest.raises(ValueError, match="2 to 8 dimensions"):
        packing.root_lines(9)


def test_what_is_found_does_not_depend_on_the_basis_of_the_start():
    start = packing.kept_directions(0.5, 4, rng(2))
    turned = haar_rotations(1, 4, rng(3))[0] @ start
    assert coherence(turned) == pytest.approx(coherence(start))
    for W in (start, turned):
        assert packing.crowded_directions(0.5, 4, rng(4), W).shape[1] >= start.shape[1]


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -0.2])
def test_a_cosine_that_makes_no_sense_is_an_error(epsilon):
    for call in (
        lambda: packing.kept_directions(epsilon, 3, rng()),
        lambda: packing.crowded_directions(epsilon, 3, rng()),
        lambda: packing.random_count(epsilon, 3, rng()),
        lambda: packing.welch_count(epsilon, 3),
        lambda: packing.growth_dimensions(epsilon),
        lambda: packing.promised_dimension(5, epsilon),
    ):
        with pytest.raises(ValueError, match="between 0 and 1"):
            call()
    with pytest.raises(ValueError, match="at least 1 direction"):
        packing.promised_dimension(0, 0.5)


# Growth


@given(st.floats(-1, 3), st.floats(0.01, 0.5))
def test_an_exponential_is_recovered(a, b):
    m = np.arange(10, 30)
    counts = np.exp(np.maximum(a, 0) + b * m)
    fit = packing.growth_fit(m, counts)
    assert fit.slope == pytest.approx(b)
    assert fit.rms == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(fit.count(m), counts)
    assert packing.growth_fit(m, counts, "power").rms > fit.rms


@given(st.floats(0.5, 4))
def test_a_power_is_recovered(b):
    m = np.arange(2, 30)
    fit = packing.growth_fit(m, m**b, "power")
    assert fit.slope == pytest.approx(b)
    assert fit.rms == pytest.approx(0, abs=1e-9)
    assert fit.rms_on([100], [100.0**b * math.e]) == pytest.approx(1)
    assert packing.growth_fit(m, m**b).rms > fit.rms


def test_a_fit_is_the_regression_of_scipy():
    m = np.arange(3, 12)
    counts = np.exp(rng().normal(size=9)) + 2
    for kind, u in zip(packing.GROWTHS, (m, np.log(m)), strict=True):
        expected = linregress(u, np.log(counts))
        fit = packing.growth_fit(m, counts, kind)
        assert fit.slope == pytest.approx(expected.slope)
        assert fit.intercept == pytest.approx(expected.intercept)
        assert fit.rms_on(m, counts) == pytest.approx(fit.rms)
        assert fit.count(fit.dimension(7.0)) == pytest.approx(7.0)


@pytest.mark.parametrize(("m", "counts"), [([1, 2], [1, 2]), ([1, 2, 3], [0, 1, 2])])
def test_a_fit_needs_points(m, counts):
    with pytest.raises(ValueError, match="three or more dimensions"):
        packing.growth_fit(m, counts)


def test_growth_is_looked_for_between_one_and_six_over_epsilon_squared():
    assert packing.growth_dimensions(0.5).tolist() == [4, 7, 10, 13, 15, 18, 21, 24]
    counts = packing.kept_counts(0.5, [4, 8], rng(), runs=2)
    assert 4 <= counts[0] <= 12
    assert counts[1] > counts[0]
