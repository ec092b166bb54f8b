"""What a feature is on one small picture, and sparsity drawn and sampled."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from figures.sparsity import (
    DRAWS,
    SLIDERS,
    STOPS,
    Convention,
    describe_represented_chart,
    describe_threshold_chart,
    represented_chart,
    threshold_chart,
    threshold_rows,
)
from figures.theme import format_density, format_number, format_sparsity
from pages.parts.layout import heading, notice, prose, spoken
from pages.parts.models_behind import models_behind
from pages.parts.turns import fragment
from pages.parts.url_state import chart_moved, chart_start, choice, plain_text
from pages.parts.vega import vega
from pages.parts.zoo_access import zoo_key, zoo_problems
from superposition.features import CANDIDATES, PIXELS, SIDE, PictureFunction
from zoo import Zoo

PICTURES = {
    "letter L": "100100111",
    "vertical line": "010010010",
    "horizontal line": "000111000",
    "two dots": "100000001",
    "dark": "000000000",
}
START_PICTURE = PICTURES["letter L"]
PIXEL_DENSITY = 0.2

# Nobody can compute whether a function means something. This is our judgement of each.
MEANING = {
    "the middle pixel": (False, "says nothing of what the picture shows"),
    "a vertical line": (True, "anyone would name it"),
    "brightness": (True, "how bright the picture is"),
    "a sum with odd weights": (False, "no words for it but the formula"),
    "the same, past a threshold": (False, "no words for it either"),
    "two pixels, turned by 45°": (False, "half of one pixel, half of another"),
    "where the light is": (True, "a place in the picture"),
}
DEFINITIONS = ("property of the input", "meaningful", "scalar function", "the toy model")

# Networks of the zoo -> grid, family, decay of the importance.
NETWORKS = {
    "5 × 2": ("bottleneck-5x2", "relu-output", 0.9),
    "5 × 2, equal importance": ("bottleneck-5x2", "relu-output", 1.0),
    "5 × 2, linear": ("bottleneck-5x2", "linear", 0.9),
    "20 × 5": ("bottleneck-20x5", "relu-output", 0.7),
}
CONVENTIONS: dict[Convention, str] = {"S": "sparsity S", "p": "density p"}
START_OFF = (0.8, 0.1)


# What is a feature?


def picture_in_address(asked: str | None) -> str:
    """The nine pixels that the address asks for, as nine digits 0 or 1."""
    if asked is None or (len(asked) == PIXELS and set(asked) <= {"0", "1"}):
        return asked or START_PICTURE
    st.info(
        f"The address asks for the picture {plain_text(asked)}, which is not nine digits 0 or 1. "
        "Showing the letter L instead.",
        icon=":material/link:",
    )
    return START_PICTURE


def show_picture(pixels: str) -> None:
    """Set the three rows of buttons to these pixels."""
    for row in range(SIDE):
        lit = pixels[row * SIDE : (row + 1) * SIDE]
        st.session_state[f"pixels-{row}"] = [
            row * SIDE + column + 1 for column in range(SIDE) if lit[column] == "1"
        ]


def pixel_name(number: int) -> str:
    """A pixel, from 1 to 9, as formulas write it."""
    return f"x{'₀₁₂₃₄₅₆₇₈₉'[number]}"


def picture() -> str:
    """Nine pixels to switch, and a few pictures to start from."""
    if "pixels-0" not in st.session_state:
        show_picture(picture_in_address(st.query_params.get("picture")))
    lit: set[int] = set()
    left, right = st.columns([1, 3], gap="medium", vertical_alignment="center")
    with left, st.container(key="pixels", gap="xsmall"):
        for row in range(SIDE):
            numbers = range(row * SIDE + 1, (row + 1) * SIDE + 1)
            lit.update(
                st.segmented_control(
                    f"Pixels {numbers[0]} to {numbers[-1]}: lit ones",
                    numbers,
                    selection_mode="multi",
                    format_func=pixel_name,
                    key=f"pixels-{row}",
                    label_visibility="collapsed",
                )
            )
    with right:
        st.markdown("Press a pixel to light it or to put it out, or begin with:")
        with st.container(horizontal=True, gap="small"):
            for name, pixels in PICTURES.items():
                st.button(name, key=f"picture-{name}", on_click=show_picture, args=(pixels,))
    pixels = "".join("1" if number in lit else "0" for number in range(1, PIXELS + 1))
    if pixels == START_PICTURE:
        st.query_params.pop("picture", None)
    elif st.query_params.get("picture") != pixels:
        st.query_params["picture"] = pixels
    return pixels


def value_words(candidate: PictureFunction, x: np.ndarray) -> str:
    """What a candidate says of a picture."""
    value = candidate(x)
    if candidate.is_scalar:
        return format_number(float(value))
    if not np.isfinite(value).all():
        return "none: nothing is lit"
    row, column = value
    return f"row {format_number(row)}, column {format_number(column)}"


def reads_words(candidate: PictureFunction) -> str:
    """Which part of the picture a candidate depends on."""
    if len(candidate.reads) == PIXELS:
        return "the whole picture"
    names = [pixel_name(pixel + 1) for pixel in candidate.reads]
    return ", ".join(names) if len(names) > 1 else f"{names[0]} alone"


def verdicts(candidate: PictureFunction) -> list[tuple[bool, str]]:
    """Whether each of `DEFINITIONS` calls it a feature, and why."""
    count = candidate.distinct_values
    if not candidate.is_scalar:
        has_or_lacks = f"{candidate.numbers} numbers, nothing to have or lack"
    elif candidate.is_property:
        has_or_lacks = f"of {reads_words(candidate)}: there or not"
    else:
        has_or_lacks = f"{count} values: a matter of degree"
    one_number = "one number" if candidate.is_scalar else f"{candidate.numbers} numbers"
    coordinate = f"{'' if candidate.is_coordinate else 'not '}one of x₁ to {pixel_name(PIXELS)}"
    return [
        (candidate.is_property, has_or_lacks),
        MEANING[candidate.name],
        (candidate.is_scalar, one_number),
        (candidate.is_coordinate, coordinate),
    ]


@st.cache_data(show_spinner=False)
def verdict_rows() -> list[tuple[str, str, str, list[tuple[bool, str]]]]:
    """What does not depend on the picture: name, rule, sparsity, verdicts of each candidate."""
    rows = []
    for candidate in CANDIDATES:
        sparsity = candidate.sparsity(PIXEL_DENSITY)
        rows.append(
            (
                candidate.name,
                candidate.rule,
                "–" if sparsity is None else format_number(sparsity),
                verdicts(candidate),
            )
        )
    return rows


def verdict_table(values: Sequence[str]) -> str:
    """The candidates and the definitions as an HTML table; on a phone, one block for each."""
    heads = ("", "on this picture", *DEFINITIONS, "how often it is 0")
    lines = ["<table class='verdicts'><thead><tr>"]
    lines += [f"<th scope='col'>{html.escape(head)}</th>" for head in heads]
    lines.append("</tr></thead><tbody>")
    for value, (name, rule, sparsity, found) in zip(values, verdict_rows(), strict=True):
        lines.append(
            f"<tr><th scope='row'><b>{html.escape(name)}</b><small>{html.escape(rule)}</small></th>"
            f"<td><span class='head'>on this picture: </span><b>{html.escape(value)}</b></td>"
        )
        for definition, (holds, why) in zip(DEFINITIONS, found, strict=True):
            mark = "yes" if holds else "no"
            lines.append(
                f"<td class='{mark}'><span class='head'>{html.escape(definition)}: </span>"
                f"{mark}<small>{html.escape(why)}</small></td>"
            )
        lines.append(f"<td><span class='head'>{heads[-1]}: </span>{sparsity}</td></tr>")
    return "".join([*lines, "</tbody></table>"])


@fragment
def candidates() -> None:
    """A picture to change, and what each candidate and each definition says of it."""
    with st.container(key="candidates"):
        pixels = np.array([float(digit) for digit in picture()])
        st.html(verdict_table([value_words(candidate, pixels) for candidate in CANDIDATES]))


# What is sparsity?


def off_in_address(asked: str) -> tuple[float, float]:
    """Sparsity and threshold that the address asks for, as "0.8,0.1", or the default."""
    if not asked:
        return START_OFF
    found = [stop for part in asked.split(",") for stop in STOPS if part == f"{stop:g}"]
    if len(found) == 2 == len(asked.split(",")):
        return found[0], found[1]
    st.info(
        f"The address asks for sparsity and threshold {plain_text(asked)}, which are not two "
        "numbers from 0 to 1 in steps of 0.05. Showing 0.8,0.1 instead.",
        icon=":material/link:",
    )
    return START_OFF


@st.cache_data(show_spinner=False)
def drawn_values() -> pd.DataFrame:
    """Rows of the threshold chart; they depend on nothing."""
    return threshold_rows()


@fragment
def threshold(convention: Convention) -> None:
    """The share of values that are off. The sliders are the chart's own; the address follows."""
    asked = st.query_params.get("off", "")
    (sparsity, cut), key = chart_start("off", asked, lambda: off_in_address(asked), of=convention)
    rows = drawn_values()
    with st.container(key="off-chart"):
        chosen = st.vega_lite_chart(
            vega(threshold_chart, rows, sparsity, cut, convention),
            key=key,
            on_select="rerun",
            selection_mode=SLIDERS,
            width=760,
            alt=describe_threshold_chart(rows, sparsity, cut, convention),
        )
    if moved := chosen.selection.get(SLIDERS):
        share = float(moved[0]["share"])
        found = share if convention == "S" else 1 - share
        st.query_params["off"] = f"{round(found, 2):g},{float(moved[0]['threshold']):g}"
        chart_moved("off", st.query_params["off"])


