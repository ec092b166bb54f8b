"""The Johnson–Lindenstrauss lemma, and how many directions fit: what each says, and does not."""

from __future__ import annotations

import streamlit as st

from pages.parts import packing_data as data
from pages.parts.claim_card import claim_card
from pages.parts.layout import caveats, heading, maths, notice, prediction, prose, question, reading
from pages.parts.navigation import links
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo
from pages.sections.packing import directions, distances, models, readout
from superposition.packing import lemma_dimension

GRID = "sizes"

question(
    "Johnson–Lindenstrauss and packing",
    "Why should more [[feature|features]] fit into a space than it has dimensions? The usual "
    "answer is a lemma about distances. What does it say, how good is it, and what does it leave "
    "open?",
)
prediction(
    f"Some points in {data.SPACE:,} dimensions are projected to fewer, at random. How many "
    "dimensions are needed to nearly keep all their distances: what decides it?",
    ("how many points there are", "how many dimensions they had", "how far apart they are"),
    "how many points there are",
    "And how near is near enough. The dimensions they had do not enter at all, and how the points "
    "lie hardly matters: one distance is as easy to keep as another. Each further point only adds "
    "more pairs that must all be lucky.",
    key="lemma-guess",
)
prose(
    "**The lemma.** Any N points, in however many dimensions, can be mapped into "
    "$4 \\ln N / (δ^2/2 - δ^3/3)$ dimensions so that no squared distance changes by more than a "
    "share δ. A random matrix does it nearly every time. The number of dimensions they came from "
    "does not appear. Features are such points: if they survive squeezing, many fit in few "
    "dimensions."
)
prose(
    "Each dot is a pair of points: its distance before the [[random projection]], and after. The "
    "band is where *squared* distances are within 1 ± δ of what they were. Drag the slider. "
    "(Here δ is for distances and ε, further down, for cosines; the literature has ε for both.)"
)
distances()
notice(
    (
        "Near pairs fare no better and no worse than far ones: every ratio of squared distances "
        "has the same distribution.",
        "The number of points matters little, because only its logarithm enters: from 5 points to "
        f"50 the lemma's dimension grows {lemma_dimension(50, 0.3) / lemma_dimension(5, 0.3):.1f} "
        "times. The width of the band matters much: from δ = 0.5 to 0.2 it grows "
        f"{lemma_dimension(30, 0.2) / lemma_dimension(30, 0.5):.1f} times.",
        "Try to break it: put the points into clusters, or one on each axis, or draw again. On the "
        "axes each point is one feature, and where the projection takes it is that feature's "
        "[[direction]].",
    )
)
claim_card("jl-distances")

heading("From distances to directions")
prose(
    "The lemma is about distances in a *finite set of points*. Directions come with them: if the "
    "sum and the difference of two arrows keep their lengths, so does the right angle between the "
    "arrows, nearly. In one line: take the points $e_i$ and $-e_i$ of N features, and let "
    "$W_i$ be where a projection takes $e_i$. Distances give inner products,"
)
# Two lines: a formula does not wrap on a phone.
prose(
    "$$\n"
    r"\begin{aligned} 4\, W_i \cdot W_j &= \lVert W_i + W_j \rVert^2 - \lVert W_i - W_j \rVert^2 \\"
    r"&\in 2(1 \pm \delta) - 2(1 \mp \delta) = \pm 4\delta, \end{aligned}"
    "\n$$\n\n"
    r"where squared distances are kept within $1 \pm \delta$. Lengths are kept as well, and so "
    r"$|\cos| \le \delta / (1 - \delta)$ between any two of them ([[cosine]]: 0 at "
    r"a right angle, 1 in the same direction, −1 in opposite ones); call this limit ε. Because "
    r"only $\ln N$ enters the lemma, solving it for N puts m in the exponent: the number of "
    "[[almost orthogonal]] directions can grow exponentially with m. How many are there really?"
)
directions()
claim_card("exponentially-many")

