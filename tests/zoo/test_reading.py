from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

from superposition import geometry
from zoo.errors import NoTrajectory, UnknownGrid, UnknownModel, ZooError, ZooNotFound
from zoo.format import INDEX_COLUMNS
from zoo.reading import Zoo
from zoo.records import Result
from zoo.specs import Grid
from zoo.writer import write_manifest

MakeResults = Callable[[Grid], list[Result]]


def test_every_model_comes_back_as_it_was_written(
    zoo: Zoo, grids: tuple[Grid, ...], make_results: MakeResults
) -> None:
    assert zoo.grids == tuple(grid.name for grid in grids)
    assert len(zoo) == sum(len(grid) for grid in grids)
    for grid in grids:
        view = zoo.grid(grid.name)
        assert view.declaration == grid
        assert (view.name, view.question, len(view)) == (grid.name, grid.question, len(grid))
        for spec, result in zip(grid, make_results(grid), strict=True):
            model = zoo.model(spec.model_id(grid.name))
            assert model.spec == spec
            assert model.grid == grid.name
            assert model.zoo_version == zoo.version
            assert model.parameters.keys() == result.parameters.keys()
            for name, values in result.parameters.items():
                assert model.parameters[name].dtype == np.float32
                np.testing.assert_array_equal(model.parameters[name], values)
            assert model.record["loss"] == result.loss
            assert model.record["loss_method"] == result.loss_method
            assert model.record["loss_standard_error"] == result.loss_standard_error
            assert model.record["popular_loss"] == result.popular_loss
            json.dumps(model.record, allow_nan=False)


def test_trajectories_come_back_as_they_were_written(
    zoo: Zoo, grids: tuple[Grid, ...], make_results: MakeResults
) -> None:
    for grid in grids:
        view = zoo.grid(grid.name)
        kept = []
        for spec, result in zip(grid, make_results(grid), strict=True):
            if result.trajectory is None:
                continue
            kept.append(spec.model_id(grid.name))
            found = zoo.trajectory(kept[-1])
            np.testing.assert_array_equal(found.steps, result.trajectory.steps)
            np.testing.assert_array_equal(found.losses, result.trajectory.losses)
            assert found.parameters.keys() == result.parameters.keys()
            for name, frames in result.trajectory.parameters.items():
                np.testing.assert_array_equal(found.parameters[name], frames)
        assert view.trajectory_ids == tuple(kept)


def test_no_trajectory_is_a_key_error_that_says_so(zoo: Zoo) -> None:
    missing = "tiny-bottleneck/linear/n5-m2-p1-i0.9/s00"
    with pytest.raises(NoTrajectory, match="was not kept; this grid keeps 6") as caught:
        zoo.trajectory(missing)
    assert isinstance(caught.value, KeyError)
    assert not str(caught.value).startswith(("'", '"'))
    with pytest.raises(NoTrajectory, match="none in it are"):
        zoo.trajectory("tiny-rare/relu-output/n3-m2-p0.2-rare1-i1/s00")


def test_the_table_has_the_columns_of_the_index(zoo: Zoo) -> None:
    table = zoo.table
    assert list(table.columns) == ["grid", *INDEX_COLUMNS]
    assert len(table) == len(zoo)
    assert table["model_id"].is_unique
    assert (table["model_id"].str.split("/").str[0] == table["grid"]).all()
    assert table["best_of_seeds"].dtype == bool
    np.testing.assert_allclose(table["loss_per_density"], table["loss"] / table["density"])
    np.testing.assert_allclose(table["sparsity"], 1 - table["density"])
    neurons = table["family"].isin(["relu-hidden", "absolute-value"])
    for name in ("features_per_neuron", "monosemantic_share"):
        assert (table[name].notna() == neurons).all()
    assert (table["popular_loss"].notna() == (table["grid"] == "tiny-rare")).all()
    assert (table["rare_ratio"].notna() == (table["grid"] == "tiny-rare")).all()
    for name in zoo.grids:
        alone = zoo.grid(name).table
        part = table[table["grid"] == name].drop(columns="grid").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, alone)


