"""The Johnson–Lindenstrauss lemma, and how many directions fit: what each says, and does not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import numpy as np
import streamlit as st

from figures.packing import (
    ACTIVE,
    DENSITY,
    DIMENSION,
    KEPT,
    MOVED,
    RANKIN,
    WELCH,
    coherence_chart,
    count_lines,
    describe_coherence_chart,
    describe_count_lines,
    describe_distance_scatter,
    describe_outside_lines,
    describe_reader_lines,
    describe_reading_histogram,
    distance_scatter,
    outside_lines,
    reader_lines,
    reading_histogram,
)
from figures.theme import format_density, format_number
from pages.parts import packing_data as data
from pages.parts.claim_card import claim_card
from pages.parts.layout import (
    caveats,
    heading,
    maths,
    notice,
    prediction,
    prose,
    question,
    reading,
    spoken,
)
from pages.parts.models_behind import models_behind
from pages.parts.navigation import links
from pages.parts.sources import cited
from pages.parts.turns import fragment
from pages.parts.url_state import chart_moved, chart_start, choice, plain_text
from pages.parts.vega import vega
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from superposition.packing import (
    POINT_SETS,
    lemma_dimension,
    promised_dimension,
    union_dimension,
    welch_count,
)

GRID = "sizes"
SETS = {"spread": "spread out", "clusters": "in five clusters", "axes": "one on each axis"}
START_DIMENSION, START_DENSITY, START_ACTIVE = 100.0, 0.01, 8.0
# The sliders of the charts stand above them: on the first screen, however tall the chart.
STYLE = """
<style>
:is([class*="st-key-pairs-"], [class*="st-key-learned-"], [class*="st-key-readings-"])
  .vega-embed { display: flex !important; flex-direction: column; }
:is([class*="st-key-pairs-"], [class*="st-key-learned-"], [class*="st-key-readings-"])
  .vega-bindings { order: -1; flex: none; padding-bottom: 0.7rem !important; }
</style>
"""


def nearest(values: Sequence[float], wanted: float) -> int:
    """Index of the value that is the fewest times off."""
    return min(range(len(values)), key=lambda i: abs(math.log(values[i]) - math.log(wanted)))


def slider_start(name: str, what: str, values: Sequence[float], default: float) -> int:
    """The stop of a chart's slider that the address asks for, or the default with a notice.

    The nearest stop counts: the stops move with the other settings, and a link should survive.
    """
    asked = st.query_params.get(name, "")

    def read() -> float:
        try:
            wanted = float(asked) if asked else default
        except ValueError:
            wanted = math.nan
        # The ends are approximate: a link may come from settings with a longer slider.
        if 0 < wanted < math.inf:
            return wanted
        st.info(
            f"The address asks for {what} {plain_text(asked)}, which is not a positive number. "
            f"Showing {default:g} instead.",
            icon=":material/link:",
        )
        return default

    return nearest(values, chart_start(f"packing-{name}", asked, read))


@fragment
def distances() -> None:
    """Points before and after a projection. The slider for m is the chart's own."""
    with st.container(horizontal=True, gap="medium"):
        count = choice("Points N", (5, 10, 20, 30, 50), 30, key="points", widget="segmented")
        epsilon = choice("Band δ", (0.2, 0.3, 0.5), 0.3, key="eps", widget="segmented")
        kind = choice(
            "The points lie",
            POINT_SETS,
            "spread",
            key="set",
            widget="segmented",
            format_func=SETS.__getitem__,
        )
        seed = choice("Draw", (1, 2, 3, 4, 5), 1, key="draw", widget="segmented")
    shown = data.projection(kind, count, epsilon, seed)
    start = slider_start("m", "dimension m =", shown.dimensions, START_DIMENSION)
    chosen = st.vega_lite_chart(
        vega(distance_scatter, shown.distances, shown.ratios, shown.dimensions, epsilon, start),
        key=f"pairs-{kind}-{count}-{epsilon}-{seed}-{start}",
        on_select="rerun",
        selection_mode=DIMENSION,
        alt=describe_distance_scatter(shown.ratios, shown.dimensions, epsilon),
    )
    if moved := chosen.selection.get(DIMENSION):
        st.query_params["m"] = str(shown.dimensions[int(moved[0]["step"])])
        chart_moved("packing-m", st.query_params["m"])
    st.vega_lite_chart(
        vega(outside_lines, shown.outside, shown.expected, shown.enough, shown.named),
        key="outside",
        alt=describe_outside_lines(shown.outside, shown.enough, shown.named),
    )
    enough = (
        f"**{shown.enough:,}** is where the last pair of *this draw* came in, which is luck, and "
        "another number in another draw."
        if shown.enough is not None
        else "in *this draw* a pair is still outside even there, since not every projection is "
        "promised to work."
    )
    prose(
        f"Three numbers for {count} points and δ = {epsilon:g}. From **{shown.named:,}** "
        "dimensions on, which the lemma asks for, *some* projection is sure to keep all distances, "
        "whatever the points are; a sharper proof (“The maths”) is sure of the same from "
        f"**{union_dimension(count, epsilon):,}** on; and {enough}"
    )


