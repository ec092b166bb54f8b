"""Five features, two dimensions: the effect itself, on one screen."""

from pages.parts.layout import question

question(
    "Five features, two dimensions",
    "What does a small network do when it must keep more numbers than it has room for?",
)
