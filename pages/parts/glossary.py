"""One source of terms: what each means, in a sentence or two that can stand alone."""

from __future__ import annotations

import html
import re

TERMS: dict[str, str] = {
    "feature": (
        "One number of the input that the model should give back. Here every coordinate of the "
        "input is a feature; in a real network, finding the features is the hard part."
    ),
    "direction": "Column i of W, written Wᵢ: where in hidden space feature i is written.",
    "hidden space": (
        "The m numbers between the two halves of a model. Everything the second half knows of "
        "the input has to pass through them."
    ),
    "superposition": "Representing more features than the hidden space has dimensions.",
    "bottleneck superposition": (
        "Superposition as storage: a linear map squeezes n features into m < n dimensions, as in "
        "a residual stream, keys or queries."
    ),
    "neuron superposition": (
        "Superposition as computation: more features pass through a nonlinearity than there are "
        "neurons for, so that a neuron works for several of them."
    ),
    "sparsity": (
        "S, the probability that a feature is 0 in an input. A property of the data, not of the "
        "model. Density is p = 1 − S."
    ),
    "density": (
        "p, the probability that a feature is not 0 in an input. A property of the data. Sparsity "
        "is S = 1 − p."
    ),
    "importance": (
        "Iᵢ, how much an error in feature i counts in the loss. Features are numbered from 1, the "
        "most important: where importance decays by 0.9, feature i has 0.9 to the power i − 1 "
        "(0.9^i in the code, which counts from 0). Equal importance is 1 for all."
    ),
    "represented": (
        "A feature is represented when its direction is longer than one half, ‖Wᵢ‖ > 0.5. A "
        "property of the trained model."
    ),
    "norm": "‖Wᵢ‖, the length of the direction of feature i: 0 when it is not stored at all.",
    "interference": (
        "How much others can add to the reading of feature i: the sum over j ≠ i of (Ŵᵢ · Wⱼ)², "
        "where Ŵᵢ is the direction of i at length 1. A property of the weights, however often "
        "the others are on."
    ),
    "dimensionality": (
        "Dᵢ, the share of a hidden dimension that feature i has to itself: 1 alone, 1/2 in an "
        "antipodal pair, 2/5 in a pentagon, 1/3 in a hexagon, 0 if not "
        "learned."
    ),
    "features per dimension": (
        "‖W‖²/m, the sum of all squared norms over the number of dimensions: about how many "
        "features share each dimension, where norms are near 0 or 1. Orthogonal features of length "
        "1 reach 1. More than that is superposition, unless it comes from arrows longer than 1."
    ),
    "dot product": (
        "a · b, the sum of the products of the coordinates: what reading along a direction gives. "
        "It is the product of both lengths and the cosine of the angle between them."
    ),
    "cosine": (
        "cos, of the angle between two directions: their dot product over both lengths. 1 is the "
        "same direction, 0 a right angle, −1 the opposite one."
    ),
    "transpose": (
        "Wᵀ, the matrix with rows and columns exchanged. Where column i of W writes feature i, "
        "row i of Wᵀ reads along the same direction."
    ),
    "coherence": "The largest |cos| between the directions of two represented features.",
    "Welch bound": (
        "√((K − m) / (m (K − 1))): the coherence of K > m directions in m dimensions cannot be "
        "below it."
    ),
    "almost orthogonal": "Of two directions: |cos| between them is at most a small ε.",
    "random projection": (
        "Multiplying points by a matrix of independent Gaussian numbers with fewer rows than "
        "columns. It knows nothing of the points."
    ),
    "antipodal pair": (
        "Two features in exactly opposite directions. They share one dimension: one pushes it up, "
        "the other down."
    ),
    "ReLU": "max(0, z), element by element: what is negative becomes 0.",
    "bias": "b, a constant added to each output before the nonlinearity.",
    "loss": (
        "The expected error over the data: the mean of Σ Iᵢ (yᵢ − y'ᵢ)² over inputs, y' being the "
        "output of the model and y what it should be: the input x itself, where the model stores."
    ),
    "loss per density": (
        "Loss divided by p. Fewer active features make every loss smaller in proportion; the "
        "division takes that out, so that densities can be compared."
    ),
    "weights": (
        "The adjustable numbers of a model: its matrix W, or matrices, and its bias b. Training "
        "sets them."
    ),
    "training": (
        "Changing the weights in many small steps, each in the direction that makes the loss on "
        "the data smaller, from a random start."
    ),
    "arrangement": (
        "How the directions of the features of a model lie to each other, such as a square or a "
        "pentagon, however they are turned."
    ),
    "twin": (
        "A model trained on the same data and of the same size as another, from which it differs "
        "in one thing only, such as where its ReLU is."
    ),
    "closed form": (
        "A formula that gives a number outright, without training or sampling. What training "
        "found can be held against it."
    ),
    "seed": (
        "The number that fixes the random starting weights. The same setting trained from "
        "another seed can end in another arrangement."
    ),
    "local minimum": (
        "Weights that no small change improves, although other weights far away may be better."
    ),
    "PCA": (
        "Principal component analysis: keep the m directions in which the data varies most, and "
        "drop the rest."
    ),
    "privileged basis": (
        "Axes of a space that the computation itself singles out, as an element-wise nonlinearity "
        "does with its neurons."
    ),
    "neuron": (
        "A hidden number that passes through a nonlinearity of its own. Row k of W holds the "
        "weights of neuron k."
    ),
    "element-wise": (
        "Acting on each coordinate by itself: output k depends on input k alone. ReLU is; a matrix "
        "is not, unless it is diagonal."
    ),
    "alignment": (
        "How close a direction comes to an axis of hidden space, that is, to one neuron: the "
        "largest |cos| between it and any axis. 1 is on an axis. Even directions at random are "
        "some way towards one, so that it is compared with Haar-random rotations."
    ),
    "kurtosis": (
        "How unequal the coordinates of a direction are: the mean of their fourth powers over the "
        "squared mean of their squares. 1 if all are equally large, m if all but one are 0, and "
        "3m / (m + 2) on average in a random direction."
    ),
    "Haar-random rotation": (
        "A rotation drawn so that every rotation of the space is equally likely: what a basis "
        "chosen by chance would look like."
    ),
    "transformer": (
        "The kind of network behind today's language models: layers that each read from one "
        "running vector per word, the residual stream, and add to it."
    ),
    "residual stream": (
        "The space that runs through a transformer: every layer reads from it with a linear map "
        "and adds what it computes with another."
    ),
    "orthogonal matrix": (
        "A square matrix whose transpose is its inverse: it turns or mirrors space and keeps all "
        "lengths and angles."
    ),
    "condition number": (
        "Largest over smallest factor by which a matrix stretches. About that much larger is a "
        "rounding error after the matrix has been undone; infinite if it cannot be."
    ),
    "polysemantic": "Responding to several unrelated features; said of a neuron.",
    "monosemantic": "Responding to one feature only; said of a neuron.",
    "handled": (
        "A feature is handled when its output explains at least 75% of the variance of what it "
        "should be. A property of the trained model, on its data."
    ),
    "cross-talk": "What one feature, on alone, does to the outputs of others. It should be 0.",
    "sparse autoencoder": (
        "A second network that writes the hidden numbers of a first one as a sum of many "
        "directions, few of them on at a time, in the hope that those are its features."
    ),
    "overlap": (
        "How far two features use the same neurons: the sum over neurons of |wₖᵢ| |wₖⱼ|, divided "
        "by the norms of the two. 0 is not at all, 1 is in the same proportions."
    ),
    "grid": "A set of models trained to answer one question, over densities, sizes and seeds.",
    "model": "One set of trained weights, with the data it was trained on.",
    "zoo": "All the trained models of this project, with their measures.",
}


def term(name: str) -> str:
    """The definition of a term, for hover and help texts.

    Raises:
        KeyError: if the glossary lacks it; add it there.
    """
    if name not in TERMS:
        raise KeyError(f"the glossary has no term {name!r}; add it to pages/parts/glossary.py")
    return TERMS[name]


_MARKED = re.compile(r"\[\[([^\]|]+)(?:\|([^\]]+))?\]\]")


def with_terms(text: str) -> str:
    """Markdown in which `[[term]]` and `[[term|words shown]]` show the definition on hover.

    The result has HTML in it; `pages.parts.layout.prose` shows it. The definition also opens
    on keyboard focus and on a tap.
    """
    return _MARKED.sub(lambda found: _hover(found[1], found[2] or found[1]), text)


def _hover(name: str, shown: str) -> str:
    # In a table, a bare | would end the cell.
    label = html.escape(f"{shown}: {term(name)}", quote=True).replace("|", "&#124;")
    return f'<span class="term" tabindex="0" role="note" aria-label="{label}">{shown}</span>'
