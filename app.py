"""The Superposition Zoo. Run it with `make app`."""

from pathlib import Path

import streamlit as st

from pages.parts.layout import style
from pages.parts.measured import measure_ahead
from pages.parts.memory import tidy
from pages.parts.navigation import menu
from pages.parts.turns import TURNS
from pages.parts.zoo_access import zoo_caption, zoo_notice, zoo_problems

ICON = Path(__file__).parent / "pages" / "parts" / "icon.svg"

st.set_page_config(page_title="Superposition Zoo", page_icon=ICON, layout="wide")
with TURNS.turn():
    style()
    page = st.navigation(menu(), expanded=True)
    zoo_caption()
    zoo_notice()
    with zoo_problems():
        measure_ahead()
        page.run()
# Last, when the reader has the page.
tidy()
