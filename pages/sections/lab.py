"""The Lab's controls, the run that is watched, and its result beside the zoo's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from figures.theme import format_density, format_number
from pages.parts.glossary import term
from pages.parts.lab_settings import PARAMETERS, query_from_settings, settings_from_query
from pages.parts.layout import caveats, heading, prose
from pages.parts.live_figures import draw_curve, draw_model, loss_words
from pages.parts.live_run import Watched, before_the_end, show_progress, watch
from pages.parts.model_words import family_name
from pages.parts.zoo_access import zoo_key
from superposition.families import FAMILIES
from superposition.geometry import features_per_neuron, represented, solution_name
from zoo import Model, Zoo
from zoo.export import usage_snippet
from zoo.similar import similar_models

if TYPE_CHECKING:
    from training.live import Evaluation, Frame, LiveRun, LiveSettings

DENSITIES = (
    *(1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02),
    *(0.01, 0.005, 0.003, 0.002, 0.001),
)
LEARNING_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
STEPS = (50, 100, 200, 400, 800, 1500, 3000, 5000)

State = st.session_state


# Settings: the widgets, and the address.


def seed_controls() -> None:
    """Give every control its value: from the address, else from the reader's last run."""
    if "lab-n" in State:
        return
    settings, messages = settings_from_query(st.query_params.to_dict())
    watched: Watched | None = State.get("lab-watched")
    if watched is not None and not any(name in st.query_params for name in PARAMETERS):
        settings = watched.run.settings
    State["lab-messages"] = (settings, messages)
    set_controls(settings)


def set_controls(settings: LiveSettings) -> None:
    """Turn every control to these settings."""
    State["lab-family"] = settings.family
    State["lab-n"] = settings.n_features
    State["lab-m"] = settings.n_hidden
    State["lab-each"] = len(settings.densities) > 1
    State["lab-p"] = settings.densities[0]
    if State["lab-each"]:
        for i, density in enumerate(settings.densities):
            State[f"lab-p{i}"] = density
    State["lab-decay"] = settings.importance_decay
    State["lab-optimiser"] = settings.optimiser
    State["lab-lr"] = settings.learning_rate
    State["lab-steps"] = settings.steps
    State["lab-seed"] = settings.seed
    State["lab-seeds"] = settings.seeds
    usual = type(settings)()
    folded = ("importance_decay", "optimiser", "learning_rate", "steps", "seed", "seeds")
    State["lab-open"] = State["lab-each"] or any(
        getattr(settings, name) != getattr(usual, name) for name in folded
    )
    # An address may ask for values between the stops of a slider: they become stops.
    State["lab-more"] = {
        "p": set(settings.densities),
        "decay": {settings.importance_decay},
        "lr": {settings.learning_rate},
        "steps": {settings.steps},
    }


def stops(name: str, usual: Sequence[float], *, falling: bool = False) -> list[Any]:
    """The usual stops of a slider, and those that an address asked for."""
    return sorted({*usual, *State["lab-more"][name]}, reverse=falling)


def controls() -> LiveSettings:
    """The controls, and what they are set to."""
    from training.live import LIMITS, OPTIMISER_NAMES, LiveSettings

    densities = stops("p", DENSITIES, falling=True)
    with st.container(border=True):
        model, features, hidden, data = st.columns([1.3, 1, 1, 1], gap="medium")
        with model:
            family = st.selectbox(
                "Model",
                tuple(FAMILIES),
                key="lab-family",
                format_func=family_name,
                help=f"What the model computes. {term('ReLU')}",
            )
            st.caption(f"{FAMILIES[family].summary} (`{family}`)")
        with features:
            n = st.slider("Features n", *LIMITS.n_features, key="lab-n", help=term("feature"))
        with hidden:
            m = st.slider(
                "Hidden dimensions m", *LIMITS.n_hidden, key="lab-m", help=term("hidden space")
            )
        with data:
            p = st.select_slider(
                "Density p",
                densities,
                key="lab-p",
                format_func=format_density,
                help=term("density"),
                disabled=State["lab-each"],
            )
        label = "Importance, a density for each feature, how it is trained"
        with st.expander(label, icon=":material/tune:", expanded=State["lab-open"]):
            one, two, three = st.columns(3, gap="medium")
            with one:
                decay = st.select_slider(
                    "Importance of each next feature",
                    stops("decay", np.round(np.arange(0.1, 1.01, 0.1), 1).tolist()),
                    key="lab-decay",
                    format_func=lambda value: f"× {value:g}",
                    help=f"{term('importance')} Feature 1 has importance 1, and each next one "
                    "this much of the one before. At × 1 all count the same.",
                )
                optimiser = st.selectbox(
                    "Optimiser",
                    tuple(OPTIMISER_NAMES),
                    key="lab-optimiser",
                    format_func=OPTIMISER_NAMES.__getitem__,
                )
            with two:
                rate = st.select_slider(
                    "Learning rate",
                    stops("lr", LEARNING_RATES),
                    key="lab-lr",
                    format_func=lambda value: f"{value:g}",
                    help="At its peak: it rises over the first 5% of the steps and then falls "
                    "to zero along a cosine.",
                )
                steps = st.select_slider(
                    "Steps", stops("steps", STEPS), key="lab-steps", format_func="{:,}".format
                )
            with three:
                seeds = st.slider(
                    "Models at once",
                    *LIMITS.seeds,
                    key="lab-seeds",
                    help="Trains the same setting from this many seeds, counted on from the one "
                    "below, to show how much the start matters.",
                )
                seed = st.number_input(
                    "Seed", *LIMITS.seed, step=1, key="lab-seed", help=term("seed")
                )
            each = st.toggle("A density for each feature", key="lab-each")
            chosen = density_sliders(n, p, densities) if each else (p,)
    return LiveSettings(
        family=family,
        n_features=n,
        n_hidden=m,
        densities=chosen,
        importance_decay=decay,
        optimiser=optimiser,  # type: ignore[arg-type]
        learning_rate=rate,
        steps=steps,
        seed=int(seed),
        seeds=seeds,
    )


