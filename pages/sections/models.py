"""The zoo's table with its filters, and one model opened."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from figures.moving_geometry import Frames, Trajectories, moving_geometry
from figures.one_model import describe_matrix, describe_norms, matrix_map, norm_bars
from figures.theme import format_density, format_number
from pages.parts.layout import folded, heading, help_for, prose
from pages.parts.model_words import data_sentence, family_name, link_to
from pages.parts.models_behind import zoo_snippet
from pages.parts.seeds import seed_table
from pages.parts.turns import fragment
from pages.parts.url_state import choice, plain_text
from pages.parts.vega import vega
from pages.parts.zoo_access import open_zoo, zoo_key, zoo_problems
from superposition.geometry import basis_alignment, haar_rotations
from zoo import Model, NoTrajectory, UnknownModel, Zoo
from zoo.export import state_dict_bytes, usage_snippet

ANY = "any"
FIRST = {"family": "relu-output", "density": 0.1, "importance_decay": 0.9}

# As wide as their heads and values need, with the ids last: they are long, and for typing.
COLUMNS: dict[str, Any] = {
    "kind": st.column_config.TextColumn("family"),
    "n_features": st.column_config.NumberColumn("features n"),
    "n_hidden": st.column_config.NumberColumn("dimensions m"),
    "density": st.column_config.NumberColumn("density p", format="%.4g"),
    "solution": st.column_config.TextColumn("arrangement"),
    "features_represented": st.column_config.NumberColumn("represented"),
    "loss_per_density": st.column_config.NumberColumn("loss / p", format="%.4g"),
    "features_per_dimension": st.column_config.NumberColumn(
        "features per dimension", format="%.2f"
    ),
    "max_interference": st.column_config.NumberColumn("largest interference", format="%.3f"),
    "coherence": st.column_config.NumberColumn("coherence", format="%.3f"),
    "features_per_neuron": st.column_config.NumberColumn("features per neuron", format="%.2f"),
    "model_id": st.column_config.TextColumn("id"),
}

# Column of the index, and what it is called here; the glossary's terms are marked.
MEASURES: tuple[tuple[str, str], ...] = (
    ("loss_per_density", "[[loss per density|loss / p]]"),
    ("features_represented", "features [[represented]]"),
    ("features_per_dimension", "[[features per dimension]]"),
    ("dimensions_per_feature", "dimensions per feature, D*"),
    ("mean_dimensionality", "[[dimensionality]], mean"),
    ("mean_interference", "[[interference]], mean"),
    ("max_interference", "[[interference]], largest"),
    ("coherence", "[[coherence]]"),
    ("alignment", "[[alignment]] with the axes"),
    ("kurtosis", "[[kurtosis]] of coordinates"),
    ("features_per_neuron", "features per neuron"),
    ("monosemantic_share", "[[monosemantic]] neurons, share"),
    ("popular_loss", "loss of the popular features"),
)


@st.cache_resource(show_spinner=False, max_entries=4)
def options(_zoo: Zoo, key: str) -> dict[str, list[Any]]:
    """What each filter offers."""
    table = _zoo.table
    return {
        "grid": [ANY, *_zoo.grids],
        "family": [ANY, *sorted(table["family"].unique())],
        "n": [ANY, *sorted(int(n) for n in table["n_features"].unique())],
        "m": [ANY, *sorted(int(m) for m in table["n_hidden"].unique())],
        "density": sorted(float(p) for p in table["density"].unique()),
        "solution": [ANY, *table["solution"].value_counts().index],
    }


def filters(offered: dict[str, list[Any]]) -> dict[str, Any]:
    """The widgets above the table, and what they are set to."""
    chosen: dict[str, Any] = {}
    first, second, third, fourth = st.columns(4)
    with first:
        chosen["grid"] = choice(
            "Grid", offered["grid"], ANY, key="grid", widget="select", help=help_for("grid")
        )
    with second:
        chosen["family"] = choice(
            "Family",
            offered["family"],
            ANY,
            key="family",
            widget="select",
            format_func=family_name,
            help="What kind of network it is, and so what it computes.",
        )
    with third:
        chosen["n"] = choice("Features n", offered["n"], ANY, key="n", widget="select")
    with fourth:
        chosen["m"] = choice("Dimensions m", offered["m"], ANY, key="m", widget="select")
    left, middle, right = st.columns([2, 1, 1])
    with left:
        chosen["density"] = density_range(offered["density"])
    with middle:
        chosen["solution"] = choice(
            "Arrangement", offered["solution"], ANY, key="arrangement", widget="select"
        )
    with right:
        chosen["seeds"] = choice("Seeds", ("best", "all"), "best", key="seeds", widget="segmented")
    return chosen


def density_range(densities: list[float]) -> tuple[float, float]:
    """A slider with two ends over the densities of the zoo, held by the address."""
    if len(densities) < 2:
        return densities[0], densities[-1]
    texts = [format_density(density) for density in densities]
    asked = st.query_params.get_all("density")
    if asked and not (len(asked) == 2 and set(asked) <= set(texts)):
        st.info(
            f"The address asks for density {plain_text(' to '.join(asked))}, which is not a range "
            "between densities of the zoo. Showing all of them instead.",
            icon=":material/link:",
        )
    low, high = st.select_slider(
        "Density p",
        densities,
        value=(densities[0], densities[-1]),
        format_func=format_density,
        key="density",
        bind="query-params",
    )
    return min(low, high), max(low, high)


def matching(table: pd.DataFrame, chosen: dict[str, Any]) -> pd.DataFrame:
    """The rows of the table that pass every filter."""
    keep = np.ones(len(table), dtype=bool)
    columns = {
        "grid": "grid",
        "family": "family",
        "n": "n_features",
        "m": "n_hidden",
        "solution": "solution",
    }
    for name, column in columns.items():
        if chosen[name] != ANY:
            keep &= (table[column] == chosen[name]).to_numpy()
    low, high = chosen["density"]
    density = table["density"].to_numpy()
    keep &= (density >= low * (1 - 1e-9)) & (density <= high * (1 + 1e-9))
    if chosen["seeds"] == "best":
        keep &= table["best_of_seeds"].to_numpy(dtype=bool)
    return table[keep]


def first_model(table: pd.DataFrame) -> str:
    """The id of the model that is open at first: the pentagon, or what the zoo has."""
    rows = table[table["best_of_seeds"]]
    for column, value in FIRST.items():
        near = rows[rows[column] == value]
        rows = near if len(near) else rows
    return str(rows["model_id"].iloc[0] if len(rows) else table["model_id"].iloc[0])


def open_model(model_id: str) -> None:
    """Make a model the open one; the address follows."""
    st.session_state["model"] = model_id


def open_row(key: str, zoo: Zoo, chosen: dict[str, Any]) -> None:
    """Open the model of the row that the reader selected in the table `key` of these filters.

    The rows are found again, since a session would keep them until its reader leaves: the ids of
    all models take a megabyte.
    """
    picked = st.session_state[key]["selection"]["rows"]
    if not picked:
        return
    ids = matching(zoo.table, chosen)["model_id"]
    if picked[0] < len(ids):
        open_model(str(ids.iloc[picked[0]]))


@fragment
def browser() -> None:
    """Filters, table, and the open model."""
    with zoo_problems():
        zoo = open_zoo()
        table = zoo.table
    if table.empty:
        st.info("This zoo holds no models yet.", icon=":material/table_rows:")
        return
    chosen = filters(options(zoo, zoo_key(zoo)))
    rows = matching(table, chosen)
    if rows.empty:
        st.info(
            "No model passes all of these filters. Widen the densities, or set one of the "
            "others to any.",
            icon=":material/filter_alt_off:",
        )
    else:
        # Another table for other filters: a selected row would otherwise stay selected while
        # another model moves into its place.
        key = f"zoo-table-{abs(hash(tuple(chosen.values())))}"
        pick: Callable[[], None] = partial(open_row, key, zoo, chosen)
        st.caption(
            f"{len(rows):,} of {len(table):,} models. Select a row to open the model; a click on "
            "the head of a column sorts."
        )
        st.dataframe(
            rows.assign(kind=rows["family"].map(family_name))[list(COLUMNS)],
            key=key,
            height=320,
            hide_index=True,
            column_config=COLUMNS,
            on_select=pick,
            selection_mode="single-row",
            alt="Table of the models that pass the filters, with size, density, loss and measures",
        )
    model_id = st.text_input(
        "Open model",
        value=first_model(table),
        key="model",
        bind="query-params",
        help="An id as in the last column of the table.",
    )
    with zoo_problems():
        try:
            model = zoo.model((model_id or "").strip())
        except UnknownModel as error:
            not_here(error)
        else:
            show(zoo, model)


def not_here(error: UnknownModel) -> None:
    """Say that there is no such model, and offer the nearest."""
    st.info(
        f"There is no model “{plain_text(error.model_id, 80)}” in this zoo."
        + (" The nearest are:" if error.suggestions else ""),
        icon=":material/search_off:",
    )
    for suggestion in error.suggestions:
        st.button(
            suggestion,
            key=f"open-{suggestion}",
            on_click=open_model,
            args=(suggestion,),
            type="tertiary",
            icon=":material/arrow_forward:",
        )


def show(zoo: Zoo, model: Model) -> None:
    """One model: picture, numbers, data, and ways to take it away."""
    spec = model.spec
    heading(
        f"{spec.n_features} × {spec.n_hidden} {family_name(spec.family)} at density "
        f"{format_density(spec.density)}"
    )
    st.markdown(
        f"{spec.model_family.summary} (`{spec.family}`), seed {spec.seed}: "
        f"{model.record['solution']}"
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        pictures(zoo, model)
    with right:
        file_name = f"{model.model_id.replace('/', '_')}.safetensors"
        st.download_button(
            "Download (safetensors)",
            state_dict_bytes(model),
            file_name,
            mime="application/octet-stream",
            key="zoo-download",
            on_click="ignore",
            icon=":material/download:",
        )
        record(model)
    data(model)
    code(model, file_name)
    seeds = same_setting(zoo, model)
    folded(
        f"All {len(seeds)} seeds of this setting",
        lambda: seed_table(seeds),
        key="fold-seeds",
        icon=":material/casino:",
    )


def pictures(zoo: Zoo, model: Model) -> None:
    """The weights: as arrows where that is possible, as heat maps, and the norms."""
    spec = model.spec
    W = spec.model_family.encoder(model.parameters)
    key = f"zoo-{spec.family}-{spec.n_features}-{spec.n_hidden}"
    if spec.n_hidden <= 3 and not spec.model_family.has_neurons:
        moving_geometry(
            Frames(
                W[None],
                [spec.density],
                [format_density(spec.density)],
                losses=[model.record["loss_per_density"]],
                biases=model.parameters["b"][None],
                trajectories=training_of(zoo, model),
            ),
            key=f"{key}-geometry",
            loss_title="loss / p",
        )
    if spec.model_family.has_neurons:
        for name, matrix in neuron_matrices(model).items():
            st.caption(f"{name}: a row per neuron, a column per feature.")
            st.vega_lite_chart(
                vega(matrix_map, matrix, row="neuron"),
                key=f"{key}-{name}",
                alt=describe_matrix(matrix, f"{name}, a row per neuron and a column per feature"),
            )
    else:
        overlaps = W.T @ W
        st.caption("WᵀW: how much of feature j (across) is read back as feature i (down).")
        st.vega_lite_chart(
            vega(matrix_map, overlaps),
            key=f"{key}-overlaps",
            alt=describe_matrix(overlaps, "WᵀW, how much of feature j is read back as feature i"),
        )
    if spec.n_hidden <= 3 and not spec.model_family.has_neurons:
        return  # the arrows come with their norms
    st.vega_lite_chart(vega(norm_bars, W), key=f"{key}-norms", alt=describe_norms(W))


def neuron_matrices(model: Model) -> dict[str, Any]:
    """Name -> matrix (m, n), for families whose hidden units are neurons."""
    if "W" in model.parameters:
        return {"W": model.parameters["W"]}
    return {"Wᵢₙ": model.parameters["W_in"], "Wₒᵤₜᵀ": model.parameters["W_out"].T}


def training_of(zoo: Zoo, model: Model) -> Trajectories | None:
    """How the model's W moved in training, where the zoo kept that."""
    try:
        kept = zoo.trajectory(model.model_id)
    except NoTrajectory:
        return None
    return Trajectories(
        kept.parameters["W"][None], kept.steps, kept.losses[None] / model.spec.density
    )


