"""A zoo in a repository on the Hub, read file by file through the Hub's own cache.

The client, `huggingface_hub`, is imported when the Hub is first asked for something, and by
nothing else. Errors are told without the client's own words, which may hold addresses that give
access to whoever reads them.
"""

from __future__ import annotations

import errno
import logging
import re
import warnings
from pathlib import Path
from typing import Any

from zoo.errors import CorruptZoo, HubError, ZooError, ZooNotFound
from zoo.format import LARGEST_MANIFEST, MANIFEST, FileEntry, Manifest, parse_manifest
from zoo.waiting import Jobs

HUB = "hub:"
"""What the name of a place on the Hub begins with: `hub:OWNER/NAME@REVISION`."""

_PART = r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_REPO_ID = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}")

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_log = logging.getLogger(__name__)


def hub_place(text: str) -> tuple[str, str | None]:
    """Repository and revision of `hub:OWNER/NAME` or `hub:OWNER/NAME@REVISION`.

    Raises:
        ZooNotFound: if it is neither.
    """
    repo_id, at, revision = text.strip().removeprefix(HUB).partition("@")
    check_place(repo_id, revision if at else None)
    return repo_id, revision if at else None


def check_place(repo_id: str, revision: str | None) -> None:
    """Raises ZooNotFound unless these can be a repository and a revision of it."""
    odd = "--" in repo_id or ".." in repo_id or repo_id.endswith(".git")
    if odd or not _REPO_ID.fullmatch(repo_id):
        raise ZooNotFound(
            f"{repo_id[:200]!r} is not the id of a repository; expected OWNER/NAME, as in the "
            "address of its page on the Hub"
        )
    if revision is None:
        return
    parts = revision.split("/")
    if not _REVISION.fullmatch(revision) or any(p.startswith(".") or p in ("",) for p in parts):
        raise ZooNotFound(
            f"{revision[:200]!r} is not a revision of {repo_id}; expected a branch, a tag or a "
            "commit"
        )


