"""Opening a zoo: grids as tables, one model without the rest, and a check of every file.

Nothing is read, or fetched, before it is asked for. The first time a file is opened it is held
against the manifest; the header of a file of tensors is held against the index before any tensor
is read, and the pages of an index are counted before they are unpacked, so that what is allocated
is bounded by what the manifest promises. A zoo may come from anyone: whatever its files hold, they
are read or refused with a `ZooError`.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from zoo.errors import CorruptZoo, NoTrajectory, UnknownGrid, UnknownModel, ZooNotFound
from zoo.format import (
    FINITE,
    INDEX,
    INDEX_COLUMNS,
    LOSSES,
    NULLABLE,
    SPEC_COLUMNS,
    STEPS,
    TRAJECTORIES,
    WEIGHTS,
    FileEntry,
    GridEntry,
    Manifest,
    file_sha256,
    grid_file,
    largest_header,
    largest_index,
)
from zoo.hub import HUB, HubSource, check_place, hub_place
from zoo.nearest import did_you_mean, nearest_ids, nearest_names
from zoo.records import LOSS_METHODS, Model, Trajectory
from zoo.sources import EMBEDDED as EMBEDDED
from zoo.sources import FolderSource, Source, as_path
from zoo.specs import Grid, ModelSpec
from zoo.unpacking import unpacked_size
from zoo.waiting import Jobs

Verify = Literal["hash", "size"]
Header = dict[str, tuple[str, tuple[int, ...]]]

# The longest id there is has some 60 letters; a `solution` names a handful of shapes.
LONGEST_CELL = 256


class Zoo:
    """A zoo in a folder or on the Hub. Cheap to open; safe to share between threads.

    Tables it returns are the caller's to change: pandas copies on the first write.
    """

    def __init__(self, source: Source, manifest: Manifest, verify: Verify = "hash") -> None:
        if verify not in ("hash", "size"):
            raise ValueError(f"verify is {verify!r}; expected 'hash' or 'size'")
        self.source = source
        self.manifest = manifest
        self._verify = verify
        self._lock = RLock()
        self._views: dict[str, GridView] = {}
        self._table: pd.DataFrame | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None, *, verify: Verify = "hash") -> Zoo:
        """The zoo in the folder `path`; without a path, the embedded one.

        Args:
            path: of the folder, or the text `hub:OWNER/NAME` or `hub:OWNER/NAME@REVISION` for
                what `Zoo.from_hub` reads.
            verify: what is compared with the manifest the first time a file is used:
                its `hash` (a few milliseconds per megabyte), or its `size` alone. Files from
                the Hub are always compared by hash.

        Raises:
            ZooNotFound: if there is no zoo.
            CorruptZoo: if its manifest cannot be understood.
            HubError: if the Hub cannot be asked, and it was not asked before.
        """
        if isinstance(path, str) and path.startswith(HUB):
            return cls.from_hub(*hub_place(path))
        source = FolderSource(as_path(path))
        return cls(source, source.manifest(), verify)

    @classmethod
    def from_hub(
        cls, repo_id: str, revision: str | None = None, *, patience: float | None = None
    ) -> Zoo:
        """The zoo in a repository on the Hub.

        Only the manifest is fetched, and later each file that something asks for, once, into the
        Hub's own cache. The commit that `revision` means now is the one that every file comes
        from, even if a branch moves. If the Hub cannot be reached, what was fetched before is
        used, and a warning logged.

        Args:
            repo_id: `OWNER/NAME`.
            revision: a branch, a tag or a commit; without one, the main branch.
            patience: the most seconds that anything here, or later a model, waits for the
                Hub before it raises `HubError`; what was begun goes on in the background, and
                is there the next time. Without it, as long as the Hub keeps answering.

        Raises:
            ZooNotFound: if there is no such repository or revision, or no zoo in it.
            CorruptZoo: if its manifest cannot be understood.
            HubError: if the Hub cannot be asked, and it was not asked before.
        """
        check_place(repo_id, revision)

        def opened() -> Zoo:
            source = HubSource.resolve(repo_id, revision, patience=patience)
            return cls(source, source.manifest())

        return opened() if patience is None else Jobs(patience).result(repo_id, opened)

    def __repr__(self) -> str:
        place = self.source.place
        return f"Zoo({place!r}, {len(self):,} models in {len(self.grids)} grids)"

    @property
    def place(self) -> str:
        """What `Zoo.open` takes to open the same zoo: a path, or `hub:OWNER/NAME@COMMIT`."""
        return self.source.place

    @property
    def folder(self) -> Path:
        """The folder that the zoo is in.

        Raises:
            ZooNotFound: if it is on the Hub.
        """
        if isinstance(self.source, FolderSource):
            return self.source.folder
        raise ZooNotFound(
            f"{self.place} is not in a folder; `python -m zoo download --out DIR` makes it one"
        )

    def __len__(self) -> int:
        """The number of models."""
        return sum(entry.models for entry in self.manifest.grids.values())

    @property
    def version(self) -> str:
        """Version of the zoo's content."""
        return self.manifest.version

    @property
    def grids(self) -> tuple[str, ...]:
        """Names of the grids."""
        return tuple(self.manifest.grids)

    def grid(self, name: str) -> GridView:
        """One grid.

        Raises:
            UnknownGrid: if there is none of this name; the message suggests the nearest.
        """
        if name not in self.manifest.grids:
            near = nearest_names(name, self.grids)
            raise UnknownGrid(
                f"there is no grid {name!r} in this zoo{did_you_mean(near) or '.'} "
                f"The grids are {', '.join(self.grids) or 'none'}"
            )
        with self._lock:
            if name not in self._views:
                self._views[name] = GridView(
                    self.source, self.manifest.grids[name], self.version, self._verify
                )
            return self._views[name]

    @property
    def table(self) -> pd.DataFrame:
        """A row per model over all grids: the column `grid`, then those of the index."""
        if self._table is None:
            tables = []
            for name in self.grids:  # without the lock: an index may have to be fetched
                table = self.grid(name).table
                table.insert(0, "grid", name)
                tables.append(table)
            self._table = pd.concat(tables, ignore_index=True) if tables else _no_models()
        return self._table.copy(deep=False)

    def model(self, model_id: str) -> Model:
        """One model, in milliseconds.

        Raises:
            UnknownModel: if there is none of this id; the message suggests the nearest.
            CorruptZoo: if a file it needs is damaged.
        """
        return self._grid_of(model_id).model(model_id)

    def trajectory(self, model_id: str) -> Trajectory:
        """How one model's weights moved while it trained.

        Raises:
            UnknownModel: if there is none of this id.
            NoTrajectory: if none was kept for it.
        """
        return self._grid_of(model_id).trajectory(model_id)

    def _grid_of(self, model_id: str) -> GridView:
        name = model_id.partition("/")[0]
        if name in self.manifest.grids:
            view = self.grid(name)
            if model_id in view:
                return view
        specs = {name: entry.grid.models for name, entry in self.manifest.grids.items()}
        near = nearest_ids(model_id, specs)
        raise UnknownModel(
            f"there is no model {model_id!r} in this zoo{did_you_mean(near)}", model_id, near
        )


