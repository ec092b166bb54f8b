"""`python -m zoo download`, and the other commands on a zoo on the Hub, as a person runs them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.hub.conftest import OWNER_TOKEN
from tests.hub.server import HubServer
from tests.hub.zoos import GRID, INDEX, MODEL, NAME, WEIGHTS, changed, files_of, publish
from tests.zoo.conftest import build
from zoo import Zoo
from zoo.cli import main

ROOT = Path(__file__).parents[2]

Capture = pytest.CaptureFixture[str]
LogIn = Callable[[str], None]


@pytest.fixture(scope="module")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def published(hub: HubServer, client: Path, zoo_folder: Path) -> HubServer:
    publish(hub, zoo_folder)
    return hub


def download(*arguments: str) -> int:
    return main(["download", "--repo-id", NAME, *arguments])


def said(capsys: Capture, *words: str) -> str:
    """The one line on stderr, which says what to do and gives away nothing."""
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert OWNER_TOKEN not in captured.out + captured.err
    for word in words:
        assert word in captured.err
    return captured.err


def leftovers(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.name.endswith((".tmp", ".incomplete"))]


def test_a_whole_zoo_becomes_the_same_folder(
    published: HubServer, zoo_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "new" / "copy"
    assert download("--out", str(out)) == 0
    captured = capsys.readouterr()
    commit = published.repos[NAME].branches["main"]
    lines = captured.out.splitlines()
    assert lines[0].endswith(f"of hub:{NAME}@{commit}")
    assert f"  {WEIGHTS}: 2 kB" in lines
    assert lines[-1] == f"{out} is a zoo of 64 models in 5 grids; to use it: --zoo {out}"
    assert captured.err == ""
    assert files_of(out) == files_of(zoo_folder)
    assert main(["verify", "--zoo", str(out), "--sample", "0"]) == 0
    # Again: nothing to do, and nothing is asked for but the commit.
    before = len(published.requests)
    capsys.readouterr()
    assert download("--out", str(out)) == 0
    assert f"  {WEIGHTS}: there already" in capsys.readouterr().out.splitlines()
    assert {seen.method for seen in published.requests[before:]} == {"HEAD"}


def test_some_grids_and_then_others(published: HubServer, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "zoo"
    assert download("--grid", "tiny-rare", "--grid", GRID, "--out", str(out)) == 0
    zoo = Zoo.open(out)
    assert zoo.grids == (GRID, "tiny-rare")  # in the order of the zoo they come from
    assert len(zoo.table) == 22
    assert not [seen for seen in published.requests if "tiny-sizes" in seen.path]
    assert download("--grid", "tiny-sizes", "--out", str(out)) == 0
    assert Zoo.open(out).grids == (GRID, "tiny-sizes", "tiny-rare")
    assert main(["verify", "--zoo", str(out), "--sample", "0"]) == 0
    capsys.readouterr()
    assert download("--grid", "tiny-rares", "--out", str(out)) == 2
    said(capsys, "no grid 'tiny-rares'", "did you mean tiny-rare?")


def test_without_a_folder_it_stays_in_the_cache(published: HubServer, capsys: Capture) -> None:
    assert download("--grid", GRID) == 0
    place = capsys.readouterr().out.split("--zoo ")[1].strip()
    published.stop()
    assert main(["show", MODEL, "--zoo", place]) == 0
    assert MODEL in capsys.readouterr().out
    assert main(["verify", "--zoo", place]) == 3
    said(capsys, "tiny-sizes/index.parquet", "cannot be reached")


def test_every_command_takes_a_place_on_the_hub(
    published: HubServer, tmp_path: Path, capsys: Capture
) -> None:
    place = f"hub:{NAME}@main"
    assert main(["list", "--zoo", place]) == 0
    assert main(["show", MODEL, "--zoo", place]) == 0
    target = str(tmp_path / "model.safetensors")
    assert main(["export", MODEL, target, "--zoo", f"hub:{NAME}"]) == 0
    assert main(["verify", "--zoo", place, "--sample", "5"]) == 0
    assert main(["claims", "--zoo", place]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert f"export {MODEL} model.safetensors --zoo {place}" in captured.out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--repo-id", "zoo"], 2, ["OWNER/NAME"]),
        (["--repo-id", "ada/other"], 2, ["no repository ada/other"]),
        (["--repo-id", NAME, "--revision", "v9"], 2, ["no revision 'v9'"]),
        (["--repo-id", NAME, "--revision", "../x"], 2, ["a branch, a tag or a commit"]),
    ],
)
def test_a_request_that_cannot_be_met(
    published: HubServer, capsys: Capture, arguments: list[str], status: int, words: list[str]
) -> None:
    assert main(["download", *arguments]) == status
    said(capsys, *words)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401}, "401"),
        ({"status": 403}, "403"),
        ({"status": 429, "headers": {"Retry-After": "5"}}, "in 5 seconds"),
        ({"status": 500}, "500"),
        ({"unanswered": True}, "cut"),
    ],
)
def test_a_refusal_in_the_middle_keeps_what_is_there(
    published: HubServer,
    tmp_path: Path,
    capsys: Capture,
    log_in: LogIn,
    fault: dict[str, object],
    words: str,
) -> None:
    log_in(OWNER_TOKEN)
    out = tmp_path / "zoo"
    published.fault("HEAD", "tiny-rare/weights", times=None, **fault)
    assert download("--out", str(out)) == 3
    said(capsys, words)
    assert not out.exists()  # not a part of a zoo, but none
    published.clear_faults()
    before = len(published.requests)
    assert download("--out", str(out)) == 0
    assert not [s for s in published.requests[before:] if WEIGHTS in s.path]  # in the cache
    assert len(Zoo.open(out)) == 64


def test_a_newer_version_replaces_an_older_one(
    published: HubServer, zoo_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "zoo"
    assert download("--out", str(out)) == 0
    published.commit(NAME, changed(zoo_folder, lambda m: m.update(version="9.9.9")))
    assert download("--grid", GRID, "--out", str(out)) == 1
    capsys.readouterr()
    assert download("--grid", GRID, "--out", str(out)) == 1
    said(capsys, "holds grids of zoo version 0.1.0", "give another folder")
    assert Zoo.open(out).version == "0.1.0"
    assert download("--out", str(out)) == 0
    assert Zoo.open(out).version == "9.9.9"


def test_a_folder_that_cannot_be_one(published: HubServer, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    assert download("--out", str(tmp_path / "file" / "zoo")) in (2, 3)
    said(capsys, str(tmp_path / "file"))
    assert download("--out", str(tmp_path / "file")) == 2
    said(capsys, str(tmp_path / "file"))
    (tmp_path / "zoo.json").write_text("{ not json")
    assert download("--out", str(tmp_path)) == 1
    said(capsys, "zoo.json", "not valid JSON")
    assert (tmp_path / "zoo.json").read_text() == "{ not json"


# Processes of their own.


def start(environment: dict[str, str], *arguments: str, code: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"{code}\nfrom zoo.cli import main\nraise SystemExit(main())"]
    return subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(environment: dict[str, str], *arguments: str, code: str = "") -> tuple[int, str, str]:
    process = start(environment, *arguments, code=code)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_a_killed_download_goes_on(
    published: HubServer,
    environment: dict[str, str],
    zoo_folder: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    hub = published
    out = tmp_path / "zoo"
    arguments = ("download", "--repo-id", NAME, "--out", str(out))
    # Killed while it fetches.
    held = hub.fault("GET", "tiny-rare/weights", delay=30)
    process = start(environment, *arguments)
    while not held.hits:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    hub.clear_faults()
    assert not (out / "zoo.json").exists()
    # Killed while it writes: the file before the last one is half there.
    stop = (
        "import os, signal, zoo.format as f\n"
        "def sync(number, real=os.fsync, count=[0]):\n"
        "    count[0] += 1\n"
        "    if count[0] == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.fsync = sync\n"
    )
    status, _, _ = run(environment, *arguments, code=stop)
    assert status == -signal.SIGKILL
    assert len(leftovers(out)) == 1
    assert not (out / "zoo.json").exists()
    fetched = len(hub.seen("GET", "weights"))
    # And to the end: nothing is fetched twice, and nothing is left over.
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "there already" in captured.out
    assert len(hub.seen("GET", "weights")) == fetched
    assert files_of(out) == files_of(zoo_folder)


def test_no_room(
    published: HubServer, environment: dict[str, str], zoo_folder: Path, tmp_path: Path
) -> None:
    """A limit on the size of files ends a write as a full disk does, and needs no rights."""
    files = files_of(zoo_folder)
    largest = max(map(len, files.values()))
    limit = (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (%d, resource.RLIM_INFINITY))\n"
    )
    out = tmp_path / "zoo"
    arguments = ("download", "--repo-id", NAME, "--out", str(out))
    # In the cache …
    status, _, err = run(environment, *arguments, code=limit % (largest - 1000))
    assert status == 3
    assert err.startswith("error: there is no room for")
    assert "HF_HUB_CACHE" in err
    assert err.count("\n") == 1
    assert leftovers(tmp_path) == []
    # … and in the folder.
    assert download() == 0
    status, _, err = run(environment, *arguments, code=limit % (largest - 1000))
    assert status == 3
    assert err.startswith(f"error: cannot write {out}")
    assert "free some room and run this again" in err
    assert leftovers(tmp_path) == []
    assert not (out / "zoo.json").exists()
    assert main(arguments) == 0
    assert files_of(out) == files


def mount(*arguments: str) -> bool:
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for next to nothing; where none can be made, a folder like any other."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
    yield folder
    if made:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(
    published: HubServer,
    tmp_path: Path,
    full_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    is_small = shutil.disk_usage(full_disk).total < 2**20
    for cache, out in ((full_disk, tmp_path / "zoo"), (tmp_path / "cache", full_disk / "zoo")):
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        assert download("--out", str(out)) == (3 if is_small else 0)
        if is_small:
            said(capsys, "room")
            assert not (out / "zoo.json").exists()
        assert leftovers(full_disk) == []


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Makes a folder read-only, for root too where that can be."""
    done: list[tuple[Path, bool]] = []

    def freeze(folder: Path) -> None:
        mounted = mount("--bind", str(folder), str(folder))
        if not (mounted and mount("-o", "remount,bind,ro", str(folder))):
            for path in [folder, *folder.rglob("*")]:
                if path.is_dir():
                    path.chmod(0o555)
        done.append((folder, mounted))

    yield freeze
    for folder, mounted in done:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        else:
            for path in [folder, *folder.rglob("*")]:
                if path.is_dir():
                    path.chmod(0o755)


