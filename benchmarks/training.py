"""How long until a model is trained? The trainer against minibatches, side by side.

    python -m benchmarks.training [--only 5x2 single relu-hidden-10x5 20x5] [--quick]
        [--threads N] [--first-seed N] [--json FILE]

Every method fits the same models, all of them as one batch, from the same initial weights,
in the same process with the same number of threads. Its clock runs while it trains, from
the making of its nodes or its optimiser on, and stands still while weights are copied. The
two shorter runs are repeated in pauses of the longest, so that all see the same machine;
each clock is the median of its repeats.

A density is reached when the best of its seeds is within 1 % of the best loss known: the
least of all final weights of every method, and of a longer and wider run of the trainer
where the setting asks for one. Losses are judged by an estimate that training does not use.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from superposition.distributions import independent
from superposition.expectation import Nodes, expectation_nodes, expected_loss
from superposition.families import family
from superposition.theory import relu_output_expected_loss
from training.fit import Arrays, Problem, Recipe, Tensors, Trainer, fit, initial_parameters

WITHIN = 1.01
FAR_FROM = 1.05  # of the target: at a glance, whose error is below 2 %, a model is not within it
NEEDED_AGAINST = {"long": 50.0, "short": 5.0}
NEEDED_SECONDS = 0.5


# What is trained


@dataclass(frozen=True)
class Setting:
    """Models of one family and shape, at several densities, several seeds each.

    Attributes:
        decay: the importance of feature i is `decay ** i`.
        recipe: how the trainer fits them.
        checkpoints: how often weights are looked at, of every method alike, at most.
        repeats: runs of the two shorter methods.
        reference: if set, a longer recipe whose result counts as known, and its seeds.
    """

    name: str
    family: str
    n_features: int
    n_hidden: int
    decay: float
    densities: tuple[float, ...]
    recipe: Recipe
    seeds: int = 8
    checkpoints: int = 200
    repeats: int = 15
    reference: tuple[Recipe, int] | None = None

    @property
    def importances(self) -> np.ndarray:
        return np.asarray(self.decay ** np.arange(self.n_features), dtype=float)

    def problem(self, densities: Sequence[float], seeds: Sequence[int]) -> Problem:
        """Every density with every seed, seeds innermost."""
        pairs = [(density, seed) for density in densities for seed in seeds]
        low, high = family(self.family).value_range
        return Problem(
            self.family,
            self.n_features,
            self.n_hidden,
            tuple(independent(self.n_features, density, low, high) for density, _ in pairs),
            np.tile(self.importances, (len(pairs), 1)),
            tuple(seed for _, seed in pairs),
        )


BOTTLENECK_5X2 = Setting(
    "5x2",
    "relu-output",
    5,
    2,
    0.9,
    (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003, 0.001),
    Recipe(steps=150, learning_rate=0.12, betas=(0.75, 0.9), budget=640, initial_scale=0.5),
    reference=(
        Recipe(steps=1500, learning_rate=0.1, betas=(0.8, 0.9), budget=2048, initial_scale=0.5),
        32,
    ),
)
RELU_HIDDEN_10X5 = Setting(
    "relu-hidden-10x5",
    "relu-hidden",
    10,
    5,
    0.7,
    (1.0, 0.3, 0.1, 0.03, 0.01),
    Recipe(
        steps=1000,
        learning_rate=0.1,
        betas=(0.9, 0.95),
        budget=1024,
        resample_every=40,
        initial_scale=0.5,
    ),
    checkpoints=40,
    repeats=3,
)
BOTTLENECK_20X5 = Setting(
    "20x5",
    "relu-output",
    20,
    5,
    0.7,
    (1.0, 0.1, 0.03, 0.01, 0.001),
    Recipe(steps=1000, learning_rate=0.02, betas=(0.9, 0.98), budget=512, initial_scale=0.5),
    checkpoints=40,
    repeats=3,
)
SETTINGS = (BOTTLENECK_5X2, RELU_HIDDEN_10X5, BOTTLENECK_20X5)


# The methods


class Run(Protocol):
    """Training in progress."""

    parameters: Tensors

    def step(self) -> Any: ...


@dataclass(frozen=True)
class Minibatches:
    """Fresh samples at every step: what a training script usually does.

    Attributes:
        batch: inputs per model and step.
        cosine: whether the learning rate decays to zero as a cosine; constant otherwise.
        clip: each model's gradient is scaled down to at most this norm.
    """

    name: str
    batch: int
    steps: int
    learning_rate: float
    weight_decay: float = 0.0
    cosine: bool = False
    clip: float | None = None


LONG = Minibatches("long", batch=1024, steps=10_000, learning_rate=1e-3)
SHORT = Minibatches(
    "short",
    batch=128,
    steps=2_000,
    learning_rate=1e-2,
    weight_decay=1e-2,
    cosine=True,
    clip=2.0,
)


class MinibatchRun:
    """The baseline: torch's optimiser, fresh inputs, one backward pass a step."""

    def __init__(self, problem: Problem, initial: Recipe, method: Minibatches) -> None:
        self.method = method
        self.family = problem.model_family
        self.parameters: Tensors = {
            name: torch.tensor(values, dtype=torch.float32, requires_grad=True)
            for name, values in initial_parameters(problem, initial).items()
        }
        weights = list(self.parameters.values())
        self.optimiser: torch.optim.Optimizer = (
            torch.optim.AdamW(weights, lr=method.learning_rate, weight_decay=method.weight_decay)
            if method.weight_decay
            else torch.optim.Adam(weights, lr=method.learning_rate)
        )
        self.schedule = (
            torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, method.steps)
            if method.cosine
            else None
        )
        self.generator = torch.Generator().manual_seed(0)
        densities = [d.densities for d in problem.distributions]
        self.densities = torch.tensor(densities, dtype=torch.float32)[..., None]
        self.importances = torch.tensor(problem.importances, dtype=torch.float32)
        self.mean = torch.full((len(problem), method.batch), 1 / method.batch)

    def sample(self) -> torch.Tensor:
        """(B, batch, n) inputs on [0, 1].

        Each is one uniform u: below p, which has probability p, u / p is again uniform.
        That is several times faster than drawing activity and value apart. The long axis is
        the last in memory, as it is for the trainer.
        """
        u = torch.rand(*self.densities.shape[:2], self.method.batch, generator=self.generator)
        u /= self.densities
        u *= u < 1
        return u.mT

    def step(self) -> None:
        self.optimiser.zero_grad()
        x = self.sample()
        loss = expected_loss(self.family, self.parameters, x, self.mean, self.importances)
        loss.sum().backward()
        if self.method.clip is not None:
            self.clip_gradients(self.method.clip)
        self.optimiser.step()
        if self.schedule is not None:
            self.schedule.step()

    def clip_gradients(self, most: float) -> None:
        """Each model is a run of its own, and so has a gradient norm of its own."""
        gradients = [p.grad.flatten(1) for p in self.parameters.values() if p.grad is not None]
        norm = torch.cat(gradients, 1).norm(dim=1)
        factor = (most / (norm + 1e-6)).clip(max=1)
        for gradient in gradients:
            gradient *= factor[:, None]


