"""The update rules: coordinate by coordinate, so that a batch of models is many runs.

They are torch's own of the same names, to the last bit on a CPU (tests hold them together).
Written out because `torch.optim` imports torch's compiler when its first optimiser is made,
which takes over a second, thirty times as long as fitting a small model, and because half
the time of a step of a small model goes into that class's bookkeeping.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch

OptimiserName = Literal["adam", "adamw", "rmsprop", "sgd"]

# Far below torch's 1e-8: gradients of features that matter little are small.
EPSILON = 1e-10
SGD_MOMENTUM = 0.9

# (parameter, its gradient, learning rate, number of this update from 1)
Rule = Callable[[torch.Tensor, torch.Tensor, float, int], None]


class Optimiser:
    """Moves `parameters` against their gradients, by one rule.

    Args:
        name: `adam`, `adamw`, `rmsprop` or `sgd`.
        betas: of Adam and AdamW (RMSprop takes the second as its smoothing).
        weight_decay: of AdamW (decoupled) and SGD (added to the gradient).

    Raises:
        ValueError: for another name.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[torch.Tensor],
        *,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
    ) -> None:
        self._parameters = tuple(parameters)
        self._updates = 0
        self._rules: list[Rule]
        if name in ("adam", "adamw"):
            decay = weight_decay if name == "adamw" else 0.0
            self._rules = [_adam(p, betas, decay) for p in self._parameters]
        elif name == "rmsprop":
            self._rules = [_rmsprop(p, betas[1]) for p in self._parameters]
        elif name == "sgd":
            self._rules = [_sgd(p, weight_decay) for p in self._parameters]
        else:
            known = ", ".join(get_args(OptimiserName))
            raise ValueError(f"optimiser is {name!r}; expected one of {known}")

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor], learning_rate: float) -> None:
        """One update of every parameter, in place."""
        self._updates += 1
        for parameter, gradient, rule in zip(self._parameters, gradients, self._rules, strict=True):
            rule(parameter, gradient, learning_rate, self._updates)


def _adam(like: torch.Tensor, betas: tuple[float, float], weight_decay: float) -> Rule:
    """Kingma & Ba (2015), Algorithm 1; Loshchilov & Hutter (2019) for the decay."""
    mean, square = torch.zeros_like(like), torch.zeros_like(like)
    first, second = betas

    def rule(p: torch.Tensor, gradient: torch.Tensor, rate: float, update: int) -> None:
        if weight_decay:
            p.mul_(1 - rate * weight_decay)
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = (square.sqrt() / math.sqrt(1 - second**update)).add_(EPSILON)
        p.addcdiv_(mean, root, value=-rate / (1 - first**update))

    return rule


def _rmsprop(like: torch.Tensor, smoothing: float) -> Rule:
    square = torch.zeros_like(like)

    def rule(p: torch.Tensor, gradient: torch.Tensor, rate: float, update: int) -> None:
        square.mul_(smoothing).addcmul_(gradient, gradient, value=1 - smoothing)
        p.addcdiv_(gradient, square.sqrt().add_(EPSILON), value=-rate)

    return rule


def _sgd(like: torch.Tensor, weight_decay: float) -> Rule:
    velocity = torch.zeros_like(like)

    def rule(p: torch.Tensor, gradient: torch.Tensor, rate: float, update: int) -> None:
        if weight_decay:
            gradient = gradient.add(p, alpha=weight_decay)
        velocity.mul_(SGD_MOMENTUM).add_(gradient)
        p.add_(velocity, alpha=-rate)

    return rule
