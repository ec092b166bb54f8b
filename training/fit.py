"""Fit any number of models of one family and shape at once, on the expected loss.

The leading axis of every tensor is the model: densities, importances, distributions
and seeds may all differ along it. Each model's loss is independent of the others' and
every optimiser used here works coordinate by coordinate, so training together changes
nothing but the speed.

    problem = Problem("relu-output", 5, 2, distributions, importances, seeds)
    result = fit(problem, Recipe())
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from superposition.distributions import FeatureDistribution
from superposition.expectation import (
    Nodes,
    expectation_nodes,
    expected_loss,
    linear_expected_loss,
)
from superposition.families import Family, family
from training.optimisers import Optimiser, OptimiserName

Tensors = dict[str, torch.Tensor]
Arrays = dict[str, np.ndarray]
Expectation = Literal["moments", "nodes", "resampled"]

# Up to this many features the expectation runs over fixed nodes; beyond it, where most
# active sets must be sampled, the nodes are drawn afresh as training goes.
MOST_FEATURES_WITH_FIXED_NODES = 6


@dataclass(frozen=True)
class Problem:
    """B models of one family and shape, and the data each is trained on.

    Attributes:
        family: name of the model family.
        n_features, n_hidden: n and m.
        distributions: B data distributions over n features.
        importances: (B, n) loss weights I_i.
        seeds: B integers; the initial weights are a function of seed, n and m alone.
    """

    family: str
    n_features: int
    n_hidden: int
    distributions: tuple[FeatureDistribution, ...]
    importances: np.ndarray
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        family(self.family)
        count = len(self.distributions)
        if count == 0:
            raise ValueError("the problem has no models; expected at least one distribution")
        if len(self.seeds) != count:
            raise ValueError(f"{len(self.seeds)} seeds for {count} models; expected one each")
        if self.importances.shape != (count, self.n_features):
            raise ValueError(
                f"importances have shape {self.importances.shape}; "
                f"expected {(count, self.n_features)}"
            )
        for distribution in self.distributions:
            if distribution.n_features != self.n_features:
                raise ValueError(
                    f"a distribution has {distribution.n_features} features; "
                    f"expected {self.n_features}"
                )
        ranges = {(d.low, d.high) for d in self.distributions}
        if len(ranges) != 1:
            raise ValueError(f"value ranges {sorted(ranges)} differ; fit them one at a time")

    def __len__(self) -> int:
        return len(self.distributions)

    @property
    def model_family(self) -> Family:
        return family(self.family)

    @property
    def expectation(self) -> Expectation:
        """How the expected loss is computed during training.

        `moments`: in closed form (linear). `nodes`: on fixed nodes. `resampled`: on
        stratified nodes drawn afresh as training goes.
        """
        if self.family == "linear":
            return "moments"
        return "nodes" if self.n_features <= MOST_FEATURES_WITH_FIXED_NODES else "resampled"

    def scale(self) -> np.ndarray:
        """(B,) the loss of the zero model about its mean: Σ I_i Var(y_i) of the target.

        Training divides by it, so that one learning rate serves every density.
        """
        target_mean, target_square = [], []
        for d in self.distributions:
            p = np.asarray(d.densities)
            square = (d.low * d.low + d.low * d.high + d.high * d.high) / 3
            if self.family == "absolute-value" and d.low < 0 < d.high:
                mean = (d.low * d.low + d.high * d.high) / (2 * (d.high - d.low))
            else:
                mean = abs(d.low + d.high) / 2
            target_mean.append(p * mean)
            target_square.append(p * square)
        variance = np.array(target_square) - np.array(target_mean) ** 2
        return (self.importances * variance).sum(1)


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are the zoo's.

    Attributes:
        steps: optimiser steps.
        learning_rate: at the peak; warms up over the first 5 % and decays as a cosine.
        optimiser: update rule, coordinate-wise.
        betas: of Adam and AdamW (RMSprop takes the second as its smoothing).
        weight_decay: of AdamW and SGD.
        budget: nodes for each distinct distribution.
        resample_every: steps between fresh draws of the nodes, where they are drawn.
        initial_scale: entries of W start as N(0, initial_scale² / m).
    """

    steps: int = 400
    learning_rate: float = 0.05
    optimiser: OptimiserName = "adam"
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.0
    budget: int = 512
    resample_every: int = 10
    initial_scale: float = 1.0


