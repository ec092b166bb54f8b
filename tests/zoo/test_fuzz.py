"""A zoo with anything at all in its files is read, or refused with an error of ours.

Files of a small zoo are mutated at random, from a fixed seed: bits, pieces, numbers and values,
with a manifest that agrees with what they became, so that no checksum gets in the way. Whatever
comes out, reading it must end in a result or in a `ZooError`.
"""

from __future__ import annotations

import copy
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load

from tests.zoo.conftest import STEPS, random_result
from zoo import Grid, ModelSpec, Zoo, ZooError
from zoo.export import state_dict_bytes
from zoo.format import MANIFEST, parse_manifest, safetensors_bytes, sha256
from zoo.records import Result
from zoo.writer import write_grid, write_manifest

GRID = "fuzz"
INDEX = f"grids/{GRID}/index.parquet"
WEIGHTS = f"grids/{GRID}/weights.safetensors"
TRAJECTORIES = f"grids/{GRID}/trajectories.safetensors"
NAMES = (INDEX, WEIGHTS, TRAJECTORIES)

Mutation = Callable[[bytes, random.Random], bytes]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo of a few models, two of which have trajectories."""
    folder = tmp_path_factory.mktemp("sound")
    specs = tuple(
        ModelSpec(family, 2, 1, p, seed=seed)
        for family in ("linear", "relu-output")
        for p in (1.0, 0.1)
        for seed in range(2)
    )
    grid = Grid(GRID, "Does it break?", specs, keep_trajectories=True)
    results: list[Result] = [random_result(spec, keep=spec.seed == 1) for spec in specs]
    write_manifest(folder, [write_grid(folder, grid, results)])
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "zoo")


def use(folder: Path) -> None:
    """Everything a reader does with a zoo."""
    zoo = Zoo.open(folder)
    for name in zoo.grids:
        view = zoo.grid(name)
        view.check()
        view.select(density=0.1)
        for spec in view.declaration.models[:2]:
            model_id = spec.model_id(name)
            state_dict_bytes(zoo.model(model_id))
            if model_id in view.trajectory_ids:
                zoo.trajectory(model_id)
    assert len(zoo.table) == len(zoo)


def outcome(use: Callable[[], object], case: str) -> bool:
    """Whether it was refused. Anything but a result and an error of ours fails, with the case."""
    try:
        use()
    except ZooError as error:
        message = str(error)
    except Exception as error:
        raise AssertionError(f"{case}: {type(error).__name__}: {error}") from error
    else:
        return False
    assert 0 < len(message) < 2000, case
    assert message.isprintable(), case
    return True


def replace(folder: Path, files: dict[str, bytes]) -> None:
    """Put content in place of that of files, and have the manifest agree."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for name, data in files.items():
        (folder / name).write_bytes(data)
        entry = {"sha256": sha256(data), "bytes": len(data)}
        manifest["grids"][GRID]["files"][name] = entry
    path.write_text(json.dumps(manifest), encoding="utf-8")


# Mutations of bytes.


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def extreme_bytes(data: bytes, rng: random.Random) -> bytes:
    """A number somewhere that becomes as large, or as negative, as it can be."""
    changed = bytearray(data)
    at, width = rng.randrange(len(changed)), rng.choice((1, 2, 4, 8))
    changed[at : at + width] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * width
    return bytes(changed[: len(data)])


def cut_out(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 64) :]


def repeat_piece(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randrange(1, 64)]
    return data[:start] + piece * rng.choice((2, 3, 20)) + data[start + len(piece) :]


def move_piece(data: bytes, rng: random.Random) -> bytes:
    start, target = rng.randrange(len(data)), rng.randrange(len(data))
    piece = data[start : start + rng.randrange(1, 64)]
    return (data[:target] + piece + data[target + len(piece) :])[: len(data)]


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def end_elsewhere(data: bytes, rng: random.Random) -> bytes:
    """The end of the file is where formats keep what the rest of it is."""
    changed = bytearray(data)
    at = len(data) - 1 - rng.randrange(min(len(data), 2000))
    changed[at] = rng.randrange(256)
    return bytes(changed)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    extreme_bytes,
    cut_out,
    repeat_piece,
    move_piece,
    truncate,
    end_elsewhere,
)


