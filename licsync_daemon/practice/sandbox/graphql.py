"""The GraphQL endpoint of the cloud: the licensing part of GitHub's public schema, answered from what the cloud holds.

Every field, argument and variable of a query is checked before anything is answered, and errors come with HTTP 200, in GitHub's words.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from licsync_daemon.practice.sandbox.clock import iso
from licsync_daemon.practice.sandbox.cloud import Cloud, Server
from licsync_daemon.practice.sandbox.http import Reply, Request, github_error, json_reply
from licsync_daemon.practice.sandbox.limits import RateLimit
from licsync_daemon.practice.sandbox.query import Field, Fragment, Query, QueryError, Variable, Word, read_query
from licsync_daemon.practice.sandbox.schema import SCHEMA, RefusedError, check_query, read_variables
from licsync_daemon.practice.sandbox.seats import primary_address

PATH = "/graphql"
LARGEST_PAGE = 100


@dataclass(frozen=True, slots=True)
class _List:
    """Items of a connection: how each becomes an object, and by what they may be ordered; the first order is the usual one."""

    items: Sequence[Any]
    make: Callable[[Any], dict[str, Any]]
    orders: Mapping[str, Callable[[Any], Any]]
    newest_first: bool = False


class GraphqlApp:
    """Answers `POST /graphql`. `points` is the budget of an hour, one point a query."""

    def __init__(self, cloud: Cloud, points: RateLimit) -> None:
        self.cloud, self.points = cloud, points

    def __call__(self, request: Request, *, may: bool, owner: bool) -> Reply:
        """Answer one query. `may`: the token has a scope for it; `owner`: its owner owns the enterprise, else `ownerInfo` is null."""
        if request.method != "POST":
            return github_error(404, "Not Found")
        if self.points.take() is not None:
            error = {"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1."}
            return json_reply({"errors": [error]}, headers=self.points.headers("graphql"))
        return json_reply(self._answer(request.body or b"", may, owner), headers=self.points.headers("graphql"))

    def _answer(self, body: bytes, may: bool, owner: bool) -> dict[str, Any]:
        try:
            query, given = _body(body)
            check_query(query)
            execution = _Execution(self.cloud, self.points, read_variables(query.variables, given), may=may, owner=owner)
            data = execution.object(query.selections, execution.root(), "Query", [])
        except QueryError as error:
            return {"errors": [{"message": str(error)}]}
        except RefusedError as error:
            return {"errors": [error.error]}
        return {"data": data, "errors": execution.errors} if execution.errors else {"data": data}


def _body(body: bytes) -> tuple[Query, dict[str, Any]]:
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise RefusedError("Problems parsing JSON") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
        raise RefusedError("A query attribute must be specified and must be a string.")
    given = asked.get("variables") or {}
    if not isinstance(given, dict):
        raise RefusedError("The variables attribute must be an object.")
    return read_query(asked["query"]), given


class _Execution:
    """One query being answered."""

    def __init__(self, cloud: Cloud, points: RateLimit, variables: Mapping[str, Any], *, may: bool, owner: bool) -> None:
        self._cloud, self._points, self._values = cloud, points, variables
        self._may, self._owner = may, owner
        self.errors: list[dict[str, Any]] = []

    def root(self) -> dict[str, Any]:
        return {"rateLimit": self._rate_limit, "enterprise": self._enterprise, "node": self._node}

    def object(self, selections: Sequence[Field | Fragment], value: Mapping[str, Any], kind: str, path: list[str]) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        for one in selections:
            if isinstance(one, Fragment):
                if value.get("__typename") == one.on:
                    answer.update(self.object(one.selections, value, one.on, path))
                continue
            arguments = {name: self._value(given) for name, given in one.arguments.items()}
            found = value[one.name]
            if callable(found):
                found = found(**arguments)
            if isinstance(found, _List):
                found = self._page(found, arguments, one.name)
            answer[one.name] = self._complete(one, found, SCHEMA[kind][one.name].kind, [*path, one.name])
        return answer

    def _complete(self, one: Field, found: Any, kind: str, path: list[str]) -> Any:
        if one.selections is None or found is None:
            return found
        if isinstance(found, list):
            return [self.object(one.selections, item, kind, path) for item in found]
        return self.object(one.selections, found, kind, path)

    def _value(self, given: Any) -> Any:
        if isinstance(given, Variable):
            return self._values[given.name]
        if isinstance(given, dict):
            return {name: self._value(value) for name, value in given.items()}
        return given.name if isinstance(given, Word) else given

    def _page(self, found: _List, arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
        first = arguments.get("first")
        if first is None:
            words = f"You must provide a `first` or `last` value to properly paginate the `{name}` connection."
            raise RefusedError(words, type="MISSING_PAGINATION_BOUNDARIES")
        if not 0 <= first <= LARGEST_PAGE:
            words = f"Requesting {first} records on the `{name}` connection exceeds the `first` limit of {LARGEST_PAGE} records."
            raise RefusedError(words, type="EXCESSIVE_PAGINATION")
        usual = next(iter(found.orders))
        order = arguments.get("orderBy") or {"field": usual, "direction": "DESC" if found.newest_first else "ASC"}
        items = sorted(found.items, key=found.orders[order["field"]], reverse=order["direction"] == "DESC")
        start = _place(arguments.get("after"))
        nodes = items[start : start + first]
        last = start + len(nodes)
        return {
            "nodes": [found.make(item) for item in nodes],
            "pageInfo": {"hasNextPage": last < len(items), "endCursor": _cursor(last) if nodes else None},
            "totalCount": len(items),
        }

    def _rate_limit(self) -> dict[str, Any]:
        budget = self._points.as_json()
        return {**{name: budget[name] for name in ("limit", "remaining", "used")}, "cost": 1, "resetAt": iso(self._points.reset_at)}

    def _enterprise(self, slug: str) -> dict[str, Any] | None:
        fleet = self._cloud.fleet
        if slug != fleet.enterprise:
            words = f"Could not resolve to a Business with the URL slug of '{slug}'."
            self.errors.append({"type": "NOT_FOUND", "path": ["enterprise"], "message": words})
            return None
        return {"id": _id("E", slug), "slug": slug, "name": slug, "ownerInfo": self._owner_info}

    def _owner_info(self) -> dict[str, Any] | None:
        if not self._may:
            words = (
                "Your token has not been granted the required scopes to execute this query. The 'ownerInfo' field requires one of the "
                "following scopes: ['read:enterprise', 'admin:enterprise']."
            )
            raise RefusedError(words, type="INSUFFICIENT_SCOPES")
        return {"enterpriseServerInstallations": self._installations} if self._owner else None

    def _installations(self, *, connectedOnly: bool = False, **_: Any) -> _List:  # noqa: N803 - the schema's name
        shown = [server for server in self._cloud.servers() if server.connected or not connectedOnly]
        orders = {"HOST_NAME": lambda s: s.hostname, "CUSTOMER_NAME": lambda s: s.hostname, "CREATED_AT": lambda s: s.listed_at}
        return _List(shown, self._installation, orders)

    def _installation(self, server: Server) -> dict[str, Any]:
        at = iso(server.listed_at)
        by_login = {"LOGIN": _login, "REMOTE_CREATED_AT": lambda user: user["id"]}
        return {
            "__typename": "EnterpriseServerInstallation",
            "id": _id("ESI", server.server_id),
            "customerName": self._cloud.fleet.enterprise,
            "hostName": server.hostname,
            "isConnected": server.connected,
            "createdAt": at,
            "updatedAt": at,
            "userAccounts": lambda **_: _List(self._cloud.holdings(server.server_id), lambda user: self._account(server, user), by_login),
            "userAccountsUploads": lambda **_: _List(
                self._cloud.uploads_of(server.server_id), _upload, {"CREATED_AT": lambda upload: upload.received_at}, newest_first=True
            ),
        }

    def _account(self, server: Server, user: Mapping[str, Any]) -> dict[str, Any]:
        at = iso(server.listed_at)
        emails = [(user["id"], n, entry, at) for n, entry in enumerate(user["emails"])]
        return {
            "__typename": "EnterpriseServerUserAccount",
            "id": _id("ESUA", f"{server.server_id}/{user['id']}"),
            "login": _login(user),
            "profileName": None,
            "remoteUserId": user["id"],
            "isSiteAdmin": False,
            "remoteCreatedAt": at,
            "createdAt": at,
            "updatedAt": at,
            "emails": lambda **_: _List(emails, _email, {"EMAIL": lambda item: item[2]["email"]}),
        }

    def _node(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - the schema's name
        kind, _, rest = _read_id(id).partition(":")
        server_id, _, number = rest.partition("/")
        server = next((one for one in self._cloud.servers() if one.server_id == server_id), None)
        if server is not None and self._may and self._owner:
            if kind == "ESI":
                return self._installation(server)
            user = next((one for one in self._cloud.holdings(server_id) if str(one["id"]) == number), None)
            if kind == "ESUA" and user is not None:
                return self._account(server, user)
        self.errors.append({"type": "NOT_FOUND", "path": ["node"], "message": f"Could not resolve to a node with the global id of '{id}'"})
        return None


def _login(user: Mapping[str, Any]) -> str:
    """Usage as it is sent has no logins: an account goes by the name in its address here, or by its number."""
    return (primary_address(user).partition("@")[0] or f"user-{user['id']}").casefold()


def _email(item: tuple[int, int, Mapping[str, Any], str]) -> dict[str, Any]:
    account, n, entry, at = item
    return {
        "id": _id("ESUAE", f"{account}/{n}"),
        "email": entry["email"],
        "isPrimary": entry["primary"],
        "createdAt": at,
        "updatedAt": at,
    }


def _upload(upload: Any) -> dict[str, Any]:
    at = iso(upload.received_at)
    return {"id": _id("ESUAU", upload.upload_id), "name": upload.name, "syncState": upload.sync_state, "createdAt": at, "updatedAt": at}


def _id(kind: str, text: str) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{text}".encode()).decode()


def _read_id(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text).decode()
    except (binascii.Error, ValueError):
        return ""


def _cursor(place: int) -> str:
    return base64.b64encode(f"cursor:{place}".encode()).decode()


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("cursor:"))
    except (binascii.Error, ValueError) as error:
        raise RefusedError(f"`{cursor}` does not appear to be a valid cursor.", type="INVALID_CURSOR_ARGUMENTS") from error
