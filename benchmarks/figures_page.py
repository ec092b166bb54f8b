"""A page's own figures and one slider, and nothing else: what `benchmarks.app` compares with.

    streamlit run benchmarks/figures_page.py -- FOLDER

`?of=NAME` asks for the figures in `FOLDER/NAME.json`: those that a page of the app sent for two
settings of one control. Each step of the slider goes from one to the other.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import streamlit as st


@st.cache_resource
def states(name: str) -> list[list[dict[str, Any]]]:
    """Two lists of figures, each as Streamlit takes it, with its width."""
    kept = json.loads(Path(sys.argv[1], f"{name}.json").read_text(encoding="utf-8"))
    return [[shown(figure) for figure in state] for state in kept]


def shown(figure: dict[str, Any]) -> dict[str, Any]:
    """One figure as it was sent, its tables as such."""
    tables = {
        name: pa.ipc.open_stream(base64.b64decode(data)).read_all()
        for name, data in figure["tables"].items()
    }
    return {"spec": {**figure["spec"], "datasets": tables}, "width": figure["width"]}


st.title("A page's figures")
state = round(100 * st.slider("Slope", 0.0, 1.0, 0.5)) % 2
for place, each in enumerate(states(st.query_params["of"])[state]):
    st.vega_lite_chart(each["spec"], width=each["width"], key=f"figure-{place}")
