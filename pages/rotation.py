"""Rotation invariance: what a residual stream cannot tell, and what breaks that."""

from __future__ import annotations

from pages.parts.claim_card import claim_card
from pages.parts.layout import caveats, heading, maths, notice, prediction, prose, question, reading
from pages.parts.navigation import link, links
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo
from pages.sections.rotation import explorer, same_up_to_rotation

zoo = open_zoo()
question(
    "Rotation invariance",
    "A [[residual stream]] is a space that some maps write into and others read from. Nobody "
    "else looks at it. The [[hidden space]] of the first page is a small one: one map writes, one "
    "reads. If every write is turned by a matrix R and every read undoes it, can anyone tell?",
)
link("pages/home.py", "That hidden space, to look at")
prediction(
    "R goes on every write and R⁻¹ on every read. Which R leave all outputs as they were?",
    ("only rotations", "rotations and reflections", "any R that has an inverse"),
    "any R that has an inverse",
    "Each read meets R⁻¹R, which is the identity, whatever R is. Rotations are special only where "
    "reads go through the *[[transpose]]* instead; and none of it survives a ReLU in the stream.",
    key="prediction",
)
explorer()
notice(
    (
        "Only linear maps touch the stream. Each sum that a read forms is made of terms "
        "$A R^{-1} R V x$, one for each writer $V$, so that R is gone before anything happens. The "
        "outputs agree to the last few of sixteen digits, in any number of dimensions.",
        "The block has a ReLU inside and does no harm. It reads first, into [[neuron|neurons]] of "
        "its own, and those are not turned. The stream keeps no [[privileged basis]] however "
        "nonlinear the blocks are, as long as they read and write linearly.",
        "**Break it: a ReLU in the stream.** Now a step looks at single coordinates. Two kinds of "
        "matrices survive: permutations, which give every coordinate another name, and positive "
        "stretches along the axes, since ReLU(az) = a ReLU(z) for a > 0. A permutation with signs "
        "does not: ReLU keeps only one sign. (A step f with f(−z) = −f(z), such as tanh, would "
        "let signs pass, and not stretches.)",
        "**Break it: read through the transpose.** Rᵀ undoes R only if R is an "
        "[[orthogonal matrix]]: a rotation, a reflection, a permutation with signs or without. "
        "The map of squares is then the identity; for any other it is not, and that is just "
        "what readers see.",
        "**Break it: take a nearly singular R.** It has an inverse, and on paper nothing changes. "
        "In sixteen digits much is lost, by a factor of the [[condition number]]. A singular R "
        "loses one direction for good.",
    )
)
claim_card("bottleneck-is-rotation-free")

heading("Tied weights need a rotation")
prose(
    "Choose a bottleneck model of the zoo as the stream: $W$ writes, and its transpose reads. "
    "Such a model has only one matrix, so that turning its writes into $RW$ turns its reads into "
    "$(RW)^\\top = W^\\top R^\\top$, by the transpose, like it or not. It is still the same model "
    "if $R^\\top R = 1$. So all of its solutions come in families that differ by a rotation or a "
    "reflection; for a stretched copy it would need reads of its own."
)

heading("Found up to rotation")
prose(
    "What does that mean for training? Sixteen [[seed|seeds]] of one setting, five features in two "
    "dimensions, start from different random weights. Each dot is a feature's "
    "[[direction]] in one model; left as it was trained, right after the best rotation or "
    "reflection of each model."
)
same_up_to_rotation(zoo)
notice(
    (
        "Dense data: on the left each seed has axes of its own. On the right all of them lie on "
        "top of each other. Training finds one solution, *up to rotation*, and which rotation is "
        "the accident of the start.",
        "Sparse data: turning is not enough. Which feature sits beside which is chance as well, as "
        "are the arrangements that some seeds get stuck in. With features of nearly equal "
        "importance, a pentagon is found up to rotation *and* order.",
    ),
    title="",
)
maths(
    r"""
A stream of $d$ dimensions with writers $V_i$, readers $A_j$ and a block with $U$ and $B$:

$$
\begin{aligned} s &= \sum_i V_i x_i, \\ s' &= s + B\,\mathrm{ReLU}(U s), \\
y_j &= A_j s'. \end{aligned}
$$

Replace $V_i \to R V_i$, $B \to R B$, and $U \to U R^{-1}$, $A_j \to A_j R^{-1}$. By induction over
what is written, the stream is now $R s$ and then $R s'$, every read of it is what it was, and so
is every output. Nothing was asked of $R$ but an inverse. So the symmetries of a stream form the
group $GL(d)$ of all invertible matrices.

**Transposes.** Reads by $R^\top$ meet $R^\top R$. It is the identity exactly when $R$ is
orthogonal: $O(d)$, rotations and reflections. A model with tied weights $y' = W^\top W x$ has
no more symmetries than these.

**One element-wise step.** With $s' = \mathrm{ReLU}(s)$ the outputs stay if
$\mathrm{ReLU}(R s) = R\,\mathrm{ReLU}(s)$ for all $s$. Take $s = -e_k$: the right side is 0, so
column $k$ of $R$ has no negative entry. Take $s = e_k - t e_l$ with a large $t$: where column $l$
is positive, the left side becomes 0, and the right side is column $k$; so no two columns are
positive in the same row. Each row then has at most one positive entry, and with an inverse
exactly one: $R$ is a permutation times a positive diagonal matrix. If reads go by the transpose,
only permutations are left.

**Rounding.** Numbers here have a relative precision of $2^{-53}$, about $10^{-16}$. Writing
through $R$ and reading through a computed $R^{-1}$ loses about a factor of the condition number
$\sigma_1 / \sigma_d$ of it.

**Turning one model onto another.** The orthogonal $Q$ with the smallest $\lVert Q W - W_0 \rVert_F$
is $U V^\top$, from the singular value decomposition $W_0 W^\top = U \Sigma V^\top$ (orthogonal
Procrustes).
"""
)
caveats(
    (
        "A real transformer normalises what it reads from the stream. RMSNorm divides by the "
        "length and keeps the symmetry under rotations, not under stretches; its gains, one "
        "number per coordinate, must be absorbed into the maps that read. LayerNorm also "
        "subtracts the mean over coordinates, which singles out one direction.",
        "That a basis *can* be anything does not mean that training leaves it to chance: the "
        "optimiser may prefer axes. The page on the privileged basis measures this.",
        "**Not measured here:** the notes recall that networks which *grok* modular addition find "
        "one algorithm up to rotation. The zoo has no transformer. In the study we know of (Nanda "
        "et al., below) the network adds angles, and rotation has two senses: numbers as turns of "
        "a circle, and the plane of that circle, which may lie anywhere in the stream. To measure "
        "the second, take several seeds of that network, align the planes of each frequency as "
        "above, and compare what still differs with planes drawn at random. Seeds also pick "
        "different frequencies, and no rotation changes that.",
        "“Unchanged” means by less than 10⁻¹² of the largest output. The made-up streams are "
        "random matrices; only the models of the zoo are trained.",
        "The seeds of one density are matched to the best of them. Two that are each 5% from it "
        "may be further apart from each other.",
    )
)
reading(
    (
        cited("framework", "the residual stream as a communication channel."),
        cited("grokking", "modular addition by rotations of a circle."),
        cited("privileged-bases", "where real streams turn out to have preferred axes after all."),
    )
)
heading("Where to go next")
links(
    (
        ("pages/privileged_basis.py", "When axes do mean something"),
        ("pages/home.py", "Five features in two dimensions"),
        ("pages/bottleneck.py", "What a bottleneck stores"),
    )
)
