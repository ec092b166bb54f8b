"""Families against a plain re-implementation with loops, and NumPy against torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from superposition.families import FAMILIES, family

SEEDS = st.integers(0, 2**32 - 1)
each_family = pytest.mark.parametrize("name", FAMILIES)


def random_parameters(name, n, m, rng, batch=()):
    shapes = FAMILIES[name].parameter_shapes(n, m)
    return {key: rng.standard_normal((*batch, *shape)) for key, shape in shapes.items()}


def random_inputs(n, rng, shape=()):
    x = rng.uniform(-1, 1, (*shape, n))
    return np.where(rng.random(x.shape) < 0.5, x, 0.0)


def by_hand(name, parameters, x):
    """One model, one input: every sum written out."""
    if name == "absolute-value":
        W_in, W_out = parameters["W_in"], parameters["W_out"]
    else:
        W_in, W_out = parameters["W"], parameters["W"].T
    m, n = W_in.shape
    hidden = []
    for k in range(m):
        h = sum(W_in[k, i] * x[i] for i in range(n))
        hidden.append(max(h, 0.0) if name in ("relu-hidden", "absolute-value") else h)
    outputs = []
    for i in range(n):
        y = sum(W_out[i, k] * hidden[k] for k in range(m)) + parameters["b"][i]
        outputs.append(y if name == "linear" else max(y, 0.0))
    return np.array(hidden), np.array(outputs)


@each_family
@given(seed=SEEDS, n=st.integers(1, 6), m=st.integers(1, 5))
def test_each_map_is_what_its_formula_says(name, seed, n, m):
    rng = np.random.default_rng(seed)
    model, parameters = FAMILIES[name], random_parameters(name, n, m, rng)
    x = random_inputs(n, rng, (3,))
    h, y = model.hidden(parameters, x), model.forward(parameters, x)
    for row in range(3):
        expected_h, expected_y = by_hand(name, parameters, x[row])
        np.testing.assert_allclose(h[row], expected_h, atol=1e-12)
        np.testing.assert_allclose(y[row], expected_y, atol=1e-12)
    np.testing.assert_array_equal(model.decode(parameters, h), y)


# Batches of models, and of inputs that broadcast against them
SHAPES = st.sampled_from(
    [
        ((), ()),
        ((4,), ()),
        ((4,), (4,)),
        ((4,), (1,)),
        ((2, 3), ()),
        ((2, 3), (3,)),
        ((2, 1), (2, 3)),
        ((), (5,)),
        ((0,), ()),
    ]
)


@each_family
@given(seed=SEEDS, shapes=SHAPES, n=st.integers(1, 5), m=st.integers(1, 4), N=st.integers(0, 4))
def test_a_batch_is_its_models_one_by_one(name, seed, shapes, n, m, N):
    rng = np.random.default_rng(seed)
    models, inputs = shapes
    model, parameters = FAMILIES[name], random_parameters(name, n, m, rng, models)
    x = random_inputs(n, rng, (*inputs, N))
    batch = np.broadcast_shapes(models, inputs)
    y = model.forward(parameters, x)
    assert y.shape == (*batch, N, n)
    assert model.hidden(parameters, x).shape == (*batch, N, m)
    wide = {
        key: np.broadcast_to(values, (*batch, *values.shape[len(models) :]))
        for key, values in parameters.items()
    }
    every_x = np.broadcast_to(x, (*batch, N, n))
    for at in np.ndindex(batch):
        alone = model.forward({key: values[at] for key, values in wide.items()}, every_x[at])
        np.testing.assert_allclose(y[at], alone, atol=1e-12)


@each_family
@given(seed=SEEDS, shapes=SHAPES, n=st.integers(1, 5), m=st.integers(1, 4), columns=st.booleans())
def test_torch_computes_what_numpy_computes(name, seed, shapes, n, m, columns):
    """On the same numbers, whichever axis of the inputs is the last in memory."""
    rng = np.random.default_rng(seed)
    models, inputs = shapes
    model, parameters = FAMILIES[name], random_parameters(name, n, m, rng, models)
    x = random_inputs(n, rng, (*inputs, 3))
    tensors = {key: torch.tensor(values) for key, values in parameters.items()}
    x_tensor = torch.tensor(x.mT.copy()).mT if columns else torch.tensor(x)
    for of_numpy, of_torch in (
        (model.hidden(parameters, x), model.hidden(tensors, x_tensor)),
        (model.forward(parameters, x), model.forward(tensors, x_tensor)),
        (model.target(x), model.target(x_tensor)),
        (model.encoder(parameters), model.encoder(tensors)),
    ):
        assert isinstance(of_torch, torch.Tensor)
        np.testing.assert_allclose(of_numpy, of_torch.numpy(), atol=1e-12)


@each_family
def test_single_precision_stays_single_precision(name):
    rng = np.random.default_rng(0)
    parameters = random_parameters(name, 4, 2, rng)
    single = {key: values.astype(np.float32) for key, values in parameters.items()}
    x = random_inputs(4, rng, (6,))
    y = FAMILIES[name].forward(single, x.astype(np.float32))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, FAMILIES[name].forward(parameters, x), atol=1e-5)


@each_family
def test_torch_gradients_are_finite_differences(name):
    rng = np.random.default_rng(1)
    model, parameters = FAMILIES[name], random_parameters(name, 3, 2, rng)
    x = torch.tensor(random_inputs(3, rng, (8,)))
    tensors = {key: torch.tensor(values, requires_grad=True) for key, values in parameters.items()}
    assert torch.autograd.gradcheck(
        lambda *values: model.forward(dict(zip(tensors, values, strict=True)), x),
        tuple(tensors.values()),
    )


@each_family
def test_targets_and_value_ranges(name):
    x = np.array([[-0.5, 0.0, 0.25]])
    expected = [[0.5, 0.0, 0.25]] if name == "absolute-value" else x
    np.testing.assert_array_equal(FAMILIES[name].target(x), expected)
    low, high = FAMILIES[name].value_range
    assert (low, high) == ((-1.0, 1.0) if name == "absolute-value" else (0.0, 1.0))


@each_family
def test_shapes_and_what_they_say_of_the_family(name):
    model = family(name)
    assert model.name == name
    shapes = model.parameter_shapes(7, 3)
    expected = {"W": (3, 7), "b": (7,)} if model.tied else None
    assert shapes == (expected or {"W_in": (3, 7), "W_out": (7, 3), "b": (7,)})
    assert model.encoder({key: np.zeros(shape) for key, shape in shapes.items()}).shape == (3, 7)
    assert model.has_neurons == (name in ("relu-hidden", "absolute-value"))


def test_neurons_are_what_does_not_survive_a_rotation():
    """Only where the hidden space passes no nonlinearity can it be turned unnoticed."""
    rng = np.random.default_rng(2)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    x = random_inputs(5, rng, (50,))
    for model in FAMILIES.values():
        parameters = random_parameters(model.name, 5, 3, rng)
        if model.tied:
            turned = {**parameters, "W": turn @ parameters["W"]}
        else:
            turned = {
                **parameters,
                "W_in": turn @ parameters["W_in"],
                "W_out": parameters["W_out"] @ turn.T,
            }
        same = np.allclose(model.forward(parameters, x), model.forward(turned, x))
        assert same != model.has_neurons


def test_an_unknown_family_names_those_there_are():
    with pytest.raises(KeyError, match="'gelu'; the families are linear, relu-output"):
        family("gelu")
