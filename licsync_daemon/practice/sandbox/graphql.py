"""The GraphQL endpoint of the cloud: answer the program's operations by name. Errors come with HTTP 200, in GitHub's words.

The query itself is not read. The tests judge both sides with graphql-core: query and answer must fit the schema that GitHub publishes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from licsync_daemon.practice.sandbox.clock import iso
from licsync_daemon.practice.sandbox.cloud import Cloud, Server
from licsync_daemon.practice.sandbox.http import Reply, Request, github_error, json_reply
from licsync_daemon.practice.sandbox.limits import RateLimit

PATH = "/graphql"
LARGEST_PAGE = 100
ADDRESSES_AT_ONCE = 5  # the page of addresses that the program requests with each account

Node = dict[str, Any]
Operation = Callable[..., Node]


class RefusedError(Exception):
    """One GraphQL error. With a `path`, the field there is null; without, nothing else is answered."""

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(message)
        self.error = {**more, "message": message}


class GraphqlApp:
    """Serves `POST /graphql`. `points` is the hourly budget; each query costs one point."""

    def __init__(self, cloud: Cloud, points: RateLimit) -> None:
        self.cloud, self.points = cloud, points
        self._operations: Mapping[str, Operation] = {
            "Installations": self._installations,
            "Accounts": self._accounts,
            "Addresses": self._addresses,
        }

    def __call__(self, request: Request, *, may: bool, owner: bool) -> Reply:
        """Respond to one query. `may`: the token has a scope for it; `owner`: its owner is an owner of the enterprise."""
        if request.method != "POST":
            return github_error(404, "Not Found")
        if self.points.take() is not None:
            error = {"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1."}
            return json_reply({"errors": [error]}, headers=self.points.headers("graphql"))
        return json_reply(self._answer(request.body or b"", may=may, owner=owner), headers=self.points.headers("graphql"))

    def _answer(self, body: bytes, *, may: bool, owner: bool) -> dict[str, Any]:
        data = {"rateLimit": {"remaining": self.points.as_json()["remaining"], "resetAt": iso(self.points.reset_at)}}
        try:
            operation, variables = _read(body, self._operations)
            return {"data": {**data, **operation(variables, may=may, owner=owner)}}
        except RefusedError as error:
            hidden = {"data": {**data, error.error["path"][0]: None}} if "path" in error.error else {}
            return {**hidden, "errors": [error.error]}

    def _installations(self, variables: Mapping[str, Any], *, may: bool, owner: bool) -> Node:
        slug = variables.get("enterprise")
        if slug != self.cloud.fleet.enterprise:
            text = f"Could not resolve to a Business with the URL slug of '{slug}'."
            raise RefusedError(text, type="NOT_FOUND", path=["enterprise"])
        if not may:
            text = (
                "Your token has not been granted the required scopes to execute this query. The 'ownerInfo' field requires one of the "
                "following scopes: ['read:enterprise', 'admin:enterprise']."
            )
            raise RefusedError(text, type="INSUFFICIENT_SCOPES")
        servers = sorted(self.cloud.servers(), key=lambda server: server.hostname)
        page = _page("enterpriseServerInstallations", servers, variables, self._installation)
        return {"enterprise": {"ownerInfo": {"enterpriseServerInstallations": page} if owner else None}}

    def _installation(self, server: Server) -> Node:
        newest = sorted(self.cloud.uploads_of(server.server_id), key=lambda upload: upload.received_at)[-1:]
        return {
            "id": server.server_id,
            "hostName": server.hostname,
            "isConnected": server.connected,
            "userAccounts": {"totalCount": len(self.cloud.holdings(server.server_id))},
            "userAccountsUploads": {"nodes": [{"syncState": one.sync_state, "createdAt": iso(one.received_at)} for one in newest]},
        }

    def _accounts(self, variables: Mapping[str, Any], *, may: bool, owner: bool) -> Node:
        server_id = str(variables.get("id"))
        known = {server.server_id for server in self.cloud.servers()} if may and owner else set()
        if server_id not in known:
            raise _no_node(server_id)

        def account(user: Node) -> Node:
            addresses = _page("emails", user["emails"], {"first": ADDRESSES_AT_ONCE}, _address)
            return {"id": f"{server_id}/{user['id']}", "remoteUserId": user["id"], "emails": addresses}

        return {"node": {"userAccounts": _page("userAccounts", self.cloud.holdings(server_id), variables, account)}}

    def _addresses(self, variables: Mapping[str, Any], *, may: bool, owner: bool) -> Node:
        node_id = str(variables.get("id"))
        server_id, _, number = node_id.partition("/")
        users = self.cloud.holdings(server_id) if may and owner else []
        user = next((one for one in users if str(one["id"]) == number), None)
        if user is None:
            raise _no_node(node_id)
        return {"node": {"emails": _page("emails", user["emails"], variables, _address)}}


def _read(body: bytes, operations: Mapping[str, Operation]) -> tuple[Operation, dict[str, Any]]:
    """Return the operation and the variables of a request."""
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise RefusedError("Problems parsing JSON") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
        raise RefusedError("A query attribute must be specified and must be a string.")
    variables = asked.get("variables") or {}
    if not isinstance(variables, dict):
        raise RefusedError("The variables attribute must be an object.")
    operation = operations.get(str(asked.get("operationName")))
    if operation is None:
        raise RefusedError(f'No operation named "{asked.get("operationName")}"')
    return operation, variables


def _page(name: str, items: Sequence[Any], variables: Mapping[str, Any], make: Callable[[Any], Node]) -> Node:
    """Return the page of a connection that `first` and `after` name."""
    first = variables.get("first")
    if type(first) is not int:
        raise RefusedError("Variable $first of type Int! was provided invalid value")
    if not 0 <= first <= LARGEST_PAGE:
        text = f"Requesting {first} records on the `{name}` connection exceeds the `first` limit of {LARGEST_PAGE} records."
        raise RefusedError(text, type="EXCESSIVE_PAGINATION")
    start = _place(variables.get("after"))
    nodes = items[start : start + first]
    end = start + len(nodes)
    page_info = {"hasNextPage": end < len(items), "endCursor": f"cursor:{end}" if nodes else None}
    return {"nodes": [make(item) for item in nodes], "pageInfo": page_info}


def _place(cursor: str | None) -> int:
    place = "0" if cursor is None else str(cursor).removeprefix("cursor:")
    if not place.isdecimal():
        raise RefusedError(f"`{cursor}` does not appear to be a valid cursor.", type="INVALID_CURSOR_ARGUMENTS")
    return int(place)


def _address(entry: Mapping[str, Any]) -> Node:
    return {"email": entry["email"], "isPrimary": entry["primary"]}


def _no_node(node_id: str) -> RefusedError:
    return RefusedError(f"Could not resolve to a node with the global id of '{node_id}'", type="NOT_FOUND", path=["node"])
