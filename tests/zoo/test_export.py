from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from superposition.distributions import FeatureDistribution
from zoo.export import export_model, state_dict_bytes, usage_snippet
from zoo.reading import Zoo
from zoo.specs import ModelSpec

ROOT = Path(__file__).parents[2]


def one_of_each(zoo: Zoo) -> list[str]:
    """A model of each family and kind of data."""
    first = zoo.table.groupby(["grid", "family", "correlation", "rare_ratio"], dropna=False)
    return first["model_id"].first().tolist()


def run_snippet(code: str, folder: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(code, names)
    finally:
        os.chdir(before)
    return names


def test_an_export_is_a_state_dict_that_says_all_about_itself(zoo: Zoo, tmp_path: Path) -> None:
    for number, model_id in enumerate(one_of_each(zoo)):
        model = zoo.model(model_id)
        path = tmp_path / f"{number}.safetensors"
        export_model(model, path)
        with safe_open(path, framework="numpy") as file:
            assert set(file.keys()) == set(model.parameters)
            for name, values in model.parameters.items():
                np.testing.assert_array_equal(file.get_tensor(name), values)
            about = file.metadata()
        assert about["format"] == "pt"
        assert about["model_id"] == model_id
        assert about["zoo_version"] == zoo.version
        assert about["family"] == model.spec.family
        assert ModelSpec.from_dict(json.loads(about["spec"])) == model.spec
        data = FeatureDistribution.from_dict(json.loads(about["distribution"]))
        assert data == model.spec.distribution
        assert json.loads(about["importances"]) == model.spec.importances.tolist()
        assert json.loads(about["loss"]) == model.record["loss"]
        assert about["loss_method"] == model.record["loss_method"]
        assert json.loads(about["loss_standard_error"]) == model.record["loss_standard_error"]


def test_the_same_model_gives_the_same_bytes(zoo: Zoo, zoo_folder: Path) -> None:
    model_id = one_of_each(zoo)[0]
    code = (
        "import hashlib\n"
        "from zoo import Zoo\n"
        "from zoo.export import state_dict_bytes\n"
        f"model = Zoo.open({str(zoo_folder)!r}).model({model_id!r})\n"
        "print(hashlib.sha256(state_dict_bytes(model)).hexdigest())\n"
    )
    command = [sys.executable, "-c", code]
    hashes = {
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout for _ in range(2)
    }
    assert len(hashes) == 1
    again = load(state_dict_bytes(zoo.model(model_id)))
    assert again.keys() == zoo.model(model_id).parameters.keys()


def test_the_snippet_computes_what_the_model_computes(zoo: Zoo, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for model_id in one_of_each(zoo):
        model = zoo.model(model_id)
        export_model(model, tmp_path / "model.safetensors")
        names = run_snippet(usage_snippet(model), tmp_path)
        x, y = names["x"].numpy(), names["y"].numpy()
        assert x.shape == (1000, model.spec.n_features)
        np.testing.assert_allclose(
            y, model.spec.model_family.forward(model.parameters, x), rtol=1e-4, atol=1e-5
        )
        low, high = model.spec.model_family.value_range
        assert x.min() >= low
        assert x.max() <= high
        expected = np.array(model.spec.densities)
        spread = np.sqrt(expected * (1 - expected) / 1000)
        assert (abs((x != 0).mean(0) - expected) <= 6 * spread + 1e-9).all()


def test_the_snippet_loads_the_file_it_is_told_to(zoo: Zoo) -> None:
    model = zoo.model(one_of_each(zoo)[0])
    assert 'load_file("out/other.safetensors")' in usage_snippet(model, "out/other.safetensors")
