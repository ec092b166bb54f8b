"""Distributions against samples, and against the joint distribution written out set by set."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from superposition.distributions import FeatureDistribution, enumerate_sets, independent

SEEDS = st.integers(0, 2**32 - 1)

EXAMPLES = {
    "independent": independent(4, 0.3),
    "dense": independent(3, 1.0),
    "never active": independent(3, 0.0),
    "unequal": FeatureDistribution((0.9, 0.5, 0.1, 0.02, 0.4)),
    "some sure": FeatureDistribution((1.0, 0.4, 0.0, 0.3)),
    "together": FeatureDistribution((0.3, 0.3, 0.2, 0.2), sets=((0, 1), (2, 3)), correlation=1.0),
    "apart": FeatureDistribution((0.3, 0.2, 0.3, 0.3), sets=((0, 2, 3),), correlation=-1.0),
    "often together": FeatureDistribution(
        (0.1, 0.4, 0.4, 0.4, 0.7), sets=((3, 1, 2),), correlation=0.6
    ),
    "often apart": FeatureDistribution((0.3,) * 4, sets=((0, 1), (2, 3)), correlation=-0.5),
    "apart, always one": FeatureDistribution((0.5, 0.5, 0.1), sets=((0, 1),), correlation=-1.0),
    "signed": FeatureDistribution((0.3, 0.6), low=-1.0, high=1.0),
    "offset": FeatureDistribution((0.3, 0.3), low=0.5, high=2.0, sets=((0, 1),), correlation=0.5),
}
examples = pytest.mark.parametrize("d", EXAMPLES.values(), ids=EXAMPLES)


def probabilities(d):
    """P(A) of every active set, from the definition: sets are drawn extreme or independent."""

    def of_block(block, active):
        p, c, on = d.densities[block[0]], d.correlation, len(active)
        alone = math.prod(p if i in active else 1 - p for i in block)
        if len(block) == 1:
            return alone
        if c >= 0:
            extreme = {0: 1 - p, len(block): p}.get(on, 0.0)
        else:
            extreme = {0: 1 - len(block) * p, 1: p}.get(on, 0.0)
        return abs(c) * extreme + (1 - abs(c)) * alone

    grouped = {i for group in d.sets for i in group}
    blocks = [*d.sets, *((i,) for i in range(d.n_features) if i not in grouped)]
    return {
        active: math.prod(of_block(block, set(block) & set(active)) for block in blocks)
        for size in range(d.n_features + 1)
        for active in itertools.combinations(range(d.n_features), size)
    }


def as_rows(sets, n):
    return np.array([[i in active for i in range(n)] for active in sets])


def frequencies(active):
    """Share of each active set among the rows (K, n)."""
    rows, counts = np.unique(active, axis=0, return_counts=True)
    shares = counts / len(active)
    return {tuple(np.flatnonzero(r)): s for r, s in zip(rows, shares, strict=True)}


def assert_frequencies(active, expected):
    """Every set within five standard errors of its probability, and none that is impossible."""
    seen, count = frequencies(active), len(active)
    assert all(expected[group] > 0 for group in seen)
    for group, p in expected.items():
        assert abs(seen.get(group, 0.0) - p) <= 5 * math.sqrt(p * (1 - p) / count) + 1e-12


@st.composite
def distributions(draw, most=6):
    n = draw(st.integers(1, most))
    density = st.floats(0, 1, allow_subnormal=False)
    densities = [draw(density) for _ in range(n)]
    order = draw(st.permutations(range(n)))
    sets = []
    for start in range(0, n - 1, 3):
        group = tuple(order[start : start + draw(st.integers(1, 3))])
        for i in group:
            densities[i] = densities[group[0]]
        sets.append(group)
    crowded = any(len(group) * densities[group[0]] > 1 for group in sets)
    correlation = draw(st.floats(0 if crowded else -1, 1))
    low = draw(st.sampled_from([-1.0, 0.0, 0.5]))
    return FeatureDistribution(tuple(densities), low, 1.0, tuple(sets), correlation)


# Which features are active


@examples
def test_set_probabilities_are_those_of_the_definition(d):
    expected = probabilities(d)
    computed = d.set_probability(as_rows(expected, d.n_features))
    np.testing.assert_allclose(computed, list(expected.values()), atol=1e-15)
    assert computed.sum() == pytest.approx(1)


@examples
def test_samples_have_these_set_probabilities(d):
    x = d.sample(60_000, np.random.default_rng(0))
    assert_frequencies(x != 0, probabilities(d))


@given(distributions())
def test_probabilities_are_a_distribution_with_the_given_margins(d):
    active = enumerate_sets(d.n_features, range(d.n_features + 1))
    probability = d.set_probability(active)
    assert (probability >= -1e-15).all()
    assert probability.sum() == pytest.approx(1)
    np.testing.assert_allclose(probability @ active, d.densities, atol=1e-12)
    np.testing.assert_allclose(
        (probability[:, None] * active).T @ active, d.pair_probability(), atol=1e-12
    )
    counts = np.bincount(active.sum(1), probability, minlength=d.n_features + 1)
    np.testing.assert_allclose(d.count_probability(), counts, atol=1e-12)


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (7, 0.2), (40, 0.05), (5, 1.0)])
def test_the_count_of_independent_features_is_binomial(n, p):
    expected = stats.binom.pmf(np.arange(n + 1), n, p)
    np.testing.assert_allclose(independent(n, p).count_probability(), expected, atol=1e-12)


@pytest.mark.parametrize("c", [-1.0, -0.4, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("p", [0.05, 0.3, 0.5])
def test_the_correlation_of_a_pair(c, p):
    d = FeatureDistribution((p, p, 0.2), sets=((0, 1),), correlation=c)
    both = d.pair_probability()[0, 1]
    indicator = (both - p * p) / (p * (1 - p))
    assert indicator == pytest.approx(c if c >= 0 else c * p / (1 - p))
    assert d.pair_probability()[0, 2] == pytest.approx(0.2 * p)


# Active sets of a given size


@examples
def test_sets_of_a_given_size_have_the_conditional_law(d):
    every = probabilities(d)
    rng = np.random.default_rng(1)
    for k in range(d.n_features + 1):
        of_size = {group: p for group, p in every.items() if len(group) == k}
        total = sum(of_size.values())
        if total < 1e-12:
            continue
        active = d.active_given_count(np.full(20_000, k), rng)
        assert (active.sum(1) == k).all()
        assert_frequencies(active, {group: p / total for group, p in of_size.items()})


@given(distributions(), SEEDS)
def test_sets_have_the_size_asked_for_and_are_possible(d, seed):
    rng = np.random.default_rng(seed)
    possible = np.flatnonzero(d.count_probability() > 1e-9)
    counts = rng.choice(possible, 20)
    active = d.active_given_count(counts, rng)
    assert (active.sum(1) == counts).all()
    assert (d.set_probability(active) > 0).all()


@pytest.mark.parametrize("name", ["independent", "dense", "unequal", "apart", "some sure"])
def test_an_impossible_size_is_an_error(name):
    d = EXAMPLES[name]
    impossible = [-1, d.n_features + 1, *np.flatnonzero(d.count_probability() == 0)]
    for k in impossible:
        with pytest.raises(ValueError, match="probability zero"):
            d.active_given_count(np.array([k]), np.random.default_rng(0))


def test_mixed_sizes_come_back_row_by_row():
    counts = np.array([0, 3, 1, 2, 4, 0])
    active = independent(4, 0.1).active_given_count(counts, np.random.default_rng(0))
    assert (active.sum(1) == counts).all()


@pytest.mark.parametrize("sizes", [range(5), [0], [2], [4, 1]])
def test_enumeration_lists_every_set_of_the_sizes_once(sizes):
    active = enumerate_sets(4, sizes)
    assert len({tuple(row) for row in active}) == len(active)
    assert len(active) == sum(math.comb(4, k) for k in sizes)
    assert set(active.sum(1)) == set(sizes)


# Values


@examples
def test_active_features_are_uniform_and_independent_of_the_rest(d):
    x = d.sample(40_000, np.random.default_rng(2))
    for i in range(d.n_features):
        values = x[:, i][x[:, i] != 0]
        if len(values) == 0:
            continue
        uniform = stats.uniform(d.low, d.high - d.low)
        assert stats.kstest(values, uniform.cdf).pvalue > 1e-5
        # What else is active says nothing about the value.
        others = (x[x[:, i] != 0] != 0).sum(1)
        if others.std() > 0:
            r = np.corrcoef(values, others)[0, 1]
            assert abs(r) < 5 / math.sqrt(len(values))


@examples
def test_moments_match_samples(d):
    x = d.sample(100_000, np.random.default_rng(3))
    products = x[:, :, None] * x[:, None, :]
    error = 5 / math.sqrt(len(x))
    assert (abs(x.mean(0) - d.mean()) <= error * x.std(0) + 1e-12).all()
    assert (abs(products.mean(0) - d.second_moment()) <= error * products.std(0) + 1e-12).all()


@given(distributions())
def test_moments_are_those_of_the_active_sets(d):
    """E[x xᵀ] as a sum over active sets, each with independent uniform values."""
    middle, square = (d.low + d.high) / 2, (d.low**2 + d.low * d.high + d.high**2) / 3
    mean, second = np.zeros(d.n_features), np.zeros((d.n_features, d.n_features))
    for group, p in probabilities(d).items():
        on = np.isin(np.arange(d.n_features), group)
        mean += p * on * middle
        pairs = np.outer(on, on) * middle**2
        np.fill_diagonal(pairs, on * square)
        second += p * pairs
    np.testing.assert_allclose(d.mean(), mean, atol=1e-12)
    np.testing.assert_allclose(d.second_moment(), second, atol=1e-12)


def test_the_same_generator_gives_the_same_inputs():
    d = EXAMPLES["often together"]
    one, other = (d.sample(50, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert d.sample(0, np.random.default_rng(0)).shape == (0, 5)


# The declaration


@examples
def test_a_distribution_survives_json(d):
    assert FeatureDistribution.from_dict(json.loads(json.dumps(d.to_dict()))) == d


def test_which_distributions_are_exchangeable():
    expected = {"independent", "dense", "never active"}
    assert {name for name, d in EXAMPLES.items() if d.is_exchangeable} == expected
    assert FeatureDistribution((0.2, 0.2), sets=((0, 1),), correlation=0.0).is_exchangeable


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"densities": ()}, "densities is empty"),
        ({"densities": (0.5, 1.2)}, r"expected each in \[0, 1\]"),
        ({"densities": (-0.1,)}, r"expected each in \[0, 1\]"),
        ({"densities": (math.nan,)}, r"expected each in \[0, 1\]"),
        ({"low": 1.0, "high": 1.0}, "expected low < high"),
        ({"low": 2.0}, "expected low < high"),
        ({"low": math.nan}, "expected finite"),
        ({"high": math.inf}, "expected finite"),
        ({"correlation": 1.5}, "expected -1 to 1"),
        ({"correlation": math.nan}, "expected -1 to 1"),
        ({"sets": ((0, 1), (1, 2))}, "overlap"),
        ({"sets": ((0, 0),)}, "overlap"),
        ({"sets": ((0, 3),)}, "outside 0 to 2"),
        ({"sets": ((-1, 0),)}, "outside 0 to 2"),
        ({"sets": ((),)}, "empty"),
        ({"densities": (0.1, 0.2, 0.3), "sets": ((0, 1),)}, "expected equal densities"),
        ({"densities": (0.6,) * 3, "sets": ((0, 1),), "correlation": -0.1}, "one at a time"),
    ],
)
def test_bad_declarations_say_what_is_wrong(settings, message):
    with pytest.raises(ValueError, match=message):
        FeatureDistribution(**{"densities": (0.3,) * 3, **settings})


# Small values that count as off


@given(st.floats(0, 1), st.floats(0, 1))
def test_off_probability_on_the_unit_interval(density, threshold):
    closed = (1 - density) + density * threshold
    for low in (0.0, -1.0):
        found = independent(2, density, low, 1.0).off_probability(threshold)
        np.testing.assert_allclose(found, [closed, closed], atol=1e-12)


@given(st.floats(0, 1), st.floats(-2, 1.9), st.floats(0.05, 3), st.floats(0, 3), st.integers(0, 99))
def test_off_probability_is_the_share_of_samples(density, low, width, threshold, seed):
    d = independent(1, density, low, low + width)
    x = d.sample(2000, np.random.default_rng(seed))[:, 0]
    exact = float(d.off_probability(threshold)[0])
    # Bernstein's inequality at one in a billion, so that no draw of hypothesis fails by chance.
    margin = np.sqrt(2 * exact * (1 - exact) * 21 / 2000) + 2 * 21 / (3 * 2000)
    assert abs(np.mean(np.abs(x) <= threshold) - exact) <= margin


@examples
def test_off_probability_at_zero_is_sparsity(d):
    np.testing.assert_allclose(d.off_probability(), 1 - np.asarray(d.densities))
    np.testing.assert_allclose(d.off_probability(10.0), 1.0)


@pytest.mark.parametrize("threshold", [-0.1, float("nan")])
def test_off_probability_refuses_what_is_no_threshold(threshold):
    with pytest.raises(ValueError, match="expected 0 or more"):
        independent(2, 0.5).off_probability(threshold)
