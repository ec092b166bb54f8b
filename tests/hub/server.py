"""A Hub on the loopback interface, for the real client to talk to.

It keeps repositories in memory and speaks as much of the Hub's HTTP interface as
`huggingface_hub` uses for model repositories: accounts and tokens, creating repositories,
commits, branches, tags, large files (LFS, whole or in parts), listings, and downloads with
their headers and byte ranges. Xet is not offered: the client is to be told to do without
(`HF_HUB_DISABLE_XET`).

As on the Hub, large files lie on another host, which is reached with signed addresses and never
sees the token. Here that is a second port.

What goes wrong in the world is put in with `HubServer.fault`, request by request, or with
`HubServer.stop`, after which nobody answers until `HubServer.start`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import secrets
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

import uvicorn
import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

HOST = "127.0.0.1"

# What a new repository of the Hub sends to LFS, as far as these tests need it.
LFS_SUFFIXES = (".safetensors", ".parquet", ".bin", ".npz", ".pt", ".zip")
LFS_FROM_BYTES = 10_000_000
_ATTRIBUTES = "".join(f"*{s} filter=lfs diff=lfs merge=lfs -text\n" for s in LFS_SUFFIXES)

_LICENSES = {"mit", "apache-2.0", "bsd-3-clause", "cc-by-4.0", "cc0-1.0", "unknown", "other"}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


# Repositories.


@dataclass(frozen=True)
class File:
    """A file of a commit; of a large file the commit itself holds a pointer only."""

    data: bytes
    lfs: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        version = "https://git-lfs.github.com/spec/v1"
        return f"version {version}\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @cached_property
    def blob(self) -> str:
        """Git's name of what lies in the tree."""
        content = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.blob


@dataclass(frozen=True)
class Commit:
    """One immutable revision: all its files, and where it came from."""

    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: datetime
    files: Mapping[str, File]


