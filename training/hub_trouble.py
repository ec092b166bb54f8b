"""What the Hub's client raises, in words that say what to do next."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx2
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, OIDCError
from huggingface_hub.utils import parse_ratelimit_headers

# Of HTTP and the network; of logging in; of files it was to read and answers it cannot read; and
# RuntimeError, around any of these, from the sending of large files.
CLIENT_ERRORS = (httpx2.HTTPError, OIDCError, OSError, RuntimeError, ValueError)

# Worth asking again: a Hub that stumbles or is busy, or somebody who was faster with a commit or
# a tag, after which everything is looked at anew.
_PASSING = (408, 409, 412, 429, 500, 502, 503, 504)

_AGAIN = "run the same command again, it goes on from what is there"


@dataclass(frozen=True)
class Trouble:
    """An error of the client, understood.

    Attributes:
        what: has happened.
        advice: what to do next.
        passing: whether asking again may help.
        asked: seconds that the Hub wants to be left alone, if it says so.
    """

    what: str
    advice: str
    passing: bool = False
    asked: float | None = None

    def __str__(self) -> str:
        return f"{self.what}; {self.advice}"


def understood(error: Exception, repo_id: str, endpoint: str) -> Trouble:
    """What went wrong while `repo_id` was written to."""
    cause = _http_error(error)
    if isinstance(cause, HfHubHTTPError):
        # Around the sending of a large file the client has waited and asked again already.
        return _refusal(cause, repo_id, endpoint, patient=cause is not error)
    if isinstance(error, OfflineModeIsEnabled):
        return Trouble("HF_HUB_OFFLINE keeps the client from the Hub", "unset it to upload")
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        return Trouble(
            f"cannot reach the Hub at {endpoint} ({cause})",
            f"when the network is there, {_AGAIN}",
        )
    if isinstance(cause, httpx2.TransportError):
        what = f"the connection to the Hub broke ({cause})"
        return Trouble(what, _AGAIN, passing=cause is error)
    if isinstance(error, json.JSONDecodeError):
        return Trouble("the Hub gave an answer that is no JSON", _AGAIN, passing=True)
    return Trouble(f"the client of the Hub failed ({error})", f"when that is mended, {_AGAIN}")


def _http_error(error: BaseException) -> BaseException | None:
    """The error of HTTP behind an error, or itself."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, httpx2.HTTPError):
        seen = seen.__cause__
    return seen


def _refusal(error: HfHubHTTPError, repo_id: str, endpoint: str, *, patient: bool) -> Trouble:
    status = error.response.status_code
    said = f"{status}: {error.server_message}" if error.server_message else str(status)
    passing = status in _PASSING and not patient
    if status == 401:
        return Trouble(
            f"the Hub does not accept the token ({said})",
            "run `hf auth login --force`, or set HF_TOKEN to one that is valid",
        )
    if status == 403:
        return Trouble(
            f"the token may not write to {repo_id} ({said})",
            f"use one that may, from {endpoint}/settings/tokens, or a namespace of your own",
        )
    if status == 404:
        return Trouble(
            f"the Hub does not find what it was asked for in {repo_id} ({said})",
            "check the name, and that the token may see the repository",
        )
    if status == 429:
        asked = _asked(error)
        when = "later" if asked is None else f"in {asked:g} s"
        what = f"the Hub has had too many requests from here ({said})"
        return Trouble(what, f"{when}, {_AGAIN}", passing, asked)
    if status >= 500:
        return Trouble(
            f"the Hub has trouble of its own ({said})", f"later, {_AGAIN}", passing, _asked(error)
        )
    if passing:
        return Trouble(f"somebody else wrote to {repo_id} ({said})", _AGAIN, passing)
    return Trouble(f"the Hub refuses the upload ({said})", f"when that is mended, {_AGAIN}")


def _asked(error: HfHubHTTPError) -> float | None:
    headers = error.response.headers
    after = headers.get("retry-after", "").strip()
    if after.isdigit():
        return float(after)
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None
