"""A hundred readers at once: how long do they wait, and what does it cost?

    python -m benchmarks.load [--readers N] [--training N] [--seconds S] [--think S] [--crowds N]
        [--json FILE]

Readers are real sessions over WebSockets on loopback that speak Streamlit's own protocol: they
open pages, move controls, answer the server's requests to come back, and some of them train in
the Lab, again and again. Each waits a random while between two actions, `--think` seconds on
average. Before them, one session does the same alone on the same server. Printed for both: the
time from request to the end of the run, for pages and for reruns, at the median and at the 95th
percentile; and the memory, before, at its peak, and after everybody has left, of the server and of
the processes it trains in, which come and go.

There are several crowds, one after the other. The first leaves a fresh server with more than it had
before. Whether memory grows with every crowd is for the next to tell.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

from pages.parts.memory import PAUSE

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0  # seconds until an answer counts as lost
LAB = "lab"
APP = "app.py"
AS_SERVED = {"MALLOC_ARENA_MAX": "1"}  # by the Makefile and the Dockerfile
WHOLE = ForwardMsg.ScriptFinishedStatus.FINISHED_SUCCESSFULLY
FRAGMENT = ForwardMsg.ScriptFinishedStatus.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
# Streamlit keeps a session for two minutes after its socket has closed, in case it comes back.
FORGOTTEN_AFTER = 130.0


@dataclass
class Timings:
    """What readers waited for, in seconds, and what went wrong."""

    pages: list[float] = field(default_factory=list)
    reruns: list[float] = field(default_factory=list)
    runs_finished: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Control:
    """A widget: its id, the fragment it reruns, its place on the page, values to choose from."""

    id: str
    fragment: str
    place: tuple[int, ...]
    values: tuple[WidgetState, ...]


@dataclass
class Run:
    """A run of a page on the server: which, what came of it, and how it ended.

    Attributes:
        page: Streamlit's name for it.
        started: when its first message came, by `time.perf_counter`.
        fragments, controls: what came, by id.
        part: the place on the page that everything that came lies in; None if nothing did.
    """

    page: str
    started: float = field(default_factory=time.perf_counter)
    fragments: set[str] = field(default_factory=set)
    controls: set[str] = field(default_factory=set)
    part: tuple[int, ...] | None = None
    status: int | None = None

    def see(self, fragment: str, place: tuple[int, ...]) -> None:
        """Note something that came."""
        self.fragments.add(fragment)
        if self.part is None:
            self.part = place
        shared = takewhile(lambda pair: pair[0] == pair[1], zip(self.part, place, strict=False))
        self.part = tuple(step for step, _ in shared)

    def answers(self, ask: BackMsg, sent: float) -> bool:
        """Whether this is what was asked for at the time `sent`.

        A fragment's return from before is not. A whole page begun since then is, for a control too:
        when the page asks for itself again, because a claim has been measured or a training run is
        over, Streamlit makes it once, with the control's new value, and not the fragment as well.
        """
        asked = ask.rerun_script
        if asked.page_script_hash not in ("", self.page) or self.started < sent:
            return False
        if asked.fragment_id and self.status == FRAGMENT:
            # Nothing comes of a control that an answer before has taken off the page.
            return asked.fragment_id in self.fragments or not self.fragments
        return self.status == WHOLE


class Reader:
    """One session: a socket, the page it is on, and the controls it has seen there."""

    def __init__(self, socket: websockets.ClientConnection, timings: Timings, seed: int) -> None:
        self.socket = socket
        self.timings = timings
        self.random = random.Random(seed)
        self.pages: dict[str, str] = {}  # address -> Streamlit's name for it
        self.page = ""
        self.controls: dict[str, Control] = {}
        self.states: dict[str, WidgetState] = {}
        self.buttons: dict[str, tuple[str, str]] = {}  # label -> id, fragment
        self.texts: list[str] = []
        self._returns: dict[str, asyncio.Task[None]] = {}
        self._run = Run("")
        self._finished = asyncio.Queue[Run]()

    async def listen(self) -> None:
        """Take in what the server sends, until the socket closes."""
        with suppress(websockets.ConnectionClosed):
            async for data in self.socket:
                assert isinstance(data, bytes)
                message = ForwardMsg.FromString(data)
                kind = message.WhichOneof("type")
                if kind == "delta":
                    self._see(message.delta, tuple(message.metadata.delta_path))
                elif kind == "navigation":
                    self.pages = {
                        page.url_pathname: page.page_script_hash
                        for page in message.navigation.app_pages
                    }
                elif kind == "auto_rerun":
                    self._come_back(message.auto_rerun)
                elif kind == "stop_auto_rerun":
                    self.stay_away()
                elif kind == "new_session":
                    self._run = Run(message.new_session.page_script_hash)
                elif kind == "script_finished":
                    self._run.status = message.script_finished
                    self._forget()
                    self._finished.put_nowait(self._run)

    def _see(self, delta: Any, place: tuple[int, ...]) -> None:
        self._run.see(delta.fragment_id, place)
        if delta.WhichOneof("type") != "new_element":
            return
        element, fragment = delta.new_element, delta.fragment_id
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.timings.errors.append(f"{self.page}: {element.exception.message}")
        elif kind == "markdown":
            self.texts.append(element.markdown.body)
        elif kind == "button":
            self.buttons[element.button.label] = (element.button.id, fragment)
        elif kind == "checkbox":
            box = element.checkbox
            values = (WidgetState(id=box.id, bool_value=on) for on in (True, False))
            self._offer(Control(box.id, fragment, place, tuple(values)))
        elif kind == "slider" and element.slider.options:
            slider = element.slider
            values = (self._strings(slider.id, [option]) for option in slider.options)
            self._offer(Control(slider.id, fragment, place, tuple(values)))
        elif kind == "button_group":
            group = element.button_group
            values = (self._strings(group.id, [option.content]) for option in group.options)
            self._offer(Control(group.id, fragment, place, tuple(values)))

    def _offer(self, control: Control) -> None:
        self.controls[control.id] = control
        self._run.controls.add(control.id)

    def _forget(self) -> None:
        """Controls in the part of the page that was made again, and not in it now, are gone."""
        part = self._run.part
        for control in list(self.controls.values()):
            inside = part is not None and control.place[: len(part)] == part
            if inside and control.id not in self._run.controls:
                del self.controls[control.id]

    @staticmethod
    def _strings(identity: str, values: list[str]) -> WidgetState:
        state = WidgetState(id=identity)
        state.string_array_value.data.extend(values)
        return state

    # What a reader does.

    async def open(self, address: str) -> None:
        """Go to a page of the app, and wait until it is there."""
        self.stay_away()
        self.page, self.controls, self.states, self.buttons = address, {}, {}, {}
        ask = BackMsg()
        ask.rerun_script.page_script_hash = self.pages.get(address, "")
        ask.rerun_script.page_name = "" if address in self.pages else address
        self.timings.pages.append(await self._ask(ask))

    async def move(self) -> None:
        """Put one of the page's controls to another value, and wait for what depends on it."""
        if not self.controls:
            return
        control = self.random.choice(list(self.controls.values()))
        self.states[control.id] = self.random.choice(control.values)
        self.timings.reruns.append(await self._ask(self._rerun(control.fragment)))

    async def train(self) -> None:
        """Press the Lab's button, and stay until the run is over."""
        await self.open(LAB)
        button = next((self.buttons[name] for name in self.buttons if "Train" in name), None)
        if button is None:
            self.timings.errors.append(f"no button to train among {sorted(self.buttons)}")
            return
        ask = self._rerun(button[1])
        ask.rerun_script.widget_states.widgets.append(WidgetState(id=button[0], trigger_value=True))
        self.texts.clear()
        self.timings.reruns.append(await self._ask(ask))
        deadline = time.monotonic() + PATIENCE
        while not any(text.startswith("Finished") for text in self.texts):
            if time.monotonic() > deadline:
                self.timings.errors.append(f"a run was not over after {PATIENCE:g} s")
                return
            await asyncio.sleep(0.1)
        self.timings.runs_finished += 1

    def _rerun(self, fragment: str) -> BackMsg:
        ask = BackMsg()
        ask.rerun_script.page_script_hash = self.pages.get(self.page, "")
        ask.rerun_script.fragment_id = fragment
        ask.rerun_script.widget_states.widgets.extend(self.states.values())
        return ask

    async def _ask(self, ask: BackMsg) -> float:
        """Send a request; the seconds until its run has finished."""
        while not self._finished.empty():
            self._finished.get_nowait()
        start = time.perf_counter()
        await self.socket.send(ask.SerializeToString())
        try:
            async with asyncio.timeout(PATIENCE):
                while not (await self._finished.get()).answers(ask, start):
                    pass
        except TimeoutError:
            self.timings.errors.append(f"{self.page}: no answer within {PATIENCE:g} s")
        return time.perf_counter() - start

    def _come_back(self, request: Any) -> None:
        """A fragment that wants to run again every so often: do as a browser does."""
        self.stay_away(request.fragment_id)

        async def return_again() -> None:
            while True:
                await asyncio.sleep(request.interval)
                ask = self._rerun(request.fragment_id)
                ask.rerun_script.is_auto_rerun = True
                await self.socket.send(ask.SerializeToString())

        self._returns[request.fragment_id] = asyncio.create_task(return_again())

    def stay_away(self, fragment: str | None = None) -> None:
        """End the returns to one fragment, or to all."""
        for name in [fragment] if fragment is not None else list(self._returns):
            task = self._returns.pop(name, None)
            if task is not None:
                task.cancel()


