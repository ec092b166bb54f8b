"""Live runs: they end as they should, side by side, whatever a reader asks for or does."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load
from safetensors.torch import load as load_torch

from superposition.distributions import FeatureDistribution
from superposition.families import FAMILIES
from training import fit, live
from training.fit import Problem, Recipe
from training.live import (
    LIMITS,
    OPTIMISERS,
    Limits,
    LiveRun,
    LiveSettings,
    Pool,
    expected_losses,
    job_of,
    kept_steps,
    lab_model,
    lab_state_dict,
    train_live,
)
from training.live_worker import BenchError, LocalBench, ProcessBench
from zoo.specs import ModelSpec

PATIENCE = 120.0  # seconds; only a hang takes so long
LONG = LiveSettings(steps=LIMITS.steps[1])


class Gate:
    """Holds every step of training until it is let through, so that tests need no timing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._steps = threading.Semaphore(0)
        self.waiting = False
        step = fit.Trainer.step

        def held(trainer: fit.Trainer) -> Any:
            self.waiting = True
            assert self._steps.acquire(timeout=PATIENCE)
            self.waiting = False
            return step(trainer)

        monkeypatch.setattr(fit.Trainer, "step", held)

    def let(self, steps: int) -> None:
        for _ in range(steps):
            self._steps.release()

    def open(self) -> None:
        self._steps.release(10**6)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


@pytest.fixture
def make_pool() -> Iterator[Callable[..., Pool]]:
    pools: list[Pool] = []

    def make(*args: Any, **kwargs: Any) -> Pool:
        """A pool that trains in this process, and looks at its runs after each step."""
        settings = {"bench": LocalBench, "stretch_seconds": 0.0, **kwargs}
        pools.append(Pool(*args, **settings))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that is bound to happen."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.005)):
        if true():
            return
        pause.wait(0.005)
    raise AssertionError("it did not happen")


# A run.


def test_run_finishes_with_what_the_trainer_would_give() -> None:
    settings = LiveSettings(steps=60, seed=3)
    now = train_live(settings).wait(PATIENCE)
    assert now.state == "finished"
    assert now.step == now.total == 60
    assert now.seconds > 0
    problem = Problem(
        "relu-output", 5, 2, (settings.distribution,), settings.importances[None], (3,)
    )
    recipe = Recipe(steps=60, learning_rate=settings.learning_rate)
    alone = fit.fit(problem, recipe, keep_steps=[f.step for f in now.frames])
    assert [f.step for f in now.frames] == alone.kept_steps.tolist()
    np.testing.assert_array_equal(now.frames[-1].parameters["W"], alone.parameters["W"])
    for t, frame in enumerate(now.frames):
        np.testing.assert_array_equal(frame.parameters["W"], alone.kept_parameters["W"][:, t])
        np.testing.assert_allclose(frame.losses, alone.kept_losses[:, t], rtol=1e-6)


def test_default_run_reaches_the_pentagon_loss_with_some_seed() -> None:
    settings = LiveSettings(densities=(0.1,), seeds=8)
    now = train_live(settings).wait(PATIENCE)
    evaluation = expected_losses(settings, now.frames[-1].parameters)
    # The zero model's loss is 0.127; the best of many long runs is 0.0214.
    assert evaluation.loss.min() == pytest.approx(0.0214, rel=0.01)
    assert evaluation.loss[now.frames[-1].best] == pytest.approx(evaluation.loss.min(), rel=0.01)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_family_and_optimiser_trains(family: str, optimiser: Any) -> None:
    settings = LiveSettings(
        family=family,
        n_features=4,
        n_hidden=3,
        densities=(0.5, 0.3, 0.2, 0.01),
        optimiser=optimiser,
        learning_rate=0.03,
        steps=40,
        seeds=2,
    )
    now = train_live(settings).wait(PATIENCE)
    assert now.state == "finished", now.message
    shapes = FAMILIES[family].parameter_shapes(4, 3)
    assert {k: v.shape for k, v in now.frames[-1].parameters.items()} == {
        name: (2, *shape) for name, shape in shapes.items()
    }
    assert (now.frames[-1].losses < now.frames[0].losses).all()


def test_seeds_together_are_seeds_alone() -> None:
    together = train_live(LiveSettings(steps=30, seed=4, seeds=3)).wait(PATIENCE)
    for index in range(3):
        alone = train_live(LiveSettings(steps=30, seed=4 + index)).wait(PATIENCE)
        np.testing.assert_allclose(
            together.frames[-1].model(index)["W"], alone.frames[-1].model(0)["W"], atol=1e-4
        )


