"""What holds for the project as a whole: its requirements, its rooms, its two commands."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READING_ROOMS = ("superposition", "zoo", "figures", "pages")
SERVED_ROOMS = (*READING_ROOMS, "training")
ROOMS = (*SERVED_ROOMS, "benchmarks")
# What a file imports only when it is asked to, and says how to install.
OPTIONAL = {"training/cluster.py": {"distributed"}}
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[0-9][0-9A-Za-z.]*)")


def requirement_lines(name: str) -> list[str]:
    lines = (
        line.partition("#")[0].strip()
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    )
    return [line for line in lines if line]


def pinned(name: str) -> set[str]:
    """The distributions a requirements file names, in the normal form of their names."""
    matches = (PIN.fullmatch(line) for line in requirement_lines(name))
    return {normal(match["name"]) for match in matches if match}


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top-level names of every import in a file, those inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def undeclared(paths: list[Path], declared: set[str]) -> dict[str, set[str]]:
    """File -> the packages it imports that are neither ours, Python's, nor declared."""
    ours = {*ROOMS, "tests", *sys.stdlib_module_names}
    distributions = packages_distributions()
    found = {}
    for path in paths:
        missing = {
            name
            for name in imported(path) - ours
            if not declared & {normal(d) for d in distributions.get(name, ())}
        }
        if missing:
            found[str(path.relative_to(ROOT))] = missing
    return found


def modules(*rooms: str) -> list[str]:
    names = []
    for path in python_files(*rooms):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] != "__main__":
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_exactly(name: str) -> None:
    lines = requirement_lines(name)
    assert lines
    loose = [line for line in lines if line != "-r requirements.txt" and not PIN.fullmatch(line)]
    assert loose == []


def test_what_the_app_imports_is_declared() -> None:
    paths = [*python_files(*SERVED_ROOMS), ROOT / "app.py"]
    assert undeclared(paths, pinned("requirements.txt")) == OPTIONAL


def test_what_the_tests_and_benchmarks_import_is_declared() -> None:
    declared = pinned("requirements.txt") | pinned("requirements-dev.txt")
    assert undeclared(list(python_files("tests", "benchmarks")), declared) == {}


def test_every_folder_of_code_is_a_package() -> None:
    # The import contracts do not see files in a folder without __init__.py.
    folders = {path.parent for path in python_files(*ROOMS)}
    assert [f for f in sorted(folders) if not (f / "__init__.py").exists()] == []


@pytest.mark.parametrize("room", READING_ROOMS)
def test_reading_never_imports_torch(room: str) -> None:
    script = (
        "import importlib, sys\n"
        f"for name in {modules(room)!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, f'{name} imports torch'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("target", ["app", "test"])
def test_make_knows_the_two_commands(target: str) -> None:
    # Without what an outer make tells its children.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--dry-run", target],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = {"app": ["streamlit run app.py"], "test": ["ruff", "mypy", "lint-imports", "pytest"]}
    for command in expected[target]:
        assert command in done.stdout


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8")
