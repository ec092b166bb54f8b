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

import errno
import glob
import hashlib
import json
import math
import os
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

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

# A zoo may come from anyone. Within these bounds reading one stays cheap, whatever it says; they
# leave room for a zoo of many times the size of the embedded one, and anything beyond is not ours.
LARGEST_MANIFEST = 8 * 2**20
MOST_CONTAINERS = 400_000  # objects and arrays in a manifest: each takes memory, none takes bytes
MOST_MODELS = 200_000
LARGEST_ZOO = 4 * 2**30  # bytes of all files
LARGEST_WIDTH = 2**16  # features, or hidden dimensions
LONGEST_NAME = 64
LONGEST_TEXT = 1000
# An index takes some 350 bytes a model before compression, and a tensor's header about 100.
LARGEST_ROW = 4096
LARGEST_HEADER_ENTRY = 1024

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
        digest: SHA-256 of the file it was read from, and so of all that the file names; "" for
            one that was not read.
    """

    version: str = ZOO_VERSION
    grids: Mapping[str, GridEntry] = field(default_factory=dict)
    digest: str = field(default="", compare=False)

    def with_grids(self, entries: Iterable[GridEntry]) -> Manifest:
        """The same manifest with these grids added, or replaced where they exist."""
        merged = {**self.grids, **{e.grid.name: e for e in entries}}
        return replace(self, grids=merged, digest="")

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
    try:
        data = _read_bounded(path)
    except FileNotFoundError:
        raise ZooNotFound(
            f"there is no zoo at {Path(folder)}: {MANIFEST} is missing; build one with "
            f"`python -m training build --out {Path(folder)}`, or give the path of a folder "
            f"that holds {MANIFEST}"
        ) from None
    except (OSError, ValueError) as error:  # a path with a NUL in it is a ValueError
        why = getattr(error, "strerror", None) or str(error)
        raise ZooNotFound(f"cannot read {path}: {why}; check the path") from None
    remedy = "rebuild the zoo with `python -m training build`, or download it again"
    return parse_manifest(data, str(path), remedy)


def parse_manifest(data: bytes, name: str, remedy: str) -> Manifest:
    """The manifest in `data`, held to the bounds of this module.

    Args:
        name: of the file, for messages.
        remedy: what to do if it is damaged, as the end of a sentence.

    Raises:
        UnknownSchema: if it is of another format.
        CorruptZoo: if it does not describe a zoo; says what is wrong with it.
    """
    if len(data) > LARGEST_MANIFEST:
        raise CorruptZoo(
            f"{name} has {len(data):,} bytes; expected at most {LARGEST_MANIFEST:,}; {remedy}"
        )
    if data.count(b"[") + data.count(b"{") > MOST_CONTAINERS:
        raise CorruptZoo(f"{name} has more parts than a zoo has; {remedy}")
    try:
        values = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptZoo(f"{name} is not valid JSON ({error}); {remedy}") from None
    if not isinstance(values, dict) or "schema" not in values:
        raise CorruptZoo(f"{name} does not say its schema; {remedy}")
    if values["schema"] != SCHEMA or isinstance(values["schema"], bool):
        raise UnknownSchema(
            f"{name} has schema {_shown(values['schema'])}; this code reads schema {SCHEMA}; "
            f"update the code, or {remedy}"
        )
    try:
        version = _text(values["version"], "version", LONGEST_NAME)
        _check_extent(values["grids"])
        entries = [_entry_from_dict(grid, entry) for grid, entry in values["grids"].items()]
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        missing = isinstance(error, KeyError) and error.args
        what = f"{_shown(error.args[0])} is missing" if missing else str(error)
        what = "".join(letter if letter.isprintable() else "·" for letter in what[:400])
        raise CorruptZoo(f"{name} does not describe a zoo: {what}; {remedy}") from None
    return Manifest(version, {entry.grid.name: entry for entry in entries}, sha256(data))


def check_grid_name(name: str) -> None:
    """Raises ValueError unless `name` can be a folder and the first part of an id."""
    if not (isinstance(name, str) and len(name) <= LONGEST_NAME and _GRID_NAME.fullmatch(name)):
        raise ValueError(
            f"grid name {_shown(name)}; expected lower case words joined by hyphens, at most "
            f"{LONGEST_NAME} letters"
        )


def _entry_to_dict(entry: GridEntry) -> dict[str, Any]:
    return {
        "question": entry.grid.question,
        "keep_trajectories": entry.grid.keep_trajectories,
        "models": entry.models,
        "files": {name: asdict(file) for name, file in sorted(entry.files.items())},
        "spec": _gather_seeds(entry.grid.models),
    }


def _check_extent(grids: Mapping[str, Any]) -> None:
    """Hold what is declared to the bounds, before anything is made of it."""
    models = sum(len(group["seeds"]) for grid in grids.values() for group in grid["spec"])
    if models > MOST_MODELS:
        raise ValueError(f"it lists {models:,} models; expected at most {MOST_MODELS:,}")
    declared = (file["bytes"] for grid in grids.values() for file in grid["files"].values())
    size = sum(_whole(count, "bytes") for count in declared)
    if size > LARGEST_ZOO:
        raise ValueError(f"its files have {size:,} bytes; expected at most {LARGEST_ZOO:,}")


def _entry_from_dict(name: str, values: Mapping[str, Any]) -> GridEntry:
    check_grid_name(name)
    specs = [spec for group in values["spec"] for spec in _spread_seeds(group)]
    if len(specs) != values["models"]:
        raise ValueError(
            f"grid {name!r} says {_shown(values['models'])} models and lists {len(specs)}"
        )
    if not specs:
        raise ValueError(f"grid {name!r} lists no models")
    question = _text(values["question"], "question", LONGEST_TEXT)
    keep = _typed(values["keep_trajectories"], bool, "keep_trajectories")
    files = {}
    required = {grid_file(name, INDEX), grid_file(name, WEIGHTS)}
    allowed = required | {grid_file(name, TRAJECTORIES)}
    for path, entry in values["files"].items():
        # Only these names are ever opened: a manifest cannot lead out of its folder.
        if path not in allowed:
            raise ValueError(
                f"grid {name!r} names the file {_shown(path)}; expected {sorted(allowed)}"
            )
        digest = _text(entry["sha256"], "sha256", 64)
        files[path] = FileEntry(digest, _whole(entry["bytes"], "bytes"))
    if missing := required - files.keys():
        raise ValueError(f"grid {name!r} does not list {sorted(missing)[0]!r}")
    grid = GridEntry(Grid(name, question, tuple(specs), keep), files)
    for path, most in ((INDEX, largest_index(len(specs))), (WEIGHTS, largest_weights(grid))):
        size = files[grid_file(name, path)].bytes
        if size > most:
            raise ValueError(
                f"{grid_file(name, path)} has {size:,} bytes; its models need at most {most:,}"
            )
    return grid


def largest_index(models: int) -> int:
    """Bytes that an index of so many models cannot need, compressed or not."""
    return LARGEST_ROW * (models + 16)


def largest_header(tensors: int) -> int:
    """Bytes that the header of a file of so many tensors cannot need."""
    return LARGEST_HEADER_ENTRY * (tensors + 16)


def largest_weights(entry: GridEntry) -> int:
    """Bytes that the weights of a grid cannot need: float32, and a header."""
    numbers = tensors = 0
    for spec, count in entry.stack_counts.values():
        shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
        numbers += count * sum(math.prod(shape) for shape in shapes.values())
        tensors += len(shapes)
    return 4 * numbers + largest_header(tensors)


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
    seeds = _typed(values.pop("seeds"), list, "seeds")
    if not seeds:
        raise ValueError("a group of models lists no seeds")
    for name in ("n_features", "n_hidden", "set_size"):
        if name in values and _whole(values[name], name) > LARGEST_WIDTH:
            raise ValueError(f"{name} is {values[name]}; expected at most {LARGEST_WIDTH:,}")
    for name in ("density", "importance_decay", "correlation", "rare_ratio"):
        if name in values and not (name == "rare_ratio" and values[name] is None):
            _number(values[name], name)
    first = ModelSpec.from_dict({**values, "seed": _whole(seeds[0], "seed")})
    if math.log(first.importance_decay) * first.n_features > 500:
        raise ValueError(f"importance_decay is {first.importance_decay}, too much for so many")
    rest = [ModelSpec.from_dict({**values, "seed": _whole(seed, "seed")}) for seed in seeds[1:]]
    return [first, *rest]


# Values from a file. What is shown of them is short, whatever they are.


def _typed(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} is {_shown(value)}; expected {kind.__name__}")
    return value


def _whole(value: Any, name: str) -> int:
    """A number that counts something, and that every library can hold."""
    if not 0 <= _typed(value, int, name) < 2**63:
        raise ValueError(f"{name} is {_shown(value)}; expected 0 or more, and less than 2^63")
    return value


def _number(value: Any, name: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{name} is {_shown(value)}; expected a number")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}; expected a finite number")
    return value


def _text(value: Any, name: str, longest: int) -> str:
    """Text that can be shown: no control characters, and no more of it than `longest`."""
    if len(_typed(value, str, name)) > longest or not value.isprintable():
        raise ValueError(
            f"{name} is {_shown(value)}; expected at most {longest} letters that can be printed"
        )
    return value


def _shown(value: Any) -> str:
    """`repr(value)`, shortened wherever it is long or deep."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 100
    return short.repr(value)


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
    with _written_atomically(Path(path)) as file:
        file.write(data)


def copy_atomically(
    source: str | os.PathLike[str], path: str | os.PathLike[str], digest: str
) -> bool:
    """Copy a file whole or not at all, and only if its SHA-256 is `digest`; whether it was.

    The bytes that are compared are those that were written.
    """
    found = hashlib.sha256()
    try:
        with open(source, "rb") as original, _written_atomically(Path(path)) as copy:
            while piece := original.read(2**20):
                found.update(piece)
                copy.write(piece)
            if found.hexdigest() != digest:
                raise _OtherBytes
    except _OtherBytes:
        return False
    return True


class _OtherBytes(Exception):
    pass


@contextmanager
def _written_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process id keeps two writers apart; a name that starts with a dot is no zoo file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what writers of `path` left beside it that were killed while they wrote."""
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        writer = leftover.name.split(".")[-2]
        if not (writer.isdigit() and _runs(int(writer))):
            leftover.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Whether there is a process of this id; where that cannot be asked, yes."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _read_bounded(path: Path) -> bytes:
    """The bytes of a manifest; one byte more than the largest if it is larger than that."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a file")
    with open(path, "rb") as file:
        return file.read(LARGEST_MANIFEST + 1)


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
