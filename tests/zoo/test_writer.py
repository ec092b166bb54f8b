from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from zoo.format import CARD, MANIFEST, read_manifest, safetensors_bytes, write_atomically
from zoo.reading import Zoo
from zoo.records import Result, Trajectory
from zoo.specs import Grid
from zoo.writer import write_grid, write_manifest

MakeResults = Callable[[Grid], list[Result]]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_models_become_the_same_bytes(
    zoo_folder: Path, tmp_path: Path, grids: tuple[Grid, ...], make_results: MakeResults
) -> None:
    write_manifest(tmp_path, [write_grid(tmp_path, grid, make_results(grid)) for grid in grids])
    assert contents(tmp_path) == contents(zoo_folder)


def test_nothing_but_the_zoo_is_left_behind(zoo_folder: Path) -> None:
    names = {Path(name).name for name in contents(zoo_folder)}
    assert names == {
        MANIFEST,
        CARD,
        "index.parquet",
        "weights.safetensors",
        "trajectories.safetensors",
    }


def test_metadata_has_one_order_in_every_process() -> None:
    code = (
        "import hashlib, numpy as np\n"
        "from zoo.format import safetensors_bytes\n"
        "data = safetensors_bytes({'b': np.ones(3, 'f4'), 'a': np.ones((2, 2))},"
        " {k: k * 3 for k in 'zyxwvutsr'})\n"
        "print(hashlib.sha256(data).hexdigest())\n"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[2],
        ).stdout
        for _ in range(3)
    }
    assert len(hashes) == 1


def test_arrays_need_not_be_contiguous() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(load(safetensors_bytes({"x": array.T}))["x"], array.T)


def test_one_grid_can_be_written_again_alone(
    own_folder: Path, grids: tuple[Grid, ...], make_results: MakeResults
) -> None:
    smaller = Grid(grids[1].name, "Another question?", grids[1].models[:5])
    write_manifest(
        own_folder, [write_grid(own_folder, smaller, make_results(smaller))], version="9"
    )
    zoo = Zoo.open(own_folder)
    assert zoo.version == "9"
    assert zoo.grids == tuple(grid.name for grid in grids)
    assert len(zoo.grid(smaller.name)) == 5
    assert zoo.grid(smaller.name).question == "Another question?"
    for name in zoo.grids:
        zoo.grid(name).check()


def test_grids_are_listed_in_the_order_asked_for(own_folder: Path, grids: tuple[Grid, ...]) -> None:
    names = [grid.name for grid in grids]
    write_manifest(own_folder, [], order=names[::-1])
    assert list(read_manifest(own_folder).grids) == names[::-1]
    write_manifest(own_folder, [], order=[names[2]])
    assert next(iter(read_manifest(own_folder).grids)) == names[2]


def test_trajectories_of_an_earlier_build_are_removed(
    own_folder: Path, grids: tuple[Grid, ...], make_results: MakeResults
) -> None:
    without = [replace(result, trajectory=None) for result in make_results(grids[0])]
    write_manifest(own_folder, [write_grid(own_folder, grids[0], without)])
    assert not (own_folder / "grids" / grids[0].name / "trajectories.safetensors").exists()
    view = Zoo.open(own_folder).grid(grids[0].name)
    assert view.trajectory_ids == ()
    view.check()


def test_the_lowest_loss_of_each_setting_is_the_best_of_seeds(zoo: Zoo) -> None:
    table = zoo.grid("tiny-bottleneck").table
    best = table.groupby(["family", "density"])["loss"].transform("min")
    assert table["best_of_seeds"].tolist() == (table["loss"] == best).tolist()


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def broken(result: Result, how: str) -> Result:
    W = result.parameters["W"]
    steps = np.array([0, 5])
    frames = {name: np.stack([values] * 2) for name, values in result.parameters.items()}
    odd_steps = Trajectory(np.array([5, 5]), np.ones(2, np.float32), frames)
    bad_frames = Trajectory(steps, np.ones(2, np.float32), {**frames, "W": frames["W"][:, :1]})
    return {
        "shape": replace(result, parameters={**result.parameters, "W": W.T}),
        "names": replace(result, parameters={"W": W}),
        "nan": replace(result, parameters={**result.parameters, "W": W * np.nan}),
        "loss": replace(result, loss=float("nan")),
        "negative": replace(result, loss=-1.0),
        "popular": replace(result, popular_loss=float("inf")),
        "method": replace(result, loss_method="guessed"),
        "steps": replace(result, trajectory=odd_steps),
        "frames": replace(result, trajectory=bad_frames),
    }[how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("shape", r"W has shape \(5, 2\); expected \(2, 5\)"),
        ("names", r"parameters are \['W'\]; expected \['W', 'b'\]"),
        ("nan", "parameters W is not finite"),
        ("loss", "loss is nan"),
        ("negative", "loss is -1"),
        ("popular", "popular_loss is inf"),
        ("method", "loss_method is 'guessed'; expected one of exact"),
        ("steps", "steps do not increase"),
        ("frames", "trajectory W has shape"),
    ],
)
def test_an_unsound_result_is_not_written(
    tmp_path: Path, grids: tuple[Grid, ...], make_results: MakeResults, how: str, message: str
) -> None:
    results = make_results(grids[0])
    results[3] = broken(results[3], how)
    model_id = grids[0].models[3].model_id(grids[0].name)
    with pytest.raises(ValueError, match=f"^{model_id}: .*{message}"):
        write_grid(tmp_path, grids[0], results)
    assert list(tmp_path.iterdir()) == []


def test_other_mistakes_are_named(
    tmp_path: Path, grids: tuple[Grid, ...], make_results: MakeResults
) -> None:
    results = make_results(grids[0])
    with pytest.raises(ValueError, match="declares 18 models, got 17"):
        write_grid(tmp_path, grids[0], results[1:])
    with pytest.raises(ValueError, match="declares no models"):
        write_grid(tmp_path, Grid("empty", "?", ()), [])
    with pytest.raises(ValueError, match="lower case words"):
        write_grid(tmp_path, Grid("../up", "?", grids[0].models), results)
    kept = next(i for i, r in enumerate(results[2:], 2) if r.trajectory is not None)
    trajectory = results[kept].trajectory
    assert trajectory is not None
    results[kept] = replace(results[kept], trajectory=replace(trajectory, steps=np.arange(4)))
    with pytest.raises(ValueError, match="other steps than"):
        write_grid(tmp_path, grids[0], results)