@fragment
def directions() -> None:
    """How many directions fit, for one ε."""
    epsilon = choice("|cos| up to ε", (0.3, 0.4, 0.5), 0.5, key="cos", widget="segmented")
    found = data.counts(epsilon)
    m = np.linspace(float(found.grown[0]), float(found.grown[-1]), 60)
    power, exponential = found.fits["power"], found.fits["exponential"]
    names = {
        "exponential": f"exponential: {math.exp(exponential.slope):.3f} to the m",
        "power": f"power: m to the {power.slope:.2f}",
    }
    curves = {names[kind]: np.stack([m, fit.count(m)], axis=1) for kind, fit in found.fits.items()}
    st.vega_lite_chart(
        vega(count_lines, found.by_way, curves, found.welch),
        key=f"counts-{epsilon}",
        alt=describe_count_lines(found.by_way, epsilon),
    )
    last, kept = found.by_way[MOVED].iloc[-1], found.by_way[KEPT]
    few = round(0.5 / epsilon**2)
    thousand = exponential.dimension(1000)
    notice(
        (
            f"The scale is logarithmic: an exponential is a straight line. Both curves are fitted "
            f"to the blue dots from 1/ε² = {1 / epsilon**2:.0f} dimensions on. The exponential is "
            f"typically off by {exponential.rms:.0%}, the power of m by {power.rms:.0%}.",
            f"Below 1/ε² dimensions a limit that nothing can beat, the [[Welch bound]], holds the "
            f"number down: it allows at most {welch_count(epsilon, few):.0f} in {few} dimensions. "
            "That is less than twice as many as dimensions. The bound rises steeply towards 1/ε², "
            "and from there on it forbids nothing.",
            f"Moving all directions aside to make room finds {last['count']:.0f} in "
            f"{last['m']:.0f} dimensions, where chance keeps "
            f"{kept.loc[kept['m'] == last['m'], 'count'].iloc[0]:.0f}."
            + (
                " The best arrangements that mathematics knows are better still: what an optimiser "
                "finds is a lower bound."
                if epsilon == 0.5
                else ""
            ),
            f"1,000 directions are kept in about {thousand:.0f} dimensions, if the exponential "
            f"goes on so far. The lemma promises 1,000 from {promised_dimension(1000, epsilon):,} "
            "on. It is right, and far from what is possible.",
        )
    )