@dataclass
class FitResult:
    """What training left behind, as NumPy arrays with the model axis first.

    Attributes:
        parameters: tensor name -> (B, …).
        loss: (B,) the training estimate of the expected loss at the end.
        steps_done: how many steps were taken (fewer than asked for if stopped).
        kept_steps: (T,) the steps at which weights were kept.
        kept_parameters: tensor name -> (B, T, …).
        kept_losses: (B, T).
    """

    parameters: Arrays
    loss: np.ndarray
    steps_done: int
    kept_steps: np.ndarray
    kept_parameters: Arrays = field(default_factory=dict)
    kept_losses: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


class Trainer:
    """A fit in progress: call `step()` until `done`, look at it any time in between."""

    def __init__(
        self,
        problem: Problem,
        recipe: Recipe | None = None,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.problem = problem
        self.recipe = recipe or Recipe()
        self.step_number = 0
        self._device = device
        self._dtype = dtype
        self._importances = self._tensor(problem.importances)
        self._scale = self._tensor(np.maximum(problem.scale(), 1e-30))
        self.parameters: Tensors = {
            name: self._tensor(values).requires_grad_(True)
            for name, values in initial_parameters(problem, self.recipe).items()
        }
        self._optimiser = Optimiser(
            self.recipe.optimiser,
            list(self.parameters.values()),
            betas=self.recipe.betas,
            weight_decay=self.recipe.weight_decay,
        )
        self._draws = 0
        self._prepare()

    @property
    def done(self) -> bool:
        return self.step_number >= self.recipe.steps

    def losses(self) -> torch.Tensor:
        """(B,) the current estimate of each model's expected loss."""
        parameters = self.parameters
        if self.problem.expectation == "moments":
            return linear_expected_loss(
                parameters, self._mean, self._second_moment, self._importances
            )
        return expected_loss(
            self.problem.model_family, parameters, self._points, self._weights, self._importances
        )

    def step(self) -> torch.Tensor:
        """One update; returns the (B,) losses before it."""
        recipe = self.recipe
        if (
            self.problem.expectation == "resampled"
            and self.step_number % recipe.resample_every == 0
        ):
            self._draw_nodes()
        losses = self.losses()
        gradients = torch.autograd.grad(
            (losses / self._scale).sum(), list(self.parameters.values())
        )
        rate = recipe.learning_rate * _schedule(self.step_number, recipe.steps)
        self._optimiser.step(gradients, rate)
        self.step_number += 1
        return losses.detach()

    def snapshot(self) -> Arrays:
        """The parameters now, copied to NumPy."""
        return {
            name: tensor.detach().cpu().numpy().copy() for name, tensor in self.parameters.items()
        }

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=self._dtype, device=self._device)

    def _prepare(self) -> None:
        problem = self.problem
        if problem.expectation == "moments":
            self._mean = self._tensor(np.array([d.mean() for d in problem.distributions]))
            self._second_moment = self._tensor(
                np.array([d.second_moment() for d in problem.distributions])
            )
        else:
            self._draw_nodes()

    def _draw_nodes(self) -> None:
        """Nodes for each distinct distribution, padded with weight 0 to one length.

        Each from a generator of its own: which other models are trained with it must not
        change the data of a model.
        """
        drawn: dict[FeatureDistribution, Nodes] = {}
        for distribution in self.problem.distributions:
            if distribution not in drawn:
                rng = np.random.default_rng(
                    [self.problem.n_features, self.problem.n_hidden, self._draws]
                )
                drawn[distribution] = expectation_nodes(
                    distribution, budget=self.recipe.budget, rng=rng, negligible=1e-6
                )
        self._draws += 1
        most = max(len(nodes) for nodes in drawn.values())
        order = {distribution: row for row, distribution in enumerate(drawn)}
        points = np.zeros((len(drawn), most, self.problem.n_features))
        weights = np.zeros((len(drawn), most))
        for row, nodes in enumerate(drawn.values()):
            points[row, : len(nodes)] = nodes.points
            weights[row, : len(nodes)] = nodes.weights
        rows = torch.as_tensor([order[d] for d in self.problem.distributions], device=self._device)
        # Long axis last in memory: see `superposition.families`.
        self._points = self._tensor(points.mT.copy())[rows].mT
        self._weights = self._tensor(weights)[rows]


