"""Publish a zoo on the Hub: what changed goes up in one commit, and a tag names the version.

At first nothing is written: the zoo is verified, and its files are held by checksum against
those of the branch. Then the large files are sent, which no reader sees yet; one commit, made
only on top of the revision that was looked at, shows everything at once; a tag names it. So a
run that is stopped anywhere leaves the repository as it was, or lacking its tag alone, and the
same command goes on from there.

A published version does not change: where its tag has other content, nothing is sent.
"""

from __future__ import annotations

import hashlib
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    RepoFile,
    get_token,
)
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from training.hub_trouble import CLIENT_ERRORS, understood
from zoo.card import file_size, full_card
from zoo.errors import CorruptZoo
from zoo.format import (
    CARD,
    INDEX,
    MANIFEST,
    TRAJECTORIES,
    WEIGHTS,
    ZOO_VERSION,
    sha256,
    tag_of,
)
from zoo.reading import Zoo
from zoo.verify import stale_measure

# A Hub that stumbles or is busy is asked again: how often in all, after how many seconds at
# first, and how many at once it may ask for.
ATTEMPTS = 4
FIRST_WAIT = 2.0
LONGEST_WAIT = 120.0

_GRID_FILE = re.compile(
    rf"grids/[^/]+/(?:{'|'.join(map(re.escape, (INDEX, WEIGHTS, TRAJECTORIES)))})"
)

Say = Callable[[str], None]


class UploadError(Exception):
    """An upload that was refused or has failed; the message says what to do next.

    Attributes:
        status: for the shell: 2 if the request is wrong, 1 otherwise.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class LocalFile:
    """A file to publish.

    Attributes:
        path: in the repository.
        source: its content, or where on disk that is.
    """

    path: str
    size: int
    sha256: str
    source: bytes | Path

    @cached_property
    def blob(self) -> str:
        """Git's name of the content, by which the Hub knows small files."""
        data = self.source if isinstance(self.source, bytes) else self.source.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def is_at(self, remote: RepoFile | None) -> bool:
        """Whether the Hub has this content."""
        if remote is None:
            return False
        if remote.lfs is not None:
            return bool(remote.lfs.sha256 == self.sha256)
        return bool(remote.blob_id == self.blob)