def record(model: Model) -> None:
    """What was measured on the model, as a table."""
    values = model.record
    error = values["loss_standard_error"]
    lines = [
        f"| [[loss]], {values['loss_method']} | {format_number(values['loss'], 4)}"
        + (f" ± {format_number(error, 2)} |" if error else " |")
    ]
    by_chance = at_random(model.spec.n_hidden)
    lines += [
        f"| {name} | {format_number(values[column])}"
        + (f" (at random {format_number(by_chance[column])}) |" if column in by_chance else " |")
        for column, name in MEASURES
        if values[column] is not None
    ]
    prose("| measure | value |\n| --- | ---: |\n" + "\n".join(lines))
    if values["best_of_seeds"]:
        st.caption("The best of its seeds.")


@st.cache_data(show_spinner=False, max_entries=32)
def at_random(m: int) -> dict[str, float]:
    """What directions drawn at random in m dimensions have for the measures of the basis."""
    rotations = haar_rotations(max(200, 4000 // m), m, np.random.default_rng(0))
    return {
        "alignment": float(np.mean(basis_alignment(rotations))),
        "kurtosis": 3 * m / (m + 2),
    }


def data(model: Model) -> None:
    """What the model was trained on, and how to draw it again."""
    st.markdown("**Its data**")
    prose(data_sentence(model.spec))
    st.code(
        "import numpy as np\n"
        + zoo_snippet(open_zoo(), model.model_id)
        + f"x = model.spec.distribution.sample(1000, np.random.default_rng(0))  "
        f"# (1000, {model.spec.n_features})\n"
        "y = model.spec.model_family.forward(model.parameters, x)\n",
        language="python",
    )


def code(model: Model, file_name: str) -> None:
    """Code that needs nothing of this project, and a link that opens this model again."""
    st.markdown("**The downloaded file, with PyTorch and nothing else**")
    st.code(usage_snippet(model, file_name), language="python")
    st.markdown("**A link that opens this model**")
    st.code(link_to(model.model_id, st.context.url), language=None)


def same_setting(zoo: Zoo, model: Model) -> pd.DataFrame:
    """The rows of the models that differ from this one in their seed alone."""
    wanted = {name: value for name, value in model.spec.to_dict().items() if name != "seed"}
    return zoo.grid(model.grid).select(**wanted)


def grids_of(zoo: Zoo) -> str:
    """The grids as a table: name, question, number of models."""
    return "| grid | models | its question |\n| --- | ---: | --- |\n" + "\n".join(
        f"| {name} | {len(zoo.grid(name)):,} | {zoo.grid(name).question} |" for name in zoo.grids
    )
