"""The model card: true of the zoo it lies in, and understood by the Hub's own reader."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

from superposition.claims import CAVEAT, FAILS, HOLDS, Claim
from zoo.card import full_card, model_card
from zoo.cli import main
from zoo.format import CARD
from zoo.reading import Zoo

ROOT = Path(__file__).parents[2]
CLAIM = Claim(
    id="earth-is-round",
    number=1,
    sentence="The earth is round.",
    source="Eratosthenes",
    measurement="shadows at noon",
    threshold="holds: |angle| > 7°",
    value="7.2° in 1 of 1 wells",
    status=HOLDS,
    detail="",
    page="pages/claims.py",
    numbers={"angle": 7.2},
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_snippet(code: str, folder: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(code, names)
    finally:
        os.chdir(before)
    return names


def test_each_way_to_load_a_model_gives_that_model(zoo: Zoo, own_folder: Path) -> None:
    card = (own_folder / CARD).read_text(encoding="utf-8")
    model_id = re.findall(r"This one is `(.*?)`", card)[0]
    expected = zoo.model(model_id).parameters
    from_files, by_index, with_the_code = blocks(card, "python")
    names = run_snippet(from_files, own_folder.parent)
    for tensor, values in expected.items():
        np.testing.assert_array_equal(names[tensor], values)
    names = run_snippet(by_index, own_folder.parent)
    np.testing.assert_array_equal(names["W"], expected["W"])
    code = re.sub(r"Zoo\.from_hub\(.*\)", f"Zoo.open({str(own_folder)!r})", with_the_code)
    model = run_snippet(code, own_folder.parent)["model"]
    np.testing.assert_array_equal(model.parameters["W"], expected["W"])


def test_every_grid_has_a_row(zoo: Zoo) -> None:
    card = model_card(zoo.manifest)
    for name in zoo.grids:
        assert f"\n| `{name}` | " in card
    # A bar in a question would otherwise end its cell.
    assert "What is kept \\| dropped?" in card
    assert model_card(zoo.manifest) == card


def test_the_header_is_read_by_the_hubs_own_reader(zoo: Zoo) -> None:
    data = ModelCard(model_card(zoo.manifest)).data.to_dict()
    assert data["license"] == "mit"
    assert data["library_name"] == "pytorch"
    assert {"superposition", "toy-models", "mechanistic-interpretability"} <= set(data["tags"])


def test_claims_are_told_with_their_status(zoo: Zoo) -> None:
    flat = replace(CLAIM, number=2, status=FAILS, detail="Looked at from a ship.")
    both = replace(CLAIM, number=3, status=CAVEAT)
    card = model_card(zoo.manifest, [CLAIM, flat, both])
    assert "Of 3: 1 holds, 1 holds with a caveat, 1 does not hold." in card
    assert (
        "| 1 | The earth is round. | 7.2° in 1 of 1 wells | holds: \\|angle\\| > 7° | holds |\n"
    ) in card
    assert "| does not hold |\n" in card
    assert "\n- 2: Looked at from a ship.\n" in card
    assert "Of 2: 2 hold." in model_card(zoo.manifest, [CLAIM, CLAIM])
    assert "What the models show" not in model_card(zoo.manifest)


def test_the_citation_names_this_zoo_and_the_paper(zoo: Zoo) -> None:
    card = model_card(zoo.manifest, repo_id="ada/zoo")
    (bibtex,) = blocks(card, "bibtex")
    ours, paper = bibtex.strip().split("\n\n")
    for entry in (ours, paper):
        assert entry.count("{") == entry.count("}")
        assert re.match(r"@\w+\{[\w-]+,\n", entry)
        assert set(re.findall(r"^  (\w+) +=", entry, re.MULTILINE)) >= {"title", "author", "year"}
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    year, holder = re.findall(r"Copyright \(c\) (\d+) (.+)", licence)[0]
    assert f"year         = {{{year}}}" in ours
    assert f"{{{{{holder}}}}}" in ours
    assert f"version {zoo.version}" in ours
    assert "\\url{https://huggingface.co/ada/zoo}" in ours
    assert "hf download ada/zoo " in card
    assert "OWNER/NAME" not in card


def test_the_embedded_zoos_card_is_what_the_code_writes() -> None:
    zoo = Zoo.open()
    written = (zoo.folder / CARD).read_text(encoding="utf-8")
    assert written == full_card(zoo), "bring it up to date with `python -m zoo card --write`"


def test_the_command_prints_or_writes_the_card(
    own_folder: Path, zoo: Zoo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["card", "--zoo", str(own_folder)]) == 0
    assert capsys.readouterr().out == full_card(zoo)
    (own_folder / CARD).write_text("stale")
    assert main(["card", "--zoo", str(own_folder), "--write"]) == 0
    assert (own_folder / CARD).read_text(encoding="utf-8") == full_card(zoo)
    (own_folder / CARD).unlink()
    (own_folder / CARD).mkdir()
    assert main(["card", "--zoo", str(own_folder), "--write"]) == 2
    assert "give --zoo a folder you may write to" in capsys.readouterr().err
