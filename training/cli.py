"""The command line of `python -m training`."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from zoo.errors import ZooError, ZooNotFound


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status (2 for a bad argument, 1 for a failure)."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description="Build the zoo, and publish it."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "build",
        help="train grids and write them as a zoo",
        description="Train the declared grids and write them as a zoo. A build that was "
        "interrupted continues where it was when the same command is run again.",
    )
    command.add_argument(
        "--grid",
        action="append",
        metavar="NAME",
        help="only this grid; give it again for more; all of them by default",
    )
    command.add_argument("--out", default="zoo/data", metavar="DIR", help="default: zoo/data")
    command.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes (default: one per processor); the result is the same for any N",
    )
    where.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="train on the Dask cluster whose scheduler is there, such as 127.0.0.1:8786; its "
        "workers need this code and these packages, and no shared folder",
    )
    command.set_defaults(run=_build)

    command = commands.add_parser(
        "upload",
        help="publish a zoo on the Hub",
        description="Publish a zoo on the Hub: check it, send what changed in one commit, and "
        "tag its version. Log in with `hf auth login` or HF_TOKEN first. An upload that was "
        "interrupted goes on from what is there when the same command is run again.",
    )
    command.add_argument(
        "--repo-id", required=True, metavar="OWNER/NAME", help="a model repository, made if new"
    )
    command.add_argument(
        "--zoo", type=Path, metavar="DIR", help="folder of the zoo (default: the embedded one)"
    )
    command.add_argument("--private", action="store_true", help="make a new repository private")
    command.add_argument(
        "--revision", default="main", metavar="BRANCH", help="made if new; default: main"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="say what would be sent, and write nothing"
    )
    command.set_defaults(run=_upload)
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))


def _build(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm  # with torch behind the others, more than an upload should wait for

    from training.build import build
    from training.cluster import address_problem, connect
    from training.grids import GRIDS
    from training.workers import Workers, device_problem

    names = list(dict.fromkeys(arguments.grid or GRIDS))
    for name in names:
        if name not in GRIDS:
            near = difflib.get_close_matches(name, GRIDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return _fail(f"unknown grid {name!r}; the grids are {', '.join(GRIDS)}{hint}", 2)
    if arguments.workers is not None and arguments.workers < 1:
        return _fail(f"--workers is {arguments.workers}; expected 1 or more", 2)
    if arguments.dask is None:
        problem = device_problem(arguments.device)
    else:
        problem = address_problem(arguments.dask)  # each worker is asked for the device
    if problem:
        return _fail(problem, 2)

    team: AbstractContextManager[int | Workers | None] = nullcontext(arguments.workers)
    if arguments.dask is not None:
        team = connect(arguments.dask, device=arguments.device)
    try:
        with (
            team as workers,
            tqdm(
                total=1.0,
                bar_format="{percentage:3.0f}% |{bar}| {elapsed} < {remaining} {desc}",
                file=sys.stderr,
            ) as bar,
        ):

            def show(done: float, total: float, what: str) -> None:
                share = done / total if total else 1.0
                if bar.n == 0 and share:
                    bar.initial = share  # what a former run did does not speed this one up
                bar.set_description_str(what, refresh=False)
                bar.update(share - bar.n)

            build(
                arguments.out,
                [GRIDS[name] for name in names],
                workers=workers,
                device=arguments.device,
                progress=show,
            )
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command to continue where it was", 130)
    except (RuntimeError, OSError) as error:
        return _fail(str(error), 1)
    models = sum(len(GRIDS[name]) for name in names)
    print(f"built {len(names)} grids, {models:,} models, in {os.fspath(arguments.out)}")
    return 0


def _upload(arguments: argparse.Namespace) -> int:
    from training.upload import UploadError, upload

    try:
        upload(
            arguments.zoo,
            arguments.repo_id,
            branch=arguments.revision,
            private=arguments.private,
            dry_run=arguments.dry_run,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command to go on from what is there", 130)
    except UploadError as error:
        return _fail(str(error), error.status)
    except ZooError as error:
        return _fail(str(error), 2 if isinstance(error, ZooNotFound) else 1)
    return 0


def _fail(message: str, status: int) -> int:
    print(f"python -m training: {message}", file=sys.stderr)
    return status
