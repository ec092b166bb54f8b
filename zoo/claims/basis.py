"""Claims 6 to 8: whose hidden space has axes of its own, and whose features use them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from superposition.claims import Claim, decide
from superposition.distributions import FeatureDistribution
from superposition.expectation import Nodes, expectation_nodes
from superposition.families import family
from superposition.geometry import haar_rotations
from superposition.rotation import (
    CONDITION,
    AgainstRotations,
    alignment_against_rotations,
    matrix_of_kind,
    plane_rotation,
    reading_matrix,
    turned_forward,
    turned_loss,
)
from zoo.claims.entry import NOTES, PAPER, Entry, rounding, scientific
from zoo.reading import GridView, Zoo

BOTTLENECKS = ("relu-output", "linear")
TWINS = "relu-hidden-10x5"
NEURONS, TWIN = "relu-hidden", "relu-output"

# Chosen before looking; each is quoted in its claim's `threshold`.
ROUNDING = 1e-12
SINGLE_PRECISION = 1e-6
FLAT = 1e-9
RISE_ANGLES = (45.0, 90.0)
RISE = 0.1
RISE_SHARE = 0.5
CHANCE = 0.05
ALIGNED_SHARE = 0.9
TWIN_SHARE = 0.1

INPUTS = 32
# 4 · 2^n: every set of ten active features is integrated, none sampled.
NODES = 4096
ROTATIONS = 199


def _bottleneck_is_rotation_free(zoo: Zoo) -> Claim:
    rng = np.random.default_rng(6)
    turned, stretched, transposed = [], [], []
    for name, parameters in _bottleneck_batches(zoo):
        m, n = parameters["W"].shape[-2:]
        x = rng.random((INPUTS, n))
        rotation = haar_rotations(1, m, rng)[0]
        invertible = matrix_of_kind("invertible", m, rng)
        before = family(name).forward(
            {key: values.astype(np.float64) for key, values in parameters.items()}, x
        )
        scale = np.maximum(np.abs(before).max((-2, -1)), 1.0)

        def change(
            write: NDArray[np.float64],
            read: NDArray[np.float64],
            name: str = name,
            parameters: dict[str, NDArray[np.float32]] = parameters,
            x: NDArray[np.float64] = x,
            before: NDArray[np.float64] = before,
            scale: NDArray[np.float64] = scale,
        ) -> NDArray[np.float64]:
            after = turned_forward(family(name), parameters, x, write, read)
            return np.abs(after - before).max((-2, -1)) / scale

        turned.append(change(rotation, reading_matrix(rotation, "inverse")))
        stretched.append(change(invertible, reading_matrix(invertible, "inverse")))
        transposed.append(change(invertible, reading_matrix(invertible, "transpose")))
    by_rotation, by_inverse = np.concatenate(turned), np.concatenate(stretched)
    by_transpose = np.concatenate(transposed)
    furthest = np.maximum(by_rotation, by_inverse)
    moved = int((by_transpose > SINGLE_PRECISION).sum())
    return Claim(
        id="bottleneck-is-rotation-free",
        number=6,
        sentence="Write into the hidden space through any invertible matrix R and read through "
        "R⁻¹: no bottleneck model's output changes by more than rounding.",
        source=f"{NOTES}; {PAPER}, Superposition in a Privileged Basis",
        measurement=f"every ReLU and linear bottleneck of the zoo, on {INPUTS} inputs uniform "
        f"on [0, 1], for a Haar-random rotation and for a random matrix of condition number "
        f"{CONDITION:g}, one of each for every grid, family and size: the largest change of an "
        "output, relative to the model's largest output or 1",
        threshold=f"holds: no model changes by more than {scientific(ROUNDING)}; with a "
        f"caveat: none by more than {scientific(SINGLE_PRECISION)}",
        value=f"largest change of {len(furthest):,} models: below {rounding(by_rotation.max())} "
        f"for the rotations, below {rounding(by_inverse.max())} for the other invertible matrices",
        status=decide(
            bool((furthest <= ROUNDING).all()), bool((furthest <= SINGLE_PRECISION).all())
        ),
        detail="The measurement can fail: with reads through the transpose Rᵀ of the invertible "
        f"matrices, {moved:,} of the {len(furthest):,} models change, by "
        f"{np.median(by_transpose):.2g} in the median.",
        page="pages/rotation.py",
        numbers={
            "models": len(furthest),
            "largest_change_by_rotation": float(by_rotation.max()),
            "largest_change_by_invertible": float(by_inverse.max()),
            "models_changed_by_transpose": moved,
        },
    )


def _neurons_are_not(zoo: Zoo) -> Claim:
    view = zoo.grid(TWINS)
    nodes: dict[FeatureDistribution, Nodes] = {}
    rise = {name: _rises(zoo, view, name, nodes) for name in (NEURONS, TWIN)}
    flattest = float(np.abs(rise[TWIN]).max())
    first = rise[NEURONS][..., 0].mean(1)
    second = rise[NEURONS][..., 1].mean(1)
    rising = first >= RISE
    share = float(rising.mean())
    lower = int((rise[NEURONS] < 0).sum())
    flat = flattest <= FLAT
    return Claim(
        id="neurons-are-not",
        number=7,
        sentence="The same rotation before an element-wise ReLU changes what the layer computes: "
        "loss against angle is flat for the bottleneck, and rises for the neurons.",
        source=f"{NOTES}; {PAPER}, Superposition in a Privileged Basis",
        measurement="the best ReLU layer at each density, 10 × 5, and the best of its twins, the "
        "ReLU bottlenecks: the plane of each of the ten pairs of hidden axes is turned by 45° and "
        "by 90°, before the ReLU where there is one, and back when read; expected loss by "
        "quadrature, relative to the loss at 0°",
        threshold=f"holds: the bottleneck's loss never changes by more than {scientific(FLAT)} of "
        f"itself, and at every density that of the neurons is at least {RISE:.0%} higher at 45°, "
        f"in the mean over the ten planes; with a caveat: so at {RISE_SHARE:.0%} of the densities",
        value=f"the bottleneck's loss changes by less than {rounding(flattest)}; that of the "
        f"neurons rises by at least {RISE:.0%} at {int(rising.sum())} of {len(rising)} densities: "
        f"at 45° to {1 + first.min():.3g} times itself or more, {1 + np.median(first):.3g} times "
        f"in the median, and at 90° to {1 + second.min():.3g} and {1 + np.median(second):.3g} "
        "times",
        status=decide(flat and bool(rising.all()), flat and share >= RISE_SHARE),
        detail=f"Of {rise[NEURONS].size} planes, angles and densities, {lower} have a lower loss "
        "than the trained model. With tied weights the turned layer is another layer of the same "
        "family, so that a loss below would be a better arrangement that training missed.",
        page="pages/privileged_basis.py",
        numbers={
            "largest_change_of_bottleneck": flattest,
            "share_of_densities": share,
            "smallest_rise": float(first.min()),
            "median_rise": float(np.median(first)),
            "largest_rise": float(first.max()),
            "turns_with_lower_loss": lower,
        },
    )


def _privileged_basis_aligns(zoo: Zoo) -> Claim:
    alignment, kurtosis = {}, {}
    rows = {name: zoo.grid(TWINS).select(family=name) for name in (NEURONS, TWIN)}
    for name in rows:
        W = zoo.grid(TWINS).parameters(rows[name])["W"]
        rotations = haar_rotations(ROTATIONS, W.shape[-2], np.random.default_rng(8))
        alignment[name], kurtosis[name] = alignment_against_rotations(W, rotations)
    both = {name: (_share(alignment[name]), _share(kurtosis[name])) for name in rows}
    aligned = min(both[NEURONS]) >= ALIGNED_SHARE
    isotropic = max(both[TWIN]) <= TWIN_SHARE
    return Claim(
        id="privileged-basis-aligns",
        number=8,
        sentence="Trained ReLU layers align their features with their neurons more than chance; "
        "their twins without neurons do not align with the axes of their hidden space.",
        source=f"{NOTES}; {PAPER}, Superposition in a Privileged Basis",
        measurement="every ReLU layer, 10 × 5, and every one of its twins, the ReLU bottlenecks, "
        "all densities and seeds: alignment (the largest coordinate of a direction, taken at "
        "length 1 and without its sign; the mean over represented features) and kurtosis, "
        f"against {ROTATIONS} Haar-random rotations of the same model. A model is beyond chance "
        f"when at most {CHANCE:.0%} of them, itself among them, reach its value",
        threshold=f"holds: by both measures at least {ALIGNED_SHARE:.0%} of the ReLU layers "
        f"are beyond chance, and at most {TWIN_SHARE:.0%} of their twins ({CHANCE:.0%} would be "
        "chance itself); with a caveat: the first alone",
        value="beyond chance by alignment and kurtosis: "
        f"{both[NEURONS][0]:.0%} and {both[NEURONS][1]:.0%} of "
        f"{len(alignment[NEURONS].value)} models with neurons, {both[TWIN][0]:.0%} and "
        f"{both[TWIN][1]:.0%} of {len(alignment[TWIN].value)} twins without; mean "
        f"alignment {_beside_chance(alignment[NEURONS])} with neurons, "
        f"{_beside_chance(alignment[TWIN])} without",
        status=decide(aligned and isotropic, aligned),
        detail="Not part of the decision: "
        f"{_where_aligned(rows[NEURONS], alignment[NEURONS])} The loss of a twin is the same in "
        "every basis, and so is the chance of its random start; Adam's step, taken coordinate by "
        "coordinate, is not. Whatever that does, it does not show here beyond "
        f"{max(both[TWIN]):.0%} against the {CHANCE:.0%} of chance.",
        page="pages/privileged_basis.py",
        numbers={
            "aligned_share": both[NEURONS][0],
            "aligned_share_by_kurtosis": both[NEURONS][1],
            "twin_share": both[TWIN][0],
            "twin_share_by_kurtosis": both[TWIN][1],
            "excess_alignment": float(alignment[NEURONS].excess.mean()),
            "twin_excess_alignment": float(alignment[TWIN].excess.mean()),
            "excess_kurtosis": float(kurtosis[NEURONS].excess.mean()),
            "twin_excess_kurtosis": float(kurtosis[TWIN].excess.mean()),
        },
        plainly=_plainly(rows[NEURONS], alignment[NEURONS], aligned, isotropic),
    )


def _bottleneck_batches(zoo: Zoo) -> Iterator[tuple[str, dict[str, NDArray[np.float32]]]]:
    """Family and weights of every bottleneck model, a batch for each grid, family and shape."""
    for grid in zoo.grids:
        view = zoo.grid(grid)
        rows = view.select(family=list(BOTTLENECKS))
        for _, part in rows.groupby("stack", sort=False):
            yield str(part["family"].iloc[0]), view.parameters(part)


def _rises(
    zoo: Zoo, view: GridView, name: str, nodes: dict[FeatureDistribution, Nodes]
) -> NDArray[np.float64]:
    """How far the loss of each best seed rises, relative to it: (densities, planes, angles).

    nodes: those known already, for models that share their data; added to.
    """
    rows = view.select(family=name, best_of_seeds=True)
    parameters = view.parameters(rows)
    m = parameters["W"].shape[-2]
    turns = [np.eye(m)[None]]
    turns += [plane_rotation(m, j, k, RISE_ANGLES) for j, k in combinations(range(m), 2)]
    R = np.concatenate(turns)
    rises = []
    for index, model_id in enumerate(rows["model_id"]):
        spec = zoo.model(model_id).spec
        data = spec.distribution
        if data not in nodes:
            nodes[data] = expectation_nodes(data, budget=NODES, rng=np.random.default_rng(7))
        one = {key: values[index] for key, values in parameters.items()}
        losses = turned_loss(spec.model_family, one, nodes[data], spec.importances, R, R.mT)
        rises.append((losses[1:] / losses[0] - 1).reshape(-1, len(RISE_ANGLES)))
    return np.stack(rises)


def _share(measure: AgainstRotations) -> float:
    """The share of models beyond chance."""
    return float(np.mean(measure.p <= CHANCE))


def _where_aligned(rows: pd.DataFrame, measure: AgainstRotations) -> str:
    """At which densities the models with neurons are beyond chance, in words."""
    shares = pd.Series(measure.p <= CHANCE).groupby(rows["density"].to_numpy()).mean()
    held = rows.groupby("density")["features_per_neuron"].mean()
    enough = shares >= ALIGNED_SHARE
    if not enough.any():
        return "no density reaches the threshold by alignment."
    text = (
        f"by alignment {int(enough.sum())} of {len(shares)} densities reach the threshold, from "
        f"{shares.index[enough].min():.3g} to {shares.index[enough].max():.3g}, with "
        f"{held[enough].mean():.1f} features on a neuron in the mean"
    )
    if enough.all():
        return f"{text}."
    return (
        f"{text}. At the others it is {held[~enough].mean():.1f} features, and "
        f"{shares[~enough].min():.0%} to {shares[~enough].max():.0%} of their seeds go beyond."
    )


def _plainly(rows: pd.DataFrame, measure: AgainstRotations, aligned: bool, even: bool) -> str:
    """What the two halves of claim 8 come to."""
    if aligned and even:
        return ""
    twins = "The twins do not align, as claimed" if even else "The twins align as well"
    if aligned:
        return f"{twins}."
    shares = pd.Series(measure.p <= CHANCE).groupby(rows["density"].to_numpy()).mean()
    enough = int((shares >= ALIGNED_SHARE).sum())
    return (
        f"{twins}. The layers with neurons align at {enough} of {len(shares)} densities only; at "
        "the others too many of their seeds look no more aligned than by chance."
    )


def _beside_chance(measure: AgainstRotations) -> str:
    return f"{measure.value.mean():.3f} against {measure.rotated.mean():.3f} by chance"


_ALL = ("bottleneck-5x2", "bottleneck-20x5", "bottleneck-80x20", "sizes", TWINS)
ENTRIES = (
    Entry(6, "bottleneck-is-rotation-free", _ALL, _bottleneck_is_rotation_free),
    Entry(7, "neurons-are-not", (TWINS,), _neurons_are_not),
    Entry(8, "privileged-basis-aligns", (TWINS,), _privileged_basis_aligns),
)
