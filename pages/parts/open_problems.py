"""Questions a reader can take to the Lab: what to train, and what to look for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pages.parts.lab_settings import query_from_settings

if TYPE_CHECKING:
    from training.live import LiveSettings


@dataclass(frozen=True)
class Problem:
    """One question, and the Lab set up for it.

    Attributes:
        title: the question.
        about: why it is one, in a sentence or two. Terms may be marked.
        look_for: what to watch in the Lab.
        then: what to change next.
        changed: the settings that differ from the Lab's defaults, by name.
    """

    title: str
    about: str
    look_for: str
    then: str
    changed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> LiveSettings:
        """What the Lab is set to."""
        from training.live import LiveSettings

        return LiveSettings(**self.changed)

    @property
    def query(self) -> dict[str, str]:
        """The Lab's query parameters for it."""
        return query_from_settings(self.settings)


PROBLEMS = (
    Problem(
        "How many seeds find the pentagon?",
        "At density 0.05 the pentagon is the best arrangement of five [[feature|features]] known "
        "here. Training does not always end there; giving up a feature is a [[local minimum]].",
        "The arrangements of the eight models, and how much the others lose.",
        "*Train from the next seed*, and keep count. Then 3,000 steps: are there more pentagons, "
        "or are lost features lost for good?",
        {"densities": (0.05,), "seeds": 8},
    ),
    Problem(
        "Does the optimiser align features with axes?",
        "Nothing in a bottleneck singles out its axes: turn the hidden space and turn it back, and "
        "the outputs stay the same. But RMSprop and Adam scale the step of every weight on its "
        "own, and turning mixes the weights.",
        "The angle of the square. Does it stand upright more often than chance would have it?",
        "SGD, with the same seeds: its steps turn with the space. Then Adam.",
        {
            "n_features": 4,
            "densities": (0.1,),
            "importance_decay": 1.0,
            "optimiser": "rmsprop",
            "steps": 800,
            "seeds": 8,
        },
    ),
    Problem(
        "Importance against density",
        "Two features, one dimension. Either feature 2 is given up, or the two become an "
        "[[antipodal pair]]. Which one is better depends on its [[importance]] and on the "
        "[[density]], and near the border training ends in both.",
        "What the best of the four models does with feature 2, and by how much it is the best.",
        "For each importance, the density at which the best changes sides: the border between "
        "two phases, drawn by hand.",
        {
            "n_features": 2,
            "n_hidden": 1,
            "densities": (0.5,),
            "importance_decay": 0.5,
            "seeds": 4,
        },
    ),
    Problem(
        "When does a rare feature get in?",
        "Four features with density 0.2 and a fifth with 0.01, all equally important. The open "
        "problems of Neel Nanda ask what unequal densities do to this model.",
        "The arrow of feature 5: a direction of its own, or a dot at the centre.",
        "Make feature 5 more frequent, step by step, until the square opens into a pentagon. Is "
        "there a density at which some seeds let it in and others do not?",
        {"densities": (0.2, 0.2, 0.2, 0.2, 0.01), "importance_decay": 1.0, "seeds": 8},
    ),
    Problem(
        "Which shape do eight features take in three dimensions?",
        "In two dimensions the shapes are regular polygons. In three they are those that equal "
        "charges take on a sphere, for some numbers.",
        "The name of the arrangement, and whether any two features are opposite each other. A "
        "cube would have four such pairs.",
        "n from 4 to 12. For which n do features end as antipodal pairs, and is one left out?",
        {
            "n_features": 8,
            "n_hidden": 3,
            "densities": (0.01,),
            "importance_decay": 1.0,
            "steps": 800,
            "seeds": 8,
        },
    ),
    Problem(
        "How few neurons for absolute values?",
        "A pair of [[ReLU]] neurons computes |x| exactly, so three features take six neurons. "
        "Here are five.",
        "The loss, and beside it that of six neurons. Which feature pays for the missing neuron?",
        "Fewer neurons, then sparser data. Does sparsity help here as it does in a bottleneck?",
        {
            "family": "absolute-value",
            "n_features": 3,
            "n_hidden": 5,
            "densities": (0.1,),
            "importance_decay": 1.0,
            "steps": 800,
            "seeds": 4,
        },
    ),
    Problem(
        "A learning rate at the edge",
        "Larger steps finish sooner, until they no longer settle at all.",
        "The curve while the rate is at its peak, and what is left when it has fallen. How many "
        "of the eight still keep five features?",
        "Learning rates of 0.3 and 3, then SGD, whose edge lies lower: beyond it the loss is no "
        "longer a number.",
        {"learning_rate": 1.0, "seeds": 8},
    ),
)
