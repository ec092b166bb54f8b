"""Five features, two dimensions: the effect itself, on one screen."""

from __future__ import annotations

from figures.moving_geometry import moving_geometry
from figures.theme import format_density
from pages.parts.claim_card import claim_card
from pages.parts.layout import caveats, heading, maths, notice, prediction, prose, question, reading
from pages.parts.models_behind import models_behind
from pages.parts.navigation import link, links
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo, zoo_key
from pages.sections.home import START, best_seeds, tracks

zoo = open_zoo()
frames, ids, start = tracks(zoo, zoo_key(zoo))

question(
    "Five features, two dimensions",
    "A network can store more things than it has numbers, by letting them overlap; whoever reads "
    "it number by number is then misled. Here is the smallest that does, [[training|trained]] to "
    "squeeze five numbers, its [[feature|features]], through two and to give all five back. How "
    "many can it keep? The data has a [[density]] p: how often each number is not 0.",
)
prediction(
    "Your guess first:",
    ("two", "four", "five", "it depends on the data"),
    "it depends on the data",
    "Two when every feature is always on, four or five when features are mostly off. The formula "
    "is the same each time; only the data it is trained on changes. Drag the slider to see it.",
    key="guess",
    short=True,
)
moving_geometry(
    frames,
    key="home",
    axis_title="drag to change density p",
    subject="density",
    end_words=("always on", "rarely on"),
    loss_title="loss / p",
    start=start,
    url_parameter="p",
    track_parameter="model",
)

relu = best_seeds(zoo, "relu-output", 0.9)
with_four = relu[relu["features_represented"] == 4]["density"]
with_five = relu[relu["features_represented"] == 5]["density"]
equal = best_seeds(zoo, "relu-output", 1.0)
equal_five = equal[equal["features_represented"] == 5]["density"]
notice(
    (
        "The *network* is a formula: five numbers in, two between, five out, with a few adjustable "
        "numbers, its [[weights]]. Nobody set those. They began at random and were nudged, step by "
        "step, to whatever made the error on the data smaller: that is [[training]].",
        "Each arrow is a [[direction]] $W_i$: where the network writes feature i in its two "
        "[[hidden space|hidden dimensions]]. Its length is the [[norm]]. Past 0.5, the inner "
        "circle, the feature counts as kept, or [[represented]]. At the centre are the dropped "
        "ones.",
        "Drag the slider to its left end. At density 1 every feature is always on. The network "
        "keeps features 1 and 2, whose errors count most (their [[importance]] is highest), at a "
        "right angle, and drops the rest.",
        *(
            [
                f"Drag right. At density {format_density(with_four.max())} and below, four "
                "features share the two dimensions as two [[antipodal pair|antipodal pairs]], a "
                "square. That is [[superposition]]: more features than dimensions. A feature "
                "pushes its opposite below 0, and the [[ReLU]] at the end of the network turns "
                "that into 0: no harm done, unless both are on."
            ]
            if len(with_four)
            else []
        ),
        *(
            [
                f"At density {format_density(with_five.max())} and below, all five fit, as a "
                "pentagon. Each now disturbs the others: point at an arrow to read its "
                "[[interference]]. A feature that is on alone pushes its neighbours up, and a "
                "negative [[bias]] mutes most of that, at a price. What sparsity makes rare is two "
                "features on at once, which no bias can repair."
            ]
            if len(with_five)
            else []
        ),
        "Switch to **linear**: the same bottleneck without the [[ReLU]] at the end never keeps "
        "more than two, whatever the density.",
        *(
            [
                "Switch to **ReLU, equal importance**: all errors count alike. The same happens, "
                f"with the pentagon at density {format_density(equal_five.max())} and below."
            ]
            if len(equal_five)
            else []
        ),
        "[[loss per density|Loss / p]] is the error that is left, in a unit that can be compared "
        "from density to density.",
        "Press play to watch the shown network find its [[arrangement]] in training. The picture "
        "zooms out where the random arrows at the start are long.",
    )
)
prose(
    "The same as claims, tested on the networks of the [[zoo]], also called models. In them m is "
    "the number of dimensions, here 2, S is 1 − p, and *orthogonal* means at right angles. *ReLU* "
    "and *linear* are those of the switch above."
)
for claim_id in ("dense-is-pca", "four-in-two", "pentagon"):
    claim_card(claim_id)

