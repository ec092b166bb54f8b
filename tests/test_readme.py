"""What the README promises: its snippets run, its commands exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo import Zoo
from zoo.cli import main
from zoo.export import usage_snippet

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
MODEL_ID = next(iter(re.findall(r"python -m zoo export (\S+) model.safetensors", README)))


def run(code: str, folder: Path) -> str:
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_checkpoint_snippet_runs_and_gives_the_models_outputs(tmp_path: Path) -> None:
    assert main(["export", MODEL_ID, str(tmp_path / "model.safetensors")]) == 0
    printed = run(
        PYTHON[0] + "\nimport json\nprint(json.dumps([x.tolist(), y.tolist()]))", tmp_path
    )
    x, y = np.array(json.loads(printed))
    model = Zoo.open().model(MODEL_ID)
    np.testing.assert_allclose(y, model.spec.model_family.forward(model.parameters, x), atol=1e-5)
    assert (x != 0).mean() == pytest.approx(model.spec.density, abs=0.03)


def test_the_checkpoint_snippet_is_what_the_app_offers() -> None:
    assert usage_snippet(Zoo.open().model(MODEL_ID)).splitlines() == PYTHON[0].splitlines()


def test_the_python_snippet_runs(tmp_path: Path) -> None:
    shape = run(PYTHON[1] + "\nprint(model.parameters['W'].shape, len(table))", tmp_path)
    assert shape.strip() == "(2, 5) 32"


@pytest.mark.parametrize("path", re.findall(r"^([a-z]+/?\S*?)(?:/| ) {2,}", README, re.MULTILINE))
def test_every_room_of_the_readme_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_pictures_exist() -> None:
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).is_file()