def density_sliders(n: int, usual: float, options: list[float]) -> tuple[float, ...]:
    """A slider for the density of each feature."""
    across = 5
    chosen: list[float] = []
    for start in range(0, n, across):
        for i, column in enumerate(st.columns(across)[: min(across, n - start)], start):
            State.setdefault(f"lab-p{i}", usual)
            chosen.append(
                column.select_slider(
                    f"p of feature {i + 1}", options, key=f"lab-p{i}", format_func=format_density
                )
            )
    return tuple(chosen)


def write_address(settings: LiveSettings) -> None:
    """Let the address say what the controls say."""
    wanted = query_from_settings(settings)
    if {name: st.query_params[name] for name in PARAMETERS if name in st.query_params} == wanted:
        return
    for name in PARAMETERS:
        if name in wanted:
            st.query_params[name] = wanted[name]
        elif name in st.query_params:
            del st.query_params[name]


# The zoo's nearest model.


@st.cache_data(show_spinner=False, max_entries=256)
def nearest_in_zoo(_zoo: Zoo, key: str, _settings: LiveSettings, query: str) -> pd.DataFrame:
    """All seeds of the zoo's nearest setting, best first, with their loss on these data.

    query: says all of the settings that matters here.
    """
    from training.live import expected_losses

    rows = similar_models(
        _zoo,
        family=_settings.family,
        n_features=_settings.n_features,
        n_hidden=_settings.n_hidden,
        densities=_settings.feature_densities,
        importance_decay=_settings.importance_decay,
    )
    rows["loss_here"] = np.nan
    if rows.empty or rows["n_features"].iloc[0] != _settings.n_features:
        return rows
    if not differences(_settings, rows.iloc[0]):
        rows["loss_here"] = rows["loss"]
        return rows
    best = _zoo.grid(rows["grid"].iloc[0]).parameters(rows.head(1))
    rows.loc[0, "loss_here"] = expected_losses(_settings, best).loss[0]
    return rows


def nearest(zoo: Zoo, settings: LiveSettings) -> pd.DataFrame:
    """`nearest_in_zoo`, remembered for all that does not matter to it."""
    about = (
        settings.family,
        settings.n_features,
        settings.n_hidden,
        settings.feature_densities,
        settings.importance_decay,
    )
    return nearest_in_zoo(zoo, zoo_key(zoo), settings, repr(about))


def differences(settings: LiveSettings, row: pd.Series) -> list[str]:
    """In words, how the zoo's setting differs from the reader's; empty if it is the same."""
    found = []
    for name, words in (("n_features", "n"), ("n_hidden", "m")):
        if row[name] != getattr(settings, name):
            found.append(f"{words} = {row[name]}")
    density = format_density(row["density"])
    if not pd.isna(row["rare_ratio"]):
        last = format_density(row["density"] * row["rare_ratio"])
        if settings.feature_densities[-1] != row["density"] * row["rare_ratio"] or any(
            p != row["density"] for p in settings.feature_densities[:-1]
        ):
            found.append(f"density {density}, and {last} for the last feature")
    elif settings.common_density is None or not np.isclose(settings.common_density, row["density"]):
        found.append(f"density {density}")
    if not np.isclose(row["importance_decay"], settings.importance_decay):
        found.append(f"importance × {row['importance_decay']:g}")
    if row["set_size"] > 1 and row["correlation"] != 0:
        found.append("features that depend on each other")
    return found


# Training.


