"""`history --since`: a row for every instance, week and run."""

from datetime import UTC, datetime, timedelta

import pytest

from licsync_daemon.cli.audit import COLUMNS, rows, since
from licsync_daemon.model.errors import ConfigError
from licsync_daemon.model.run import RunState
from licsync_daemon.state.memory import MemoryStore
from tests.fakes import T0, an_ended_run

DAY = timedelta(days=1)  # T0 is a Tuesday, 2026-11-24, in week 48


def test_every_week_has_a_row_also_without_a_run() -> None:
    """Oldest first; a gap shows as a week with no run, over the end of a year as well."""
    store = MemoryStore()
    for number, days in enumerate((21, 7, 0)):
        at = T0 - days * DAY
        times = {"collected_at": at, "delivered_at": at + timedelta(minutes=1), "confirmed_at": at + timedelta(minutes=2), "last_sync": at}
        store.save_run(an_ended_run(f"run{number}", RunState.CONFIRMED, started_at=at, slot=at, **times), T0)

    found = list(rows(store, ["emea", "labs"], complete={"emea"}, start=T0 - 22 * DAY, now=T0, most=1000))

    assert [(one["instance"], one["week"], one["run_id"]) for one in found] == [
        ("emea", "2026-W45", "run0"), ("emea", "2026-W46", None), ("emea", "2026-W47", "run1"), ("emea", "2026-W48", "run2"),
    ]  # fmt: skip
    assert {tuple(one) for one in found} == {COLUMNS}
    newest = found[-1]
    assert [newest[name] for name in ("collected_at", "delivered_at", "confirmed_at", "last_sync")] == [
        "2026-11-24T02:00:00Z", "2026-11-24T02:01:00Z", "2026-11-24T02:02:00Z", "2026-11-24T02:00:00Z",
    ]  # fmt: skip
    new_year = list(
        rows(None, ["emea"], complete={"emea"}, start=datetime(2026, 12, 25, tzinfo=UTC), now=datetime(2027, 1, 5, tzinfo=UTC), most=1000)
    )
    assert [one["week"] for one in new_year] == ["2026-W52", "2026-W53", "2027-W01"]


def test_since() -> None:
    """A date in UTC, or a time ago; neither what is no date nor the future."""
    assert since("2026-01-01", T0) == datetime(2026, 1, 1, tzinfo=UTC)
    assert since("90d", T0) == T0 - 90 * DAY
    for text in ("yesterday", "2026-13-01", "2027-01-01", "", "9999999d"):
        with pytest.raises(ConfigError, match="--since"):
            since(text, T0)
