"""Features and sparsity: what the toy models take for granted, and what they mean by it."""

from __future__ import annotations

import streamlit as st

from figures.sparsity import DRAWS
from figures.theme import STATUS_STYLES
from pages.parts.claim_card import claim_card
from pages.parts.layout import caveats, heading, maths, notice, prediction, prose, question, reading
from pages.parts.navigation import links
from pages.parts.sources import cited
from pages.parts.zoo_access import open_zoo
from pages.sections.features import PIXEL_DENSITY, candidates, sparsity, verdict_rows
from superposition.features import CANDIDATES, PIXELS

YES, NO = STATUS_STYLES["holds"], STATUS_STYLES["does not hold"]
STYLE = f"""
<style>
.verdicts {{ border-collapse: collapse; width: 100%; font-size: 0.9rem; line-height: 1.35; }}
.verdicts th, .verdicts td {{
  text-align: left; vertical-align: top; padding: 0.45rem 0.6rem 0.45rem 0; font-weight: 400;
  border-bottom: 1px solid rgba(128, 136, 150, 0.35);
}}
.verdicts thead th {{ font-weight: 600; vertical-align: bottom; }}
.verdicts tbody th b {{ font-weight: 600; }}
.verdicts small {{ opacity: 0.75; display: block; }}
.verdicts .yes::before {{ content: "{YES.symbol} "; color: {YES.colour}; font-weight: 700; }}
.verdicts .no::before {{ content: "{NO.symbol} "; color: {NO.colour}; font-weight: 700; }}
@media (max-width: 640px) {{
  .verdicts thead {{ position: absolute; clip-path: inset(50%); width: 1px; height: 1px; }}
  .verdicts tr {{ display: block; padding: 0.6rem 0; }}
  .verdicts tr {{ border-bottom: 1px solid rgba(128, 136, 150, 0.35); }}
  .verdicts th, .verdicts td {{ display: block; border: none; padding: 0.1rem 0; }}
  .verdicts td small {{ display: inline; font-size: inherit; }}
  .verdicts td small::before {{ content: ", "; }}
}}
@media (min-width: 641px) {{ .verdicts td span.head {{ display: none; }} }}
.st-key-pixels [data-testid="stButtonGroup"] button {{ min-width: 3.4rem; min-height: 3.4rem; }}
</style>
"""


zoo = open_zoo()
st.html(STYLE)

question(
    "Features and sparsity",
    "[[superposition|Superposition]] is “representing more [[feature|features]] than dimensions”, "
    "when they are [[sparsity|sparse]]. What counts as a feature, and what exactly is sparse?",
)
agreed = sum(len({holds for holds, _ in found[:3]}) == 1 for _, _, _, found in verdict_rows())
accepted = [name for name, _, _, found in verdict_rows() if all(ok for ok, _ in found[:3])]
prediction(
    "A picture of nine pixels. Is “0.7 x₁ − 1.3 x₄ + 0.4 x₉” a feature of it?",
    ("yes", "no", "it depends on the definition"),
    "it depends on the definition",
    "It is a scalar function of the input, so yes by that definition. It is not a property that a "
    "picture has or lacks, and nobody would give it a name.",
    key="feature-guess",
    short=True,
)
prose(
    "Loosely, features are whatever units a network describes the world in. Three sharper "
    "definitions are in use. A feature is **a property of the input**, or of some part of "
    "it (Neel Nanda). Or it is a **meaningful** property, one that a person can name. Or it is "
    "**any scalar function** of the input, that is, any one number computed from it (both Chris "
    "Olah and others). "
    "The **toy model**, as the networks of these pages are called, has a rule of its own: its "
    "features are the numbers of the input themselves, by decree. Here is an input, nine pixels, "
    "and seven candidates."
)
candidates()
notice(
    (
        f"The three definitions agree about {agreed} of the {len(CANDIDATES)} candidates"
        + (f": {', '.join(accepted)}." if accepted else ".")
        + " The toy model, in turn, does not count that one: no single pixel is a line.",
        "The columns *property* and *scalar function* are computed. Nine pixels make only "
        f"{2**PIXELS} pictures, and each candidate is tried on all of them. *Meaningful* is our "
        "opinion; there is nothing to compute.",
        "Asking whether a scalar function is past a threshold makes a property of it, and adds no "
        "meaning.",
        "“Where the light is” is as meaningful as the others and is no scalar function: it takes "
        "two numbers. It splits into two, row and column. Language models also have features that "
        "do not split, such as the days of the week on a circle.",
        "The last column is the [[sparsity]] of each candidate: how often it is 0, if every pixel "
        f"is lit with probability {PIXEL_DENSITY:g}, independently of the others. The pictures are "
        "the same; what is sparse depends on what is called a feature.",
    )
)
heading("What the toy model's choice hides")
prose(
    "Each number of the input, each *coordinate* of x, is a scalar function, the simplest there "
    "is. But the toy model takes n of those out of infinitely many, and that choice does a good "
    "deal of work:"
)
notice(
    (
        "**It makes features countable.** “More features than dimensions” compares two numbers. If "
        "any scalar function counted, every network would represent infinitely many, because every "
        "weighted sum of two hidden numbers is one more. Turning two coordinates by 45° gives two "
        "functions that carry the same information; who says which pair to count?",
        "**It says what is right.** The loss compares outputs with these n numbers. A "
        "[[transformer]] trained on text is asked for the next word, and nobody lists the features "
        "it should keep.",
        "**It makes them independent, sparse and one number each.** Features of text come in "
        "groups, depend on each other, and some take more than one number.",
        "**It gives n.** In a real network n is not known, and finding the features, for example "
        "with a [[sparse autoencoder]], is an open problem. The toy model begins where that is "
        "solved.",
    ),
    title="",
)