@asynccontextmanager
async def session(port: int, timings: Timings, seed: int) -> AsyncIterator[Reader]:
    """A reader on the first page; the socket closes when the block ends."""
    async with websockets.connect(
        f"ws://127.0.0.1:{port}/_stcore/stream",
        subprotocols=[websockets.Subprotocol("streamlit")],
        origin=websockets.Origin(f"http://127.0.0.1:{port}"),
        max_size=None,
        open_timeout=PATIENCE,
        ping_timeout=None,
    ) as connection:
        reader = Reader(connection, timings, seed)
        listening = asyncio.create_task(reader.listen())
        try:
            await reader.open("")
            yield reader
        finally:
            reader.stay_away()
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening  # raises what went wrong in there


async def read(reader: Reader, until: float, think: float) -> None:
    """Open pages in some order and move their controls, with pauses to read."""
    while time.monotonic() < until:
        await reader.open(reader.random.choice(sorted(reader.pages)))
        for _ in range(3):
            await asyncio.sleep(reader.random.expovariate(1 / think) if think else 0)
            if time.monotonic() >= until:
                return
            await reader.move()


async def train(reader: Reader, until: float, think: float) -> None:
    """Train in the Lab, again and again."""
    while time.monotonic() < until:
        await reader.train()
        await asyncio.sleep(reader.random.expovariate(1 / think) if think else 0)