def test_measures_are_those_of_the_weights(zoo: Zoo) -> None:
    for model_id in zoo.table["model_id"]:
        model = zoo.model(model_id)
        W = model.spec.model_family.encoder(model.parameters)
        kept = geometry.represented(W)
        record = model.record
        assert record["features_represented"] == kept.sum()
        assert record["solution"] == geometry.solution_name(W)
        for name, values in {
            "mean_dimensionality": geometry.dimensionality(W)[kept],
            "mean_interference": geometry.interference(W)[kept],
            "kurtosis": geometry.kurtosis(W)[kept],
        }.items():
            assert record[name] == pytest.approx(values.mean() if kept.any() else 0, rel=1e-5)
        strongest = geometry.interference(W)[kept].max(initial=0)
        assert record["max_interference"] == pytest.approx(strongest, rel=1e-5)
        assert record["coherence"] == pytest.approx(geometry.coherence(W), rel=1e-5)
        assert record["alignment"] == pytest.approx(geometry.basis_alignment(W), rel=1e-5)
        size = float((W.astype(float) ** 2).sum())
        assert record["features_per_dimension"] == pytest.approx(size / len(W), rel=1e-5)
        assert record["dimensions_per_feature"] == pytest.approx(len(W) / size, rel=1e-5)
        if model.spec.model_family.has_neurons:
            held = geometry.features_per_neuron(W)
            assert record["features_per_neuron"] == pytest.approx(held[held > 0].mean(), rel=1e-5)
            share = geometry.monosemantic_share(W)
            assert record["monosemantic_share"] == pytest.approx(share, rel=1e-5)


def test_a_reader_may_write_into_what_it_gets(zoo: Zoo) -> None:
    for table in (zoo.table, zoo.grid("tiny-rare").table):
        table["loss"] = -1.0
        table.loc[0, "family"] = "mine"
        del table["row"]
    model = zoo.model("tiny-rare/relu-output/n3-m2-p0.2-rare1-i1/s00")
    model.parameters["W"][:] = 0
    model.record["loss"] = -1
    assert (zoo.table["loss"] > 0).all()
    assert list(zoo.table.columns) == ["grid", *INDEX_COLUMNS]
    again = zoo.model(model.model_id)
    assert again.parameters["W"].any()
    assert again.record["loss"] > 0


def test_select_compares_numbers_to_six_digits(zoo: Zoo) -> None:
    view = zoo.grid("tiny-bottleneck")
    assert len(view.select(density=0.1 + 1e-9)) == 6
    assert len(view.select(density=0.10001)) == 0
    assert len(view.select(family="linear", density=(1, 0.001), seed=[0, 2])) == 4
    assert len(view.select(best_of_seeds=True)) == 6
    assert len(view.select(trajectory_row=None)) == 12
    assert len(view.select()) == len(view)
    rare = zoo.grid("tiny-rare")
    assert len(rare.select(rare_ratio=None)) == 0
    assert len(rare.select(rare_ratio=0.001)) == 2
    assert list(view.select(seed=1).index) == list(range(6))
    with pytest.raises(ValueError, match="no column 'densty'; did you mean density"):
        view.select(densty=0.1)


def test_parameters_are_stacked_in_the_order_asked_for(zoo: Zoo) -> None:
    view = zoo.grid("tiny-bottleneck")
    # Two families of one shape, neither in the order of the file.
    ids = view.table["model_id"].sample(frac=1, random_state=1).tolist()
    ids.append(ids[0])
    for rows in (ids, view.table.set_index("model_id", drop=False).loc[ids]):
        stacked = view.parameters(rows)
        assert stacked["W"].shape == (19, 2, 5)
        assert stacked["b"].shape == (19, 5)
        for i, model_id in enumerate(ids):
            for name, values in zoo.model(model_id).parameters.items():
                np.testing.assert_array_equal(stacked[name][i], values)


def test_parameters_of_different_shapes_do_not_stack(zoo: Zoo) -> None:
    view = zoo.grid("tiny-sizes")
    with pytest.raises(ValueError, match=r"do not share a shape.*n2-m1"):
        view.parameters(view.table)
    with pytest.raises(ValueError, match="no models were asked for"):
        view.parameters([])
    with pytest.raises(UnknownModel, match="in grid 'tiny-sizes'; did you mean tiny-sizes/"):
        view.parameters(["tiny-sizes/linear/n2-m1-p1-i1/s77"])


