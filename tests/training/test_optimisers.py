"""The update rules against torch's own."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.optimisers import EPSILON, SGD_MOMENTUM, Optimiser

BETAS, DECAY = (0.8, 0.95), 0.01

TORCH = {
    "adam": lambda p: torch.optim.Adam(p, betas=BETAS, eps=EPSILON),
    "adamw": lambda p: torch.optim.AdamW(p, betas=BETAS, eps=EPSILON, weight_decay=DECAY),
    "rmsprop": lambda p: torch.optim.RMSprop(p, alpha=BETAS[1], eps=EPSILON),
    "sgd": lambda p: torch.optim.SGD(p, lr=1.0, momentum=SGD_MOMENTUM, weight_decay=DECAY),
}


@pytest.mark.parametrize("name", TORCH)
def test_the_rules_are_torchs_to_the_last_bit(name):
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(shape, generator=generator) for shape in ((7, 2, 5), (7, 5))]
    theirs = [p.clone().requires_grad_(True) for p in ours]
    optimiser = Optimiser(name, ours, betas=BETAS, weight_decay=DECAY)
    reference = TORCH[name](theirs)
    for step in range(200):
        rate = 0.1 * (1 - step / 200)
        # Gradients from ordinary to far below the square root of epsilon.
        gradients = [torch.randn(p.shape, generator=generator) * 10.0 ** -(step % 9) for p in ours]
        optimiser.step(gradients, rate)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other.detach())


@pytest.mark.parametrize("name", TORCH)
def test_every_coordinate_moves_as_if_alone(name):
    generator = torch.Generator().manual_seed(1)
    together = torch.randn(3, 4, generator=generator)
    alone = together[1:2].clone()
    first = Optimiser(name, [together], betas=BETAS, weight_decay=DECAY)
    second = Optimiser(name, [alone], betas=BETAS, weight_decay=DECAY)
    for _ in range(20):
        gradient = torch.randn(3, 4, generator=generator)
        first.step([gradient], 0.05)
        second.step([gradient[1:2]], 0.05)
    assert torch.equal(together[1:2], alone)


def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="'lion'; expected one of adam, adamw, rmsprop, sgd"):
        Optimiser("lion", [torch.zeros(1)], betas=BETAS)


def test_a_first_fit_does_not_import_torchs_compiler():
    """It takes longer than the fit: the reason the rules are written out."""
    script = """
import sys
import numpy as np
from superposition.distributions import independent
from training.fit import Problem, Recipe, fit
problem = Problem("relu-output", 5, 2, (independent(5, 0.1),), np.ones((1, 5)), (0,))
fit(problem, Recipe(steps=2))
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "False"
