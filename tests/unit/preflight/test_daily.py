"""The daily preflight: when it is due, and what of it is told."""

import asyncio
from datetime import timedelta
from pathlib import Path

from structlog.testing import capture_logs

from licsync_daemon.configured import CloudAccount, ConnectDelivery, Destination, NoSource
from licsync_daemon.errors import Code
from licsync_daemon.preflight.daily import DAY, Daily, next_daily, tell_new
from licsync_daemon.preflight.rows import Place
from tests.fakes import T0, FakeClock, a_config, an_instance

EMEA = Place("instance emea", "emea")
SECOND = timedelta(seconds=1)


def test_the_minute_is_the_names_own() -> None:
    """One moment a day, the same every day and after every restart; other names have other minutes."""
    first = next_daily("a", T0)
    assert T0 < first <= T0 + DAY
    assert next_daily("a", first - SECOND) == first
    assert next_daily("a", first) == first + DAY
    assert (first.second, first.microsecond) == (0, 0)
    assert len({next_daily(f"host{number}", T0) for number in range(20)}) > 10


def test_it_is_due_at_its_minute(tmp_path: Path) -> None:
    """It is due at its minute and not before; after a run it is due the next day. A clock that was set back is followed."""
    first = next_daily("a", T0)
    daily = Daily("a", T0)
    assert [daily.is_due(first - SECOND), daily.is_due(first), daily.is_due(first + DAY)] == [False, True, True]
    assert daily.is_due(first - DAY - SECOND)

    closed = CloudAccount(at=Destination(url="http://127.0.0.1:1", token=("cloud__token",)), enterprise="octo")
    idle = an_instance(enabled=False, source=NoSource(), delivery=ConnectDelivery())
    config = a_config(idle, cloud=closed, state_dir=tmp_path, credentials_dir=tmp_path)
    rows = asyncio.run(daily.run(config, {}, FakeClock(first)))

    assert ("cloud", "connection", Code.UNREACHABLE) in {(row.place, row.test, row.code) for row in rows}
    assert not daily.is_due(first + timedelta(hours=23))
    assert daily.is_due(first + DAY)


def test_what_is_new_is_logged_once() -> None:
    """A failure and a warning are logged when they appear, not every day; what was gone and comes back is new."""
    fail = EMEA.fail("token", "not accepted", "make a new one", Code.UNAUTHORIZED)
    warn = EMEA.warn("scopes", "too many", "fewer")

    with capture_logs() as logs:
        told = tell_new([fail, warn, EMEA.ok("clock", "fine")], frozenset())
        told = tell_new([fail, warn], told)
        told = tell_new([warn], told)
        tell_new([fail, warn], told)

    failed = {"event": "preflight.failed", "log_level": "error", "place": "instance emea", "test": "token", "code": Code.UNAUTHORIZED}
    warned = {"event": "preflight.warned", "log_level": "warning", "place": "instance emea", "test": "scopes", "code": None}
    words = {"cause": "not accepted", "next_step": "make a new one"}
    assert logs == [failed | words, warned | {"cause": "too many", "next_step": "fewer"}, failed | words]
