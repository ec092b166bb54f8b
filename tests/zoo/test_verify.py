from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from superposition.expectation import linear_expected_loss
from superposition.families import FAMILIES
from zoo.measures import measure
from zoo.reading import Zoo
from zoo.specs import ModelSpec
from zoo.verify import check_loss, check_losses, monte_carlo_loss, stale_measure


def random_linear(spec: ModelSpec) -> tuple[dict[str, np.ndarray], float]:
    """Weights of a linear model, and the expected loss from the moments of its data."""
    rng = np.random.default_rng(spec.n_features)
    W = rng.normal(size=(spec.n_hidden, spec.n_features)) / math.sqrt(spec.n_hidden)
    parameters = {"W": W, "b": rng.normal(size=spec.n_features) * 0.02}
    data = spec.distribution
    loss = linear_expected_loss(
        {name: values[None] for name, values in parameters.items()},
        data.mean()[None],
        data.second_moment()[None],
        spec.importances[None],
    )
    return parameters, float(loss[0])


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec("linear", 5, 2, 1.0),
        ModelSpec("linear", 5, 2, 0.001, importance_decay=0.9),
        ModelSpec("linear", 16, 8, 0.001),
        ModelSpec("linear", 80, 20, 0.003, importance_decay=0.9),
        ModelSpec("linear", 5, 4, 0.05, rare_ratio=0.001),
        ModelSpec("linear", 5, 4, 0.05, rare_ratio=0.0),
        ModelSpec("linear", 8, 4, 0.1, correlation=1.0, set_size=2),
        ModelSpec("linear", 8, 4, 0.1, correlation=-1.0, set_size=2),
        ModelSpec("linear", 8, 4, 0.1, correlation=0.0, set_size=2),
    ],
    ids=lambda spec: spec.setting,
)
def test_the_estimate_agrees_with_the_closed_form(spec: ModelSpec) -> None:
    parameters, loss = random_linear(spec)
    found = monte_carlo_loss(spec, parameters, np.random.default_rng(0), fewest=60_000)
    assert abs(found.loss - loss) < 4.5 * found.standard_error
    assert found.standard_error < 0.05 * loss


def test_a_loss_from_features_that_meet_is_found_at_low_density() -> None:
    # Antipodal pairs are exact on one active feature: all the loss is in pairs that meet,
    # which plain sampling at this density would see a dozen times in a million.
    p, pairs = 0.001, 3
    spec = ModelSpec("relu-output", 2 * pairs, pairs, p)
    W = np.kron(np.eye(pairs), [[1.0, -1.0]])
    parameters = {"W": W, "b": np.zeros(2 * pairs)}
    found = monte_carlo_loss(spec, parameters, np.random.default_rng(0))
    # Each pair: x, z uniform, outputs ReLU(x - z), ReLU(z - x): error 2 min(x, z)², and
    # E min² = 1/6.
    loss = pairs * p * p * 2 / 6
    assert abs(found.loss - loss) < 4.5 * found.standard_error
    assert found.standard_error < 0.05 * loss


def test_the_standard_error_is_one() -> None:
    spec = ModelSpec("linear", 4, 2, 0.05)
    parameters, loss = random_linear(spec)
    scores = []
    for seed in range(200):
        found = monte_carlo_loss(
            spec, parameters, np.random.default_rng(seed), fewest=2_000, most=2_000
        )
        scores.append((found.loss - loss) / found.standard_error)
    # 200 standard normal draws: a mean off by 0.3 or a spread off by 0.25 is over 4 σ.
    assert abs(np.mean(scores)) < 0.3
    assert 0.75 < np.std(scores) < 1.25


def test_the_number_of_samples_is_bounded() -> None:
    spec = ModelSpec("linear", 4, 2, 0.5)
    parameters, _ = random_linear(spec)
    rng = np.random.default_rng(0)
    most = monte_carlo_loss(spec, parameters, rng, relative_error=1e-9, fewest=999, most=3_000)
    assert most.samples == 3_000
    fewest = monte_carlo_loss(spec, parameters, rng, relative_error=1.0, fewest=999, most=3_000)
    assert fewest.samples == 999


def test_a_model_of_nothing_is_estimated_exactly() -> None:
    spec = ModelSpec("relu-output", 3, 2, 1e-6, rare_ratio=0.0)
    parameters = {"W": np.zeros((2, 3)), "b": np.array([0.5, 0.0, 0.0])}
    found = monte_carlo_loss(spec, parameters, np.random.default_rng(0), most=10_000)
    assert found.loss == pytest.approx(0.25, rel=1e-5)


def test_right_losses_agree_and_wrong_ones_differ(zoo: Zoo) -> None:
    rng = np.random.default_rng(1)
    for model_id in zoo.table["model_id"][::5]:
        model = zoo.model(model_id)
        check = check_loss(model, rng)
        assert check.verdict == "agrees", str(check)
        for factor in (0.8, 1.25):
            wrong = replace(model, record={**model.record, "loss": factor * check.stored})
            assert check_loss(wrong, rng).verdict == "differs"


def test_too_few_events_decide_nothing(zoo: Zoo) -> None:
    # Sets that depend on each other are sampled plainly, here almost always all zeros.
    spec = ModelSpec("relu-output", 2, 1, 1e-6, correlation=0.5, set_size=2)
    parameters = {"W": np.zeros((1, 2), np.float32), "b": np.zeros(2, np.float32)}
    model = zoo.model(zoo.table["model_id"][0])
    record = {**model.record, "loss": 2 * 1e-6 / 3, "loss_standard_error": 0.0}
    rare = replace(model, spec=spec, parameters=parameters, record=record)
    check = check_loss(rare, np.random.default_rng(0))
    assert check.verdict == "undecided"
    assert check.estimate.samples == 400_000


def test_models_are_drawn_once_and_by_the_seed(zoo: Zoo) -> None:
    one = [check.model_id for check in check_losses(zoo, 7, seed=1)]
    assert len(set(one)) == 7
    assert one == [check.model_id for check in check_losses(zoo, 7, seed=1)]
    assert one != [check.model_id for check in check_losses(zoo, 7, seed=2)]
    assert list(check_losses(zoo, 0)) == []


def test_measures_that_no_longer_are_the_definition(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = zoo.grid("tiny-absolute")
    assert stale_measure(view) is None
    for column, changed in (
        ("kurtosis", lambda values: values + 0.01),
        ("features_represented", lambda values: values + 1),
        ("solution", lambda values: np.char.add(values, "s")),
        ("monosemantic_share", lambda values: np.where(values >= 0, np.nan, values)),
    ):
        monkeypatch.setattr(
            "zoo.verify.measure",
            lambda family, parameters, column=column, changed=changed: {
                **(found := measure(family, parameters)),
                column: changed(found[column]),
            },
        )
        sentence = stale_measure(view)
        assert sentence is not None
        assert f"stored {column}" in sentence


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("family", FAMILIES)
def test_measures_of_models_that_learned_nothing(family: str) -> None:
    shapes = FAMILIES[family].parameter_shapes(4, 3)
    found = measure(FAMILIES[family], {k: np.zeros((2, *s)) for k, s in shapes.items()})
    for name, values in found.items():
        assert values.shape == (2,)
        neurons = name in ("features_per_neuron", "monosemantic_share")
        if values.dtype.kind == "f" and not (neurons and not FAMILIES[family].has_neurons):
            assert not np.isnan(values).any()
    assert (found["features_represented"] == 0).all()
    assert (found["solution"] == "nothing").all()
    assert np.isinf(found["dimensions_per_feature"]).all()
