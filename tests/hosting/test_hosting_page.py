"""docs/hosting.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from pages.parts.zoo_access import ZOO_VARIABLE
from training import live

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")


def test_the_table_of_limits_is_that_of_the_code() -> None:
    limits = live.LIMITS
    for words in (
        f"at most {live.MOST_WORKERS} (`MOST_WORKERS`)",
        f"| turn, when others wait | {live.TURN_SECONDS:g} s ",
        f"| waiting runs | {limits.waiting};",
        f"at most {limits.n_features[1]} features, {limits.n_hidden[1]} hidden dimensions, "
        f"{limits.seeds[1]} seeds, {limits.steps[1]:,} steps, {limits.seconds:g} s of training",
        f"| a run that nobody watches | ends after {live.ABANDONED_SECONDS:g} s |",
    ):
        assert words in PAGE


def test_settings_files_and_targets_it_names_exist() -> None:
    assert f"`{ZOO_VARIABLE}`" in PAGE
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^ *make (\w+)", PAGE, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile
    for path in re.findall(r"`((?:hosting|docs|training|tests|zoo)/[\w./]*)`", PAGE):
        assert (ROOT / path).exists(), path
