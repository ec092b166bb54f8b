"""The parts of a page, in the order every page uses them.

question, prediction, the main figure, notice, claim cards, a control to break it, maths,
caveats, reading. Text may mark terms of the glossary as `[[term]]` or `[[term|words]]`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import streamlit as st

from pages.parts.glossary import term, with_terms
from pages.parts.turns import fragment, pause

_STYLE = """
<style>
/* A measure that suits figures; prose keeps to a line length that can be read. */
.stMainBlockContainer { max-width: 68rem; padding-top: 3.4rem; padding-bottom: 4rem; }
.stMainBlockContainer .stMarkdown p, .stMainBlockContainer .stMarkdown li { max-width: 44rem; }
.stMainBlockContainer h1 { font-size: 1.9rem; padding: 0 0 0.2rem; }
.stMainBlockContainer h2 { font-size: 1.4rem; padding: 1rem 0 0.2rem; }
.stMainBlockContainer h3 { font-size: 1.1rem; padding: 0.6rem 0 0.2rem; }
.stMarkdown p:has(.term), .stMarkdown li:has(.term) { position: relative; }
/* For those who hear the page. */
.stElementContainer:has(.spoken) {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
}
.term { border-bottom: 1px dotted currentColor; cursor: help; }
.term:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; border-radius: 2px; }
.term:hover::after, .term:focus::after {
  content: attr(aria-label); position: absolute; left: 0; right: 0; max-width: 26rem;
  margin-top: 1.7em; padding: 0.5rem 0.7rem; z-index: 100; border-radius: 0.4rem;
  background: #1d2530; color: #f3f5f7; border: 1px solid #4a5666;
  font-size: 0.85rem; font-weight: 400; font-style: normal; line-height: 1.4;
}
/* A table wider than a phone scrolls by itself, and not the page with it. */
.stMainBlockContainer .stMarkdown table { display: block; max-width: 100%; overflow-x: auto; }
/* The inputs of a chart stand above it: on the first screen, however tall the chart. */
.vega-embed:has(.vega-bind) { display: flex !important; flex-direction: column; }
.vega-bindings:has(.vega-bind) { order: -1; flex: none; padding-bottom: 0.7rem !important; }
/* Sliders of charts show an index; the chart itself says what it stands for. */
.vega-bind label:has(input[type="range"]) { display: flex; flex-wrap: wrap; column-gap: 0.8rem; }
.vega-bind input[type="range"] { flex: 1 1 14rem; max-width: 30rem; }
.vega-bind input[type="range"][name$="_step"] + span { display: none; }
.vega-bind label:has(input[type="checkbox"]) {
  flex-flow: row-reverse nowrap !important; justify-content: flex-end;
}
.vega-bind label:has(input[type="checkbox"]) .vega-bind-name { flex-shrink: 1 !important; }
@media (min-width: 641px) {
  /* Two sliders stand beside each other. */
  .vega-bindings:has(.vega-bind) {
    flex-flow: row wrap !important; column-gap: 2.5rem !important;
  }
  .vega-bind:has(input[type="range"]) { width: auto !important; flex: 1 1 16rem; max-width: 30rem; }
}
@media (max-width: 640px) {
  .stMainBlockContainer .stMarkdown :is(th, td) { padding: 0.4rem 0.5rem; }
  /* Columns stand below each other here, and need no more room between them than other things. */
  .stMainBlockContainer .stHorizontalBlock { row-gap: 1rem; }
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  .stMainBlockContainer h1 { font-size: 1.5rem; }
}
</style>
"""


def style() -> None:
    """Measures of the page; `app.py` calls it once for all pages."""
    st.html(_STYLE)


# Code, LaTeX and rows of tables.
_NOT_PROSE = re.compile(
    r"(```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|^\|[^\n]*)", re.DOTALL | re.MULTILINE
)
_FORMULA = re.compile(r"[^\s|]{1,9}(?: [=×±≤≥≈−+·/] [^\s|]{1,9})+")
_LONGEST_ON_ONE_LINE = 16


@lru_cache(maxsize=2_000)
def unbroken(text: str) -> str:
    """Markdown whose short formulas in running text, such as S = 0.8 or 5 × 2, stay on one line."""

    def joined(found: re.Match[str]) -> str:
        formula = found[0]
        if len(formula) > _LONGEST_ON_ONE_LINE:
            return formula
        return formula.replace(" ", "\N{NO-BREAK SPACE}")

    parts = _NOT_PROSE.split(text)
    parts[::2] = [_FORMULA.sub(joined, part) for part in parts[::2]]
    return "".join(parts)


def prose(text: str) -> None:
    """Markdown with the terms of the glossary marked. For the project's own text only."""
    # The HTML is that of the glossary; nothing a reader typed comes through here.
    st.markdown(with_terms(unbroken(text)), unsafe_allow_html=True)