heading("What sparse models learn")
zoo = open_zoo()
if GRID in zoo.grids:
    prose(
        "Do trained models use that room? Each dot is a ReLU model: the [[coherence]] of its "
        "[[represented]] features, that is its closest pair. Lower is more evenly packed."
    )
    models()
    notice(
        (
            "Sparse models do *not* spread their directions evenly. Many sit at |cos| = 1, the "
            "worst there is: they hold an [[antipodal pair]].",
            "Switch to **cos**. Now an opposite pair counts as far apart, and most models lie "
            "below random directions, close to what an optimiser finds. Up to 2 features per "
            "dimension all cosines can be 0 or less, and sparse models come within 0.1 of that.",
            "So the models do not keep |cos| small. What they keep small, most of them, is "
            "what their ReLU lets through: positive cosines. These are models of 2 to 8 "
            "dimensions. With many more features than 2 per dimension, positive cosines cannot be "
            "avoided.",
        )
    )
else:
    st.info(
        f"This part shows the grid `{GRID}`, which the open zoo does not have. "
        f"`python -m training build --grid {GRID}` trains it.",
        icon=":material/grid_off:",
    )
claim_card("learned-packing")

heading("What the lemma does not say")
prose(
    "It says nothing about *using* the directions. Put "
    f"{data.FEATURES:,} features into random directions, switch k of them on, and add up what they "
    "write. Reading a feature that is on gives 1, plus a little from each of the k − 1 others: "
    r"noise of standard deviation $\sqrt{(k-1)/m}$."
)
readout()

