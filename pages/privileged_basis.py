"""Privileged basis: whose hidden axes mean something, and do trained models use them?"""

from __future__ import annotations

from figures.turning import FAR_OUT, NEURONS
from pages.parts.claim_card import claim_card
from pages.parts.lab_settings import settings_for_spec
from pages.parts.layout import caveats, heading, maths, notice, prediction, prose, question, reading
from pages.parts.navigation import link, links
from pages.parts.retrain import retrain
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from pages.sections.privileged_basis import (
    ROTATIONS,
    alignment,
    best_models,
    first_turn,
    matrices,
    step,
    turning,
    use_facts,
    weights,
)

zoo = open_zoo()
question(
    "Privileged basis",
    "Does a single hidden number mean something by itself? Only if the network treats each one "
    "separately; its axes are then a [[privileged basis]]. Two networks squeeze ten "
    "[[feature|features]] through five hidden numbers. In one, the bottleneck, those numbers are "
    "stored and read back. In the other each passes a [[ReLU]] first: they are [[neuron|neurons]]. "
    "In which of the two do the five axes mean anything?",
)
prediction(
    "Turn the hidden space by an angle after writing, and back before reading. Whose loss changes?",
    ("neither's", "the bottleneck's", "the ReLU layer's", "both"),
    "the ReLU layer's",
    "Turning and turning back cancel, unless something happens in between that depends on the "
    "axes. A ReLU does: it clips each coordinate at 0, and which numbers are coordinates is what a "
    "rotation changes.",
    key="prediction",
)
turning(zoo)
notice(
    (
        "Each dot is an input, where it lands in the plane of two hidden axes; its colour is the "
        "feature that is strongest in it. The dashed cross turns with the dots. The solid one is "
        "the axes themselves.",
        "Left, nothing else happens. What is read is turned back first, so that every output and "
        "the loss stay what they were. The line is flat.",
        "Right, the dots turn and the ReLU does not. Only the shaded quadrant, where both neurons "
        "are positive, passes untouched. Hollow dots are clipped to its edge, and what is clipped "
        "cannot be turned back.",
        f"Below, the loss. At the density shown first, that of the ReLU layer is "
        f"{first_turn(zoo)}; the scale is logarithmic, so that equal steps up are equal factors. "
        "It comes back only after a full turn: a quarter turn puts axes on axes again, but one of "
        "them the wrong way round.",
        "Any density, any two neurons: angle 0 is the bottom of a valley. That is training's "
        "doing. It chose these axes out of all that the layer could have been given.",
    )
)
claim_card("neurons-are-not")
link("pages/rotation.py", "And the bottleneck, for every model of the zoo: claim 6")

heading("Why one coordinate at a time makes a basis special")
prose(
    "A [[privileged basis]] is one that the computation itself singles out. An [[element-wise]] "
    "step does: every number that comes out depends on one number that goes in. Say in other axes "
    "what that step does and this is lost. The figure is a ReLU seen from axes at an angle: "
    "$R^{-1}\\,\\mathrm{ReLU}(R z)$."
)
step()
notice(
    (
        "At 0° the left map has upright stripes: the first number out depends on $z_1$ alone. "
        "Turn, and it depends on $z_2$ too. The step is still the same ReLU. Seen from these axes "
        "it no longer acts on the *elements* independently.",
        "Wherever the same neurons are on, the step is a matrix. At 0° all four are diagonal. At "
        "other angles those with one neuron on are not: each element leaks into the other.",
        "At 90° they are diagonal again, because axes lie on axes. But one lies on another's wrong "
        "end, so that its *negative* values are the ones passed on. At 180° that is so for the "
        "first number too, as the map shows.",
        "So these axes are not a choice of ours, as those of the bottleneck are. Asking what one "
        "neuron responds to is a sensible question, and asking it of one coordinate of a residual "
        "stream is not, unless something else has made that coordinate special.",
    ),
    title="",
)

heading("Do trained models use their neurons?")
prose(
    "A privileged basis *may* be used; nothing forces features onto the axes. So measure how "
    "close a feature's direction is to its nearest axis. [[alignment|Alignment]] is |cos| of the "
    "angle between them: 1 on the axis. [[kurtosis|Kurtosis]] says how unequal the five "
    "coordinates of the direction are: 1 if all are equally large, 5 if one has everything."
)
prose(
    "A number alone says little, because in five dimensions a random direction is close to some "
    f"axis too. So each model is compared with itself turned at random, with {ROTATIONS} rotations "
    "of which each is as likely as any other ([[Haar-random rotation|Haar-random]]). The band "
    "holds the middle 90% of them. A model is *beyond chance* if fewer than one in twenty reach "
    "its value. And each ReLU layer has a [[twin]], a bottleneck of the same size for the same "
    "data."
)
alignment(zoo)
with zoo_problems():
    notice(use_facts(zoo))
claim_card("privileged-basis-aligns")

