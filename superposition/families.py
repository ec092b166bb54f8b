"""Model families: what a toy model computes, written once for NumPy and torch.

Every forward pass uses only operations that NumPy arrays and torch tensors share
(`@`, `.mT`, `+`, `abs`, and a ReLU), so that a page, a test and the trainer cannot
disagree about what a model is. Parameters may carry any leading batch of
models, and the inputs any leading batch that broadcasts against it.

Shapes, with `n` features and `m` hidden dimensions:

| name    | shape    | families                              |
| ------- | -------- | ------------------------------------- |
| `W`     | (…, m, n) | `linear`, `relu-output`, `relu-hidden` |
| `W_in`  | (…, m, n) | `absolute-value`                       |
| `W_out` | (…, n, m) | `absolute-value`                       |
| `b`     | (…, n)    | all                                    |
| `x`     | (…, N, n) | N inputs                               |

Source: "Toy Models of Superposition" (Elhage et al., 2022), sections
"Demonstrating Superposition", "Superposition in a Privileged Basis" and
"Computation in Superposition".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# An array is a NumPy array or a torch tensor; this package must not import torch.
Array = Any
Parameters = Mapping[str, Array]


def _relu(z: Array) -> Array:
    # torch's own has a gradient several times faster than that of `clip`.
    return z.relu() if hasattr(z, "relu") else z.clip(min=0)


def _map(matrix: Array, x: Array) -> Array:
    """The matrix (…, q, r) applied to every row of x (…, N, r): (…, N, q).

    Written on columns: with many inputs and few features, a batch of matrix products runs
    several times faster when the long axis is the last in memory. So the fastest `x` is the
    `.mT` of a contiguous (…, r, N), and so is then every result up to the output.
    """
    return (matrix @ x.mT).mT


def _linear_hidden(parameters: Parameters, x: Array) -> Array:
    return _map(parameters["W"], x)


def _relu_hidden(parameters: Parameters, x: Array) -> Array:
    return _relu(_map(parameters["W"], x))


def _untied_hidden(parameters: Parameters, x: Array) -> Array:
    return _relu(_map(parameters["W_in"], x))


def _tied_decode(parameters: Parameters, h: Array) -> Array:
    return _map(parameters["W"].mT, h) + parameters["b"][..., None, :]


def _tied_decode_relu(parameters: Parameters, h: Array) -> Array:
    return _relu(_tied_decode(parameters, h))


def _untied_decode_relu(parameters: Parameters, h: Array) -> Array:
    return _relu(_map(parameters["W_out"], h) + parameters["b"][..., None, :])


def _identity(x: Array) -> Array:
    return x


def _absolute(x: Array) -> Array:
    return abs(x)


@dataclass(frozen=True)
class Family:
    """One architecture: its two halves, its target, and the data it is meant for.

    Attributes:
        name: the id used in model ids and index columns.
        summary: the map in one line, for tables and hover texts.
        tied: whether one matrix `W` serves both directions.
        has_neurons: whether the hidden space passes an element-wise nonlinearity,
            and so has a privileged basis.
        value_range: the interval on which active features are uniform.
    """

    name: str
    summary: str
    tied: bool
    has_neurons: bool
    value_range: tuple[float, float]
    _hidden: Callable[[Parameters, Array], Array]
    _decode: Callable[[Parameters, Array], Array]
    _target: Callable[[Array], Array]

    def parameter_shapes(self, n_features: int, n_hidden: int) -> dict[str, tuple[int, ...]]:
        """Tensor name -> shape of one model's parameter."""
        if self.tied:
            return {"W": (n_hidden, n_features), "b": (n_features,)}
        return {
            "W_in": (n_hidden, n_features),
            "W_out": (n_features, n_hidden),
            "b": (n_features,),
        }

    def hidden(self, parameters: Parameters, x: Array) -> Array:
        """Hidden activations h (…, N, m) of the inputs `x` (…, N, n)."""
        return self._hidden(parameters, x)

    def decode(self, parameters: Parameters, h: Array) -> Array:
        """Outputs y' (…, N, n) of the hidden activations `h` (…, N, m)."""
        return self._decode(parameters, h)

    def forward(self, parameters: Parameters, x: Array) -> Array:
        """Outputs y' (…, N, n) of the inputs `x` (…, N, n)."""
        return self._decode(parameters, self._hidden(parameters, x))

    def target(self, x: Array) -> Array:
        """What the outputs should be, (…, N, n)."""
        return self._target(x)

    def encoder(self, parameters: Parameters) -> Array:
        """The matrix (…, m, n) whose column i is the direction of feature i."""
        return parameters["W" if self.tied else "W_in"]


LINEAR = Family(
    "linear",
    "y' = WᵀWx + b",
    tied=True,
    has_neurons=False,
    value_range=(0.0, 1.0),
    _hidden=_linear_hidden,
    _decode=_tied_decode,
    _target=_identity,
)
RELU_OUTPUT = Family(
    "relu-output",
    "y' = ReLU(WᵀWx + b)",
    tied=True,
    has_neurons=False,
    value_range=(0.0, 1.0),
    _hidden=_linear_hidden,
    _decode=_tied_decode_relu,
    _target=_identity,
)
RELU_HIDDEN = Family(
    "relu-hidden",
    "h = ReLU(Wx), y' = ReLU(Wᵀh + b)",
    tied=True,
    has_neurons=True,
    value_range=(0.0, 1.0),
    _hidden=_relu_hidden,
    _decode=_tied_decode_relu,
    _target=_identity,
)
ABSOLUTE_VALUE = Family(
    "absolute-value",
    "h = ReLU(Wᵢₙ x), y' = ReLU(Wₒᵤₜ h + b), target |x|",
    tied=False,
    has_neurons=True,
    value_range=(-1.0, 1.0),
    _hidden=_untied_hidden,
    _decode=_untied_decode_relu,
    _target=_absolute,
)

FAMILIES: dict[str, Family] = {
    family.name: family for family in (LINEAR, RELU_OUTPUT, RELU_HIDDEN, ABSOLUTE_VALUE)
}


def family(name: str) -> Family:
    """The family called `name`.

    Raises:
        KeyError: if there is none; the message lists those there are.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        known = ", ".join(FAMILIES)
        raise KeyError(f"unknown model family {name!r}; the families are {known}") from None
