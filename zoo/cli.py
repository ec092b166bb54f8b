"""The command line of the zoo: list, show, export, verify, claims, card, download."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.card import file_size, full_card, grid_facts, shortened, write_card
from zoo.errors import CorruptZoo, HubError, UnknownGrid, UnknownModel, ZooError, ZooNotFound
from zoo.export import export_model, usage_snippet
from zoo.format import CARD, SPEC_COLUMNS
from zoo.hub import HUB, cache_folder, quieten
from zoo.reading import Zoo

# Exit statuses: a wrong zoo is told apart from a wrong request, and from what may work later.
FAILED = 1
MISUSED = 2
UNAVAILABLE = 3
_PIPE_CLOSED = 141  # what a shell reports for a program that a closed pipe ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        the exit status: 0, 1 (the zoo is wrong), 2 (the request is), or 3 (the Hub, a cache or a
        disk did not serve).
    """
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        status = command(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader left, say `head`. Keep Python from trying to write the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, HubError):
            return UNAVAILABLE
        misused = isinstance(error, UnknownModel | UnknownGrid | ZooNotFound)
        return MISUSED if misused else FAILED
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m zoo", description="Look into a zoo of toy models of superposition."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--zoo",
        metavar="PLACE",
        help=f"folder of the zoo, or {HUB}OWNER/NAME or {HUB}OWNER/NAME@REVISION for one on the "
        "Hub (default: the embedded one)",
    )
    layout = argparse.ArgumentParser(add_help=False)
    layout.add_argument("--format", choices=("text", "json"), default="text")

    add = commands.add_parser("list", parents=[where, layout], help="a row per grid")
    add.set_defaults(command=_list)

    add = commands.add_parser("show", parents=[where, layout], help="all about one model")
    add.add_argument("model_id", metavar="MODEL_ID")
    add.set_defaults(command=_show)

    add = commands.add_parser(
        "export", parents=[where], help="one model as a safetensors state dict"
    )
    add.add_argument("model_id", metavar="MODEL_ID")
    add.add_argument("file", metavar="FILE", type=Path)
    add.set_defaults(command=_export)

    add = commands.add_parser(
        "verify",
        parents=[where],
        help="check every file, and some losses by Monte Carlo",
        description="Check hashes, shapes, values and measures of every grid, and the stored "
        "loss of a random sample of models against an independent Monte Carlo estimate. Exits "
        "with 1 at the first mismatch. A sound zoo fails by chance in less than one of a "
        "million models sampled.",
    )
    add.add_argument("--sample", metavar="N", type=_count, default=100, help="default: %(default)s")
    add.add_argument("--seed", metavar="K", type=_count, default=0, help="default: %(default)s")
    add.set_defaults(command=_verify)

    add = commands.add_parser(
        "claims", parents=[where, layout], help="the claims, measured on this zoo"
    )
    add.set_defaults(command=_claims)

    add = commands.add_parser(
        "card",
        parents=[where],
        help="the model card, with the claims as measured on this zoo",
        description="Print the model card. A build writes it; where only a claim has changed "
        "since, --write brings the zoo's README.md up to date.",
    )
    add.add_argument("--write", action="store_true", help="into the zoo's README.md instead")
    add.set_defaults(command=_card)

    add = commands.add_parser(
        "download",
        help="a zoo from the Hub, or some of its grids",
        description="Fetch a zoo from the Hub, check it, and write it as a folder; without "
        "--out, leave it in the Hub's cache, for later use without the Hub. An interrupted "
        "download goes on when the same command is run again.",
    )
    add.add_argument("--repo-id", metavar="OWNER/NAME", required=True)
    add.add_argument(
        "--revision", metavar="REVISION", help="branch, tag or commit (default: the main branch)"
    )
    add.add_argument(
        "--grid",
        metavar="NAME",
        action="append",
        help="a grid to download; may be repeated (default: all)",
    )
    add.add_argument(
        "--out", metavar="DIR", type=Path, help="folder to write; it may hold other grids already"
    )
    add.set_defaults(command=_download)
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


_count.__name__ = "whole number"  # argparse shows it: invalid whole number value: 'x'


def _open(arguments: argparse.Namespace) -> Zoo:
    if arguments.zoo is not None and arguments.zoo.startswith(HUB):
        quieten()
    return Zoo.open(arguments.zoo)


# Commands.