async def crowd(port: int, readers: int, training: int, seconds: float, think: float) -> Timings:
    """So many sessions for so long, arriving over the first fifth of the time."""
    timings = Timings()
    until = time.monotonic() + seconds

    async def one(index: int) -> None:
        await asyncio.sleep(index / readers * seconds / 5)
        async with session(port, timings, seed=index) as reader:
            await (train if index < training else read)(reader, until, think)

    for result in await asyncio.gather(
        *(one(index) for index in range(readers)), return_exceptions=True
    ):
        if isinstance(result, BaseException):
            timings.errors.append(f"{type(result).__name__}: {result}")
    return timings


async def alone(port: int, actions: int) -> Timings:
    """One session: every page, controls on each, and one training run. Also warms the server up."""
    timings = Timings()
    async with session(port, timings, seed=0) as reader:
        for _ in range(2):
            timings.pages.clear()  # of the first round, which pays for imports and caches
            timings.reruns.clear()
            for address in sorted(reader.pages):
                await reader.open(address)
                for _ in range(actions):
                    await reader.move()
            await reader.train()
    return timings


# The server.


class Memory(NamedTuple):
    """Resident memory in MiB."""

    server: float
    training: float


class Server:
    """The app, as `make app` serves it, or another script, on a free port of this machine."""

    def __init__(self, log: Path, script: str = APP, options: Sequence[str] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", "streamlit", "run", script]
        command += ["--server.address", "127.0.0.1", "--server.port", str(self.port), *options]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(AS_SERVED if script == APP else {})},
            )
        self.peak = Memory(0, 0)

    def wait(self) -> None:
        """Until it answers.

        Raises:
            RuntimeError: if it does not.
        """
        for _ in range(600):
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_stcore/health", timeout=1)
                return
            time.sleep(0.1)
        raise RuntimeError("the app did not start; run `make app` to see why")

    def memory(self) -> Memory:
        """What the server holds now, and what the processes it trains in hold."""
        process = str(self.process.pid)
        listed = subprocess.run(
            ["ps", "-o", "pid=,rss=", "-p", process, "--ppid", process],
            capture_output=True,
            text=True,
        )
        mebibytes = {
            pid: int(kibibytes) / 1024
            for pid, kibibytes in map(str.split, listed.stdout.splitlines())
        }
        server = mebibytes.pop(process, 0.0)
        now = Memory(server, sum(mebibytes.values()))
        self.peak = Memory(*map(max, self.peak, now))
        return now

    async def watch(self) -> None:
        """Look at the memory twice a second, for the peak."""
        while True:
            self.memory()
            await asyncio.sleep(0.5)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


