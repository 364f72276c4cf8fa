"""The licensing part of GitHub's public GraphQL schema, and the check of a query against it before anything is answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from licsync_daemon.practice.sandbox.query import Field, Fragment, Query, Variable, Word

_PAGING = {"after": "String", "first": "Int"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A field of the schema: the type behind it ("" for plain values), and the types of its arguments."""

    kind: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)


def _connection(kind: str) -> dict[str, Shown]:
    return {"nodes": Shown(kind), "pageInfo": Shown("PageInfo"), "totalCount": Shown()}


def _plain(*names: str) -> dict[str, Shown]:
    return {name: Shown() for name in names}


ORDERS = {
    "EnterpriseServerInstallationOrder": {"HOST_NAME", "CUSTOMER_NAME", "CREATED_AT"},
    "EnterpriseServerUserAccountOrder": {"LOGIN", "REMOTE_CREATED_AT"},
    "EnterpriseServerUserAccountEmailOrder": {"EMAIL"},
    "EnterpriseServerUserAccountsUploadOrder": {"CREATED_AT"},
}
SCHEMA: dict[str, dict[str, Shown]] = {
    "Query": {
        "rateLimit": Shown("RateLimit"),
        "enterprise": Shown("Enterprise", {"slug": "String!"}),
        "node": Shown("Node", {"id": "ID!"}),
    },
    "RateLimit": _plain("cost", "limit", "remaining", "resetAt", "used"),
    "Node": _plain("id"),
    "PageInfo": _plain("hasNextPage", "endCursor"),
    "Enterprise": {**_plain("id", "slug", "name"), "ownerInfo": Shown("EnterpriseOwnerInfo")},
    "EnterpriseOwnerInfo": {
        "enterpriseServerInstallations": Shown(
            "EnterpriseServerInstallationConnection",
            {**_PAGING, "connectedOnly": "Boolean", "orderBy": "EnterpriseServerInstallationOrder"},
        )
    },
    "EnterpriseServerInstallationConnection": _connection("EnterpriseServerInstallation"),
    "EnterpriseServerInstallation": {
        **_plain("id", "customerName", "hostName", "isConnected", "createdAt", "updatedAt"),
        "userAccounts": Shown("EnterpriseServerUserAccountConnection", {**_PAGING, "orderBy": "EnterpriseServerUserAccountOrder"}),
        "userAccountsUploads": Shown(
            "EnterpriseServerUserAccountsUploadConnection", {**_PAGING, "orderBy": "EnterpriseServerUserAccountsUploadOrder"}
        ),
    },
    "EnterpriseServerUserAccountConnection": _connection("EnterpriseServerUserAccount"),
    "EnterpriseServerUserAccount": {
        **_plain("id", "login", "profileName", "remoteUserId", "isSiteAdmin", "remoteCreatedAt", "createdAt", "updatedAt"),
        "emails": Shown("EnterpriseServerUserAccountEmailConnection", {**_PAGING, "orderBy": "EnterpriseServerUserAccountEmailOrder"}),
    },
    "EnterpriseServerUserAccountEmailConnection": _connection("EnterpriseServerUserAccountEmail"),
    "EnterpriseServerUserAccountEmail": _plain("id", "email", "isPrimary", "createdAt", "updatedAt"),
    "EnterpriseServerUserAccountsUploadConnection": _connection("EnterpriseServerUserAccountsUpload"),
    "EnterpriseServerUserAccountsUpload": _plain("id", "name", "syncState", "createdAt", "updatedAt"),
}


class RefusedError(Exception):
    """The whole query is refused with one GraphQL error."""

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(message)
        self.error = {**more, "message": message}


def check_query(query: Query) -> None:
    """Refuse a query that the schema does not allow.

    Raises:
        RefusedError: an unknown field, argument, variable or type, or a value of a wrong type.
    """
    _check(query.selections, "Query", ["query"], query.variables)


def _check(selections: Sequence[Field | Fragment], kind: str, path: list[str], declared: Mapping[str, str]) -> None:
    """Refuse what the schema does not know, before anything is answered."""
    for one in selections:
        if isinstance(one, Fragment):
            if kind != "Node" or one.on not in SCHEMA:
                raise RefusedError(f"Fragment on {one.on} can't be spread inside {kind}", path=path)
            _check(one.selections, one.on, [*path, f"... on {one.on}"], declared)
            continue
        shown = SCHEMA[kind].get(one.name)
        here = [*path, one.name]
        if shown is None:
            more = {"code": "undefinedField", "typeName": kind, "fieldName": one.name}
            raise RefusedError(f"Field '{one.name}' doesn't exist on type '{kind}'", path=here, extensions=more)
        if bool(shown.kind) != (one.selections is not None):
            raise RefusedError(f"Field '{one.name}' must {'' if shown.kind else 'not '}have selections", path=here)
        for name, value in one.arguments.items():
            _check_argument(shown, name, value, here, declared)
        missing = [name for name, of in shown.arguments.items() if of.endswith("!") and name not in one.arguments]
        if missing:
            raise RefusedError(f"Field '{one.name}' is missing required arguments: {', '.join(missing)}", path=here)
        if one.selections is not None:
            _check(one.selections, shown.kind, here, declared)


def _check_argument(shown: Shown, name: str, value: Any, path: list[str], declared: Mapping[str, str]) -> None:
    wanted = shown.arguments.get(name)
    if wanted is None:
        raise RefusedError(f"Field '{path[-1]}' doesn't accept argument '{name}'", path=path)
    if isinstance(value, Variable):
        found = declared.get(value.name)
        if found is None:
            raise RefusedError(f"Variable ${value.name} is used but not declared", path=path)
        if found.rstrip("!") != wanted.rstrip("!") or (wanted.endswith("!") and not found.endswith("!")):
            raise RefusedError(f"Type mismatch on variable ${value.name} and argument {name} ({found} / {wanted})", path=path)
        return
    if not _fits(value, wanted):
        raise RefusedError(f"Argument '{name}' on Field '{path[-1]}' has an invalid value. Expected type '{wanted}'.", path=path)


def _fits(value: Any, wanted: str) -> bool:
    if value is None:
        return not wanted.endswith("!")
    match wanted.rstrip("!"):
        case "Int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "Boolean":
            return isinstance(value, bool)
        case "String" | "ID":
            return isinstance(value, str)
        case order:
            directions = {"ASC", "DESC"}
            return (
                isinstance(value, dict)
                and set(value) == {"field", "direction"}
                and all(isinstance(word, Word) for word in value.values())
                and value["field"].name in ORDERS.get(order, ())
                and value["direction"].name in directions
            )


def read_variables(declared: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the value of every declared variable; None for one that is left out."""
    for name, kind in declared.items():
        if not _fits(given.get(name), kind):
            raise RefusedError(f"Variable ${name} of type {kind} was provided invalid value")
    return {name: given.get(name) for name in declared}
