"""The zoo on disk: names, the manifest, and bytes that are the same every time.

    zoo.json                                schema, version, and per grid its files and specs
    README.md                               the model card
    grids/<grid>/index.parquet              a row per model
    grids/<grid>/weights.safetensors        `<stack>/<tensor>`: (count, …) float32
    grids/<grid>/trajectories.safetensors   `<stack>/<tensor>`: (count, T, …) float32,
                                            `<stack>/losses`: (count, T), `steps`: (T,)

A *stack* is `<family>/n<n>-m<m>`: all the models of a grid that share a shape.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as _save_safetensors

from zoo.errors import CorruptZoo, UnknownSchema, ZooNotFound
from zoo.specs import Grid, ModelSpec

SCHEMA = 1
ZOO_VERSION = "0.1.0"

MANIFEST = "zoo.json"
CARD = "README.md"
INDEX = "index.parquet"
WEIGHTS = "weights.safetensors"
TRAJECTORIES = "trajectories.safetensors"
STEPS = "steps"
LOSSES = "losses"

# A manifest of a million models stays below this; anything larger is not one of ours.
LARGEST_MANIFEST = 64 * 2**20

# The index: column -> kind. The kind fixes the type on disk and in pandas.
INDEX_COLUMNS: dict[str, str] = {
    "model_id": "string",
    "family": "string",
    "n_features": "int64",
    "n_hidden": "int64",
    "density": "double",
    "sparsity": "double",
    "importance_decay": "double",
    "correlation": "double",
    "set_size": "int64",
    "rare_ratio": "double",
    "seed": "int64",
    "loss": "double",
    "loss_standard_error": "double",
    "loss_method": "string",
    "loss_per_density": "double",
    "popular_loss": "double",
    "best_of_seeds": "bool",
    "features_represented": "int64",
    "dimensions_per_feature": "float",
    "features_per_dimension": "float",
    "mean_dimensionality": "float",
    "mean_interference": "float",
    "max_interference": "float",
    "coherence": "float",
    "solution": "string",
    "features_per_neuron": "float",
    "monosemantic_share": "float",
    "alignment": "float",
    "kurtosis": "float",
    "stack": "string",
    "row": "int64",
    "trajectory_row": "int64",
}
# Columns that may be empty, and what an empty one means is in the README.
NULLABLE = ("rare_ratio", "popular_loss", "trajectory_row")
# Columns in which a NaN or an infinity can only be damage.
FINITE = (
    "density",
    "sparsity",
    "importance_decay",
    "correlation",
    "loss",
    "loss_standard_error",
    "loss_per_density",
)
SPEC_COLUMNS = tuple(f.name for f in fields(ModelSpec))

_GRID_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def stack_name(spec: ModelSpec) -> str:
    """The part of a tensor key that models of one shape share."""
    return f"{spec.family}/n{spec.n_features}-m{spec.n_hidden}"


def tag_of(version: str) -> str:
    """The tag on the Hub of a zoo's version."""
    return f"v{version}"


def grid_file(grid: str, name: str) -> str:
    """Path of a grid's file relative to the zoo, with forward slashes."""
    return f"grids/{grid}/{name}"


# The manifest.