def start_run(settings: LiveSettings) -> None:
    """Begin the reader's run."""
    State["lab-watched"] = watch(settings)
    for name in ("lab-shown", "lab-note"):
        State.pop(name, None)


def next_seed() -> None:
    """Train the same setting from the seeds after these."""
    from training.live import LIMITS

    run: LiveRun = State["lab-watched"].run
    after = run.settings.seed + run.settings.seeds
    open_now = State["lab-open"]
    set_controls(run.settings)
    State["lab-open"] = open_now
    State["lab-seed"] = after if after <= LIMITS.seed[1] else LIMITS.seed[0]
    State["lab-start"] = True


def workbench(
    settings: LiveSettings, zoo_model: Model | None, zoo_loss: float, invitation: str
) -> None:
    """The button, the figure and the curve: the part of the page that moves."""
    watched: Watched | None = State.get("lab-watched")
    if watched is not None and watched.run.settings != settings:
        watched = None
    now = watched.run.progress() if watched is not None else None
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if watched is not None and now is not None and watched.watching:
            if st.button("Stop", key="lab-stop", type="primary", icon=":material/stop:"):
                watched.stop()
                now = watched.run.progress()
            frames = watched.frames(now)
            show_progress(now, frames)
        else:
            frames = now.frames if now is not None else ()
            label = "Train" if watched is None else "Train again"
            if st.button(label, key="lab-train", type="primary", icon=":material/play_arrow:"):
                State["lab-start"] = True
                st.rerun()
            if now is None:
                st.markdown(f"{State.get('lab-note', '')} {invitation}")
            elif now.state == "failed":
                st.error(now.message, icon=":material/error:")
            else:
                st.markdown(now.message)
    moving = watched is not None and watched.watching
    if watched is not None and now is not None and moving and watched.all_seen(now, frames):
        watched.watching = False
        st.rerun()
    index = State.get("lab-shown")
    if index is None:
        index = now.frames[-1].best if now is not None and now.frames else 0
    loss = float("nan")
    if watched is not None and now is not None and frames:
        if now.state == "failed":
            frames = before_the_end(frames)
        loss = float(frames[-1].losses[index])
        if now.state != "failed" and not moving:
            loss = float(watched.judged(frames[-1]).loss[index])
    draw_model(settings, frames, index, loss, zoo_model, zoo_loss, moving=moving, key="lab")
    if frames:
        draw_curve(settings, frames, index, zoo_loss, key="lab")


# The result.


def invite(settings: LiveSettings, rows: pd.DataFrame) -> str:
    """What is shown before the reader has trained anything, and what to do."""
    if rows.empty:
        return "**Press Train** and watch."
    other = differences(settings, rows.iloc[0])
    which = f"nearest model: {', '.join(other)}" if other else f"best of {len(rows)} seeds"
    return f"Shown below: the zoo's {which}. **Press Train** to make your own."


def result(zoo: Zoo, watched: Watched, settings: LiveSettings) -> None:
    """The trained model in numbers, beside the zoo's, and to take away."""
    from training.live import lab_model, lab_state_dict

    run = watched.run
    now = run.progress()
    if not now.frames or now.state == "failed":
        return
    frame, theirs = now.frames[-1], run.settings
    evaluation = watched.judged(frame)
    heading("Your model")
    if theirs != settings:
        st.caption(
            f"Trained with other settings than the controls now show: {setting_words(theirs)}."
        )
    index = choose_model(run, frame, evaluation)
    family = theirs.model_family
    W = family.encoder(frame.model(index))
    loss_title, scale = loss_words(theirs)
    last = ("Arrangement", solution_name(W))
    if family.has_neurons:
        held = features_per_neuron(W)
        alive = held[held > 0]
        last = ("Features per neuron", f"{alive.mean():.2g}" if len(alive) else "no neuron is used")
    numbers(
        (
            (loss_title.capitalize(), format_number(evaluation.loss[index] / scale)),
            ("Represented", f"{int(represented(W).sum())} of {theirs.n_features}"),
            last,
        )
    )
    compare(nearest(zoo, theirs), run, evaluation.loss[index] / scale, solution_name(W))
    model = lab_model(theirs, frame, index, evaluation)
    file_name = f"{model.model_id.replace('/', '_')}.safetensors"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Download (safetensors)",
            lab_state_dict(theirs, frame, model),
            file_name,
            mime="application/octet-stream",
            key="lab-download",
            on_click="ignore",
            icon=":material/download:",
        )
        st.button(
            "Train from the next seed",
            key="lab-next",
            on_click=next_seed,
            icon=":material/casino:",
        )
    with st.expander("What the file holds", icon=":material/deployed_code:"):
        shapes = ", ".join(
            f"`{name}` {tuple(values.shape)}" for name, values in model.parameters.items()
        )
        st.markdown(
            f"`{model.model_id}`, an ordinary state dict: {shapes}. Its metadata says what it was "
            "trained on and how: `distribution`, `importances`, `spec`, `training`."
        )
        if theirs.common_density is not None:
            st.code(usage_snippet(model, file_name), language="python")


