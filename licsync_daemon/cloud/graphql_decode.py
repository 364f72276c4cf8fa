"""Decode GraphQL responses: errors that come with HTTP 200, connections, and the few requested values. Pure.

Source: https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api (checked 2026-11-24); the types of
errors are not published and come from public reports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from licsync_daemon.http.advice import TEMPORARY
from licsync_daemon.http.wire import stated_wait
from licsync_daemon.model.decode import MAX_ADDRESS, count_of, host_of, quoted, read_date, text_of
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import Installation, UploadState

MAY_NOT = {"FORBIDDEN", "INSUFFICIENT_SCOPES", "UNAUTHORIZED"}
RATE_LIMIT = {"RATE_LIMITED", "RATE_LIMIT"}  # both were seen (https://github.com/yanyongyu/githubkit/pull/272, read 2026-11-24)
TOO_MUCH = {"RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED", "EXCESSIVE_PAGINATION"}
TIMED_OUT = "something went wrong while executing your query"  # GitHub's message for its own timeout


@dataclass(frozen=True, slots=True)
class Points:
    """The rate limit of GraphQL: the points left, and when it resets."""

    remaining: int
    reset_at: datetime | None


def read_reply(body: Any, headers: Mapping[str, str], operation: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the `data` of a response, and GitHub's messages about single elements it could not return (null in their lists).

    Raises:
        RemoteError: `FORBIDDEN`, `NOT_FOUND`: the token lacks the permission. `RATE_LIMITED`. `TOO_LARGE`, `TIMEOUT`: a smaller page may
            work. `REJECTED`: any other error. `BAD_RESPONSE`: not a GraphQL response.
    """
    if not isinstance(body, dict):
        raise _bad(operation)
    listed = body.get("errors")
    if not isinstance(listed, list | None):
        raise _bad(operation)
    errors = [one if isinstance(one, dict) else {"message": quoted(one)} for one in listed or ()]
    whole = [one for one in errors if not _is_of_an_element(one)]
    if whole:
        raise _refusal(_worst(whole), headers, operation)
    data = body.get("data")
    if not isinstance(data, dict):
        raise _bad(operation)
    return data, tuple(_message(one) for one in errors)


def _is_of_an_element(error: Mapping[str, Any]) -> bool:
    """Return whether an error affects only one element of a list: its path then has an index."""
    path = error.get("path")
    return isinstance(path, list) and any(isinstance(step, int) for step in path) and _type(error) not in RATE_LIMIT | TOO_MUCH


def _worst(errors: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the decisive error: a rate limit before all others, since it may have caused them."""
    return next((one for one in errors if _type(one) in RATE_LIMIT or "rate limit" in _message(one).lower()), errors[0])


def _refusal(error: Mapping[str, Any], headers: Mapping[str, str], operation: str) -> RemoteError:
    kind, said = _type(error), _message(error)
    cause = f'{operation} returned the error {kind or "(no type)"}: "{said}"'
    lower = said.lower()
    if kind in RATE_LIMIT or "rate limit" in lower or "abuse" in lower:
        return RemoteError(
            Code.RATE_LIMITED,
            cause,
            f"{TEMPORARY} once the rate limit resets",
            transient=True,
            retry_after=stated_wait(headers),
            status=200,
        )
    if kind in MAY_NOT:
        return RemoteError(
            Code.FORBIDDEN, cause, "give the token the scope `read:enterprise`; its owner must own the enterprise", status=200
        )
    if kind == "NOT_FOUND":
        return RemoteError(Code.NOT_FOUND, cause, "check `cloud.enterprise` and that the token's owner is an owner of it", status=200)
    if kind in TOO_MUCH:
        return RemoteError(Code.TOO_LARGE, cause, f"{TEMPORARY} with smaller pages", transient=True, status=200)
    if TIMED_OUT in lower or "timeout" in lower or "timedout" in lower:
        return RemoteError(Code.TIMEOUT, cause, f"{TEMPORARY} with smaller pages", transient=True, status=200)
    return RemoteError(
        Code.REJECTED, cause, "check the quoted response; if it does not explain the refusal, report it with the run ID", status=200
    )


def read_connection(data: Any, path: Sequence[str], operation: str) -> tuple[tuple[dict[str, Any], ...], str | None]:
    """Return the nodes of the connection at `path` without nulls, and the cursor of the next page; None on the last one.

    Raises:
        RemoteError: `FORBIDDEN`: a step of the path is null without an error. `BAD_RESPONSE`: there is no connection.
    """
    for step in path:
        if not isinstance(data, dict) or step not in data:
            raise _bad(operation)
        data = data[step]
        if data is None:
            raise RemoteError(
                Code.FORBIDDEN,
                f"{operation} returned nothing in `{step}`",
                "the token's owner must own the enterprise, with the scope `read:enterprise`",
                status=200,
            )
    page = data.get("pageInfo") if isinstance(data, dict) else None
    nodes = data.get("nodes") if isinstance(data, dict) else None
    if not isinstance(page, dict) or not isinstance(nodes, list | None):
        raise _bad(operation)
    cursor = page.get("endCursor") if page.get("hasNextPage") is True else None
    if page.get("hasNextPage") is True and not (isinstance(cursor, str) and cursor):
        raise _bad(operation)
    return tuple(node for node in nodes or () if isinstance(node, dict)), cursor


def read_points(data: Mapping[str, Any]) -> Points | None:
    """Return the rate limit in a response; None if it reports none."""
    found = data.get("rateLimit")
    remaining = count_of(found.get("remaining")) if isinstance(found, dict) else None
    if not isinstance(found, dict) or remaining is None:
        return None
    return Points(remaining, read_date(found.get("resetAt")))


def read_installation(node: Mapping[str, Any]) -> Installation | None:
    """Decode one server; None if its name cannot be read."""
    hostname, accounts, uploads = host_of(node.get("hostName")), node.get("userAccounts"), node.get("userAccountsUploads")
    if hostname is None:
        return None
    listed = uploads.get("nodes") if isinstance(uploads, dict) else None
    nodes = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    newest: dict[str, Any] = max(nodes, key=_upload_order, default={})  # one is asked for; if there are more, their order says nothing
    state = newest.get("syncState")
    return Installation(
        hostname=hostname,
        is_connected=node.get("isConnected") is True,
        accounts=count_of(accounts.get("totalCount")) if isinstance(accounts, dict) else None,
        upload_state=UploadState(state) if isinstance(state, str) and state in set(UploadState) else None,
        uploaded_at=read_date(newest.get("createdAt")),
    )


def _upload_order(node: Mapping[str, Any]) -> tuple[datetime, bool]:
    """Return what orders uploads: the newer one counts, and of two with one date the worse one."""
    return read_date(node.get("createdAt")) or datetime.min.replace(tzinfo=UTC), node.get("syncState") != UploadState.SUCCESS


def read_address(node: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Decode one address of an account and whether it is the primary one; None if there is none."""
    email = text_of(node.get("email"), MAX_ADDRESS)
    return (email, node.get("isPrimary") is True) if email else None


def _type(error: Mapping[str, Any]) -> str:
    return clean(kind, 60) if isinstance(kind := error.get("type"), str) else ""


def _message(error: Mapping[str, Any]) -> str:
    said = error.get("message")
    return clean(said) if isinstance(said, str) else ""


def _bad(operation: str) -> RemoteError:
    return RemoteError(
        Code.BAD_RESPONSE,
        f"{operation} returned content that is not a GraphQL response",
        "check `cloud.api_url`; if it is right, update licsync-daemon",
    )