@pytest.mark.parametrize(("name", "cases"), [(INDEX, 500), (WEIGHTS, 150), (TRAJECTORIES, 150)])
def test_mutated_bytes(folder: Path, name: str, cases: int) -> None:
    rng = random.Random(f"bytes {name}")
    original = (folder / name).read_bytes()
    refused = 0
    for case in range(cases):
        mutation = rng.choice(MUTATIONS)
        replace(folder, {name: mutation(original, rng)})
        refused += outcome(lambda: use(folder), f"{name}, {mutation.__name__}, case {case}")
    assert refused > cases / 4  # some changes hit numbers that may be any
    replace(folder, {name: original})
    use(folder)


# Mutations of what the files say.

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 10**6, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400,
    0.5, -0.0, 1e308, 1e999, -1e999, float("nan"), 5e-324,
    "", "x", "0", "../x", "/etc/hostname", "a\0b", "\x1b[31m", "x" * 5000, "\ud800", "☃",
    [], [[]], [0], [0, 1, 1], {}, {"x": 1}, [{}], ["x"] * 50,
)  # fmt: skip


def deep(kind: str, depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value] if kind == "list" else {"x": value}
    return value


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a value of JSON."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def test_a_mutated_manifest(sound: Path, folder: Path) -> None:
    rng = random.Random("manifest")
    original = json.loads((sound / MANIFEST).read_text(encoding="utf-8"))
    refused = 0
    for case in range(700):
        values = copy.deepcopy(original)
        for _ in range(rng.choice((1, 1, 2))):
            container, key = rng.choice(list(places(values)))
            action = rng.random()
            if action < 0.15:
                del container[key]
            elif action < 0.3 and isinstance(container, dict):
                odd = rng.choice([v for v in ODD_VALUES if isinstance(v, str)])
                container[odd] = container.pop(key)
            elif action < 0.4:
                container[key] = deep(rng.choice(("list", "dict")), rng.choice((10, 200)))
            else:
                container[key] = copy.deepcopy(rng.choice(ODD_VALUES))
        (folder / MANIFEST).write_text(json.dumps(values), encoding="utf-8")
        refused += outcome(lambda: use(folder), f"case {case}")
    assert refused > 500


def test_a_manifest_with_mutated_text(sound: Path) -> None:
    rng = random.Random("text")
    original = (sound / MANIFEST).read_bytes()
    refused = 0
    for case in range(700):
        read = partial(parse_manifest, rng.choice(MUTATIONS)(original, rng), MANIFEST, "wait")
        refused += outcome(read, f"case {case}")
    assert refused > 500


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"schema":' * 100_000,
        '{"schema": 1, "version": "1", "grids": ' + "[" * 900 + "]" * 900 + "}",
        '{"schema": ' + "9" * 10_000 + "}",
        '{"schema": 1, "version": "1", "grids": {"a": ' + "9" * 4000 + "}}",
        '{"schema": 1e999, "version": "1", "grids": {}}',
        '{"schema": 1, "version": ' + '"x' * 3 + "}",
        '{"schema": 1, "version": "\\u0000", "grids": {}}',
        '{"schema": 1, "version": "1", "grids": {"a": {"spec": [{"seeds": "abc"}]}}}',
        '{"schema": 1, "version": "1", "grids": [' + "[]," * 500_000 + "[]]}",
        "\ufeff{}",
        "1" * 5000,
    ],
)
def test_absurd_json(text: str) -> None:
    assert outcome(lambda: parse_manifest(text.encode(), MANIFEST, "get another"), text[:40])


