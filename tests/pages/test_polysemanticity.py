"""Polysemanticity: bars over density, counts, pairs, rare features, and the quiz."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from figures.polysemanticity import BANDS
from pages.parts.neuron_quiz import Marks, Round, explain, mark, neuron_of, score
from pages.sections.polysemanticity import SHARES
from superposition.geometry import WEIGHT_SHARE
from superposition.sharing import Moved, TopInputs, antipodal_cost, moved_by
from tests.pages.conftest import Visit, described, shown_text, unfold
from zoo import Zoo
from zoo.claims.sharing import neurons_over_density, overlap_of_partners, rare_feature_costs

PAGE = "pages/polysemanticity.py"
BARS, QUIZ, COUNTS, OVERLAP, PAIRS, COST = range(6)


def charts(app: AppTest) -> list[dict[str, Any]]:
    """The specifications of the page's charts, in order."""
    return [json.loads(element.proto.spec) for element in app.get("vega_lite_chart")]


def slider_start(app: AppTest) -> int:
    (slider,) = (p for p in charts(app)[0]["params"] if p["name"] == "neurons")
    return int(slider["value"][0]["step"])


def convention_start(app: AppTest) -> tuple[float, bool]:
    """What counts as a feature of a neuron at first: from which share, and exciting ones only."""
    (inputs,) = charts(app)[COUNTS]["params"]
    return SHARES[inputs["value"][0]["step"]], inputs["value"][0]["exciting"]


def costs_told(text: str) -> str:
    return text.partition("one more feature costs up to")[2].partition("<")[0]


def test_it_opens_on_a_polysemantic_model(visit: Visit) -> None:
    app = visit(PAGE)
    assert not app.exception
    assert not app.error
    assert not app.info
    assert app.title[0].value == "Polysemanticity"
    alts = described(app)
    assert len(alts) == 6
    assert all(len(alt) > 60 for alt in alts)
    assert slider_start(app) == 12  # density 0.1 of 25
    assert alts[QUIZ].startswith("The 8 inputs that activate")
    assert [b.label for b in app.button].count("Train this one again with another seed") == 2
    shown = [link.proto.label for link in app.get("page_link")]
    assert {"Claim 13", "Claim 14", "Claim 15"} <= set(shown)


def test_the_address_holds_every_choice(visit: Visit) -> None:
    app = visit(PAGE, p="1", share="0.5", exciting="true", meet="0.01", n="6", quiz="7", round="3")
    assert not app.exception
    assert not app.info
    assert slider_start(app) == 0
    assert convention_start(app) == (0.5, True)
    assert app.button_group(key="meet").value == 0.01
    assert app.button_group(key="n").value == 6
    assert "Round 3" in shown_text(app)


def test_bad_values_get_notices_and_the_defaults(visit: Visit) -> None:
    bad = {"p": "banana", "share": "9", "exciting": "perhaps"}
    app = visit(PAGE, **bad, meet="7", n="12", quiz="-1", round="1e3")
    assert not app.exception
    assert len(app.info) == 7
    notices = "\n".join(info.value for info in app.info)
    assert "asks for share 9, which is not among 0.05, 0.1, 0.2, 0.3, 0.5" in notices
    assert "asks for exciting perhaps, which is neither true nor false" in notices
    assert slider_start(app) == 12
    assert convention_start(app) == (WEIGHT_SHARE, False)
    assert "Round 1." in shown_text(app)
    far = visit(PAGE, p="inf", quiz="99999999", round="٣")
    assert not far.exception
    assert len(far.info) == 3


def test_counts_are_told_by_the_convention_of_the_address(visit: Visit) -> None:
    app = visit(PAGE)
    assert convention_start(app) == (WEIGHT_SHARE, False)
    alt, told = app.get("vega_lite_chart")[COUNTS].proto.alt, described(app)[COUNTS]
    assert "Weights count from 0.2 of the neuron's largest" in told
    # The numbers of claim 13.
    assert "features per neuron against density" in told
    assert "4.39 (2.2 to 7) at density 0.01" in told
    app.query_params["share"], app.query_params["exciting"] = "0.5", "true"
    app.run()
    assert not app.exception
    assert convention_start(app) == (0.5, True)
    assert app.get("vega_lite_chart")[COUNTS].proto.alt == alt
    assert "Positive weights count from 0.5 of the largest positive one" in described(app)[COUNTS]
    assert "3.02 (2.2 to 4) at density 0.01" in described(app)[COUNTS]


