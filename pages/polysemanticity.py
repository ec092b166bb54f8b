"""Polysemanticity: when does a neuron work for several features, and would you notice?"""

from __future__ import annotations

from figures.polysemanticity import LOWEST_DRAWN
from figures.theme import format_density, format_number
from pages.parts.claim_card import claim_card
from pages.parts.layout import caveats, heading, maths, notice, prediction, prose, question, reading
from pages.parts.navigation import links
from pages.parts.neuron_quiz import neuron_quiz
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo, zoo_key
from pages.sections.polysemanticity import (
    by_convention,
    counted,
    counts,
    meetings,
    missed,
    neurons,
    partners,
    rare,
    strangers,
)
from superposition.geometry import WEIGHT_SHARE

zoo = open_zoo()
question(
    "Polysemanticity",
    "A neuron that works for one [[feature]] is [[monosemantic]]; one that works for several is "
    "[[polysemantic]], and cannot be read by itself. When does training make neurons "
    "polysemantic, and would you notice?",
)
prediction(
    "Five neurons, ten features; the data gets sparser. What do the neurons do?",
    ("keep one feature each", "work for more and more features", "work for fewer"),
    "work for more and more features",
    "In dense data each neuron keeps one of the five features that count most. The rarer the "
    "features, the less often two that share a neuron are on at once, and the more of them fit.",
    key="prediction",
)
neurons(zoo)
table = by_convention(counted(zoo, zoo_key(zoo)), WEIGHT_SHARE, False)
pure = table[table["monosemantic_share_low"] == 1]["density"]
notice(
    (
        "A bar is a neuron, h = ReLU(Wx); a segment is its weight for one feature. Upwards: the "
        "feature excites the neuron. Downwards: it silences it.",
        *(
            [
                f"Dense data, slider to the left: one segment per bar. From density 1 to "
                f"{format_density(pure.min())} every neuron of all 16 [[seed|seeds]] is "
                "monosemantic, for one of the five features that count most (each next one has "
                "0.7 times the [[importance]])."
            ]
            if len(pure)
            else []
        ),
        "Then the least important of the stored features begin to share, while feature 1 still "
        "has a neuron to itself. On sparse data no bar has one colour.",
        "Signs matter. A neuron that one feature excites and another silences can tell the two "
        "apart when they are not on together, and that is the usual case in sparse data.",
    )
)

heading("Would this neuron fool you?")
prose(
    "In a real network nobody knows the features. One looks at the inputs that activate a neuron "
    "most and guesses. Try it, on trained neurons whose answer is known."
)
neuron_quiz(zoo)

heading("How polysemantic, over all seeds")
prose(
    "The study notes on superposition that this zoo grew from say:\n\n"
    "> A neuron is more likely to be polysemantic if the features it represents are sparse w.r.t. "
    "each other, and higher sparsity corresponds to more superposition in the general case.\n\n"
    "The line is the mean over 16 seeds, the band reaches from the least to the greatest. What "
    "counts as working for a feature is a convention: **move it, and see what stays.**"
)
counts(zoo)
claim_card("sparser-is-more-polysemantic")

heading("Do features that rarely meet share neurons?")
prose(
    "That is what the sentence above suggests. Here eight features of equal importance come in "
    "four pairs, 1 and 2, 3 and 4, and so on. The two of a pair are never on together, "
    "independent, or always on together; pairs are independent of each other. The [[overlap]] says "
    "how far the two of a pair use the same neurons. Dashed, for comparison, the overlap of "
    "*strangers*: features of different pairs in the same networks. Upright lines are two standard "
    "errors over the seeds, each way."
)
meetings(zoo)
notice(
    (
        "*Never together*, at density 0.3: each pair has a neuron of its own. One of the two "
        f"excites it; the other silences it with a very large negative weight (drawn as "
        f"{format_number(LOWEST_DRAWN)} where it is below that).",
        "*Always together*: **the pair acts as one feature.** It, too, has a neuron of its own, "
        "which both excite alike and which holds their sum. Overlap is largest here, against the "
        "claim, but no neuron has to tell two things apart: reading it as “either of the two” is "
        "nearly right.",
        "*Independent*: no such order at density 0.3. On sparser data independent features hardly "
        "ever meet either, and for the network there is little difference left between them and "
        "those that never do.",
        strangers(partners(zoo, zoo_key(zoo))),
    )
)
claim_card("rarely-together-share")