heading("Two things called sparsity")
prose(
    "[[sparsity|Sparsity]] S = 1 − p is a property of the *data*: the probability that a feature "
    "is 0. How many features end up [[represented]] is a property of the *trained model*. At "
    "S = 0.8 the network above happens to represent four features of five, and four fifths is "
    "also 80%. That is a coincidence. Drag on to S = 0.9 (density 0.1): the network represents "
    "five of five, not 90% of them."
)
link("pages/features.py", "The two side by side, and what a feature is")
models_behind(ids, key="home-models", chosen=ids[start])
maths(
    r"""
The input $x$ has five features. Each is 0 with probability $S = 1 - p$, and otherwise uniform on
$[0, 1]$, independently of the others. With a matrix $W$ of 2 rows and 5 columns, the network
computes

$$
\begin{aligned} h &= W x, \\ y' &= \mathrm{ReLU}(W^\top h + b). \end{aligned}
$$

Column $W_i$ is the arrow of feature $i$. The [[loss]] weighs the features by importance,

$$
\begin{aligned} L &= \mathbb{E}_x \sum_i I_i \, (x_i - y'_i)^2, \\
I_i &= 0.9^{\,i-1}, \quad i = 1, \dots, 5, \end{aligned}
$$

or $I_i = 1$ where the importance is equal. At density 1 the network keeps what [[PCA]] would, with
the features weighted by their importance. Every $L$ becomes smaller in proportion to $p$ when
features are on less often; the figure reads out $L / p$, which can be compared.

Reading feature $i$ back gives

$$
W_i \cdot h = \lVert W_i \rVert^2 x_i + \sum_{j \ne i} (W_i \cdot W_j)\, x_j.
$$

The first term is the signal. The second is interference from features that are on at the same
time: none where the arrows are at right angles, and harmless where $W_i \cdot W_j < 0$ and
$x_i = 0$, because the ReLU turns what is below zero into zero. In the pentagon neighbours push
each other up. There a negative bias $b_i$ mutes them, and arrows longer than 1 make up for what
the bias takes from the signal. When all features are nearly always off, two are rarely on
together. What is left of $L/p$ is the price of the bias and of what leaks past it, and that does
not vanish with $p$.
"""
)
caveats(
    (
        "Every stop of the slider is another network, trained on its own from random weights: "
        "the best of 16 [[seed|seeds]] at that density. Nothing is interpolated but the motion "
        "of the arrows.",
        "The hidden space of this network may be rotated or reflected freely: the outputs stay "
        "the same. Each stop is turned so that its arrows lie as close as they can to those at "
        f"density {format_density(START)}. Lengths and angles between arrows are real, the "
        "orientation on the screen is not.",
        "Which feature sits beside which hardly matters to the loss of a pentagon, so features "
        "change places from stop to stop.",
        "Here a feature is one coordinate of made-up data. In a network trained on text or "
        "images nobody hands us the features.",
    )
)
reading(
    (
        cited(
            "toy-models",
            "the paper this page retells (Elhage et al., 2022), with the theory behind it.",
        ),
        cited("nanda-notes", "short definitions, for looking up."),
        cited("open-problems", "what to try after this."),
    )
)
heading("Where to go next")
links(
    (
        ("pages/features.py", "What a feature is, and what sparse means"),
        ("pages/bottleneck.py", "More features, heat maps, and why the ReLU matters"),
        ("pages/sizes.py", "Every size from 2 × 1 to 16 × 8"),
        ("pages/lab.py", "Train one yourself"),
        ("pages/claims.py", "All claims"),
    )
)
