"""Is the zoo what it says? Files, shapes, values, and the losses by an independent estimate.

The stored losses come from a computed expectation. Here they are held against plain
sampling: inputs drawn from the model's distribution, its forward pass, its mean error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlog1py, xlogy

from superposition.distributions import FeatureDistribution
from zoo.measures import measure
from zoo.reading import GridView, Zoo
from zoo.records import Model
from zoo.specs import ModelSpec

Floats = NDArray[np.float64]

# A stored loss is a mismatch if it differs from the estimate by more than this many
# standard errors (of the two together) and the tolerance below. For a normal estimate
# that is a false alarm in less than one of a million models.
STANDARD_ERRORS = 5.0

# What each way of computing a loss may be wrong by, relative to the loss, beyond its own
# standard error: rounding of float32 weights, and the rule of integration.
RELATIVE_TOLERANCE = {"exact": 1e-4, "quadrature": 5e-3, "stratified": 1e-4}
ABSOLUTE_TOLERANCE = 1e-10

# Below this many effective samples in its variance an estimate is not normal, and says
# nothing either way.
FEWEST_EFFECTIVE = 50

Verdict = Literal["agrees", "differs", "undecided"]


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate of a loss.

    Attributes:
        loss, standard_error: the estimate.
        samples: how many inputs it took.
        effective: (Σ d²)² / Σ d⁴ of the deviations d: how many samples the standard
            error itself rests on; 0 if none differs from the others.
    """

    loss: float
    standard_error: float
    samples: int
    effective: float


@dataclass(frozen=True)
class LossCheck:
    """A stored loss beside its estimate.

    Attributes:
        tolerance: the largest difference that is not a mismatch.
    """

    model_id: str
    stored: float
    estimate: Estimate
    tolerance: float
    verdict: Verdict

    def __str__(self) -> str:
        return (
            f"{self.model_id}: stored loss {self.stored:.6g}, Monte Carlo "
            f"{self.estimate.loss:.6g} ± {self.estimate.standard_error:.2g} from "
            f"{self.estimate.samples:,} inputs; allowed difference {self.tolerance:.2g}"
        )


