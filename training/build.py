"""Build the zoo: train every declared grid, shard by shard, and write it.

A shard is models of a grid that share a family and a shape, with all the seeds of a
setting together; they train as one batch, of a minute or two at most. Workers hand back
bytes, and the builder alone writes, so a worker may be anywhere. A finished shard is a file
of its own, so a build that was killed continues where it was; the files of a grid are
written when its last shard is there. Each worker computes on one thread, so the result does
not depend on how many there are.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from training.evaluate import evaluate
from training.fit import FitResult, Problem, Recipe, fit
from training.grids import GRIDS, recipe_for
from training.workers import Processes, ThisProcess, Workers
from zoo.card import write_card
from zoo.format import GridEntry, safetensors_bytes, write_atomically
from zoo.records import Result, Trajectory
from zoo.specs import Grid, ModelSpec
from zoo.writer import write_grid, write_manifest

# Raise it when a change of code changes what the same recipe trains.
BUILD_VERSION = 1
SHARDS = ".build"
TRAJECTORY_FRAMES = 48
# How often, while nothing is finished, workers that came or went are counted again.
LOOK_AGAIN_SECONDS = 2.0

# Larger shards are divided: finer progress, less lost by a kill, an even load.
MOST_WORK = 3e10


@dataclass(frozen=True)
class Shard:
    """Models of one grid that train as one batch.

    Attributes:
        positions: of its models in the grid.
        specs: of its models.
    """

    grid: str
    positions: tuple[int, ...]
    specs: tuple[ModelSpec, ...]
    recipe: Recipe
    keep_trajectories: bool

    @property
    def name(self) -> str:
        """Family and shape, and a fingerprint of everything that decides the result."""
        first = self.specs[0]
        decides = {
            "version": BUILD_VERSION,
            "specs": [spec.to_dict() for spec in self.specs],
            "recipe": asdict(self.recipe),
            "trajectories": self.keep_trajectories,
        }
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return f"{first.family}-n{first.n_features}-m{first.n_hidden}-{digest[:12]}"

    @property
    def work(self) -> float:
        """A rough count of operations, for the progress bar and the order."""
        first = self.specs[0]
        budget = 8 if first.family == "linear" else self.recipe.budget
        each = budget * first.n_features * (first.n_hidden + 8)
        return float(self.recipe.steps * len(self.specs) * each) + 1e8

    def path(self, folder: Path) -> Path:
        return folder / self.grid / f"{self.name}.safetensors"


def shards_of(grid: Grid, recipe: Callable[[ModelSpec], Recipe] = recipe_for) -> list[Shard]:
    """The shards of a grid, in the order of their first models."""
    settings: dict[ModelSpec, list[int]] = {}
    for position, spec in enumerate(grid):
        settings.setdefault(spec.with_seed(0), []).append(position)
    shapes: dict[tuple[str, int, int], list[list[int]]] = {}
    for spec, positions in settings.items():
        key = (spec.family, spec.n_features, spec.n_hidden)
        shapes.setdefault(key, []).append(positions)

    def shard(groups: Sequence[Sequence[int]]) -> Shard:
        positions = tuple(p for group in groups for p in group)
        specs = tuple(grid.models[p] for p in positions)
        return Shard(grid.name, positions, specs, recipe(specs[0]), grid.keep_trajectories)

    shards = []
    for groups in shapes.values():
        parts = min(len(groups), math.ceil(shard(groups).work / MOST_WORK))
        for part in range(parts):
            bounds = [round(i * len(groups) / parts) for i in (part, part + 1)]
            shards.append(shard(groups[slice(*bounds)]))
    return shards


def train_shard(shard: Shard, device: str = "cpu") -> bytes:
    """Train a shard; returns its file.

    Runs in a worker: everything it needs is in its arguments.
    """
    torch.set_num_threads(1)
    problem = problem_of(shard.specs)
    keep = trajectory_steps(shard.recipe.steps) if shard.keep_trajectories else ()
    result = fit(problem, shard.recipe, device=device, keep_steps=keep)
    evaluation = evaluate(
        problem.family, result.parameters, problem.distributions, problem.importances
    )
    tensors = {f"parameters/{name}": values for name, values in result.parameters.items()}
    tensors["loss"] = evaluation.loss
    tensors["loss_standard_error"] = evaluation.standard_error
    if shard.specs[0].rare_ratio is not None:
        popular = problem.importances.copy()
        popular[:, -1] = 0.0
        tensors["popular_loss"] = evaluate(
            problem.family, result.parameters, problem.distributions, popular
        ).loss
    if keep:
        tensors |= _trajectories_of_the_best(shard.specs, evaluation.loss, result)
    return safetensors_bytes(tensors, {"loss_method": evaluation.method})


def problem_of(specs: Sequence[ModelSpec]) -> Problem:
    """The fitting problem of specs that share a family and a shape.

    Initial weights are a function of the setting and the seed, and not of the family:
    twins of two families start alike (but for what `initial_parameters` says of neurons).
    """
    first = specs[0]
    return Problem(
        first.family,
        first.n_features,
        first.n_hidden,
        tuple(spec.distribution for spec in specs),
        np.array([spec.importances for spec in specs]),
        tuple(zlib.crc32(f"{spec.setting}/s{spec.seed:02d}".encode()) for spec in specs),
    )


def trajectory_steps(steps: int, frames: int = TRAJECTORY_FRAMES) -> tuple[int, ...]:
    """Steps from 0 to `steps`, close together at first, when most happens."""
    spaced = np.expm1(np.linspace(0, np.log1p(steps), 4 * frames)).round().astype(int)
    distinct = np.unique(spaced)
    chosen = np.linspace(0, len(distinct) - 1, min(frames, len(distinct))).round().astype(int)
    return tuple(int(s) for s in distinct[chosen])


def build(
    out: str | os.PathLike[str],
    grids: Iterable[Grid] | None = None,
    *,
    workers: int | Workers | None = None,
    device: str = "cpu",
    recipe: Callable[[ModelSpec], Recipe] = recipe_for,
    progress: Callable[[float, float, str], None] | None = None,
) -> None:
    """Train and write grids into the zoo at `out`; other grids there are left alone.

    Args:
        grids: all declared ones if None.
        workers: how many processes, or where else; the number of processors if None; 1 trains
            in this process.
        progress: called with (work done, work in all, what was finished last).

    Raises:
        RuntimeError: if a shard fails, which it names, or if the workers are lost. What was
            finished before is kept.
    """
    folder = Path(out)
    shard_folder = folder / SHARDS
    chosen = tuple(GRIDS.values() if grids is None else grids)
    shards = [shard for grid in chosen for shard in shards_of(grid, recipe)]
    total = sum(shard.work for shard in shards)
    finished = {shard for shard in shards if _is_sound(shard, shard_folder)}
    done = sum(shard.work for shard in finished)
    entries: list[GridEntry] = []
    order = tuple(dict.fromkeys((*GRIDS, *(grid.name for grid in chosen))))
    report = progress or (lambda done, total, what: None)
    report(done, total, f"{len(finished)} of {len(shards)} shards were there already")

    missing = Counter(shard.grid for shard in shards if shard not in finished)

    def write_complete_grids() -> None:
        written = {entry.grid.name for entry in entries}
        for grid in chosen:
            if grid.name not in written and not missing[grid.name]:
                own = [shard for shard in shards if shard.grid == grid.name]
                entries.append(write_grid(folder, grid, _gather(grid, own, shard_folder)))
                write_manifest(folder, entries, order=order)

    write_complete_grids()
    waiting = sorted((s for s in shards if s not in finished), key=lambda s: -s.work)

    def nobody() -> None:
        report(done, total, "no worker is there")

    team = workers if isinstance(workers, Workers) else _this_machine(workers, len(waiting))
    try:
        for shard, data in _train_all(waiting, shard_folder, device, team, nobody):
            write_atomically(shard.path(shard_folder), data)
            missing[shard.grid] -= 1
            done += shard.work
            report(done, total, f"{shard.grid}/{shard.name.rsplit('-', 1)[0]}")
            write_complete_grids()
    finally:
        if team is not workers:
            team.shutdown(wait=False, cancel_futures=True)
    shutil.rmtree(shard_folder, ignore_errors=True)
    report(done, total, "the model card")
    write_card(folder)


def _this_machine(workers: int | None, shards: int) -> Workers:
    count = min(workers or os.cpu_count() or 1, max(shards, 1))
    return ThisProcess() if count == 1 else Processes(count)


def _train_all(
    shards: Sequence[Shard],
    folder: Path,
    device: str,
    workers: Workers,
    nobody: Callable[[], None],
) -> Iterator[tuple[Shard, bytes]]:
    """Yield shards, and their files for `folder`, as they are finished.

    Calls `nobody` time and again while no worker is there.
    """
    to_continue = f"finished shards are kept in {folder}, run the same command to continue"
    waiting = deque(shards)
    running: dict[Future[bytes], Shard] = {}
    while waiting or running:
        slots = workers.slots()
        if slots == 0:
            nobody()
        while waiting and len(running) < max(slots, 1):
            shard = waiting.popleft()
            running[workers.submit(train_shard, shard, device)] = shard
        ready, _ = wait(running, timeout=LOOK_AGAIN_SECONDS, return_when=FIRST_COMPLETED)
        for future in ready:
            shard = running.pop(future)
            try:
                data = future.result()
            except CancelledError:
                raise RuntimeError(f"{workers.lost}; {to_continue}") from None
            except Exception as error:
                raise RuntimeError(
                    f"training {shard.grid}/{shard.name} failed: {error}; {to_continue}"
                ) from error
            yield shard, data


def _is_sound(shard: Shard, folder: Path) -> bool:
    """Whether the shard's file is there and whole."""
    path = shard.path(folder)
    if not path.exists():
        return False
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError):
        return False
    return len(tensors.get("loss", ())) == len(shard.specs)