@pytest.mark.parametrize("steps", [10, 11, 200, 5000])
def test_frames_are_enough_to_watch_and_not_too_many(steps: int) -> None:
    kept = sorted(kept_steps(steps))
    assert kept[0] == 0
    assert kept[-1] == steps
    assert min(steps, 60) <= len(kept) <= live.MOST_FRAMES + 1
    assert (np.diff(kept, 2) >= -1).all()


# Stopping.


@pytest.mark.parametrize("steps", [0, 1, 7, 50])
def test_stops_before_the_next_step(gate: Gate, make_pool: Callable[..., Pool], steps: int) -> None:
    run = make_pool().start(LONG)
    gate.let(steps)
    until(lambda: run.progress().step == steps and gate.waiting)
    run.stop()
    gate.let(1)  # the step it is in
    now = run.wait(PATIENCE)
    assert now.state == "stopped"
    assert now.step == now.frames[-1].step <= steps + 1
    assert f"at step {now.step} of 5,000" in now.message
    assert np.isfinite(now.frames[-1].losses).all()


def test_stopping_where_the_reader_saw_it_gives_the_weights_of_that_step() -> None:
    run = train_live(LiveSettings())
    finished = run.wait(PATIENCE)
    seen = finished.frames[40]
    run.stop(at_step=seen.step)
    now = run.progress()
    assert now.state == "stopped"
    assert now.step == seen.step
    assert now.frames == finished.frames[:41]
    assert f"at step {seen.step} of 200" in now.message
    run.stop(at_step=200)
    assert run.progress().step == seen.step


def test_stopping_a_run_at_an_earlier_step_while_it_trains(
    gate: Gate, make_pool: Callable[..., Pool]
) -> None:
    run = make_pool().start(LiveSettings())
    gate.let(50)
    until(lambda: run.progress().step == 50)
    run.stop(at_step=20)
    gate.let(1)
    now = run.wait(PATIENCE)
    assert now.step == now.frames[-1].step == max(s for s in kept_steps(200) if s <= 20)


def test_stopping_at_the_end_or_twice_changes_nothing() -> None:
    run = train_live(LiveSettings(steps=20))
    before = run.wait(PATIENCE)
    run.stop()
    run.stop(at_step=20)
    after = run.progress()
    assert (after.state, after.message, after.frames) == ("finished", before.message, before.frames)


def test_a_run_ends_when_its_time_is_over(make_pool: Callable[..., Pool]) -> None:
    now = make_pool(limits=Limits(seconds=0.0)).start(LONG).wait(PATIENCE)
    assert now.state == "stopped"
    assert 0 < now.step < 5000
    assert "may train for 0 seconds" in now.message


def test_an_abandoned_run_stops(gate: Gate, make_pool: Callable[..., Pool]) -> None:
    clock = [0.0]
    run = make_pool(abandoned_seconds=15.0, clock=lambda: clock[0]).start(LONG)
    gate.let(5)
    until(lambda: run.progress().step == 5)
    clock[0] = 14.0
    gate.let(5)
    until(lambda: run._step == 10)  # progress() would be asking after it
    assert run.active
    clock[0] = 16.0
    run.progress()
    clock[0] = 30.0
    gate.let(5)
    until(lambda: run._step == 15)
    assert run.active
    clock[0] = 31.5
    gate.let(1)
    until(lambda: not run.active)
    assert run.progress().state == "stopped"
    assert "Nobody was watching" in run.progress().message


def test_a_run_that_diverges_says_what_to_do() -> None:
    settings = LiveSettings(optimiser="sgd", learning_rate=10.0)
    now = train_live(settings).wait(PATIENCE)
    assert now.state == "failed"
    assert "learning rate of 10 is too high for SGD" in now.message
    assert now.frames
    assert all(np.isfinite(frame.losses).all() for frame in now.frames)
    assert all(np.isfinite(v).all() for f in now.frames for v in f.parameters.values())


def test_one_diverging_seed_does_not_fail_the_others() -> None:
    # Of these four, only the last starts where momentum carries it away.
    settings = LiveSettings(optimiser="sgd", learning_rate=0.3, seeds=4)
    now = train_live(settings).wait(PATIENCE)
    assert now.state == "finished"
    lost = np.isnan(now.frames[-1].losses)
    assert lost.tolist() == [False, False, False, True]
    assert now.frames[-1].best < 3