heading("What is sparse?")
prose(
    "In the data of the zoo a feature is 0 with probability S, its [[sparsity]], and otherwise "
    "spread evenly from 0 to 1. Its [[density]] is p = 1 − S. So a feature is *off* when it is 0. "
    "One may also call it off when it is small, at most a threshold τ. Does that change much?"
)
prediction(
    "S = 0: no value is exactly 0. Now let everything up to 0.1 count as off. How much is off?",
    ("nothing", "a tenth", "half"),
    "a tenth",
    "Values are spread evenly from 0 to 1, and a tenth of them lies below 0.1.",
    key="threshold-guess",
    short=True,
)
sparsity(zoo)
claim_card("four-in-two")
claim_card("pentagon")
maths(
    r"""
**Definitions as sets.** Write $X$ for the possible inputs. A scalar function is any
$f : X \to \mathbb{R}$. A property is one with two values, $f : X \to \{0, 1\}$. A coordinate is
$f(x) = x_i$. So every property is a scalar function, and every coordinate is one; neither of the
last two contains the other. Nine pixels give $|X| = 2^9 = 512$ pictures, hence $2^{512}$
properties, a number of 155 digits, against nine coordinates.

**Threshold.** A feature is 0 with probability $S$, else uniform on $[0, 1]$. For
$0 \le \tau \le 1$

$$
\begin{aligned} P(|x_i| \le \tau) &= S + (1 - S)\, \tau, \\
P(|x_i| > \tau) &= p\,(1 - \tau). \end{aligned}
$$

The same holds for values on $[-1, 1]$, whose size is uniform on $[0, 1]$.

**Sparsity of a candidate.** For independent pixels of density $p$, $P(f(x) = 0)$ is the sum of
$p^{k}(1-p)^{9-k}$ over the pictures with $f(x) = 0$, $k$ being the number of lit pixels. A
vertical line, for example, is missing from all three columns with probability $(1 - p^3)^3$.
"""
)
caveats(
    (
        "We read “property” strictly, as something an input has or lacks. Read loosely, as any "
        "quantity of it, the first definition becomes the third, apart from candidates of more "
        "than one number.",
        "The pixels of the example are on or off. Features of the toy model are on in degrees, "
        "from 0 to 1: the property is “x is not 0”, the scalar function is how much.",
        "“Represented” is a cut as well, through the [[norm]] at one half. Another cut can give "
        "another count.",
        f"The rings are one sample of {DRAWS:,} values for each setting. They miss the line by "
        "about a hundredth, as samples do.",
    )
)
reading(
    (
        cited("nanda-notes", "where a feature is a property of the input, or of a part of it."),
        cited(
            "zoom-in",
            "its glossary calls any scalar function of the input a feature, and sets the "
            "meaningful ones apart.",
        ),
        cited(
            "toy-models",
            "its section on features weighs several definitions, among them one that is not on "
            "this page: what a large enough network would give a neuron of its own.",
        ),
        cited("multi-dimensional", "features of language models that take two numbers."),
    )
)
heading("Where to go next")
links(
    (
        ("pages/bottleneck.py", "What a network does with sparse features"),
        ("pages/home.py", "Five features, two dimensions"),
        ("pages/glossary.py", "Every term"),
    )
)
