"""Train on a Dask cluster: workers on other machines, behind `concurrent.futures`.

    with connect("tcp://10.0.0.1:8786") as workers:
        build("zoo/data", workers=workers)

Shards go out and bytes come back over the wire; no folder is shared. What a shard becomes
depends on the code and the libraries that train it, so every worker has to have the
builder's: all are asked before the first shard goes out, and one that joins later is held
to the same when it gets a shard. (Without any of the code it cannot even say so: it dies of
the shard, with the reason in its own log, and the shard goes to another.)

Dask speaks pickle: connect to nothing but a cluster of your own.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from training.workers import CALLS_EACH, P, T, Workers

if TYPE_CHECKING:
    from distributed import Client

SECONDS_TO_CONNECT = 10.0
SECONDS_FOR_A_WORKER = 20.0
LONGEST_GREETING = 2**16

# What has to be the same on both sides: what computes, what writes, and what carries.
PACKAGES = ("torch", "numpy", "scipy", "safetensors", "dask", "distributed")
CARRIERS = ("dask", "distributed")
ROOMS = ("superposition", "zoo", "training")

Identity = Mapping[str, str]


class ClusterProblem(RuntimeError):
    """The cluster cannot train; says why, and what to do."""


class OtherWorker(RuntimeError):
    """A worker is not what the builder is; raised there, in place of training."""


@contextmanager
def connect(address: str, *, device: str = "cpu") -> Iterator[Workers]:
    """The workers of the Dask cluster whose scheduler is at `address`.

    Args:
        address: `HOST:PORT`, or with `tcp://` or `tls://` before it.
        device: what each worker has to be able to compute on.

    Raises:
        ClusterProblem: if nothing answers there, if there is no worker, or if a worker
            differs from this process in its code or its libraries; names each.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterProblem(
            f"a cluster needs the package distributed ({error}); install the pinned one with "
            "`pip install -r requirements-dev.txt`, here and on the workers"
        ) from None

    if problem := address_problem(address) or _no_scheduler(address):
        raise ClusterProblem(problem)
    with _quiet("distributed.client"):
        client = _join(Client, address)
        try:
            _check(client, address, device)
            yield Cluster(client, address)
        finally:
            # What still runs is given up. A scheduler that is gone cannot be told.
            with suppress(OSError, TimeoutError):
                client.close()


def _join(client: type[Client], address: str) -> Client:
    with warnings.catch_warnings():
        # Dask's own comparison of versions has fewer packages than ours, and only warns.
        warnings.filterwarnings("ignore", message="(?s).*Mismatched versions")
        try:
            return client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ImportError) as error:
            raise ClusterProblem(
                f"cannot join the Dask scheduler at {address} ({error}); {REMEDY}"
            ) from None


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Nothing from a logger of Dask: what it has to say, errors of our own say shorter."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


class Cluster(Workers):
    """Workers of a Dask cluster."""

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._executor = client.get_executor(pure=False)
        self.lost = (
            f"the connection to the Dask scheduler at {address} was lost; see whether it still runs"
        )

    def slots(self) -> int:
        if self._client.status != "running":
            return 0
        try:
            threads = self._client.nthreads(callback_timeout=SECONDS_TO_CONNECT)
        except (OSError, TimeoutError):
            return 0  # if it lasts, every future is cancelled
        return CALLS_EACH * sum(threads.values())

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            future: Future[T] = self._executor.submit(_run_as, identity(), fn, *args, **kwargs)
        except Exception:
            if self._client.status == "running":
                raise
            future = Future()  # lost, and said so as Dask says it of what was under way
            future.cancel()
            future.set_running_or_notify_cancel()
        return future