@dataclass(frozen=True)
class FileEntry:
    """A file as the manifest knows it."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class GridEntry:
    """A grid as the manifest knows it.

    Attributes:
        grid: the declaration, every model's spec included.
        files: path relative to the zoo -> size and hash.
    """

    grid: Grid
    files: Mapping[str, FileEntry]

    @property
    def models(self) -> int:
        return len(self.grid)

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.files.values())

    @cached_property
    def stack_counts(self) -> dict[str, tuple[ModelSpec, int]]:
        """Stack -> (one of its specs, how many models it holds)."""
        counts: dict[str, tuple[ModelSpec, int]] = {}
        for spec in self.grid:
            name = stack_name(spec)
            first, count = counts.get(name, (spec, 0))
            counts[name] = (first, count + 1)
        return counts


@dataclass(frozen=True)
class Manifest:
    """What is in a zoo.

    Attributes:
        version: of the zoo's content.
        grids: name -> entry, in the order they are listed.
    """

    version: str = ZOO_VERSION
    grids: Mapping[str, GridEntry] = field(default_factory=dict)

    def with_grids(self, entries: Iterable[GridEntry]) -> Manifest:
        """The same manifest with these grids added, or replaced where they exist."""
        return replace(self, grids={**self.grids, **{e.grid.name: e for e in entries}})

    def to_json(self) -> str:
        """Readable text: one line per setting, seeds gathered."""
        return _indented(
            {
                "schema": SCHEMA,
                "version": self.version,
                "grids": {name: _entry_to_dict(entry) for name, entry in self.grids.items()},
            }
        )


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """The manifest of the zoo in `folder`.

    Raises:
        ZooNotFound: if there is none.
        UnknownSchema: if it is of another format.
        CorruptZoo: if it cannot be read; says what is wrong with it.
    """
    path = Path(folder) / MANIFEST
    remedy = "rebuild the zoo with `python -m training build`, or download it again"
    try:
        size = path.stat().st_size
        if size > LARGEST_MANIFEST:
            raise CorruptZoo(
                f"{path} has {size:,} bytes; expected at most {LARGEST_MANIFEST:,}; {remedy}"
            )
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ZooNotFound(
            f"there is no zoo at {Path(folder)}: {MANIFEST} is missing; build one with "
            f"`python -m training build --out {Path(folder)}`, or give the path of a folder "
            f"that holds {MANIFEST}"
        ) from None
    except OSError as error:
        raise ZooNotFound(f"cannot read {path}: {error.strerror}; check the path") from None
    except (ValueError, RecursionError) as error:
        raise CorruptZoo(f"{path} is not valid JSON ({error}); {remedy}") from None
    if not isinstance(values, dict) or "schema" not in values:
        raise CorruptZoo(f"{path} does not say its schema; {remedy}")
    if values["schema"] != SCHEMA:
        raise UnknownSchema(
            f"{path} has schema {values['schema']!r}; this code reads schema {SCHEMA}; update "
            f"the code, or {remedy}"
        )
    try:
        entries = [_entry_from_dict(name, entry) for name, entry in values["grids"].items()]
        version = _typed(values["version"], str, "version")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise CorruptZoo(f"{path} does not describe a zoo: {what}; {remedy}") from None
    return Manifest(version, {entry.grid.name: entry for entry in entries})


def check_grid_name(name: str) -> None:
    """Raises ValueError unless `name` can be a folder and the first part of an id."""
    if not _GRID_NAME.fullmatch(name):
        raise ValueError(f"grid name {name!r}; expected lower case words joined by hyphens")


def _entry_to_dict(entry: GridEntry) -> dict[str, Any]:
    return {
        "question": entry.grid.question,
        "keep_trajectories": entry.grid.keep_trajectories,
        "models": entry.models,
        "files": {name: asdict(file) for name, file in sorted(entry.files.items())},
        "spec": _gather_seeds(entry.grid.models),
    }


def _entry_from_dict(name: str, values: Mapping[str, Any]) -> GridEntry:
    check_grid_name(name)
    specs = [spec for group in values["spec"] for spec in _spread_seeds(group)]
    if len(specs) != values["models"]:
        raise ValueError(f"grid {name!r} says {values['models']} models and lists {len(specs)}")
    if not specs:
        raise ValueError(f"grid {name!r} lists no models")
    question = _typed(values["question"], str, "question")
    keep = _typed(values["keep_trajectories"], bool, "keep_trajectories")
    files = {}
    required = {grid_file(name, INDEX), grid_file(name, WEIGHTS)}
    allowed = required | {grid_file(name, TRAJECTORIES)}
    for path, entry in values["files"].items():
        # Only these names are ever opened: a manifest cannot lead out of its folder.
        if path not in allowed:
            raise ValueError(f"grid {name!r} names the file {path!r}; expected {sorted(allowed)}")
        size = _typed(entry["bytes"], int, "bytes")
        files[path] = FileEntry(_typed(entry["sha256"], str, "sha256"), size)
    if missing := required - files.keys():
        raise ValueError(f"grid {name!r} does not list {sorted(missing)[0]!r}")
    return GridEntry(Grid(name, question, tuple(specs), keep), files)


def _gather_seeds(specs: Sequence[ModelSpec]) -> list[dict[str, Any]]:
    """Consecutive specs that differ in nothing but the seed become one entry."""
    groups: list[dict[str, Any]] = []
    last: ModelSpec | None = None
    for spec in specs:
        if last is not None and last.with_seed(spec.seed) == spec:
            groups[-1]["seeds"].append(spec.seed)
        else:
            values = spec.to_dict()
            del values["seed"]
            groups.append({**values, "seeds": [spec.seed]})
        last = spec
    return groups


def _spread_seeds(group: Mapping[str, Any]) -> list[ModelSpec]:
    values = dict(group)
    seeds = values.pop("seeds")
    return [ModelSpec.from_dict({**values, "seed": _typed(s, int, "seed")}) for s in seeds]


def _typed(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} is {value!r}; expected {kind.__name__}")
    return value


def _indented(values: Mapping[str, Any]) -> str:
    """JSON with an indent of 1, but every object of plain values on one line."""
    flat: list[str] = []

    def fold(value: Any) -> Any:
        if isinstance(value, dict) and value:
            if any(isinstance(v, dict | list) and k != "seeds" for k, v in value.items()):
                return {k: fold(v) for k, v in value.items()}
            flat.append(json.dumps(value, ensure_ascii=False, allow_nan=False))
            return f"\0{len(flat) - 1}\0"
        if isinstance(value, list):
            return [fold(v) for v in value]
        return value

    text = json.dumps(fold(values), indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r'"\\u0000(\d+)\\u0000"', lambda m: flat[int(m[1])], text) + "\n"


# Bytes.


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of the file at `path`, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a kill, sees all of it or none."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process id keeps two writers apart; a name that starts with a dot is no zoo file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def safetensors_bytes(
    tensors: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """A safetensors file as bytes that depend on nothing but the arguments.

    The library writes metadata in the order of a hash table that is seeded anew in every
    process; here the header is written again with its metadata sorted.
    """
    arrays = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    data = _save_safetensors(arrays, metadata=dict(metadata) if metadata else None)
    if not metadata or len(metadata) < 2:
        return data
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
