"""Checked settings to the plain values the program speaks in: layers laid, defaults filled in, every schedule one cron expression."""

import hashlib
from typing import Any

from licsync_daemon.configured import CloudAccount, Config, Destination, Guards, HttpDelivery, Instance, ReportSource, Schedule
from licsync_daemon.settings.fields import WEEKDAYS
from licsync_daemon.settings.layers import first, lay, lay_schedule, table
from licsync_daemon.settings.models import DeliveryTable, GuardsTable, ScheduleTable, Settings, SourceTable
from licsync_daemon.windows import parse_window

_WEEK_MINUTES = 7 * 24 * 60
Checked = dict[str, Any]


def to_config(settings: Settings) -> Config:
    """Build the configuration. Expects settings in which nothing is missing (`checks.py`)."""
    checked = settings.model_dump(exclude_unset=True)
    cloud = settings.cloud
    level = ("cloud", table(checked, "cloud"))
    return Config(
        state_dir=settings.state_dir,
        credentials_dir=settings.credentials_dir,
        cloud=CloudAccount(
            at=_destination(cloud.api_url, ("cloud__token",), level),
            enterprise=cloud.enterprise,
            api_version=cloud.api_version,
        ),
        instances=tuple(_instance(name, one, checked) for name, one in table(checked, "instances").items()),
        max_concurrent_runs=settings.max_concurrent_runs,
        log_level=settings.log_level,
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
    return Schedule(cron=cron, timezone=laid.timezone, avoid=avoid), laid


def _instance(name: str, one: Checked, checked: Checked) -> Instance:
    defaults = table(checked, "defaults")
    own, prefix = one, f"instances__{name}"
    schedule, laid = schedule_for(name, table(own, "schedule"), table(checked, "schedule"))
    hostname = str(own["hostname"])
    return Instance(
        name=name,
        hostname=hostname.partition(":")[0],
        server_id=own.get("server_id"),
        enabled=own.get("enabled", True),
        schedule=schedule,
        max_age=laid.max_age,
        guards=Guards(**{**GuardsTable().model_dump(), **table(checked, "guards"), **table(own, "guards")}),
        source=_source(own.get("url") or f"https://{hostname}", own, defaults, prefix),
        delivery=_delivery(own, defaults, prefix),
    )


def _source(url: str, own: Checked, defaults: Checked, prefix: str) -> ReportSource:
    laid = SourceTable().model_copy(update=lay(table(own, "source"), table(defaults, "source")))
    return ReportSource(
        at=_destination(url, (f"{prefix}__source__token", "defaults__source__token"), (prefix, own), ("defaults", defaults)),
        username=laid.username or "",
        report_timeout=laid.report_timeout,
        api_version=laid.api_version or None,
    )


def _delivery(own: Checked, defaults: Checked, prefix: str) -> HttpDelivery:
    over, under = table(own, "delivery"), table(defaults, "delivery")
    laid = DeliveryTable().model_copy(update=lay(over, under))
    levels = (f"{prefix}__delivery", over), ("defaults__delivery", under), ("defaults", defaults)
    return HttpDelivery(
        at=_destination(laid.url or "", (f"{prefix}__delivery__token", "defaults__delivery__token"), *levels),
        confirm_timeout=laid.confirm_timeout,
    )


def _destination(url: str, token: tuple[str, ...], *levels: tuple[str, Checked]) -> Destination:
    """Build a destination. The login of a proxy is sought beside that proxy or more specifically, so it never goes to another proxy."""
    proxy, names = first("proxy", *levels)
    ca_file, _ = first("ca_file", *levels)
    auth = () if proxy in {None, "env"} else tuple(f"{name}__proxy_auth" for name in names)
    return Destination(url=url, proxy=proxy, proxy_auth=auth, ca_file=ca_file, token=token)
