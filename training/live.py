"""Live training: many readers' runs in one or two processes, each a few steps at a time.

    run = train_live(LiveSettings(densities=(0.05,)), reader="a name for this session")
    run.progress()   # any time, from any thread: state, step, frames so far
    run.stop()

A run that waits says its place in the queue; one that has had its turn while others wait
goes to the end of it. A reader has one run at a time, a new one ends the one before, so that
turns are shared out between readers, however much one of them asks for. Nobody has to end a
run: one that nobody asks after is stopped.

PyTorch lives in processes of its own (`training.live_worker`), one for each thread here, which
start with the first run and end when nobody trains: neither its memory nor the time it takes is
that of the process which serves the pages.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import count
from threading import Condition, RLock, Thread
from typing import Any, Literal, get_args
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from superposition.distributions import FeatureDistribution
from superposition.families import FAMILIES, Family
from training.evaluate import Evaluation, evaluate
from training.live_worker import Bench, BenchError, Job, ProcessBench
from zoo.export import metadata
from zoo.format import safetensors_bytes
from zoo.records import Model
from zoo.specs import ModelSpec

Arrays = Mapping[str, NDArray[np.float32]]
State = Literal["waiting", "running", "finished", "stopped", "failed"]
OptimiserName = Literal["adam", "adamw", "rmsprop", "sgd"]
OPTIMISERS: tuple[OptimiserName, ...] = get_args(OptimiserName)
OPTIMISER_NAMES = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "sgd": "SGD"}

MOST_WORKERS = 2
# One core is left to the pages.
WORKERS = max(1, min(MOST_WORKERS, (os.cpu_count() or 1) - 1))
TURN_SECONDS = 2.0
# How long a process trains between two looks at what its reader wants.
STRETCH_SECONDS = 0.05
# PyTorch takes two seconds to start, and some hundred megabytes while it is there.
IDLE_SECONDS = 60.0
# A page asks several times a second; a browser tab in the background once a second at least.
ABANDONED_SECONDS = 15.0
MOST_FRAMES = 120


@dataclass(frozen=True)
class Limits:
    """What a live run may ask for: the least and the most of each setting, and its time.

    The largest run allowed (twenty features, ten hidden dimensions, eight seeds, 5,000 steps)
    takes 10 to 15 seconds of one core; the time limit leaves room for a busy machine.
    """

    n_features: tuple[int, int] = (1, 20)
    n_hidden: tuple[int, int] = (1, 10)
    density: tuple[float, float] = (0.0001, 1.0)
    importance_decay: tuple[float, float] = (0.1, 1.0)
    learning_rate: tuple[float, float] = (0.0001, 10.0)
    steps: tuple[int, int] = (10, 5000)
    seed: tuple[int, int] = (0, 9999)
    seeds: tuple[int, int] = (1, 8)
    seconds: float = 60.0
    waiting: int = 100


LIMITS = Limits()


@dataclass(frozen=True)
class LiveSettings:
    """What to train: architecture, data, loss weights, recipe.

    Attributes:
        family: a key of `superposition.families.FAMILIES`.
        n_features, n_hidden: n and m.
        densities: p_i = P(x_i ≠ 0): one for all features, or n of them.
        importance_decay: the loss weight of feature i is `importance_decay ** i`.
        optimiser, learning_rate, steps: of the recipe; the rest of it is the zoo's.
        seed: of the starting weights.
        seeds: how many models to train at once, with seeds `seed`, `seed` + 1, …

    Raises:
        ValueError: for a setting outside `LIMITS`; the message names it.
    """

    family: str = "relu-output"
    n_features: int = 5
    n_hidden: int = 2
    densities: tuple[float, ...] = (0.1,)
    importance_decay: float = 0.9
    optimiser: OptimiserName = "adam"
    learning_rate: float = 0.1
    steps: int = 200
    seed: int = 0
    seeds: int = 1

    def __post_init__(self) -> None:
        for name, known in (("family", tuple(FAMILIES)), ("optimiser", OPTIMISERS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}"
                )
        for name in ("n_features", "n_hidden", "steps", "seed", "seeds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"{name} is {value!r}; expected a whole number")
            _check_range(name, value, getattr(LIMITS, name))
        for name in ("importance_decay", "learning_rate"):
            _check_range(name, getattr(self, name), getattr(LIMITS, name))
        if len(self.densities) not in (1, self.n_features):
            raise ValueError(
                f"densities has {len(self.densities)} values; expected one for all features, or "
                f"{self.n_features}, one for each"
            )
        for density in self.densities:
            _check_range("density", density, LIMITS.density)

    @property
    def model_family(self) -> Family:
        return FAMILIES[self.family]

    @property
    def feature_densities(self) -> tuple[float, ...]:
        """p_i of every feature, length n."""
        each = self.densities if len(self.densities) > 1 else self.densities * self.n_features
        return tuple(float(density) for density in each)

    @property
    def common_density(self) -> float | None:
        """The density of every feature, or None if they differ."""
        return self.feature_densities[0] if len(set(self.feature_densities)) == 1 else None

    @cached_property
    def distribution(self) -> FeatureDistribution:
        low, high = self.model_family.value_range
        return FeatureDistribution(self.feature_densities, low, high)

    @property
    def importances(self) -> NDArray[np.float64]:
        """I_i, shape (n,)."""
        return np.asarray(self.importance_decay ** np.arange(self.n_features), dtype=np.float64)

    @property
    def spec(self) -> ModelSpec:
        """The nearest thing a zoo could declare; differing densities become their mean."""
        density = self.common_density
        if density is None:
            density = float(f"{np.mean(self.feature_densities):.3g}")
        return ModelSpec(
            self.family,
            self.n_features,
            self.n_hidden,
            density,
            float(self.importance_decay),
            self.seed,
        )

    def model_id(self, index: int = 0) -> str:
        """`lab/FAMILY/SETTING/sSEED` of the model `index` of the run."""
        name = self.spec.with_seed(self.seed + index).model_id("lab")
        return name if self.common_density is not None else name.replace("-p", "-pmean")


def _check_range(name: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    # Written so that NaN fails it.
    if not (isinstance(value, int | float) and low <= value <= high):
        raise ValueError(f"{name} is {value!r}; expected {low:g} to {high:g}")


@dataclass(frozen=True, eq=False)
class Frame:
    """The B models of a run after one step.

    Attributes:
        step: 0 is before the first update.
        losses: (B,) the training estimate of the expected loss; NaN for a model that diverged.
        parameters: tensor name -> (B, …) float32.
    """

    step: int
    losses: NDArray[np.float64]
    parameters: Arrays

    def model(self, index: int) -> dict[str, NDArray[np.float32]]:
        """The parameters of one of the models."""
        return {name: values[index] for name, values in self.parameters.items()}

    @property
    def best(self) -> int:
        """Index of the model with the lowest loss."""
        return int(np.argmin(np.where(np.isfinite(self.losses), self.losses, np.inf)))


@dataclass(frozen=True, eq=False)
class Progress:
    """A run at one moment.

    Attributes:
        state: what it is doing, or how it ended.
        message: the same in a sentence for the reader.
        step, total: steps done and asked for.
        seconds: spent training, without waiting.
        place: 1 if it is next, 2 if one is before it, …; 0 if it is not waiting.
        frames: the weights and losses kept so far, the latest last.
    """

    state: State
    message: str
    step: int
    total: int
    seconds: float
    place: int
    frames: tuple[Frame, ...]

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    def up_to(self, share: float) -> tuple[Frame, ...]:
        """The frames of the first `share` of the steps asked for, at least the first one."""
        last = share * self.total
        return tuple(frame for frame in self.frames if frame.step <= last) or self.frames[:1]


class LiveRun:
    """One run. Made by `train_live`; every method may be called from any thread."""

    def __init__(self, settings: LiveSettings, pool: Pool) -> None:
        self.settings = settings
        self._pool = pool
        self._lock = RLock()
        self._state: State = "waiting"
        self._message = "Waiting for its turn."
        self._step = 0
        self._seconds = 0.0
        self._frames: list[Frame] = []
        self._last_step: int | None = None  # frames after it are dropped
        self._stop_reason = ""
        self._asked = pool.clock()
        self._number = next(_NUMBERS)
        self._began = False
        self.worker: int | None = None  # which thread of the pool it began on

    def progress(self) -> Progress:
        """How it stands. Asking also says that somebody is still interested."""
        self._asked = self._pool.clock()
        place = self._pool.place(self)
        with self._lock:
            waiting = self._state == "waiting"
            message = self._message
            if waiting and self._step:
                message = "Others have their turn; this run goes on after them."
            return Progress(
                state=self._state,
                message=message,
                step=self._step,
                total=self.settings.steps,
                seconds=self._seconds,
                place=max(place, 1) if waiting else 0,
                frames=tuple(self._frames),
            )

    def stop(self, at_step: int | None = None) -> None:
        """End it before the next step, keeping the weights it has.

        Args:
            at_step: go back to the last weights kept at or before this step. A small run is
                over before a reader can press a button; this stops it where they saw it.
                Has an effect on a finished run too.
        """
        with self._lock:
            if at_step is not None:
                self._last_step = max(at_step, 0)
            if self._state == "running":
                self._stop_reason = "Stopped"
            elif self._state != "failed":
                too_late = any(frame.step > self._last_frame_allowed for frame in self._frames)
                if too_late or self._state == "waiting":
                    self._settle("Stopped")

    def wait(self, seconds: float) -> Progress:
        """Wait until it is over, or for so long; returns how it stands then."""
        deadline = time.monotonic() + seconds
        while (now := self.progress()).active and time.monotonic() < deadline:
            time.sleep(0.005)
        return now

    @property
    def abandoned(self) -> bool:
        return self._pool.clock() - self._asked > self._pool.abandoned_seconds

    @property
    def active(self) -> bool:
        return self._state in ("waiting", "running")

    # For the pool.

    def refuse(self, message: str) -> None:
        """End it before it began."""
        self._end("failed", message)

    def give_up(self) -> None:
        """Stop it because nobody asks after it."""
        self._settle("Nobody was watching any more. Stopped")

    def take_turn(self, bench: Bench, may_go_on: Callable[[float], bool]) -> bool:
        """Train until done, stopped, out of time, or out of turn; True if there is more to do.

        bench: always the same one.
        may_go_on: is given the seconds this turn has lasted, between two stretches.
        """
        with self._lock:
            if self.active and self.abandoned:
                self.give_up()
            wanted = self.active
            if wanted:
                self._state = "running"
                self._message = "Training." if self._began else "Starting PyTorch."
        try:
            if wanted and self._train(bench, may_go_on):
                return True
            bench.drop(self._number)
        except BenchError as error:
            self._end("failed", f"Training failed: {error}")
        except Exception as error:
            # Whatever it is, it concerns this reader alone, and they should learn of it.
            self._end("failed", f"Training failed: {type(error).__name__}: {error}")
        return False

    def _train(self, bench: Bench, may_go_on: Callable[[float], bool]) -> bool:
        if not self._began:
            bench.begin(self._number, job_of(self.settings))
            self._began = True
        with self._lock:
            self._message = "Training."
        clock = self._pool.clock
        start = last = clock()
        done = trained = False
        while True:
            ended = self._reason_to_end()
            if ended or done:
                now = bench.now(self._number)
                if self._add_frame(now.step, now.losses, now.parameters):
                    self._settle(ended)
                return False
            if trained and not may_go_on(last - start):
                with self._lock:
                    if self._stop_reason:
                        continue
                    self._state = "waiting"
                    return True
            report = bench.advance(self._number, self._pool.stretch_seconds)
            now_at, trained, done = clock(), True, report.done
            with self._lock:
                self._step = report.step
                self._seconds += now_at - last
            last = now_at
            for weights in report.kept:
                if not self._add_frame(weights.step, weights.losses, weights.parameters):
                    return False
            if report.diverged is not None:
                self._diverged(report.diverged)
                return False

    def _reason_to_end(self) -> str:
        if self._stop_reason:
            return self._stop_reason
        if self.abandoned:
            return "Nobody was watching any more. Stopped"
        if self._seconds > self._pool.limits.seconds:
            most = self._pool.limits.seconds
            return f"A live run may train for {most:g} seconds. Stopped"
        return ""

    @property
    def _last_frame_allowed(self) -> float:
        return math.inf if self._last_step is None else self._last_step

    def _add_frame(
        self, step: int, losses: NDArray[np.float64], parameters: dict[str, NDArray[np.float32]]
    ) -> bool:
        """Keep the weights; False, and the run has failed, if no model is left that is finite."""
        finite = np.isfinite(losses)
        for values in parameters.values():
            finite &= np.isfinite(values).reshape(len(losses), -1).all(1)
        if not finite.any():
            self._diverged(step)
            return False
        with self._lock:
            kept = self._frames[-1].step if self._frames else -1
            if step > kept:
                frame = Frame(step, np.where(finite, losses, np.nan), parameters)
                self._frames.append(frame)
        return True

    def _diverged(self, step: int) -> None:
        what = "the loss" if self.settings.seeds == 1 else "every loss"
        self._end(
            "failed",
            f"After step {step:,} {what} was no longer a number: a learning rate of "
            f"{self.settings.learning_rate:g} is too high for "
            f"{OPTIMISER_NAMES[self.settings.optimiser]} here. "
            "Lower it and train again.",
        )

    def _settle(self, reason: str) -> None:
        """End it at its last frame, or at the last one the reader wanted."""
        with self._lock:
            wanted = [frame for frame in self._frames if frame.step <= self._last_frame_allowed]
            self._frames = wanted or self._frames[:1]
            self._step = self._frames[-1].step if self._frames else 0
            if self._step == self.settings.steps:
                self._end("finished", f"Finished: {self._step:,} steps in {self._seconds:.2g} s.")
            else:
                at = f"at step {self._step:,} of {self.settings.steps:,}"
                self._end("stopped", f"{reason or 'Stopped'} {at}.")

    def _end(self, state: State, message: str) -> None:
        with self._lock:
            self._state, self._message = state, message


class Pool:
    """A few threads that serve the runs of any number of readers in turn.

    Args:
        workers: threads, each with a bench of its own; they start with the first run.
        turn_seconds: after which a run makes room, if another waits.
        abandoned_seconds: after which a run that nobody asks after is stopped.
        stretch_seconds: between two looks at what a run's reader wants.
        idle_seconds: after which a bench that nobody needs is closed.
        limits: of a run's seconds, and of the length of the queue.
        bench: makes what a thread trains on.
        clock: seconds; tests put their own.
    """

    def __init__(
        self,
        workers: int = WORKERS,
        *,
        turn_seconds: float = TURN_SECONDS,
        abandoned_seconds: float = ABANDONED_SECONDS,
        stretch_seconds: float = STRETCH_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        limits: Limits = LIMITS,
        bench: Callable[[], Bench] = ProcessBench,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.workers = workers
        self.turn_seconds = turn_seconds
        self.abandoned_seconds = abandoned_seconds
        self.stretch_seconds = stretch_seconds
        self.idle_seconds = idle_seconds
        self.limits = limits
        self.bench = bench
        self.clock = clock
        self._threads: list[Thread] = []
        self._queue: deque[LiveRun] = deque()
        # Weakly: what a finished run weighs goes with the session that started it.
        self._latest = WeakValueDictionary[str, LiveRun]()
        self._changed = Condition()
        self._closed = False

    def start(self, settings: LiveSettings, reader: str | None = None) -> LiveRun:
        """Put a run at the end of the queue. It has failed already if the queue is full.

        reader: whose run it is; the run that this reader started before is stopped.
        """
        run = LiveRun(settings, self)
        with self._changed:
            if reader is not None:
                before = self._latest.get(reader)
                if before is not None and before.active:
                    before.stop()
                self._latest[reader] = run
            for other in self._queue:
                if other.abandoned:
                    other.give_up()
            # One that has begun is still to be forgotten where it trained.
            self._queue = deque(o for o in self._queue if o.active or o.worker is not None)
            waiting = sum(other.active for other in self._queue)
            if waiting >= self.limits.waiting:
                run.refuse(
                    f"{waiting} runs are waiting already, which is all this machine takes. Try "
                    "again in a minute."
                )
                return run
            self._queue.append(run)
            if not self._threads:
                for index in range(self.workers):
                    name = f"live-training-{index}"
                    self._threads.append(
                        Thread(target=self._serve, args=(index,), name=name, daemon=True)
                    )
                    self._threads[-1].start()
            self._changed.notify_all()
        return run

    def place(self, run: LiveRun) -> int:
        """1 for the next run to be served, and 0 for one that is not waiting."""
        with self._changed:
            waiting = [other for other in self._queue if other.active and not other.abandoned]
        return waiting.index(run) + 1 if run in waiting else 0

    def close(self) -> None:
        """End the threads after the step they are in; what waits stays unserved."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _serve(self, worker: int) -> None:
        bench = self.bench()
        while True:
            with self._changed:
                while (run := self._next(worker)) is None and not self._closed:
                    if not self._changed.wait(self.idle_seconds):
                        bench.close()
            if run is None:
                bench.close()
                return
            if run.take_turn(bench, self._may_go_on):
                with self._changed:
                    self._queue.append(run)
                    self._changed.notify_all()

    def _next(self, worker: int) -> LiveRun | None:
        """Take from the queue the first run that is this worker's, or nobody's yet."""
        if self._closed:
            return None
        for run in self._queue:
            if run.worker in (worker, None):
                self._queue.remove(run)
                run.worker = worker
                return run
        return None

    def _may_go_on(self, seconds: float) -> bool:
        return not self._closed and (seconds < self.turn_seconds or not self._queue)