# The report.


def percentiles(seconds: Sequence[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    if not seconds:
        return "none"
    middle, high = np.percentile(seconds, [50, 95]) * 1000
    return f"{middle:,.0f} / {high:,.0f} ms"


def report(name: str, timings: Timings) -> list[str]:
    """A row of the table."""
    return [
        name,
        f"{len(timings.pages):,}",
        percentiles(timings.pages),
        f"{len(timings.reruns):,}",
        percentiles(timings.reruns),
        f"{timings.runs_finished:,}",
        f"{len(timings.errors):,}",
    ]


async def measure(options: argparse.Namespace, server: Server) -> dict[str, Any]:
    """One session alone, then the crowds, one after the other, and the memory around each."""
    watching = asyncio.create_task(server.watch())
    single = await alone(server.port, options.actions)
    await asyncio.sleep(2)
    crowds = []
    for _ in range(options.crowds):
        before = server.peak = server.memory()
        timings = await crowd(
            server.port, options.readers, options.training, options.seconds, options.think
        )
        peak = server.peak
        print(f"all have left; waiting {options.forget:g} s for their sessions to be forgotten")
        await asyncio.sleep(options.forget)
        # Streamlit looks for sessions to forget when one closes; what they held is collected when
        # a page is asked for after that. So there are two visits, further apart than collections.
        for _ in range(2):
            async with session(server.port, Timings(), seed=0) as reader:
                await reader.open("claims")
            await asyncio.sleep(PAUSE + 1)
        memory = {"before": before, "peak": peak, "after": server.memory()}
        held = {when: now._asdict() for when, now in memory.items()}
        crowds.append({"timings": asdict(timings), "memory": held})
    watching.cancel()
    return {"alone": asdict(single), "crowds": crowds}


def memory_lines(held: dict[str, dict[str, float]]) -> list[str]:
    """What the server and its training processes held before, during and after a crowd."""
    lines = []
    for part, name in {"server": "the server", "training": "what it trains in"}.items():
        before, peak, after = (held[when][part] for when in ("before", "peak", "after"))
        change = f" ({after / before - 1:+.1%})" if part == "server" else ""
        lines.append(
            f"memory of {name}: {before:,.0f} MiB before, {peak:,.0f} at the peak, "
            f"{after:,.0f} after{change}"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the app, send the readers, print the table; status 1 if anything went wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("--readers", type=int, default=100, help="sessions at once")
    parser.add_argument("--training", type=int, default=10, help="of them, train in the Lab")
    parser.add_argument("--seconds", type=float, default=120, help="how long they stay")
    parser.add_argument("--think", type=float, default=5, help="mean pause between two actions, s")
    parser.add_argument("--crowds", type=int, default=2, help="so many, one after the other")
    parser.add_argument("--actions", type=int, default=10, help="of the single session, per page")
    parser.add_argument("--forget", type=float, default=FORGOTTEN_AFTER, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="also write every number to this file")
    options = parser.parse_args(arguments)
    log = ROOT / "build" / "load-server.log"
    log.parent.mkdir(exist_ok=True)
    server = Server(log)
    try:
        server.wait()
        result = asyncio.run(measure(options, server))
    finally:
        server.stop()
    header = ["", "pages", "p50 / p95", "reruns", "p50 / p95", "runs trained", "errors"]
    rows = [
        report("one session alone", Timings(**result["alone"])),
        *(
            report(f"{options.readers} sessions", Timings(**each["timings"]))
            for each in result["crowds"]
        ),
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    errors = list(result["alone"]["errors"])
    for each in result["crowds"]:
        print(*memory_lines(each["memory"]), sep="\n")
        errors += each["timings"]["errors"]
    for error in dict.fromkeys(errors):
        print(f"error: {error}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