def _list(arguments: argparse.Namespace) -> int:
    zoo = _open(arguments)
    facts = [grid_facts(entry) for entry in zoo.manifest.grids.values()]
    if arguments.format == "json":
        _print_json(facts)
        return 0
    rows = [
        (
            fact["grid"],
            f"{fact['models']:,}",
            ", ".join(fact["families"]),
            shortened(fact["sizes"]),
            shortened([f"{p:g}" for p in fact["densities"]], " to "),
            fact["seeds"],
            "kept" if fact["trajectories"] else "",
            file_size(fact["bytes"]),
        )
        for fact in facts
    ]
    header = ("grid", "models", "families", "n × m", "densities", "seeds", "trajectories", "size")
    _print_table(header, rows, right=(1, 7))
    total = sum(fact["bytes"] for fact in facts)
    print(f"\n{len(zoo):,} models, {file_size(total)}, zoo version {zoo.version}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    zoo = _open(arguments)
    model = zoo.model(arguments.model_id)
    shapes = {name: list(values.shape) for name, values in model.parameters.items()}
    has_trajectory = model.record["trajectory_row"] is not None
    if arguments.format == "json":
        _print_json(
            {
                **model.record,
                "grid": model.grid,
                "zoo_version": model.zoo_version,
                "tensors": shapes,
                "has_trajectory": has_trajectory,
                "importances": model.spec.importances.tolist(),
                "distribution": model.spec.distribution.to_dict(),
            }
        )
        return 0
    where = {"model_id", "stack", "row", "trajectory_row"}
    asked = [name for name in SPEC_COLUMNS if name != "family"]
    found = [name for name in model.record if name not in {*where, *SPEC_COLUMNS}]
    print(model.model_id)
    print(f"{model.spec.family}: {model.spec.model_family.summary}")
    print("\nasked for")
    _print_values({name: model.record[name] for name in asked})
    print("\nfound")
    _print_values({name: model.record[name] for name in found})
    print("\ntensors")
    _print_values({name: " × ".join(map(str, shape)) for name, shape in shapes.items()})
    print(f"\ntraining trajectory: {'kept' if has_trajectory else 'not kept'}")
    option = f" --zoo {shlex.quote(arguments.zoo)}" if arguments.zoo else ""
    print(f"\nTo use it: python -m zoo export {model.model_id} model.safetensors{option}\n")
    print(usage_snippet(model), end="")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    model = _open(arguments).model(arguments.model_id)
    try:
        export_model(model, arguments.file)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(
            f"error: cannot write {arguments.file}: {error.strerror}; give the path of a file "
            "in a folder you may write to",
            file=sys.stderr,
        )
        return MISUSED
    print(f"wrote {arguments.file} ({arguments.file.stat().st_size:,} bytes)")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from zoo.verify import check_losses, stale_measure  # SciPy's functions take a moment

    zoo = _open(arguments)
    for name in zoo.grids:
        view = zoo.grid(name)
        view.check()
        if (stale := stale_measure(view)) is not None:
            raise CorruptZoo(
                f"{stale}; write the grid again with `python -m training build --grid {name}`"
            )
        entry = zoo.manifest.grids[name]
        print(
            f"{name}: {entry.models:,} models in {len(entry.files)} files: "
            "hashes, shapes, values and measures are right",
            flush=True,
        )
    agreeing = undecided = 0
    for check in check_losses(zoo, arguments.sample, arguments.seed):
        if check.verdict == "differs":
            raise CorruptZoo(f"the loss is not what sampling gives: {check}")
        agreeing += check.verdict == "agrees"
        undecided += check.verdict == "undecided"
    note = f"; {undecided} could not be told by sampling" if undecided else ""
    print(f"the losses of {agreeing:,} models agree with Monte Carlo{note}")
    return 0


def _claims(arguments: argparse.Namespace) -> int:
    from zoo.claims import measure_claims  # SciPy, which the other commands do not wait for

    claims = measure_claims(_open(arguments))
    if arguments.format == "json":
        _print_json([claim.to_dict() for claim in claims])
        return 0
    rows = [(claim.id, claim.value, claim.threshold, claim.status) for claim in claims]
    _print_table(("claim", "value", "threshold", "status"), rows)
    for claim in claims:
        print(f"\n{claim.id}: {claim.sentence}")
        print(f"  measured: {claim.measurement}")
        for text in (claim.plainly, claim.detail):
            if text:
                print(f"  {text}")
    return 0


def _card(arguments: argparse.Namespace) -> int:
    zoo = _open(arguments)
    if not arguments.write:
        print(full_card(zoo), end="")
        return 0
    folder = zoo.folder
    try:
        write_card(folder)
    except OSError as error:
        print(
            f"error: cannot write {folder / CARD}: {error.strerror}; give --zoo a folder "
            "you may write to",
            file=sys.stderr,
        )
        return MISUSED
    print(f"wrote {folder / CARD}")
    return 0


def _download(arguments: argparse.Namespace) -> int:
    from zoo.download import download, fetch

    quieten()
    zoo = Zoo.from_hub(arguments.repo_id, arguments.revision)
    grids = list(dict.fromkeys(arguments.grid or zoo.grids))
    print(f"zoo {zoo.version} of {zoo.place}", flush=True)

    def report(line: str) -> None:
        print(f"  {line}", flush=True)

    if arguments.out is None:
        fetch(zoo, grids, report)
        print(f"in the Hub's cache, {cache_folder()}; to use it: --zoo {zoo.place}")
        return 0
    manifest = download(zoo, grids, arguments.out, report)
    models = sum(entry.models for entry in manifest.grids.values())
    print(
        f"{arguments.out} is a zoo of {models:,} models in {len(manifest.grids)} grids; to use "
        f"it: --zoo {shlex.quote(str(arguments.out))}"
    )
    return 0


# Output.


def _print_json(value: Any) -> None:
    # To plain values and back, so that infinities can become null: JSON has none.
    plain = json.loads(json.dumps(value, default=_plain), parse_constant=lambda name: None)
    print(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    """For JSON: what NumPy values and paths amount to."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value)


def _print_values(values: dict[str, Any]) -> None:
    width = max(map(len, values))
    for name, value in values.items():
        print(f"  {name:<{width}}  {_text(value)}")


def _print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
