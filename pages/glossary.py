"""Glossary and reading: every term, every source, and what to try next."""

from __future__ import annotations

from pages.parts.layout import question
from pages.sections.glossary import reference

question(
    "Glossary and reading",
    "What do the words mean, where do they come from, and what is left to find out? Every term "
    "that is underlined on a page is here, with the pages that use it.",
)
reference()