class HubSource:
    """The files of one commit of a repository. See `zoo.sources.Source`.

    Attributes:
        repo_id: `OWNER/NAME`.
        revision: what was asked for; None for the main branch.
        commit: what that meant when it was asked for; every file is of this commit.
        unreached: why the Hub was not asked what the revision means now, and an earlier answer
            from the cache is used; None if it was asked.
    """

    def __init__(
        self,
        repo_id: str,
        revision: str | None,
        commit: str,
        *,
        unreached: str | None = None,
        offline: bool = False,
        patience: float | None = None,
    ) -> None:
        self.repo_id = repo_id
        self.revision = revision
        self.commit = commit
        self.unreached = unreached
        self._offline = offline
        self._jobs = None if patience is None else Jobs(patience)

    @classmethod
    def resolve(
        cls,
        repo_id: str,
        revision: str | None = None,
        *,
        offline: bool = False,
        patience: float | None = None,
    ) -> HubSource:
        """The repository as it is now, or as it was when the Hub could last be asked.

        Args:
            offline: ask the cache alone, now and later.
            patience: seconds that somebody who asks for a file waits for it, at most; see
                `zoo.waiting.Jobs`. This call itself takes as long as the Hub takes.

        Raises:
            ZooNotFound: if there is no such repository or revision, or no zoo in it.
            CorruptZoo: if the manifest is larger than one can be.
            HubError: if the Hub cannot be asked, and it was not asked before.
        """
        check_place(repo_id, revision)
        commit = revision if revision and _COMMIT.fullmatch(revision) else None
        unreached = None
        offline = offline or _offline_mode()
        if commit is None and not offline:
            try:
                commit = _commit(repo_id, revision)
            except HubError as error:
                unreached = str(error)
                commit = _cached_commit(repo_id, revision)
                if commit is None:
                    raise
                _log.warning("%s. Using commit %s, fetched earlier.", unreached, commit[:12])
        commit = commit or _cached_commit(repo_id, revision)
        if commit is None:
            raise HubError(
                f"{repo_id} is not in the Hub's cache, {cache_folder()}, and the Hub is not to be "
                "asked (HF_HUB_OFFLINE); unset that, or give the path of a folder"
            )
        return cls(
            repo_id, revision, commit, unreached=unreached, offline=offline, patience=patience
        )

    @property
    def place(self) -> str:
        return f"{HUB}{self.repo_id}@{self.commit}"

    def manifest(self) -> Manifest:
        try:
            return self._parsed()
        except CorruptZoo:
            # Either this is no zoo, or the copy is damaged; a new copy tells which.
            self.forget(MANIFEST)
            if self._offline:
                raise
        return self._parsed()

    def path(self, name: str, entry: FileEntry) -> Path:
        return self._local(name, entry)

    def renew(self, name: str, entry: FileEntry) -> Path | None:
        self.forget(name)
        return None if self._offline else self._local(name, entry)

    def forget(self, name: str) -> None:
        """Remove the copy of a file from the cache, for every commit that shares it."""
        link = self._cached(name)
        try:
            while link is not None:
                further = link.parent / link.readlink() if link.is_symlink() else None
                link.unlink(missing_ok=True)
                link = further
        except OSError as error:
            raise HubError(
                f"{self.named(name)}: the copy in the cache is damaged, and it cannot be removed "
                f"({error.strerror}); delete {link}"
            ) from None

    def named(self, name: str) -> str:
        return f"{name} of {HUB}{self.repo_id}@{self.commit[:12]}"

    def remedy(self, grid: str) -> str:
        return (
            "the copy in the Hub's cache was removed, and the next try fetches it again; if it "
            f"stays so, tell the owner of {self.repo_id}, or use another revision"
        )

    def _parsed(self) -> Manifest:
        path = self._local(MANIFEST, None)
        try:
            with open(path, "rb") as file:
                data = file.read(LARGEST_MANIFEST + 1)
        except OSError as error:
            raise _problem(error, self.repo_id, self.revision, self.named(MANIFEST)) from None
        remedy = f"tell the owner of {self.repo_id}, or use another revision"
        return parse_manifest(data, self.named(MANIFEST), remedy)

    def _local(self, name: str, entry: FileEntry | None) -> Path:
        if (path := self._cached(name)) is not None:
            return path
        if self._offline:
            raise HubError(
                f"{self.named(name)} is not in the Hub's cache, {cache_folder()}, and the Hub is "
                "not asked for it; fetch it when the Hub can be reached"
            )
        if self._jobs is None:
            return self._fetch(name, entry)
        return self._jobs.result(self.named(name), lambda: self._fetch(name, entry))

    def _cached(self, name: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        try:
            found = try_to_load_from_cache(self.repo_id, name, revision=self.commit)
        except OSError:
            return None
        return Path(found) if isinstance(found, str) else None

    def _fetch(self, name: str, entry: FileEntry | None) -> Path:
        return _download(
            self.repo_id,
            name,
            self.commit,
            None if entry is None else entry.bytes,
            self.named(name),
        )[0]


def quieten() -> None:
    """Silence the client's own warnings, for programs whose output people read.

    They name addresses of files, some of which are signed and open to whoever has them; what
    they warn of is said by an error of ours if it matters.
    """
    from huggingface_hub.utils import logging as client_logging

    client_logging.set_verbosity_error()
    warnings.filterwarnings("ignore", "Not enough free disk space", UserWarning)


# What is asked of the client.


def cache_folder() -> str:
    """Where the Hub's client keeps what it downloads."""
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE


def _offline_mode() -> bool:
    from huggingface_hub import is_offline_mode

    return is_offline_mode()


def _commit(repo_id: str, revision: str | None) -> str:
    """The commit that a revision means now; the client notes it in its cache."""
    named = f"{MANIFEST} of {HUB}{repo_id}" + (f"@{revision}" if revision else "")
    return _download(repo_id, MANIFEST, revision, None, named)[1]


def _cached_commit(repo_id: str, revision: str | None) -> str | None:
    """The commit that a revision meant when the Hub was last asked, if its manifest is here."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import RevisionResolutionError

    try:
        known = HfApi().resolve_revision(repo_id, revision=revision, local_files_only=True)
        if not _COMMIT.fullmatch(known.resolved):
            return None
        manifest = try_to_load_from_cache(repo_id, MANIFEST, revision=known.resolved)
    except (RevisionResolutionError, OSError, ValueError):
        return None
    return known.resolved if isinstance(manifest, str) else None


def _download(
    repo_id: str, name: str, revision: str | None, size: int | None, named: str
) -> tuple[Path, str]:
    """A file in the cache, and the commit it is of, once its size is known to be right.

    Args:
        size: what it has to be; None for the manifest, whose size nothing else tells.
        named: the file, for messages.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    most = LARGEST_MANIFEST if size is None else size
    remedy = f"tell the owner of {repo_id}, or use another revision"
    try:
        # Asked first, and once: a request of the client's own would be repeated for minutes.
        head = get_hf_file_metadata(hf_hub_url(repo_id, name, revision=revision))
        if head.size is not None and (head.size > most or (size is not None and head.size < size)):
            expected = f"{'at most ' if size is None else ''}{most:,}"
            raise CorruptZoo(
                f"{named} has {head.size:,} bytes; expected {expected}, so it was not downloaded; "
                f"{remedy}"
            )
        if head.commit_hash is None or not _COMMIT.fullmatch(head.commit_hash):
            raise HubError(
                f"what answers for the Hub does not say of which commit {named} is; check "
                "HF_ENDPOINT, and the proxy if there is one"
            )
        path = hf_hub_download(repo_id, name, revision=revision, tqdm_class=_metered(most))
    except ZooError:
        raise
    except _TooLong:
        raise CorruptZoo(
            f"{named} is longer than {most:,} bytes, so the download was ended; {remedy}"
        ) from None
    except Exception as error:
        raise _problem(error, repo_id, revision, named) from None
    return Path(path), head.commit_hash


class _TooLong(Exception):
    pass


def _metered(most: int) -> Any:
    """A progress bar that shows nothing, and ends a download that goes on and on.

    The size was asked for before; this is for a server that then sends something else. What the
    client counts may be off by a chunk, and by what its transfer adds, so there is some slack.
    """

    class Meter:
        def __init__(self, **options: Any) -> None:
            self.n = 0
            self.total = options.get("total")

        def __enter__(self) -> Meter:
            return self

        def __exit__(self, *error: object) -> None:
            return None

        def update(self, count: float = 1) -> None:
            self.n += int(count)
            if self.n > 2 * most + 2**20:
                raise _TooLong

        def close(self) -> None:
            return None

        def set_postfix_str(self, *text: object, **options: object) -> None:
            return None

    return Meter


def _problem(error: BaseException, repo_id: str, revision: str | None, named: str) -> ZooError:
    """What went wrong, as a reader can act on it. Raises what is a mistake of ours."""
    from huggingface_hub import constants, errors

    if isinstance(error, TypeError | AttributeError | NameError | AssertionError):
        raise error
    cause = error.__cause__
    if isinstance(error, errors.LocalEntryNotFoundError | ValueError) and cause is not None:
        error = cause  # the client wraps what happened
    page = f"{constants.ENDPOINT}/{repo_id}"
    if isinstance(error, errors.GatedRepoError):
        return HubError(
            f"{repo_id} is gated: ask for access at {page}, then log in with `hf auth login`"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return ZooNotFound(
            f"{repo_id} has no revision {revision or 'main'!r}; {page}/tree/main lists its branches"
        )
    if isinstance(error, errors.RemoteEntryNotFoundError):
        if named.startswith(MANIFEST):
            return ZooNotFound(
                f"there is no zoo in {repo_id} at {revision or 'main'}: {MANIFEST} is missing; "
                "check the repository and the revision"
            )
        return CorruptZoo(
            f"{named}: the manifest lists it, and the repository does not have it; tell the owner "
            f"of {repo_id}, or use another revision"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return ZooNotFound(
            f"there is no repository {repo_id} on the Hub, or it is private; check the name, and "
            "log in with `hf auth login` if it is yours"
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return HubError(f"{named} cannot be fetched while HF_HUB_OFFLINE is set; unset it")
    if isinstance(error, errors.HfHubHTTPError):
        return _refusal(error.response.status_code, error.response.headers, repo_id, named)
    if isinstance(error, OSError) and error.errno is not None:
        return _cache_problem(error, named)
    kind = type(error).__name__
    if "Timeout" in kind:
        return HubError(f"the Hub did not answer in time for {named}; try again in a moment")
    return HubError(
        f"the Hub cannot be reached, or the connection was cut, for {named} ({kind}); check the "
        "connection, and try again: what was fetched before is kept"
    )


def _refusal(status: int, headers: Any, repo_id: str, named: str) -> HubError:
    """What an HTTP status means here."""
    if status == 401:
        return HubError(
            f"the Hub does not accept this machine's token for {repo_id} (401); log in again with "
            "`hf auth login`, or unset HF_TOKEN if the repository is public"
        )
    if status == 403:
        return HubError(
            f"the Hub does not let this machine read {repo_id} (403); log in with `hf auth login` "
            "and a token that may read it"
        )
    if status == 429:
        asked = str(headers.get("retry-after", "")).strip()
        seconds = float(asked) if asked.isdigit() and len(asked) < 7 else None
        when = f"in {seconds:g} seconds" if seconds else "in a few minutes"
        return HubError(
            f"the Hub has had too many requests from this machine (429); try again {when}", seconds
        )
    if status >= 500:
        return HubError(
            f"the Hub has a fault of its own ({status}) for {named}; try again in a few minutes"
        )
    return HubError(f"the Hub refuses {named} ({status}); check the repository and the revision")


def _cache_problem(error: OSError, named: str) -> HubError:
    """What an error of the file system means: all that is written to is the cache."""
    if error.errno in _NO_ROOM:
        return HubError(
            f"there is no room for {named} in the Hub's cache, {cache_folder()}; free some, or set "
            "HF_HUB_CACHE to a folder with more, and try again: what was fetched before is kept"
        )
    return HubError(
        f"the Hub's cache, {cache_folder()}, cannot be used for {named} ({error.strerror}); make "
        "it writable, or set HF_HUB_CACHE to a folder that is"
    )
