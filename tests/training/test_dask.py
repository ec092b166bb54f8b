"""Building on a Dask cluster of real processes, on this machine's loopback alone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from distributed import Client

from tests.training.test_build import MIXED, SQUARE, contents, quick, wait_for
from training import build as building
from training import cli, cluster, grids
from training.build import SHARDS, Shard, build, shards_of, train_shard
from training.cluster import ClusterProblem, OtherWorker, connect, differences, identity
from zoo import Grid, ModelSpec, Zoo

ROOT = Path(__file__).parents[2]
GRIDS = [SQUARE, MIXED]
EVERY = sorted(shard.name for grid in GRIDS for shard in shards_of(grid, quick))
LOCAL = ["--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]


class LocalCluster:
    """A scheduler and workers, each a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gate = folder / "gate"
        self.gate.mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.scheduler = self._start("scheduler", "--port", self.address.rpartition(":")[2])
        wait_for(self._answers)

    def start_worker(self, project: Path = ROOT, *, gate: bool = True) -> int:
        """Start a worker that finds the project's code in a folder; its process id."""
        preload = ["--preload", str(ROOT / "tests/training/dask_gate.py")] if gate else []
        return self._start(
            "worker",
            self.address,
            *("--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder)),
            *preload,
            project=project,
        )

    def have_workers(self, count: int) -> None:
        """Start workers until there are as many, and wait for them; none is too many."""
        living = [p for p in self.processes[1:] if p.poll() is None]
        for _ in range(count - len(living)):
            self.start_worker()
        self.wait_for_workers(count)

    def wait_for_workers(self, count: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            wait_for(lambda: len(client.nthreads()) == count)

    def begun(self) -> dict[int, list[str]]:
        """Process id of a worker -> the shards it began, in that order."""
        paths = self.gate.glob("begun-*")
        return {int(p.name.partition("-")[2]): p.read_text().split() for p in paths}

    def holding(self) -> list[int]:
        """Process ids of the workers that are held in a shard."""
        return [int(p.name.partition("-")[2]) for p in self.gate.glob("holding-*")]

    @contextmanager
    def hold(self, then: Callable[[int], None]) -> Iterator[Future[int]]:
        """Meanwhile, hold workers in their third shard, do something to one, and let go.

        Yields what becomes the process id of that one.
        """
        hold = self.gate / "hold"
        hold.touch()

        def strike() -> int:
            try:
                pid = wait_for(self.holding)[0]
                then(pid)
                return pid
            finally:
                hold.unlink()

        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(strike)

    def kill(self, *pids: int) -> None:
        for process in self.processes:
            if process.pid in pids:
                process.kill()
                process.wait()

    def close(self) -> None:
        self.kill(*(process.pid for process in self.processes))

    def _start(self, what: str, *arguments: str, project: Path = ROOT) -> int:
        environment = {
            **os.environ,
            "PYTHONPATH": str(project),
            "GATE": str(self.gate),
            "DASK_TEMPORARY_DIRECTORY": str(self.folder),
        }
        with open(self.folder / f"{what}-{len(self.processes)}.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments, *LOCAL],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process.pid

    def _answers(self) -> bool:
        host, _, port = self.address.partition(":")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with closing(LocalCluster(tmp_path_factory.mktemp("cluster"))) as running:
        yield running


@pytest.fixture
def two_workers(shared_cluster: LocalCluster) -> LocalCluster:
    """A cluster of two workers, whatever was done to it before."""
    shared_cluster.have_workers(2)
    for note in shared_cluster.gate.iterdir():
        note.unlink()
    return shared_cluster


@pytest.fixture
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A scheduler without workers."""
    with closing(LocalCluster(tmp_path_factory.mktemp("cluster"))) as running:
        yield running


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this process builds alone."""
    out = tmp_path_factory.mktemp("zoo")
    build(out, GRIDS, workers=1, recipe=quick)
    return out


def files(folder: Path) -> list[str]:
    """Names of the shards that were written."""
    return sorted(path.stem for path in (folder / SHARDS).rglob("*.safetensors"))


def test_a_cluster_writes_the_same_bytes_as_one_process(
    two_workers: LocalCluster, built: Path, tmp_path: Path
) -> None:
    with connect(two_workers.address) as workers:
        assert workers.slots() >= 2
        build(tmp_path, GRIDS, workers=workers, recipe=quick)
    assert contents(tmp_path) == contents(built)
    begun = two_workers.begun()
    assert sorted(name for names in begun.values() for name in names) == EVERY
    assert os.getpid() not in begun


def test_a_lost_scheduler_is_an_error_and_the_build_can_go_on(
    own_cluster: LocalCluster, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_cluster.have_workers(1)

    def kill(pid: int) -> None:
        wait_for(lambda: len(files(tmp_path)) == 2)
        own_cluster.kill(own_cluster.scheduler)

    lost = rf"scheduler at {own_cluster.address} was lost.*run the same command to continue"
    with (
        own_cluster.hold(kill),
        pytest.raises(RuntimeError, match=lost),
        connect(own_cluster.address) as workers,
    ):
        build(tmp_path, GRIDS, workers=workers, recipe=quick)
    kept = files(tmp_path)
    assert len(kept) == 2

    trained: list[str] = []

    def counts(shard: Shard, device: str = "cpu") -> bytes:
        trained.append(shard.name)
        return train_shard(shard, device)

    monkeypatch.setattr(building, "train_shard", counts)
    build(tmp_path, GRIDS, workers=1, recipe=quick)
    assert sorted(trained + kept) == EVERY
    assert contents(tmp_path) == contents(built)


def test_workers_of_other_code_or_without_are_named_before_anything_is_trained(
    two_workers: LocalCluster, tmp_path: Path
) -> None:
    other, nothing = tmp_path / "other", tmp_path / "nothing"
    nothing.mkdir()
    for room in cluster.ROOMS:
        shutil.copytree(
            ROOT / room, other / room, ignore=shutil.ignore_patterns("data", "__pycache__")
        )
    with open(other / "training" / "build.py", "a") as file:
        file.write("BUILD_VERSION += 1\n")
    pids = [two_workers.start_worker(project, gate=False) for project in (other, nothing)]
    try:
        two_workers.wait_for_workers(4)
        with pytest.raises(ClusterProblem) as caught, connect(two_workers.address):
            pass
    finally:
        two_workers.kill(*pids)
        two_workers.wait_for_workers(2)
    message = str(caught.value)
    assert message.count("tcp://127.0.0.1:") == 2
    assert "differs: the project's code is" in message
    assert "No module named 'training'" in message
    assert "check out one commit" in message


def test_a_worker_that_joins_later_is_held_to_the_same() -> None:
    ours = identity()
    assert cluster._run_as(ours, max, 1, 2) == 2
    with pytest.raises(
        OtherWorker, match=r"torch is \S+ there and 0\.1 here.*check out one commit"
    ):
        cluster._run_as({**ours, "torch": "0.1"}, max, 1, 2)


def test_an_error_of_a_worker_arrives_even_if_it_is_hard_to_carry(
    two_workers: LocalCluster,
) -> None:
    def endless() -> None:
        endless()

    with connect(two_workers.address) as workers:
        future = workers.submit(endless)
        with pytest.raises(RuntimeError, match="recursion"):
            future.result(timeout=300)


def test_calls_are_cancelled_and_do_not_wait_once_the_connection_is_closed(
    two_workers: LocalCluster,
) -> None:
    with connect(two_workers.address) as workers:
        assert workers.submit(max, 1, 2).result(timeout=300) == 2
    assert workers.slots() == 0
    with pytest.raises(CancelledError):
        workers.submit(max, 1, 2).result(timeout=300)


def test_differences_name_what_differs_and_what_is_missing() -> None:
    builder = {"Python": "3.11", "numpy": "2.4.6", "torch": "2.13.0"}
    assert differences(builder, builder) == ""
    worker = {"Python": "3.12", "numpy": "2.4.6"}
    assert differences(worker, builder) == (
        "Python is 3.12 there and 3.11 here, torch is missing there and 2.13.0 here"
    )


def test_the_command_line_builds_on_a_cluster(
    two_workers: LocalCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny = Grid("tiny", "One model.", (ModelSpec("linear", 2, 1, 0.5),))
    monkeypatch.setattr(grids, "GRIDS", {"tiny": tiny})
    command = ["build", "--out", str(tmp_path / "zoo"), "--dask", two_workers.address]
    assert cli.main([*command, "--device", "abacus"]) == 1
    assert "cannot compute on device 'abacus'" in capsys.readouterr().err
    assert cli.main(command) == 0
    printed = capsys.readouterr()
    assert "1 models" in printed.out
    assert "100%" in printed.err
    assert Zoo.open(tmp_path / "zoo").grids == ("tiny",)


def test_a_killed_worker_costs_its_shard_alone(
    two_workers: LocalCluster, built: Path, tmp_path: Path
) -> None:
    def kill(pid: int) -> None:
        finished = two_workers.begun()[pid][:-1]
        wait_for(lambda: set(finished) <= set(files(tmp_path)))
        two_workers.kill(pid)

    with connect(two_workers.address) as workers, two_workers.hold(kill) as killed:
        build(tmp_path, GRIDS, workers=workers, recipe=quick)
    begun = two_workers.begun()
    lost = begun[killed.result()][-1]
    times = Counter(name for names in begun.values() for name in names)
    assert times == {**dict.fromkeys(EVERY, 1), lost: 2}
    assert contents(tmp_path) == contents(built)


def test_a_cluster_without_workers_says_how_to_start_one(
    own_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SECONDS_FOR_A_WORKER", 0.1)
    command = rf"has no workers.*dask worker {own_cluster.address} "
    with pytest.raises(ClusterProblem, match=command), connect(own_cluster.address):
        pass


@pytest.mark.parametrize(
    "address", ["nonsense", "", "127.0.0.1", "127.0.0.1:99999", "http://127.0.0.1:8786", ":8786"]
)
def test_a_malformed_address_exits_with_2_and_an_example(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["build", "--out", str(tmp_path / "zoo"), "--dask", address]) == 2
    assert f"{address!r} is not the address of a Dask scheduler" in capsys.readouterr().err
    assert not (tmp_path / "zoo").exists()


def test_where_nobody_listens_it_says_how_to_start_a_scheduler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as bound:  # and not listening: no other process can take the port
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        assert cli.main(["build", "--out", str(tmp_path / "zoo"), "--dask", address]) == 1
    printed = capsys.readouterr().err
    assert f"no Dask scheduler answers at {address} (Connection refused)" in printed
    assert "dask scheduler" in printed


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-another\r\n"])
def test_what_listens_and_is_no_scheduler_is_told_from_one(
    greeting: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SECONDS_TO_CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def greet() -> socket.socket:
            line, _ = listener.accept()
            line.sendall(greeting)
            return line

        line = pool.submit(greet)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ClusterProblem, match="is no Dask scheduler"), connect(address):
            pass
        line.result().close()


def test_without_the_package_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["build", "--out", str(tmp_path / "zoo"), "--dask", "127.0.0.1:8786"]
    assert cli.main(command) == 1
    assert "pip install -r requirements-dev.txt" in capsys.readouterr().err


def test_processes_and_a_cluster_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["build", "--workers", "2", "--dask", "127.0.0.1:8786"])
    assert "--dask: not allowed with argument --workers" in capsys.readouterr().err