maths(
    r"""
**The lemma.** For $N$ points and $0 < \delta < 1$, if

$$
m \ge \frac{4 \ln N}{\delta^2/2 - \delta^3/3},
$$

some linear map to $m$ dimensions keeps all squared distances within $1 \pm \delta$. The proof
draws a Gaussian matrix. For each pair the ratio of squared distances is $\chi^2_m / m$, whatever
the points are, and

$$
\begin{aligned} P\!\left(\left|\chi^2_m / m - 1\right| > \delta\right)
&\le 2 e^{-m (\delta^2/2 - \delta^3/3)/2} \\ &\le 2 / N^2. \end{aligned}
$$

There are $N(N-1)/2$ pairs, so that some pair fails with probability at most $1 - 1/N$. A draw
succeeds with probability at least $1/N$, and that is all the proof needs. In fact nearly every draw
succeeds: the estimate of the tail is not tight, and pairs tend to fail together. Put the exact
probability for the estimate, and the same sum over pairs promises as much in fewer dimensions: the
“sharper proof” under the figure.

The constant is loose, the form is not. For some sets of points no map at all does with fewer than
a constant times $\ln N / \delta^2$ dimensions (Larsen and Nelson, 2017).

**Random directions.** For two random unit vectors in $m$ dimensions $\cos^2$ is
$\mathrm{Beta}(\tfrac12, \tfrac{m-1}{2})$, with mean $1/m$ and

$$
q = P(|\cos| > \varepsilon) \le 2 e^{-m \varepsilon^2 / 2}.
$$

Drawn at random, about $1.2/\sqrt{q}$ directions come before the first close pair. Kept one by one
until no more are found, there are at least about $1/q$: each of them forbids a share $q$ of the
sphere, and together they must forbid nearly all. Both are exponential in $m$, with rates that
approach $\tfrac14 \ln \frac{1}{1 - \varepsilon^2}$ and $\tfrac12 \ln \frac{1}{1 - \varepsilon^2}$
in high dimensions. The fits are steeper, because $q$ has a further factor that falls with $m$, like
$1/\sqrt m$.

**Bounds.** Welch: among $K > m$ unit vectors some pair has
$|\cos| \ge \sqrt{\frac{K - m}{m (K - 1)}}$. Rankin: for $K \le m + 1$ some pair has
$\cos \ge -\frac{1}{K - 1}$, and for more than $m + 1$ vectors $\cos \ge 0$. Up to $2m$ vectors
reach that, as antipodal pairs. The best arrangements known for $|\cos| \le \tfrac12$ are the lines
through opposite roots of the lattices $D_m$ (in 3 to 5 dimensions) and $E_6$, $E_7$ and $E_8$.

**Reading.** With unit directions and $A$ the set of the $k$ features that are on,

$$
W_i \cdot h = x_i + \sum_{j \in A,\, j \ne i} W_i \cdot W_j ,
$$

where each term of the sum has mean 0 and variance $1/m$ over random directions. A reader
$y = a\, (W_i \cdot h) + b$ leaves, at best, the share $c / (1 + c)$ of the error of a constant,
with $c = \frac{n - 1}{m (1 - k/n)}$: for small $k/n$ it does not depend on $k$. For
$y = \mathrm{ReLU}(a\, (W_i \cdot h) + b)$ the best $a$ and $b$ are searched for, with readings
taken as Gaussian; the dots are sampled.

**No linear reader does much better.** A linear map from $m$ numbers has rank $m$ at most, and so
follows $m$ directions of the inputs. Independent features of equal variance vary alike in all
$n$ directions: at least $1 - m/n$ of the variance stays unread, whatever $W$ and the map are. With
exactly $k$ features on their sum never varies, and it is $1 - m/(n-1)$.
"""
)
caveats(
    (
        "The lemma is about squared distances here, as in its proof. Distances themselves are then "
        "within √(1 ± δ), which is narrower than 1 ± δ.",
        "“Enough” is read off one projection that grows row by row, from the last dimension at "
        "which a pair fails. Another draw gives another number.",
        "The numbers of directions are lower bounds. Blue dots stop when 500 candidates in a row "
        "were turned down; more patience finds a few more. That they fit an exponential better "
        "than a power over these dimensions is a measurement, not a proof; the proof is the bound "
        "on q under “The maths”.",
        "Coherence is the *closest* pair of a model. One pair is enough to raise it, and models "
        "with norms far from 1 weigh their pairs by more than the angle.",
        "The readings are of features that are 0 or 1, in random directions. Trained models choose "
        "their directions, lengths and biases together, and do better.",
    )
)
reading(
    (
        cited(
            "jl-lemma",
            "a short paper with the proof and the constant used here (Dasgupta and Gupta, 2003).",
        ),
        (
            "Extensions of Lipschitz mappings into a Hilbert space",
            "https://doi.org/10.1090/conm/026/737400",
            "where the lemma comes from (Johnson and Lindenstrauss, 1984).",
        ),
        (
            "Optimality of the Johnson–Lindenstrauss lemma",
            "https://arxiv.org/abs/1609.02094",
            "that for some sets of points no map can do with fewer dimensions, up to a constant, "
            "unless δ is tiny (Larsen and Nelson, 2017).",
        ),
        (
            "Lower bounds on the maximum cross correlation of signals",
            "https://doi.org/10.1109/TIT.1974.1055219",
            "the Welch bound, also for higher moments (1974).",
        ),
        cited(
            "toy-models",
            "names the lemma in one sentence, as the reason why exponentially many directions "
            "exist. It is where many meet the lemma, and not where it is stated or proved.",
        ),
        (
            "Mathematical Models of Computation in Superposition",
            "https://arxiv.org/abs/2408.05451",
            "how much can be computed, not only stored, with noise of this kind (Hänni, Mendel, "
            "Vaintrob and Chan, 2024).",
        ),
    )
)
heading("Where to go next")
links(
    (
        ("pages/bottleneck.py", "Why negative interference is free"),
        ("pages/sizes.py", "How densely trained models pack"),
        ("pages/lab.py", "Train one yourself"),
        ("pages/claims.py", "All claims"),
    )
)
