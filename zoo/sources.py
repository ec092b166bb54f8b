"""Where the files of a zoo come from: a name in the manifest becomes a path on this machine.

A `Zoo` reads files and does not ask whether they were always here. What it needs of a
place is a `Source`; a folder is one, and a repository on the Hub is another (`zoo.hub`).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

from zoo.errors import CorruptZoo
from zoo.format import FileEntry, Manifest, read_manifest

EMBEDDED = Path(__file__).parent / "data"


class Source(Protocol):
    """A place that holds a zoo. Its methods may be called from several threads at once."""

    @property
    def place(self) -> str:
        """What `Zoo.open` takes to open the same zoo, to the byte."""

    def manifest(self) -> Manifest:
        """What is in the zoo.

        Raises:
            ZooNotFound, CorruptZoo, HubError: if it cannot be had.
        """

    def path(self, name: str, entry: FileEntry) -> Path:
        """Where the file `name` of the manifest is, once it is on this machine.

        What is there is not compared with `entry` yet, but no more than that was fetched.

        Raises:
            CorruptZoo: if there is no such file, or none that may be read.
            HubError: if it has to be fetched and cannot be, for now.
        """

    def renew(self, name: str, entry: FileEntry) -> Path | None:
        """The file again, from where it first came from; None if it is only here.

        For a copy that turned out to be damaged: that one is gone afterwards.
        """

    def forget(self, name: str) -> None:
        """Let the next `path` fetch the file anew. Leaves alone what exists only here."""

    def named(self, name: str) -> str:
        """The file as a message to the reader names it."""

    def remedy(self, grid: str) -> str:
        """What to do about a damaged file of a grid, as the end of a sentence."""


class FolderSource:
    """A zoo in a folder. Nothing outside of it is read, whatever the folder links to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def place(self) -> str:
        return str(self.folder)

    def manifest(self) -> Manifest:
        return read_manifest(self.folder)

    def path(self, name: str, entry: FileEntry) -> Path:
        path = self.folder / name
        try:
            # A pipe or a device has no size, and would be waited for without end.
            regular = stat.S_ISREG(path.stat().st_mode)
            real = path.resolve(strict=True)
        except FileNotFoundError:
            raise self._unreadable(name, "the file is missing") from None
        except OSError as error:
            raise self._unreadable(name, f"it cannot be read ({error.strerror})") from None
        if not regular:
            raise self._unreadable(name, "it is not a file")
        if not real.is_relative_to(self._bounds()):
            raise self._unreadable(name, "it is a link that leads out of the zoo")
        return path

    def renew(self, name: str, entry: FileEntry) -> Path | None:
        return None

    def forget(self, name: str) -> None:
        return None

    def named(self, name: str) -> str:
        return str(self.folder / name)

    def remedy(self, grid: str) -> str:
        where = "" if self.folder == EMBEDDED else f" --out {self.folder}"
        return (
            f"rebuild the grid with `python -m training build --grid {grid}{where}`, or get the "
            "file again from where this zoo came from"
        )

    def _bounds(self) -> Path:
        """The folder that links must stay in."""
        folder = self.folder.resolve()
        # The Hub's cache keeps a snapshot as links into the cache that it is part of.
        snapshot = folder.parent.name == "snapshots" and len(folder.parents) > 3
        return folder.parents[2] if snapshot else folder

    def _unreadable(self, name: str, what: str) -> CorruptZoo:
        grid = name.split("/")[1]
        return CorruptZoo(f"{self.named(name)}: {what}; {self.remedy(grid)}")


def as_path(path: str | os.PathLike[str] | None) -> Path:
    """The folder that `path` names; without one, that of the embedded zoo."""
    return EMBEDDED if path is None else Path(path)
