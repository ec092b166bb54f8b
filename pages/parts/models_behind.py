"""Which models a figure shows, and how to take them away."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import streamlit as st

from pages.parts.layout import folded
from pages.parts.navigation import link
from pages.parts.zoo_access import open_zoo, zoo_problems
from zoo import Zoo
from zoo.export import state_dict_bytes, usage_snippet
from zoo.hub import HUB


def models_behind(model_ids: Sequence[str], *, key: str, chosen: str | None = None) -> None:
    """A folded list of the models in the figure above: ids, download, lines of code.

    Args:
        model_ids: at least one id of the app's zoo.
        key: unique on the page.
        chosen: the id offered first; by default the first.
    """
    # A reader's session keeps the ids until they leave. A table makes new strings each time it is
    # asked; these are the same ones for all readers.
    ids = list(dict.fromkeys(map(sys.intern, model_ids)))
    if not ids:
        return
    label = "The model behind this figure" if len(ids) == 1 else "Models behind this figure"
    folded(
        f"{label} ({len(ids):,})",
        lambda: _models(tuple(ids), key, chosen),
        key=f"fold-{key}",
        icon=":material/deployed_code:",
    )


def _models(ids: tuple[str, ...], key: str, chosen: str | None) -> None:
    with zoo_problems():
        zoo = open_zoo()
        if len(ids) > 1:
            start = ids.index(chosen) if chosen in ids else 0
            model_id = st.selectbox("Model", ids, index=start, key=f"{key}-model")
        else:
            model_id = ids[0]
            st.markdown(f"`{model_id}`")
        model = zoo.model(model_id)
        file_name = f"{model_id.replace('/', '_')}.safetensors"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.download_button(
                "Download (safetensors)",
                state_dict_bytes(model),
                file_name,
                mime="application/octet-stream",
                key=f"{key}-download",
                on_click="ignore",
                icon=":material/download:",
            )
            link("pages/models.py", "All its numbers", query={"model": model_id})
        st.markdown("With this project's code:")
        st.code(zoo_snippet(zoo, model_id), language="python")
        st.markdown("With PyTorch and the downloaded file, nothing else:")
        st.code(usage_snippet(model, file_name), language="python")


def zoo_snippet(zoo: Zoo, model_id: str) -> str:
    """Three lines that load one model of the zoo by its id."""
    names = list(zoo.model(model_id).parameters)
    targets = ", ".join(names)
    values = ", ".join(f'model.parameters["{name}"]' for name in names)
    # A folder of the app's machine would mean nothing elsewhere.
    place = f'"{zoo.place}"' if zoo.place.startswith(HUB) else ""
    return (
        f'from zoo import Zoo\nmodel = Zoo.open({place}).model("{model_id}")\n'
        f"{targets} = {values}\n"
    )