class GridView:
    """One grid of a zoo."""

    def __init__(self, source: Source, entry: GridEntry, version: str, verify: Verify) -> None:
        self._source = source
        self._entry = entry
        self._version = version
        self._verify = verify
        self._lock = RLock()
        self._checked: dict[str, Path] = {}
        self._index: pd.DataFrame | None = None
        self._positions: dict[str, int] = {}
        self._columns: dict[str, Any] = {}  # of the index; arrays of numbers or of texts
        self._steps: NDArray[np.int64] | None = None

    def __repr__(self) -> str:
        return f"GridView({self.name!r}, {len(self):,} models)"

    def __len__(self) -> int:
        return self._entry.models

    def __contains__(self, model_id: object) -> bool:
        self._load_index()
        return model_id in self._positions

    @property
    def name(self) -> str:
        """Name of the grid; its folder, and the first part of its models' ids."""
        return self._entry.grid.name

    @property
    def question(self) -> str:
        """What the grid is there to show."""
        return self._entry.grid.question

    @property
    def declaration(self) -> Grid:
        """The grid as it was declared: the spec of every model, in the order of `table`."""
        return self._entry.grid

    @property
    def table(self) -> pd.DataFrame:
        """The index: a row per model."""
        return self._load_index().copy(deep=False)

    @property
    def trajectory_ids(self) -> tuple[str, ...]:
        """Ids of the models whose trajectory was kept."""
        index = self._load_index()
        return tuple(index.loc[index["trajectory_row"].notna(), "model_id"])

    def select(self, **columns: Any) -> pd.DataFrame:
        """The rows whose columns have the given values.

        Numbers are compared to six digits, so that `density=0.1` finds what was computed
        as 0.1. None finds the rows without a value. A list, tuple or set finds any of its
        members.

        Raises:
            ValueError: if there is no such column.
        """
        index = self._load_index()
        keep = np.ones(len(index), dtype=bool)
        for name, wanted in columns.items():
            if name not in index.columns:
                near = did_you_mean(nearest_names(name, list(index.columns)))
                raise ValueError(f"grid {self.name!r} has no column {name!r}{near}")
            options = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
            column = pd.Series(self._columns[name], copy=False)
            found = np.zeros(len(index), dtype=bool)
            for option in options:
                found |= _equal(column, option)
            keep &= found
        return index[keep].reset_index(drop=True)

    def model(self, model_id: str) -> Model:
        """One model; only its own numbers are read.

        Raises:
            UnknownModel: if this grid has none of this id.
            CorruptZoo: if a file it needs is damaged.
        """
        record = self._record(model_id)
        spec = self._spec(record)
        stack, row = record["stack"], record["row"]
        shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
        keys = {name: f"{stack}/{name}" for name in shapes}
        parameters = self._read(WEIGHTS, keys, slice(row, row + 1))
        return Model(
            model_id=model_id,
            grid=self.name,
            spec=spec,
            parameters={name: values[0] for name, values in parameters.items()},
            record=record,
            zoo_version=self._version,
        )

    def parameters(self, rows: pd.DataFrame | Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The weights of several models, in the order given.

        Args:
            rows: rows of `table`, or model ids.

        Returns:
            tensor name -> (B, …).

        Raises:
            UnknownModel: if this grid lacks one of them.
            ValueError: if they do not all have tensors of the same names and shapes, or
                there are none.
        """
        ids = list(rows["model_id"]) if isinstance(rows, pd.DataFrame) else list(rows)
        if not ids:
            raise ValueError("no models were asked for; expected at least one row or id")
        index = self._load_index()
        positions = np.array([self._position(model_id) for model_id in ids])
        picked = index.iloc[positions]
        order = np.arange(len(ids))
        stacked: dict[str, NDArray[np.float32]] = {}
        for stack, part in picked.groupby(picked["stack"].to_numpy(), sort=False):
            spec = self._entry.stack_counts[str(stack)][0]
            shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
            stacked = stacked or {
                name: np.empty((len(ids), *shape), np.float32) for name, shape in shapes.items()
            }
            if {k: v.shape[1:] for k, v in stacked.items()} != shapes:
                raise ValueError(
                    "the models do not share a shape; select one family and size: "
                    f"{', '.join(sorted(set(picked['stack'])))}"
                )
            places = order[(picked["stack"] == stack).to_numpy()]
            wanted = part["row"].to_numpy()
            first = int(wanted.min())
            keys = {name: f"{stack}/{name}" for name in shapes}
            block = self._read(WEIGHTS, keys, slice(first, int(wanted.max()) + 1))
            for name, values in block.items():
                stacked[name][places] = values[wanted - first]
        return stacked

    def trajectory(self, model_id: str) -> Trajectory:
        """How one model's weights moved while it trained.

        Raises:
            UnknownModel: if this grid has none of this id.
            NoTrajectory: if none was kept for it.
        """
        record = self._record(model_id)
        row = record["trajectory_row"]
        if row is None:
            kept = self.trajectory_ids
            where = f"this grid keeps {len(kept)}, see trajectory_ids" if kept else "none in it are"
            raise NoTrajectory(f"the training trajectory of {model_id!r} was not kept; {where}")
        spec = self._spec(record)
        shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
        keys = {name: f"{record['stack']}/{name}" for name in (*shapes, LOSSES)}
        frames = self._read(TRAJECTORIES, keys, slice(row, row + 1))
        losses = frames.pop(LOSSES)[0]
        assert self._steps is not None
        return Trajectory(
            steps=self._steps.copy(),
            losses=losses,
            parameters={name: values[0] for name, values in frames.items()},
        )

    def check(self) -> None:
        """Read every number of the grid and check it, whatever was checked before.

        Raises:
            CorruptZoo: at the first file that is not what the manifest says.
        """
        with self._lock:
            self._checked.clear()
            self._index = None
        index = self._load_index()
        for record in index.to_dict("records"):
            self._spec(_plain(record))
        for name in (WEIGHTS, TRAJECTORIES):
            if self._path(name) in self._entry.files:
                keys = [key for key in self._expected(name) if key != STEPS]
                self._read(name, {key: key for key in keys}, slice(None))

    # Rows.

    def _position(self, model_id: str) -> int:
        self._load_index()
        if model_id not in self._positions:
            near = nearest_ids(model_id, {self.name: self.declaration.models})
            raise UnknownModel(
                f"there is no model {model_id!r} in grid {self.name!r}{did_you_mean(near)}",
                model_id,
                near,
            )
        return self._positions[model_id]

    def _record(self, model_id: str) -> dict[str, Any]:
        position = self._position(model_id)
        return _plain({name: values[position] for name, values in self._columns.items()})

    def _spec(self, record: dict[str, Any]) -> ModelSpec:
        try:
            spec = ModelSpec(**{name: record[name] for name in SPEC_COLUMNS})
        except ValueError as error:
            raise self._corrupt(INDEX, f"the row of {record['model_id']}: {error}") from None
        if spec.model_id(self.name) != record["model_id"]:
            raise self._corrupt(INDEX, f"the row of {record['model_id']} describes another model")
        return spec

    def _load_index(self) -> pd.DataFrame:
        if (index := self._index) is not None:
            return index
        path = self.file(self._path(INDEX))  # without the lock: it may have to be fetched
        with self._lock:
            if self._index is None:
                index = self._read_index(path)
                self._positions = {name: i for i, name in enumerate(index["model_id"])}
                # Not taken from the table each time: that is slow, and pandas notes every time.
                self._columns = {name: index[name].array for name in index.columns}
                self._index = index
            return self._index

    def _read_index(self, path: Path) -> pd.DataFrame:
        try:
            data = path.read_bytes()
            text = [name for name, kind in INDEX_COLUMNS.items() if kind == "string"]
            rows, unpacked = unpacked_size(data)
            if rows != len(self):
                raise self._corrupt(INDEX, f"it has {rows:,} rows; expected {len(self):,}")
            if unpacked > largest_index(len(self)):
                raise self._corrupt(INDEX, f"it would unpack to {unpacked:,} bytes")
            file = pq.ParquetFile(io.BytesIO(data), arrow_extensions_enabled=False)
            schema = file.schema_arrow
            if schema.names != list(INDEX_COLUMNS):
                odd = sorted(set(schema.names) ^ set(INDEX_COLUMNS))
                raise self._corrupt(INDEX, f"its columns are not the index's: {str(odd)[:200]}")
            for name, kind in INDEX_COLUMNS.items():
                if (found := str(schema.field(name).type)) != kind:
                    raise self._corrupt(INDEX, f"column {name} is {found}; expected {kind}")
            # A dictionary is kept as one: written out, a long text may be there for every row.
            table = pq.ParquetFile(
                io.BytesIO(data),
                metadata=file.metadata,
                read_dictionary=text,
                arrow_extensions_enabled=False,
            ).read()
            for name in text:
                longest = max((_longest(chunk) for chunk in table.column(name).chunks), default=0)
                if longest > LONGEST_CELL:
                    raise self._corrupt(INDEX, f"a {name} has {longest:,} letters")
                column = table.column(name).cast(pa.string())
                table = table.set_column(table.column_names.index(name), name, column)
            table.validate(full=True)  # that text is UTF-8, for one
        except (pa.ArrowException, OSError, ValueError, LookupError) as error:
            raise self._corrupt(INDEX, f"it is not a Parquet file ({_line(error)})") from None
        columns = {}
        for name, kind in INDEX_COLUMNS.items():
            column = table.column(name)
            if column.null_count and name not in NULLABLE:
                raise self._corrupt(INDEX, f"column {name} has empty values")
            if kind == "int64" and name in NULLABLE:
                columns[name] = pd.array(column.to_pylist(), dtype="Int64")
            else:
                columns[name] = column.to_pandas()
        index = pd.DataFrame(columns)
        self._check_index(index)
        return index

    def _check_index(self, index: pd.DataFrame) -> None:
        for name in FINITE:
            bad = ~np.isfinite(index[name].to_numpy())
            if bad.any():
                first = index["model_id"].iloc[int(np.flatnonzero(bad)[0])]
                raise self._corrupt(INDEX, f"{name} of {first} is not a finite number")
        if not index["loss_method"].isin(LOSS_METHODS).all():
            raise self._corrupt(INDEX, f"a loss_method is none of {', '.join(LOSS_METHODS)}")
        if index["model_id"].duplicated().any():
            twice = index.loc[index["model_id"].duplicated(), "model_id"].iloc[0]
            raise self._corrupt(INDEX, f"{twice} appears twice")
        counts = self._entry.stack_counts
        sizes = "/n" + index["n_features"].astype(str) + "-m" + index["n_hidden"].astype(str)
        if not (index["stack"] == index["family"] + sizes).all():
            raise self._corrupt(INDEX, "a stack does not agree with its row's family and size")
        found = index["stack"].value_counts().to_dict()
        if found != {stack: count for stack, (_, count) in counts.items()}:
            raise self._corrupt(INDEX, "the sizes of its models are not those of the manifest")
        # Rows of a stack are 0 … count - 1 in order, and so are its trajectories.
        order = index.groupby("stack", sort=False).cumcount()
        kept = index.loc[index["trajectory_row"].notna(), ["stack", "trajectory_row"]]
        kept_order = kept.groupby("stack", sort=False).cumcount()
        if not ((index["row"] == order).all() and (kept["trajectory_row"] == kept_order).all()):
            raise self._corrupt(INDEX, "its rows do not count the models of each stack in order")
        if len(kept) and self._path(TRAJECTORIES) not in self._entry.files:
            raise self._corrupt(INDEX, "it speaks of trajectories that the manifest does not list")
        self._check_declared(index)

    def _check_declared(self, index: pd.DataFrame) -> None:
        """The rows are those of the manifest's specs, and name one best seed of each setting."""
        specs, declared = self.declaration.models, self.declaration.model_ids
        if index["model_id"].tolist() != list(declared):
            raise self._corrupt(INDEX, "it does not list the models of the manifest in order")
        for name in (*SPEC_COLUMNS, "sparsity"):
            wanted = np.array([getattr(spec, name) for spec in specs])
            if name == "rare_ratio":
                wanted = wanted.astype(float)  # None becomes NaN, as in the column
            found = index[name].to_numpy()
            same = (found == wanted) | ((found != found) & (wanted != wanted))
            if not same.all():
                first = declared[int(np.flatnonzero(~same)[0])]
                raise self._corrupt(
                    INDEX, f"the row of {first} describes another model: its {name}"
                )
        settings = [model_id.rpartition("/s")[0] for model_id in declared]
        best = [settings[i] for i in np.flatnonzero(index["best_of_seeds"].to_numpy())]
        if len(best) != len(set(best)) or set(best) != set(settings):
            raise self._corrupt(INDEX, "it does not name one best seed of each setting")

    # Files.

    def _path(self, name: str) -> str:
        return grid_file(self.name, name)

    def _corrupt(self, name: str, what: str) -> CorruptZoo:
        path = self._path(name)
        return CorruptZoo(f"{self._source.named(path)}: {what}; {self._source.remedy(self.name)}")

    @property
    def files(self) -> Mapping[str, FileEntry]:
        """Its files, by their path in the zoo."""
        return self._entry.files

    def file(self, path: str) -> Path:
        """Where a file of the grid is on this machine, to the byte what the manifest says.

        Args:
            path: one of `files`; it is fetched first if need be.

        Raises:
            CorruptZoo: if it is missing, or is not what the manifest says.
            HubError: if it cannot be fetched.
        """
        name = path.rpartition("/")[2]
        if path not in self._entry.files:
            raise self._corrupt(name, "the manifest does not list it")
        entry = self._entry.files[path]
        local: Path | None = self._source.path(path, entry)
        assert local is not None
        wrong = self._difference(name, local, entry)
        if wrong is not None and (local := self._source.renew(path, entry)) is not None:
            # A damaged copy of a sound file: the second one counts.
            wrong = self._difference(name, local, entry)
            if wrong is not None:
                self._source.forget(path)
        if wrong is not None or local is None:
            raise self._corrupt(name, str(wrong))
        return local

    def _difference(self, name: str, local: Path, entry: FileEntry) -> str | None:
        """What about a file is not what the manifest says, or None."""
        try:
            size = local.stat().st_size
            if size != entry.bytes:
                return f"it has {size:,} bytes; expected {entry.bytes:,}"
            if self._verify == "size":
                return None
            found = file_sha256(local)
        except OSError as error:
            raise self._corrupt(name, f"it cannot be read ({error.strerror})") from None
        if found != entry.sha256:
            return f"its SHA-256 is {found[:12]}…; expected {entry.sha256[:12]}…: it was changed"
        return None

    def _expected(self, name: str) -> Header:
        """Key -> (type, shape) that a file of tensors has to have, from manifest and index."""
        expected: Header = {}
        if name == WEIGHTS:
            for stack, (spec, count) in self._entry.stack_counts.items():
                shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
                for tensor, shape in shapes.items():
                    expected[f"{stack}/{tensor}"] = ("F32", (count, *shape))
            return expected
        index = self._load_index()
        kept = index.loc[index["trajectory_row"].notna(), "stack"].value_counts()
        steps = -1  # any number, but the same throughout
        expected[STEPS] = ("I64", (steps,))
        for stack, count in kept.items():
            spec = self._entry.stack_counts[str(stack)][0]
            shapes = spec.model_family.parameter_shapes(spec.n_features, spec.n_hidden)
            for tensor, shape in {**shapes, LOSSES: ()}.items():
                expected[f"{stack}/{tensor}"] = ("F32", (int(count), steps, *shape))
        return expected

    def _check_tensors(self, name: str) -> Path:
        """The path of a file of tensors, checked once per file for as long as this lives."""
        if (checked := self._checked.get(name)) is not None:
            return checked
        path = self.file(self._path(name))  # without the lock: it may have to be fetched
        expected = self._expected(name)
        with self._lock:
            if name in self._checked:
                return self._checked[name]
            try:
                with open(path, "rb") as start:
                    length = int.from_bytes(start.read(8), "little")
                if length > largest_header(len(expected)):
                    raise ValueError(f"its header would have {length:,} bytes")
                with safe_open(path, framework="numpy", backend="pread") as file:
                    slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
                    header = {
                        key: (part.get_dtype(), tuple(part.get_shape()))
                        for key, part in slices.items()
                    }
                    self._check_header(name, header, expected)
                    if name == TRAJECTORIES:
                        self._steps = file.get_tensor(STEPS)
            except (SafetensorError, OSError, ValueError, LookupError) as error:
                raise self._corrupt(
                    name, f"it is not a safetensors file ({_line(error)})"
                ) from None
            if name == TRAJECTORIES and not _increasing(np.asarray(self._steps)):
                raise self._corrupt(name, "its steps do not increase")
            self._checked[name] = path
        return path

    def _check_header(self, name: str, header: Header, expected: Header) -> None:
        if header.keys() != expected.keys():
            odd = sorted(header.keys() ^ expected.keys())[0]
            state = "unexpected" if odd in header else "missing"
            raise self._corrupt(name, f"tensor {odd[:200]!r} is {state}")
        steps = header[STEPS][1] if STEPS in header else ()
        for key, (kind, shape) in expected.items():
            shape = tuple(steps[0] if size == -1 and steps else size for size in shape)
            if header[key] != (kind, shape):
                raise self._corrupt(
                    name,
                    f"tensor {key!r} is {header[key][0]} {header[key][1]}; expected {kind} {shape}",
                )

    def _read(self, name: str, keys: dict[str, str], rows: slice) -> dict[str, NDArray[np.float32]]:
        """The rows of the tensors `keys`, checked to be there and finite."""
        path = self._check_tensors(name)
        values = {}
        try:
            # Opened anew each time, and read instead of mapped: that takes half a
            # millisecond, and a file that changes below us is an error and not a crash.
            with safe_open(path, framework="numpy", backend="pread") as file:
                for short, key in keys.items():
                    values[short] = file.get_slice(key)[rows]
        except (SafetensorError, OSError, ValueError, LookupError) as error:
            with self._lock:
                self._checked.pop(name, None)  # look at it, or for it, anew the next time
            raise self._corrupt(name, f"it cannot be read any more ({_line(error)})") from None
        for short, key in keys.items():
            if not np.isfinite(values[short]).all():
                bad = ~np.isfinite(values[short].reshape(len(values[short]), -1)).all(1)
                row = (rows.start or 0) + int(np.flatnonzero(bad)[0])
                raise self._corrupt(name, f"tensor {key!r} has a NaN or infinity in row {row}")
        return values


def _longest(texts: pa.DictionaryArray) -> int:
    """Bytes of the longest text of a column that is kept as a dictionary."""
    return pc.max(pc.binary_length(texts.dictionary)).as_py() or 0


def _increasing(steps: NDArray[np.int64]) -> bool:
    # Compared, not subtracted: a difference may not fit.
    return len(steps) > 0 and bool(np.all(steps[1:] > steps[:-1]))


def _line(error: BaseException) -> str:
    """What a library says is wrong, as one line that is not too long and can be printed."""
    return "".join(c if c.isprintable() else "·" for c in " ".join(str(error).split())[:300])


def _equal(column: pd.Series[Any], wanted: Any) -> NDArray[np.bool_]:
    if wanted is None or (isinstance(wanted, float) and math.isnan(wanted)):
        return column.isna().to_numpy(dtype=bool)
    if pd.api.types.is_float_dtype(column.dtype):
        return np.isclose(column.to_numpy(), float(wanted), rtol=1e-6, atol=1e-12)
    return (column == wanted).fillna(False).to_numpy(dtype=bool)


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Values that JSON knows; None for NaN and for what is missing."""
    plain: dict[str, Any] = {}
    for name, value in record.items():
        if value is None or value is pd.NA or value != value:
            plain[name] = None
        else:
            plain[name] = value.item() if isinstance(value, np.generic) else value
    return plain


def _no_models() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=object) for name in ("grid", *INDEX_COLUMNS)})