heading("What does one more rare feature cost the popular ones?")
prose(
    "The notes again, on why superposition should be expected:\n\n"
    "> It will almost always make sense for networks to try to represent ever-more-sparse yet "
    "useful features, and these can be added to popular features at almost 0 cost.\n\n"
    "Here four dimensions hold popular features of equal density, and one more that gets rarer to "
    "the right. The cost is what the popular ones lose against the same model without it; 1 would "
    "be one popular feature forgotten."
)
rare(zoo)
claim_card("rare-features-are-nearly-free")
missed(zoo)

maths(
    r"""
**Serving a feature.** Neuron $k$ works for feature $i$ when $|w_{ki}|$ is more than a fifth of
$\max_j |w_{kj}|$; a neuron whose largest weight is at most 0.05 is dead and left out. The quiz
counts both signs from a fifth of the largest *positive* weight, since a neuron without a positive
weight is never active.

**Overlap** of features $i$ and $j$ is the cosine of their directions without the signs,

$$
\frac{\sum_k |w_{ki}|\,|w_{kj}|}{\lVert W_i \rVert \, \lVert W_j \rVert},
$$

0 if no neuron has a weight for both, 1 if both spread over the neurons in the same proportions.

**Why a rare feature is nearly free.** Let feature $i$, on with probability $p$, and a new feature
$j$, on with probability $q$, share a dimension in opposite directions: $h = x_i - x_j$,
$y'_i = \mathrm{ReLU}(h)$, $y'_j = \mathrm{ReLU}(-h)$. If at most one of them is on, both outputs
are exact. If both are, each is read too small by $\min(x_i, x_j)$, and
$\mathbb{E} \min(x_i, x_j)^2 = 1/6$. So each loses

$$
\tfrac16 \, p \, q.
$$

In units of feature $i$ forgotten, which costs $\mathrm{Var}(x_i) = p/3 - p^2/4$, that is
proportional to $q$: ten times rarer, ten times cheaper. Leaving $j$ out loses
$\mathrm{Var}(x_j) \approx q/3$, holding it costs $2 \cdot pq/6$ for the two together, so that the
saving is $1 - p$ of it, whatever $q$.
"""
)
caveats(
    (
        "Polysemanticity is not superposition. More *represented* features than neurons force "
        "sharing (others may be dropped, as on dense data above). But sharing does not need them: "
        "features turned against the neurons mix in every neuron, however few they are.",
        "Bars, panels and cost curves show the best seed of each setting; counts and overlaps are "
        "means over all 16 seeds.",
        "A feature here is one coordinate of made-up data, and every neuron of this network reads "
        "it directly. In a real network a neuron's inputs are themselves mixtures.",
        "Weights tell what a neuron responds to, not what the output makes of it. A feature that "
        "silences a neuron with a very large negative weight is read back all the same: from the "
        "neuron's silence, or from other neurons. For pairs that are never on together its output "
        "may then say little more than on or off.",
        "The number of features per neuron depends on where one cuts. Move the share above; the "
        "direction stays, the numbers do not.",
        "The rare-feature models are bottlenecks, without neurons. What they say is about sharing "
        "dimensions.",
    )
)
reading(
    (
        cited(
            "toy-models",
            "“Superposition in a Privileged Basis” has these networks and their stacked bars; "
            "“Correlated and Anticorrelated Features” the bottleneck's side of the pairs.",
        ),
        cited(
            "open-problems",
            "what to look for in networks whose features nobody knows.",
        ),
        cited(
            "capacity",
            "how much of a dimension training gives to each feature, by importance and sparsity.",
        ),
        cited("learner-notes", "the two sentences quoted above."),
        cited(
            "nanda-notes",
            "polysemanticity and superposition, told apart.",
        ),
    )
)
heading("Where to go next")
links(
    (
        ("pages/two_kinds.py", "Storing is not computing"),
        ("pages/bottleneck.py", "The same without neurons"),
        ("pages/lab.py", "Train one yourself"),
        ("pages/claims.py", "All claims"),
    )
)
