"""What a model costs, in core-seconds and bytes, and what each part of a zoo does as it grows.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python -m benchmarks.scaling
        [--only training batches bytes today growth] [--rows N ...] [--json FILE]

Everything that is timed is timed in seconds of processor time, so that other people's load on
the machine does not count as ours (it still slows memory and caches a little). `docs/scaling.md`
quotes what this prints. Memory is read from Linux's /proc. All of it takes about twenty minutes
of one core and 6 GB of memory; `--only` and `--rows` make it shorter.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open

import training.fit
from training.build import Shard, problem_of, shards_of, trajectory_steps
from training.evaluate import evaluate
from training.fit import Recipe, fit
from training.grids import GRIDS
from zoo import Zoo
from zoo.format import INDEX, MANIFEST, WEIGHTS, grid_file, safetensors_bytes
from zoo.records import Result
from zoo.specs import Grid, ModelSpec
from zoo.writer import write_grid, write_manifest

ROOT = Path(__file__).parents[1]
MODELS = 10_000_000
ROWS = (10_000, 100_000, 1_000_000)
SHARDS_OF_SIZES = 5
SEEDS = 16
ROW_GROUP = 10_000


# Training


def representative(shards: Sequence[Shard]) -> list[Shard]:
    """Of shards of one grid and family: one of each shape, or a few where shapes are many."""
    by_work = sorted(shards, key=lambda shard: shard.work)
    shapes = {(s.specs[0].n_features, s.specs[0].n_hidden): s for s in by_work}
    if len(shapes) <= SHARDS_OF_SIZES:
        return list(shapes.values())
    places = np.linspace(0, len(by_work) - 1, 2 * SHARDS_OF_SIZES + 1)[1::2]
    return [by_work[round(place)] for place in places]


@contextmanager
def timed_nodes(clock: Callable[[], float] = time.process_time) -> Iterator[list[float]]:
    """Meanwhile, the seconds that go into drawing nodes are gathered in the list."""
    spent: list[float] = []
    draw = training.fit.expectation_nodes

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = clock()
        nodes = draw(*args, **kwargs)
        spent.append(clock() - start)
        return nodes

    training.fit.expectation_nodes = timed
    try:
        yield spent
    finally:
        training.fit.expectation_nodes = draw


def train(shard: Shard) -> dict[str, float]:
    """Seconds of a shard: drawing nodes, the rest of its fit, the stored loss."""
    problem = problem_of(shard.specs)
    keep = trajectory_steps(shard.recipe.steps) if shard.keep_trajectories else ()
    with timed_nodes() as drawing:
        start = time.process_time()
        result = fit(problem, shard.recipe, keep_steps=keep)
        fitted = time.process_time()
    evaluate(problem.family, result.parameters, problem.distributions, problem.importances)
    done = time.process_time()
    nodes = sum(drawing)
    return {"nodes": nodes, "steps": fitted - start - nodes, "evaluation": done - fitted}


def training_costs() -> list[dict[str, Any]]:
    """Per grid and family: core-seconds of all its models, from representative shards.

    The shards that were not timed are put at the same seconds for each unit of the builder's
    own estimate of work.
    """
    rows = []
    for name, grid in GRIDS.items():
        shards = shards_of(grid)
        for family in dict.fromkeys(shard.specs[0].family for shard in shards):
            own = [shard for shard in shards if shard.specs[0].family == family]
            chosen = representative(own)
            parts: dict[str, float] = {"nodes": 0.0, "steps": 0.0, "evaluation": 0.0}
            each = []
            for shard in chosen:
                seconds = train(shard)
                parts = {part: parts[part] + value for part, value in seconds.items()}
                first = shard.specs[0]
                each.append(
                    {
                        "shape": f"{first.n_features} × {first.n_hidden}",
                        "models": len(shard.specs),
                        "seconds": sum(seconds.values()),
                    }
                )
            scale = sum(shard.work for shard in own) / sum(shard.work for shard in chosen)
            rows.append(
                {
                    "grid": name,
                    "family": family,
                    "models": sum(len(shard.specs) for shard in own),
                    "shards": len(own),
                    "timed": each,
                    **{part: value * scale for part, value in parts.items()},
                }
            )
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return rows


def print_training(rows: Sequence[dict[str, Any]]) -> None:
    """The table of training, and what it comes to."""

    def line(name: str, family: str, group: Sequence[dict[str, Any]], timed: str) -> list[str]:
        models = sum(row["models"] for row in group)
        parts = [sum(row[part] for row in group) for part in ("nodes", "steps", "evaluation")]
        total = sum(parts)
        shares = [f"{100 * part / total:.0f} %" for part in parts]
        return [name, family, f"{models:,}", timed, three(1000 * total / models), *shares]

    header = ["grid", "family", "models", "timed", "ms/model", "nodes", "steps", "stored loss"]
    cells = []
    for row in rows:
        timed = f"{len(row['timed'])} of {row['shards']} shards"
        cells.append(line(row["grid"], row["family"], [row], timed))
    cells.append(line("all", "", rows, ""))
    print("training, milliseconds of one core for each model, and what they go into:")
    print_table(header, cells)
    seconds = sum(row[part] for row in rows for part in ("nodes", "steps", "evaluation"))
    mean = seconds / sum(row["models"] for row in rows)
    print(
        f"the whole zoo: {seconds / 60:.0f} core-minutes; {MODELS:,} models in the same "
        f"proportions: {MODELS * mean / 3600:,.0f} core-hours"
    )
    each = [
        1000 * (row["nodes"] + row["steps"] + row["evaluation"]) / row["models"] for row in rows
    ]
    low, high = (MODELS * value / 3.6e6 for value in (min(each), max(each)))
    print(f"{MODELS:,} of the cheapest row: {low:,.0f}; of the dearest: {high:,.0f} core-hours")
    rest = sum(row["nodes"] + row["evaluation"] for row in rows) / seconds
    print(
        f"were the steps free, {100 * rest:.0f} % would remain: {1 / rest:.2g} times faster at most"
    )


def batch_costs() -> list[dict[str, float]]:
    """Seconds of a step for each model, by how many train together (5 × 2, relu-output)."""
    rows = []
    recipe = Recipe(steps=200, budget=1024)
    for batch in (1, 4, 16, 64, 256, 1024):
        specs = [ModelSpec("relu-output", 5, 2, 0.1, 0.9, seed) for seed in range(batch)]
        start = time.process_time()
        fit(problem_of(specs), recipe)
        seconds = time.process_time() - start
        rows.append({"batch": batch, "microseconds": 1e6 * seconds / recipe.steps / batch})
    return rows


def print_batches(rows: Sequence[dict[str, float]]) -> None:
    """The table of batches."""
    print("a step of one 5 × 2 model, by how many train as one batch:")
    print_table(
        ["batch", "µs/model"], [[str(row["batch"]), three(row["microseconds"])] for row in rows]
    )


# Bytes


def bytes_of_today() -> list[dict[str, Any]]:
    """Per grid of the embedded zoo: bytes of each of its files, and of its specs."""
    zoo = Zoo.open()
    entries = json.loads((zoo.folder / MANIFEST).read_text(encoding="utf-8"))["grids"]
    rows = []
    for name in zoo.grids:
        files = {
            Path(path).name: entry.bytes for path, entry in zoo.manifest.grids[name].files.items()
        }
        lines = json.dumps(entries[name], ensure_ascii=False)
        with open(zoo.folder / grid_file(name, WEIGHTS), "rb") as file:
            header = int.from_bytes(file.read(8), "little")
        rows.append(
            {
                "grid": name,
                "models": len(zoo.grid(name)),
                "weights": files[WEIGHTS],
                "header": header,
                "index": files[INDEX],
                "trajectories": files.get("trajectories.safetensors", 0),
                "manifest": len(lines.encode()),
            }
        )
    return rows


def print_bytes(rows: Sequence[dict[str, Any]]) -> None:
    """The table of bytes for each model."""
    parts = ("weights", "index", "trajectories", "manifest")

    def line(name: str, group: Sequence[dict[str, Any]]) -> list[str]:
        models = sum(row["models"] for row in group)
        each = [sum(row[part] for row in group) / models for part in parts]
        return [name, f"{models:,}", *(f"{value:,.0f}" for value in (*each, sum(each)))]

    print("bytes for each model of the embedded zoo:")
    cells = [line(row["grid"], [row]) for row in rows]
    print_table(["grid", "models", *parts, "all"], [*cells, line("all", rows)])
    models = sum(row["models"] for row in rows)
    total = sum(row[part] for row in rows for part in parts)
    longest = max(row["header"] for row in rows)
    print(
        f"{MODELS:,} models in the same proportions: {MODELS * total / models / 1e9:.2g} GB; "
        f"longest header of a file of weights: {longest:,} bytes"
    )


# Reading


def median_of(action: Callable[[], Any], repeats: int = 5) -> float:
    """Median seconds of processor time of a call."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return statistics.median(times)


