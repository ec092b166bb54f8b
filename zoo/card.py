"""The model card: the README of the zoo's folder, written from the zoo itself.

The manifest gives everything but the claims, which are measured on the weights. A build ends
with a full card; until then, the folder has the card of its manifest, without claims.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from superposition.claims import CAVEAT, FAILS, HOLDS, Claim
from zoo.format import (
    CARD,
    TRAJECTORIES,
    WEIGHTS,
    GridEntry,
    Manifest,
    grid_file,
    stack_name,
    tag_of,
    write_atomically,
)
from zoo.reading import Zoo
from zoo.specs import ModelSpec

# Stands for the repository until the card is uploaded to one.
NO_REPO = "OWNER/NAME"

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

With nothing but the Hub's command line, `safetensors` and NumPy; only this model's numbers are
read. This one is `{example}`:

```bash
hf download {repo} {weights} --revision {tag} --local-dir zoo
```

```python
from safetensors import safe_open

with safe_open("zoo/{weights}", framework="numpy") as file:
{reads}
```

Where the others lie is said by the index of their grid, for which it takes pandas:

```bash
hf download {repo} --include "grids/{grid}/*" --revision {tag} --local-dir zoo
```

```python
import pandas as pd
from safetensors import safe_open

index = pd.read_parquet("zoo/grids/{grid}/index.parquet").set_index("model_id")
row = index.loc["{example}"]
with safe_open("zoo/{weights}", framework="numpy") as file:
    {tensor} = file.get_slice(f"{{row['stack']}}/{tensor}")[int(row["row"])]
```

With the zoo's code, which fetches the files that it needs and checks them against `zoo.json`
(`Zoo.open("path")` opens a folder):

```python
from zoo import Zoo

zoo = Zoo.from_hub("{repo}", revision="{tag}")
model = zoo.model("{example}")
model.parameters["{tensor}"]  # {shape}
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


_CLAIMS = """
## What the models show

Sentences about superposition, each measured when this card was written: on these weights, or on
seeded random points where no model is involved. The thresholds were chosen before looking.
{summary}

| | claim | measured here | what decides | status |
| ---: | --- | --- | --- | --- |
"""

_CITATION = """
## Cite

```bibtex
@misc{{superposition-zoo,
  title        = {{Superposition Zoo: {models:,} trained toy models of superposition}},
  author       = {{{{the Superposition Zoo authors}}}},
  year         = {{2026}},
  note         = {{version {version}}},
  howpublished = {{\\url{{https://huggingface.co/{repo}}}}}
}}

@article{{elhage2022superposition,
  title   = {{Toy Models of Superposition}},
  author  = {{Elhage, Nelson and Hume, Tristan and Olsson, Catherine and Schiefer, Nicholas and
             Henighan, Tom and Kravec, Shauna and Hatfield-Dodds, Zac and Lasenby, Robert and
             Drain, Dawn and Chen, Carol and Grosse, Roger and McCandlish, Sam and
             Kaplan, Jared and Amodei, Dario and Wattenberg, Martin and Olah, Christopher}},
  year    = {{2022}},
  journal = {{Transformer Circuits Thread}},
  url     = {{https://transformer-circuits.pub/2022/toy_model/index.html}}
}}
```

The paper is also [arXiv:2209.10652](https://arxiv.org/abs/2209.10652). The experiments are its
authors'; the code and the models here are this project's own, under the MIT licence.
"""


def full_card(zoo: Zoo, repo_id: str = NO_REPO) -> str:
    """The card of a zoo with its claims, which are measured for it: a few seconds.

    Raises:
        ZooError: if a file of the zoo is damaged.
    """
    from zoo.claims import measure_claims  # SciPy, which other users of this module do not need

    return model_card(zoo.manifest, measure_claims(zoo), repo_id)


def write_card(folder: str | os.PathLike[str]) -> None:
    """Put the full card of the zoo in `folder` beside its manifest.

    Raises:
        ZooError: if there is no zoo, or a file of it is damaged.
    """
    text = full_card(Zoo.open(folder))
    write_atomically(Path(folder) / CARD, text.encode())


def model_card(manifest: Manifest, claims: Sequence[Claim] = (), repo_id: str = NO_REPO) -> str:
    """The text of the card: a metadata header, the grids, how to load a model, claims, citation.

    Args:
        claims: as measured on this zoo; without them the card is silent about claims.
        repo_id: where on the Hub the zoo is, or will be.
    """
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
        text += _use(entries[0], repo_id, tag_of(manifest.version))
    if claims:
        text += _CLAIMS.format(summary=_summary(claims))
        text += "".join(_claim_row(claim) for claim in claims)
        details = "".join(f"- {c.number}: {c.detail}\n" for c in claims if c.detail)
        text += f"\n{details}" if details else ""
    return text + _CITATION.format(models=total, version=manifest.version, repo=repo_id)


def _use(entry: GridEntry, repo_id: str, tag: str) -> str:
    spec, row = _example(entry)
    shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
    tensor = next(iter(shapes))
    reads = [
        f'    {name} = file.get_slice("{stack_name(spec)}/{name}")[{row}]  # {shape}'
        for name, shape in shapes.items()
    ]
    return _USE.format(
        repo=repo_id,
        tag=tag,
        example=spec.model_id(entry.grid.name),
        grid=entry.grid.name,
        weights=grid_file(entry.grid.name, WEIGHTS),
        reads="\n".join(reads),
        tensor=tensor,
        shape=shapes[tensor],
    )


def _example(entry: GridEntry) -> tuple[ModelSpec, int]:
    """A model worth a look, not too dense, and its row in the stack of its shape."""
    specs = entry.grid.models
    first = specs[0]
    alike = [spec for spec in specs if stack_name(spec) == stack_name(first)]
    row = min(range(len(alike)), key=lambda i: abs(math.log(alike[i].density / 0.1)))
    return alike[row], row


def _summary(claims: Sequence[Claim]) -> str:
    found = Counter(claim.status for claim in claims)
    plural = {HOLDS: "hold", CAVEAT: "hold with a caveat", FAILS: "do not hold"}
    parts = [
        f"{found[status]} {status if found[status] == 1 else words}"
        for status, words in plural.items()
        if found[status]
    ]
    return f"Of {len(claims)}: {', '.join(parts)}."


def _claim_row(claim: Claim) -> str:
    cells = (str(claim.number), claim.sentence, claim.value, claim.threshold, claim.status)
    return f"| {' | '.join(map(_cell, cells))} |\n"


def _cell(text: str) -> str:
    # A bar would end the cell.
    return text.replace("|", "\\|")


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
        _cell(facts["question"]),
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