@st.cache_resource(show_spinner=False, max_entries=16)
def networks_of(_zoo: Zoo, key: str, name: str) -> tuple[pd.DataFrame, str, list[str]]:
    """The models of one of `NETWORKS`, no more of them than is drawn; in words; and their ids."""
    grid, family, importance_decay = NETWORKS[name]
    models = _zoo.grid(grid).select(family=family, importance_decay=importance_decay)
    ids = models.sort_values(["density", "loss"])["model_id"].tolist()
    drawn = ["density", "features_represented", "n_features", "best_of_seeds"]
    models = models[drawn]
    return models, describe_represented_chart(models), ids


@fragment
def represented(zoo: Zoo, convention: Convention) -> None:
    """Features that models represent, beside what the mistaken reading says."""
    name = choice("Networks", list(NETWORKS), "5 × 2", key="networks", widget="segmented")
    with zoo_problems():
        models, words, ids = networks_of(zoo, zoo_key(zoo), name)
    st.vega_lite_chart(
        vega(represented_chart, models, convention),
        key="represented",
        width=760,
        alt="Features represented against the density of the data, for every seed and the best.",
    )
    spoken(words)
    models_behind(ids, key=f"represented-models-{name}")


@fragment
def sparsity(zoo: Zoo) -> None:
    """Both figures on sparsity, in the convention of the reader's choice."""
    convention = choice(
        "Say it as",
        list(CONVENTIONS),
        "S",
        key="say",
        widget="segmented",
        format_func=CONVENTIONS.__getitem__,
    )
    prose(
        "Dots below the axis are values drawn from the data: those left of the threshold τ, and "
        "the many at exactly 0, count as off and are grey. Above, the share that is "
        f"{'off' if convention == 'S' else 'on'}, by formula (line) and in {DRAWS:,} draws (rings)."
    )
    threshold(convention)
    notice(
        (
            "At τ = 0 the line starts at S: nothing is off but what is exactly 0. From there it "
            "rises straight to 1, because values that are on are spread evenly over 0 to 1."
            if convention == "S"
            else "At τ = 0 the line starts at p: all is on but what is exactly 0. From there it "
            "falls straight to 0, because values that are on are spread evenly over 0 to 1.",
            f"With {said(0.2, convention)} a fifth of the values is on. A threshold of 0.1 cuts "
            "off a tenth of that fifth, 0.02 of all. In sparse data a small threshold hardly "
            "matters.",
            f"To break it, set {'S to 0' if convention == 'S' else 'p to 1'}. No value is 0, and "
            "yet half of them are off at τ = 0.5. A number called "
            f"{'sparsity' if convention == 'S' else 'density'} says little until its threshold is "
            "known as well.",
            "Switch **Say it as** to "
            + (
                "density p, how often a feature is *on*."
                if convention == "S"
                else "sparsity S, how often a feature is *off*."
            )
            + " Both conventions are in use. These pages keep S for the one and p for the other, "
            "everywhere.",
        )
    )
    heading("Features in the data, features in the model")
    prose(
        (
            "It is tempting to explain S = 80% like this: four of five features are represented, "
            "and 4/5 is 80%."
            if convention == "S"
            else "It is tempting to explain p = 20% like this: one of five features is not "
            "represented, and 1/5 is 20%."
        )
        + f" But {convention} describes the data, and is known before any network is trained. How "
        "many features are [[represented]] is read off the [[weights]] afterwards. If the two were "
        "the same, the networks would lie on the dashed line: "
        f"{'S' if convention == 'S' else '(1 − p)'} times n, the number of features."
    )
    prose(
        "The solid line is the best [[seed]] at each "
        f"{'sparsity' if convention == 'S' else 'density'}. Circles are all seeds, larger where "
        "more of them end. The dashed line is the mistaken reading."
    )
    represented(zoo, convention)
    notice(crossing_facts(zoo, convention))