@dataclass
class Repo:
    """A model repository.

    Attributes:
        commits: by oid; nothing is ever taken out.
        branches, tags: names to oids.
        objects: content of large files by SHA-256, committed or only sent so far.
    """

    name: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch, a tag, or an oid."""
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        return self.commits.get(oid)

    def commit(
        self,
        files: Mapping[str, File],
        *,
        branch: str = "main",
        title: str = "A commit",
        message: str = "",
        author: str = "somebody",
    ) -> Commit:
        """Put a commit with exactly these files on top of a branch."""
        parent = self.branches.get(branch)
        tree = sorted((path, file.blob) for path, file in files.items())
        text = json.dumps([parent, title, message, author, len(self.commits), tree])
        oid = hashlib.sha1(text.encode()).hexdigest()
        made = Commit(oid, parent, title, message, author, datetime.now(UTC), dict(files))
        self.commits[oid] = made
        self.branches[branch] = oid
        return made

    def read(self, path: str, revision: str = "main") -> bytes:
        """Content of a file at a revision."""
        commit = self.find(revision)
        assert commit is not None, f"{self.name} has no revision {revision}"
        return commit.files[path].data

    def history(self, revision: str = "main") -> list[Commit]:
        """Commits from the newest to the first."""
        found, commit = [], self.find(revision)
        while commit is not None:
            found.append(commit)
            commit = self.commits.get(commit.parent or "")
        return found


@dataclass(frozen=True)
class Account:
    """Whom a token stands for.

    Attributes:
        role: `write` or `read`.
        organisations: namespaces beside the user's own.
    """

    user: str
    role: str = "write"
    organisations: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.user, *self.organisations)


# Faults.


@dataclass
class Fault:
    """Something that goes wrong with the next requests that match.

    Attributes:
        method, pattern: which requests; the pattern is searched for in the decoded path.
        times: how many of them, None for all.
        after: how many are let through before the first.
        status, headers, message: answer this instead.
        html: as a page for people, the way proxies do, and not as JSON.
        cut: drop the connection after so many bytes of the body: the one sent with PUT, POST or
            PATCH, the one asked for otherwise.
        reset: drop it without a farewell, as a network does and a program does not.
        unanswered: do what was asked, and drop the connection instead of an answer.
        corrupt: send other bytes, as many and as if they were right.
        delay: seconds to wait first.
        hits: how many requests met it.
    """

    method: str
    pattern: str
    times: int | None = 1
    after: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "injected by the test"
    html: bool = False
    cut: int | None = None
    reset: bool = False
    unanswered: bool = False
    corrupt: bool = False
    delay: float = 0.0
    hits: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Whether this request is to suffer; counts it if so."""
        if self.method != method or not re.search(self.pattern, path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


@dataclass(frozen=True)
class Seen:
    """A request that arrived.

    Attributes:
        received: bytes of its body that arrived.
        token: the one it carried, if any.
        storage: whether it went to the host of large files.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    received: int
    token: str | None
    storage: bool


class _Dropped(Exception):
    """The connection is gone; there is nobody to answer."""


class _Refusal(Exception):
    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    @property
    def response(self) -> Response:
        headers = {"X-Error-Message": self.message}
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        return JSONResponse({"error": self.message}, self.status, headers)


def _not_found(what: str) -> _Refusal:
    names = {"Repo": "Repository not found", "Revision": "Invalid rev id"}
    return _Refusal(404, names.get(what, f"{what} not found"), f"{what}NotFound")


# The server.


class HubServer:
    """A Hub with two ports: the Hub itself, and the host of its large files.

    Attributes:
        tokens: accounts by token. A token that is not here is refused with 401.
        repos: by `owner/name`.
        requests: everything that arrived, in order.
        page: entries of a listing that are sent at once.
        part: larger files are sent in parts of so many bytes.
        mistakes: of this server itself; there must be none.
    """

    def __init__(self) -> None:
        self.tokens: dict[str, Account] = {}
        self.repos: dict[str, Repo] = {}
        self.requests: list[Seen] = []
        self.mistakes: list[Exception] = []
        self.page = 1000
        self.part = 5_000_000
        self._faults: list[Fault] = []
        self._parts: dict[tuple[str, str], dict[int, bytes]] = {}
        self._signatures: set[str] = set()
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}
        self._ports = [0, 0]
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.start()

    # Coming and going.

    def start(self) -> None:
        """Listen; after `stop`, on the same ports as before."""
        assert self._server is None, "the server is running already"
        sockets = []
        for position, port in enumerate(self._ports):
            # Named as TCP, or asyncio would let small answers wait to be sent with others.
            listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((HOST, port))
            self._ports[position] = listening.getsockname()[1]
            sockets.append(listening)
        transports = self._transports

        class Protocol(H11Protocol):
            """Lets a request find its own connection, to cut it."""

            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                transports[transport.get_extra_info("peername")] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self.transport.get_extra_info("peername"), None)
                super().connection_lost(exc)

        config = uvicorn.Config(
            self._application,
            loop="asyncio",
            http=Protocol,
            ws="none",
            interface="asgi3",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": sockets}, daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the Hub of the tests did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Close every connection and listen no more; what is stored stays."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "the Hub of the tests does not end"
        self._server = self._thread = None

    @property
    def url(self) -> str:
        """The endpoint, for `HF_ENDPOINT`."""
        return f"http://{HOST}:{self._ports[0]}"

    @property
    def storage_url(self) -> str:
        """The host of large files."""
        return f"http://{HOST}:{self._ports[1]}"

    # What tests ask for.

    def fault(self, method: str, pattern: str, **what: Any) -> Fault:
        """Let something go wrong; see `Fault`. Later faults are looked at first."""
        added = Fault(method, pattern, **what)
        self._faults.insert(0, added)
        return added

    def clear_faults(self) -> None:
        """Everything works again."""
        self._faults.clear()

    def repo(
        self, name: str, files: Mapping[str, bytes] | None = None, *, private: bool = False
    ) -> Repo:
        """Make a repository, as if somebody had made it and committed `files`."""
        made = self.repos[name] = Repo(name, private)
        made.commit({".gitattributes": File(_ATTRIBUTES.encode(), False)}, title="initial commit")
        if files:
            self.commit(name, files)
        return made

    def commit(
        self, name: str, files: Mapping[str, bytes], *, branch: str = "main", title: str = "Files"
    ) -> Commit:
        """Add or replace files, as if somebody had committed them."""
        repo = self.repos[name]
        tip = repo.find(branch)
        content = dict(tip.files) if tip else {}
        for path, data in files.items():
            file = File(data, _is_large(path, len(data)))
            content[path] = file
            if file.lfs:
                repo.objects[file.sha256] = data
        return repo.commit(content, branch=branch, title=title)

    def seen(self, method: str, pattern: str) -> list[Seen]:
        """The requests that arrived with this method, at paths in which `pattern` is found."""
        return [r for r in self.requests if r.method == method and re.search(pattern, r.path)]

    # One request.

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = unquote(scope["raw_path"].decode())
        fault = next((f for f in self._faults if f.meets(request.method, path)), None)
        try:
            body = await self._body(request, path, fault)
            if fault is not None and fault.delay:
                await asyncio.sleep(fault.delay)
            if fault is not None and fault.status is not None:
                response = _Refusal(fault.status, fault.message).response
                if fault.html:
                    page = f"<html><body>{fault.message}</body></html>"
                    response = Response(page, fault.status, media_type="text/html")
                response.headers.update(fault.headers)
            else:
                response = self._answer(request, body)
            if fault is not None and fault.unanswered:
                raise _Dropped
        except _Refusal as refusal:
            response = refusal.response
        except _Dropped:
            self._drop(scope, reset=fault is not None and fault.reset)
            return
        except Exception as error:
            self.mistakes.append(error)
            response = _Refusal(500, f"mistake in the Hub of the tests: {error!r}").response
        content = bytes(response.body)
        if fault is not None and fault.corrupt:
            content = bytes(255 - byte for byte in content)
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            }
        )
        if fault is not None and fault.cut is not None:
            await send(
                {"type": "http.response.body", "body": content[: fault.cut], "more_body": True}
            )
            self._drop(scope, reset=fault.reset)
            return
        await send({"type": "http.response.body", "body": content})

    async def _body(self, request: Request, path: str, fault: Fault | None) -> bytes:
        """The body of a request; as much of it as a cut leaves."""
        authorization = request.headers.get("authorization", "")
        seen = Seen(
            request.method,
            path,
            dict(request.headers),
            0,
            authorization.removeprefix("Bearer ") or None,
            request.scope["server"][1] == self._ports[1],
        )
        place = len(self.requests)
        self.requests.append(seen)
        sends = request.method in ("POST", "PUT", "PATCH")
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if sends and fault is not None and fault.cut is not None and len(body) > fault.cut:
                    raise _Dropped
        except Exception as error:  # the client has left
            raise _Dropped from error
        finally:
            # A test may have cleared the list meanwhile.
            if place < len(self.requests) and self.requests[place] is seen:
                self.requests[place] = replace(seen, received=len(body))
        if sends and fault is not None and fault.cut is not None:
            raise _Dropped
        return bytes(body)

    def _drop(self, scope: Scope, *, reset: bool) -> None:
        transport = self._transports.get(tuple(scope["client"]))
        if transport is None:
            return
        if reset:
            linger = struct.pack("ii", 1, 0)
            with contextlib.suppress(OSError):
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
            transport.abort()
        else:
            transport.close()

    def _answer(self, request: Request, body: bytes) -> Response:
        # Each part is unquoted on its own: a branch `a/b` is one part.
        raw = request.scope["raw_path"].decode().strip("/").split("/")
        path = [unquote(part) for part in raw]
        if request.scope["server"][1] == self._ports[1]:
            return self._storage(request, path, body)
        method = request.method
        account = self._account(request)
        match path:
            case ["api", "whoami-v2"]:
                return self._whoami(account)
            case ["api", "validate-yaml"]:
                return _validate_yaml(json.loads(body))
            case ["api", "repos", "create"]:
                return self._create(account, json.loads(body))
            case ["api", "models", owner, name, *rest]:
                repo = self._repo(account, f"{owner}/{name}", write=_writes(method, rest))
                return self._models(request, repo, account, rest, body)
            case [owner, name, "info", "lfs", "objects", "batch"] if name.endswith(".git"):
                repo = self._repo(account, f"{owner}/{name[:-4]}", write=True)
                return self._batch(repo, json.loads(body))
            case [owner, name, "lfs-complete", sha]:
                return self._complete(self._repo(None, f"{owner}/{name}", signed=request), sha)
            case [owner, name, "resolve", revision, *rest] if rest:
                repo = self._repo(account, f"{owner}/{name}")
                return self._resolve(request, repo, revision, "/".join(rest))
        raise _Refusal(404, "Sorry, we can't find the page you are looking for.")

    # Who may.

    def _account(self, request: Request) -> Account | None:
        authorization = request.headers.get("authorization")
        if authorization is None:
            return None
        token = authorization.removeprefix("Bearer ")
        if token not in self.tokens:
            raise _Refusal(401, "Invalid credentials in Authorization header")
        return self.tokens[token]

    def _whoami(self, account: Account | None) -> Response:
        if account is None:
            raise _Refusal(401, "Invalid username or password.")
        return JSONResponse(
            {
                "type": "user",
                "name": account.user,
                "fullname": account.user.capitalize(),
                "orgs": [{"type": "org", "name": o} for o in account.organisations],
                "auth": {
                    "type": "access_token",
                    "accessToken": {"displayName": "test", "role": account.role},
                },
            }
        )

    def _repo(
        self,
        account: Account | None,
        name: str,
        *,
        write: bool = False,
        signed: Request | None = None,
    ) -> Repo:
        if signed is not None:
            self._check_signature(signed)
            return self.repos[name]
        repo = self.repos.get(name)
        owner = name.split("/")[0]
        member = account is not None and owner in account.namespaces
        if repo is None or (repo.private and not member):
            # To strangers a private repository looks like none.
            if account is None:
                raise _Refusal(401, "Invalid username or password.", "RepoNotFound")
            raise _not_found("Repo")
        if write and (account is None or not member or account.role != "write"):
            if account is None:
                raise _Refusal(401, "Invalid username or password.")
            raise _Refusal(403, f"You don't have the rights to write to {name}")
        return repo

    def _create(self, account: Account | None, asked: Mapping[str, Any]) -> Response:
        if account is None:
            raise _Refusal(401, "Invalid username or password.")
        owner = asked.get("organization") or account.user
        name = f"{owner}/{asked['name']}"
        if owner not in account.namespaces or account.role != "write":
            raise _Refusal(403, f'You don\'t have the rights to create a model under "{owner}"')
        if name in self.repos:
            message = "You already created this model repo"
            url = f"{self.url}/{name}"
            return JSONResponse({"error": message, "url": url}, 409, {"X-Error-Message": message})
        self.repo(name, private=asked.get("visibility") == "private")
        return JSONResponse({"url": f"{self.url}/{name}", "name": name, "id": name})

    def _sign(self, url: str) -> str:
        signature = secrets.token_hex(8)
        self._signatures.add(signature)
        return f"{url}{'&' if '?' in url else '?'}signature={signature}"

    def _check_signature(self, request: Request) -> None:
        if request.query_params.get("signature") not in self._signatures:
            raise _Refusal(403, "AccessDenied")

    # Below /api/models/OWNER/NAME.

    def _models(
        self,
        request: Request,
        repo: Repo,
        account: Account | None,
        rest: list[str],
        body: bytes,
    ) -> Response:
        author = account.user if account else "nobody"
        match request.method, rest:
            case "GET", []:
                return self._info(request, repo, "main")
            case "GET", ["revision", revision]:
                return self._info(request, repo, revision)
            case "GET", ["auth-check", *_]:
                return JSONResponse({})
            case "GET", ["refs"]:
                return JSONResponse(
                    {
                        "branches": _refs("heads", repo.branches),
                        "tags": _refs("tags", repo.tags),
                        "converts": [],
                        "pullRequests": [],
                    }
                )
            case "GET", ["tree", revision, *where]:
                return self._tree(request, repo, revision, "/".join(where))
            case "GET", ["commits", revision]:
                return JSONResponse([_commit_info(c) for c in self._history(repo, revision)])
            case "POST", ["paths-info", revision]:
                commit = self._commit_at(repo, revision)
                wanted = _form(body).get("paths", [])
                found = [_entry(p, commit.files[p]) for p in wanted if p in commit.files]
                return JSONResponse(found)
            case "POST", ["preupload", revision]:
                return self._preupload(repo, revision, json.loads(body))
            case "POST", ["commit", branch]:
                return self._commit(repo, branch, author, body)
            case "POST", ["branch", branch]:
                return self._branch(repo, branch, json.loads(body or b"{}"))
            case "DELETE", ["branch", branch]:
                if repo.branches.pop(branch, None) is None:
                    raise _not_found("Revision")
                return JSONResponse({})
            case "POST", ["tag", revision]:
                tag = json.loads(body)["tag"]
                if tag in repo.tags:
                    raise _Refusal(409, f"Tag reference exists already: {tag}")
                repo.tags[tag] = self._commit_at(repo, revision).oid
                return JSONResponse({})
            case "DELETE", ["tag", tag]:
                if repo.tags.pop(tag, None) is None:
                    raise _not_found("Revision")
                return JSONResponse({})
        raise _Refusal(404, "Sorry, we can't find the page you are looking for.")

    def _commit_at(self, repo: Repo, revision: str) -> Commit:
        commit = repo.find(revision)
        if commit is None:
            raise _not_found("Revision")
        return commit

    def _history(self, repo: Repo, revision: str) -> list[Commit]:
        return repo.history(self._commit_at(repo, revision).oid)

    def _info(self, request: Request, repo: Repo, revision: str) -> Response:
        commit = self._commit_at(repo, revision)
        card = commit.files.get("README.md")
        siblings = []
        for path, file in sorted(commit.files.items()):
            sibling: dict[str, Any] = {"rfilename": path}
            if "blobs" in request.query_params:
                sibling |= {"size": len(file.data), "blobId": file.blob}
                if file.lfs:
                    sibling["lfs"] = {
                        "sha256": file.sha256,
                        "size": len(file.data),
                        "pointerSize": len(file.pointer),
                    }
            siblings.append(sibling)
        metadata = _header(card.data.decode()) if card else None
        return JSONResponse(
            {
                "id": repo.name,
                "modelId": repo.name,
                "author": repo.name.split("/")[0],
                "sha": commit.oid,
                "lastModified": _date(commit.date),
                "private": repo.private,
                "disabled": False,
                "gated": False,
                "tags": (metadata or {}).get("tags", []),
                "cardData": metadata,
                "siblings": siblings,
            }
        )

    def _tree(self, request: Request, repo: Repo, revision: str, where: str) -> Response:
        files = self._commit_at(repo, revision).files
        prefix = f"{where}/" if where else ""
        below = {p: f for p, f in sorted(files.items()) if p.startswith(prefix)}
        if where and not below:
            raise _not_found("Entry")
        folders = {
            "/".join(path.split("/")[:depth])
            for path in below
            for depth in range(1, path.count("/") + 1)
        }
        entries = [
            {"type": "directory", "oid": hashlib.sha1(f.encode()).hexdigest(), "size": 0, "path": f}
            for f in sorted(folders)
            if f.startswith(prefix)
        ] + [_entry(path, file) for path, file in below.items()]
        if request.query_params.get("recursive", "").lower() != "true":
            entries = [e for e in entries if "/" not in e["path"].removeprefix(prefix)]
        start = int(request.query_params.get("cursor", 0))
        headers = {}
        if start + self.page < len(entries):
            following = request.url.include_query_params(cursor=start + self.page)
            headers["Link"] = f'<{following}>; rel="next"'
        return JSONResponse(entries[start : start + self.page], headers=headers)

    # Uploads.

    def _preupload(self, repo: Repo, revision: str, asked: Mapping[str, Any]) -> Response:
        files = self._commit_at(repo, revision).files
        return JSONResponse(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if _is_large(file["path"], file["size"]) else "regular",
                        "shouldIgnore": False,
                        "oid": files[file["path"]].etag if file["path"] in files else None,
                    }
                    for file in asked["files"]
                ]
            }
        )

    def _batch(self, repo: Repo, asked: Mapping[str, Any]) -> Response:
        objects = []
        for item in asked["objects"]:
            sha, size = item["oid"], item["size"]
            entry: dict[str, Any] = {"oid": sha, "size": size}
            if sha not in repo.objects:
                entry["actions"] = {"upload": self._upload_action(repo, sha, size)}
            objects.append(entry)
        return JSONResponse({"transfer": "basic", "objects": objects})

    def _upload_action(self, repo: Repo, sha: str, size: int) -> dict[str, Any]:
        place = f"{self.storage_url}/{repo.name}/{sha}"
        if size <= self.part:
            return {"href": self._sign(f"{place}?size={size}")}
        self._parts[repo.name, sha] = {}
        numbers = range(1, -(-size // self.part) + 1)
        return {
            "href": self._sign(f"{self.url}/{repo.name}/lfs-complete/{sha}"),
            "header": {
                "chunk_size": str(self.part),
                **{str(n): self._sign(f"{place}?part={n}") for n in numbers},
            },
        }

    def _complete(self, repo: Repo, sha: str) -> Response:
        parts = self._parts.pop((repo.name, sha))
        self._store(repo, sha, b"".join(parts[n] for n in sorted(parts)))
        return JSONResponse({})

    def _store(self, repo: Repo, sha: str, data: bytes) -> None:
        if hashlib.sha256(data).hexdigest() != sha:
            raise _Refusal(400, "the content does not have the checksum it was announced with")
        repo.objects[sha] = data

    def _storage(self, request: Request, path: list[str], body: bytes) -> Response:
        self._check_signature(request)
        repo, sha = self.repos[f"{path[0]}/{path[1]}"], path[2]
        if request.method == "PUT":
            if "part" in request.query_params:
                self._parts[repo.name, sha][int(request.query_params["part"])] = body
            else:
                self._store(repo, sha, body)
            return Response(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        return _ranged(request, repo.objects[sha], {"ETag": f'"{sha}"'})

    def _commit(self, repo: Repo, branch: str, author: str, body: bytes) -> Response:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if branch not in repo.branches:
            raise _not_found("Revision")
        tip = repo.commits[repo.branches[branch]]
        if not tip.oid.startswith(header.get("parentCommit", "")):
            raise _Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(tip.files)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in repo.objects:
                    raise _Refusal(400, f"the LFS object of {value['path']} was not uploaded")
                files[value["path"]] = File(repo.objects[value["oid"]], True)
            elif line["key"] == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise _Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
            elif line["key"] == "deletedFolder":
                prefix = value["path"].rstrip("/") + "/"
                files = {p: f for p, f in files.items() if not p.startswith(prefix)}
        made = repo.commit(
            files,
            branch=branch,
            title=header["summary"],
            message=header.get("description", ""),
            author=author,
        )
        url = f"{self.url}/{repo.name}/commit/{made.oid}"
        return JSONResponse({"success": True, "commitOid": made.oid, "commitUrl": url})

    def _branch(self, repo: Repo, branch: str, asked: Mapping[str, Any]) -> Response:
        if branch in repo.branches:
            raise _Refusal(409, f"Reference already exists: {branch}")
        repo.branches[branch] = self._commit_at(repo, asked.get("startingPoint", "main")).oid
        return JSONResponse({})

    # Downloads.

    def _resolve(self, request: Request, repo: Repo, revision: str, path: str) -> Response:
        commit = self._commit_at(repo, revision)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        file = commit.files.get(path)
        if file is None:
            refusal = _not_found("Entry").response
            refusal.headers.update(headers)
            return refusal
        headers["ETag"] = f'"{file.etag}"'
        if not file.lfs:
            return _ranged(request, file.data, headers)
        headers |= {
            "X-Linked-Size": str(len(file.data)),
            "X-Linked-ETag": f'"{file.sha256}"',
            "Location": self._sign(f"{self.storage_url}/{repo.name}/{file.sha256}/{quote(path)}"),
        }
        return Response(b"Found. Redirecting", 302, headers)


def _is_large(path: str, size: int) -> bool:
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > LFS_FROM_BYTES)


def _writes(method: str, rest: list[str]) -> bool:
    if rest[:1] == ["auth-check"]:
        return rest == ["auth-check", "write"]
    return method != "GET" and rest[:1] != ["paths-info"]


def _entry(path: str, file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "file",
        "oid": file.blob,
        "size": len(file.data),
        "path": path,
    }
    if file.lfs:
        entry["lfs"] = {
            "oid": file.sha256,
            "size": len(file.data),
            "pointerSize": len(file.pointer),
        }
    return entry


def _refs(kind: str, names: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}
        for name, oid in names.items()
    ]


def _date(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _commit_info(commit: Commit) -> dict[str, Any]:
    return {
        "id": commit.oid,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": commit.author}],
        "date": _date(commit.date),
    }


def _form(body: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in body.decode().split("&"):
        key, _, value = pair.partition("=")
        found.setdefault(unquote(key), []).append(unquote(value.replace("+", " ")))
    return found


def _ranged(request: Request, data: bytes, headers: Mapping[str, str]) -> Response:
    """All of `data`, or the bytes asked for with a Range header; for HEAD, their number."""
    status, extra, content = 200, {}, data
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if asked and any(asked.groups()):
        first, last = asked.groups()
        start = int(first) if first else max(len(data) - int(last), 0)
        end = min(int(last), len(data) - 1) if first and last else len(data) - 1
        if start > end:
            wrong = {"Content-Range": f"bytes */{len(data)}"}
            return Response(status_code=416, headers={**headers, **wrong})
        status, content = 206, data[start : end + 1]
        extra = {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
    length = {"Content-Length": str(len(content))}
    body = b"" if request.method == "HEAD" else content
    return Response(body, status, {**headers, **extra, **length})


# Cards.


def _header(text: str) -> dict[str, Any] | None:
    """The YAML between the first two `---` lines, None if there is none."""
    found = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    values = yaml.safe_load(found[1]) if found else None
    return values if isinstance(values, dict) else None


def _validate_yaml(asked: Mapping[str, Any]) -> Response:
    """What the Hub says of a card's header: an error for values of a kind it does not know."""
    try:
        values = _header(asked["content"])
    except yaml.YAMLError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
    if values is None:
        missing = {"message": "empty or missing yaml metadata in repo card"}
        return JSONResponse({"errors": [], "warnings": [missing]})
    errors = list(_wrong(values))
    status = 400 if errors else 200
    return JSONResponse({"errors": [{"message": e} for e in errors], "warnings": []}, status)


def _wrong(values: Mapping[str, Any]) -> Iterable[str]:
    if values.get("license", "mit") not in _LICENSES:
        yield f'"license" must be one of {sorted(_LICENSES)}'
    for name in ("library_name", "pipeline_tag", "license_name"):
        if not isinstance(values.get(name, ""), str):
            yield f'"{name}" must be a string'
    for name in ("tags", "datasets", "metrics"):
        entries = values.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(e, str) for e in entries):
            yield f'"{name}" must be an array of strings'
    if not isinstance(values.get("language", ""), str | list):
        yield '"language" must be a string or an array'
