"""A fleet: instances with their reports, and the members of the cloud account."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from licsync_daemon.practice.sandbox.reports import Report, ReportError, read_report

T = TypeVar("T")
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # as in a configuration; "cloud" is the folder of the members


class FleetError(Exception):
    """A fleet folder that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the cloud account. `verified_emails` includes addresses outside the verified domains."""

    login: str
    name: str
    verified_emails: tuple[str, ...]
    saml_name_id: str | None
    member_roles: tuple[str, ...]
    two_factor: bool


@dataclass(frozen=True, slots=True)
class FleetInstance:
    """One GHES instance of a fleet."""

    name: str
    hostname: str
    server_id: str
    version: str
    report: Report


@dataclass(frozen=True, slots=True)
class Fleet:
    """The contents of a sandbox."""

    enterprise: str
    seats_purchased: int
    verified_domains: frozenset[str]
    instances: tuple[FleetInstance, ...]
    members: tuple[Member, ...]


def load_fleet(folder: Path) -> Fleet:
    """Read a fleet folder: `fleet.json`, `<instance>/all_users.csv` and `cloud/members.json`.

    Raises:
        FleetError: A file is missing or cannot be parsed.
    """
    if not folder.is_dir():
        raise FleetError(f"{folder}: no such folder")
    path = folder / "fleet.json"
    top = _json(path, dict)
    instances = [_instance(folder, path, n, entry) for n, entry in enumerate(_get(path, top, "instances", list))]
    for key in ("name", "hostname", "server_id"):
        values = [getattr(instance, key) for instance in instances]
        if len(set(values)) < len(values):
            raise FleetError(f"{path}: two instances have the same {key}")
    if not instances:
        raise FleetError(f"{path}: no instances")
    members_path = folder / "cloud" / "members.json"
    return Fleet(
        enterprise=_get(path, top, "account", str),
        seats_purchased=_get(path, top, "seats_purchased", int),
        verified_domains=frozenset(str(domain).casefold() for domain in _get(path, top, "verified_domains", list)),
        instances=tuple(instances),
        members=tuple(_member(members_path, n, entry) for n, entry in enumerate(_json(members_path, list))),
    )


def _instance(folder: Path, path: Path, number: int, entry: Any) -> FleetInstance:
    where = f"instances[{number}]"
    name = _get(path, entry, "name", str, where)
    if not _NAME.fullmatch(name) or name == "cloud":
        raise FleetError(
            f"{path}: {where}.name {name!r} is not a valid instance name (lower-case letters, digits, single underscores; not cloud)"
        )
    report_path = folder / name / "all_users.csv"
    try:
        report = read_report(_bytes(report_path))
    except ReportError as error:
        raise FleetError(f"{report_path}: {error}") from error
    return FleetInstance(
        name=name,
        hostname=_get(path, entry, "hostname", str, where),
        server_id=_get(path, entry, "server_id", str, where),
        version=_get(path, entry, "version", str, where),
        report=report,
    )


def _member(path: Path, number: int, entry: Any) -> Member:
    where = f"[{number}]"
    saml = entry.get("saml_name_id") if isinstance(entry, dict) else None
    if saml is not None and not isinstance(saml, str):
        raise FleetError(f"{path}: {where}.saml_name_id is neither a string nor null")
    return Member(
        login=_get(path, entry, "login", str, where),
        name=_get(path, entry, "name", str, where),
        verified_emails=tuple(str(email) for email in _get(path, entry, "verified_emails", list, where)),
        saml_name_id=saml,
        member_roles=tuple(str(role) for role in _get(path, entry, "member_roles", list, where)),
        two_factor=_get(path, entry, "two_factor", bool, where),
    )


def _get(path: Path, table: Any, key: str, kind: type[T], where: str = "") -> T:
    if not isinstance(table, dict):
        raise FleetError(f"{path}: {where or 'the document'} is not a JSON object")
    name = f"{where}.{key}" if where else key
    if key not in table:
        raise FleetError(f"{path}: {name} is missing")
    value = table[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise FleetError(f"{path}: {name} is not {_KINDS[kind]}")
    return value


_KINDS: dict[type, str] = {str: "a string", int: "an integer", bool: "true or false", list: "a list", dict: "a JSON object"}


def _json(path: Path, kind: type[T]) -> T:
    try:
        value = json.loads(_bytes(path))
    except ValueError as error:
        raise FleetError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, kind):
        raise FleetError(f"{path}: the document is not {_KINDS[kind]}")
    return value


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FleetError(f"{path}: no such file") from error
    except OSError as error:
        raise FleetError(f"{path}: {error.strerror}") from error