class Stopwatch:
    """Steps a run, and notes time and weights at its checkpoints.

    Attributes:
        at: checkpoints, in steps.
        seconds: on the clock at each of them.
        weights: the parameters there.
    """

    def __init__(self, begin: Callable[[], Run], steps: int, checkpoints: int) -> None:
        every = max(1, steps // checkpoints)
        self.at = list(range(every, steps + 1, every))
        self.seconds: list[float] = []
        self.weights: list[Arrays] = []
        start = time.perf_counter()
        self.run = begin()
        self.clock = time.perf_counter() - start

    def advance(self, checkpoints: int) -> None:
        """Train through the next so many checkpoints."""
        for _ in range(checkpoints):
            done = self.at[len(self.seconds) - 1] if self.seconds else 0
            start = time.perf_counter()
            for _ in range(self.at[len(self.seconds)] - done):
                self.run.step()
            self.clock += time.perf_counter() - start
            self.seconds.append(self.clock)
            self.weights.append(
                {name: p.detach().numpy().copy() for name, p in self.run.parameters.items()}
            )

    def finish(self) -> Stopwatch:
        self.advance(len(self.at) - len(self.seconds))
        return self


@dataclass(frozen=True)
class Course:
    """What a method did: its checkpoints.

    Attributes:
        at: (T,) steps.
        seconds: (T,) clock, the median of the repeats.
        weights: T times tensor name -> (B, …).
    """

    at: list[int]
    seconds: np.ndarray
    weights: list[Arrays]


def course(repeats: Sequence[Stopwatch]) -> Course:
    """What the repeats of one run did; their weights are the same, their clocks are not."""
    seconds = np.median([watch.seconds for watch in repeats], axis=0)
    return Course(repeats[0].at, seconds, repeats[0].weights)


def side_by_side(
    setting: Setting, seeds: Sequence[int], long: Minibatches, short: Minibatches
) -> dict[str, Course]:
    """Run the three methods: the long one in parts, and the others once in each pause."""
    problem = setting.problem(setting.densities, seeds)

    def ours() -> Stopwatch:
        begin = partial(Trainer, problem, setting.recipe)
        return Stopwatch(begin, setting.recipe.steps, setting.checkpoints)

    def minibatches(method: Minibatches) -> Stopwatch:
        begin = partial(MinibatchRun, problem, setting.recipe, method)
        return Stopwatch(begin, method.steps, setting.checkpoints)

    # The first steps of a process pay for imports and memory.
    for warm_up in (ours(), minibatches(short), minibatches(long)):
        warm_up.advance(1)
    slow, ours_done, short_done = minibatches(long), [], []
    for part in range(setting.repeats):
        ours_done.append(ours().finish())
        short_done.append(minibatches(short).finish())
        slow.advance(len(slow.at) * (part + 1) // setting.repeats - len(slow.seconds))
    return {"ours": course(ours_done), "short": course(short_done), "long": course([slow])}


# The judge

# The expected loss of a model at a density, by each of a number of replicates, (R,).
Judge = Callable[[Arrays, float], np.ndarray]


def exact_judge(setting: Setting) -> Judge:
    """The closed form: every active set, without quadrature; one replicate says it all."""

    def judge(model: Arrays, density: float) -> np.ndarray:
        W, b = model["W"], model["b"]
        return np.array([relu_output_expected_loss(W, b, setting.importances, density)])

    return judge


def node_judge(setting: Setting, budget: int, replicates: int) -> Judge:
    """Large sets of nodes in float64, the same for all models, other than those trained on."""
    kind = family(setting.family)

    @cache
    def nodes(density: float) -> list[Nodes]:
        distribution = independent(setting.n_features, density, *kind.value_range)
        return [
            expectation_nodes(distribution, budget=budget, rng=np.random.default_rng([7, r]))
            for r in range(replicates)
        ]

    def judge(model: Arrays, density: float) -> np.ndarray:
        weights = {name: values.astype(np.float64) for name, values in model.items()}
        losses = [
            expected_loss(kind, weights, each.points, each.weights, setting.importances)
            for each in nodes(density)
        ]
        return np.array(losses)

    return judge


def has_closed_form(setting: Setting) -> bool:
    """Whether `exact_judge` will do, and takes milliseconds."""
    return setting.family == "relu-output" and setting.n_features <= 5


@cache
def judge_for(setting: Setting) -> Judge:
    """The closed form where there is one, else four large sets of nodes."""
    return exact_judge(setting) if has_closed_form(setting) else node_judge(setting, 65_536, 4)


@cache
def glance_for(setting: Setting) -> Judge | None:
    """A quick look that tells which models are worth judging, where judging is slow."""
    return None if has_closed_form(setting) else node_judge(setting, 8_192, 1)


def one_model(weights: Arrays, position: int) -> Arrays:
    """The model at one position of a batch."""
    return {name: values[position] for name, values in weights.items()}


def losses_of(judge: Judge, weights: Arrays, densities: Sequence[float], seeds: int) -> np.ndarray:
    """(densities, seeds, R) losses of a batch."""
    pairs = [
        judge(one_model(weights, i * seeds + s), density)
        for i, density in enumerate(densities)
        for s in range(seeds)
    ]
    return np.array(pairs).reshape(len(densities), seeds, -1)


def best_of(losses: np.ndarray) -> np.ndarray:
    """The replicates (R,) of the best of some models (models, R)."""
    return np.asarray(losses[losses.mean(1).argmin()])


def error_of_comparison(one: np.ndarray, other: np.ndarray) -> float:
    """Standard error of the ratio of two losses (R,) on the same replicates."""
    if len(one) == 1:
        return 0.0
    return float((one / other).std(ddof=1) / math.sqrt(len(one)))


def first_reached(
    setting: Setting, done: Course, positions: Sequence[int], density: float, target: float
) -> int | None:
    """The first checkpoint at which one of the models at `positions` is good enough."""
    judge, glance = judge_for(setting), glance_for(setting)
    for checkpoint, weights in enumerate(done.weights):
        for i in positions:
            model = one_model(weights, i)
            if glance is not None and glance(model, density).mean() > FAR_FROM * target:
                continue
            if judge(model, density).mean() <= target:
                return checkpoint
    return None


# The tables


def compare(
    setting: Setting, seeds: Sequence[int], long: Minibatches, short: Minibatches
) -> dict[str, Any]:
    """Everything the table of a setting says, as plain values."""
    done = side_by_side(setting, seeds, long, short)
    judge, count = judge_for(setting), len(seeds)
    replicates = {
        name: losses_of(judge, each.weights[-1], setting.densities, count)
        for name, each in done.items()
    }
    final = {name: losses.mean(-1) for name, losses in replicates.items()}
    pool = np.concatenate(list(replicates.values()), axis=1)
    if setting.reference is not None:
        recipe, wide = setting.reference
        more = fit(setting.problem(setting.densities, range(wide)), recipe)
        reference = losses_of(judge, more.parameters, setting.densities, wide)
        pool = np.concatenate([pool, reference], axis=1)
    pooled = pool.mean(-1).min(1)
    error = 0.0
    for i, known in enumerate(pool):
        for losses in replicates.values():
            best_two = best_of(losses[i]), best_of(known)
            error = max(error, error_of_comparison(*best_two))

    rows = []
    for i, density in enumerate(setting.densities):
        row: dict[str, Any] = {"density": density, "best_known": float(pooled[i])}
        positions = range(i * count, (i + 1) * count)
        for name, each in done.items():
            at = first_reached(setting, each, positions, density, WITHIN * pooled[i])
            row[name] = {
                "seconds": None if at is None else float(each.seconds[at]),
                "step": None if at is None else each.at[at],
                "final_over_best": float(final[name][i].min() / pooled[i]),
                "median_over_best": float(np.median(final[name][i]) / pooled[i]),
                "seeds_within": float((final[name][i] <= WITHIN * pooled[i]).mean()),
            }
        rows.append(row)
    return {
        "setting": setting.name,
        "models": len(setting.densities) * count,
        "judge_error": error,
        "whole_run": {name: float(each.seconds[-1]) for name, each in done.items()},
        "steps": {name: each.at[-1] for name, each in done.items()},
        "rows": rows,
        "ratios": {name: mean_ratio(rows, name) for name in ("long", "short")},
        "every_density_reached": all(row["ours"]["seconds"] is not None for row in rows),
    }


def mean_ratio(rows: Sequence[dict[str, Any]], baseline: str) -> float | None:
    """Geometric mean of baseline / ours over the densities where the baseline gets there.

    None if there is none, or if ours misses one of them.
    """
    both = [
        (row[baseline]["seconds"], row["ours"]["seconds"])
        for row in rows
        if row[baseline]["seconds"] is not None
    ]
    if not both or any(ours is None for _, ours in both):
        return None
    return math.exp(float(np.mean([math.log(theirs / ours) for theirs, ours in both])))


def single_models(
    setting: Setting, compared: dict[str, Any], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """One model at a time: the first seed of each density that ends within 1 %."""
    judge, count = judge_for(setting), len(seeds)
    batch = fit(setting.problem(setting.densities, seeds), setting.recipe)
    final = losses_of(judge, batch.parameters, setting.densities, count).mean(-1)
    rows = []
    for i, row in enumerate(compared["rows"]):
        density, target = row["density"], WITHIN * row["best_known"]
        within = np.flatnonzero(final[i] <= target)
        result: dict[str, Any] = {"density": density, "seeds_within": len(within) / count}
        if len(within):
            seed = seeds[int(within[0])]
            alone = setting.problem([density], [seed])
            begin = partial(Trainer, alone, setting.recipe)
            done = course(
                [
                    Stopwatch(begin, setting.recipe.steps, setting.checkpoints).finish()
                    for _ in range(setting.repeats)
                ]
            )
            at = first_reached(setting, done, [0], density, target)
            start = time.perf_counter()
            fit(alone, setting.recipe)
            result |= {
                "seed": seed,
                "seconds": None if at is None else float(done.seconds[at]),
                "whole_fit": time.perf_counter() - start,
            }
        rows.append(result)
    return rows


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(len(line[c]) for line in (header, *rows)) for c in range(len(header))]
    for line in (header, ["-" * width for width in widths], *rows):
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def in_seconds(seconds: float | None) -> str:
    """A cell of a table; None is a time that never came."""
    return "not reached" if seconds is None else f"{seconds:.3g} s"


def times(ratio: float | None) -> str:
    """A ratio of two times; None where one of them never came."""
    return "–" if ratio is None else f"{ratio:.3g}×"


def print_comparison(setting: Setting, result: dict[str, Any], seeds: Sequence[int]) -> None:
    """The table of one setting, and what it comes to."""
    print(
        f"\n{setting.name}: {setting.family}, {setting.n_features} × {setting.n_hidden}, "
        f"importance {setting.decay:g}^i, {result['models']} models "
        f"(seeds {seeds[0]} to {seeds[-1]}) in one batch"
    )
    print(
        "whole runs: "
        + ", ".join(
            f"{name} {seconds:.3g} s ({result['steps'][name]:,} steps)"
            for name, seconds in result["whole_run"].items()
        )
        + f"; clocks are medians of {setting.repeats} runs, long's of one"
    )
    if result["judge_error"]:
        error = 100 * result["judge_error"]
        print(f"the judge compares two models with a standard error of at most {error:.2g} %")
    print("time until the best seed is within 1 % of the best loss known:")
    rows = []
    for row in result["rows"]:
        cells = [f"{row['density']:g}", f"{row['best_known'] / row['density']:.5f}"]
        ours = row["ours"]["seconds"]
        cells.append(in_seconds(ours))
        for name in ("short", "long"):
            theirs = row[name]["seconds"]
            cells += [
                in_seconds(theirs),
                times(theirs / ours if theirs is not None and ours is not None else None),
            ]
        rows.append(cells)
    print_table(["density", "best L/p", "ours", "short", "", "long", ""], rows)
    print(
        f"geometric means: {times(result['ratios']['long'])} faster than long, "
        f"{times(result['ratios']['short'])} faster than short; "
        + (
            "every density reached"
            if result["every_density_reached"]
            else "not every density reached"
        )
    )


def print_ends(result: dict[str, Any]) -> None:
    """How good the models are when each method has finished."""
    print(
        "at the end, % above the best loss known: the best seed, the median seed (seeds within 1 %)"
    )
    names = tuple(result["steps"])
    rows = [
        [
            f"{row['density']:g}",
            *(
                f"{100 * (row[name]['final_over_best'] - 1):.2f}, "
                f"{100 * (row[name]['median_over_best'] - 1):.3g} "
                f"({100 * row[name]['seeds_within']:.0f} %)"
                for name in names
            ),
        ]
        for row in result["rows"]
    ]
    print_table(["density", *names], rows)


def print_single(rows: Sequence[dict[str, Any]], first: float) -> None:
    """The table of models trained one at a time."""
    print("\none 5 × 2 model alone, for each density the first seed that ends within 1 %:")
    print_table(
        ["density", "seeds that do %", "seed", "within 1 % after", "whole fit"],
        [
            [
                f"{row['density']:g}",
                f"{100 * row['seeds_within']:.0f}",
                str(row.get("seed", "–")),
                in_seconds(row.get("seconds")),
                in_seconds(row.get("whole_fit")),
            ]
            for row in rows
        ],
    )
    print(f"the very first fit of the process, imports of torch excluded: {first:.3g} s whole")


def print_verdict(result: dict[str, Any], single: Sequence[dict[str, Any]] | None) -> None:
    """Each result that the trainer has to reach, and whether it does."""

    def line(text: str, met: bool) -> None:
        print(f"  {text}: {'met' if met else 'NOT met'}")

    print("\nneeded on 5 × 2:")
    for name, needed in NEEDED_AGAINST.items():
        ratio = result["ratios"][name]
        line(
            f"{needed:g}× faster than {name}, measured {times(ratio)}",
            ratio is not None and ratio >= needed,
        )
    line("every density reached", result["every_density_reached"])
    if single is not None:
        slowest = max(row.get("seconds") or math.inf for row in single)
        line(
            f"one model within 1 % in under {NEEDED_SECONDS:g} s, slowest {slowest:.3g} s",
            slowest < NEEDED_SECONDS,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the tables asked for, and print them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=(__doc__ or "").split("\n", 1)[0]
    )
    names = [setting.name for setting in SETTINGS]
    parser.add_argument("--only", nargs="+", choices=[*names, "single"], help="some of the tables")
    parser.add_argument(
        "--quick", action="store_true", help="three densities and a tenth of long's steps"
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch, for all methods")
    parser.add_argument("--first-seed", type=int, default=0, help="the eight seeds start here")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(arguments)
    wanted = set(options.only or [*names, "single"])
    if "single" in wanted:
        wanted.add(BOTTLENECK_5X2.name)  # it takes the best losses known from there
    torch.set_num_threads(options.threads)
    long = replace(LONG, steps=LONG.steps // 10) if options.quick else LONG

    seeds = range(options.first_seed, options.first_seed + BOTTLENECK_5X2.seeds)
    start = time.perf_counter()
    fit(BOTTLENECK_5X2.problem([0.1], seeds[:1]), BOTTLENECK_5X2.recipe)
    first = time.perf_counter() - start
    print(f"PyTorch {torch.__version__}, {options.threads} thread(s)", flush=True)
    results: dict[str, Any] = {"threads": options.threads, "first_fit": first, "settings": []}
    for setting in SETTINGS:
        if setting.name not in wanted:
            continue
        if options.quick:
            setting = replace(setting, densities=(1.0, 0.1, 0.01), repeats=2, checkpoints=40)
        result = compare(setting, seeds, long, SHORT)
        result["recipe"] = asdict(setting.recipe)
        print_comparison(setting, result, seeds)
        print_ends(result)
        results["settings"].append(result)
        if setting.name == BOTTLENECK_5X2.name:
            single = None
            if "single" in wanted:
                single = single_models(setting, result, seeds)
                print_single(single, first)
                results["single"] = single
            if not options.quick:
                print_verdict(result, single)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