# Runs in a process of its own, so that its memory is its own.
FRESH = """
import sys, time
from zoo import Zoo, format
# A zoo from anyone is held to these bounds; here they are in the way.
format.LARGEST_MANIFEST = format.MOST_CONTAINERS = format.MOST_MODELS = 10**9
def peak():  # resident, in megabytes; of this process alone, which getrusage is not
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
before, start = peak(), time.process_time()
zoo = Zoo.open(sys.argv[1] or None)
opened = time.process_time()
table = zoo.table
read = time.process_time()
model_id = table["model_id"].iloc[len(table) // 2]
third = time.process_time()
zoo.model(model_id)
first = time.process_time()
zoo.model(model_id)
second = time.process_time()
grid = zoo.grid(model_id.partition("/")[0])
grid.select(family="relu-output", density=0.1)
selected = time.process_time()
print(opened - start, read - opened, first - third, second - first, selected - second,
      peak() - before)
"""
FRESH_NAMES = ("open", "table", "first model", "next model", "select", "megabytes")


def read_afresh(folder: Path | None) -> dict[str, float]:
    """Open a zoo, read its whole table, one model twice, and filter, in a fresh process."""
    command = [sys.executable, "-c", FRESH, str(folder or "")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return dict(zip(FRESH_NAMES, map(float, done.stdout.split()), strict=True))


def print_reading(rows: Sequence[dict[str, Any]]) -> None:
    """The table of a reader's waiting."""
    print("a fresh process, its bounds lifted: milliseconds of one core, and the memory it gained")
    cells = []
    for row in rows:
        times = [three(1000 * row[name]) for name in FRESH_NAMES[:-1]]
        cells.append([row["zoo"], f"{row['models']:,}", *times, f"{row['megabytes']:,.0f} MB"])
    print_table(["zoo", "models", *FRESH_NAMES[:-1], "memory"], cells)


# Growth


def synthetic(models: int) -> Grid:
    """A grid of 5 × 2 models as large as asked for, sixteen seeds of each setting."""
    decays = tuple(round(0.5 + 0.02 * i, 2) for i in range(25))
    count = models // (SEEDS * len(decays))
    densities = [float(f"{value:.6g}") for value in np.geomspace(1, 0.001, count - 1)]
    densities.append(0.10000001)  # so that `select(density=0.1)` finds some
    return Grid(
        "synthetic",
        "How does a zoo grow?",
        tuple(
            ModelSpec("relu-output", 5, 2, density, decay, seed)
            for density in densities
            for decay in decays
            for seed in range(SEEDS)
        ),
    )


def grow(models: int, folder: Path) -> dict[str, Any]:
    """Write a zoo of random weights as the builder does, and read it in several ways."""
    rng = np.random.default_rng(0)
    grid = synthetic(models)
    W = rng.standard_normal((len(grid), 2, 5), dtype=np.float32)
    b = rng.standard_normal((len(grid), 5), dtype=np.float32)
    losses = rng.random(len(grid))
    results = [
        Result({"W": W[i], "b": b[i]}, float(losses[i]), "quadrature") for i in range(len(grid))
    ]
    start = time.process_time()
    write_manifest(folder, [write_grid(folder, grid, results)])
    row: dict[str, Any] = {
        "zoo": "synthetic",
        "models": len(grid),
        "write": time.process_time() - start,
        **{
            name: (folder / path).stat().st_size
            for name, path in (
                ("manifest_bytes", MANIFEST),
                ("index_bytes", grid_file(grid.name, INDEX)),
                ("weights_bytes", grid_file(grid.name, WEIGHTS)),
            )
        },
    }
    wanted = grid.models[len(grid) // 2]
    row["index"] = read_index(
        folder / grid_file(grid.name, INDEX), folder / "parts.parquet", wanted
    )
    del grid, results, W, b
    row |= read_afresh(folder)
    return row


def read_index(path: Path, other: Path, wanted: ModelSpec) -> dict[str, float]:
    """Ways to get at the index: all of it, some columns, one setting, one setting by statistics.

    `other` becomes the same table in row groups with statistics.
    """
    table = pq.read_table(path)
    pq.write_table(table, other, compression="zstd", row_group_size=ROW_GROUP, store_schema=False)
    setting = [
        ("importance_decay", "==", wanted.importance_decay),
        ("density", "==", wanted.density),
    ]
    few = ["model_id", "density", "loss", "best_of_seeds"]
    return {
        "bytes": path.stat().st_size,
        "bytes_in_groups": other.stat().st_size,
        "footer": pq.read_metadata(other).serialized_size,
        "all": median_of(lambda: pq.read_table(path).to_pandas(), 3),
        "columns": median_of(lambda: pq.read_table(path, columns=few).to_pandas(), 3),
        "setting": median_of(lambda: pq.read_table(path, columns=few, filters=setting), 3),
        "setting_in_groups": median_of(
            lambda: pq.read_table(other, columns=few, filters=setting), 3
        ),
    }


def read_header(models: int, path: Path) -> dict[str, Any]:
    """A file with a tensor for each model, in place of one stack of them."""
    names = [f"synthetic/relu-output/n5-m2-p0.1-i0.9/s{i:07d}" for i in range(models)]
    value = np.zeros((2, 5), dtype=np.float32)
    try:
        data = safetensors_bytes(dict.fromkeys(names, value))
    except SafetensorError as error:
        return {"models": models, "refused": str(error)}
    path.write_bytes(data)

    def read() -> None:
        with safe_open(path, "numpy") as file:
            file.get_tensor(names[-1])

    header = int.from_bytes(data[:8], "little")
    return {"models": models, "header": header, "seconds": median_of(read, 3)}


def growth(rows: Sequence[int]) -> dict[str, Any]:
    """Zoos and headers of each size, and the speed of a hash."""
    grown, headers = [], []
    for models in rows:
        with tempfile.TemporaryDirectory() as folder:
            grown.append(grow(models, Path(folder)))
            headers.append(read_header(models, Path(folder) / "each.safetensors"))
        print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    data = bytes(2**26)
    hashing = median_of(lambda: hashlib.sha256(data).digest()) / len(data)
    return {"zoos": grown, "headers": headers, "hash_seconds_per_gigabyte": hashing * 1e9}


def print_growth(result: dict[str, Any]) -> None:
    """The tables of growth."""
    zoos = result["zoos"]
    print_reading(zoos)
    print("\nwriting it, and the sizes of its files:")
    print_table(
        ["models", "write, µs/model", "zoo.json", "index", "weights"],
        [
            [
                f"{row['models']:,}",
                three(1e6 * row["write"] / row["models"]),
                *(megabytes(row[f"{name}_bytes"]) for name in ("manifest", "index", "weights")),
            ]
            for row in zoos
        ],
    )
    print(
        "\nthe index, milliseconds: all of it; four columns; those of one setting, "
        f"{SEEDS} models; the same from row groups of {ROW_GROUP:,} with statistics"
    )
    ways = ("all", "columns", "setting", "setting_in_groups")
    print_table(
        ["models", "all", "columns", "setting", "by groups", "size", "in groups", "footer"],
        [
            [
                f"{row['models']:,}",
                *(three(1000 * row["index"][way]) for way in ways),
                megabytes(row["index"]["bytes"]),
                megabytes(row["index"]["bytes_in_groups"]),
                megabytes(row["index"]["footer"]),
            ]
            for row in zoos
        ],
    )
    print("\na tensor for each model, in place of one stack: its header, and one tensor of it:")
    print_table(
        ["models", "header", "one tensor"],
        [
            [
                f"{row['models']:,}",
                row.get("refused") or megabytes(row["header"]),
                "–" if "refused" in row else f"{three(1000 * row['seconds'])} ms",
            ]
            for row in result["headers"]
        ],
    )
    print(f"SHA-256: {result['hash_seconds_per_gigabyte']:.2g} s for each gigabyte")


def on_one_core(parser: argparse.ArgumentParser) -> None:
    """Have every library use one thread. Where it is too late to say so, end with how to."""
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    if any(os.environ.get(name) != "1" for name in threads):
        parser.error(
            "this is measured on one core, and there may be several threads; run it as\n  "
            + " ".join(f"{name}=1" for name in threads)
            + f" {parser.prog}"
        )
    torch.set_num_threads(1)


def megabytes(count: float) -> str:
    """A cell of a table."""
    return f"{three(count / 1e6)} MB"


def three(value: float) -> str:
    """Three significant digits, written out."""
    return f"{float(f'{value:.3g}'):,g}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(len(line[c]) for line in (header, *rows)) for c in range(len(header))]
    for line in (header, ["-" * width for width in widths], *rows):
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts asked for, and print them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=(__doc__ or "").split("\n", 1)[0]
    )
    parts = ("bytes", "today", "growth", "batches", "training")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="some of the parts")
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS, help="sizes for `growth`")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(arguments)
    on_one_core(parser)

    results: dict[str, Any] = {}
    for part in options.only:
        if part == "bytes":
            results[part] = bytes_of_today()
            print_bytes(results[part])
        elif part == "today":
            runs = [read_afresh(None) for _ in range(5)]
            middle = {name: statistics.median(run[name] for run in runs) for name in FRESH_NAMES}
            results[part] = {"zoo": "embedded", "models": len(Zoo.open()), **middle}
            print_reading([results[part]])
        elif part == "growth":
            results[part] = growth(options.rows)
            print_growth(results[part])
        elif part == "batches":
            results[part] = batch_costs()
            print_batches(results[part])
        else:
            results[part] = training_costs()
            print_training(results[part])
        print(flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
