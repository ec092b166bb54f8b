"""Bottleneck and neuron superposition: storing beside computing, and neurons that share work."""

from __future__ import annotations

from pages.parts.layout import caveats, heading, maths, notice, prediction, prose, question, reading
from pages.parts.navigation import links
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo
from pages.sections.two_kinds import sizes

TWO_KINDS = """
| | bottleneck superposition | neuron superposition |
| --- | --- | --- |
| What for | storage | computation |
| Where in a transformer | where a linear map leads into fewer dimensions: keys, queries, the \
residual stream | where activations pass a nonlinearity one by one: the neurons of an MLP layer |
| What is squeezed | n directions into m dimensions | the kinks of n functions into m neurons |
| Without superposition | m features, orthogonal | m divided by what a feature takes: m/2 for \
the absolute value |
| What goes wrong | reading a feature picks up others | a feature switches on neurons of others |
| What cleans up | a nonlinearity after reading back, with a negative bias | other neurons that \
inhibit, then the same |
| Basis | none: any rotation does | the neurons |
| What makes it pay | sparse data | sparse data |
| In the zoo | ReLU bottleneck, and linear as control | absolute value; the ReLU layer is \
between: it has neurons and only stores |
"""

MATHS = r"""
**Two neurons for each, exactly.** $|x| = \mathrm{ReLU}(x) + \mathrm{ReLU}(-x)$, so that a network
with a pair for each of the $m/2$ most important features loses nothing on those. Every other
output is best set to the constant $E|x| = p/2$ and loses the variance,

$$
L = \sum_{i > m/2} I_i \left( \frac{p}{3} - \frac{p^2}{4} \right).
$$

At density 1 the best trained networks have this loss.

**No network is exact for more.** Before its last ReLU, output $i$ is $z_i(x) = \sum_k c_k\,
\mathrm{ReLU}(w_k \cdot x) + b$. It must be $|x_i|$ wherever that is not 0, so everywhere, and $b
= 0$. Split it into an even and an odd part:

$$
\begin{aligned} z_i(x) = {} & \tfrac12 \sum_k c_k\, |w_k \cdot x| \\
& {} + \tfrac12 \sum_k c_k\, w_k \cdot x . \end{aligned}
$$

Functions $|w \cdot x|$ of different lines are linearly independent. So some $w_k$ lies along the
axis of feature $i$, and on every other line the even parts cancel, which leaves an odd part only
where neurons read the line in *both* directions. The odd parts must cancel as well: so either
both directions of the axis have a neuron, or other lines with both make up for it. In both cases
the axis is in the span of the $D$ lines that are read in both directions. If this is so for $k$
features, $D \ge k$ and $m \ge 2D \ge 2k$.

**So what is past m/2 is never exact**, and sparsity decides how often it is wrong. In the
asymmetric motif a neuron reads feature $a$ with a large weight $r$ and feature $b$ with a small
one, $1/r$, and writes to output $a$ with $1/r$ and to output $b$ with $r$. Each feature gets its
own slope, $r \cdot 1/r = 1$. Feature $b$ arrives at output $a$ with only $1/r^2$,
which is why $r$ is large. But feature $a$ also arrives at output $b$, with $r \cdot r = r^2$,
and there another neuron has to take it off again: one that is on when $a$ is, and writes to $b$
with a negative weight. The ReLU at the end forgives it for taking off too much. With $a$ and $b$
on together, $b$ is then lost; that happens in at most a share $p$ of the inputs that have $b$.
"""


zoo = open_zoo()
question(
    "Storing and computing in superposition",
    "A bottleneck *stores* more [[feature|features]] than it has dimensions. Neurons *compute*: "
    "each can apply one nonlinearity. Do they, too, serve more features than there are neurons "
    "for?",
)
prose(
    "The task here is the absolute value of each feature, "
    "$|x| = \\mathrm{ReLU}(x) + \\mathrm{ReLU}(-x)$: one neuron for each half of the V, so one "
    "*pair* of [[neuron|neurons]] for each feature. Ten neurons have room for five features. A "
    "sixth has to share: that is [[superposition]] here, although 6 is less than 10."
)
prediction(
    "Ten neurons, six features, each on once in a hundred inputs. For how many features does a "
    "trained network give the absolute value?",
    ("three", "five: a pair for each", "all six"),
    "all six",
    "Five is what pairs allow, and what the same network does on dense data. On sparse data it "
    "fits in the sixth, with neurons that serve several features and neurons that hold down the "
    "mistakes this makes.",
    key="prediction",
)
sizes(zoo)

heading("Two kinds, side by side")
prose("[[bottleneck superposition|Bottleneck]] and [[neuron superposition]], row by row.")
prose(TWO_KINDS)

heading("What the notes say of it")
prose(
    "The notes that this zoo grew from say that neuron superposition *occurs when "
    "dim(activation_space) < num_features, and is computation rather than storage*. The second "
    "half is the point. The first half is loose, in three ways."
)
notice(
    (
        "**It is not enough.** On dense data 100 features meet 40 neurons, and nothing is shared: "
        "20 features get a pair each, 80 get a constant. The data has to be sparse as well.",
        "**It is not needed.** 10 neurons are more than 6 features, and on sparse data they are "
        "shared all the same. The number to compare with is not m but the neurons that the "
        "features would take one at a time, here 2n: another function has another number.",
        "**It does not tell the two kinds apart.** Fewer dimensions than features is what a "
        "bottleneck is. The difference is what has to come out: the features themselves, or a "
        "function of them that no linear map has.",
    ),
    title="",
)
prose(
    "Nor is “rather than storage” the whole story. What the neurons hold is all that the output "
    "knows, so they carry *which* feature is on while they compute with it. And “more features "
    "than neurons” is not reached here: even on the sparsest data the networks of 40 neurons "
    "handle fewer than 40 features, though many more than 20."
)

maths(MATHS)
caveats(
    (
        "“Handled” is a cut through a continuous quantity: at least 75% of the variance of "
        "$|x_i|$, midway between half a V, which explains a half on sparse data, and a whole one. "
        "The share is good to a few hundredths, to one near the cut; 6 features by quadrature "
        "over every set of active ones, 100 with sampling inside the larger strata.",
        "The networks shown are the best of 8 seeds, of 2 for 100 × 40. Even the best may handle "
        "fewer than pairs alone would, where training is hard: see the numbers of the claim above.",
        "Importance falls, by 0.7 or 0.8 from one feature to the next. Of a hundred features the "
        "last fifty hardly matter to the loss; that they are not handled says little.",
        "Weights into an output that never leaves 0 mean nothing and are not drawn. The scale of "
        "a neuron is free, too: its input and its output weights are drawn with one norm.",
        "Hidden neurons have no bias here, so each is on for one sign of a feature and never for "
        "both. Real layers have biases, and smoother nonlinearities.",
    )
)
reading(
    (
        cited(
            "toy-models",
            "the section “Computation in Superposition” has these networks, and the asymmetric "
            "motif with inhibition.",
        ),
        cited(
            "nanda-notes",
            "where bottleneck superposition and neuron superposition are told apart.",
        ),
        cited("learner-notes", "the sentence taken apart above."),
    )
)
heading("Where to go next")
links(
    (
        ("pages/polysemanticity.py", "Which features share a neuron"),
        ("pages/bottleneck.py", "The other kind: storage"),
        ("pages/lab.py", "Train one yourself"),
    )
)