def test_a_cache_that_is_read_only(
    published: HubServer, client: Path, frozen: Callable[[Path], None], capsys: Capture
) -> None:
    """What is in it can be used; what is not says so. (Where root cannot be kept out, it works.)"""
    assert download("--grid", GRID) == 0
    capsys.readouterr()
    frozen(client)
    try:
        (client / "probe").write_text("")
        (client / "probe").unlink()
        closed = False
    except OSError:
        closed = True
    assert main(["show", MODEL, "--zoo", f"hub:{NAME}"]) == 0
    capsys.readouterr()
    if closed:
        assert download() == 3
        said(capsys, str(client), "cannot be used", "HF_HUB_CACHE")
    else:
        assert download() == 0


def test_a_cache_below_a_file(
    published: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    assert download() == 3
    said(capsys, str(tmp_path / "file"), "HF_HUB_CACHE")


def test_the_client_is_not_imported_for_a_zoo_in_a_folder(zoo_folder: Path) -> None:
    code = (
        "import sys, zoo, zoo.hub, zoo.shared\n"
        f"zoo.Zoo.open({str(zoo_folder)!r}).model({MODEL!r})\n"
        "assert 'huggingface_hub' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_index_of_the_copy_is_the_index(
    published: HubServer, zoo_folder: Path, tmp_path: Path
) -> None:
    """A copy in the cache that is damaged does not reach the folder."""
    assert download("--grid", GRID) == 0
    zoo = Zoo.from_hub(NAME)
    blob = zoo.grid(GRID).file(INDEX).resolve()
    blob.write_bytes(b"\0" * blob.stat().st_size)
    out = tmp_path / "zoo"
    assert download("--grid", GRID, "--out", str(out)) == 0
    assert (out / INDEX).read_bytes() == (zoo_folder / INDEX).read_bytes()
