"""A zoo on the Hub: what is asked for and when, and everything that can go wrong on the way.

The client is the real one and talks HTTP to the server of these tests.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from huggingface_hub.utils._xet_progress_reporting import XetDownloadProgressReporter

from tests.hub.conftest import OWNER_TOKEN, READER_TOKEN
from tests.hub.server import HubServer
from tests.hub.zoos import (
    GRID,
    INDEX,
    MODEL,
    NAME,
    OTHER,
    TRAJECTORIES,
    WEIGHTS,
    changed,
    files_of,
    publish,
)
from tests.zoo.conftest import build
from zoo import CorruptZoo, HubError, UnknownGrid, Zoo, ZooError, ZooNotFound
from zoo.hub import _metered, _TooLong

LogIn = Callable[[str], None]


@pytest.fixture(scope="module")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def published(hub: HubServer, client: Path, zoo_folder: Path) -> HubServer:
    """The Hub with a zoo on it, and the client of this process talking to it."""
    publish(hub, zoo_folder)
    return hub


def refused(kind: type[ZooError], use: Callable[[], object], *words: str) -> str:
    """The message of the error that `use` ends in: it is of one line, and has no secrets."""
    with pytest.raises(kind) as caught:
        use()
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    everything = "".join(traceback.format_exception(caught.value)) + message
    assert OWNER_TOKEN not in everything
    assert READER_TOKEN not in everything
    assert "Signature" not in message
    return message


def paths_fetched(hub: HubServer) -> list[str]:
    """Files whose content was asked for, from the Hub or from the host of large ones."""
    return [
        re.sub(r".*?/(resolve/[^/]+|[0-9a-f]{64})/", "", seen.path) for seen in hub.seen("GET", "")
    ]


# What is fetched, and when.


def test_only_what_is_asked_for_is_fetched(published: HubServer, zoo_folder: Path) -> None:
    zoo = Zoo.from_hub(NAME)
    assert len(zoo) == 64
    assert paths_fetched(published) == ["zoo.json"]
    assert len(zoo.grid(GRID).table) == 18
    assert paths_fetched(published) == ["zoo.json", INDEX]
    model, local = zoo.model(MODEL), Zoo.open(zoo_folder).model(MODEL)
    assert paths_fetched(published) == ["zoo.json", INDEX, WEIGHTS]
    np.testing.assert_array_equal(model.parameters["W"], local.parameters["W"])
    assert model.record == local.record
    zoo.trajectory(MODEL)
    assert paths_fetched(published) == ["zoo.json", INDEX, WEIGHTS, TRAJECTORIES]
    zoo.grid(GRID).check()
    before = len(published.requests)
    again = Zoo.from_hub(NAME)
    again.trajectory(MODEL)
    assert [seen.method for seen in published.requests[before:]] == ["HEAD", "HEAD"]


def test_the_commit_is_pinned_even_if_the_branch_moves(
    published: HubServer, zoo_folder: Path
) -> None:
    zoo = Zoo.from_hub(NAME)
    first = published.repos[NAME].branches["main"]
    assert zoo.place == f"hub:{NAME}@{first}"
    content = files_of(zoo_folder)
    manifest = content["zoo.json"].replace(b"What does a rare", b"How much does a rare")
    second = published.commit(NAME, {INDEX: b"not what it was", "zoo.json": manifest}).oid
    assert zoo.model(MODEL).model_id == MODEL
    assert zoo.grid("tiny-rare").question.startswith("What does")
    moved = Zoo.from_hub(NAME)
    assert moved.place.endswith(second)
    assert moved.grid("tiny-rare").question.startswith("How much does")
    for place in (zoo.place, f"hub:{NAME}@{first}"):
        assert Zoo.open(place).model(MODEL).model_id == MODEL
    assert repr(zoo).startswith(f"Zoo('hub:{NAME}@")


def test_a_branch_or_a_tag_can_be_asked_for(published: HubServer, zoo_folder: Path) -> None:
    repo = published.repos[NAME]
    repo.tags["v1"] = repo.branches["main"]
    repo.branches["draft/one"] = repo.branches["main"]
    published.commit(NAME, {"zoo.json": b"{}"})
    for revision in ("v1", "draft/one", repo.tags["v1"]):
        assert Zoo.open(f"hub:{NAME}@{revision}").place == f"hub:{NAME}@{repo.tags['v1']}"
    with pytest.raises(CorruptZoo):
        Zoo.from_hub(NAME)


@pytest.mark.parametrize(
    ("place", "word"),
    [
        ("hub:", "OWNER/NAME"),
        ("hub:zoo", "OWNER/NAME"),
        ("hub:a/b/c", "OWNER/NAME"),
        ("hub:../zoo", "OWNER/NAME"),
        ("hub:ada/..", "OWNER/NAME"),
        ("hub:ada/zoo.git", "OWNER/NAME"),
        ("hub:ada/zo o", "OWNER/NAME"),
        ("hub:ada/zoo\0", "OWNER/NAME"),
        ("hub:ada/" + "x" * 500, "OWNER/NAME"),
        ("hub:https://huggingface.co/ada/zoo", "OWNER/NAME"),
        ("hub:ada/zoo@", "a branch, a tag or a commit"),
        ("hub:ada/zoo@../../refs", "a branch, a tag or a commit"),
        ("hub:ada/zoo@a//b", "a branch, a tag or a commit"),
        ("hub:ada/zoo@/etc", "a branch, a tag or a commit"),
        ("hub:ada/zoo@a\\b", "a branch, a tag or a commit"),
        ("hub:ada/zoo@main@v1", "a branch, a tag or a commit"),
    ],
)
def test_a_place_that_cannot_be_one_is_not_asked_for(
    hub: HubServer, client: Path, place: str, word: str
) -> None:
    refused(ZooNotFound, lambda: Zoo.open(place), word)
    assert hub.requests == []


# What the Hub says no to.


def test_what_is_not_there(published: HubServer) -> None:
    refused(ZooNotFound, lambda: Zoo.from_hub("ada/other"), "no repository ada/other", "private")
    refused(ZooNotFound, lambda: Zoo.from_hub(NAME, "v9"), f"{NAME} has no revision 'v9'")
    refused(ZooNotFound, lambda: Zoo.from_hub(NAME, "0" * 40), "no revision")
    published.repo("ada/words", {"README.md": b"words"})
    refused(ZooNotFound, lambda: Zoo.from_hub("ada/words"), "no zoo in ada/words", "zoo.json")
    with pytest.raises(UnknownGrid, match="did you mean tiny-rare"):
        Zoo.from_hub(NAME).grid("tiny-rares")


def test_a_private_zoo_needs_a_token(
    hub: HubServer, client: Path, zoo_folder: Path, log_in: LogIn
) -> None:
    publish(hub, zoo_folder, private=True)
    refused(ZooError, lambda: Zoo.from_hub(NAME), "hf auth login")
    log_in(READER_TOKEN)
    refused(ZooError, lambda: Zoo.from_hub(NAME), "hf auth login")
    log_in("hf_NoSuchToken")
    refused(HubError, lambda: Zoo.from_hub(NAME), "does not accept this machine's token", "401")
    log_in(OWNER_TOKEN)
    assert Zoo.from_hub(NAME).model(MODEL).model_id == MODEL
    assert {seen.token for seen in hub.requests if seen.storage} == {None}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401}, ["does not accept", "401", "hf auth login"]),
        ({"status": 403}, ["does not let this machine read", "403"]),
        ({"status": 403, "headers": {"X-Error-Code": "GatedRepo"}}, ["gated", "ask for access at"]),
        ({"status": 429, "headers": {"Retry-After": "37"}}, ["429", "try again in 37 seconds"]),
        ({"status": 429}, ["429", "in a few minutes"]),
        ({"status": 500}, ["a fault of its own (500)", "try again"]),
        ({"status": 503}, ["a fault of its own (503)"]),
        ({"status": 418}, ["refuses", "418"]),
        ({"unanswered": True}, ["connection was cut"]),
        ({"unanswered": True, "reset": True}, ["connection was cut"]),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_refusal_says_what_to_do_and_leaves_nothing_behind(
    published: HubServer,
    naps: list[float],
    log_in: LogIn,
    fault: dict[str, Any],
    words: list[str],
) -> None:
    log_in(OWNER_TOKEN)
    published.fault("HEAD", "resolve", times=None, **fault)
    refused(HubError, lambda: Zoo.from_hub(NAME), *words)
    assert naps == []  # The client would have tried for minutes.
    published.clear_faults()
    zoo = Zoo.from_hub(NAME)
    published.fault("HEAD", "weights", times=None, **fault)
    refused(HubError, lambda: zoo.model(MODEL), *words)
    published.clear_faults()
    assert zoo.model(MODEL).model_id == MODEL


def test_the_pause_that_the_hub_asks_for_can_be_read(published: HubServer) -> None:
    published.fault("HEAD", "zoo.json", status=429, headers={"Retry-After": "37"})
    with pytest.raises(HubError) as caught:
        Zoo.from_hub(NAME)
    assert caught.value.retry_after == 37


def test_a_burst_of_faults_while_downloading_is_waited_for(
    published: HubServer, naps: list[float]
) -> None:
    zoo = Zoo.from_hub(NAME)
    published.fault("GET", "weights", status=429, times=2, headers={"Retry-After": "3"})
    assert zoo.model(MODEL).model_id == MODEL
    assert sum(naps) >= 6
    published.fault("GET", "tiny-rare/weights", status=500, times=1)
    refused(HubError, lambda: zoo.model(OTHER), "a fault of its own (500)")
    assert zoo.model(OTHER).model_id == OTHER


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_cut_in_the_middle_of_a_file(
    published: HubServer, client: Path, naps: list[float], reset: bool
) -> None:
    zoo = Zoo.from_hub(NAME)
    once = published.fault("GET", "weights", cut=500, reset=reset)
    if reset:  # Of this kind of end, the client does not try to go on.
        refused(HubError, lambda: zoo.model(MODEL), "tiny-bottleneck/weights", "cut")
        assert list(client.rglob("*.incomplete")) == []
    assert zoo.model(MODEL).model_id == MODEL
    assert once.hits == 1
    # Without end: nothing of it stays.
    published.fault("GET", "tiny-rare/weights", cut=0, reset=reset, times=None)
    refused(HubError, lambda: zoo.model(OTHER), "tiny-rare/weights", "cut")
    assert list(client.rglob("*.incomplete")) == []
    published.clear_faults()
    assert zoo.model(OTHER).model_id == OTHER


# Without the Hub.


def test_offline_with_and_without_a_cache(
    published: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(HubError, lambda: Zoo.from_hub(NAME), "is not in the Hub's cache", "HF_HUB_OFFLINE")
    assert published.requests == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    Zoo.from_hub(NAME).model(MODEL)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    before = len(published.requests)
    zoo = Zoo.from_hub(NAME)
    assert zoo.model(MODEL).model_id == MODEL
    refused(HubError, lambda: zoo.model(OTHER), "tiny-rare/index", "is not in the Hub's cache")
    refused(HubError, lambda: Zoo.from_hub(NAME, "v1"), "is not in the Hub's cache")
    assert len(published.requests) == before


def test_the_hub_gone_after_the_start(
    published: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    zoo = Zoo.from_hub(NAME)
    zoo.grid(GRID).check()
    published.stop()
    assert zoo.model(MODEL).model_id == MODEL
    refused(HubError, lambda: zoo.model(OTHER), "the Hub cannot be reached", "tiny-rare/index")
    # What was fetched can be opened again, and it is said what it is.
    with caplog.at_level(logging.WARNING):
        assert Zoo.from_hub(NAME).model(MODEL).model_id == MODEL
    assert "cannot be reached" in caplog.text
    assert f"Using commit {zoo.place.partition('@')[2][:12]}, fetched earlier" in caplog.text
    refused(HubError, lambda: Zoo.from_hub("ada/other"), "the Hub cannot be reached")
    published.start()
    assert zoo.model(OTHER).model_id == OTHER


def test_a_hub_that_hangs_is_waited_for_as_long_as_was_said(published: HubServer) -> None:
    Zoo.from_hub(NAME)  # imports the client, which takes its time
    held = published.fault("HEAD", "zoo.json", delay=1.5, times=1)
    refused(HubError, lambda: Zoo.from_hub(NAME, patience=0.5), "within 0.5 seconds")
    assert held.hits == 1
    zoo = Zoo.from_hub(NAME, patience=20)
    slow = published.fault("GET", "weights", delay=0.6)
    zoo.source._jobs.patience = 0.1  # type: ignore[attr-defined]
    refused(HubError, lambda: zoo.model(MODEL), "within 0.1 seconds", "try again")
    # It goes on meanwhile, once for everybody.
    zoo.source._jobs.patience = 20  # type: ignore[attr-defined]
    assert zoo.model(MODEL).model_id == MODEL
    assert slow.hits == 1
    assert paths_fetched(published).count(WEIGHTS) == 1


# Wrong content.


def test_other_bytes_of_the_right_length(published: HubServer, client: Path) -> None:
    zoo = Zoo.from_hub(NAME)
    # Once, as from a faulty proxy: fetched again, and all is well.
    published.fault("GET", "weights", corrupt=True)
    assert zoo.model(MODEL).model_id == MODEL
    # Every time: an error that says so, and no trace in the cache.
    lasting = published.fault("GET", "tiny-rare/weights", corrupt=True, times=None)
    message = refused(CorruptZoo, lambda: zoo.model(OTHER), "SHA-256", "was removed")
    assert f"grids/tiny-rare/weights.safetensors of hub:{NAME}@" in message
    assert lasting.hits == 2
    assert not [path for path in client.rglob("weights.safetensors") if "tiny-rare" in str(path)]
    published.clear_faults()
    assert zoo.model(OTHER).model_id == OTHER


def test_a_copy_that_was_damaged_in_the_cache_is_replaced(
    published: HubServer, client: Path
) -> None:
    Zoo.from_hub(NAME).model(MODEL)
    (link,) = [p for p in client.rglob("weights.safetensors") if GRID in str(p)]
    blob = link.resolve()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(bytes(data))
    published.stop()
    refused(HubError, lambda: Zoo.from_hub(NAME).model(MODEL), "weights", "cannot be reached")
    published.start()
    assert Zoo.from_hub(NAME).model(MODEL).model_id == MODEL


def test_a_damaged_manifest_in_the_cache_is_replaced(published: HubServer, client: Path) -> None:
    Zoo.from_hub(NAME)
    (link,) = client.rglob("zoo.json")
    link.resolve().write_bytes(b"{ not json")
    assert len(Zoo.from_hub(NAME)) == 64
    published.fault("GET", "zoo.json", corrupt=True, times=None)
    link.resolve().write_bytes(b"{ not json")
    refused(CorruptZoo, lambda: Zoo.from_hub(NAME), "not valid JSON")
    published.clear_faults()
    assert len(Zoo.from_hub(NAME)) == 64


def test_a_manifest_that_names_a_missing_file(
    hub: HubServer, client: Path, zoo_folder: Path
) -> None:
    files = files_of(zoo_folder)
    del files[WEIGHTS]
    hub.repo(NAME, files)
    zoo = Zoo.from_hub(NAME)
    for _ in range(2):
        refused(CorruptZoo, lambda: zoo.model(MODEL), WEIGHTS, "the repository does not have it")
    assert zoo.model(OTHER).model_id == OTHER


@pytest.mark.parametrize(
    "path", ["../../escape", "/etc/hostname", "grids/../../x", "grids\\x", "grids/x\0", "GRIDS/x"]
)
def test_a_path_that_climbs_out_is_never_asked_for(
    hub: HubServer, client: Path, zoo_folder: Path, path: str
) -> None:
    entry = {"sha256": "0" * 64, "bytes": 1}
    hub.repo(NAME, changed(zoo_folder, lambda m: m["grids"][GRID]["files"].update({path: entry})))
    refused(CorruptZoo, lambda: Zoo.from_hub(NAME), "names the file")
    assert {seen.path.rpartition("/")[2] for seen in hub.requests} == {"zoo.json"}


def test_a_file_larger_than_declared_is_not_downloaded(
    hub: HubServer, client: Path, zoo_folder: Path
) -> None:
    files = files_of(zoo_folder)
    files[WEIGHTS] += b"\0" * 100_000
    hub.repo(NAME, files)
    zoo = Zoo.from_hub(NAME)
    refused(CorruptZoo, lambda: zoo.model(MODEL), "it was not downloaded")
    assert hub.seen("GET", "weights") == []
    hub.commit(NAME, {"zoo.json": b" " * (2**23 + 1)})
    refused(CorruptZoo, lambda: Zoo.from_hub(NAME), "expected at most", "it was not downloaded")


def test_a_download_that_does_not_end_is_ended(
    hub: HubServer, client: Path, zoo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size was right when it was asked for, and then more and more comes."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**16)
    publish(hub, zoo_folder)
    zoo = Zoo.from_hub(NAME)
    repo = hub.repos[NAME]
    sha = zoo.grid(GRID).files[WEIGHTS].sha256
    repo.objects[sha] = b"\0" * 2**22
    refused(CorruptZoo, lambda: zoo.model(MODEL), "the download was ended")
    assert not [
        path for path in client.rglob("*") if path.is_file() and path.stat().st_size > 2**21
    ]


def test_the_same_meter_serves_downloads_by_xet() -> None:
    """The Hub's other way to send files, which the Hub of these tests has not."""
    options = {"reconstruction_desc": "", "log_level": logging.INFO, "total": 100}
    with XetDownloadProgressReporter(**options, tqdm_class=_metered(100)) as reporter:  # type: ignore[arg-type]
        for done in (10, 100):
            report = SimpleNamespace(
                total_bytes=100,
                total_bytes_completed=done,
                total_bytes_completion_rate=1.0,
                total_transfer_bytes_completed=done,
                total_transfer_bytes_completion_rate=None,
            )
            reporter.update_progress(report)
        report.total_bytes_completed = 2**22
        with pytest.raises(_TooLong):
            reporter.update_progress(report)


