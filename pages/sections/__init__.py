"""The figures of single views with the controls around them, a file for each view.

They are imported, and so there is one of each function. Streamlit runs a view's own file anew for
each reader, whose widgets then hold on to all that it defines.
"""
