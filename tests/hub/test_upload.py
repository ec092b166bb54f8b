"""`python -m training upload`, with the real client, to a Hub that may be in any mood."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

import training.upload
from tests.hub.conftest import OWNER_TOKEN, READER_TOKEN
from tests.hub.server import HubServer
from tests.zoo.conftest import build, declared_grids, random_result
from training.cli import main
from zoo import Zoo
from zoo.format import CARD, MANIFEST, read_manifest
from zoo.writer import write_grid, write_manifest

ROOT = Path(__file__).parents[2]
NAME = "ada/zoo"

LogIn = Callable[[str], None]


class Run:
    """The command in this process; a run never shows the token or a traceback."""

    def __init__(self, capfd: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capfd = capfd
        self.folder = folder
        self.out = self.err = ""

    def __call__(self, *arguments: str, zoo: Path | None = None, name: str = NAME) -> int:
        self._capfd.readouterr()
        status = main(["upload", "--repo-id", name, "--zoo", str(zoo or self.folder), *arguments])
        self.out, self.err = self._capfd.readouterr()
        check_output(self.out + self.err)
        return status


def check_output(text: str) -> None:
    for secret in (OWNER_TOKEN, READER_TOKEN):
        assert secret not in text
    assert "Traceback" not in text


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny-zoo"))


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny, tmp_path / "zoo")


@pytest.fixture
def run(
    client: Path, log_in: LogIn, capfd: pytest.CaptureFixture[str], folder: Path, waits: list[float]
) -> Run:
    log_in(OWNER_TOKEN)
    return Run(capfd, folder)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the command waits between its attempts, without waiting."""
    taken: list[float] = []
    monkeypatch.setattr(training.upload, "time", SimpleNamespace(sleep=taken.append))
    return taken


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares a test that runs the command often the checks of a zoo that is sound."""
    monkeypatch.setattr(training.upload, "verified", Zoo.open)


@pytest.fixture
def next_version(folder: Path, tmp_path: Path) -> Path:
    """A later zoo: one grid trained anew, one gone, the others as they were."""
    later = tmp_path / "later"
    kept, anew, gone, *rest = declared_grids()
    entries = read_manifest(folder).grids
    other = [random_result(spec.with_seed(spec.seed + 50), False) for spec in anew]
    for name in (kept.name, *(grid.name for grid in rest)):
        shutil.copytree(folder / "grids" / name, later / "grids" / name)
    write_manifest(
        later,
        [entry for name, entry in entries.items() if name not in (anew.name, gone.name)]
        + [write_grid(later, anew, other)],
        version="0.2.0",
        order=list(entries),
    )
    return later


def files_of(zoo: Path) -> dict[str, bytes]:
    """What is to be on the Hub of a zoo, but for the card."""
    manifest = read_manifest(zoo)
    paths = [MANIFEST, *(path for entry in manifest.grids.values() for path in entry.files)]
    return {path: (zoo / path).read_bytes() for path in paths}


def published(hub: HubServer, revision: str = "main", name: str = NAME) -> dict[str, bytes]:
    """What is on the Hub of a zoo, but for the card and the Hub's own file."""
    commit = hub.repos[name].find(revision)
    assert commit is not None
    aside = (CARD, ".gitattributes")
    return {path: file.data for path, file in commit.files.items() if path not in aside}


def writes(hub: HubServer) -> list[str]:
    return [f"{r.method} {r.path}" for r in hub.requests if r.method not in ("GET", "HEAD")]


def state(hub: HubServer) -> dict[str, tuple[dict[str, str], dict[str, str], bool]]:
    """What a reader could see of the Hub."""
    return {n: (dict(r.branches), dict(r.tags), r.private) for n, r in hub.repos.items()}


# What goes up.


