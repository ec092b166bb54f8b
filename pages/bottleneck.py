"""Bottleneck superposition: storing more features than there are dimensions."""

from __future__ import annotations

from pages.parts.claim_card import claim_card
from pages.parts.layout import caveats, heading, maths, prediction, prose, question, reading
from pages.parts.navigation import links
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo
from pages.sections.bottleneck import networks, outcomes

zoo = open_zoo()
question(
    "Bottleneck superposition",
    "A linear map squeezes n [[feature|features]] into m dimensions, and its [[transpose]] reads "
    "them back; errors in feature 1 count most, in feature n least ([[importance]]). Why does a "
    "network with a [[ReLU]] at the end store more than m features, and a linear one never?",
)
prediction(
    "The data gets sparser and sparser. What does the *linear* network store?",
    ("more features, like the ReLU one", "always the m most important", "fewer features"),
    "always the m most important",
    "Sparsity changes nothing for it. Its loss depends on the data through means and covariances "
    "alone, and independent features look the same to those at any sparsity.",
    key="prediction",
)
networks(zoo)

heading("Not every run finds the best arrangement")
prose(
    "The same setting trained from 16 [[seed|seeds]], five features in two dimensions. Several "
    "[[local minimum|local minima]] beside the best one are normal. *Irregular* is any "
    "[[arrangement]] without a name of its own, such as two or three arrows at odd angles."
)
outcomes(zoo)
claim_card("four-in-two")
claim_card("pentagon")

maths(
    r"""
**Why the linear network stops at m.** With the best bias, a linear network with $P = W^\top W$
loses

$$
L = \sum_{i,j} I_i \, (\delta_{ij} - P_{ij})^2 \, v_j.
$$

Here $v_j = \mathrm{Var}(x_j)$, and $I_i$ is the importance: $0.9^{\,i-1}$ for 5 × 2 and 80 × 20,
and $0.7^{\,i-1}$ for 20 × 5, so that feature 1 counts fully. With
$D = \mathrm{diag}(\sqrt{I_i v_i})$ this is $\lVert D - B \rVert_F^2$, where
$B_{ij} = \sqrt{I_i}\, P_{ij} \sqrt{v_j}$ has rank at most $m$. By Eckart and Young no matrix of
rank $m$ is closer to $D$ than $D$ with all but its $m$ largest entries removed, and the projection
onto the $m$ features with the largest $I_i v_i$ attains that. All $v_j$ are equal here, at every
density, so those are always the $m$ most important.

**Why negative interference is free.** If only feature $j$ is on, output $i \ne j$ should be 0
and is

$$
\mathrm{ReLU}\big( (W_i \cdot W_j)\, x_j + b_i \big),
$$

which is 0 whenever $W_i \cdot W_j \le 0$ and $b_i \le 0$. A positive product can still be silenced
by a bias below $-W_i \cdot W_j$, at the price of reading feature $i$ too small. With probability
$(1-p)^{n-1}$ no other feature is on. As $p \to 0$, inputs with two features on make up a share of
order $p$ of those with any, so their cost vanishes from $L/p$.

**What is exact.** The dashed line is the [[closed form]] above. So is the loss without the ReLU:
the loss of any linear network on independent data follows from means and variances.
"""
)
caveats(
    (
        "The networks shown are the best seed at each density (16 seeds for 5 × 2, 4 for 20 × 5, "
        "2 for 80 × 20). With few seeds the best one found may not be the best there is; a bump "
        "in a curve is then a matter of training, not of sparsity.",
        "Which features share a dimension is partly chance, so that maps of neighbouring "
        "densities can look different and mean much the same. Rotating hidden space leaves WᵀW "
        "as it is.",
        "For 80 × 20 there is no linear [[twin]] in the zoo. The dashed line is where it would be.",
        "“Represented” cuts a continuous quantity at ‖Wᵢ‖ = 0.5. Look at the bars near the cut.",
    )
)
reading(
    (
        cited(
            "toy-models",
            "the sections “Demonstrating Superposition” and “Mathematical Understanding” have "
            "these pictures for 20 × 5 and 80 × 20.",
        ),
        cited(
            "nanda-notes",
            "where bottleneck superposition and neuron superposition are told apart.",
        ),
    )
)
heading("Where to go next")
links(
    (
        ("pages/sizes.py", "Does it hold for every n and m?"),
        ("pages/lab.py", "Train one yourself"),
        ("pages/home.py", "Back to five features in two dimensions"),
    )
)
