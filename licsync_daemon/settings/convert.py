"""Checked settings to the plain values the program speaks in: layers laid, defaults filled in, every schedule one cron expression."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

from licsync_daemon.model.blackout import parse_window
from licsync_daemon.model.instance import (
    LICENSE_USAGE,
    CloudAccount,
    CommandSource,
    Config,
    ConnectDelivery,
    DeliveryTo,
    Destination,
    FileSource,
    Guards,
    HttpDelivery,
    Instance,
    MailNotifier,
    ManualDelivery,
    NoSource,
    NotifierTo,
    ReportSource,
    Schedule,
    Source,
    SshSource,
    WebhookNotifier,
)
from licsync_daemon.settings.layers import first, lay, lay_counts, lay_schedule, lay_source, table
from licsync_daemon.settings.options import DeliveryTable, GuardsTable, NotifyTable, OutboxTable, ScheduleTable, Settings, SourceTable
from licsync_daemon.settings.values import WEEKDAYS

WEEK = timedelta(days=7)
_WEEK_MINUTES = 7 * 24 * 60
_MAIL_PORTS = {"starttls": 587, "tls": 465, "none": 25}
Checked = dict[str, Any]


def to_config(settings: Settings) -> Config:
    """Build the configuration. Expects settings in which nothing is missing (`checks.py`)."""
    checked = settings.model_dump(exclude_unset=True, by_alias=True)
    cloud = settings.cloud
    level = ("cloud", table(checked, "cloud"))
    return Config(
        state_dir=settings.state_dir,
        credentials_dir=settings.credentials_dir,
        cloud=CloudAccount(
            at=_destination(cloud.api_url, ("cloud__token",), level),
            enterprise=cloud.enterprise,
            organization=cloud.organization,
            api_version=cloud.api_version,
            watch_every=cloud.watch_every,
            elsewhere=tuple(cloud.elsewhere),
            retired=tuple(cloud.retired),
            verified_domains=tuple(cloud.verified_domains),
        ),
        instances=tuple(_instance(name, one, checked, cloud.watch_every) for name, one in table(checked, "instances").items()),
        max_concurrent_runs=settings.max_concurrent_runs,
        log_level=settings.log_level,
        notify=_notifiers(settings.notify, checked),
    )


def stable_cron(name: str) -> str:
    """Return the weekly minute that belongs to an instance's name: the same on every machine, spread over the week for a fleet."""
    minute_of_week = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % _WEEK_MINUTES
    day, minute_of_day = divmod(minute_of_week, 24 * 60)
    hour, minute = divmod(minute_of_day, 60)
    return f"{minute} {hour} * * {day}"