def spoken(text: str) -> None:
    """What is to be seen in the figure above, for those who hear the page.

    The `alt` of a chart is part of its specification. If it changed with the data, the browser
    would set the chart up anew instead of moving its marks. So the `alt` of a chart that moves says
    what always holds, and this what holds now.
    """
    st.html(f'<p class="spoken">{html.escape(text)}</p>')


def heading(text: str, anchor: str = "") -> None:
    """A heading within the page, for one line of the project's own text.

    Not `st.subheader`: in the browser that is worked out again whenever any part of the page is
    run, 2 ms for each heading. Markdown that has not changed is not.

    Args:
        anchor: the fragment of the address that leads here; none by itself.
    """
    if anchor:
        line = f'<h3 data-anchor="{html.escape(anchor)}">{html.escape(text)}</h3>'
        st.markdown(line, unsafe_allow_html=True)
    else:
        st.markdown(f"### {text}", anchors=False)


HEAD_START = 0.04
"""Seconds in which a browser has only the head of a page to draw.

It draws all that arrives within 10 ms at once, and would show nothing before it has worked out
the figures too.
"""


def question(title: str, text: str) -> None:
    """The head of a page: its title, and the one question that it answers."""
    st.title(title, anchor=False)
    prose(text)
    if st.runtime.exists():
        pause(HEAD_START)


def prediction(
    text: str, options: Sequence[str], answer: str, because: str, *, key: str, short: bool = False
) -> None:
    """Ask the reader before showing: a question, answers to pick, and what really happens.

    Args:
        options: the answers offered.
        answer: the one that is right.
        because: shown after any pick: what happens and why, in a sentence or two.
        short: the question as the label of the answers, to save room.

    Raises:
        ValueError: if `answer` is not among the options.
    """
    if answer not in options:
        raise ValueError(f"{key}: the answer {answer!r} is not among the options {list(options)}")
    _prediction(text, tuple(options), answer, because, key, short)


@fragment
def _prediction(
    text: str, options: tuple[str, ...], answer: str, because: str, key: str, short: bool
) -> None:
    with st.container(gap="xsmall"):
        label = text if short else "Your prediction"
        if not short:
            prose(f"**Predict first.** {text}")
        picked = st.pills(
            label, options, key=key, label_visibility="visible" if short else "collapsed"
        )
        if picked is not None:
            prose(f"{'Yes.' if picked == answer else 'Not quite.'} {because}")


def notice(items: Sequence[str], title: str = "What to notice") -> None:
    """What to notice in the figure above, as a short list; without a title if it is ""."""
    if title:
        heading(title)
    prose("\n".join(f"- {item}" for item in items))


@fragment
def folded(
    title: str, fill: Callable[[], object], *, key: str, icon: str, expanded: bool = False
) -> None:
    """A part of the page that is made when the reader opens it, and not before.

    What is folded away on a page weighs more than what is to be seen: formulas, code, tables.

    Args:
        fill: shows the part.
        key: unique on the page.
        icon: a Material symbol, as Streamlit writes them.
        expanded: open from the start.
    """
    fold = st.expander(title, expanded=expanded, icon=icon, key=key, on_change="rerun")
    if fold.open:
        with fold:
            fill()


def maths(text: str, title: str = "The maths") -> None:
    """Formulas and derivations, folded. Markdown with LaTeX between dollar signs."""
    folded(title, lambda: prose(text), key="fold-maths", icon=":material/function:")


def caveats(items: Sequence[str]) -> None:
    """What the figures above do not show, or show only under conditions."""
    heading("Caveats")
    prose("\n".join(f"- {item}" for item in items))


def reading(items: Sequence[tuple[str, str, str]]) -> None:
    """Sources: (title, address, what it is good for)."""
    heading("What to read")
    prose("\n".join(f"- [{title}]({address}): {why}" for title, address, why in items))


def help_for(name: str) -> str:
    """The definition of a term as help text of a widget."""
    return term(name)