def _run_as(builder: Identity, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """On a worker: the call, if this process is what the builder is."""
    if found := differences(identity(), builder):
        raise OtherWorker(f"the worker on {socket.gethostname()} differs: {found}; {REMEDY}")
    try:
        return fn(*args, **kwargs)
    except Exception as error:
        failure = str(error) or type(error).__name__
    # Not the error itself: one that cannot be carried, as with a deep traceback, would never
    # arrive, and the builder would wait for it.
    raise RuntimeError(failure)


REMEDY = (
    "check out one commit on every machine, install its requirements-dev.txt, and start the "
    "workers again in that folder"
)


@cache
def identity() -> Identity:
    """What this process would train with: versions, and a hash of the project's code.

    Fixed at the first call: a process goes on with the code that it has imported.
    """
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return {
        "the project's code": digest.hexdigest()[:12],
        "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **{name: _version(name) for name in PACKAGES},
    }


def differences(worker: Identity, builder: Identity) -> str:
    """What a worker has otherwise than the builder, in words; empty if nothing."""
    return ", ".join(
        f"{name} is {worker.get(name, 'missing')} there and {wanted} here"
        for name, wanted in builder.items()
        if worker.get(name) != wanted
    )


def _version(package: str) -> str:
    try:
        # The part after + says for which device it was built; they may differ in that.
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return "missing"


def _start(address: str) -> str:
    return (
        "start one with `dask scheduler`, and workers with "
        f"`dask worker {address} --nworkers -1 --nthreads 1` in the project's folder"
    )


def address_problem(address: str) -> str | None:
    """What is wrong with the form of a scheduler's address; None if nothing."""
    scheme, host, port = _parts(address)
    if scheme in ("tcp", "tls") and host and port:
        return None
    return (
        f"{address!r} is not the address of a Dask scheduler; expected HOST:PORT, "
        "tcp://HOST:PORT or tls://HOST:PORT, such as 127.0.0.1:8786"
    )


def _parts(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return parts.scheme, None, None


def _no_scheduler(address: str) -> str | None:
    """Says at once that nobody is there, or somebody else.

    Dask goes on knocking for a while where nobody listens, and waits for ever to be greeted
    by what listens and is no scheduler. A scheduler speaks first: a short message, whose
    length comes before it in eight bytes (over TLS, only once that is set up).
    """
    scheme, host, port = _parts(address)
    try:
        with socket.create_connection((host or "", port or 0), SECONDS_TO_CONNECT) as line:
            greeting = line.recv(8) if scheme == "tcp" else bytes(8)
    except TimeoutError:
        greeting = b""
    except OSError as error:
        reason = error.strerror or str(error)
        return f"no Dask scheduler answers at {address} ({reason}); {_start(address)}"
    if len(greeting) == 8 and int.from_bytes(greeting, sys.byteorder) < LONGEST_GREETING:
        return None
    return f"what listens at {address} is no Dask scheduler; {_start(address)}"


def _check(client: Client, address: str, device: str) -> None:
    """Raises ClusterProblem unless scheduler and workers will do."""
    ours = identity()
    versions: Any = client.get_versions()
    carriers = {name: ours[name] for name in CARRIERS}
    if found := differences(versions["scheduler"]["packages"], carriers):
        raise ClusterProblem(f"the scheduler at {address} differs: {found}; {REMEDY}")
    try:
        client.wait_for_workers(1, timeout=SECONDS_FOR_A_WORKER)
    except TimeoutError:
        raise ClusterProblem(
            f"the cluster at {address} has no workers; start some with "
            f"`dask worker {address} --nworkers -1 --nthreads 1` in the project's folder"
        ) from None

    # Carried by value, since a worker may lack the project.
    def look() -> Any:
        try:
            from training.cluster import identity
            from training.workers import device_problem
        except ImportError as error:
            return f"cannot import the project's code ({error})"
        return identity(), device_problem(device)

    problems: list[str] = []
    remedies: list[str] = []
    for worker, answer in client.run(look, on_error="return").items():
        if isinstance(answer, BaseException):
            problems.append(f"{worker} failed: {answer}")
        elif isinstance(answer, str):
            problems.append(f"{worker} {answer}")
            remedies = [REMEDY]
        elif found := differences(answer[0], ours):
            problems.append(f"{worker} differs: {found}")
            remedies = [REMEDY]
        elif answer[1]:
            problems.append(f"{worker} {answer[1]}")
    if problems:
        raise ClusterProblem(
            "workers of the cluster cannot train:\n  " + "\n  ".join([*problems, *remedies])
        )
