"""Requests and replies of the sandbox's applications, as values."""

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

JSON = "application/json; charset=utf-8"
PROBLEM = "application/problem+json"
TEXTS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 413: "Content Too Large",
         415: "Unsupported Media Type", 422: "Unprocessable Content", 429: "Too Many Requests", 500: "Internal Server Error",
         503: "Service Unavailable"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are lower-case; `body` is None if it was too large."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's values; the last one of a repeated name."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """One response."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


App = Callable[[Request], Reply]


def json_reply(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False).encode(), JSON, headers)


def github_error(status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Return an error as GitHub's REST API does: message, documentation_url, status as text."""
    return json_reply({"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}, status, headers)


def user(login: str, *, site_admin: bool = False) -> dict[str, object]:
    """Return the fields of `GET /user` that identify the token's owner."""
    return {"login": login, "id": 1, "type": "User", "site_admin": site_admin}


def problem(status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Return a problem body (RFC 9457), as in the delivery contract."""
    value = {"type": "about:blank", "title": TEXTS.get(status, "Error"), "status": status, "detail": detail}
    return Reply(status, json.dumps(value, ensure_ascii=False).encode(), PROBLEM, headers)


def token_of(request: Request) -> str | None:
    """Read the token of `Authorization: Bearer TOKEN` or `token TOKEN`."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() in {"bearer", "token"} else None


def basic_of(request: Request) -> tuple[str, str] | None:
    """Read user name and password of HTTP basic authentication."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None


def same(given: str | None, expected: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), expected.encode())
