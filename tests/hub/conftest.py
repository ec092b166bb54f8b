"""A Hub of one's own, and the client pointed at it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.file_download
import huggingface_hub.utils._http
import pytest
from huggingface_hub import constants, hf_api
from huggingface_hub.utils import close_session

from tests.hub.server import Account, HubServer

# Nobody would mistake these for words of the project when they turn up in an output.
OWNER_TOKEN = "hf_OwnerSecret4711"
READER_TOKEN = "hf_ReaderSecret0815"

# Set in any of these, the client would look elsewhere than the tests tell it.
_VARIABLES = (
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In this folder, a deprecation inside the client's own libraries is no failure."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(
                pytest.mark.filterwarnings("ignore:Use 'content=.*' to upload:DeprecationWarning")
            )


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A running Hub: `ada` may write her repositories, `bob` may only read."""
    server = HubServer()
    server.tokens[OWNER_TOKEN] = Account("ada", "write", organisations=("lab",))
    server.tokens[READER_TOKEN] = Account("bob", "read")
    yield server
    server.stop()
    assert server.mistakes == []


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client waits for nothing; how long it would have waited each time."""
    taken: list[float] = []
    clock = SimpleNamespace(sleep=taken.append)
    monkeypatch.setattr(huggingface_hub.utils._http, "time", clock)
    monkeypatch.setattr(huggingface_hub.file_download, "time", clock)
    return taken


@pytest.fixture
def client(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, naps: list[float]
) -> Iterator[Path]:
    """`huggingface_hub` in this process talks to `hub`, with a home of its own and no token.

    The client reads its environment once, when it is imported; so its constants are set too.
    Returns its home folder; the cache is `hub` in it. `log_in` gives it a token.
    """
    home = tmp_path / "hf-home"
    for variable in _VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        hub.url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(hf_api.api, "endpoint", hub.url)
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setattr(constants, name, str(home / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(home / "assets"))
    monkeypatch.setattr(constants, "HF_XET_CACHE", str(home / "xet"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    close_session()
    yield home
    close_session()


@pytest.fixture
def log_in(client: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives the client a token, the way a person does who sets HF_TOKEN."""
    return lambda token: monkeypatch.setenv("HF_TOKEN", token)


@pytest.fixture
def environment(hub: HubServer, tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose client is to talk to `hub`; it has no token."""
    kept = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    return {
        **kept,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf-home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }
