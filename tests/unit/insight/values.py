"""People and accounts for the tests of `insight`: short to write, nobody real."""

from collections.abc import Iterable, Sequence
from typing import Any

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.duplicates import find_duplicates
from licsync_daemon.insight.forecast import forecast
from licsync_daemon.insight.results import Duplicates, Forecast
from licsync_daemon.insight.values import Instance, Person, ServerAccount, Stated

EMEA = Instance(name="emea", hostname="ghes-emea.example.com")
APAC = Instance(name="apac", hostname="ghes-apac.example.com")
AMER = Instance(name="amer", hostname="ghes-amer.example.com")
BOTH = (EMEA, APAC)


def person(login: str = "", name: str = "", *emails: str, ids: Iterable[str] = (), **more: Any) -> Person:
    """`ids` are `emea:7`, or `HOST:7` of a host without a file."""
    hosts = {one.name: one.hostname for one in (EMEA, APAC, AMER)}
    found = [one.rpartition(":") for one in ids]
    return Person(
        login=login,
        name=name,
        verified_emails=emails,
        server_ids=tuple((hosts.get(host, host), number) for host, _, number in found),
        **({"in_cloud": bool(login)} | more),
    )


def account(key: str, login: str = "", email: str = "", **more: Any) -> ServerAccount:
    instance, _, number = key.partition(":")
    return ServerAccount(instance=instance, id=number, login=login, email=email, **more)


def the_forecast(
    people: Sequence[Person],
    accounts: Sequence[ServerAccount],
    *,
    instances: Sequence[Instance] = BOTH,
    domains: Sequence[str] = (),
    stated: Stated | None = None,
) -> Forecast:
    return forecast(Cloud(people, instances=instances, domains=domains), accounts, stated)


def duplicates(people: Sequence[Person], accounts: Sequence[ServerAccount], *, instances: Sequence[Instance] = BOTH) -> Duplicates:
    return find_duplicates(Cloud(people, instances=instances), people, accounts)


def numbers(lines: Iterable[Any]) -> dict[str, int]:
    """Lines as code -> number, without zeros."""
    return {line.code: line.number for line in lines if line.number}
