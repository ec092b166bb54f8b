"""The builder: shards, resuming, workers, and the zoo it writes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from training import build as building
from training import cli, grids
from training.build import SHARDS, build, problem_of, shards_of, train_shard, trajectory_steps
from training.fit import Recipe, initial_parameters
from training.workers import Workers
from zoo import Grid, ModelSpec, Zoo
from zoo.card import full_card
from zoo.claims import measure_claims
from zoo.verify import check_losses

T = TypeVar("T")

QUICK = Recipe(steps=30, learning_rate=0.1, budget=64)


def quick(spec: ModelSpec) -> Recipe:
    return QUICK


SQUARE = Grid(
    "square",
    "A small grid that keeps trajectories.",
    tuple(
        ModelSpec(family, 4, 2, density, 0.9, seed=seed)
        for family in ("relu-output", "linear")
        for density in (1.0, 0.1)
        for seed in (0, 1)
    ),
    keep_trajectories=True,
)
MIXED = Grid(
    "mixed",
    "Every other kind of model.",
    (
        ModelSpec("absolute-value", 3, 4, 0.3),
        ModelSpec("relu-hidden", 4, 2, 0.3, correlation=-1.0, set_size=2),
        ModelSpec("relu-output", 4, 3, 0.3, rare_ratio=0.1),
        ModelSpec("relu-output", 4, 3, 0.3, rare_ratio=0.0),
        ModelSpec("relu-output", 14, 3, 0.1),
    ),
)


def contents(folder: Path) -> Mapping[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("zoo")
    build(out, [SQUARE, MIXED], workers=1, recipe=quick)
    return out


def test_the_result_opens_as_a_zoo_with_every_declared_model(built: Path) -> None:
    zoo = Zoo.open(built)
    assert zoo.grids == ("square", "mixed")
    for grid in (SQUARE, MIXED):
        assert list(zoo.grid(grid.name).table["model_id"]) == [
            spec.model_id(grid.name) for spec in grid
        ]


def test_a_build_ends_with_a_card_that_has_the_claims(tmp_path: Path) -> None:
    models = tuple(
        ModelSpec("relu-output", 5, 2, density, 0.9, seed=seed)
        for density in (0.2, 0.1)
        for seed in (0, 1)
    )
    build(tmp_path, [Grid("bottleneck-5x2", "?", models)], workers=1, recipe=quick)
    zoo = Zoo.open(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card == full_card(zoo)
    claims = measure_claims(zoo)
    assert {claim.id for claim in claims} >= {"four-in-two", "pentagon"}
    assert all(f"| {claim.value} |" in card for claim in claims)


def test_no_shard_and_no_temporary_file_is_left_behind(built: Path) -> None:
    assert not (built / SHARDS).exists()
    assert not [path for path in built.rglob("*") if path.name.startswith(".")]


def test_stored_losses_agree_with_monte_carlo(built: Path) -> None:
    verdicts = [check.verdict for check in check_losses(Zoo.open(built), sample=100)]
    assert len(verdicts) == len(SQUARE) + len(MIXED)
    assert "differs" not in verdicts


def test_each_family_says_how_its_loss_was_computed(built: Path) -> None:
    table = Zoo.open(built).table.set_index("model_id")
    method = table["loss_method"]
    assert set(method[table["family"] == "linear"]) == {"exact"}
    assert method[MIXED.models[0].model_id("mixed")] == "quadrature"
    assert method[MIXED.models[4].model_id("mixed")] == "stratified"
    assert (table["loss_standard_error"] > 0).sum() == 1


def test_the_popular_loss_leaves_the_rare_feature_out(built: Path) -> None:
    zoo = Zoo.open(built)
    model = zoo.model(MIXED.models[2].model_id("mixed"))
    x = model.spec.distribution.sample(400_000, np.random.default_rng(0))
    parameters = {name: values.astype(float) for name, values in model.parameters.items()}
    error = (model.spec.model_family.forward(parameters, x) - x)[:, :-1] ** 2
    per_input = error.sum(1)
    standard_error = per_input.std() / np.sqrt(len(x))
    assert abs(per_input.mean() - model.record["popular_loss"]) < 5 * standard_error
    assert model.record["popular_loss"] < model.record["loss"]


def test_the_best_seed_of_each_setting_keeps_its_trajectory(built: Path) -> None:
    zoo = Zoo.open(built)
    table = zoo.grid("square").table
    kept = table["trajectory_row"].notna()
    assert kept.equals(table["best_of_seeds"])
    for model_id in table.loc[kept, "model_id"]:
        trajectory, model = zoo.trajectory(model_id), zoo.model(model_id)
        assert trajectory.steps[0] == 0
        assert trajectory.steps[-1] == QUICK.steps
        np.testing.assert_array_equal(trajectory.parameters["W"][-1], model.parameters["W"])
        spec = model.spec
        start = initial_parameters(problem_of([spec]), QUICK)["W"][0]
        np.testing.assert_allclose(trajectory.parameters["W"][0], start, rtol=1e-6)


def test_two_workers_write_the_same_bytes_as_one(built: Path, tmp_path: Path) -> None:
    build(tmp_path, [SQUARE, MIXED], workers=2, recipe=quick)
    assert contents(tmp_path) == contents(built)


def test_a_killed_build_continues_where_it_was(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []

    def dies_at_the_third(shard: building.Shard, device: str = "cpu") -> bytes:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(shard.name)
        return train_shard(shard, device)

    monkeypatch.setattr(building, "train_shard", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, [SQUARE, MIXED], workers=1, recipe=quick)
    shards = sorted(path.stem for path in (tmp_path / SHARDS).rglob("*.safetensors"))
    assert shards == sorted(trained)

    def counts(shard: building.Shard, device: str = "cpu") -> bytes:
        trained.append(shard.name)
        return train_shard(shard, device)

    monkeypatch.setattr(building, "train_shard", counts)
    build(tmp_path, [SQUARE, MIXED], workers=1, recipe=quick)
    every = [shard.name for grid in (SQUARE, MIXED) for shard in shards_of(grid, quick)]
    assert sorted(trained) == sorted(every)
    assert contents(tmp_path) == contents(built)


def test_a_damaged_shard_is_trained_again(built: Path, tmp_path: Path) -> None:
    shard = shards_of(SQUARE, quick)[0]
    path = shard.path(tmp_path / SHARDS)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    build(tmp_path, [SQUARE, MIXED], workers=1, recipe=quick)
    assert contents(tmp_path) == contents(built)


def test_building_one_grid_leaves_the_others_alone(built: Path, tmp_path: Path) -> None:
    build(tmp_path, [MIXED], workers=1, recipe=quick)
    build(tmp_path, [SQUARE], workers=1, recipe=quick)
    zoo = Zoo.open(tmp_path)
    assert set(zoo.grids) == {"square", "mixed"}
    before = {name: data for name, data in contents(built).items() if name.startswith("grids/")}
    after = {name: data for name, data in contents(tmp_path).items() if name.startswith("grids/")}
    assert after == before


def test_a_failing_shard_is_named_and_the_rest_kept(tmp_path: Path) -> None:
    def hot(spec: ModelSpec) -> Recipe:
        wild = Recipe(steps=30, learning_rate=1e30, optimiser="sgd", budget=64)
        return wild if spec.family == "absolute-value" else QUICK

    with pytest.raises(RuntimeError, match=r"mixed/absolute-value.*learning rate.*continue"):
        build(tmp_path, [SQUARE, MIXED], recipe=hot, workers=1)
    assert not (tmp_path / "grids" / "mixed").exists()


def test_progress_ends_at_the_whole_work(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []
    build(
        tmp_path,
        [SQUARE],
        workers=1,
        recipe=quick,
        progress=lambda done, total, what: seen.append((done, total)),
    )
    done = [d for d, _ in seen]
    assert done == sorted(done)
    assert seen[-1][0] == pytest.approx(seen[-1][1])


class Late(Workers):
    """Nobody is there at first, and calls wait."""

    def __init__(self) -> None:
        self.looks = 0
        self.most = 0
        self.calls: list[Callable[[], None]] = []

    def slots(self) -> int:
        self.looks += 1
        if self.looks <= 2:
            return 0
        calls, self.calls = self.calls, []
        for call in calls:
            call()
        return 2

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        self.calls.append(lambda: future.set_result(fn(*args, **kwargs)))
        self.most = max(self.most, len(self.calls))
        return future


def test_a_build_without_workers_says_so_and_goes_on_when_one_comes(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "LOOK_AGAIN_SECONDS", 0.01)
    said: list[str] = []
    workers = Late()
    build(
        tmp_path,
        [SQUARE, MIXED],
        workers=workers,
        recipe=quick,
        progress=lambda done, total, what: said.append(what),
    )
    assert said.count("no worker is there") == 2
    assert workers.most <= 2  # as many as it has slots, and not all that wait
    assert contents(tmp_path) == contents(built)


def test_trajectory_steps_start_at_zero_end_at_the_last_and_increase() -> None:
    for steps in (1, 7, 100, 1500):
        chosen = trajectory_steps(steps)
        assert chosen[0] == 0
        assert chosen[-1] == steps
        assert list(chosen) == sorted(set(chosen))
    assert len(trajectory_steps(1500)) >= 40


def test_twins_of_two_families_start_from_the_same_weights_up_to_signs() -> None:
    one = problem_of([ModelSpec("relu-output", 6, 3, 0.1, 0.7, seed=5)])
    two = problem_of([ModelSpec("relu-hidden", 6, 3, 0.1, 0.7, seed=5)])
    np.testing.assert_array_equal(
        np.abs(initial_parameters(one, QUICK)["W"]), np.abs(initial_parameters(two, QUICK)["W"])
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid", "bottleneck-5x3"], "did you mean bottleneck-5x2"),
        (["--grid", "nonsense"], "the grids are bottleneck-5x2, "),
        (["--workers", "0"], "expected 1 or more"),
        (["--device", "abacus"], "use --device cpu"),
    ],
)
def test_bad_arguments_exit_with_2_and_say_what_to_do(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["build", "--out", str(tmp_path / "zoo"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "zoo").exists()


def test_the_command_line_builds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Grid("tiny", "One model.", (ModelSpec("linear", 2, 1, 0.5),))
    monkeypatch.setattr(grids, "GRIDS", {"tiny": tiny})
    assert cli.main(["build", "--out", str(tmp_path), "--workers", "1"]) == 0
    assert "1 models" in capsys.readouterr().out
    assert Zoo.open(tmp_path).grids == ("tiny",)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="lists processes by /proc")
def test_workers_end_when_the_build_is_killed_outright(tmp_path: Path) -> None:
    code = (
        "from training.build import build\n"
        "from training.fit import Recipe\n"
        "from zoo import Grid, ModelSpec\n"
        "endless = lambda spec: Recipe(steps=10**9, budget=64)\n"
        "specs = tuple(ModelSpec('relu-output', n, 2, 0.1) for n in (4, 5))\n"
        "if __name__ == '__main__':\n"
        f"    build({str(tmp_path)!r}, [Grid('slow', '?', specs)], workers=2, recipe=endless)\n"
    )
    script = tmp_path / "slow.py"
    script.write_text(code)
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, str(script)], env=environment(root))
    try:
        wait_for(lambda: len(children(process.pid)) >= 3)
        workers = children(process.pid)
    finally:
        process.kill()
        process.wait()
    assert wait_for(lambda: not any(runs(pid) for pid in workers))
    assert not list((tmp_path / "grids").glob("*"))


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(root)}


def children(pid: int) -> list[int]:
    """Processes started by `pid`: the workers, and multiprocessing's own helper."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def runs(pid: int) -> bool:
    """Whether the process is there and not a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], T], seconds: float = 300) -> T:
    """What `condition` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return result