def test_an_unexpected_error_reaches_the_reader_and_no_other_run(
    monkeypatch: pytest.MonkeyPatch, make_pool: Callable[..., Pool]
) -> None:
    pool = make_pool(1)
    step = fit.Trainer.step

    def breaks(trainer: fit.Trainer) -> Any:
        if trainer.problem.seeds == (13,):
            raise MemoryError("no memory left")
        return step(trainer)

    monkeypatch.setattr(fit.Trainer, "step", breaks)
    bad, good = pool.start(LiveSettings(seed=13)), pool.start(LiveSettings(steps=20))
    assert "MemoryError: no memory left" in bad.wait(PATIENCE).message
    assert good.wait(PATIENCE).state == "finished"


# Several readers.


def test_two_runs_at_once_do_not_stop_each_other(
    gate: Gate, make_pool: Callable[..., Pool]
) -> None:
    pool = make_pool(2)
    one, other = pool.start(LONG), pool.start(LiveSettings(steps=40, seed=1))
    until(lambda: one.progress().state == other.progress().state == "running")
    one.stop()
    gate.open()
    assert one.wait(PATIENCE).state == "stopped"
    assert other.wait(PATIENCE).state == "finished"


def test_further_runs_wait_in_order_and_say_their_place(
    gate: Gate, make_pool: Callable[..., Pool]
) -> None:
    pool = make_pool(2, turn_seconds=1e9)
    running = [pool.start(LiveSettings(steps=20)) for _ in range(2)]
    until(lambda: all(run.progress().state == "running" for run in running))
    waiting = [pool.start(LiveSettings(steps=20)) for _ in range(3)]
    assert [run.progress().place for run in waiting] == [1, 2, 3]
    assert [run.progress().place for run in running] == [0, 0]
    waiting[0].stop()
    assert waiting[0].progress().state == "stopped"
    assert waiting[0].progress().frames == ()
    assert [run.progress().place for run in waiting] == [0, 1, 2]
    gate.open()
    assert all(run.wait(PATIENCE).state == "finished" for run in (*running, *waiting[1:]))
    waiting[0].stop(at_step=3)