heading("The same, as weights")
prose(
    "Rows are hidden axes, columns features. Which of the two can be told from its turned self by "
    "looking?"
)
matrices(zoo)
with zoo_problems():
    best = best_models(zoo, zoo_key(zoo))[NEURONS]
    model = zoo.model(best["model_id"].iloc[0])
prose(
    "Break it: train the layer at density 1 again from another random start. Which feature lands "
    "on which neuron is chance; that each lands on one is not."
)
retrain(
    settings_for_spec(model.spec),
    key="again",
    compare_with=model,
    show=weights,
    label="Train the ReLU layer again with another seed",
)
maths(
    r"""
Write through $R$, read through $R^{-1}$. For the bottleneck

$$
\begin{aligned} h &= R\,W x, \\ y' &= \mathrm{ReLU}(W^\top R^{-1} h + b) \\
&= \mathrm{ReLU}(W^\top W x + b), \end{aligned}
$$

whatever the invertible matrix $R$. For the layer of neurons

$$
\begin{aligned} h &= \mathrm{ReLU}(R\,W x), \\
y' &= \mathrm{ReLU}(W^\top R^{-1} h + b), \end{aligned}
$$

and $R^{-1}\,\mathrm{ReLU}(R z) = \mathrm{ReLU}(z)$ for all $z$ only if $R$ maps each axis to a
positive multiple of an axis: neurons may change places, and their scales. Where the neurons in
a set are on, the left side is the matrix $R^{-1} D R$, with $D$ diagonal, 1 for neurons in the
set and 0 for the others. In the plane, with $c = \cos\theta$, $s = \sin\theta$ and the first neuron
on alone,

$$
R^{-1} D R = \begin{pmatrix} c^2 & -cs \\ -cs & s^2 \end{pmatrix}.
$$

**Why angle 0 is a valley.** $R$ is orthogonal here, so that $R^{-1} = R^\top$ and the turned
layer is $\mathrm{ReLU}\big((RW)^\top \mathrm{ReLU}(RW x) + b\big)$: of the same kind, with $RW$ for
$W$. Training looked for the $W$ of lowest loss among all of these. At a minimum no small turn
can lower it. For the bottleneck all $RW$ have the same loss: each of its minima belongs to a whole
family, one for every orthogonal $R$. In two dimensions these are two circles, turned and mirrored;
in five the family has ten dimensions.

**The measures.** For a feature of direction $\hat W_i$ in $m$ dimensions

$$
\begin{aligned} \text{alignment:} \quad & \max_k |\hat W_{ki}|, \\
\text{kurtosis:} \quad & m \sum_k \hat W_{ki}^4, \end{aligned}
$$

averaged over features with $\lVert W_i \rVert > 0.5$. On one axis they are $1$ and $m$, evenly
spread over all axes $1/\sqrt m$ and $1$; a random direction has a kurtosis of $3m/(m+2)$ in the
mean. A model counts as beyond chance when at most 9 of its 199 rotations reach its value. If its
axes mean nothing, the model is one draw among 200 that are alike, and that happens with
probability $10/200$.
"""
)
caveats(
    (
        "The loss of the bottleneck is the same in all axes, and the random start has no preferred "
        "ones. The *optimiser* has: Adam scales its step for each coordinate by itself, and turned "
        "axes would give another path. So the bottleneck might have come out aligned after all. "
        "Measured, it does not here. In large transformers the residual stream does show preferred "
        "axes, and its authors point at Adam; see the reading below.",
        f"The {ROTATIONS} rotations are the same for all models, and the 16 random starts are the "
        "same at every density: the dots of one seed are not independent of each other, as t takes "
        "them to be.",
        "Training of a ReLU layer starts with each feature's largest weight made positive, lest a "
        "feature be cut off for good. That changes signs, not alignment: both measures look at "
        "sizes.",
        "Alignment and kurtosis look at one feature at a time. A layer can use its neurons in "
        "patterns that neither sees. Loss against angle sees all of them, but not how.",
        "Turning one plane is one way through the rotations of five dimensions. The claim looks at "
        "all ten planes.",
        f"A plane leaves out dots more than {FAR_OUT:g} times as far out as the middle one. Sparse "
        "layers have some very long weights.",
    )
)
reading(
    (
        cited("toy-models", "“Superposition in a Privileged Basis” trains this ReLU layer."),
        cited(
            "privileged-bases",
            "finds axes in residual streams that should have none, and provisionally blames Adam's "
            "step for each coordinate.",
        ),
        cited(
            "framework",
            "where the residual stream is described as a channel without a basis of its own.",
        ),
    )
)
heading("Where to go next")
links(
    (
        ("pages/rotation.py", "Rotate a residual stream, and break it"),
        ("pages/polysemanticity.py", "Which features share a neuron"),
        ("pages/bottleneck.py", "What the bottleneck stores"),
    )
)
