"""Read a usage document, version 1, as strictly as the delivery contract says (`docs/delivery-openapi.yaml`)."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT = "licsync/1"
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


class DocumentError(ValueError):
    """A document that the endpoint rejects; the message names the field and the reason, never a person."""


@dataclass(frozen=True, slots=True)
class Document:
    """An accepted document: its instance, its users as sent, and its recomputed content hash."""

    server_id: str
    host_name: str
    users: list[dict[str, Any]] = field(repr=False)
    content_hash: str


def read_document(content: bytes) -> Document:
    """Check a document and recompute its hash.

    Raises:
        DocumentError: The content is not JSON, or breaks the contract.
    """
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DocumentError("the body is not JSON in UTF-8") from error
    _table(
        value, "the document", {"format": _format, "collected_at": _instant, "instance": _instance, "totals": _totals, "users": check_users}
    )
    instance, users = value["instance"], value["users"]
    return Document(instance["server_id"], instance["host_name"], users, content_hash(instance, users))


def content_hash(instance: Mapping[str, Any], users: list[dict[str, Any]]) -> str:
    """Hash what identifies usage: the instance and its users, not when it was collected."""
    content = {"host_name": instance["host_name"], "server_id": instance["server_id"], "users": users}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair
        raise DocumentError("users: not valid Unicode") from error


def _table(value: Any, where: str, fields: Mapping[str, Any], optional: frozenset[str] = frozenset()) -> None:
    if not isinstance(value, dict):
        raise DocumentError(f"{where} is not a JSON object")
    for name in value:
        if name not in fields:
            raise DocumentError(f"{where}: unknown field {name[:60]!r}")
    for name, check in fields.items():
        if name in value:
            check(value[name], f"{where}.{name}" if where != "the document" else name)
        elif name not in optional:
            raise DocumentError(f"{where}: field {name!r} is missing")


def _format(value: Any, where: str) -> None:
    if value != FORMAT:
        raise DocumentError(f"{where} is not {FORMAT!r}")


def _instant(value: Any, where: str) -> None:
    if not (isinstance(value, str) and _INSTANT.fullmatch(value)):
        raise DocumentError(f"{where} is not a UTC time in whole seconds")


def _text(value: Any, where: str) -> None:
    if not (isinstance(value, str) and value):
        raise DocumentError(f"{where} is empty, or not a string")


def _count(value: Any, where: str) -> None:
    if type(value) is not int or value < 0:  # in Python a boolean is an int
        raise DocumentError(f"{where} is not an integer of 0 or more")


def _flag(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise DocumentError(f"{where} is neither true nor false")


def _or_null(check: Any) -> Any:
    return lambda value, where: None if value is None else check(value, where)


def _instance(value: Any, where: str) -> None:
    fields = {"server_id": _text, "host_name": _text, "version": _or_null(_text), "http_only": _flag}
    _table(value, where, fields, frozenset({"version", "http_only"}))


def _totals(value: Any, where: str) -> None:
    _table(value, where, {"accounts": _count, "seats_used": _or_null(_count)}, frozenset({"seats_used"}))


def check_users(value: Any, where: str) -> None:
    """Check a list of users.

    Raises:
        DocumentError: The list breaks the contract.
    """
    if not isinstance(value, list):
        raise DocumentError(f"{where} is not a list")
    last = -1
    for n, user in enumerate(value):
        _table(user, f"{where}[{n}]", {"id": _count, "emails": _emails})
        if user["id"] <= last:
            raise DocumentError(f"{where}[{n}]: ids are not in ascending order")
        last = user["id"]


def _emails(value: Any, where: str) -> None:
    if not isinstance(value, list):
        raise DocumentError(f"{where} is not a list")
    for n, entry in enumerate(value):
        _table(entry, f"{where}[{n}]", {"email": _text, "primary": _flag})


def _no_constant(name: str) -> Any:
    raise ValueError(name)
