"""The whole check: all places at once, each with its own time limit, so that a dead server delays no other."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from licsync_daemon.http.ages import Ages
from licsync_daemon.http.clients import Clients
from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code, Problem
from licsync_daemon.model.instance import (
    CommandSource,
    Config,
    ConnectDelivery,
    Destination,
    FileSource,
    HttpDelivery,
    Instance,
    MailNotifier,
    ReportSource,
    SshSource,
)
from licsync_daemon.model.ports import Clock
from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import Listing, ServerIdentity, SyncStatus
from licsync_daemon.monitoring.preflight.cloud import CLOUD, cloud_rows
from licsync_daemon.monitoring.preflight.endpoints import delivery_rows, mail_rows, webhook_rows
from licsync_daemon.monitoring.preflight.instance import report_rows, ssh_rows
from licsync_daemon.monitoring.preflight.judge_answers import license_file_row, metered_rows
from licsync_daemon.monitoring.preflight.machine import command_row, file_row, machine_rows
from licsync_daemon.monitoring.preflight.outbox import content_rows
from licsync_daemon.monitoring.preflight.probing import Probing
from licsync_daemon.monitoring.preflight.rows import MACHINE, CheckRow, Place, Rows
from licsync_daemon.rules.connect import judge_connect
from licsync_daemon.rules.servers import Findings, compare
from licsync_daemon.rules.servers import problems as listing_problems
from licsync_daemon.rules.verdict import entry_of
from licsync_daemon.settings.credential_audit import credentials_of
from licsync_daemon.settings.credentials import Credentials

AT_ONCE = 16
WITHIN_S = 45.0
MAIL, WEBHOOK = Place("notify mail"), Place("notify webhook")

log = structlog.get_logger()


Report = Callable[[int, int], None]


def ignore(done: int, of: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A remote place and the generator of its rows."""

    place: Place
    rows: Rows


async def preflight(
    config: Config,
    environ: Mapping[str, str],
    clock: Clock,
    *,
    warnings: Iterable[Problem] = (),
    offline: bool = False,
    report: Report = ignore,
) -> tuple[CheckRow, ...]:
    """Test everything a sync needs; return rows ordered by place: this machine, cloud, instances, deliveries, notifications.

    Args:
        config: The configuration.
        environ: The environment, for credentials.
        clock: This machine's.
        warnings: Warnings about the configuration.
        offline: Do not contact any server.
        report: Receives how many remote places are done, of how many.
    """
    credentials = credentials_of(config, environ)
    probing = Probing(config, Clients(config.cloud, credentials, Ages(clock)), clock)
    rows = [*machine_rows(config, warnings, credentials), *content_rows(config, clock.now()), *_instances_here(probing)]
    if not offline:
        rows += await _all_of(list(_probes(probing)), report)
        rows += _compared(probing)
    order = [MACHINE.name, CLOUD.name, *(_place(one).name for one in config.instances)]
    order += [row.place for row in rows if row.place not in order]
    return tuple(sorted(rows, key=lambda row: order.index(row.place)))


async def _all_of(probes: Sequence[Probe], report: Report) -> list[CheckRow]:
    limit = asyncio.Semaphore(AT_ONCE)
    done = 0

    async def go(probe: Probe) -> list[CheckRow]:
        nonlocal done
        async with limit:
            rows = await _rows_of(probe)
        done += 1
        report(done, len(probes))
        return rows

    return [row for rows in await asyncio.gather(*map(go, probes)) for row in rows]


async def _rows_of(probe: Probe) -> list[CheckRow]:
    """Return the rows of a probe, up to its time limit."""
    rows: list[CheckRow] = []
    try:
        async with asyncio.timeout(WITHIN_S), aclosing(probe.rows) as found:
            async for row in found:
                rows.append(row)  # noqa: PERF401 - one by one, to keep what was found before a timeout
    except TimeoutError:
        fix = "check the load of the server and the network"
        rows.append(probe.place.fail("time", f"not finished within {WITHIN_S:.0f} s", fix, Code.TIMEOUT))
    except Exception as error:
        log.critical("preflight.crashed", place=probe.place.name, exc_info=True)
        seen = f"the test itself failed ({type(error).__name__})"
        rows.append(probe.place.fail("test", seen, "report this with the log", Code.INTERNAL))
    return rows


def _place(instance: Instance) -> Place:
    return Place(f"instance {instance.name}", instance.name)


