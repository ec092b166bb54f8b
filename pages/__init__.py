"""The views: one file a page, its text in reading order; what they show is in `sections`."""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

# Beside a folder named pages, Streamlit serves its files as an app of its own until the first
# st.navigation. A new server asked for a page by its address would run that file without app.py;
# this starts over with app.py. Once per process, as this is imported once.
if PagesManager.uses_pages_directory:
    PagesManager.uses_pages_directory = False
    st.rerun()
