"""Zoos on the Hub of the tests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.hub.server import HubServer, Repo

NAME = "ada/zoo"
GRID = "tiny-bottleneck"
MODEL = f"{GRID}/linear/n5-m2-p0.1-i0.9/s01"  # one that has a trajectory
OTHER = "tiny-rare/relu-output/n3-m2-p0.2-rare1-i1/s00"
INDEX = f"grids/{GRID}/index.parquet"
WEIGHTS = f"grids/{GRID}/weights.safetensors"
TRAJECTORIES = f"grids/{GRID}/trajectories.safetensors"


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, as a commit of it would have them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def publish(hub: HubServer, folder: Path, name: str = NAME, **options: Any) -> Repo:
    """Put a zoo on the Hub, as its owner would have done."""
    return hub.repo(name, files_of(folder), **options)


def changed(folder: Path, edit: Any, **files: bytes) -> dict[str, bytes]:
    """The files of a zoo with its manifest edited, and some files replaced and agreed with."""
    content = files_of(folder)
    manifest = json.loads(content["zoo.json"])
    for name, data in files.items():
        content[name] = data
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        manifest["grids"][name.split("/")[1]]["files"][name] = entry
    edit(manifest)
    content["zoo.json"] = json.dumps(manifest).encode()
    return content