def said(density: float, convention: Convention) -> str:
    """How often a feature is on, in the convention of the reader's choice."""
    if convention == "S":
        return f"S = {format_sparsity(density)}"
    return f"p = {format_density(density)}"


def crossing_facts(zoo: Zoo, convention: Convention) -> tuple[str, ...]:
    """What to notice about S · n, or (1 − p) · n, with numbers from the models themselves."""
    facts = []
    with zoo_problems():
        at = {
            name: zoo.grid(grid).select(family=family, importance_decay=importance_decay)
            for name, (grid, family, importance_decay) in NETWORKS.items()
        }
    five = at["5 × 2"]
    best = five[five["best_of_seeds"]].set_index("density")["features_represented"].astype(int)
    meeting = [p for p in best.index if np.isclose((1 - p) * 5, best[p])]
    above = [p for p in best.index if (1 - p) * 5 > best[p] and p not in meeting]

    def all_said(densities: list[float]) -> str:
        return ", ".join(said(p, convention) for p in sorted(densities, reverse=True))

    if meeting:
        facts.append(
            f"The dashed line meets the best 5 × 2 networks at {len(meeting)} of {len(best)} "
            f"{'sparsities' if convention == 'S' else 'densities'}, {all_said(meeting)}. "
            + (
                f"At {all_said(above)} it runs above them; everywhere else it runs below."
                * bool(above)
            )
        )
    seeds = five[np.isclose(five["density"], 0.2)]["features_represented"].astype(int)
    if len(seeds):
        facts.append(
            f"Of {len(seeds)} networks trained at {said(0.2, convention)}, on the same data from "
            "as many seeds, "
            + ", ".join(
                f"{count} represent{'s' if count == 1 else ''} {kept}"
                for kept, count in seeds.value_counts().sort_index().items()
            )
            + f" features. The data has one {convention}; each network has its own count."
        )
    dense = best.sort_index().iloc[-1]
    facts.append(
        f"At {said(1.0, convention)} the dashed line is at 0 features. The networks represent "
        f"{dense}, the most that two dimensions hold without [[superposition]]."
    )
    linear = at["5 × 2, linear"]["features_represented"].astype(int)
    twenty = at["20 × 5"]
    twenty = twenty[twenty["best_of_seeds"]]
    near = twenty.loc[(twenty["density"] - 0.2).abs().idxmin()]
    equal = at["5 × 2, equal importance"]
    equal = equal[equal["best_of_seeds"]]
    equal_at = equal.loc[(equal["density"] - 0.2).abs().idxmin(), "features_represented"]
    facts.append(
        f"To break the coincidence, switch the networks. Linear ones represent {linear.max()} at "
        f"every {convention}. With equal [[importance]] the best at {said(0.2, convention)} "
        f"represents {equal_at}. With 20 features in 5 dimensions the best at "
        f"{said(near['density'], convention)} represents {near['features_represented']}, where "
        f"the dashed line is at {format_number((1 - near['density']) * 20)}."
    )
    facts.append(
        "At the sparse end both come to 5, as five of five is all there is, and cannot be told "
        "apart. With 20 × 5 they can."
    )
    return tuple(facts)