def monte_carlo_loss(
    spec: ModelSpec,
    parameters: Mapping[str, NDArray[Any]],
    rng: np.random.Generator,
    *,
    relative_error: float = 0.01,
    fewest: int = 30_000,
    most: int = 400_000,
) -> Estimate:
    """The loss E Σ_i I_i (y_i - y'_i)² of one model, by sampling its data.

    Sparse data is mostly zeros, and the loss may come from the rare inputs in which two
    features meet. So independent features are also drawn at higher densities, and each
    input is weighted by its probability under the data over its probability under the
    mixture drawn from (Veach & Guibas, 1995, the balance heuristic). A pilot run decides
    the number of samples and is then thrown away.

    Args:
        relative_error: standard error aimed at, relative to the loss.
        fewest, most: bounds on the number of inputs.
    """
    mixture = _mixture(spec.distribution)
    pilot = _deviations(spec, parameters, mixture, fewest // 3, rng)
    target = relative_error * max(abs(pilot.loss), ABSOLUTE_TOLERANCE)
    needed = pilot.samples * (pilot.standard_error / target) ** 2
    if pilot.effective < FEWEST_EFFECTIVE:  # it met too few of the inputs that matter to judge
        needed = most
    return _deviations(spec, parameters, mixture, int(min(max(needed, fewest), most)), rng)


def check_loss(model: Model, rng: np.random.Generator) -> LossCheck:
    """Hold the stored loss of `model` against `monte_carlo_loss`."""
    stored = float(model.record["loss"])
    own_error = float(model.record["loss_standard_error"])
    estimate = monte_carlo_loss(model.spec, model.parameters, rng)
    allowed = RELATIVE_TOLERANCE[model.record["loss_method"]] * stored + ABSOLUTE_TOLERANCE
    tolerance = STANDARD_ERRORS * math.hypot(estimate.standard_error, own_error) + allowed
    verdict: Verdict = "agrees" if abs(stored - estimate.loss) <= tolerance else "differs"
    if estimate.effective < FEWEST_EFFECTIVE:
        verdict = "undecided"
    return LossCheck(model.model_id, stored, estimate, tolerance, verdict)


def check_losses(zoo: Zoo, sample: int, seed: int = 0) -> Iterator[LossCheck]:
    """`check_loss` for `sample` models drawn at random from the whole zoo, without repeats.

    One after the other, so that the caller can stop at the first that differs.
    """
    rng = np.random.default_rng(seed)
    ids = [spec.model_id(name) for name in zoo.grids for spec in zoo.grid(name).declaration]
    chosen = rng.choice(len(ids), size=min(sample, len(ids)), replace=False)
    for position in np.sort(chosen):
        yield check_loss(zoo.model(ids[position]), rng)


def stale_measure(view: GridView) -> str | None:
    """Which stored measure of a grid is not that of its weights: a sentence, or None.

    They differ where a definition has changed since the grid was written.
    """
    for _, rows in view.table.groupby("stack", sort=False):
        spec = view.declaration.models[int(rows.index[0])]
        computed = measure(spec.model_family, view.parameters(rows))
        for name, values in computed.items():
            stored = rows[name].to_numpy()
            if values.dtype.kind == "f":
                same = np.isclose(stored, values, rtol=1e-4, atol=1e-5, equal_nan=True)
            else:
                same = np.asarray(stored == values)
            if not same.all():
                first = int(np.flatnonzero(~same)[0])
                return (
                    f"{rows['model_id'].iloc[first]}: stored {name} {stored[first]}, "
                    f"measured on the weights {values[first]}"
                )
    return None


def _mixture(distribution: FeatureDistribution) -> list[FeatureDistribution]:
    """The distribution itself, and denser versions of it that are worth drawing from."""
    if distribution.sets and distribution.correlation:
        return [distribution]
    n = distribution.n_features
    mixture = [replace(distribution, sets=(), correlation=0.0)]
    for mean_active in (1.0, 2.5):
        floor = min(mean_active / n, 0.5)
        densities = tuple(max(p, floor) for p in distribution.densities)
        if densities != mixture[-1].densities:
            mixture.append(replace(mixture[0], densities=densities))
    return mixture


def _deviations(
    spec: ModelSpec,
    parameters: Mapping[str, NDArray[Any]],
    mixture: list[FeatureDistribution],
    count: int,
    rng: np.random.Generator,
) -> Estimate:
    family = spec.model_family
    exact = {name: np.asarray(values, dtype=np.float64) for name, values in parameters.items()}

    def per_input(x: Floats) -> Floats:
        error = family.forward(exact, x) - family.target(x)
        return np.asarray(error**2 @ spec.importances)

    # Measured from the loss of the all-zero input, most sparse inputs contribute nothing.
    at_zero = float(per_input(np.zeros((1, spec.n_features)))[0])
    each = math.ceil(count / len(mixture))
    batch = max(1, 2_000_000 // spec.n_features)
    drawn = []
    for start in range(0, each, batch):
        size = min(batch, each - start)
        x = np.concatenate([part.sample(size, rng) for part in mixture])
        drawn.append(_weights(x != 0, mixture) * (per_input(x) - at_zero))
    values = np.concatenate(drawn)
    squares = (values - values.mean()) ** 2
    total = float(squares.sum())
    fourth = float((squares**2).sum())
    return Estimate(
        loss=at_zero + float(values.mean()),
        standard_error=math.sqrt(total / max(len(values) - 1, 1) / len(values)),
        samples=len(values),
        effective=total**2 / fourth if fourth > 0 else 0.0,
    )


def _weights(active: NDArray[np.bool_], mixture: list[FeatureDistribution]) -> Floats:
    """P(active set) under the first of the mixture over that under all of it, (N,)."""
    if len(mixture) == 1:
        return np.ones(len(active))
    logs = []
    for part in mixture:
        p = np.asarray(part.densities)
        logs.append((xlogy(active, p) + xlog1py(~active, -p)).sum(1))
    shares = np.exp(np.array(logs))
    return np.asarray(shares[0] / shares.mean(0))