_NUMBERS = count()
_POOL = Pool()


def train_live(settings: LiveSettings, reader: str | None = None) -> LiveRun:
    """Start a run among those of the other readers, and return at once.

    reader: a name for whoever asks, the same for all that they ask; see `Pool.start`.
    """
    return _POOL.start(settings, reader)


def job_of(settings: LiveSettings) -> Job:
    """What a bench has to know of a run."""
    return Job(
        settings.family,
        settings.n_features,
        settings.n_hidden,
        settings.distribution,
        settings.importances,
        tuple(range(settings.seed, settings.seed + settings.seeds)),
        settings.optimiser,
        settings.learning_rate,
        settings.steps,
        kept_steps(settings.steps),
    )


def kept_steps(steps: int, most: int = MOST_FRAMES) -> frozenset[int]:
    """Steps whose weights are kept, 0 and `steps` among them: closer together at first."""
    spaced = steps * np.linspace(0, 1, most) ** 1.5
    return frozenset(int(step) for step in np.rint(spaced))


def expected_losses(settings: LiveSettings, parameters: Arrays) -> Evaluation:
    """The loss of B models on the settings' data and importances, as the zoo computes it.

    parameters: tensor name -> (B, …), of the settings' family and n; m may differ.
    """
    count = len(next(iter(parameters.values())))
    # Weights of a model that diverged are not worth a warning.
    with np.errstate(all="ignore"):
        return evaluate(
            settings.family,
            parameters,
            (settings.distribution,) * count,
            np.tile(settings.importances, (count, 1)),
        )


