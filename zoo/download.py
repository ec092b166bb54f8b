"""A zoo from the Hub, or some of its grids, as a folder."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

from zoo.card import file_size
from zoo.errors import CorruptZoo, HubError, ZooNotFound
from zoo.format import (
    MANIFEST,
    FileEntry,
    Manifest,
    copy_atomically,
    file_sha256,
    read_manifest,
    remove_leftovers,
)
from zoo.reading import Zoo
from zoo.writer import write_manifest

Report = Callable[[str], None]


def fetch(zoo: Zoo, grids: Sequence[str], report: Report) -> None:
    """Bring every file of some grids into the Hub's cache, and check it.

    Raises:
        UnknownGrid, CorruptZoo, HubError: at the first file that cannot be had.
    """
    for name in grids:
        for path, entry in sorted(zoo.grid(name).files.items()):
            zoo.grid(name).file(path)
            report(f"{path}: {file_size(entry.bytes)}")


def download(zoo: Zoo, grids: Sequence[str], out: Path, report: Report) -> Manifest:
    """Copy some grids of a zoo into the folder `out`, which is a zoo afterwards.

    What is in the folder already and is right stays. Every file appears whole or not at all, and
    the manifest last: a folder that is new is no zoo before everything is there, and an
    interrupted download goes on when it is repeated. Other grids that the folder lists are kept.

    Args:
        report: is told of each file.

    Raises:
        ZooNotFound: if the folder cannot be one.
        CorruptZoo: if it holds a zoo of another version, some of which would stay.
        UnknownGrid, CorruptZoo, HubError: at the first file that cannot be had.
    """
    present = _manifest(out)
    kept = [name for name in present.grids if name not in grids]
    if kept and present.version != zoo.version:
        raise CorruptZoo(
            f"{out} holds grids of zoo version {present.version} ({', '.join(kept)}), and this is "
            f"{zoo.version}; give another folder"
        )
    wanted = [zoo.grid(name) for name in grids]
    # All of them are here, and right, before the first one in the folder is replaced.
    fetched = {}
    for view in wanted:
        for path, entry in sorted(view.files.items()):
            if _is(out / path, entry):
                report(f"{path}: there already")
            else:
                fetched[path] = (view.file(path), entry)
                report(f"{path}: {file_size(entry.bytes)}")
    target = out
    try:
        for path, (local, entry) in fetched.items():
            target = out / path
            remove_leftovers(target)
            if not copy_atomically(local, target, entry.sha256):
                raise CorruptZoo(f"{local} changed while it was copied; run this again")
        target = out / MANIFEST
        remove_leftovers(target)
        entries = [zoo.manifest.grids[view.name] for view in wanted]
        return write_manifest(out, entries, version=zoo.version, order=zoo.grids)
    except OSError as error:
        more = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise HubError(
            f"cannot write {target}: {error.strerror}; "
            f"{'free some room' if more else 'give another folder'} and run this again: what is "
            "there already stays"
        ) from None


def _manifest(folder: Path) -> Manifest:
    """What a folder lists; nothing if it is new."""
    try:
        return read_manifest(folder)
    except ZooNotFound:
        if (folder / MANIFEST).exists() or (folder.exists() and not folder.is_dir()):
            raise
        return Manifest()


def _is(path: Path, entry: FileEntry) -> bool:
    if not path.is_file() or path.is_symlink() or path.stat().st_size != entry.bytes:
        return False
    return file_sha256(path) == entry.sha256
