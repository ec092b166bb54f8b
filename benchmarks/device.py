"""What a GPU gives: the same training on one core and on a device, on the same machine.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python -m benchmarks.device [--device cuda]
        [--largest N] [--json FILE]

Two tables. The first is a step of one model, by how many train as one batch, with the nodes drawn
beforehand. The second is shards of the embedded zoo, trained whole on either: where the seconds
go, and whether the losses come out the same. A device is asked to finish before a clock is read;
the clock is the wall's, so run it on a machine that nobody else uses. `docs/scaling.md` quotes it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.scaling import on_one_core, print_table, representative, three, timed_nodes
from training.build import Shard, problem_of, shards_of
from training.evaluate import evaluate
from training.fit import Recipe, Trainer, fit
from training.grids import GRIDS
from zoo.specs import ModelSpec

SHAPES = ((5, 2), (20, 5), (80, 20))
BATCHES = (1, 64, 1024, 16_384, 262_144)
MOST_FEATURES = 1_400_000
"""Features of all models of a batch together, at most: a device of 80 GB has room for those."""
MOST_ON_A_CORE = 1024
STEPS = 10
SHARDS = (
    ("bottleneck-5x2", "relu-output"),
    ("sizes", "relu-output"),
    ("relu-hidden-10x5", "relu-hidden"),
    ("bottleneck-80x20", "relu-output"),
)
SAME = 1e-3


def finished(device: str) -> None:
    """Wait until the device has done all it was asked for."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def seconds_of(action: Callable[[], Any], device: str) -> float:
    """Seconds on the wall of a call, to the end of what it asks of the device."""
    finished(device)
    start = time.perf_counter()
    action()
    finished(device)
    return time.perf_counter() - start


def step_of(shape: tuple[int, int], batch: int, device: str) -> float:
    """Seconds of a step of a batch, the median of several, after two that are not counted."""
    n_features, n_hidden = shape
    specs = [
        ModelSpec("relu-output", n_features, n_hidden, 0.1, 0.9, seed) for seed in range(batch)
    ]
    recipe = Recipe(steps=10_000, budget=1024, resample_every=10_000)
    trainer = Trainer(problem_of(specs), recipe, device=device)
    times = [seconds_of(trainer.step, device) for _ in range(STEPS + 2)]
    return statistics.median(times[2:])


def steps(device: str, largest: int) -> list[dict[str, Any]]:
    """Seconds of a step for each model on a core and on the device, by shape and batch."""
    rows = []
    for shape in SHAPES:
        for batch in BATCHES:
            if batch > largest or batch * shape[0] > MOST_FEATURES:
                continue
            row: dict[str, Any] = {"shape": f"{shape[0]} × {shape[1]}", "batch": batch}
            if batch <= MOST_ON_A_CORE:
                row["core"] = step_of(shape, batch, "cpu") / batch
            row["device"] = step_of(shape, batch, device) / batch
            rows.append(row)
    return rows


def train(shard: Shard, device: str) -> tuple[dict[str, float], np.ndarray]:
    """Seconds of a shard's nodes, steps and stored losses, and those losses."""
    problem = problem_of(shard.specs)
    with timed_nodes(time.perf_counter) as drawing:
        start = time.perf_counter()
        result = fit(problem, shard.recipe, device=device)
        fitted = time.perf_counter()
    found = evaluate(problem.family, result.parameters, problem.distributions, problem.importances)
    done = time.perf_counter()
    nodes = sum(drawing)
    return {
        "nodes": nodes,
        "steps": fitted - start - nodes,
        "stored loss": done - fitted,
    }, found.loss


def shards(device: str) -> list[dict[str, Any]]:
    """One shard of each kind, on a core and on the device."""
    rows = []
    for name, family in SHARDS:
        own = [s for s in shards_of(GRIDS[name]) if s.specs[0].family == family]
        of_shapes = representative(own)
        shard = of_shapes[len(of_shapes) // 2]
        first = shard.specs[0]
        on_core, core_losses = train(shard, "cpu")
        on_device, device_losses = train(shard, device)
        apart = np.abs(device_losses / core_losses - 1)
        rows.append(
            {
                "grid": name,
                "family": family,
                "shape": f"{first.n_features} × {first.n_hidden}",
                "models": len(shard.specs),
                "core": on_core,
                "device": on_device,
                "same": int((apart <= SAME).sum()),
                "median_apart": float(np.median(apart)),
                "mean_ratio": float(device_losses.mean() / core_losses.mean()),
            }
        )
    return rows


def print_steps(rows: Sequence[dict[str, Any]]) -> None:
    """The table of steps."""
    print("a step of one model, µs, by how many train as one batch:")
    print_table(
        ["shape", "batch", "one core", "device"],
        [
            [
                row["shape"],
                f"{row['batch']:,}",
                three(1e6 * row["core"]) if "core" in row else "–",
                three(1e6 * row["device"]),
            ]
            for row in rows
        ],
    )


def print_shards(rows: Sequence[dict[str, Any]]) -> None:
    """The table of shards, two lines each."""
    parts = ("nodes", "steps", "stored loss")
    cells = []
    for row in rows:
        core, device = ([three(row[on][part]) for part in parts] for on in ("core", "device"))
        same = f"{row['same']} of {row['models']}"
        losses = [same, f"{row['median_apart']:.1e}", f"{row['mean_ratio']:.4f}×"]
        cells.append([row["grid"], row["shape"], str(row["models"]), "core", *core, "", "", ""])
        cells.append(["", "", "", "device", *device, *losses])
    print(f"shards, seconds; their stored losses: agreement to {SAME:g}, median distance, means:")
    header = ["grid", "shape", "models", "on", *parts, "agree", "apart", "means"]
    print_table(header, cells)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both parts, and print them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.device", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("--device", default="cuda", help="cuda (default), or any of PyTorch's")
    parser.add_argument("--largest", type=int, default=max(BATCHES), help="models of a batch")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("PyTorch sees no CUDA device; --device cpu compares a core with itself")
    on_one_core(parser)
    name = options.device
    if name.startswith("cuda"):
        name = torch.cuda.get_device_name(name)
    print(f"device: {name}; PyTorch {torch.__version__}")

    by_batch = steps(options.device, options.largest)
    print_steps(by_batch)
    print()
    by_shard = shards(options.device)
    print_shards(by_shard)
    if options.json:
        results = {"device": name, "steps": by_batch, "shards": by_shard}
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