def schedule_for(name: str, own: Checked, general: Checked) -> tuple[Schedule, ScheduleTable]:
    """Return an instance's schedule, and the laid table it was made of."""
    laid = ScheduleTable().model_copy(update=lay_schedule(own, general))
    if laid.cron is not None:
        cron = laid.cron
    elif laid.day is not None and laid.time is not None:
        hour, minute = laid.time.split(":")
        cron = f"{int(minute)} {int(hour)} * * {WEEKDAYS.index(laid.day)}"
    else:
        cron = stable_cron(name)
    avoid = tuple(parse_window(text) for text in laid.avoid)
    return Schedule(cron=cron, timezone=laid.timezone, every_weeks=(laid.every or WEEK) // WEEK, avoid=avoid), laid


def _instance(name: str, own: Checked, checked: Checked, watch_every: timedelta) -> Instance:
    defaults = table(checked, "defaults")
    schedule, laid = schedule_for(name, table(own, "schedule"), table(checked, "schedule"))
    is_synced = own.get("sync", True)
    delivery = _delivery(own, defaults, f"instances__{name}") if is_synced else ConnectDelivery()
    return Instance(
        name=name,
        hostname=_without_port(own),
        server_id=own.get("server_id"),
        enabled=own.get("enabled", True),
        schedule=schedule,
        max_age=laid.max_age or _max_age(schedule, delivery),
        guards=Guards(**{**GuardsTable().model_dump(), **table(checked, "guards"), **table(own, "guards")}),
        source=_source("source", lay_source(own, defaults), name, own, defaults) if is_synced else NoSource(),
        counts=_counts(name, own, defaults) if is_synced else None,
        delivery=delivery,
        reachable=own.get("reachable", True),
        unsynced_because=own.get("reason"),
        watch_every=watch_every,
    )


def _without_port(own: Checked) -> str:
    return str(own["hostname"]).partition(":")[0]


def _max_age(schedule: Schedule, delivery: DeliveryTo) -> timedelta:
    """Return the age that a day's delay makes too old; GitHub Connect syncs every week, however often the instance is read."""
    weeks = 1 if isinstance(delivery, ConnectDelivery) else schedule.every_weeks
    return weeks * WEEK + timedelta(days=1)


def _source(part: str, laid_table: Checked, name: str, own: Checked, defaults: Checked) -> Source:
    """Build the source, or the counts, that a laid table says."""
    laid = SourceTable().model_copy(update=laid_table)
    prefix = f"instances__{name}"
    match laid.kind:
        case "report":
            tokens = dict.fromkeys((f"{prefix}__{part}__token", f"defaults__{part}__token", "defaults__source__token"))
            url = own.get("url") or f"https://{own['hostname']}"
            return ReportSource(
                at=_destination(url, tuple(tokens), (prefix, own), ("defaults", defaults)),
                username=laid.username or "",
                report_timeout=laid.report_timeout,
                api_version=laid.api_version or None,
            )
        case "ssh":
            return SshSource(
                host=_without_port(own),
                port=laid.port,
                user=laid.user,
                command=tuple(laid.command or LICENSE_USAGE),
                private_key=laid.identity,
                private_key_credential=() if laid.identity else (f"{prefix}__source__identity", "defaults__source__identity"),
                known_hosts=laid.known_hosts,
                connect_timeout=laid.connect_timeout,
                timeout=laid.timeout,
                max_export_bytes=laid.max_export_bytes,
            )
        case "command":
            return CommandSource(command=tuple(laid.command or ()), timeout=laid.timeout, max_export_bytes=laid.max_export_bytes)
        case "file" if laid.path is not None:
            return FileSource(path=laid.path, max_export_bytes=laid.max_export_bytes)
        case _:
            return NoSource()


def _counts(name: str, own: Checked, defaults: Checked) -> ReportSource | FileSource | None:
    built = _source("counts", lay_counts(own, defaults), name, own, defaults)
    return built if isinstance(built, ReportSource | FileSource) else None


def _delivery(own: Checked, defaults: Checked, prefix: str) -> DeliveryTo:
    over, under = table(own, "delivery"), table(defaults, "delivery")
    laid_table = lay(over, under)
    laid = DeliveryTable().model_copy(update=laid_table)
    match laid.kind:
        case "connect":
            return ConnectDelivery()
        case "manual":
            outbox = OutboxTable().model_copy(update=table(laid_table, "outbox"))
            return ManualDelivery(outbox=outbox.path, group=outbox.group)
        case _:
            levels = (f"{prefix}__delivery", over), ("defaults__delivery", under), ("defaults", defaults)
            at = _destination(laid.url or "", (f"{prefix}__delivery__token", "defaults__delivery__token"), *levels)
            return HttpDelivery(
                at=replace(at, client_cert=laid.client_cert, client_key=laid.client_key), confirm_timeout=laid.confirm_timeout
            )


def _notifiers(notify: NotifyTable, checked: Checked) -> tuple[NotifierTo, ...]:
    found: list[NotifierTo] = []
    if (mail := notify.mail) is not None:
        found.append(
            MailNotifier(
                host=mail.host,
                port=mail.port or _MAIL_PORTS[mail.security],
                security=mail.security,
                username=mail.username,
                password=("notify__mail__password",) if mail.username else (),
                ca_file=mail.ca_file,
                sender=mail.sender,
                to=tuple(mail.to),
            )
        )
    if (webhook := notify.webhook) is not None:
        level = ("notify__webhook", table(checked, "notify", "webhook"))
        at = _destination(webhook.url, ("notify__webhook__token",), level)
        found.append(WebhookNotifier(at=at, secret_path=("notify__webhook__secret_path",)))
    return tuple(found)


def _destination(url: str, token: tuple[str, ...], *levels: tuple[str, Checked]) -> Destination:
    """Build a destination. The login of a proxy is sought beside that proxy or more specifically, so it never goes to another proxy."""
    proxy, names = first("proxy", *levels)
    ca_file, _ = first("ca_file", *levels)
    auth = () if proxy in {None, "env"} else tuple(f"{name}__proxy_auth" for name in names)
    return Destination(url=url, proxy=proxy, proxy_auth=auth, ca_file=ca_file, token=token)