def lab_model(settings: LiveSettings, frame: Frame, index: int, evaluation: Evaluation) -> Model:
    """One model of a run as a model of the zoo.

    frame: the weights; evaluation: of them all; index: which of the B.
    """
    record = {
        "loss": float(evaluation.loss[index]),
        "loss_method": evaluation.method,
        "loss_standard_error": float(evaluation.standard_error[index]),
    }
    return Model(
        model_id=settings.model_id(index),
        grid="lab",
        spec=settings.spec.with_seed(settings.seed + index),
        parameters=frame.model(index),
        record=record,
        zoo_version="none, trained in the Lab",
    )


def lab_state_dict(settings: LiveSettings, frame: Frame, model: Model) -> bytes:
    """A safetensors file like `zoo.export.state_dict_bytes`, with the recipe in its metadata.

    `distribution` is exact also where the densities differ; `spec` then has `densities` in the
    place of `density`, because no spec of a zoo can say it.
    """
    about = metadata(model)
    about["distribution"] = json.dumps(settings.distribution.to_dict())
    if settings.common_density is None:
        spec = json.loads(about["spec"])
        del spec["density"]
        spec["densities"] = list(settings.feature_densities)
        about["spec"] = json.dumps(spec)
    recipe = asdict(replace(settings, seed=model.spec.seed, seeds=1))
    wanted = ("optimiser", "learning_rate", "steps", "seed")
    training: dict[str, Any] = {name: recipe[name] for name in wanted}
    about["training"] = json.dumps({**training, "steps_done": frame.step})
    return safetensors_bytes(model.parameters, about)


__all__ = [
    "LIMITS",
    "OPTIMISERS",
    "OPTIMISER_NAMES",
    "Evaluation",
    "Frame",
    "Limits",
    "LiveRun",
    "LiveSettings",
    "Pool",
    "Progress",
    "expected_losses",
    "lab_model",
    "lab_state_dict",
    "train_live",
]
