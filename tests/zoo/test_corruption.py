"""Every way a zoo can be damaged ends in an error that names the file and the way out."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load, save

from zoo.errors import CorruptZoo, UnknownSchema, ZooError
from zoo.format import MANIFEST
from zoo.reading import Zoo

GRID = "tiny-bottleneck"
MODEL = f"{GRID}/linear/n5-m2-p0.1-i0.9/s01"  # one that has a trajectory
INDEX = f"grids/{GRID}/index.parquet"
WEIGHTS = f"grids/{GRID}/weights.safetensors"
TRAJECTORIES = f"grids/{GRID}/trajectories.safetensors"

Edit = Callable[[Callable[[dict[str, Any]], None]], None]
Forge = Callable[[str, bytes], None]


def read_everything(folder: Path) -> None:
    """What a reader of one model does."""
    zoo = Zoo.open(folder)
    zoo.model(MODEL)
    zoo.trajectory(MODEL)


def expect(folder: Path, name: str, what: str) -> None:
    """The error names the file, what is wrong, and the command that puts it right."""
    for use in (read_everything, lambda folder: Zoo.open(folder).grid(GRID).check()):
        with pytest.raises(CorruptZoo) as caught:
            use(folder)
        message = str(caught.value)
        assert str(folder / name) in message
        assert what in message
        assert f"python -m training build --grid {GRID} --out {folder}" in message


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", [INDEX, WEIGHTS, TRAJECTORIES])
def test_a_missing_file(own_folder: Path, name: str) -> None:
    (own_folder / name).unlink()
    expect(own_folder, name, "the file is missing")


@pytest.mark.parametrize("name", [INDEX, WEIGHTS, TRAJECTORIES])
def test_a_truncated_file(own_folder: Path, name: str) -> None:
    path = own_folder / name
    path.write_bytes(path.read_bytes()[:-7])
    expect(own_folder, name, "bytes; expected")


@pytest.mark.parametrize("name", [INDEX, WEIGHTS, TRAJECTORIES])
@pytest.mark.parametrize("position", [4, 100, -1])
def test_one_flipped_bit(own_folder: Path, name: str, position: int) -> None:
    flip(own_folder / name, position)
    expect(own_folder, name, "SHA-256")


@pytest.mark.parametrize("name", [INDEX, WEIGHTS, TRAJECTORIES])
def test_a_folder_in_place_of_a_file(own_folder: Path, name: str) -> None:
    (own_folder / name).unlink()
    (own_folder / name).mkdir()
    with pytest.raises(CorruptZoo, match=Path(name).name):
        read_everything(own_folder)


@pytest.mark.parametrize("name", [INDEX, WEIGHTS, TRAJECTORIES])
@pytest.mark.parametrize("data", [b"", b"PAR1", b"\xff" * 64, b"not a table"])
def test_another_kind_of_file(own_folder: Path, forge: Forge, name: str, data: bytes) -> None:
    forge(name, data)
    kind = "Parquet" if name == INDEX else "safetensors"
    expect(own_folder, name, f"it is not a {kind} file")


@pytest.mark.parametrize("name", [INDEX, WEIGHTS, TRAJECTORIES])
def test_truncated_with_a_manifest_that_agrees(own_folder: Path, forge: Forge, name: str) -> None:
    data = (own_folder / name).read_bytes()
    forge(name, data[: len(data) // 2])
    expect(own_folder, name, "it is not a")


def test_a_hash_is_not_looked_at_if_only_sizes_are(own_folder: Path) -> None:
    flip(own_folder / WEIGHTS, -1)
    model = Zoo.open(own_folder, verify="size").model(MODEL)
    assert np.isfinite(model.parameters["W"]).all()
    (own_folder / WEIGHTS).write_bytes(b"short")
    with pytest.raises(CorruptZoo, match="bytes; expected"):
        Zoo.open(own_folder, verify="size").model(MODEL)


def test_a_file_that_changes_after_it_was_checked(own_folder: Path) -> None:
    zoo = Zoo.open(own_folder)
    zoo.model(MODEL)
    (own_folder / WEIGHTS).write_bytes(b"\0" * 20)
    with pytest.raises(CorruptZoo, match="cannot be read any more"):
        zoo.model(MODEL)


# Files that are sound in themselves, under a manifest that agrees with them.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_a_number(own_folder: Path, forge: Forge, value: float) -> None:
    for name in (WEIGHTS, TRAJECTORIES):
        original = (own_folder / name).read_bytes()
        tensors = {key: array.copy() for key, array in load(original).items()}
        row = Zoo.open(own_folder).model(MODEL).record
        tensors["linear/n5-m2/W"][row["row" if name == WEIGHTS else "trajectory_row"], ..., 1] = (
            value
        )
        forge(name, save(tensors))
        expect(own_folder, name, "tensor 'linear/n5-m2/W' has a NaN or infinity in row")
        forge(name, original)
    read_everything(own_folder)


def reshaped(tensors: dict[str, np.ndarray], key: str) -> dict[str, np.ndarray]:
    return {
        **tensors,
        key: tensors[key].reshape(*tensors[key].shape[:-2], *tensors[key].shape[:-3:-1]),
    }


@pytest.mark.parametrize("name", [WEIGHTS, TRAJECTORIES])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: reshaped(t, "linear/n5-m2/W"), "expected F32"),
        (lambda t: {**t, "linear/n5-m2/b": t["linear/n5-m2/b"][:-1]}, "expected F32"),
        (lambda t: {**t, "linear/n5-m2/W": t["linear/n5-m2/W"].astype("f8")}, "is F64"),
        (lambda t: {k: v for k, v in t.items() if k != "linear/n5-m2/b"}, "is missing"),
        (lambda t: {**t, "extra": np.zeros(1000)}, "tensor 'extra' is unexpected"),
    ],
    ids=["reshaped", "shorter", "doubles", "missing", "extra"],
)
def test_tensors_that_are_not_the_index(
    own_folder: Path, forge: Forge, name: str, change: Callable[..., Any], message: str
) -> None:
    forge(name, save(change(load((own_folder / name).read_bytes()))))
    expect(own_folder, name, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {**t, "steps": t["steps"][::-1].copy()}, "steps do not increase"),
        (lambda t: {**t, "steps": t["steps"][:-1]}, "expected F32"),
        (lambda t: {**t, "steps": t["steps"].astype("f4")}, "expected I64"),
        (lambda t: {**t, "steps": t["steps"].reshape(2, 2)}, "expected I64"),
    ],
    ids=["backwards", "fewer", "floats", "square"],
)
def test_steps_that_are_none(
    own_folder: Path, forge: Forge, change: Callable[..., Any], message: str
) -> None:
    forge(TRAJECTORIES, save(change(load((own_folder / TRAJECTORIES).read_bytes()))))
    expect(own_folder, TRAJECTORIES, message)


def put(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def altered(table: pa.Table, name: str, value: Any, row: int = 0) -> pa.Table:
    values = table.column(name).to_pylist()
    values[row] = value
    return put(table, name, pa.array(values, table.column(name).type))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: altered(t, "loss", float("nan")), "loss of tiny-bottleneck/"),
        (lambda t: altered(t, "density", float("inf")), "density of tiny-bottleneck/"),
        (lambda t: altered(t, "loss", None), "column loss has empty values"),
        (lambda t: altered(t, "loss_method", "guessed"), "loss_method is none of exact"),
        (lambda t: altered(t, "model_id", t["model_id"][1].as_py()), "appears twice"),
        (lambda t: altered(t, "stack", "linear/n5-m2"), "stack does not agree"),
        (lambda t: altered(t, "n_features", 6), "stack does not agree"),
        (lambda t: altered(t, "row", 10**12), "do not count the models"),
        (lambda t: altered(t, "row", -1), "do not count the models"),
        (lambda t: altered(t, "trajectory_row", 3, row=1), "do not count the models"),
        (lambda t: put(t, "loss", t["loss"].cast("float")), "column loss is float"),
        (lambda t: t.drop_columns(["loss"]), "its columns are not the index's: ['loss']"),
        (lambda t: t.append_column("more", t["loss"]), "its columns are not the index's"),
        (lambda t: t.slice(1), "17 rows; expected 18"),
        (lambda t: put(t, "solution", pa.array(["x" * 20_000] * 18)), "would unpack to"),
    ],
)
def test_an_index_that_makes_no_sense(
    own_folder: Path, forge: Forge, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    table = change(pq.read_table(io.BytesIO((own_folder / INDEX).read_bytes())))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, use_dictionary=False, compression="zstd")
    forge(INDEX, buffer.getvalue())
    expect(own_folder, INDEX, message)


@pytest.mark.parametrize("density", [0.5, 7.0])
def test_a_row_that_describes_another_model(own_folder: Path, forge: Forge, density: float) -> None:
    table = pq.read_table(io.BytesIO((own_folder / INDEX).read_bytes()))
    row = table["model_id"].to_pylist().index(MODEL)
    buffer = io.BytesIO()
    pq.write_table(altered(table, "density", density, row), buffer)
    forge(INDEX, buffer.getvalue())
    expect(own_folder, INDEX, f"the row of {MODEL} describes another model: its density")


def test_rows_of_models_that_were_not_declared(own_folder: Path, edit_manifest: Edit) -> None:
    edit_manifest(lambda v: v["grids"][GRID]["spec"][0].update(density=0.7))
    with pytest.raises(CorruptZoo, match="does not list the models of the manifest in order"):
        Zoo.open(own_folder).grid(GRID).check()
    edit_manifest(lambda v: v["grids"][GRID]["spec"][0].update(n_hidden=3))
    expect(own_folder, INDEX, "the sizes of its models are not those of the manifest")


def test_trajectories_that_are_not_listed(own_folder: Path, edit_manifest: Edit) -> None:
    edit_manifest(lambda v: v["grids"][GRID]["files"].pop(TRAJECTORIES))
    expect(own_folder, INDEX, "speaks of trajectories that the manifest does not list")


# The manifest.


@pytest.mark.parametrize("schema", [2, "1", None, -1])
def test_an_unknown_schema(own_folder: Path, edit_manifest: Edit, schema: Any) -> None:
    edit_manifest(lambda v: v.update(schema=schema))
    with pytest.raises(UnknownSchema, match="this code reads schema 1; update the code") as caught:
        Zoo.open(own_folder)
    assert isinstance(caught.value, CorruptZoo)
    assert str(own_folder / MANIFEST) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "../../../../etc/hostname",
        "/etc/hostname",
        f"grids/{GRID}/../other/index.parquet",
        f"grids\\{GRID}\\index.parquet",
        "grids/tiny-sizes/index.parquet",
        f"grids/{GRID}/model.pkl",
    ],
)
def test_a_manifest_that_leads_elsewhere(own_folder: Path, edit_manifest: Edit, name: str) -> None:
    edit_manifest(
        lambda v: v["grids"][GRID]["files"].update({name: {"sha256": "0" * 64, "bytes": 1}})
    )
    with pytest.raises(CorruptZoo, match="names the file") as caught:
        Zoo.open(own_folder)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("schema"), "does not say its schema"),
        (lambda v: v.pop("version"), "'version' is missing"),
        (lambda v: v.update(version=3), "version is 3; expected str"),
        (lambda v: v.pop("grids"), "'grids' is missing"),
        (lambda v: v.update(grids=[1]), "does not describe a zoo"),
        (lambda v: v["grids"].update({"../up": v["grids"][GRID]}), "grid name '../up'"),
        (lambda v: v["grids"][GRID].pop("spec"), "'spec' is missing"),
        (lambda v: v["grids"][GRID].update(spec=[], models=0), "lists no models"),
        (lambda v: v["grids"][GRID].update(models=19), "says 19 models and lists 18"),
        (lambda v: v["grids"][GRID].update(question=None), "question is None; expected str"),
        (lambda v: v["grids"][GRID]["files"].pop(WEIGHTS), "does not list"),
        (lambda v: v["grids"][GRID]["files"][WEIGHTS].update(bytes="9"), "bytes is '9'"),
        (lambda v: v["grids"][GRID]["files"][WEIGHTS].pop("sha256"), "'sha256' is missing"),
        (lambda v: v["grids"][GRID]["spec"][0].update(family="gelu"), "family is 'gelu'"),
        (lambda v: v["grids"][GRID]["spec"][0].update(density=7), "density is 7"),
        (lambda v: v["grids"][GRID]["spec"][0].update(surprise=7), "surprise"),
        (lambda v: v["grids"][GRID]["spec"][0].update(seeds=[0, 0, 1]), "more than once"),
        (lambda v: v["grids"][GRID]["spec"][0].update(seeds=[0, 1, "2"]), "seed is '2'"),
    ],
)
def test_a_manifest_that_makes_no_sense(
    own_folder: Path, edit_manifest: Edit, change: Callable[[Any], Any], message: str
) -> None:
    edit_manifest(change)
    with pytest.raises(CorruptZoo) as caught:
        Zoo.open(own_folder)
    assert str(own_folder / MANIFEST) in str(caught.value)
    assert message in str(caught.value)
    assert "rebuild the zoo" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"zoo"', "null", "[" * 100_000, "\udcff"])
def test_a_manifest_that_is_none(own_folder: Path, text: str) -> None:
    (own_folder / MANIFEST).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(CorruptZoo, match=MANIFEST):
        Zoo.open(own_folder)


def test_a_manifest_too_large_to_be_one(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.format.LARGEST_MANIFEST", 100)
    with pytest.raises(CorruptZoo, match="expected at most 100"):
        Zoo.open(own_folder)


def test_damage_stays_where_it_is(own_folder: Path) -> None:
    (own_folder / WEIGHTS).unlink()
    zoo = Zoo.open(own_folder)
    assert len(zoo.table) == len(zoo)
    zoo.model("tiny-rare/relu-output/n3-m2-p0.2-rare1-i1/s00")
    with pytest.raises(CorruptZoo):
        zoo.model(MODEL)


def test_the_manifest_can_be_written_by_another_program(own_folder: Path) -> None:
    path = own_folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()), indent=8, ensure_ascii=True))
    read_everything(own_folder)


# Files that would unpack to more than a machine has.


def parquet(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", **options)
    return buffer.getvalue()


def with_text(folder: Path, text: str) -> pa.Table:
    """The index, with the same text as the arrangement of every model, stored once."""
    table = pq.read_table(io.BytesIO((folder / INDEX).read_bytes()))
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * len(table), pa.int32()), [text])
    return put(table, "solution", repeated)


def test_a_long_text_that_every_row_refers_to(own_folder: Path, forge: Forge) -> None:
    """In a grid of ten thousand models, 300 bytes like these would be gigabytes of text."""
    table = with_text(own_folder, "x" * 50_000)
    data = parquet(table, store_schema=False)
    assert len(data) < 50_000
    forge(INDEX, data)
    expect(own_folder, INDEX, "a solution has 50,000 letters")


def test_texts_that_are_built_on_each_other(own_folder: Path, forge: Forge) -> None:
    """This encoding stores of each text only how it differs from the one before."""
    table = put(
        pq.read_table(io.BytesIO((own_folder / INDEX).read_bytes())),
        "solution",
        pa.array(["x" * 40_000] * 18),
    )
    encoding = {"solution": "DELTA_BYTE_ARRAY"}
    forge(INDEX, parquet(table, use_dictionary=False, column_encoding=encoding, store_schema=False))
    with pytest.raises(CorruptZoo, match="it is not a Parquet file"):
        Zoo.open(own_folder).model(MODEL)


def lying(data: bytes, size: int) -> bytes:
    """The same Parquet file, in whose footer nothing is said to be as large as `size`."""
    length = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - length
    zigzag, packed = size * 2, bytearray()
    while zigzag >= 0x80:
        packed.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    packed.append(zigzag)
    # A number of as many bytes: 1, drawn out.
    small = bytes([0x82] + [0x80] * (len(packed) - 2) + [0x00])
    footer = data[start:-8]
    assert bytes(packed) in footer
    return data[:start] + footer.replace(bytes(packed), small) + data[-8:]


def test_a_footer_that_hides_what_is_in_the_pages(own_folder: Path, forge: Forge) -> None:
    table = put(
        pq.read_table(io.BytesIO((own_folder / INDEX).read_bytes())),
        "solution",
        pa.array(["x" * 1_000_000] * 18),
    )
    data = parquet(table, use_dictionary=False, write_statistics=False, store_schema=False)
    assert len(data) < 100_000
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    column = group.column(table.column_names.index("solution"))
    for size in (column.total_uncompressed_size, group.total_byte_size):
        data = lying(data, size)
    footer = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    assert footer.total_byte_size == 1
    forge(INDEX, data)
    with pytest.raises(CorruptZoo, match="it would unpack to 18,"):
        Zoo.open(own_folder).model(MODEL)


def test_a_header_of_tensors_that_claims_to_be_large(own_folder: Path, forge: Forge) -> None:
    for name in (WEIGHTS, TRAJECTORIES):
        original = (own_folder / name).read_bytes()
        for length in (10**8, 2**63, 2**64 - 1):
            forge(name, length.to_bytes(8, "little") + original[8:])
            expect(own_folder, name, f"its header would have {length:,} bytes")
        forge(name, original)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["grids"][GRID]["files"][INDEX].update(bytes=10**9), "need at most"),
        (lambda v: v["grids"][GRID]["files"][WEIGHTS].update(bytes=10**9), "need at most"),
        (lambda v: v["grids"][GRID]["files"][WEIGHTS].update(bytes=-1), "bytes is -1"),
        (lambda v: v["grids"][GRID]["files"][TRAJECTORIES].update(bytes=2**40), "expected at most"),
        (lambda v: v["grids"][GRID]["spec"][0].update(n_features=2**40), "expected at most 65,536"),
        (lambda v: v["grids"][GRID]["spec"][0].update(n_hidden=2.5), "n_hidden is 2.5"),
        (lambda v: v["grids"][GRID]["spec"][0].update(importance_decay=1e999), "finite"),
        (lambda v: v["grids"][GRID]["spec"][0].update(importance_decay=1e300), "too much"),
        (lambda v: v["grids"][GRID]["spec"][0].update(density=float("nan")), "finite"),
        (lambda v: v["grids"][GRID]["spec"][0].update(seeds=[2**64]), "seed is 18446744"),
        (lambda v: v["grids"][GRID]["spec"][0].update(seeds=list(range(200_001))), "200,0"),
        (lambda v: v.update(version="v" * 10_000), "version is 'vvv"),
        (lambda v: v.update(version="\x1b[2J"), "that can be printed"),
        (lambda v: v["grids"].update({"g" * 300: v["grids"][GRID]}), "at most 64 letters"),
        (lambda v: v["grids"].update({"Tiny-Sizes": v["grids"][GRID]}), "lower case"),
    ],
)
def test_a_manifest_that_promises_too_much(
    own_folder: Path, edit_manifest: Edit, change: Callable[[Any], Any], message: str
) -> None:
    edit_manifest(change)
    with pytest.raises(CorruptZoo) as caught:
        Zoo.open(own_folder)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_rows_that_name_no_best_seed(own_folder: Path, forge: Forge) -> None:
    table = pq.read_table(io.BytesIO((own_folder / INDEX).read_bytes()))
    for values in ([False] * 18, [True] * 18):
        forge(INDEX, parquet(put(table, "best_of_seeds", pa.array(values))))
        expect(own_folder, INDEX, "does not name one best seed of each setting")


# Files that are none, or lie elsewhere.


@pytest.mark.parametrize("name", [MANIFEST, INDEX, WEIGHTS, TRAJECTORIES])
def test_a_pipe_is_not_waited_for(own_folder: Path, name: str) -> None:
    (own_folder / name).unlink()
    os.mkfifo(own_folder / name)
    with pytest.raises(ZooError, match="not a file"):
        read_everything(own_folder)


@pytest.mark.parametrize("name", [INDEX, WEIGHTS, TRAJECTORIES])
def test_a_link_out_of_the_folder_is_not_followed(
    own_folder: Path, zoo_folder: Path, name: str
) -> None:
    (own_folder / name).unlink()
    (own_folder / name).symlink_to(zoo_folder / name)  # even to what would be right
    with pytest.raises(CorruptZoo, match="a link that leads out of the zoo"):
        read_everything(own_folder)


def test_links_within_are_followed(own_folder: Path, tmp_path: Path) -> None:
    weights = own_folder / WEIGHTS
    weights.rename(own_folder / "kept-elsewhere")
    weights.symlink_to(own_folder / "kept-elsewhere")
    read_everything(own_folder)
    (tmp_path / "link").symlink_to(own_folder)
    read_everything(tmp_path / "link")


def test_a_folder_below_a_link_out_of_the_folder(own_folder: Path, zoo_folder: Path) -> None:
    grids = own_folder / "grids"
    shutil.rmtree(grids)
    grids.symlink_to(zoo_folder / "grids")
    with pytest.raises(CorruptZoo, match="a link that leads out of the zoo"):
        read_everything(own_folder)
