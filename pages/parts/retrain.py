"""Train the model of a figure once more, from another seed, without leaving the page.

settings = settings_for_spec(model.spec)
retrain(settings, key="again", compare_with=model, show=my_figure)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from figures.theme import format_number
from pages.parts.lab_settings import query_from_settings
from pages.parts.layout import prose
from pages.parts.live_figures import draw_curve, draw_model, loss_words
from pages.parts.live_run import Watched, before_the_end, redraw_seconds, show_progress, watch
from pages.parts.navigation import link
from pages.parts.turns import fragment
from pages.parts.zoo_access import zoo_problems
from superposition.families import Family
from superposition.geometry import features_per_neuron, solution_name
from zoo import Model

if TYPE_CHECKING:
    from training.live import Frame, LiveSettings

Parameters = Mapping[str, NDArray[Any]]
Show = Callable[[Parameters], None]

# The seeds of the zoo are all below: whatever is trained here is new.
FIRST_SEED = 100
# Losses closer than this share of each other are called equally good.
AS_GOOD = 0.005
MOST_ROWS = 10
ZOO_NAME = "the zoo's"


@dataclass(frozen=True)
class Trained:
    """How one run ended: by its seed, loss and arrangement."""

    seed: int
    loss: float
    error: float
    arrangement: str


@dataclass(eq=False)
class _Session:
    """What a reader has trained at one place of one page."""

    about: tuple[LiveSettings, str | None]
    zoo: Trained | None
    next_seed: int
    watched: Watched | None = None
    done: list[Trained] = field(default_factory=list)


def retrain(
    settings: LiveSettings | None,
    *,
    key: str,
    compare_with: Model | None = None,
    show: Show | None = None,
    label: str = "Train this one again with another seed",
) -> None:
    """A button that trains the model again, and what comes of it beside the zoo's.

    Each press takes the next seed, from `FIRST_SEED` on, so that readers of one page can compare
    notes. The part is a fragment; only at the end of a run does the page run again as a whole.

    Args:
        settings: what to train; one seed at a time, and the seed is not used. None, as
            `settings_for_spec` says where live training cannot, shows nothing.
        key: unique on the page.
        compare_with: the model of the zoo whose loss, by the same estimate, and arrangement are
            shown for comparison. It must have the settings' family and number of features.
        show: draws a model's parameters, tensor name -> array, while it trains and afterwards;
            by default its geometry or its matrix.
        label: of the button, before the first run.

    Raises:
        ValueError: if `compare_with` cannot be compared with.
    """
    if settings is None:
        return
    if compare_with is not None:
        spec = compare_with.spec
        found, wanted = (
            (spec.family, spec.n_features),
            (settings.family, settings.n_features),
        )
        if found != wanted:
            raise ValueError(
                f"{compare_with.model_id} is {found[0]} of {found[1]} features; expected "
                f"{wanted[0]} of {wanted[1]}, to be compared with what is trained"
            )
    _retrain(replace(settings, seed=FIRST_SEED, seeds=1), key, compare_with, show, label)


@fragment
def _retrain(
    settings: LiveSettings, key: str, compare_with: Model | None, show: Show | None, label: str
) -> None:
    with zoo_problems():
        session = _session(settings, key, compare_with)
        watched = session.watched
        watching = watched is not None and watched.watching
        if not watching:
            with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
                st.button(
                    label if watched is None else "Again, from the next seed",
                    key=f"{key}-retrain-go",
                    icon=":material/casino:",
                    on_click=_start,
                    args=(settings, session),
                )
                shown = settings if watched is None else watched.run.settings
                link("pages/lab.py", "Open in the Lab", query=query_from_settings(shown))
        if watched is not None:
            every = redraw_seconds() if watching else None
            fragment(_run, run_every=every)(session, watched, key, compare_with, show)


def _start(settings: LiveSettings, session: _Session) -> None:
    """Before the fragment runs again: begin the next run."""
    from training.live import LIMITS

    session.watched = watch(replace(settings, seed=session.next_seed))
    following = session.next_seed + 1
    session.next_seed = following if following <= LIMITS.seed[1] else FIRST_SEED


def _session(settings: LiveSettings, key: str, compare_with: Model | None) -> _Session:
    """What the reader has trained here; nothing yet if the page now shows another model."""
    name = f"{key}-retrain"
    about = (settings, None if compare_with is None else compare_with.model_id)
    session: _Session | None = st.session_state.get(name)
    if session is None or session.about != about:
        if session is not None and session.watched is not None:
            session.watched.run.stop()
        session = st.session_state[name] = _Session(about, None, FIRST_SEED)
    return session


def _run(
    session: _Session,
    watched: Watched,
    key: str,
    compare_with: Model | None,
    show: Show | None,
) -> None:
    """How the run stands, its figure and its result: the part that moves."""
    now = watched.run.progress()
    frames = now.frames
    moving = watched.watching
    if moving:
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            if st.button("Stop", key=f"{key}-retrain-stop", icon=":material/stop:"):
                watched.stop()
                now = watched.run.progress()
            frames = watched.frames(now)
            show_progress(now, frames)
        if watched.all_seen(now, frames):
            watched.watching = False
            if now.state == "finished":
                session.done.append(_trained(watched, frames[-1]))
            # Only a run of the page ends the redrawing.
            st.rerun()
    if now.state == "failed":
        st.error(now.message, icon=":material/error:")
        frames = before_the_end(frames) if frames else ()
    if not frames:
        return
    if compare_with is not None and session.zoo is None:
        session.zoo = _zoos(watched.run.settings, compare_with)
    if not moving and now.state != "failed":
        prose(_result(session, watched, now.message, frames[-1]))
    zoo_loss = float("nan") if session.zoo is None else session.zoo.loss
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if show is not None:
            show(frames[-1].model(0))
        else:
            loss = float(frames[-1].losses[0])
            if not moving and now.state != "failed":
                loss = float(watched.judged(frames[-1]).loss[0])
            draw_model(
                watched.run.settings,
                frames,
                0,
                loss,
                compare_with,
                zoo_loss,
                moving=moving,
                key=f"{key}-retrain",
                zoo_name=ZOO_NAME,
            )
    with right:
        settings = watched.run.settings
        draw_curve(settings, frames, 0, zoo_loss, key=f"{key}-retrain", reference_name=ZOO_NAME)
        if not moving and len(session.done) > 1:
            _table(session, settings)


# In words.


def _trained(watched: Watched, frame: Frame) -> Trained:
    """How the reader's run stands at a frame, judged as the zoo's models are."""
    settings = watched.run.settings
    evaluation = watched.judged(frame)
    W = settings.model_family.encoder(frame.model(0))
    return Trained(
        settings.seed,
        float(evaluation.loss[0]),
        float(evaluation.standard_error[0]),
        arrangement(settings.model_family, W),
    )


def _zoos(settings: LiveSettings, model: Model) -> Trained:
    """The zoo's model, judged on the same data by the same estimate."""
    from training.live import expected_losses

    evaluation = expected_losses(
        settings, {name: values[None] for name, values in model.parameters.items()}
    )
    return Trained(
        model.spec.seed,
        float(evaluation.loss[0]),
        float(evaluation.standard_error[0]),
        arrangement(settings.model_family, settings.model_family.encoder(model.parameters)),
    )


