"""Valid settings as the plain values that the program uses: every schedule one cron expression, every credential its names."""

import hashlib
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel

from licsync_daemon.model import instance as plain
from licsync_daemon.model.blackout import parse_window
from licsync_daemon.settings import parts
from licsync_daemon.settings.addresses import without_port
from licsync_daemon.settings.layers import Raw, table
from licsync_daemon.settings.options import NotifyTable, ScheduleTable, Settings
from licsync_daemon.settings.parts import Table
from licsync_daemon.settings.values import WEEKDAYS

WEEK = timedelta(days=7)
_WEEK_MINUTES = 7 * 24 * 60
_Value = TypeVar("_Value")
Level = tuple[str, Raw, Any]  # the name of a table in credentials, its raw values, and its checked ones


def to_config(settings: Settings, raw: Raw) -> plain.Config:
    """Build the configuration. `raw` says which table a proxy comes from."""
    cloud = settings.cloud
    at = _destination(cloud.api_url, ("cloud__token",), _level(cloud, raw, "cloud"))
    return _plain(
        plain.Config,
        settings,
        cloud=_plain(plain.CloudAccount, cloud, at=at),
        instances=tuple(_instance(name, settings, raw) for name in settings.instances),
        notify=tuple(_notifiers(settings.notify, raw)),
    )


def stable_cron(name: str) -> str:
    """Return the weekly minute that belongs to an instance's name: the same on every machine, spread over the week for a fleet."""
    minute_of_week = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % _WEEK_MINUTES
    day, minute_of_day = divmod(minute_of_week, 24 * 60)
    hour, minute = divmod(minute_of_day, 60)
    return f"{minute} {hour} * * {day}"


def _plain(value: type[_Value], given: BaseModel, **more: Any) -> _Value:
    """Build a plain value from the options of a table that have its names, and from `more`."""
    names = {one.name for one in fields(value)} & type(given).model_fields.keys()  # type: ignore[arg-type]
    return value(**{**{name: getattr(given, name) for name in names}, **more})


def _instance(name: str, settings: Settings, raw: Raw) -> plain.Instance:
    one = settings.instances[name]
    schedule, delivery = _schedule(name, one.schedule), _delivery(name, settings, raw)
    return _plain(
        plain.Instance,
        one,
        name=name,
        hostname=without_port(one.hostname),
        schedule=schedule,
        max_age=one.schedule.max_age or _max_age(schedule, delivery),
        guards=_plain(plain.Guards, one.guards),
        source=_source("source", one.source, name, settings, raw),
        counts=_source("counts", one.counts, name, settings, raw) if one.counts is not None else None,
        delivery=delivery,
        unsynced_because=one.reason,
        watch_every=settings.cloud.watch_every,
    )


def _schedule(name: str, laid: ScheduleTable) -> plain.Schedule:
    if laid.cron is not None:
        cron = laid.cron
    elif laid.day is not None and laid.time is not None:
        hour, minute = laid.time.split(":")
        cron = f"{int(minute)} {int(hour)} * * {WEEKDAYS.index(laid.day)}"
    else:
        cron = stable_cron(name)
    every_weeks = (laid.every or WEEK) // WEEK
    return plain.Schedule(cron=cron, timezone=laid.timezone, every_weeks=every_weeks, avoid=tuple(map(parse_window, laid.avoid)))


def _max_age(schedule: plain.Schedule, delivery: plain.DeliveryTo) -> timedelta:
    """Return the interval between syncs plus a day; GitHub Connect syncs every week, however often the instance is read."""
    weeks = 1 if isinstance(delivery, plain.ConnectDelivery) else schedule.every_weeks
    return weeks * WEEK + timedelta(days=1)


def _source(part: str, given: Table | None, name: str, settings: Settings, raw: Raw) -> plain.Source:
    """Build the source, or the counts, of an instance."""
    own, prefix = settings.instances[name], f"instances__{name}"
    match given:
        case parts.ReportTable():
            tokens = dict.fromkeys((f"{prefix}__{part}__token", f"defaults__{part}__token", "defaults__source__token"))
            levels = (_level(own, raw, "instances", name), _level(settings.defaults, raw, "defaults"))
            return _plain(plain.ReportSource, given, at=_destination(own.url or f"https://{own.hostname}", tuple(tokens), *levels))
        case parts.SshTable():
            names = () if given.private_key else (f"{prefix}__source__identity", "defaults__source__identity")
            return _plain(plain.SshSource, given, host=without_port(own.hostname), private_key_credential=names)
        case parts.CommandTable():
            return _plain(plain.CommandSource, given)
        case parts.FileSourceTable() | parts.FileCountsTable():
            return _plain(plain.FileSource, given)
        case _:
            return plain.NoSource()


def _delivery(name: str, settings: Settings, raw: Raw) -> plain.DeliveryTo:
    given = settings.instances[name].delivery
    match given:
        case parts.ManualTable():
            return plain.ManualDelivery(outbox=given.outbox.path, group=given.outbox.group)
        case parts.HttpTable():
            tables = (("instances", name, "delivery"), ("defaults", "delivery"))
            levels = (*(_level(given, raw, *path) for path in tables), _level(settings.defaults, raw, "defaults"))
            at = _destination(given.url, tuple(f"{'__'.join(path)}__token" for path in tables), *levels)
            return _plain(plain.HttpDelivery, given, at=replace(at, client_cert=given.client_cert, client_key=given.client_key))
        case _:
            return plain.ConnectDelivery()


def _notifiers(notify: NotifyTable, raw: Raw) -> Iterator[plain.NotifierTo]:
    if (mail := notify.mail) is not None:
        password = ("notify__mail__password",) if mail.username else ()
        yield _plain(plain.MailNotifier, mail, port=mail.port or plain.MAIL_PORTS[mail.security], password=password)
    if (webhook := notify.webhook) is not None:
        at = _destination(webhook.url, ("notify__webhook__token",), _level(webhook, raw, "notify", "webhook"))
        yield plain.WebhookNotifier(at=at, secret_path=("notify__webhook__secret_path",))


def _destination(url: str, token: tuple[str, ...], *levels: Level) -> plain.Destination:
    """Build a destination. The login for a proxy comes from that proxy's table or a more specific one, so no other proxy receives it."""
    proxy, names = _first("proxy", levels)
    ca_file, _ = _first("ca_file", levels)
    auth = () if proxy in {None, "env"} else tuple(f"{name}__proxy_auth" for name in names)
    return plain.Destination(url=url, proxy=proxy, proxy_auth=auth, ca_file=ca_file, token=token)


def _level(checked: Table, raw: Raw, *path: str) -> Level:
    return "__".join(path), table(raw, *path), checked


def _first(key: str, levels: tuple[Level, ...]) -> tuple[Any, list[str]]:
    """Return the value of the most specific level that has `key`, and the names of the levels up to that one."""
    for place, (_, given, checked) in enumerate(levels):
        if key in given:
            return getattr(checked, key), [name for name, *_ in levels[: place + 1]]
    return None, []
