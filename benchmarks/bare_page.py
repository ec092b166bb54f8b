"""The least that a Streamlit page with a figure can be: what `benchmarks.app` compares with."""

import altair as alt
import pandas as pd
import streamlit as st

st.title("A bare page")
slope = st.slider("Slope", 0.0, 1.0, 0.5)
line = pd.DataFrame({"x": range(20), "y": [slope * x for x in range(20)]})
st.altair_chart(alt.Chart(line).mark_line().encode(x="x:Q", y="y:Q"))