@dataclass(frozen=True)
class Plan:
    """What an upload will do to a repository as it is now.

    Attributes:
        new_repo, new_branch: whether these are to be made first.
        private: of the repository, now or once it is made.
        head: the commit that was looked at; None in a repository that is to be made.
        sent, unchanged: files of the zoo that the branch lacks or has otherwise, and has.
        removed: files of the branch in the format of a zoo that this zoo does not have.
        kept: other files of the branch; they stay.
        new_tag: whether the version is not tagged yet.
    """

    repo_id: str
    branch: str
    tag: str
    new_repo: bool
    new_branch: bool
    private: bool
    head: str | None
    sent: tuple[LocalFile, ...]
    unchanged: tuple[LocalFile, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    new_tag: bool = True

    @property
    def lines(self) -> Iterator[str]:
        """The plan for people, line by line."""
        kind = "private" if self.private else "public"
        yield f"{self.repo_id}, {kind}{', to be created' if self.new_repo else ''}"
        yield f"branch {self.branch}{', to be created from main' if self.new_branch else ''}"
        rows = [("send", file.path, file_size(file.size)) for file in self.sent]
        rows += [("unchanged", file.path, file_size(file.size)) for file in self.unchanged]
        rows += [("remove", path, "no longer in the zoo") for path in self.removed]
        rows += [("leave", path, "not a file of the zoo") for path in self.kept]
        width = max(len(path) for _, path, _ in rows)
        for what, path, note in rows:
            yield f"  {what:<9}  {path:<{width}}  {note}"
        yield f"tag {self.tag}{', to be created' if self.new_tag else ', there with these grids'}"

    @property
    def size(self) -> str:
        """How much is to be sent, for people."""
        return file_size(sum(file.size for file in self.sent))

    @property
    def summary(self) -> str:
        """What would be done, in half a sentence."""
        parts = [f"send {_count(self.sent)}, {self.size}"] if self.sent else []
        parts += [f"remove {_count(self.removed)}"] if self.removed else []
        parts += [f"tag {self.tag}"] if self.new_tag else []
        return f"would {', '.join(parts)}" if parts else "nothing to do"


def upload(
    folder: Path | None,
    repo_id: str,
    *,
    branch: str = "main",
    private: bool = False,
    dry_run: bool = False,
    show: Say = print,
    say: Say = lambda text: None,
) -> None:
    """Publish the zoo in `folder`, the embedded one if None.

    The token is the Hub's own affair: `hf auth login`, or the environment.

    Args:
        repo_id: `owner/name` of a model repository; it is made if there is none.
        branch: made from `main` if there is none.
        private: make a new repository private; an existing one must be private already.
        dry_run: only show what would be done.
        show: is told what is to be done, or was.
        say: is told how it goes.

    Raises:
        ZooError: if there is no sound zoo.
        UploadError: if anything else is in the way; readers then see what they saw before.
    """
    _check_request(repo_id, branch)
    token = _own_token()
    api = HfApi(library_name="superposition-zoo", library_version=ZOO_VERSION)

    def patiently(action: Callable[[], None]) -> None:
        """Do it, again where the Hub stumbles; anything else becomes an UploadError."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return action()
            except CLIENT_ERRORS as error:
                trouble = understood(error, repo_id, api.endpoint)
                wait = trouble.asked or FIRST_WAIT * 2 ** (attempt - 1)
                if not trouble.passing or attempt == ATTEMPTS or wait > LONGEST_WAIT:
                    raise UploadError(str(trouble).replace(token, "…")) from None
                say(f"{trouble.what}; trying again in {wait:g} s".replace(token, "…"))
                time.sleep(wait)

    # First, so that nobody waits for the checks to hear of a token or a network.
    patiently(lambda: _check_token(api))
    say("checking the zoo")
    zoo = verified(folder)
    say("writing its card, with the claims measured on it")
    files = local_files(zoo, repo_id)

    def act() -> None:
        plan = look(api, repo_id, files, zoo.version, branch, private)
        if dry_run:
            for line in plan.lines:
                show(line)
            show(f"{plan.summary}; nothing was written")
            return
        if plan.new_repo or plan.new_branch:
            _make_room(api, plan)
            plan = look(api, repo_id, files, zoo.version, branch, private)
        publish(api, plan, zoo.version, show, say)

    # Every attempt looks anew, so that it goes on from what the one before has done.
    patiently(act)


def verified(folder: Path | None) -> Zoo:
    """The zoo in a folder, every file of it read and checked.

    Raises:
        ZooError: if there is none, or it is not what its manifest says.
    """
    zoo = Zoo.open(folder)
    for name in zoo.grids:
        view = zoo.grid(name)
        view.check()
        if (stale := stale_measure(view)) is not None:
            raise CorruptZoo(
                f"{stale}; write the grid again with `python -m training build --grid {name}`"
            )
    return zoo


def local_files(zoo: Zoo, repo_id: str) -> list[LocalFile]:
    """The files to publish: manifest, card and grids, and nothing else of the folder.

    The card is written anew, for this repository and with the claims of this zoo.
    """
    small = {
        MANIFEST: (zoo.folder / MANIFEST).read_bytes(),
        CARD: full_card(zoo, repo_id).encode(),
    }
    files = [LocalFile(path, len(data), sha256(data), data) for path, data in small.items()]
    for entry in zoo.manifest.grids.values():
        for path, file in sorted(entry.files.items()):
            files.append(LocalFile(path, file.bytes, file.sha256, zoo.folder / path))
    return files


def look(
    api: HfApi,
    repo_id: str,
    files: Sequence[LocalFile],
    version: str,
    branch: str,
    private: bool,
) -> Plan:
    """What publishing `files` will do; nothing is written.

    Raises:
        UploadError: if it must not be done.
    """
    tag = tag_of(version)
    try:
        info = api.model_info(repo_id)
    except RepositoryNotFoundError as error:
        if error.response.status_code == 401:
            raise
        return Plan(repo_id, branch, tag, True, branch != "main", private, None, tuple(files))
    if private and not info.private:
        raise UploadError(
            f"{repo_id} exists and is public; make it private in its settings on the Hub, or "
            "leave out --private"
        )
    api.auth_check(repo_id, write=True)
    refs = api.list_repo_refs(repo_id)
    tags = {ref.name: ref.target_commit for ref in refs.tags}
    branches = {ref.name: ref.target_commit for ref in refs.branches}
    if branch in tags:
        raise UploadError(f"{branch} is a tag of {repo_id}; give --revision a branch", status=2)
    if tag in tags:
        _check_published(_tree(api, repo_id, tags[tag]), files, tag)
    head = branches.get(branch) or branches.get("main")
    if head is None:
        raise UploadError(f"{repo_id} has no branch main to start {branch} from; make one first")
    there = _tree(api, repo_id, head)
    others = sorted(there.keys() - {file.path for file in files})
    return Plan(
        repo_id,
        branch,
        tag,
        new_repo=False,
        new_branch=branch not in branches,
        private=bool(info.private),
        head=head,
        sent=tuple(file for file in files if not file.is_at(there.get(file.path))),
        unchanged=tuple(file for file in files if file.is_at(there.get(file.path))),
        removed=tuple(path for path in others if _GRID_FILE.fullmatch(path)),
        kept=tuple(path for path in others if not _GRID_FILE.fullmatch(path)),
        new_tag=tag not in tags,
    )


def publish(api: HfApi, plan: Plan, version: str, show: Say, say: Say) -> None:
    """Do what the plan says, to a repository and a branch that exist."""
    title = f"Superposition zoo {version}"
    commit = plan.head
    if plan.sent or plan.removed:
        say(f"sending {_count(plan.sent)}, {plan.size}")
        with warnings.catch_warnings():
            # The index of a grid belongs to its weights, so it is in a repository of models.
            warnings.filterwarnings("ignore", message="It seems that you are about to commit a")
            commit = api.create_commit(
                plan.repo_id,
                operations=[
                    *(CommitOperationDelete(path) for path in plan.removed),
                    *(CommitOperationAdd(file.path, file.source) for file in plan.sent),
                ],
                commit_message=title,
                revision=plan.branch,
                parent_commit=plan.head,
            ).oid
        same = f"; {_count(plan.unchanged)} there already" if plan.unchanged else ""
        show(f"sent {_count(plan.sent)}, {plan.size}, to {plan.branch}{same}")
        for path in plan.removed:
            show(f"removed {path}, which is no longer in the zoo")
    else:
        show(f"{plan.branch} has this zoo already; nothing was sent")
    if plan.new_tag:
        api.create_tag(plan.repo_id, tag=plan.tag, revision=commit, tag_message=title)
        show(f"tagged {plan.tag}")
    show(f"{api.endpoint}/{plan.repo_id}/tree/{plan.tag}")


def _check_request(repo_id: str, branch: str) -> None:
    try:
        validate_repo_id(repo_id)
        problem = "" if "/" in repo_id else "the owner is missing"
    except HFValidationError as error:
        problem = str(error)
    if problem:
        raise UploadError(
            f"--repo-id is {repo_id!r}; expected OWNER/NAME, as in ada/superposition-zoo "
            f"({problem})",
            status=2,
        )
    if not branch or re.fullmatch("[0-9a-f]{40}", branch):
        raise UploadError(
            f"--revision is {branch!r}; expected the name of a branch, such as main", status=2
        )


def _own_token() -> str:
    token = get_token()
    if token is None:
        raise UploadError(
            "you are not logged in to the Hub; run `hf auth login`, or set HF_TOKEN to a token "
            "that may write"
        )
    return token


def _check_token(api: HfApi) -> None:
    me = api.whoami()
    if me.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise UploadError(
            f"the token of {me['name']} may only read; make one that may write at "
            f"{api.endpoint}/settings/tokens, and set HF_TOKEN or run `hf auth login`"
        )


def _make_room(api: HfApi, plan: Plan) -> None:
    if plan.new_repo:
        api.create_repo(plan.repo_id, private=plan.private, exist_ok=True)
    if plan.new_branch:
        api.create_branch(plan.repo_id, branch=plan.branch, exist_ok=True)


def _check_published(there: dict[str, RepoFile], files: Sequence[LocalFile], tag: str) -> None:
    """Grids and manifest of a tag must be these; the words of the card may differ."""
    data = {file.path: file for file in files if file.path != CARD}
    differing = [path for path, file in data.items() if not file.is_at(there.get(path))]
    differing += [path for path in there if _GRID_FILE.fullmatch(path) and path not in data]
    if differing:
        raise UploadError(
            f"{tag} is on the Hub with other content, for example of {differing[-1]}. What was "
            "published under a version stays: raise ZOO_VERSION in zoo/format.py, and build again"
        )


def _tree(api: HfApi, repo_id: str, commit: str) -> dict[str, RepoFile]:
    entries = api.list_repo_tree(repo_id, recursive=True, revision=commit)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def _count(files: Sequence[object]) -> str:
    return "1 file" if len(files) == 1 else f"{len(files)} files"