def test_a_zoo_is_published_in_one_commit_with_a_tag(hub: HubServer, run: Run) -> None:
    (run.folder / ".build/shard").mkdir(parents=True)
    (run.folder / ".build/shard/half.safetensors").write_bytes(b"not yet")
    (run.folder / "notes.txt").write_text("mine alone")
    (run.folder / "grids/tiny-sizes/scratch.npy").write_bytes(b"mine too")

    assert run() == 0
    repo = hub.repos[NAME]
    assert [c.title for c in repo.history()] == ["Superposition zoo 0.1.0", "initial commit"]
    assert repo.tags == {"v0.1.0": repo.branches["main"]}
    assert published(hub) == files_of(run.folder)
    assert not repo.private
    assert run.out.splitlines()[-1] == f"{hub.url}/{NAME}/tree/v0.1.0"
    assert "checking the zoo" in run.err
    assert "100%" in run.err  # the client's own bars

    # What was published can be read as a zoo.
    for path, data in published(hub, "v0.1.0").items():
        target = run.folder.parent / "back" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    assert len(Zoo.open(run.folder.parent / "back").table) == len(Zoo.open(run.folder).table)


def test_what_has_not_changed_is_not_sent(hub: HubServer, run: Run) -> None:
    assert run() == 0
    before = state(hub)
    hub.requests.clear()
    assert run() == 0
    assert state(hub) == before
    assert writes(hub) == []
    assert "main has this zoo already; nothing was sent" in run.out
    assert run.out.splitlines()[-1] == f"{hub.url}/{NAME}/tree/v0.1.0"


def test_a_later_version_sends_and_removes_what_differs(
    hub: HubServer, run: Run, next_version: Path
) -> None:
    assert run() == 0
    hub.commit(NAME, {"LICENSE": b"theirs", "grids/plot.png": b"theirs too"})
    first = hub.repos[NAME].tags["v0.1.0"]
    hub.requests.clear()
    assert run(zoo=next_version) == 0

    repo = hub.repos[NAME]
    theirs = {"LICENSE": b"theirs", "grids/plot.png": b"theirs too"}
    assert published(hub) == files_of(next_version) | theirs
    assert published(hub, "v0.1.0") == files_of(run.folder)
    assert repo.tags == {"v0.1.0": first, "v0.2.0": repo.branches["main"]}
    assert len(hub.seen("PUT", "")) == 2  # index and weights of one grid
    assert "removed grids/tiny-absolute/weights.safetensors" in run.out
    assert len(hub.seen("POST", "/commit/")) == 1


def test_a_version_that_is_tagged_with_other_content_is_refused(
    hub: HubServer, run: Run, next_version: Path
) -> None:
    assert run() == 0
    manifest = read_manifest(next_version)
    write_manifest(next_version, manifest.grids.values(), version="0.1.0")
    before = state(hub)
    hub.requests.clear()
    assert run(zoo=next_version) == 1
    assert "v0.1.0 is on the Hub with other content" in run.err
    assert "raise ZOO_VERSION" in run.err
    assert state(hub) == before
    assert writes(hub) == []