def _gather(grid: Grid, shards: Sequence[Shard], folder: Path) -> list[Result]:
    """The results of a grid's shards, in the order of the grid's models."""
    results: dict[int, Result] = {}
    for shard in shards:
        path = shard.path(folder)
        tensors = load_file(path)
        method = _metadata(path)["loss_method"]
        kept = {int(row): index for index, row in enumerate(tensors.get("kept", ()))}
        for row, position in enumerate(shard.positions):
            trajectory = None
            if row in kept:
                trajectory = Trajectory(
                    tensors["steps"],
                    tensors["trajectory_losses"][kept[row]],
                    {
                        name.removeprefix("trajectory/"): values[kept[row]]
                        for name, values in tensors.items()
                        if name.startswith("trajectory/")
                    },
                )
            popular = tensors.get("popular_loss")
            results[position] = Result(
                parameters={
                    name.removeprefix("parameters/"): values[row]
                    for name, values in tensors.items()
                    if name.startswith("parameters/")
                },
                loss=float(tensors["loss"][row]),
                loss_method=method,
                loss_standard_error=float(tensors["loss_standard_error"][row]),
                popular_loss=None if popular is None else float(popular[row]),
                trajectory=trajectory,
            )
    return [results[position] for position in range(len(grid))]


def _metadata(path: Path) -> Mapping[str, str]:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, dict[str, str]] = json.loads(file.read(length))
    return header["__metadata__"]


def _trajectories_of_the_best(
    specs: Sequence[ModelSpec], loss: np.ndarray, result: FitResult
) -> dict[str, np.ndarray]:
    """The kept weights of the best seed of each setting, and which rows those are."""
    best: dict[ModelSpec, int] = {}
    for row, spec in enumerate(specs):
        setting = spec.with_seed(0)
        if setting not in best or loss[row] < loss[best[setting]]:
            best[setting] = row
    rows = np.array(sorted(best.values()), dtype=np.int64)
    tensors = {
        f"trajectory/{name}": values[rows] for name, values in result.kept_parameters.items()
    }
    return tensors | {
        "kept": rows,
        "steps": result.kept_steps,
        "trajectory_losses": result.kept_losses[rows],
    }