@fragment
def models() -> None:
    """Coherence of what the zoo's models learn. The slider for density is the chart's own."""
    with zoo_problems():
        zoo = open_zoo()
        table = data.learned(zoo, zoo_key(zoo))
    with st.container(horizontal=True, gap="medium"):
        m = choice(
            "Dimensions of the models",
            sorted(table["n_hidden"].unique().tolist()),
            4,
            key="dims",
            widget="segmented",
        )
        measure = choice(
            "Closest pair by",
            ("|cos|", "cos"),
            "|cos|",
            key="closest",
            widget="segmented",
            help="|cos| counts opposite directions as close, as coherence does. cos does not, and "
            "neither does a ReLU: negative interference becomes 0.",
        )
    signed = measure == "cos"
    dots, densities = data.learned_dots(table, m, signed)
    lines = data.compared_with(m, signed)
    start = slider_start("p", "density", densities, START_DENSITY)
    chosen = st.vega_lite_chart(
        vega(
            coherence_chart,
            dots,
            lines,
            densities,
            start,
            RANKIN if signed else WELCH,
            f"largest {measure} of two directions",
        ),
        key=f"learned-{m}-{signed}-{start}",
        on_select="rerun",
        selection_mode=DENSITY,
        alt=describe_coherence_chart(dots, lines, densities, m),
    )
    if moved := chosen.selection.get(DENSITY):
        st.query_params["p"] = format_density(densities[int(moved[0]["step"])])
        chart_moved("packing-p", st.query_params["p"])
    ids = dots.sort_values("step", kind="stable", ascending=False)["model_id"].tolist()
    models_behind(ids, key="packing-models")


def histogram(m: int, start: int) -> alt.LayerChart:
    """The readings in m dimensions. Two numbers name what are millions."""
    shown = data.readings(m)
    return reading_histogram(shown.sampled, shown.noise, data.FEATURES, start)


@fragment
def readout() -> None:
    """Reading features back. The slider for how many are on is the chart's own."""
    m = choice("Dimensions", (50, 100, 200), 100, key="room", widget="segmented")
    shown = data.readings(m)
    start = slider_start("on", "a number of features", data.ACTIVE, START_ACTIVE)
    chosen = st.vega_lite_chart(
        vega(histogram, m, start),
        key=f"readings-{start}",
        on_select="rerun",
        selection_mode=ACTIVE,
        alt="Histograms of readings of features that are on and that are off, with a slider.",
    )
    spoken(describe_reading_histogram(shown.noise, data.FEATURES, m))
    if moved := chosen.selection.get(ACTIVE):
        st.query_params["on"] = str(data.ACTIVE[int(moved[0]["step"])])
        chart_moved("packing-on", st.query_params["on"])
    prose(
        "How much of the error is left if a reader may scale what it reads and add a [[bias]]? "
        "100% is no reading at all, the same output for every input. Lines are computed, dots "
        "sampled."
    )
    st.vega_lite_chart(
        vega(reader_lines, shown.readers),
        key="readers",
        alt="Error left by the best linear and the best ReLU reader against features that are on.",
    )
    spoken(describe_reader_lines(shown.readers))
    errors = shown.readers.pivot(index="active", columns="reader", values="error")
    few, many = data.ACTIVE[2], data.ACTIVE[-1]
    drowned = next(k for k, noise in shown.noise.items() if noise >= 1)
    notice(
        (
            f"With {few} of {data.FEATURES:,} features on, noise is "
            f"√({few - 1}/{m}) = {format_number(shown.noise[few], 2)}, and 0 and 1 can mostly be "
            f"told apart. With {drowned} on it is {format_number(shown.noise[drowned], 3)}, more "
            "than the signal: the reading drowns. That any two directions barely overlap does not "
            "help against many small overlaps at once. This is what sparsity is needed for.",
            f"The best scaled *linear* reading leaves {errors['linear'][few]:.0%} of the error "
            f"with {few} features on, and {errors['linear'][data.ACTIVE[0]]:.0%} with one. "
            "Sparsity is worth nothing to it: it adds up the noise of all outputs that should be "
            "0. Other directions would not help. Of n independent features that vary alike, *any* "
            f"linear map from m numbers leaves at least 1 − m/n = {1 - m / data.FEATURES:.0%} of "
            "the variance unread.",
            f"A [[ReLU]] with a negative bias cuts that noise off. It leaves "
            f"{errors['ReLU'][few]:.0%} with {few} on. With {many} on it is no better than the "
            "linear one. The nonlinearity is needed, *and* sparsity.",
        )
    )


st.html(STYLE)

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