def test_other_words_in_the_card_are_no_other_version(
    hub: HubServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run() == 0
    tagged = hub.repos[NAME].tags["v0.1.0"]
    said = training.upload.full_card
    monkeypatch.setattr(training.upload, "full_card", lambda *a: said(*a) + "\nOne more word.\n")
    assert run() == 0
    assert "sent 1 file" in run.out
    assert hub.repos[NAME].read(CARD).endswith(b"One more word.\n")
    assert hub.repos[NAME].tags == {"v0.1.0": tagged}


def test_a_branch_of_its_own(hub: HubServer, run: Run) -> None:
    hub.repo(NAME, {"LICENSE": b"theirs"})
    main_before = hub.repos[NAME].branches["main"]
    assert run("--revision", "try/this") == 0
    repo = hub.repos[NAME]
    assert repo.branches["main"] == main_before
    assert published(hub, "try/this") == files_of(run.folder) | {"LICENSE": b"theirs"}
    assert repo.tags["v0.1.0"] == repo.branches["try/this"]

    # On to main: nothing is sent twice, the tag stays where it is.
    hub.requests.clear()
    assert run() == 0
    assert hub.seen("PUT", "") == []
    assert published(hub) == published(hub, "v0.1.0")
    assert repo.tags["v0.1.0"] == repo.branches["try/this"]


def test_a_private_repository(hub: HubServer, run: Run) -> None:
    assert run("--private") == 0
    assert hub.repos[NAME].private
    assert run("--private") == 0
    hub.repo("ada/open")
    before = state(hub)
    assert run("--private", name="ada/open") == 1
    assert "ada/open exists and is public" in run.err
    assert state(hub) == before


def test_a_dry_run_says_all_and_writes_nothing(
    hub: HubServer, run: Run, next_version: Path
) -> None:
    assert run("--dry-run", "--private", "--revision", "draft") == 0
    assert hub.repos == {}
    assert writes(hub) == []
    assert f"{NAME}, private, to be created" in run.out
    assert "branch draft, to be created from main" in run.out
    assert set(re.findall(r"^  send +(\S+)", run.out, re.MULTILINE)) == {
        CARD,
        *files_of(run.folder),
    }
    assert "tag v0.1.0, to be created" in run.out
    assert re.search(r"would send 14 files, .*nothing was written", run.out)

    assert run() == 0
    hub.commit(NAME, {"LICENSE": b"theirs"})
    before = state(hub)
    hub.requests.clear()
    assert run("--dry-run", zoo=next_version) == 0
    rows = dict(re.findall(r"^  (?:send|unchanged|remove|leave) +(\S+) +(\S.*)$", run.out, re.M))
    what = dict(re.findall(r"^  (send|unchanged|remove|leave) +(\S+)", run.out, re.M))
    verbs = {path: verb for verb, path in re.findall(r"^  (\w+) +(\S+)", run.out, re.M)}
    assert what.keys() == {"send", "unchanged", "remove", "leave"}
    assert verbs["grids/tiny-sizes/weights.safetensors"] == "send"
    assert verbs["grids/tiny-rare/weights.safetensors"] == "unchanged"
    assert verbs["grids/tiny-absolute/index.parquet"] == "remove"
    assert verbs["LICENSE"] == "leave"
    assert rows["grids/tiny-absolute/index.parquet"] == "no longer in the zoo"
    assert state(hub) == before
    assert writes(hub) == []


# The card.


def test_the_card_on_the_hub_is_valid_and_its_commands_work(
    hub: HubServer, run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    assert run() == 0
    card = ModelCard.load(NAME)
    card.validate()
    assert card.data.license == "mit"
    assert card.data.library_name == "pytorch"
    assert "superposition" in (card.data.tags or [])
    assert "OWNER/NAME" not in card.text

    commands = re.findall(r"```bash\n(.*?)```", card.text, re.DOTALL)
    snippets = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    model_id = re.findall(r"This one is `(.*?)`", card.text)[0]
    expected = Zoo.open(run.folder).model(model_id).parameters
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    bare = {**environment, "PATH": path, "PYTHONPATH": ""}
    for command, snippet in zip(commands, snippets[:2], strict=True):
        subprocess.run(command, shell=True, cwd=tmp_path, env=bare, check=True)
        save = "numpy.savez('read.npz', **{n: globals()[n] for n in ('W', 'b') if n in globals()})"
        script = f"{snippet}\nimport numpy\n{save}"
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=bare, check=True)
        with np.load(tmp_path / "read.npz") as read:
            for tensor in read.files:
                np.testing.assert_array_equal(read[tensor], expected[tensor])
    # With the zoo's own code, nothing has to be downloaded first.
    names: dict[str, Any] = {}
    exec(snippets[2], names)
    assert names["zoo"].place.startswith(f"hub:{NAME}@")
    np.testing.assert_array_equal(names["model"].parameters["W"], expected["W"])


# Requests that cannot be served.


@pytest.mark.parametrize("name", ["zoo", "ada/zoo/more", "ada/z oo", "ada/a--b", "../zoo", ""])
def test_a_bad_id_of_a_repository(hub: HubServer, run: Run, name: str) -> None:
    assert run(name=name) == 2
    assert "expected OWNER/NAME, as in ada/superposition-zoo" in run.err
    assert hub.requests == []


def test_a_bad_branch(hub: HubServer, run: Run) -> None:
    for branch in ("", "0" * 40):
        assert run("--revision", branch) == 2
        assert "expected the name of a branch" in run.err
    assert hub.requests == []
    assert run() == 0
    assert run("--revision", "v0.1.0") == 2
    assert "v0.1.0 is a tag" in run.err


def test_a_zoo_that_is_not_sound_stays_here(hub: HubServer, run: Run, tmp_path: Path) -> None:
    assert run(zoo=tmp_path / "nowhere") == 2
    path = run.folder / "grids/tiny-sizes/weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert run() == 1
    assert "weights.safetensors" in run.err
    assert writes(hub) == []


def test_without_a_token(
    hub: HubServer, run: Run, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert run() == 1
    assert "run `hf auth login`, or set HF_TOKEN" in run.err
    assert hub.requests == []

    log_in("hf_expired")
    assert run() == 1
    assert "does not accept the token (401" in run.err

    log_in(READER_TOKEN)
    assert run() == 1
    assert "the token of bob may only read" in run.err
    assert writes(hub) == []
    assert hub.repos == {}


def test_without_permission(hub: HubServer, run: Run) -> None:
    hub.repo("eve/zoo")
    before = state(hub)
    assert run(name="eve/zoo") == 1
    assert "may not write to eve/zoo (403" in run.err
    assert run(name="eve/new") == 1
    assert "may not write to eve/new (403" in run.err
    assert state(hub) == before
    # Whatever the Hub says of the token, it is not repeated.
    hub.fault("POST", "/repos/create", status=403, message=f"{OWNER_TOKEN} is not enough")
    assert run() == 1
    assert "(403: … is not enough)" in run.err


def test_offline(hub: HubServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert run() == 1
    assert "HF_HUB_OFFLINE" in run.err
    hub.stop()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert run() == 1
    assert f"cannot reach the Hub at {hub.url}" in run.err
    assert "when the network is there, run the same command again" in run.err


# Everything that can go wrong on the way.

STEPS = [
    ("GET", "/whoami-v2"),
    ("GET", f"/api/models/{NAME}$"),
    ("POST", "/repos/create"),
    ("GET", "/refs"),
    ("GET", "/tree/"),
    ("POST", "/validate-yaml"),
    ("POST", "/preupload/"),
    ("POST", "/objects/batch"),
    ("PUT", "/ada/zoo/"),
    ("POST", "/commit/"),
    ("POST", "/tag/"),
]


def unseen(hub: HubServer) -> bool:
    """Whether readers see nothing of the zoo."""
    return NAME not in hub.repos or published(hub) == {}


@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_refused_for_good_at_any_step(hub: HubServer, run: Run, status: int) -> None:
    told = {401: "token", 403: "may not write", 404: "not find", 429: "requests", 500: "trouble"}
    for method, pattern in STEPS:
        if status == 404 and pattern.endswith("$"):
            continue  # for that step it means that there is no repository yet
        hub.repos.clear()
        fault = hub.fault(method, pattern, status=status, times=None)
        assert run() == 1, pattern
        assert fault.hits, pattern
        assert told[status] in run.err, pattern
        # The commit is all or nothing, and the tag comes after it.
        if pattern == "/tag/":
            assert published(hub) == files_of(run.folder)
            assert hub.repos[NAME].tags == {}
        else:
            assert unseen(hub), pattern
        hub.clear_faults()
        assert run() == 0, pattern
        assert published(hub, "v0.1.0") == files_of(run.folder)
        assert len(hub.repos[NAME].history()) == 2, pattern


@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize(
    "what",
    [
        {"status": 429, "headers": {"Retry-After": "3"}},
        {"status": 500, "times": 3},
        {"status": 503, "times": 2, "headers": {"Retry-After": "1"}},
        {"status": 502, "html": True},
        {"unanswered": True},
        {"unanswered": True, "reset": True},
    ],
    ids=str,
)
def test_passing_trouble_at_any_step(hub: HubServer, run: Run, what: dict[str, object]) -> None:
    for method, pattern in STEPS:
        hub.repos.clear()
        fault = hub.fault(method, pattern, **what)
        assert run() == 0, (pattern, run.err)
        assert fault.hits == what.get("times", 1), pattern
        assert published(hub, "v0.1.0") == files_of(run.folder)
        assert len(hub.repos[NAME].history()) == 2, pattern
        hub.clear_faults()


def test_the_wait_that_the_hub_asks_for(hub: HubServer, run: Run, waits: list[float]) -> None:
    hub.fault("POST", "/commit/", status=429, headers={"Retry-After": "17"})
    hub.fault("GET", "/refs", status=429, headers={"RateLimit": '"api";r=0;t=23'})
    hub.fault("POST", "/tag/", status=500)
    assert run() == 0
    assert waits == [23, 17, 8]
    assert (
        "too many requests from here (429: injected by the test); trying again in 17 s" in run.err
    )

    hub.repos.clear()
    hub.fault("POST", "/commit/", status=429, headers={"Retry-After": "3600"})
    assert run() == 1
    assert "in 3600 s, run the same command again" in run.err
    assert unseen(hub)


def test_an_upload_that_is_cut(hub: HubServer, run: Run) -> None:
    cut = hub.fault("PUT", "", cut=100, times=3)
    assert run() == 0
    assert cut.hits == 3
    assert published(hub) == files_of(run.folder)

    # For good, after four files have arrived: those are not sent again.
    hub.repos.clear()
    hub.fault("PUT", "", cut=100, times=None, after=4)
    assert run() == 1
    assert "the connection to the Hub broke" in run.err
    assert unseen(hub)
    arrived = len(hub.repos[NAME].objects)
    assert arrived == 4
    hub.clear_faults()
    hub.requests.clear()
    assert run() == 0
    large = sum(path != MANIFEST for path in files_of(run.folder))
    assert len(hub.seen("PUT", "")) == large - arrived
    assert published(hub) == files_of(run.folder)


def test_somebody_else_commits_in_between(
    hub: HubServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = training.upload.publish
    others = iter([b"theirs"])

    def overtaken(*arguments: object) -> None:
        if (words := next(others, None)) is not None:
            hub.commit(NAME, {"LICENSE": words}, title="Licence")
        publish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training.upload, "publish", overtaken)
    assert run() == 0
    assert "somebody else wrote to ada/zoo (412" in run.err
    assert published(hub) == files_of(run.folder) | {"LICENSE": b"theirs"}
    titles = [commit.title for commit in hub.repos[NAME].history()]
    assert titles == ["Superposition zoo 0.1.0", "Licence", "initial commit"]


def test_the_hub_goes_away_in_the_middle(
    hub: HubServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fault("POST", "/objects/batch", cut=0)
    monkeypatch.setattr(
        "huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: hub.stop())
    )
    assert run() == 1
    assert f"cannot reach the Hub at {hub.url}" in run.err
    hub.start()
    assert unseen(hub)
    assert run() == 0
    assert published(hub, "v0.1.0") == files_of(run.folder)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "training", "upload", "--repo-id", NAME, *arguments]


def test_killed_outright_and_run_again(
    hub: HubServer, folder: Path, environment: dict[str, str]
) -> None:
    environment["HF_TOKEN"] = OWNER_TOKEN
    hub.fault("PUT", "", delay=600, times=None, after=3)
    process = subprocess.Popen(
        command("--zoo", str(folder)),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while len(hub.seen("PUT", "")) < 4 or len(hub.repos[NAME].objects) < 3:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    check_output(output)
    assert unseen(hub)
    assert hub.repos[NAME].tags == {}

    hub.clear_faults()
    hub.requests.clear()
    again = subprocess.run(
        command("--zoo", str(folder)),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    check_output(again.stdout + again.stderr)
    assert again.returncode == 0, again.stderr
    large = sum(path != MANIFEST for path in files_of(folder))
    assert len(hub.seen("PUT", "")) == large - 3
    assert published(hub, "v0.1.0") == files_of(folder)
    assert len(hub.repos[NAME].history()) == 2


def test_an_upload_does_not_wait_for_torch(environment: dict[str, str]) -> None:
    script = (
        "import sys\n"
        "import training.cli, training.upload\n"
        "assert training.cli.main(['upload', '--repo-id', 'nobody']) == 2\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
