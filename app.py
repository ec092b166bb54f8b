"""The Superposition Zoo. Run it with `make app`."""

import streamlit as st

from pages.parts.layout import style
from pages.parts.navigation import menu
from pages.parts.zoo_access import zoo_caption, zoo_problems

st.set_page_config(page_title="Superposition Zoo", page_icon=":material/star:", layout="wide")
style()
page = st.navigation(menu())
zoo_caption()
with zoo_problems():
    page.run()
