"""Would this neuron fool you? Its strongest inputs first, a guess, and then its weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from figures.polysemanticity import (
    describe_input_bars,
    describe_weight_bars,
    input_bars,
    weight_bars,
)
from figures.theme import format_density, format_number
from pages.parts.layout import prose
from pages.parts.models_behind import models_behind
from pages.parts.turns import fragment
from pages.parts.url_state import plain_text
from pages.parts.vega import vega
from pages.parts.zoo_access import zoo_problems
from superposition.sharing import Moved, TopInputs, moved_by, top_inputs
from zoo import Model, Zoo

GRID = "relu-hidden-10x5"
# Sparse enough for neurons to be shared, dense enough for features to meet.
LEAST, MOST = 0.03, 0.15
DRAWN = 5000
SHOWN = 8
LIMITS = {"quiz": (0, 9999), "round": (1, 999)}

State = st.session_state


@dataclass(frozen=True)
class Round:
    """One neuron to be guessed.

    Attributes:
        neuron: counted from 0.
        top: its strongest inputs.
        moved: the answer.
    """

    model: Model
    neuron: int
    top: TopInputs
    moved: Moved

    @property
    def weights(self) -> np.ndarray:
        """(n,)."""
        return np.asarray(self.model.parameters["W"][self.neuron], dtype=np.float64)


def neuron_of(zoo: Zoo, seed: int, number: int) -> Round:
    """The neuron of a round: the same for everybody with this quiz and round."""
    grid = zoo.grid(GRID)
    rows = grid.select(family="relu-hidden", best_of_seeds=True)
    rows = rows[rows["density"].between(LEAST, MOST)].sort_values("density")
    W = grid.parameters(rows)["W"]
    choices = [
        (model, neuron)
        for model in range(len(W))
        for neuron in range(W.shape[1])
        if moved_by(W[model, neuron]).up
    ]
    # One shuffle for the whole quiz, so that no neuron comes twice before all have come.
    order = np.random.default_rng(seed).permutation(len(choices))
    chosen, neuron = choices[order[(number - 1) % len(choices)]]
    model = zoo.model(rows["model_id"].iloc[chosen])
    inputs = model.spec.distribution.sample(DRAWN, np.random.default_rng([seed, number]))
    top = top_inputs(model.spec.model_family, model.parameters, inputs, neuron, SHOWN)
    return Round(model, neuron, top, moved_by(model.parameters["W"][neuron]))


@dataclass(frozen=True)
class Marks:
    """One guess marked; features counted from 0."""

    found: tuple[int, ...]
    missed_up: tuple[int, ...]
    missed_down: tuple[int, ...]
    wrong: tuple[int, ...]


def mark(moved: Moved, picked: frozenset[int]) -> Marks:
    """Compare a guess with the features that move the neuron."""
    true = {*moved.up, *moved.down}
    return Marks(
        found=tuple(sorted(true & picked)),
        missed_up=tuple(i for i in moved.up if i not in picked),
        missed_down=tuple(i for i in moved.down if i not in picked),
        wrong=tuple(sorted(picked - true)),
    )


def explain(round_: Round, marks: Marks) -> list[str]:
    """What the reader got right, and what fooled them."""
    weights, shown = round_.weights, len(round_.top.inputs)
    counts = (round_.top.inputs != 0).sum(0)

    def weight(i: int) -> str:
        return f"{i + 1} (weight {format_number(float(weights[i]), 2)})"

    def seen(i: int) -> str:
        return f"on in {counts[i]} of the {shown}" if counts[i] else f"in none of the {shown}"

    lines = []
    if marks.found:
        lines.append(f"Found: {', '.join(weight(i) for i in marks.found)}.")
    for i in marks.missed_up:
        reason = "the evidence was there" if 2 * counts[i] >= shown else "others crowd it out"
        lines.append(f"Missed {weight(i)}: it excites the neuron, and is {seen(i)}; {reason}.")
    if marks.missed_down:
        missed = ", ".join(f"{weight(i)}, {seen(i)}" for i in marks.missed_down)
        lines.append(
            f"Missed what *silences* the neuron: {missed}. Inputs with such a feature on hardly "
            "get to the top, so that top inputs cannot tell it from one that does not matter."
        )
    for i in marks.wrong:
        chance = ", by chance" if counts[i] else ""
        lines.append(f"Picked {weight(i)}, which does not matter: {seen(i)}{chance}.")
    return lines


def score(answers: list[tuple[Moved, Marks]]) -> str:
    """The rounds so far in one sentence."""
    whole = sum(not (m.missed_up or m.missed_down or m.wrong) for _, m in answers)
    up = sum(len(moved.up) for moved, _ in answers)
    down = sum(len(moved.down) for moved, _ in answers)
    found_up = up - sum(len(m.missed_up) for _, m in answers)
    found_down = down - sum(len(m.missed_down) for _, m in answers)
    wrong = sum(len(m.wrong) for _, m in answers)
    return (
        f"Your score: {whole} of {len(answers)} neurons entirely right; {found_up} of {up} "
        f"exciting features found, {found_down} of {down} silencing ones, {wrong} picked wrongly."
    )


def in_address(name: str, default: int) -> int:
    """A whole number of the address within `LIMITS`, or the default with a notice."""
    asked = st.query_params.get(name)
    low, high = LIMITS[name]
    if not asked:
        return default
    if asked.isascii() and asked.isdigit() and len(asked) < 6 and low <= int(asked) <= high:
        return int(asked)
    st.info(
        f"The address asks for {name} {plain_text(asked)}; expected a whole number from {low} to "
        f"{high}. Showing {default} instead.",
        icon=":material/link:",
    )
    return default


@fragment
def neuron_quiz(zoo: Zoo) -> None:
    """Round after round; the address holds which, the session the score."""
    with zoo_problems():
        seed, number = in_address("quiz", 1), in_address("round", 1)
        round_ = neuron_of(zoo, seed, number)
    answers: dict[tuple[int, int], tuple[Moved, Marks]] = State.setdefault("quiz-answers", {})
    n = round_.model.spec.n_features
    p = format_density(round_.model.spec.density)
    prose(
        f"**Round {number}.** Of {DRAWN:,} inputs drawn from the data (density {p}), these "
        f"{len(round_.top.inputs)} activate one neuron most; the activation stands at the right. "
        "A bar is a feature that is on."
    )
    st.vega_lite_chart(
        vega(input_bars, round_.top.inputs, round_.top.activations),
        key=f"quiz-inputs-{seed}-{number}",
        width=620,
        alt=describe_input_bars(round_.top.inputs, round_.top.activations),
    )
    done = answers.get((seed, number))
    picked = st.pills(
        "Which features move this neuron, up or down?",
        list(range(n)),
        selection_mode="multi",
        format_func=lambda i: str(i + 1),
        key=f"quiz-pick-{seed}-{number}",
        disabled=done is not None,
    )
    if done is None:
        st.button(
            "Show its weights",
            key="quiz-show",
            type="primary",
            disabled=not picked,
            on_click=_answer,
            args=(seed, number, round_, frozenset(picked)),
        )
        return
    st.vega_lite_chart(
        vega(weight_bars, round_.weights),
        key=f"quiz-weights-{seed}-{number}",
        width=620,
        alt=describe_weight_bars(round_.weights),
    )
    prose("\n".join(f"- {line}" for line in explain(round_, done[1])))
    st.markdown(f"**{score(list(answers.values()))}**")
    st.button(
        "Next neuron",
        key="quiz-next",
        type="primary",
        icon=":material/arrow_forward:",
        on_click=_next,
        args=(number,),
    )
    models_behind([round_.model.model_id], key=f"quiz-model-{seed}-{number}")


def _answer(seed: int, number: int, round_: Round, picked: frozenset[int]) -> None:
    State["quiz-answers"][seed, number] = (round_.moved, mark(round_.moved, picked))


def _next(number: int) -> None:
    low, high = LIMITS["round"]
    st.query_params["round"] = str(number + 1 if number < high else low)