def test_unknown_names_suggest_the_nearest(zoo: Zoo) -> None:
    with pytest.raises(UnknownGrid, match=r"did you mean tiny-bottleneck\?"):
        zoo.grid("tiny-botleneck")
    with pytest.raises(UnknownGrid, match="The grids are tiny-bottleneck, tiny-sizes"):
        zoo.grid("quite different")
    with pytest.raises(UnknownModel) as caught:
        zoo.model("tiny-bottleneck/linear/n5-m2-p0.12-i0.9/s02")
    assert isinstance(caught.value, KeyError)
    assert caught.value.suggestions[0] == "tiny-bottleneck/linear/n5-m2-p0.1-i0.9/s02"
    assert caught.value.suggestions[0] in str(caught.value)
    assert not str(caught.value).startswith(("'", '"'))


@pytest.mark.parametrize(
    "name", ["", "/", "tiny-sizes", "tiny-sizes/", "a/b/c/d/e", "\0", "☃" * 999]
)
def test_any_text_as_an_id_is_answered(zoo: Zoo, name: str) -> None:
    with pytest.raises(UnknownModel, match="there is no model"):
        zoo.model(name)


def test_no_zoo_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(ZooNotFound, match=r"zoo\.json is missing; build one with") as caught:
        Zoo.open(tmp_path / "nowhere")
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, ZooError)
    (tmp_path / "file").write_text("")
    with pytest.raises(ZooNotFound, match="cannot read"):
        Zoo.open(tmp_path / "file")


def test_an_empty_zoo_opens(tmp_path: Path) -> None:
    write_manifest(tmp_path, [])
    empty = Zoo.open(tmp_path)
    assert empty.grids == ()
    assert len(empty.table) == 0
    assert list(empty.table.columns) == ["grid", *INDEX_COLUMNS]
    with pytest.raises(UnknownModel):
        empty.model("a/b/c/s00")


def test_one_model_is_read_without_the_rest(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    sizes: list[int] = []

    class Watched:
        def __init__(self, path: Path, **options: Any) -> None:
            opened.append(Path(path).parent.name + "/" + Path(path).name)
            self._file = safe_open(path, **options)

        def __enter__(self) -> Watched:
            return self

        def __exit__(self, *details: object) -> None:
            return None

        def keys(self) -> list[str]:
            return self._file.keys()

        def get_slice(self, key: str) -> WatchedSlice:
            return WatchedSlice(self._file.get_slice(key))

    class WatchedSlice:
        def __init__(self, part: object) -> None:
            self._part = part

        def __getattr__(self, name: str) -> object:
            return getattr(self._part, name)

        def __getitem__(self, rows: slice) -> np.ndarray:
            values = self._part[rows]  # type: ignore[index]
            sizes.append(values.size)
            return values

    monkeypatch.setattr("zoo.reading.safe_open", Watched)
    zoo.model("tiny-sizes/linear/n4-m3-p1-i1/s01")
    assert set(opened) == {"tiny-sizes/weights.safetensors"}
    assert sorted(sizes) == [4, 12]


def test_threads_share_a_zoo(zoo_folder: Path) -> None:
    shared = Zoo.open(zoo_folder)
    ids = Zoo.open(zoo_folder).table["model_id"].tolist() * 3
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(shared.model, ids))
    assert [model.model_id for model in models] == ids


def test_verify_has_two_settings(zoo_folder: Path) -> None:
    with pytest.raises(ValueError, match="expected 'hash' or 'size'"):
        Zoo.open(zoo_folder, verify="never")  # type: ignore[arg-type]
    assert Zoo.open(zoo_folder, verify="size").table.equals(Zoo.open(zoo_folder).table)


def test_it_says_what_it_is(zoo: Zoo) -> None:
    assert "64 models in 5 grids" in repr(zoo)
    assert repr(zoo.grid("tiny-rare")) == "GridView('tiny-rare', 4 models)"