def test_an_index_of_mutated_values(sound: Path, folder: Path) -> None:
    rng = random.Random("index")
    table = pq.read_table(sound / INDEX)
    odd: dict[str, list[Any]] = {
        "string": ["", "x", "☃", "\x1b[31m", "x" * 300, "y" * 10**5, None],
        "int64": [0, -1, 1, 7, 10**6, 2**63 - 1, -(2**63), None],
        "bool": [True, False, None],
        "double": [0.0, -1.0, 0.5, 7.0, 1e308, 5e-324, float("inf"), float("nan"), None],
    }
    odd["float"] = odd["double"]
    kinds = [pa.string(), pa.large_string(), pa.binary(), pa.float64(), pa.int32(), pa.null()]
    refused = 0
    for case in range(200):
        name = rng.choice(table.column_names)
        kind = table.column(name).type
        values = table.column(name).to_pylist()
        for _ in range(rng.choice((1, 1, len(values)))):
            values[rng.randrange(len(values))] = rng.choice(odd[str(kind)])
        column = pa.array(values, kind)
        with suppress(pa.ArrowException):
            column = column.cast(rng.choice([kind, kind, *kinds]))
        changed = table.set_column(table.column_names.index(name), name, column)
        buffer = io.BytesIO()
        packing = rng.choice(("zstd", "gzip", "snappy", "none"))
        pq.write_table(changed, buffer, compression=packing, use_dictionary=rng.random() < 0.5)
        replace(folder, {INDEX: buffer.getvalue()})
        refused += outcome(lambda: use(folder), f"{name}, case {case}")
    assert refused > 100


def test_tensors_of_mutated_shapes(sound: Path, folder: Path) -> None:
    rng = random.Random("tensors")
    kinds = ("f4", "f8", "f2", "i8", "u1", "bool")
    for name in (WEIGHTS, TRAJECTORIES):
        original = load((sound / name).read_bytes())
        for case in range(40):
            tensors = dict(original)
            key = rng.choice(list(tensors))
            values = tensors.pop(key)
            action = rng.randrange(5)
            if action == 0:
                tensors[rng.choice(("", "x", "x" * 2000, "../x", "☃", f"{key}/{key}"))] = values
            elif action == 1:
                tensors[key] = values.astype(rng.choice(kinds))
            elif action == 2:
                tensors[key] = np.resize(values, rng.choice([(), (0,), (1,), (3, 0, 5), (7, 2)]))
            elif action == 3:
                odd = rng.choice((np.nan, np.inf, 3e38, 0) if values.dtype.kind == "f" else (0, -1))
                tensors[key] = np.full_like(values, odd)
            replace(folder, {name: safetensors_bytes(tensors)})
            outcome(lambda: use(folder), f"{name}, case {case}")
        replace(folder, {name: (sound / name).read_bytes()})


HEADERS = (
    "", "null", "[]", "{}", '"x"', "{" * 500, "[" * 100_000,
    '{"x": null}', '{"x": {}}', '{"x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
    '{"steps": {"dtype": "I64", "shape": [4611686018427387904, 4], "data_offsets": [0, 8]}}',
    '{"steps": {"dtype": "I64", "shape": [1], "data_offsets": [8, 0]}}',
    '{"steps": {"dtype": "I64", "shape": [0], "data_offsets": [0, 0]}}',
    '{"steps": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 8]}}',
    '{"__metadata__": {"x": 1}}',
)  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=lambda text: text[:30] or "empty")
@pytest.mark.parametrize("length", [None, 0, 2**32, 2**63, 2**64 - 1])
def test_headers_of_tensors(folder: Path, header: str, length: int | None) -> None:
    data = header.encode()
    size = len(data) if length is None else length
    for name in (WEIGHTS, TRAJECTORIES):
        original = (folder / name).read_bytes()
        replace(folder, {name: size.to_bytes(8, "little") + data + b"\0" * 64})
        assert outcome(lambda: use(folder), name)
        replace(folder, {name: original})


def test_the_steps_are_what_they_were(sound: Path) -> None:
    """The zoo that is mutated here has everything that can be: otherwise this file tests less."""
    zoo = Zoo.open(sound)
    first = zoo.grid(GRID).trajectory_ids[0]
    np.testing.assert_array_equal(zoo.trajectory(first).steps, STEPS)
    assert set(zoo.grid(GRID).files) == set(NAMES)