def test_a_long_run_makes_room_and_goes_on_later(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(1, turn_seconds=0.0)
    long = pool.start(LiveSettings(steps=2000))
    until(lambda: long.progress().step > 0)
    short = [pool.start(LiveSettings(steps=10, seed=seed)) for seed in range(3)]
    for run in short:
        assert run.wait(PATIENCE).state == "finished"
    assert long.wait(PATIENCE).state == "finished"
    # Turns change nothing in the result.
    again = make_pool(1).start(LiveSettings(steps=2000)).wait(PATIENCE)
    np.testing.assert_array_equal(
        long.progress().frames[-1].parameters["W"], again.frames[-1].parameters["W"]
    )


def test_a_reader_has_one_run_at_a_time_and_others_keep_theirs(
    gate: Gate, make_pool: Callable[..., Pool]
) -> None:
    pool = make_pool(workers=1)
    first = pool.start(LONG, "one")
    other = pool.start(LONG, "another")
    assert (first.active, other.active) == (True, True)
    second = pool.start(LONG, "one")
    third = pool.start(LONG, "one")
    gate.let(2)
    assert first.wait(PATIENCE).state == "stopped"
    assert second.progress().state == "stopped"
    assert (other.active, third.active) == (True, True)
    # The one who asked three times waits behind the one who asked once.
    while not (gate.waiting and other.progress().state == "running"):
        pass
    assert third.progress().place == 1


def test_a_run_that_nobody_holds_any_more_is_gone(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(workers=1)
    run = pool.start(LiveSettings(steps=20), "one")
    assert run.wait(PATIENCE).state == "finished"
    left = weakref.ref(run)
    del run
    until(lambda: left() is None)


def test_turns_go_round_between_readers_however_often_one_of_them_asks(
    make_pool: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[LiveRun] = []
    take_turn = LiveRun.take_turn

    def noted(run: LiveRun, *args: Any) -> bool:
        turns.append(run)
        return take_turn(run, *args)

    monkeypatch.setattr(LiveRun, "take_turn", noted)
    # A turn is a single step, as long as somebody waits.
    pool = make_pool(workers=1, turn_seconds=0.0)
    greedy = [pool.start(LONG, "greedy") for _ in range(20)]
    modest = pool.start(LiveSettings(steps=50), "modest")
    assert modest.wait(PATIENCE).state == "finished"
    first, last = turns.index(modest), len(turns) - turns[::-1].index(modest)
    between = [run is modest for run in turns[first:last]]
    assert between.count(False) <= between.count(True)
    greedy[-1].stop()
    assert greedy[-1].wait(PATIENCE).state == "stopped"
    assert [run.progress().state for run in greedy] == ["stopped"] * 20


def test_the_queue_has_an_end(gate: Gate, make_pool: Callable[..., Pool]) -> None:
    clock = [0.0]
    pool = make_pool(1, limits=Limits(waiting=2), clock=lambda: clock[0])
    running = pool.start(LONG)
    until(lambda: running.progress().state == "running")
    waiting = [pool.start(LONG) for _ in range(2)]
    refused = pool.start(LONG).progress()
    assert refused.state == "failed"
    assert "2 runs are waiting already" in refused.message
    # Those who left the queue, or the page, make room.
    waiting[0].stop()
    assert pool.start(LONG).progress().state == "waiting"
    clock[0] = 100.0
    running.progress()
    assert pool.start(LONG).progress().place == 1
    assert waiting[1].progress().state == "stopped"
    assert "Nobody was watching" in waiting[1].progress().message


def test_many_threads_may_ask_and_stop_at_once(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(2, turn_seconds=0.0)
    runs: list[LiveRun] = []

    def reader(seed: int) -> None:
        run = pool.start(LiveSettings(steps=300, seed=seed))
        runs.append(run)
        for _ in range(20):
            run.progress()
        if seed % 2:
            run.stop(at_step=seed)

    readers = [threading.Thread(target=reader, args=(seed,)) for seed in range(12)]
    for thread in readers:
        thread.start()
    for thread in readers:
        thread.join(PATIENCE)
    for run in runs:
        now = run.wait(PATIENCE)
        assert now.state == ("stopped" if run.settings.seed % 2 else "finished")
        assert now.step == (now.frames[-1].step if now.frames else 0)


def test_settings_can_be_checked_without_pytorch() -> None:
    check = (
        "import sys; from training.live import LiveSettings; LiveSettings(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


# The process that trains.


def test_training_takes_place_elsewhere_and_gives_the_same() -> None:
    code = (
        "import sys\n"
        "from training.live import LiveSettings, train_live\n"
        "now = train_live(LiveSettings(steps=60, seed=3)).wait(120)\n"
        "assert 'torch' not in sys.modules\n"
        "print(now.state, *now.frames[-1].parameters['W'].ravel().tolist())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    state, *values = said.stdout.split()
    assert state == "finished"
    bench = LocalBench()
    bench.begin(0, job_of(LiveSettings(steps=60, seed=3)))
    while not bench.advance(0, 1.0).done:
        pass
    assert [float(value) for value in values] == bench.now(0).parameters["W"].ravel().tolist()


def test_a_process_that_is_killed_fails_its_runs_and_no_later_one(
    make_pool: Callable[..., Pool],
) -> None:
    bench = ProcessBench()
    pool = make_pool(1, bench=lambda: bench, turn_seconds=0.05)
    runs = [pool.start(LONG) for _ in range(2)]
    until(lambda: all(run.progress().step for run in runs))
    assert bench.process is not None
    bench.process.kill()
    for run in runs:
        ended = run.wait(PATIENCE)
        assert ended.state == "failed"
        assert "has ended" in ended.message
        assert "train it again" in ended.message
    assert pool.start(LiveSettings(steps=20)).wait(PATIENCE).state == "finished"


def test_what_goes_wrong_there_is_told_here() -> None:
    bench = ProcessBench()
    job = job_of(LiveSettings())
    with pytest.raises(BenchError, match="ValueError: optimiser is 'none'"):
        bench.begin(0, replace(job, optimiser="none"))
    bench.begin(1, job)
    assert bench.advance(1, 0.0).step == 1
    bench.close()
    with pytest.raises(BenchError, match="train it again"):
        bench.advance(1, 0.0)
    bench.close()


def test_the_process_ends_when_nobody_has_trained_for_a_while(
    make_pool: Callable[..., Pool],
) -> None:
    bench = ProcessBench()
    pool = make_pool(1, bench=lambda: bench, idle_seconds=0.05)
    for _ in range(2):
        assert pool.start(LiveSettings(steps=20)).wait(PATIENCE).state == "finished"
        until(lambda: bench.process is None)


def test_runs_that_ended_while_they_waited_are_forgotten(make_pool: Callable[..., Pool]) -> None:
    bench = LocalBench()
    pool = make_pool(1, bench=lambda: bench, turn_seconds=0.0)
    runs = [pool.start(LONG, reader="one"), pool.start(LONG, reader="two")]
    until(lambda: all(run.progress().step for run in runs))
    assert len(bench) == 2
    last = pool.start(LiveSettings(steps=20), reader="one")
    runs[1].stop()
    assert last.wait(PATIENCE).state == "finished"
    until(lambda: len(bench) == 0)


# Settings.

NUMBERS = st.one_of(
    st.integers(-(10**12), 10**12), st.floats(), st.booleans(), st.none(), st.text(max_size=5)
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "family": st.one_of(st.sampled_from(list(FAMILIES)), st.text(max_size=8)),
            "optimiser": st.one_of(st.sampled_from(OPTIMISERS), st.text(max_size=8)),
            "densities": st.lists(NUMBERS, max_size=6).map(tuple),
            **dict.fromkeys(
                ("n_features", "n_hidden", "importance_decay", "learning_rate"), NUMBERS
            ),
            **dict.fromkeys(("steps", "seed", "seeds"), NUMBERS),
        },
    )
)
def test_settings_are_within_the_limits_or_refused(values: dict[str, Any]) -> None:
    try:
        settings = LiveSettings(**values)
    except ValueError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert message.partition(" ")[0] in [*values, "density"]
        assert "; expected" in message
        return
    for name in ("n_features", "n_hidden", "steps", "seed", "seeds", "learning_rate"):
        low, high = getattr(LIMITS, name)
        assert low <= getattr(settings, name) <= high
    assert len(settings.feature_densities) == settings.n_features
    assert settings.distribution.n_features == len(settings.importances) == settings.n_features
    assert settings.model_id().startswith("lab/")
    assert ModelSpec.from_dict(settings.spec.to_dict()) == settings.spec


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_features", 21, "n_features is 21; expected 1 to 20"),
        ("n_features", 5.0, "n_features is 5.0; expected a whole number"),
        ("n_hidden", 0, "n_hidden is 0; expected 1 to 10"),
        ("densities", (0.1, 0.2), "densities has 2 values; expected one for all features, or 5"),
        ("densities", (float("nan"),), "density is nan; expected 0.0001 to 1"),
        ("learning_rate", 1e9, "learning_rate is 1000000000.0; expected 0.0001 to 10"),
        ("optimiser", "muon", "optimiser is 'muon'; expected one of adam, adamw, rmsprop, sgd"),
        ("family", "gelu", "family is 'gelu'; expected one of linear"),
    ],
)
def test_messages_name_the_setting(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        LiveSettings(**{name: value})


# What a reader takes home.


@pytest.mark.parametrize("family", FAMILIES)
def test_download_is_an_ordinary_state_dict_that_says_what_it_is(family: str) -> None:
    settings = LiveSettings(family=family, n_features=6, n_hidden=3, steps=20, seed=7, seeds=2)
    frame = train_live(settings).wait(PATIENCE).frames[-1]
    evaluation = expected_losses(settings, frame.parameters)
    model = lab_model(settings, frame, 1, evaluation)
    assert model.model_id == f"lab/{family}/n6-m3-p0.1-i0.9/s08"
    data = lab_state_dict(settings, frame, model)
    tensors = load(data)
    shapes = FAMILIES[family].parameter_shapes(6, 3)
    assert {name: values.shape for name, values in tensors.items()} == shapes
    assert {name: tuple(values.shape) for name, values in load_torch(data).items()} == shapes
    for name, values in tensors.items():
        np.testing.assert_array_equal(values, frame.parameters[name][1])
    about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert about["model_id"] == model.model_id
    assert ModelSpec.from_dict(json.loads(about["spec"])) == model.spec
    distribution = FeatureDistribution.from_dict(json.loads(about["distribution"]))
    assert distribution == settings.distribution
    assert json.loads(about["loss"]) == pytest.approx(evaluation.loss[1])
    assert json.loads(about["training"]) == {
        "optimiser": "adam",
        "learning_rate": 0.1,
        "steps": 20,
        "seed": 8,
        "steps_done": 20,
    }


def test_download_with_differing_densities_holds_them_all() -> None:
    densities = (0.5, 0.25, 0.125)
    settings = LiveSettings(n_features=3, n_hidden=2, densities=densities, steps=10)
    frame = train_live(settings).wait(PATIENCE).frames[-1]
    model = lab_model(settings, frame, 0, expected_losses(settings, frame.parameters))
    assert model.model_id == "lab/relu-output/n3-m2-pmean0.292-i0.9/s00"
    data = lab_state_dict(settings, frame, model)
    about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert tuple(json.loads(about["distribution"])["densities"]) == densities
    spec = json.loads(about["spec"])
    assert tuple(spec["densities"]) == densities
    assert "density" not in spec