def fit(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    device: str = "cpu",
    keep_steps: Sequence[int] = (),
    should_stop: Callable[[int], bool] | None = None,
) -> FitResult:
    """Train the models of `problem`.

    Args:
        device: `cpu`, `cuda`, or any torch device.
        keep_steps: steps whose weights are kept (0 is before the first update).
        should_stop: called with the step number before each step; True ends training.

    Raises:
        FloatingPointError: if a loss stops being finite; names the step.
    """
    trainer = Trainer(problem, recipe, device=device)
    wanted = set(keep_steps)
    kept: list[Arrays] = []
    kept_steps: list[int] = []
    kept_losses: list[np.ndarray] = []

    def keep() -> None:
        if trainer.step_number in wanted:
            kept.append(trainer.snapshot())
            kept_steps.append(trainer.step_number)
            with torch.no_grad():
                kept_losses.append(trainer.losses().cpu().numpy().copy())

    while not trainer.done:
        if should_stop is not None and should_stop(trainer.step_number):
            break
        keep()
        trainer.step()
    keep()
    with torch.no_grad():
        loss = trainer.losses().cpu().numpy()
    if not np.isfinite(loss).all():
        bad = int(np.flatnonzero(~np.isfinite(loss))[0])
        raise FloatingPointError(
            f"model {bad} of {len(problem)} has loss {loss[bad]} after step "
            f"{trainer.step_number}; lower the learning rate ({trainer.recipe.learning_rate})"
        )
    names = trainer.parameters
    return FitResult(
        parameters=trainer.snapshot(),
        loss=loss,
        steps_done=trainer.step_number,
        kept_steps=np.array(kept_steps, dtype=np.int64),
        kept_parameters={k: np.stack([s[k] for s in kept], 1) for k in names} if kept else {},
        kept_losses=np.stack(kept_losses, 1) if kept else np.zeros((len(problem), 0)),
    )


def initial_parameters(problem: Problem, recipe: Recipe) -> Arrays:
    """Random weights, zero biases; model b's are a function of its seed, n and m.

    Entries of the encoder are N(0, initial_scale² / m). In the families with neurons a
    feature whose path to its output starts behind a closed ReLU would get no gradient
    from inputs in which it is active alone, which at low density is nearly all of them.
    So there every path starts open: `relu-hidden` has the largest weight of each feature
    positive, and `absolute-value` starts with W_out = |W_in|ᵀ.
    """
    shapes = problem.model_family.parameter_shapes(problem.n_features, problem.n_hidden)
    scale = recipe.initial_scale / math.sqrt(problem.n_hidden)
    encoders = []
    for seed in problem.seeds:
        rng = np.random.default_rng([seed, problem.n_features, problem.n_hidden])
        encoders.append(scale * rng.standard_normal((problem.n_hidden, problem.n_features)))
    W = np.stack(encoders)
    b = np.zeros((len(problem), *shapes["b"]))
    if not problem.model_family.tied:
        return {"W_in": W, "W_out": np.abs(W).swapaxes(-1, -2), "b": b}
    if problem.model_family.has_neurons:
        largest = np.abs(W).argmax(-2, keepdims=True)
        W = W * np.sign(np.take_along_axis(W, largest, -2))
    return {"W": W, "b": b}


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up over 5 % of the steps, then a cosine to zero."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
