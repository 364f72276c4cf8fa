"""What the cloud lists beside what is configured: servers of nobody, servers that are missing, a second server behind a hostname. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from licsync_daemon.configured import Config, Instance
from licsync_daemon.errors import Problem
from licsync_daemon.model import Listing, SyncEntry
from licsync_daemon.readback import bare_host
from licsync_daemon.redaction import clean


@dataclass(frozen=True, slots=True)
class SecondServer:
    """The cloud lists servers of an instance's hostname that are not the instance: rebuilt, or copied."""

    instance: str
    hostname: str
    server_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """How the cloud's list and the configuration differ, and what of the list is not ours on purpose.

    Attributes:
        read_at: When the list was read, by our clock.
        orphans: Listed, and nobody configures them.
        missing: Names of instances that are synced and are not listed.
        second_servers: Where one hostname stands for more than one server.
        elsewhere, retired: Listed, and named in `[cloud] elsewhere` or `retired`.
    """

    read_at: datetime
    orphans: tuple[SyncEntry, ...] = ()
    missing: tuple[str, ...] = ()
    second_servers: tuple[SecondServer, ...] = ()
    elsewhere: tuple[SyncEntry, ...] = ()
    retired: tuple[SyncEntry, ...] = ()


@dataclass(slots=True)
class _Owned:
    """An instance and what is listed under its id, or else under its hostname."""

    instance: Instance
    ids: set[str | None] = field(default_factory=set)
    is_listed: bool = False


def compare(listing: Listing, config: Config) -> Findings:
    """Say how the cloud's newest list and the configuration differ."""
    owned = [_Owned(one) for one in config.instances]
    orphans, elsewhere, retired = [], [], []
    for entry in listing.entries:
        if _is_named(entry, config.cloud.retired):
            retired.append(entry)
        elif _is_named(entry, config.cloud.elsewhere):
            elsewhere.append(entry)
        elif (owner := _owner(entry, owned)) is not None:
            owner.is_listed |= None in (entry.server_id, owner.instance.server_id) or entry.server_id == owner.instance.server_id
            owner.ids |= {entry.server_id} - {None}
        else:
            orphans.append(entry)
    return Findings(
        read_at=listing.read_at,
        orphans=tuple(orphans),
        missing=tuple(one.instance.name for one in owned if one.instance.is_active and not one.is_listed),
        second_servers=tuple(second for one in owned if (second := _second(one)) is not None),
        elsewhere=tuple(elsewhere),
        retired=tuple(retired),
    )


def problems(findings: Findings | None) -> tuple[Problem, ...]:
    """Say in words what a person should look at; None where the cloud was never asked."""
    if findings is None:
        return ()
    unknown = [
        Problem(
            "cloud",
            f"the cloud also lists {in_short(one)}, which nobody configures",
            "add a table [instances.NAME] for it, or name it in [cloud] elsewhere (another daemon's) or retired (it is gone)",
        )
        for one in findings.orphans
    ]
    missing = [
        Problem(
            f"instances.{name}",
            f"the cloud does not list {name}",
            "nothing to do before its first sync; else compare `hostname` and `server_id` with the enterprise's Licensing page",
        )
        for name in findings.missing
    ]
    second = [
        Problem(
            f"instances.{one.instance}",
            f"the cloud lists {one.hostname} under the server id {', '.join(one.server_ids)} as well: was the instance rebuilt, or copied?",
            "if that server is gone, name its server id in [cloud] retired; set `server_id` of the instance to the one that lives",
        )
        for one in findings.second_servers
    ]
    return (*unknown, *missing, *second)


def _owner(entry: SyncEntry, owned: Collection[_Owned]) -> _Owned | None:
    """Answer the instance of an entry: that of its server id, else that of its hostname."""
    by_id = (one for one in owned if entry.server_id is not None and one.instance.server_id == entry.server_id)
    host = bare_host(entry.hostname or "")
    return next(by_id, None) or next((one for one in owned if bare_host(one.instance.hostname) == host), None)


def _second(one: _Owned) -> SecondServer | None:
    """Of a configured server id the others are second ones; without one it takes two, and nobody can say which is which."""
    known = one.instance.server_id
    others = one.ids - {known}
    if not others or (known is None and len(others) == 1):
        return None
    return SecondServer(one.instance.name, bare_host(one.instance.hostname), tuple(sorted(filter(None, others))))


def _is_named(entry: SyncEntry, names: Collection[str]) -> bool:
    return any(name == entry.server_id or (entry.hostname and bare_host(name) == bare_host(entry.hostname)) for name in names)


def in_short(entry: SyncEntry) -> str:
    """Name a listed server in a sentence."""
    name = clean(entry.hostname or "") or "a server without a name"
    return f"{name} (server id {clean(entry.server_id)})" if entry.server_id else name
