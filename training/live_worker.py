"""The process in which readers' runs train, apart from the one that serves them pages.

    python -m training.live_worker    # started by `training.live`; speaks on its pipes

A step of a toy model is a hundred small calls of PyTorch. In the process of the app they would
take its time from every reader who wants a page, and PyTorch its memory for good. Here they take
neither: this process stands behind the app in the operating system's queue, and ends when nobody
has trained for a while.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from superposition.distributions import FeatureDistribution

if TYPE_CHECKING:
    from training.fit import Trainer

Arrays = dict[str, NDArray[Any]]

ROOT = Path(__file__).parents[1]
NICENESS = 10


@dataclass(frozen=True)
class Job:
    """What to train, in the words of `training.fit`, and the steps whose weights are kept."""

    family: str
    n_features: int
    n_hidden: int
    distribution: FeatureDistribution
    importances: NDArray[np.float64]
    seeds: tuple[int, ...]
    optimiser: Any
    learning_rate: float
    steps: int
    keep: frozenset[int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "distribution": self.distribution.to_dict(),
            "importances": self.importances.tolist(),
            "keep": sorted(self.keep),
        }

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Job:
        """What `to_dict` gave."""
        return Job(
            **{
                **values,
                "distribution": FeatureDistribution.from_dict(values["distribution"]),
                "importances": np.asarray(values["importances"], dtype=np.float64),
                "seeds": tuple(values["seeds"]),
                "keep": frozenset(values["keep"]),
            }
        )


@dataclass(frozen=True, eq=False)
class Weights:
    """The B models of a job after `step` updates: losses (B,), tensor name -> (B, …) float32."""

    step: int
    losses: NDArray[np.float64]
    parameters: dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Report:
    """What a stretch of training came to.

    Attributes:
        step: how many updates there have been.
        kept: the weights to be kept on the way.
        diverged: the step after which no loss was a number; None if some is.
        done: nothing is left to do.
    """

    step: int
    kept: tuple[Weights, ...]
    diverged: int | None
    done: bool


class Bench(Protocol):
    """Where jobs are trained, each under the number of its run."""

    def begin(self, run: int, job: Job) -> None:
        """Set a job up, before its first step."""

    def advance(self, run: int, seconds: float) -> Report:
        """Train for so long, one step at least unless it is done."""

    def now(self, run: int) -> Weights:
        """The weights as they are."""

    def drop(self, run: int) -> None:
        """Forget a job, if it is there."""

    def close(self) -> None:
        """Give back what it holds; the next call starts afresh."""


class LocalBench:
    """Trains in this process. Its length is the number of its jobs."""

    def __init__(self) -> None:
        self._trainers: dict[int, tuple[Trainer, Job]] = {}

    def __len__(self) -> int:
        return len(self._trainers)

    def begin(self, run: int, job: Job) -> None:
        import torch

        from training.fit import Problem, Recipe, Trainer

        torch.set_num_threads(1)
        count = len(job.seeds)
        problem = Problem(
            job.family,
            job.n_features,
            job.n_hidden,
            (job.distribution,) * count,
            np.tile(job.importances, (count, 1)),
            job.seeds,
        )
        recipe = Recipe(steps=job.steps, learning_rate=job.learning_rate, optimiser=job.optimiser)
        self._trainers[run] = Trainer(problem, recipe), job

    def advance(self, run: int, seconds: float) -> Report:
        trainer, job = self._trainer(run)
        until = time.monotonic() + seconds
        kept: list[Weights] = []
        diverged = None
        with np.errstate(all="ignore"):
            while not trainer.done:
                step = trainer.step_number
                parameters = _single(trainer) if step in job.keep else None
                losses = trainer.step().double().numpy()
                if parameters is not None:
                    kept.append(Weights(step, losses, parameters))
                if not np.isfinite(losses).any():
                    diverged = step
                if diverged is not None or time.monotonic() >= until:
                    break
        return Report(trainer.step_number, tuple(kept), diverged, trainer.done)

    def now(self, run: int) -> Weights:
        import torch

        trainer, _ = self._trainer(run)
        with torch.no_grad(), np.errstate(all="ignore"):
            return Weights(trainer.step_number, trainer.losses().double().numpy(), _single(trainer))

    def drop(self, run: int) -> None:
        self._trainers.pop(run, None)

    def close(self) -> None:
        self._trainers.clear()

    def _trainer(self, run: int) -> tuple[Trainer, Job]:
        if run not in self._trainers:
            raise BenchError("the process that trained it has ended; train it again")
        return self._trainers[run]


def _single(trainer: Trainer) -> dict[str, NDArray[np.float32]]:
    return {name: values.astype(np.float32) for name, values in trainer.snapshot().items()}


class BenchError(RuntimeError):
    """What went wrong in the process of a bench, or that it is gone."""


class ProcessBench:
    """Trains in a process of its own, for one thread at a time.

    Attributes:
        process: starts with the first job; None while there is none.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, run: int, job: Job) -> None:
        self._ask("begin", run=run, job=job.to_dict())

    def advance(self, run: int, seconds: float) -> Report:
        head, arrays = self._ask("advance", run=run, seconds=seconds)
        kept = tuple(_weights(step, arrays, f"{step}/") for step in head["kept"])
        return Report(head["step"], kept, head["diverged"], head["done"])

    def now(self, run: int) -> Weights:
        head, arrays = self._ask("now", run=run)
        return _weights(head["step"], arrays)

    def drop(self, run: int) -> None:
        if self.process is not None:
            self._ask("drop", run=run)

    def close(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with suppress(OSError):
                    pipe.close()

    def _ask(self, what: str, **details: Any) -> tuple[dict[str, Any], Arrays]:
        if self.process is None:
            # Not `multiprocessing`: its children would import Streamlit, our main module.
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _send(process.stdin, {"what": what, **details})
            head, arrays = _receive(process.stdout)
        except (EOFError, OSError) as lost:
            self.close()
            raise BenchError(
                f"the process that trains has ended (status {process.returncode}); train it again"
            ) from lost
        if "error" in head:
            raise BenchError(head["error"])
        return head, arrays


def _send(pipe: IO[bytes], head: dict[str, Any], arrays: Arrays | None = None) -> None:
    """A message: a line of JSON, and after it as many bytes of safetensors as the line says."""
    body = save(dict(arrays)) if arrays else b""
    pipe.write(json.dumps({**head, "bytes": len(body)}).encode() + b"\n" + body)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[dict[str, Any], Arrays]:
    """The next message. Raises EOFError where there is none, or half of one."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    head = json.loads(line)
    body = pipe.read(head["bytes"])
    if len(body) < head["bytes"]:
        raise EOFError
    return head, load(body) if body else {}


def _arrays(weights: Weights, before: str = "") -> Arrays:
    arrays = {f"{before}parameters/{name}": each for name, each in weights.parameters.items()}
    return {**arrays, f"{before}losses": weights.losses}


def _weights(step: int, arrays: Arrays, before: str = "") -> Weights:
    """What `_arrays` took apart."""
    names = f"{before}parameters/"
    parameters = {
        name.removeprefix(names): each for name, each in arrays.items() if name.startswith(names)
    }
    return Weights(step, arrays[f"{before}losses"], parameters)


def serve(asked: IO[bytes], answered: IO[bytes]) -> None:
    """Do what is asked on a bench of this process, until nobody is there to ask."""
    bench = LocalBench()
    while True:
        try:
            question, _ = _receive(asked)
        except EOFError:
            return
        try:
            _send(answered, *_answer(bench, question))
        except Exception as error:
            # It concerns whoever asked; this process goes on for the others.
            _send(answered, {"error": f"{type(error).__name__}: {error}"})


def _answer(bench: LocalBench, question: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
    run = question["run"]
    if question["what"] == "begin":
        bench.begin(run, Job.from_dict(question["job"]))
        return {}, {}
    if question["what"] == "drop":
        bench.drop(run)
        return {}, {}
    if question["what"] == "now":
        now = bench.now(run)
        return {"step": now.step}, _arrays(now)
    report = bench.advance(run, question["seconds"])
    head = {
        "step": report.step,
        "kept": [weights.step for weights in report.kept],
        "diverged": report.diverged,
        "done": report.done,
    }
    arrays: Arrays = {}
    for weights in report.kept:
        arrays |= _arrays(weights, f"{weights.step}/")
    return head, arrays


def main() -> None:
    """Serve the process that started this one."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # What a library prints must not come between the answers.
    answered = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answered)


if __name__ == "__main__":
    main()
