"""A first configuration for the servers that the cloud lists. Pure."""

import json
import re
from collections.abc import Collection
from datetime import UTC, datetime

from licsync_daemon.model.instance import CloudAccount
from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import SyncEntry, SyncStatus
from licsync_daemon.rules.servers import is_named
from licsync_daemon.settings.addresses import normal_hostname, without_port
from licsync_daemon.settings.mistakes import Mistake
from licsync_daemon.settings.values import server_id

NEVER = datetime.min.replace(tzinfo=UTC)


def starter(account: CloudAccount, status: SyncStatus) -> str:
    """Return a configuration with one table for each server, all synced by GitHub Connect.

    A server that cannot be configured as listed is commented out, with the reason: an older second server with the same hostname or id, a
    server without a usable hostname, and a server in `elsewhere` or `retired`.
    """
    hosts: set[str] = set()
    ids: set[str] = set()
    judged: list[tuple[SyncEntry, str | None]] = []
    for entry in sorted(status.entries, key=lambda entry: entry.date or NEVER, reverse=True):  # the newest first
        why_not = _not_ours(entry, account) or _why_not(entry, hosts, ids)
        judged.append((entry, why_not))
        if why_not is None:
            hosts.add(_host(entry))
            ids.update(filter(None, [entry.server_id]))
    judged.sort(key=lambda one: one[1] is not None)  # usable servers choose their names first
    names: set[str] = set()
    tables = [(clean(entry.hostname or "").casefold(), _table(entry, _name(entry, names), why_not)) for entry, why_not in judged]
    return _head(account, status) + "".join(text for _, text in sorted(tables))


def _head(account: CloudAccount, status: SyncStatus) -> str:
    read = f" on {status.answered_at:%Y-%m-%d at %H:%M UTC}" if status.answered_at else ""
    lines = [
        f"# Servers that the cloud listed for the enterprise {clean(account.enterprise or '')}{read}.",
        "# For every option, see: licsync-daemon config init (without --from-cloud). To test this configuration: licsync-daemon check",
        "",
        "[cloud]",
        f"enterprise = {_text(account.enterprise or '')}",
        f"api_url = {_text(account.at.url)}",
        *([f"proxy = {_text(account.at.proxy)}"] if account.at.proxy else []),
        *([f"ca_file = {_text(str(account.at.ca_file))}"] if account.at.ca_file else []),
        *(f"{key} = [{', '.join(map(_text, names))}]" for key, names in _named(account).items() if names),
        "",
        "[defaults]",
        'delivery = { kind = "connect" }',
    ]
    return "\n".join(lines) + "\n"


def _table(entry: SyncEntry, name: str, why_not: str | None) -> str:
    lines = [
        f"[instances.{name}]",
        *([f"hostname = {_text(_host(entry) if why_not is None else entry.hostname)}"] if entry.hostname else []),
        *([f"server_id = {_text(entry.server_id)}"] if entry.server_id else []),
    ]
    synced = f"last sync {entry.date:%Y-%m-%d %H:%M UTC}, {clean(entry.status or 'no status')}" if entry.date else "never synced"
    comments = [f"# {synced}", *([f"# skipped: {why_not}"] if why_not else [])]
    return "\n".join(["", *comments, *(f"# {line}" if why_not else line for line in lines)]) + "\n"


def _named(account: CloudAccount) -> dict[str, Collection[str]]:
    return {"elsewhere": account.elsewhere, "retired": account.retired}


def _not_ours(entry: SyncEntry, account: CloudAccount) -> str | None:
    return next((f"it is listed in [cloud] {key}" for key, names in _named(account).items() if is_named(entry, names)), None)


def _why_not(entry: SyncEntry, hosts: Collection[str], ids: Collection[str]) -> str | None:
    if not entry.hostname:
        return "the cloud lists no hostname for it"
    try:
        host = normal_hostname(entry.hostname)
        if entry.server_id is not None:
            server_id(entry.server_id)
    except Mistake as mistake:
        return str(mistake)
    if without_port(host) in hosts:
        return "another server with this hostname synced more recently; this one is an earlier installation or a copy"
    if entry.server_id is not None and entry.server_id in ids:
        return "this server ID synced under another hostname more recently; the server was renamed or copied"
    return None


def _host(entry: SyncEntry) -> str:
    return without_port(normal_hostname(entry.hostname or ""))


def _name(entry: SyncEntry, taken: set[str]) -> str:
    """Name an instance after the first part of its hostname; if that is taken, after all of it; then add a number."""
    host = (entry.hostname or "").partition(":")[0].lower()
    first = host.partition(".")[0]
    whole = _as_name(host)
    wanted = [*([] if first.isdigit() else [_as_name(first)]), whole, *(f"{whole}_{n}" for n in range(2, len(taken) + 3))]
    name = next(one for one in wanted if one not in taken)
    taken.add(name)
    return name


def _as_name(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", text).strip("_")
    return name if name[:1].isascii() and name[:1].isalpha() else f"ghes_{name}".rstrip("_")


def _text(value: str) -> str:
    """Write a basic TOML string: JSON's, whose escapes TOML shares, and the one control character that JSON lets through."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
