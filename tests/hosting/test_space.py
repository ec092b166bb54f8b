"""What goes to a Space is gathered, described, and runs as its Dockerfile says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import SpaceCard

from tests.browser.conftest import free_port, wait_until_healthy

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "hosting" / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build") / "space"
    made = subprocess.run(
        ["make", "space", f"SPACE={folder}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def environment() -> dict[str, str]:
    """The container's, as far as it matters, on a port of this machine that is free."""
    # `python` is this one, whatever else there is.
    first = str(Path(sys.executable).parent)
    python = shutil.which("python", path=first)
    assert python is not None
    return {
        **os.environ,
        "PATH": os.pathsep.join([first, os.environ["PATH"]]),
        "ADDRESS": "127.0.0.1",
        "PORT": str(free_port()),
    }


def instruction(name: str) -> str:
    """The last instruction of this name in the Dockerfile, its lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", joined, flags=re.MULTILINE)[-1]


def test_what_is_gathered_is_what_is_served(space: Path) -> None:
    names = {path.name for path in space.iterdir()}
    assert {"app.py", "pages", "zoo", "Dockerfile", "README.md", ".streamlit"} <= names
    assert not {"tests", "benchmarks", ".venv", ".git"} & names
    assert not list(space.rglob("__pycache__"))
    assert (space / "zoo" / "data" / "zoo.json").is_file()


def test_the_metadata_is_that_of_a_docker_space_on_the_containers_port(space: Path) -> None:
    card = SpaceCard.load(space / "README.md")
    values = card.data.to_dict()
    assert values["sdk"] == "docker"
    assert str(values["app_port"]) == instruction("EXPOSE")
    assert f"PORT={values['app_port']}" in DOCKERFILE
    assert len(values["short_description"]) <= 60
    # The project's README stays free of it.
    assert not (ROOT / "README.md").read_text(encoding="utf-8").startswith("---")


def test_the_container_does_not_run_as_root() -> None:
    lines = DOCKERFILE.splitlines()
    assert instruction("USER") != "root"
    user = next(i for i, line in enumerate(lines) if line.startswith("USER"))
    first = next(i for i, line in enumerate(lines) if line.startswith(("COPY", "RUN pip")))
    assert user < first
    assert "--uid 1000" in DOCKERFILE


def test_its_command_serves_the_app_and_its_health_check_agrees(
    space: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    check = re.sub(r"^.*CMD ", "", instruction("HEALTHCHECK"))

    def healthy() -> bool:
        return subprocess.run(check, shell=True, env=environment, stderr=-3).returncode == 0

    assert not healthy()
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            instruction("CMD"),
            shell=True,
            cwd=space,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{environment['PORT']}", server, log)
        assert healthy()
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_a_page_runs_from_the_gathered_files_alone(space: Path) -> None:
    script = (
        "import json\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('app.py', default_timeout=120).run()\n"
        "print(json.dumps([len(app.exception), app.title[0].value]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=space, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == [0, "Five features, two dimensions"]
