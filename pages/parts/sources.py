"""The sources of the app: where to find each, what it is good for, and what here shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One thing to read.

    Attributes:
        title, address: of the text itself.
        by: authors and year.
        good_for: what it is good for, as a sentence without a subject.
        here: what this app has of it, in a sentence.
        pages: the pages that show it, by file.
        listed: whether it is one of the five of the reading list that this app grew from.
    """

    title: str
    address: str
    by: str
    good_for: str
    here: str
    pages: tuple[str, ...]
    listed: bool = False


SOURCES: dict[str, Source] = {
    "nanda-notes": Source(
        "Neel Nanda's notes on superposition",
        "https://dynalist.io/d/n2ZWtnoYHrU1s4vnFSAQ519J#z=3br1psLRIjQCOv2T4RN3V6F2",
        "Neel Nanda, 2022",
        "Short definitions and a first introduction. It calls a feature a property of an input, "
        "or of some subset of it, and tells bottleneck superposition from neuron superposition.",
        "Its definition of a feature stands beside two others; both kinds of superposition have "
        "a page.",
        ("pages/features.py", "pages/bottleneck.py", "pages/two_kinds.py"),
        listed=True,
    ),
    "toy-models": Source(
        "Toy Models of Superposition",
        "https://transformer-circuits.pub/2022/toy_model/index.html",
        "Elhage and others, 2022",
        "The experiments that all of this retells, and the theory behind them.",
        "Every model family here is one of the paper's. The claims say which of its sentences "
        "hold for these models.",
        (
            "pages/home.py",
            "pages/bottleneck.py",
            "pages/sizes.py",
            "pages/two_kinds.py",
            "pages/claims.py",
        ),
        listed=True,
    ),
    "open-problems": Source(
        "200 Concrete Open Problems: polysemanticity and superposition",
        "https://www.alignmentforum.org/posts/o6ptPu7arZrqRCxyz/"
        "200-cop-in-mi-exploring-polysemanticity-and-superposition",
        "Neel Nanda, 2023",
        "What to try next. Several of its problems about toy models fit into the Lab.",
        "The open problems on this page set the Lab up for a few questions of the kind.",
        ("pages/lab.py",),
        listed=True,
    ),
    "arena": Source(
        "ARENA 1.4: Superposition and SAEs",
        "https://arena3-chapter1-transformer-interp.streamlit.app/%5B1.4%5D_Superposition_&_SAEs",
        "Callum McDougall and others",
        "Writing the code oneself: exercises with solutions, from the five features on the first "
        "page to sparse autoencoders.",
        "The models of its first exercises, already trained, at many more densities.",
        ("pages/home.py", "pages/lab.py"),
        listed=True,
    ),
    "double-descent": Source(
        "Superposition, Memorization, and Double Descent",
        "https://transformer-circuits.pub/2023/toy-double-descent/index.html",
        "Henighan and others, 2023",
        "What the same models do with a finite training set: they store the examples as if those "
        "were features. Worth replicating.",
        "Not here yet: every model of this zoo is trained on the whole distribution.",
        (),
        listed=True,
    ),
    "learner-notes": Source(
        "Notes: Superposition",
        "https://ykumar.org/superposition/",
        "ykumar.org",
        "One reader's first notes on the subject. Their sentences, and the questions they leave "
        "open, are what this app sets out to show, answer or correct.",
        "Sentences that can be true or false are measured as claims.",
        ("pages/features.py", "pages/two_kinds.py", "pages/polysemanticity.py", "pages/claims.py"),
    ),
    "nanda-glossary": Source(
        "A Comprehensive Mechanistic Interpretability Explainer and Glossary",
        "https://www.neelnanda.io/glossary",
        "Neel Nanda, 2022",
        "Any term of the field that is missing here.",
        "The glossary here has only what these pages use.",
        (),
    ),
    "zoom-in": Source(
        "Zoom In: An Introduction to Circuits",
        "https://distill.pub/2020/circuits/zoom-in/",
        "Olah and others, 2020",
        "Where features, circuits and polysemantic neurons are introduced, in a vision model. Its "
        "glossary calls any scalar function of the input a feature.",
        "Both of its definitions of a feature, on one example.",
        ("pages/features.py",),
    ),
    "capacity": Source(
        "Polysemanticity and Capacity in Neural Networks",
        "https://arxiv.org/abs/2210.01892",
        "Scherlis and others, 2022",
        "When a feature gets a dimension to itself, a part of one, or none: by its importance and "
        "the sparsity of the data, worked out in a toy model.",
        "Its capacity of a feature is the dimensionality here.",
        ("pages/sizes.py", "pages/polysemanticity.py"),
    ),
    "multi-dimensional": Source(
        "Not All Language Model Features Are One-Dimensionally Linear",
        "https://arxiv.org/abs/2405.14860",
        "Engels and others, 2024",
        "Features that are not one number: days of the week that lie on a circle.",
        "“Where the light is” is a small example of such a feature.",
        ("pages/features.py",),
    ),
    "dynamics": Source(
        "Dynamical versus Bayesian Phase Transitions in a Toy Model of Superposition",
        "https://arxiv.org/abs/2310.06301",
        "Chen and others, 2023",
        "Why the loss falls in steps in training, from one arrangement to the next.",
        "Every run of the Lab shows such steps.",
        ("pages/lab.py", "pages/home.py"),
    ),
    "framework": Source(
        "A Mathematical Framework for Transformer Circuits",
        "https://transformer-circuits.pub/2021/framework/index.html",
        "Elhage and others, 2021",
        "The residual stream as a channel between layers: who writes, who reads, and why it has "
        "no basis of its own.",
        "A made-up stream to turn, and what breaks when a step looks at single coordinates.",
        ("pages/rotation.py", "pages/privileged_basis.py"),
    ),
    "privileged-bases": Source(
        "Privileged Bases in the Transformer Residual Stream",
        "https://transformer-circuits.pub/2023/privileged-basis/index.html",
        "Elhage, Lasenby and Olah, 2023",
        "The residual stream of trained language models does single out its axes, although nothing "
        "in the architecture asks for it; Adam is the suspect.",
        "Which spaces single out their axes here, and which do not.",
        ("pages/privileged_basis.py",),
    ),
    "grokking": Source(
        "Progress measures for grokking via mechanistic interpretability",
        "https://arxiv.org/abs/2301.05217",
        "Nanda and others, 2023",
        "A one-layer transformer that learns modular addition, taken apart: the algorithm, and in "
        "which directions it is written.",
        "No model of it here. What a rotation may change, and what not, is shown on smaller ones.",
        ("pages/rotation.py",),
    ),
    "jl-lemma": Source(
        "An Elementary Proof of a Theorem of Johnson and Lindenstrauss",
        "https://doi.org/10.1002/rsa.10073",
        "Dasgupta and Gupta, 2003",
        "The lemma itself, with a proof of two pages and the dimension it names.",
        "What the lemma promises, and how loose the promise is.",
        ("pages/packing.py",),
    ),
}
"""By a short name. What a page says of a source it cites may differ from `good_for`."""


def cited(name: str, why: str) -> tuple[str, str, str]:
    """An entry for `reading`: title, address, and what it is good for on this page.

    Raises:
        KeyError: for a source that is not listed here.
    """
    if name not in SOURCES:
        raise KeyError(f"there is no source {name!r}; add it to pages/parts/sources.py")
    return SOURCES[name].title, SOURCES[name].address, why
