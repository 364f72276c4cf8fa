"""The forecast of seats: streams of accounts in, an arithmetic that adds up out."""

from collections.abc import Iterable

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.results import Forecast
from licsync_daemon.insight.values import ServerAccount, Stated


def forecast(cloud: Cloud, accounts: Iterable[ServerAccount], stated: Stated | None = None) -> Forecast:
    """Return the seats after the next sync of every instance.

    Accounts that the cloud lists on hosts without a file are added from the consumed licenses. Reads `accounts` once.

    Args:
        cloud: The index of the consumed licenses.
        accounts: Rows of the site-admin reports of all instances, in any order.
        stated: GitHub's own totals. Without them, the consumed rows are what GitHub states, if there are any.
    """
    raise NotImplementedError
