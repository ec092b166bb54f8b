"""The Hub of the tests, held against the real client: it must behave as the Hub would."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelCard,
    constants,
    get_token,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import get_session

from tests.hub.conftest import OWNER_TOKEN, READER_TOKEN
from tests.hub.server import HubServer

NAME = "ada/zoo"
WEIGHTS = bytes(range(256)) * 40
SMALL = b"a few words\n"

LogIn = Callable[[str], None]


@pytest.fixture
def api(client: Path, log_in: LogIn) -> HfApi:
    log_in(OWNER_TOKEN)
    return HfApi()


def add(**files: bytes) -> list[CommitOperationAdd]:
    names = {"weights": "grids/a/weights.safetensors", "notes": "notes.txt", "card": "README.md"}
    return [CommitOperationAdd(names[name], data) for name, data in files.items()]


def commit(api: HfApi, *, parent: str | None = None, **files: bytes) -> str:
    made = api.create_commit(
        NAME, operations=add(**files), commit_message="Some files", parent_commit=parent
    )
    return made.oid


def test_a_repository_is_made_filled_tagged_and_read(hub: HubServer, api: HfApi) -> None:
    assert api.whoami()["name"] == "ada"
    assert api.create_repo(NAME) == f"{hub.url}/{NAME}"
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(NAME)
    assert api.create_repo(NAME, exist_ok=True).repo_id == NAME

    first = commit(api, weights=WEIGHTS, notes=SMALL)
    api.create_tag(NAME, tag="v1", revision=first)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(NAME, tag="v1")
    second = commit(api, weights=WEIGHTS[::-1])

    refs = api.list_repo_refs(NAME)
    assert [(r.name, r.target_commit) for r in refs.branches] == [("main", second)]
    assert [(r.name, r.ref, r.target_commit) for r in refs.tags] == [("v1", "refs/tags/v1", first)]
    assert [c.title for c in api.list_repo_commits(NAME)] == ["Some files"] * 2 + ["initial commit"]
    tree = {f.path: f for f in api.list_repo_tree(NAME, recursive=True, revision="v1")}
    assert set(tree) == {
        ".gitattributes",
        "grids",
        "grids/a",
        "grids/a/weights.safetensors",
        "notes.txt",
    }
    checksums = {f.path: f.lfs and f.lfs.sha256 for f in tree.values() if isinstance(f, RepoFile)}
    assert checksums["grids/a/weights.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert checksums["notes.txt"] is None
    info = api.model_info(NAME, revision="v1", files_metadata=True)
    assert info.sha == first
    assert {s.rfilename: s.size for s in info.siblings or []}["notes.txt"] == len(SMALL)

    # A branch moves, a tag and a commit do not.
    for revision, expected in ((None, WEIGHTS[::-1]), ("v1", WEIGHTS), (first, WEIGHTS)):
        path = hf_hub_download(NAME, "grids/a/weights.safetensors", revision=revision)
        assert Path(path).read_bytes() == expected
    folder = Path(snapshot_download(NAME, revision="v1"))
    assert folder.name == first
    assert (folder / "notes.txt").read_bytes() == SMALL


def test_large_files_travel_apart_from_the_token(hub: HubServer, api: HfApi) -> None:
    api.create_repo(NAME)
    commit(api, weights=WEIGHTS, notes=SMALL)
    hf_hub_download(NAME, "grids/a/weights.safetensors")

    stored = [r for r in hub.requests if r.storage]
    assert [(r.method, r.token) for r in stored] == [("PUT", None), ("GET", None)]
    assert stored[0].received == len(WEIGHTS)
    assert all(r.token == OWNER_TOKEN for r in hub.requests if not r.storage)
    # Without its signature the address is worth nothing.
    assert get_session().get(hub.storage_url + stored[1].path).status_code == 403


def test_a_large_file_goes_in_parts(hub: HubServer, api: HfApi) -> None:
    hub.part = 3000
    api.create_repo(NAME)
    commit(api, weights=WEIGHTS)
    assert [r.received for r in hub.seen("PUT", "")] == [3000, 3000, 3000, len(WEIGHTS) - 9000]
    assert hub.repos[NAME].read("grids/a/weights.safetensors") == WEIGHTS


def test_what_is_there_is_not_sent_again(hub: HubServer, api: HfApi) -> None:
    api.create_repo(NAME)
    first = commit(api, weights=WEIGHTS, notes=SMALL)
    hub.requests.clear()
    assert commit(api, weights=WEIGHTS, notes=SMALL) == first
    assert not hub.seen("PUT", "")
    assert not hub.seen("POST", "/commit/")


def test_commits_are_whole_and_in_order(hub: HubServer, api: HfApi) -> None:
    api.create_repo(NAME)
    first = commit(api, notes=SMALL)
    second = commit(api, weights=WEIGHTS, parent=first)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since"):
        commit(api, notes=b"late", parent=first)
    with pytest.raises(EntryNotFoundError):
        api.create_commit(
            NAME,
            operations=[*add(notes=b"half"), CommitOperationDelete("nothing.txt")],
            commit_message="Half",
        )
    assert hub.repos[NAME].branches["main"] == second
    assert hub.repos[NAME].read("notes.txt") == SMALL

    api.delete_file("notes.txt", NAME)
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(NAME, "notes.txt")
    assert Path(hf_hub_download(NAME, "notes.txt", revision=second)).read_bytes() == SMALL


def test_branches(hub: HubServer, api: HfApi) -> None:
    api.create_repo(NAME)
    commit(api, notes=SMALL)
    api.create_branch(NAME, branch="try/this")
    api.create_commit(
        NAME, operations=add(notes=b"other"), commit_message="Other", revision="try/this"
    )
    assert Path(hf_hub_download(NAME, "notes.txt", revision="try/this")).read_bytes() == b"other"
    assert Path(hf_hub_download(NAME, "notes.txt")).read_bytes() == SMALL
    for revision in ("nowhere", "0" * 40):
        with pytest.raises(RevisionNotFoundError):
            hf_hub_download(NAME, "notes.txt", revision=revision)


def test_who_may_do_what(hub: HubServer, client: Path, log_in: LogIn) -> None:
    hub.repo(NAME, {"notes.txt": SMALL})
    hub.repo("ada/hidden", {"notes.txt": SMALL}, private=True)
    api = HfApi()

    assert get_token() is None
    assert Path(hf_hub_download(NAME, "notes.txt")).read_bytes() == SMALL
    with pytest.raises(RepositoryNotFoundError, match="401"):
        hf_hub_download("ada/hidden", "notes.txt")
    with pytest.raises(HfHubHTTPError, match="401"):
        api.create_repo("ada/new")

    log_in(READER_TOKEN)
    with pytest.raises(RepositoryNotFoundError, match="404"):
        hf_hub_download("ada/hidden", "notes.txt")
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_repo("ada/new")
    with pytest.raises(HfHubHTTPError, match="403"):
        commit(api, notes=b"graffiti")

    log_in("hf_expired")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami()
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        api.model_info(NAME)

    log_in(OWNER_TOKEN)
    assert Path(hf_hub_download("ada/hidden", "notes.txt")).read_bytes() == SMALL
    assert api.create_repo("lab/shared", private=True).repo_id == "lab/shared"
    assert hub.repos["lab/shared"].private


def test_byte_ranges(hub: HubServer, api: HfApi) -> None:
    hub.repo(NAME, {"grids/a/weights.safetensors": WEIGHTS, "notes.txt": SMALL})
    session = get_session()
    for path, data in (("grids/a/weights.safetensors", WEIGHTS), ("notes.txt", SMALL)):
        url = f"{hub.url}/{NAME}/resolve/main/{path}"
        for asked, expected in (("2-5", data[2:6]), ("7-", data[7:]), ("-3", data[-3:])):
            answer = session.get(url, headers={"Range": f"bytes={asked}"})
            assert (answer.status_code, answer.content) == (206, expected)
        assert session.get(url, headers={"Range": "bytes=999999-"}).status_code == 416
        head = session.head(url)
        assert (head.headers["content-length"], head.content) == (str(len(data)), b"")


def test_long_listings_come_in_pages(hub: HubServer, api: HfApi) -> None:
    names = [f"f{i:02d}.txt" for i in range(25)]
    hub.repo(NAME, dict.fromkeys(names, SMALL))
    hub.page = 10
    found = [f.path for f in api.list_repo_tree(NAME, recursive=True)]
    assert found == [".gitattributes", *names]
    assert len(hub.seen("GET", "/tree/")) == 3
    assert [f.path for f in api.get_paths_info(NAME, ["f03.txt", "none.txt"])] == ["f03.txt"]


def test_cards_are_checked(hub: HubServer, api: HfApi) -> None:
    ModelCard("---\nlicense: mit\ntags:\n- a\n---\n# Words\n").validate()
    for header in ("license: mine", "tags: one", "tags: [1]", "library_name: [a]", "a: ]"):
        with pytest.raises(ValueError, match=r"must be|expected"):
            commit(api, card=f"---\n{header}\n---\n".encode())
    api.create_repo(NAME)
    with pytest.warns(UserWarning, match="empty or missing yaml"):
        commit(api, card=b"# No header\n")
    commit(api, card=b"---\nlicense: mit\ntags: [toys]\n---\n# Words\n")
    info = api.model_info(NAME)
    assert info.tags == ["toys"]
    assert info.card_data is not None
    assert info.card_data.license == "mit"


# Faults.


@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_client_waits_and_tries_again(
    hub: HubServer, api: HfApi, naps: list[float], status: int
) -> None:
    hub.repo(NAME, {"grids/a/weights.safetensors": WEIGHTS})
    fault = hub.fault("HEAD", "weights", status=status, times=3, headers={"Retry-After": "7"})
    path = hf_hub_download(NAME, "grids/a/weights.safetensors")
    assert Path(path).read_bytes() == WEIGHTS
    assert fault.hits == 3
    assert naps == [8.0] * 2  # the first failure sends the client to its cache, not to bed


@pytest.mark.parametrize("status", [401, 403, 404])
def test_the_client_is_refused(hub: HubServer, api: HfApi, status: int) -> None:
    hub.repo(NAME, {"notes.txt": SMALL})
    hub.fault("GET", "/api/models/", status=status, message="closed today")
    with pytest.raises(HfHubHTTPError, match="closed today") as caught:
        api.model_info(NAME)
    assert caught.value.response.status_code == status
    assert api.model_info(NAME).id == NAME  # once was asked for, and no more


def test_a_download_that_is_cut_goes_on_where_it_was(
    hub: HubServer, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.repo(NAME, {"grids/a/weights.safetensors": WEIGHTS})
    fault = hub.fault("GET", "weights.safetensors", cut=4000)
    path = hf_hub_download(NAME, "grids/a/weights.safetensors")
    assert Path(path).read_bytes() == WEIGHTS
    assert fault.hits == 1
    assert hub.seen("GET", "weights.safetensors")[1].headers["range"] == "bytes=4000-"


def test_a_connection_that_is_reset(hub: HubServer, api: HfApi) -> None:
    hub.repo(NAME, {"grids/a/weights.safetensors": WEIGHTS})
    hub.fault("GET", "weights.safetensors", cut=4000, reset=True, times=None)
    with pytest.raises(httpx2.NetworkError):
        hf_hub_download(NAME, "grids/a/weights.safetensors")
    hub.clear_faults()
    path = hf_hub_download(NAME, "grids/a/weights.safetensors")
    assert Path(path).read_bytes() == WEIGHTS


def test_wrong_bytes_of_the_right_length(hub: HubServer, api: HfApi) -> None:
    hub.repo(NAME, {"grids/a/weights.safetensors": WEIGHTS})
    fault = hub.fault("GET", "weights.safetensors", corrupt=True)
    wrong = Path(hf_hub_download(NAME, "grids/a/weights.safetensors")).read_bytes()
    assert fault.hits == 1
    assert len(wrong) == len(WEIGHTS)
    assert wrong != WEIGHTS


def test_an_upload_that_is_cut_is_sent_again(hub: HubServer, api: HfApi) -> None:
    api.create_repo(NAME)
    fault = hub.fault("PUT", "", cut=4000, times=2)
    commit(api, weights=WEIGHTS)
    assert fault.hits == 2
    assert hub.repos[NAME].read("grids/a/weights.safetensors") == WEIGHTS


def test_an_answer_that_is_lost(hub: HubServer, api: HfApi) -> None:
    api.create_repo(NAME)
    hub.fault("POST", "/commit/", unanswered=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        commit(api, notes=SMALL)
    assert hub.repos[NAME].read("notes.txt") == SMALL


def test_slow_answers(hub: HubServer, api: HfApi) -> None:
    hub.repo(NAME, {"notes.txt": SMALL})
    hub.fault("HEAD", "notes", delay=2)
    # The client gives up on the first answer, and has more patience with the second.
    path = hf_hub_download(NAME, "notes.txt", etag_timeout=0.05)
    assert Path(path).read_bytes() == SMALL
    assert len(hub.seen("HEAD", "notes")) == 2


def test_a_hub_that_goes_and_comes_back(hub: HubServer, api: HfApi) -> None:
    hub.repo(NAME, {"notes.txt": SMALL})
    kept = hf_hub_download(NAME, "notes.txt")
    url = hub.url
    hub.stop()
    with pytest.raises(httpx2.ConnectError):
        api.model_info(NAME)
    assert hf_hub_download(NAME, "notes.txt") == kept
    hub.start()
    assert hub.url == url
    assert api.model_info(NAME).id == NAME


def test_the_command_line_of_the_client(
    hub: HubServer, environment: dict[str, str], tmp_path: Path
) -> None:
    hub.repo("ada/hidden", {"grids/a/weights.safetensors": WEIGHTS}, private=True)
    hf = Path(sys.executable).with_name("hf")
    run = subprocess.run(
        [hf, "download", "ada/hidden", "--local-dir", tmp_path / "here"],
        env={**environment, "HF_TOKEN": OWNER_TOKEN},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "here/grids/a/weights.safetensors").read_bytes() == WEIGHTS