def _instances_here(probing: Probing) -> Iterator[CheckRow]:
    """Yield the rows of instances that need no request."""
    for one in probing.config.instances:
        place = _place(one)
        if not one.enabled:
            yield place.ok("not tested", "disabled")
        elif one.unsynced_because is not None:
            yield place.ok("not tested", f"excluded from sync: {clean(one.unsynced_because)}")
        elif not one.reachable:
            yield place.ok("network", "not tested: reachable = false")
        if one.is_active:
            for source in (one.source, one.counts):
                if isinstance(source, CommandSource):
                    yield command_row(place, source)
                if isinstance(source, FileSource):
                    yield file_row(place, one, source, probing.clock)


def _probes(probing: Probing) -> Iterator[Probe]:
    config = probing.config
    yield Probe(CLOUD, cloud_rows(probing))
    active = [one for one in config.instances if one.is_active]
    for one in active:
        for source in (one.source, one.counts) if one.reachable else ():
            if isinstance(source, SshSource):
                yield Probe(_place(one), ssh_rows(_place(one), probing, source))
            if isinstance(source, ReportSource):
                yield Probe(_place(one), report_rows(_place(one), probing, one, source))
    for at, names in _endpoints(active, probing.clients.credentials):
        place = Place(f"delivery of {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else ""))
        yield Probe(place, delivery_rows(place, probing, at))
    for notifier in config.notify:
        if isinstance(notifier, MailNotifier):
            yield Probe(MAIL, mail_rows(MAIL, probing, notifier))
        else:
            yield Probe(WEBHOOK, webhook_rows(WEBHOOK, probing, notifier))


def _endpoints(instances: Iterable[Instance], credentials: Credentials) -> Iterable[tuple[Destination, list[str]]]:
    """Return each endpoint once, with the instances that deliver there; a different token is a different endpoint."""
    found: dict[Destination, tuple[Destination, list[str]]] = {}
    for one in instances:
        if isinstance(one.delivery, HttpDelivery):
            at = one.delivery.at
            token, login = credentials.place(at.token), credentials.place(at.proxy_auth)
            same = replace(at, token=(token,) if token else at.token, proxy_auth=(login,) if login else ())
            found.setdefault(same, (at, []))[1].append(one.name)
    return found.values()


def _compared(probing: Probing) -> Iterator[CheckRow]:
    """Yield rows that combine the results of several places."""
    purchased = probing.found.totals.purchased if probing.found.totals is not None else None
    for one in probing.config.instances:
        about = probing.found.about.get(one.name)
        file = license_file_row(_place(one), about.seats, purchased) if about is not None else None
        yield from (file,) if file is not None else ()
        if one.is_active:
            yield from metered_rows(_place(one), about.version if about is not None else None, one.delivery, purchased)
    if probing.found.status is not None:
        listing = Listing(entries=probing.found.status.entries, read_at=probing.clock.now())
        yield from _listed(compare(listing, probing.config), probing.config)
        for one in probing.config.instances:
            if one.is_active and isinstance(one.delivery, ConnectDelivery):
                yield from _connected(one, probing.found.status, probing.clock.now())


def _connected(instance: Instance, status: SyncStatus, now: datetime) -> Iterator[CheckRow]:
    """Yield the last sync of a server that GitHub Connect syncs, judged as the daemon does; `_listed` covers one that is not listed.

    Without a code: the daemon's own checks open the alerts.
    """
    identity = ServerIdentity(hostname=instance.hostname, server_id=instance.server_id)
    entry = entry_of(identity, status)
    if entry is None:
        return
    found = judge_connect(
        instance, identity, status, installations=None, dates=(), before=None, disconnected_before=False, now=now
    )  # fmt: skip
    if found.code is not None:
        yield _place(instance).warn("last sync", found.cause, found.next_step)
    elif entry.date is not None:
        yield _place(instance).ok("last sync", f"{entry.date:%Y-%m-%d %H:%M} UTC, {clean(entry.status or 'no status')}")


def _listed(findings: Findings, config: Config) -> Iterator[CheckRow]:
    """Yield how the cloud's list and the configuration differ. Before its first sync, an instance without Connect is not listed."""
    for one in listing_problems(replace(findings, missing=())):
        yield CLOUD.warn("servers", one.what, one.hint)
    for instance in config.instances:
        if instance.name not in findings.missing:
            continue
        if isinstance(instance.delivery, ConnectDelivery):
            fix = (
                f"on the instance, {github.ENABLE_SYNC}, if it is not enabled yet; if it is, compare `hostname` and `server_id` with the "
                "servers that $licsync status lists"
            )
            yield _place(instance).warn("listed", "not listed by the cloud, although GitHub Connect should sync it", fix)
        else:
            yield _place(instance).ok("listed", "not listed until its first sync")
