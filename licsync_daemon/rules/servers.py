"""Differences between the cloud's list and the configuration: unknown servers, missing ones, two servers with one hostname. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from licsync_daemon.model.errors import Problem
from licsync_daemon.model.instance import Config, Instance
from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import Listing, SyncEntry
from licsync_daemon.rules.verdict import bare_host

NAMED = 20  # servers that a message names; more are counted


@dataclass(frozen=True, slots=True)
class SecondServer:
    """Other servers that the cloud lists under an instance's hostname: it was rebuilt or copied. `beside`: the instance is listed too."""

    instance: str
    hostname: str
    server_ids: tuple[str, ...]
    beside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """How the cloud's list and the configuration differ, and which listed servers are excluded on purpose.

    Attributes:
        read_at: When the list was read, by this machine's clock.
        orphans: Listed, but not configured.
        missing: Names of synced instances that are not listed.
        second_servers: Hostnames with more than one server.
        elsewhere, retired: Listed, and named in `[cloud] elsewhere` or `retired`.
    """

    read_at: datetime
    orphans: tuple[SyncEntry, ...] = ()
    missing: tuple[str, ...] = ()
    second_servers: tuple[SecondServer, ...] = ()
    elsewhere: tuple[SyncEntry, ...] = ()
    retired: tuple[SyncEntry, ...] = ()


def compare(listing: Listing, config: Config) -> Findings:
    """Compare the cloud's newest list with the configuration."""
    ids: dict[str, set[str]] = {one.name: set() for one in config.instances}  # by instance: the ids listed under its hostname
    listed: set[str] = set()
    orphans, elsewhere, retired = [], [], []
    for entry in listing.entries:
        if is_named(entry, config.cloud.retired):
            retired.append(entry)
            continue
        if is_named(entry, config.cloud.elsewhere):
            elsewhere.append(entry)
            continue
        listed |= {one.name for one in config.instances if _is_of(entry, one)}
        owner = _owner(entry, config.instances)
        if owner is None:
            orphans.append(entry)
        elif entry.server_id is not None:
            ids[owner.name].add(entry.server_id)
    seconds = (_second(one, ids[one.name], beside=one.name in listed) for one in config.instances)
    return Findings(
        read_at=listing.read_at,
        orphans=tuple(orphans),
        missing=tuple(one.name for one in config.instances if one.is_active and one.name not in listed),
        second_servers=tuple(one for one in seconds if one is not None),
        elsewhere=tuple(elsewhere),
        retired=tuple(retired),
    )


def problems(findings: Findings | None) -> tuple[Problem, ...]:
    """Return the differences as problems; None means that the cloud was never queried."""
    if findings is None:
        return ()
    unknown = [
        Problem(
            "cloud",
            f"the cloud also lists {in_short(one)}, which is not in the configuration",
            "add a table [instances.NAME] for it, or list it in [cloud] elsewhere (another daemon syncs it) or retired (no longer exists)",
        )
        for one in findings.orphans[:NAMED]
    ]
    if (left := len(findings.orphans) - NAMED) > 0:
        what = f"the cloud also lists {left:,} more servers that are not in the configuration"
        unknown.append(Problem("cloud", what, "list them: $licsync status --json; then add, or name, each of them as above"))
    missing = [
        Problem(
            f"instances.{name}",
            f"the cloud does not list {name}",
            "no action needed before its first sync; after that, compare `hostname` and `server_id` with the servers that $licsync status "
            "lists",
        )
        for name in findings.missing
        if name not in {one.instance for one in findings.second_servers}
    ]
    second = [
        Problem(
            f"instances.{one.instance}",
            f"the cloud lists {one.hostname} under the server ID {shortened(one.server_ids)}"
            f"{' as well' if one.beside else ', not under its own'}: was the instance rebuilt or copied?",
            "if that server no longer exists, list its server ID in [cloud] retired; set `server_id` of the instance to the current one",
        )
        for one in findings.second_servers
    ]
    return (*unknown, *missing, *second)


def _is_of(entry: SyncEntry, instance: Instance) -> bool:
    """Return whether an entry may be an instance's: by server ID where both sides have one, else by hostname."""
    if entry.server_id is not None and instance.server_id is not None:
        return entry.server_id == instance.server_id
    return _has_hostname(entry, instance)


def _has_hostname(entry: SyncEntry, instance: Instance) -> bool:
    return bare_host(entry.hostname or "") == bare_host(instance.hostname)


def _owner(entry: SyncEntry, instances: Collection[Instance]) -> Instance | None:
    """Return the instance with a server's id, else the one with its hostname."""
    by_id = (one for one in instances if entry.server_id is not None and one.server_id == entry.server_id)
    return next(by_id, None) or next((one for one in instances if _has_hostname(entry, one)), None)


def _second(instance: Instance, ids: Collection[str], *, beside: bool) -> SecondServer | None:
    """Return the servers other than the configured server ID. Without one, two listed ids are needed, and either may be the instance."""
    others = sorted({*ids} - {instance.server_id})
    if not others or (instance.server_id is None and len(others) == 1):
        return None
    return SecondServer(instance.name, bare_host(instance.hostname), tuple(others), beside)


def is_named(entry: SyncEntry, names: Collection[str]) -> bool:
    """Return whether a server is among the names, which are hostnames or server IDs."""
    return any(name == entry.server_id or (entry.hostname and bare_host(name) == bare_host(entry.hostname)) for name in names)


def shortened(names: Sequence[str]) -> str:
    """Return names for a sentence: the first few, and how many more."""
    left = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f", and {left:,} more" if left > 0 else "")


def in_short(entry: SyncEntry) -> str:
    """Return a listed server's name for a sentence."""
    name = clean(entry.hostname or "") or "a server without a hostname"
    return f"{name} (server ID {clean(entry.server_id)})" if entry.server_id else name