def choose_model(run: LiveRun, frame: Frame, evaluation: Evaluation) -> int:
    """Which of a run's models is shown: the best, unless the reader picks another."""
    order = [int(b) for b in np.argsort(evaluation.loss) if np.isfinite(frame.losses[b])]
    if run.settings.seeds == 1 or not order:
        return 0
    _, scale = loss_words(run.settings)
    family = run.settings.model_family

    def label(b: int) -> str:
        words = f"seed {run.settings.seed + b}: {format_number(evaluation.loss[b] / scale)}"
        if family.has_neurons:
            return words
        return f"{words}, {solution_name(family.encoder(frame.model(b)))}"

    if State.get("lab-shown") not in order:
        State["lab-shown"] = order[0]
    chosen = st.pills(
        f"{len(order)} models, the best first", order, key="lab-shown", format_func=label,
        required=True,
    )  # fmt: skip
    lost = run.settings.seeds - len(order)
    if lost:
        st.caption(f"{lost} more diverged: their loss is no longer a number.")
    return order[0] if chosen is None else int(chosen)


def numbers(entries: Sequence[tuple[str, str]]) -> None:
    """A row of measured values."""
    with st.container(horizontal=True, gap="medium"):
        for name, value in entries:
            st.markdown(f"{name}  \n**{value}**", width="content")


def setting_words(settings: LiveSettings) -> str:
    """The data and the size, in short."""
    density = settings.common_density
    spread = "a density for each feature" if density is None else f"p = {format_density(density)}"
    return (
        f"{family_name(settings.family)}, n = {settings.n_features}, m = {settings.n_hidden}, "
        f"{spread}, "
        f"importance × {settings.importance_decay:g}"
    )


def compare(rows: pd.DataFrame, run: LiveRun, yours: float, arrangement: str) -> None:
    """The reader's loss beside the zoo's nearest model, and where the difference comes from."""
    if rows.empty:
        st.markdown("The zoo has no model of this family to compare with.")
        return
    best, count = rows.iloc[0], len(rows)
    other = differences(run.settings, best)
    loss_title, scale = loss_words(run.settings)
    if np.isnan(best["loss_here"]):
        st.markdown(
            f"The nearest setting in the zoo has {', '.join(other)}: `{best['model_id']}`. It has "
            "another number of features, so that the losses cannot be compared."
        )
        return
    zoos = best["loss_here"] / scale
    gap = yours / zoos - 1 if zoos > 1e-9 else np.nan
    lines = [
        f"{loss_title.capitalize()} of the zoo's nearest model, on the same data and by the same "
        f"estimate: **{format_number(zoos)}** (`{best['model_id']}`)."
    ]
    if other:
        lines.append(
            f"It was trained on another setting ({', '.join(other)}), so that the difference is "
            "due to the setting as well as to the starting weights."
        )
    elif np.isfinite(gap) and abs(gap) < 0.005:
        lines.append(f"It is the best of {count} seeds of this setting, and yours is as good.")
    else:
        better = int((rows["loss_here"] / scale < yours * 0.995).sum())
        lines.append(
            f"The setting is the same. What differs is the [[seed]] and how it was trained: "
            f"of the zoo's {count} seeds, {better} ended at a lower loss than yours."
        )
    if not other and not run.settings.model_family.has_neurons:
        names = rows["solution"].value_counts()
        counted = ", ".join(f"{name} ({number})" for name, number in names.head(3).items())
        lines.append(f"Its seeds ended as: {counted}. Yours: {arrangement}.")
    prose(" ".join(lines))


def limits() -> None:
    """What a run may ask for, in words."""
    from training.live import ABANDONED_SECONDS, LIMITS, TURN_SECONDS, WORKERS

    caveats(
        (
            f"Limits of a run: {LIMITS.n_features[1]} features, {LIMITS.n_hidden[1]} hidden "
            f"dimensions, {LIMITS.seeds[1]} models at once, {LIMITS.steps[1]:,} steps and "
            f"{LIMITS.seconds:g} seconds of training.",
            f"{f'{WORKERS} runs train' if WORKERS > 1 else 'One run trains'} at a time on this "
            "machine. Further ones wait and see their place in the queue; a run that has had "
            f"{TURN_SECONDS:g} seconds lets the next one in.",
            f"Training stops when you change a setting, and about {ABANDONED_SECONDS:g} seconds "
            "after you leave the page. What you do not download is gone when you close it.",
            "Small runs are over in a fraction of a second. They are shown more slowly than they "
            "happen, and Stop keeps the weights of the step you see.",
        )
    )
