"""The model card: the README of the zoo's folder, written from the manifest alone."""

from __future__ import annotations

import math
from typing import Any

from zoo.format import TRAJECTORIES, GridEntry, Manifest, grid_file

_HEADER = """\
---
license: mit
library_name: pytorch
tags:
- superposition
- toy-models
- mechanistic-interpretability
- interpretability
- safetensors
---
"""

_INTRODUCTION = """
# Superposition zoo {version}

{models:,} trained toy models of superposition in {grids} grids, {size}. Each model passes
n sparse features through m hidden dimensions; the grids vary how many of each there are,
how often a feature is active (its *density* p, the chance that it is not 0), how much it
counts in the loss (its *importance*), and the random seed. The setting is that of
"Toy Models of Superposition" (Elhage et al., 2022).

| grid | models | families | n × m | densities | seeds | trajectories | question |
| --- | ---: | --- | --- | --- | --- | --- | --- |
"""

_USE = """
## Load one model

With the zoo's code, which checks every file against `zoo.json`:

```python
from zoo import Zoo

zoo = Zoo.open("path/to/this/folder")
model = zoo.model("{example}")
model.parameters["{tensor}"]  # {shape}
```

Without it, from the files alone; only this model's numbers are read:

```python
import pandas as pd
from safetensors import safe_open

index = pd.read_parquet("grids/{grid}/index.parquet").set_index("model_id")
row = index.loc["{example}"]
with safe_open("grids/{grid}/weights.safetensors", framework="numpy") as file:
    {tensor} = file.get_slice(f"{{row['stack']}}/{tensor}")[int(row["row"])]
```

## What is in the folder

- `zoo.json`: format and version, and for each grid its files with their SHA-256 and the full
  specification of every model: family, sizes, the data it was trained on, importances, seeds.
- `grids/<grid>/index.parquet`: a row per model: the specification, the expected loss and how it
  was computed (`exact`, `quadrature` over every active set, or `stratified` sampling with its
  standard error), and measures of the geometry.
- `grids/<grid>/weights.safetensors`: float32 tensors `<family>/n<n>-m<m>/<name>`, stacked over the
  models of one shape; the columns `stack` and `row` of the index say where a model lies.
- `grids/<grid>/trajectories.safetensors`, where a grid keeps them: the same with a leading
  axis of training `steps`, at `trajectory_row`.

| family | computes | tensors |
| --- | --- | --- |
| `linear` | y' = WᵀWx + b | `W` (m, n), `b` (n,) |
| `relu-output` | y' = ReLU(WᵀWx + b) | `W` (m, n), `b` (n,) |
| `relu-hidden` | y' = ReLU(Wᵀ ReLU(Wx) + b) | `W` (m, n), `b` (n,) |
| `absolute-value` | y' = ReLU(W_out ReLU(W_in x) + b) | `W_in` (m, n), `W_out` (n, m), `b` (n,) |

The loss is E Σ_i I_i (y_i − y'_i)², with I_i = `importance_decay` to the power i, counted
from 0; the target y is x itself, and abs(x) for `absolute-value`. A feature is 0 with
probability 1 − p, else uniform on [0, 1] ([−1, 1] for `absolute-value`), independently of the
others unless the specification says otherwise: with `set_size` above 1, consecutive features
form sets whose members tend to be active together (`correlation` above 0) or apart (below 0);
with `rare_ratio`, the last feature has that share of the density of the others.

## Before you use them

- Training ends in local minima. Seeds of one setting differ, and `best_of_seeds` marks the lowest
  loss among them, which need not be the lowest there is.
- Measures are of the encoder, `W` or `W_in`. A feature counts as represented when its norm is
  above 0.5. `features_per_dimension` is ‖W‖²_F / m: a sum of squared norms, which can exceed
  n / m, because norms exceed 1 when features are sparse.
- With equal importance, and dense data or no ReLU, any m-dimensional subspace is as good as
  another, and the count of represented features says little.
- Hidden space of `linear` and `relu-output` has no preferred basis: `alignment` and `kurtosis`
  are then properties of the optimiser. Compare them with random rotations.
- In `absolute-value`, a row of `W_in` times a positive number and the column of `W_out` divided by
  it make the same function, so norms and angles of `W_in` depend on that scale.
"""


def model_card(manifest: Manifest) -> str:
    """The text of the card: a metadata header, the grids, how to load a model."""
    entries = list(manifest.grids.values())
    total = sum(entry.models for entry in entries)
    text = _HEADER + _INTRODUCTION.format(
        version=manifest.version,
        models=total,
        grids=len(entries),
        size=file_size(sum(entry.bytes for entry in entries)),
    )
    text += "".join(f"| {' | '.join(_row(entry))} |\n" for entry in entries)
    if entries:
        grid = entries[0].grid
        spec = grid.models[0]
        shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
        tensor = next(iter(shapes))
        text += _USE.format(
            example=spec.model_id(grid.name), grid=grid.name, tensor=tensor, shape=shapes[tensor]
        )
    return text


def _row(entry: GridEntry) -> list[str]:
    facts = grid_facts(entry)
    return [
        f"`{facts['grid']}`",
        f"{facts['models']:,}",
        ", ".join(facts["families"]),
        shortened(facts["sizes"]),
        shortened([f"{p:g}" for p in facts["densities"]], " to "),
        facts["seeds"],
        "kept" if facts["trajectories"] else "",
        facts["question"].replace("|", "\\|"),
    ]


def grid_facts(entry: GridEntry) -> dict[str, Any]:
    """What a list of grids shows of one, as plain values."""
    specs = entry.grid.models
    sizes = sorted({(spec.n_features, spec.n_hidden) for spec in specs})
    seeds: dict[object, int] = {}
    for spec in specs:
        setting = spec.with_seed(0)
        seeds[setting] = seeds.get(setting, 0) + 1
    fewest, most = min(seeds.values()), max(seeds.values())
    return {
        "grid": entry.grid.name,
        "question": entry.grid.question,
        "models": entry.models,
        "families": list(dict.fromkeys(spec.family for spec in specs)),
        "sizes": [f"{n} × {m}" for n, m in sizes],
        "densities": sorted({spec.density for spec in specs}, reverse=True),
        "seeds": str(most) if fewest == most else f"{fewest} to {most}",
        "trajectories": grid_file(entry.grid.name, TRAJECTORIES) in entry.files,
        "bytes": entry.bytes,
    }


def shortened(values: list[str], between: str = " … ", most: int = 3) -> str:
    """All of a few values, or the first, the last and how many there are."""
    if len(values) <= most:
        return ", ".join(values)
    return f"{values[0]}{between}{values[-1]} ({len(values)})"


def file_size(count: int) -> str:
    """`count` bytes for people: 12.3 MB, 4 kB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{math.ceil(count / 1e3)} kB"