def test_a_huge_declared_shape_is_refused_before_anything_is_fetched(
    hub: HubServer, client: Path, zoo_folder: Path
) -> None:
    def huge(manifest: dict[str, Any]) -> None:
        manifest["grids"][GRID]["spec"][0].update(n_features=10**9)

    hub.repo(NAME, changed(zoo_folder, huge))
    refused(CorruptZoo, lambda: Zoo.from_hub(NAME), "n_features is 1000000000; expected at most")

    def large(manifest: dict[str, Any]) -> None:
        manifest["grids"][GRID]["files"][TRAJECTORIES].update(bytes=10**15)

    hub.commit(NAME, changed(zoo_folder, large))
    refused(CorruptZoo, lambda: Zoo.from_hub(NAME), "expected at most 4,294,967,296")
    assert {seen.path.rpartition("/")[2] for seen in hub.requests} == {"zoo.json"}


# The cache.


@pytest.fixture
def no_cache(client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache is below what is a file, so that not even root can write there."""
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "hub"
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setattr(constants, name, str(folder))
    return folder


def test_a_cache_that_cannot_be_written_to(
    hub: HubServer, client: Path, zoo_folder: Path, no_cache: Path
) -> None:
    publish(hub, zoo_folder)
    refused(HubError, lambda: Zoo.from_hub(NAME), str(no_cache), "HF_HUB_CACHE")