def test_all_conventions_are_sent_at_once(visit: Visit, zoo_folder: Path) -> None:
    zoo = Zoo.open(zoo_folder)
    data = visit(PAGE).get("vega_lite_chart")[COUNTS].proto.datasets
    sent = [pa.ipc.open_stream(one.data.data).read_all().to_pandas() for one in data]
    (counts,) = (table for table in sent if "density" in table)
    for step, share in enumerate(SHARES):
        for exciting, sign in ((False, ""), (True, "x")):
            table = neurons_over_density(zoo, share=share, exciting=exciting)
            for name, band in BANDS.items():
                rows = counts[counts["measure"] == band.title]
                np.testing.assert_array_equal(rows["density"], table["density"])
                for end, suffix in (("mean", ""), ("low", "_low"), ("high", "_high")):
                    column = rows[f"{end}{step}{sign}"]
                    np.testing.assert_array_equal(column, table[f"{name}{suffix}"])


def test_other_pairs_and_sizes(visit: Visit) -> None:
    app = visit(PAGE)
    before = described(app)
    text = shown_text(app)
    assert "The dots follow them as long as the new feature is the rarer one." in text
    assert "There 3 of 5 models cost about twice what the line says" in text
    assert "always together 0.98 against 0.22" in text
    app.button_group(key="meet").select(0.03).run()
    app.button_group(key="n").select(6).run()
    assert not app.exception
    after = described(app)
    moved = [k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert moved == [PAIRS, COST]
    # What is said of the costs follows what is shown of them.
    assert costs_told(text) != costs_told(shown_text(app))
    assert "With popular features of density 0.5 they are not" in shown_text(app)


def test_a_round_of_the_quiz(visit: Visit, zoo_folder: Path) -> None:
    app = visit(PAGE, quiz="1", round="1")
    answer = neuron_of(Zoo.open(zoo_folder), 1, 1)
    assert app.button(key="quiz-show").disabled
    assert answer.model.model_id not in shown_text(app)
    for feature in (*answer.moved.up, *answer.moved.down):
        app.button_group(key="quiz-pick-1-1").select(feature)
    app.run()
    app.button(key="quiz-show").click().run()
    assert not app.exception
    text = shown_text(unfold(app))
    assert "1 of 1 neurons entirely right" in text
    assert len(charts(app)) == 7
    assert answer.model.model_id in text
    app.button(key="quiz-next").click().run()
    assert not app.exception
    assert app.query_params["round"] == "2"
    app.button_group(key="quiz-pick-1-2").select(9).run()
    app.button(key="quiz-show").click().run()
    text = shown_text(app)
    assert "1 of 2 neurons entirely right" in text
    assert "what *silences* the neuron" in text


@pytest.mark.parametrize("guess", ["keep one feature each", "work for more and more features"])
def test_any_prediction_is_answered(visit: Visit, guess: str) -> None:
    app = visit(PAGE)
    app.button_group(key="prediction").select(guess).run()
    assert ("Yes. In dense data" in shown_text(app)) == guess.startswith("work")


# The quiz without a page.


def test_a_quiz_is_the_same_for_everybody_and_repeats_no_neuron(zoo_folder: Path) -> None:
    zoo = Zoo.open(zoo_folder)
    rounds = [neuron_of(zoo, 5, number) for number in range(1, 13)]
    again = [neuron_of(zoo, 5, number) for number in range(1, 13)]
    neurons = [(one.model.model_id, one.neuron) for one in rounds]
    assert neurons == [(one.model.model_id, one.neuron) for one in again]
    assert len(set(neurons)) == len(neurons)
    np.testing.assert_array_equal(rounds[3].top.inputs, again[3].top.inputs)
    for one in rounds:
        assert one.moved.up
        assert (one.top.activations > 0).all()
        np.testing.assert_allclose(one.top.inputs @ one.weights, one.top.activations, rtol=1e-6)


def a_round() -> Round:
    inputs = np.zeros((4, 5))
    inputs[:, 0], inputs[0, 1], inputs[:3, 4] = 1, 1, 1
    top = TopInputs(inputs, np.arange(4.0, 0.0, -1.0))
    weights = np.array([1.0, 0.4, 0.6, -40.0, 0.0])
    model: Any = type("", (), {"parameters": {"W": weights[None]}})()
    return Round(model, 0, top, moved_by(weights))


def test_what_fooled_the_reader_is_said() -> None:
    round_ = a_round()
    assert round_.moved == Moved((0, 1, 2), (3,))
    marks = mark(round_.moved, frozenset({1, 4}))
    assert marks == Marks((1,), (0, 2), (3,), (4,))
    found, first, third, silent, wrong = explain(round_, marks)
    assert found == "Found: 2 (weight 0.4)."
    assert first == (
        "Missed 1 (weight 1): it excites the neuron, and is on in 4 of the 4; the evidence was "
        "there."
    )
    assert third.endswith("is in none of the 4; others crowd it out.")
    assert "Missed what *silences* the neuron: 4 (weight −40), in none of the 4." in silent
    assert wrong == "Picked 5 (weight 0), which does not matter: on in 3 of the 4, by chance."


def test_the_score_adds_up() -> None:
    moved = Moved((0, 1), (2,))
    right, half = mark(moved, frozenset({0, 1, 2})), mark(moved, frozenset({0, 4}))
    assert score([(moved, right), (moved, half)]) == (
        "Your score: 1 of 2 neurons entirely right; 3 of 4 exciting features found, 1 of 2 "
        "silencing ones, 1 picked wrongly."
    )


# What the page says of the models is so.


def test_dense_neurons_are_pure_and_sparse_ones_are_not(zoo_folder: Path) -> None:
    grid = Zoo.open(zoo_folder).grid("relu-hidden-10x5")
    rows = grid.select(family="relu-hidden")
    W = grid.parameters(rows)["W"]
    dense = (rows["density"] > 0.46).to_numpy()
    assert (np.sort(np.abs(W[dense]).argmax(-1), axis=-1) == np.arange(5)).all()
    for best in (False, True):
        chosen = (rows["density"] < 0.05).to_numpy() & (rows["best_of_seeds"] == best).to_numpy()
        pure = [
            len(moved.up) + len(moved.down) == 1
            for one in W[chosen]
            for moved in map(moved_by, one)
        ]
        assert not any(pure) if best else np.mean(pure) < 0.05
    middle = rows["density"].between(0.055, 0.4) & rows["best_of_seeds"]
    for one in W[middle.to_numpy()]:
        alone = [moved.up for moved in map(moved_by, one) if len(moved.up + moved.down) == 1]
        assert (0,) in alone


def test_pairs_do_to_each_other_what_the_page_says(zoo_folder: Path) -> None:
    zoo = Zoo.open(zoo_folder)
    table = overlap_of_partners(zoo)
    best = table[table["best_of_seeds"] & (table["density"] == 0.3)].set_index("correlation")
    W = {
        c: zoo.model(str(best.loc[c, "model_id"])).parameters["W"].astype(float)
        for c in (-1.0, 1.0)
    }
    for k in range(4):
        # One of a pair excites the neuron, the other silences it with a huge weight.
        most = np.argsort(-np.abs(W[-1.0][k]))[:2]
        assert most[0] // 2 == most[1] // 2
        assert W[-1.0][k, most[0]] < -50 < 0.9 < W[-1.0][k, most[1]]
        both = np.flatnonzero(np.abs(W[1.0][k]) > 0.1)
        assert len(both) == 2
        assert both[0] // 2 == both[1] // 2
        np.testing.assert_allclose(W[1.0][k, both], 0.5**0.5, atol=0.01)


def test_a_rare_feature_saves_about_one_minus_p(zoo_folder: Path) -> None:
    table = rare_feature_costs(Zoo.open(zoo_folder))
    five = table[(table["n_features"] == 5) & (table["rare_ratio"] <= 0.1)]
    np.testing.assert_allclose(five["gain"], 1 - five["density"], atol=0.02)
    expected = antipodal_cost(five["density"], five["density"] * five["rare_ratio"])
    np.testing.assert_allclose(five["cost"], expected, rtol=0.1, atol=2e-5)