def arrangement(family: Family, W: NDArray[Any]) -> str:
    """How a model (m, n) arranges its features, in a few words."""
    if not family.has_neurons:
        return solution_name(W)
    held = features_per_neuron(W)
    alive = held[held > 0]
    if not len(alive):
        return "no neuron is used"
    return f"{format_number(alive.mean(), 2)} features per neuron"


def _result(session: _Session, watched: Watched, message: str, frame: Frame) -> str:
    """What came of a run, and whether it beats the zoo's model."""
    settings, yours = watched.run.settings, _trained(watched, frame)
    name, scale = loss_words(settings)
    words = (
        f"Seed {yours.seed}. {message} {name[0].upper()}{name[1:]} "
        f"**{format_number(yours.loss / scale, 4)}**, {yours.arrangement}."
    )
    zoo = session.zoo
    if zoo is None:
        return words
    return (
        f"{words} {ZOO_NAME[0].upper()}{ZOO_NAME[1:]}, on the same data and by the same estimate: "
        f"**{format_number(zoo.loss / scale, 4)}**, {zoo.arrangement}. {compared(yours, zoo)}"
    )


def compared(yours: Trained, zoo: Trained) -> str:
    """Which of two losses is lower, as far as the estimates can tell."""
    difference = yours.loss - zoo.loss
    error = 2 * float(np.hypot(yours.error, zoo.error))
    if abs(difference) <= max(AS_GOOD * zoo.loss, error, 1e-9):
        return "Yours is as good."
    if 1e-9 < zoo.loss < difference:
        return f"The zoo's is better: yours is {format_number(yours.loss / zoo.loss, 2)} times it."
    by = f" by {format_number(100 * abs(difference) / zoo.loss, 2)}%" if zoo.loss > 1e-9 else ""
    return f"**Yours is better{by}.**" if difference < 0 else f"The zoo's is better{by}."


def _table(session: _Session, settings: LiveSettings) -> None:
    """The best of the runs that the reader has finished here, the zoo's among them."""
    name, scale = loss_words(settings)
    rows = [(f"{one.seed}, yours", one) for one in session.done]
    if session.zoo is not None:
        rows.append((f"{session.zoo.seed}, {ZOO_NAME}", session.zoo))
    rows.sort(key=lambda row: row[1].loss)
    st.markdown(
        f"| seed | {name} | arrangement |\n| --- | ---: | --- |\n"
        + "\n".join(
            f"| {who} | {format_number(one.loss / scale, 4)} | {one.arrangement} |"
            for who, one in rows[:MOST_ROWS]
        )
    )
