"""Widgets whose value lives in the address, so that a link shows what its sender saw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import streamlit as st

from figures.theme import format_density

T = TypeVar("T")
Widget = Literal["slider", "select", "segmented"]

# How far a number in the address may be from an option and still mean it.
_NEAR = 0.01


def choice(
    label: str,
    options: Sequence[T],
    default: T,
    *,
    key: str,
    widget: Widget = "slider",
    format_func: Callable[[Any], str] = str,
    help: str | None = None,
    label_visibility: Literal["visible", "hidden", "collapsed"] = "visible",
) -> T:
    """One of `options`, chosen by a widget and held by the query parameter `key`.

    The address holds the text the reader sees, `format_func(option)`, and nothing while the
    value is the default. A value that is no option (`str(option)`, and numbers within a
    hundredth, also count) gets a gentle notice and the default.

    Args:
        options: at least one; their texts must differ.
        default: one of the options.
        key: of the widget in the session, and name of the query parameter.
        widget: "slider" for ordered options, "segmented" for a few, "select" for many.

    Raises:
        ValueError: if `default` is not among the options.
    """
    choices = list(options)
    if default not in choices:
        raise ValueError(f"{key}: the default {default!r} is not among the options {choices!r}")
    start: T | None = default
    asked = st.query_params.get(key)
    if asked and asked not in {format_func(option) for option in choices}:
        meant = meant_by(asked, choices)
        if meant is None:
            st.info(
                f"The address asks for {label.lower()} “{plain_text(asked)}”, which is not among "
                f"the choices here. Showing {format_func(default)} instead.",
                icon=":material/link:",
            )
        elif key not in st.session_state:
            st.session_state[key] = meant
            start = None  # Streamlit logs a warning about a widget that is given two values.
    if len(choices) == 1:
        return choices[0]
    common: dict[str, Any] = {
        "key": key,
        "format_func": format_func,
        "help": help,
        "bind": "query-params",
        "label_visibility": label_visibility,
    }
    if widget == "slider":
        return st.select_slider(label, choices, value=start, **common)
    if widget == "segmented":
        chosen = st.segmented_control(label, choices, default=start, required=True, **common)
        return default if chosen is None else chosen
    index = 0 if start is None else choices.index(start)
    return st.selectbox(label, choices, index=index, **common)


def chart_start(name: str, address: str, read: Callable[[], T], *, of: str = "") -> tuple[T, str]:
    """What a chart with inputs of its own starts from, given what the address says now; its key.

    The chart moves without the server, and the page then writes the address. A start that followed
    would draw the chart afresh under the reader's hand. So `read` is asked again only when the
    address was changed by something else, or when the chart was not on the page meanwhile: it then
    comes back as it began, and not as it was left. Report what the page writes with `chart_moved`.

    Args:
        name: of the chart's place on the page, and of nothing else in the session.
        address: all of the address that the start depends on.
        read: the start from the address: a value or a tuple of values.
        of: what is drawn there, where one of several charts is.
    """
    known = st.session_state.get(_memory(name))
    if known is not None and known[:2] == (of, address):
        key = _key(name, of, known[2])
        if key in st.session_state:
            return known[2], key
    start = read()
    st.session_state[_memory(name)] = (of, address, start)
    key = _key(name, of, start)
    # One that was here before another: the server may still know where it was moved to, and the
    # browser does not.
    if known is not None and known[0] != of and key in st.session_state:
        del st.session_state[key]
    return start, key


def chart_moved(name: str, address: str) -> None:
    """The page has written `address` after its chart: see `chart_start`."""
    of, _, start = st.session_state[_memory(name)]
    st.session_state[_memory(name)] = (of, address, start)


def _memory(name: str) -> str:
    return f"start-of-{name}"


def _key(name: str, of: str, start: Any) -> str:
    """Of a chart: it is another where it starts from something else."""
    parts = start if isinstance(start, tuple) else (start,)
    return "-".join((name, *([of] if of else []), *map(str, parts)))


def follow(name: str, text: str, default: str = "") -> None:
    """The address says `text` for a query parameter, and nothing while that is the default."""
    if text == default:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = text


def switch_in_address(name: str) -> bool:
    """Whether the address asks for a chart's switch to be on. It is off by itself.

    name: the query parameter. If it is neither true nor false, a notice says so.
    """
    asked = st.query_params.get(name, "")
    if asked and asked.lower() not in ("true", "false"):
        st.info(
            f"The address asks for {name} {plain_text(asked)}, which is neither true nor false. "
            "Showing false instead.",
            icon=":material/link:",
        )
    return asked.lower() == "true"


def nearest(densities: Sequence[float], wanted: float) -> float:
    """The density that is the fewest times off."""
    return min(densities, key=lambda p: abs(math.log(p / wanted)))


def density_in_address(name: str, densities: Sequence[float], default: float) -> int:
    """Which of the densities the address asks for, from 0, or the default with a gentle notice.

    Args:
        name: the query parameter.
        default: one of the densities.
    """
    asked = st.query_params.get(name, "")
    meant = meant_by(asked, densities) if asked else default
    if meant is None:
        st.info(
            f"The address asks for density {plain_text(asked)}, which is not among the models "
            f"here. Showing {format_density(default)} instead.",
            icon=":material/link:",
        )
    return list(densities).index(default if meant is None else meant)


def meant_by(asked: str, options: Sequence[T]) -> T | None:
    """The option that a text from the address means, or None if it means none of them."""
    for option in options:
        if str(option) == asked:
            return option
    try:
        wanted = float(asked)
    except ValueError:
        return None
    numbers = [o for o in options if isinstance(o, int | float) and not isinstance(o, bool)]
    if not numbers or not math.isfinite(wanted):
        return None
    nearest = min(numbers, key=lambda option: abs(option - wanted))
    close = math.isclose(nearest, wanted, rel_tol=_NEAR, abs_tol=1e-9)
    return nearest if close else None


def plain_text(text: str, most: int = 40) -> str:
    """Text from the address, shortened and without anything Markdown would act on."""
    shown = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(letter if letter.isalnum() or letter in " .,+-=/" else "·" for letter in shown)
