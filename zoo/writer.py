"""Writing a zoo: the same models always become the same bytes."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from zoo.card import model_card
from zoo.format import (
    CARD,
    INDEX,
    INDEX_COLUMNS,
    LOSSES,
    MANIFEST,
    SPEC_COLUMNS,
    STEPS,
    TRAJECTORIES,
    WEIGHTS,
    ZOO_VERSION,
    FileEntry,
    GridEntry,
    Manifest,
    check_grid_name,
    grid_file,
    read_manifest,
    safetensors_bytes,
    sha256,
    stack_name,
    write_atomically,
)
from zoo.measures import measure
from zoo.records import LOSS_METHODS, Result
from zoo.specs import Grid, ModelSpec


def write_grid(out_dir: str | os.PathLike[str], grid: Grid, results: Sequence[Result]) -> GridEntry:
    """Write one grid's files below `out_dir`, and return its entry for the manifest.

    Nothing is written unless every result is sound. Each file appears whole or not at
    all; the zoo is consistent again after `write_manifest`.

    Args:
        results: one for each of `grid.models`, in that order.

    Raises:
        ValueError: if a result is not what its spec asks for; names the model.
    """
    check_grid_name(grid.name)
    if len(results) != len(grid):
        raise ValueError(f"grid {grid.name!r} declares {len(grid)} models, got {len(results)}")
    if len(grid) == 0:
        raise ValueError(f"grid {grid.name!r} declares no models; expected at least one")
    for spec, result in zip(grid, results, strict=True):
        _check(spec.model_id(grid.name), spec, result)
    steps = _common_steps(grid, results)

    members: dict[str, list[int]] = {}
    for position, spec in enumerate(grid):
        members.setdefault(stack_name(spec), []).append(position)

    columns = _declared_columns(grid, results)
    weights: dict[str, NDArray[Any]] = {}
    trajectories: dict[str, NDArray[Any]] = {}
    for stack, positions in members.items():
        family = grid.models[positions[0]].model_family
        names = results[positions[0]].parameters.keys()
        parameters = {
            name: np.stack([_float32(results[p].parameters[name]) for p in positions])
            for name in names
        }
        weights |= {f"{stack}/{name}": values for name, values in parameters.items()}
        for column, values in measure(family, parameters).items():
            for position, value in zip(positions, values.tolist(), strict=True):
                columns[column][position] = value
        for row, position in enumerate(positions):
            columns["stack"][position] = stack
            columns["row"][position] = row

        kept = [p for p in positions if results[p].trajectory is not None]
        for row, position in enumerate(kept):
            columns["trajectory_row"][position] = row
        if kept:
            paths = [t for p in kept if (t := results[p].trajectory) is not None]
            trajectories[f"{stack}/{LOSSES}"] = np.stack([_float32(t.losses) for t in paths])
            for name in names:
                frames = np.stack([_float32(t.parameters[name]) for t in paths])
                trajectories[f"{stack}/{name}"] = frames

    contents = {INDEX: _index_bytes(columns), WEIGHTS: safetensors_bytes(weights)}
    if steps is not None:
        contents[TRAJECTORIES] = safetensors_bytes({**trajectories, STEPS: steps})

    folder = Path(out_dir)
    files = {}
    for name, data in contents.items():
        path = grid_file(grid.name, name)
        write_atomically(folder / path, data)
        files[path] = FileEntry(sha256(data), len(data))
    if TRAJECTORIES not in contents:
        (folder / grid_file(grid.name, TRAJECTORIES)).unlink(missing_ok=True)
    return GridEntry(grid, files)


def write_manifest(
    out_dir: str | os.PathLike[str],
    entries: Iterable[GridEntry],
    *,
    version: str = ZOO_VERSION,
    order: Sequence[str] | None = None,
) -> Manifest:
    """Write `zoo.json` and the model card of the zoo in `out_dir`.

    Grids that an existing manifest lists and `entries` does not are kept, so that one
    grid can be built again on its own.

    Args:
        version: of the zoo's content, as readers see it.
        order: names of grids as they are to be listed; others follow.
    """
    folder = Path(out_dir)
    existing = read_manifest(folder) if (folder / MANIFEST).exists() else Manifest()
    merged = dict(Manifest(version, existing.grids).with_grids(entries).grids)
    ranking = {name: rank for rank, name in enumerate(order or ())}
    names = sorted(merged, key=lambda name: ranking.get(name, len(ranking)))
    manifest = Manifest(version, {name: merged[name] for name in names})
    write_atomically(folder / CARD, model_card(manifest).encode())
    write_atomically(folder / MANIFEST, manifest.to_json().encode())
    return manifest


def _check(model_id: str, spec: ModelSpec, result: Result) -> None:
    shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
    _check_tensors(model_id, "parameters", result.parameters, shapes)
    for name in ("loss", "loss_standard_error"):
        value = getattr(result, name)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{model_id}: {name} is {value}; expected a finite number >= 0")
    if result.popular_loss is not None and not math.isfinite(result.popular_loss):
        raise ValueError(f"{model_id}: popular_loss is {result.popular_loss}; expected a number")
    if result.loss_method not in LOSS_METHODS:
        raise ValueError(
            f"{model_id}: loss_method is {result.loss_method!r}; "
            f"expected one of {', '.join(LOSS_METHODS)}"
        )
    if (trajectory := result.trajectory) is not None:
        count = len(trajectory.steps)
        if count == 0 or np.any(np.diff(trajectory.steps) <= 0):
            raise ValueError(f"{model_id}: the trajectory's steps do not increase")
        frames = {name: (count, *shape) for name, shape in shapes.items()}
        tensors = {**trajectory.parameters, LOSSES: trajectory.losses}
        _check_tensors(model_id, "trajectory", tensors, {**frames, LOSSES: (count,)})


def _check_tensors(
    model_id: str,
    what: str,
    tensors: Mapping[str, NDArray[Any]],
    shapes: Mapping[str, tuple[int, ...]],
) -> None:
    if tensors.keys() != shapes.keys():
        raise ValueError(f"{model_id}: {what} are {sorted(tensors)}; expected {sorted(shapes)}")
    for name, shape in shapes.items():
        if np.shape(tensors[name]) != shape:
            raise ValueError(
                f"{model_id}: {what} {name} has shape {np.shape(tensors[name])}; expected {shape}"
            )
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"{model_id}: {what} {name} is not finite; train the model again")


def _common_steps(grid: Grid, results: Sequence[Result]) -> NDArray[np.int64] | None:
    """The steps of every kept trajectory; None if none is kept."""
    steps: NDArray[np.int64] | None = None
    for spec, result in zip(grid, results, strict=True):
        if result.trajectory is None:
            continue
        these = np.asarray(result.trajectory.steps, dtype=np.int64)
        if steps is not None and not np.array_equal(steps, these):
            raise ValueError(
                f"{spec.model_id(grid.name)}: its trajectory has other steps than the "
                "trajectories before it; keep the same steps throughout a grid"
            )
        steps = these
    return steps


def _declared_columns(grid: Grid, results: Sequence[Result]) -> dict[str, list[Any]]:
    """Every index column; those to be measured are still empty."""
    columns: dict[str, list[Any]] = {name: [None] * len(grid) for name in INDEX_COLUMNS}
    columns["model_id"] = [spec.model_id(grid.name) for spec in grid]
    for name in SPEC_COLUMNS:
        columns[name] = [getattr(spec, name) for spec in grid]
    columns["sparsity"] = [spec.sparsity for spec in grid]
    columns["loss"] = [float(r.loss) for r in results]
    columns["loss_standard_error"] = [float(r.loss_standard_error) for r in results]
    columns["loss_method"] = [r.loss_method for r in results]
    columns["loss_per_density"] = [
        float(r.loss) / spec.density for spec, r in zip(grid, results, strict=True)
    ]
    columns["popular_loss"] = [
        None if r.popular_loss is None else float(r.popular_loss) for r in results
    ]
    best: dict[ModelSpec, int] = {}
    for position, spec in enumerate(grid):
        setting = spec.with_seed(0)
        first = best.setdefault(setting, position)
        if results[position].loss < results[first].loss:
            best[setting] = position
    winners = set(best.values())
    columns["best_of_seeds"] = [position in winners for position in range(len(grid))]
    return columns


def _index_bytes(columns: Mapping[str, list[Any]]) -> bytes:
    arrow = {"string": pa.string(), "int64": pa.int64(), "bool": pa.bool_()}
    arrow |= {"double": pa.float64(), "float": pa.float32()}
    schema = pa.schema([(name, arrow[kind]) for name, kind in INDEX_COLUMNS.items()])
    table = pa.table({name: columns[name] for name in INDEX_COLUMNS}, schema=schema)
    buffer = io.BytesIO()
    # Neither the versions of pandas and Arrow nor statistics, which nobody reads here.
    pq.write_table(table, buffer, compression="zstd", write_statistics=False, store_schema=False)
    return buffer.getvalue()


def _float32(values: Any) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)
