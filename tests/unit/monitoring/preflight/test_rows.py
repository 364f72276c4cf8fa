"""Rows: expiration dates, the worst of several, and the alerts that follow."""

import json
from datetime import timedelta

import pytest

from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.monitoring.concerns import Concern
from licsync_daemon.monitoring.preflight.rows import CREDENTIAL_DAYS, LICENSE_DAYS, CheckRow, Outcome, Place, alerts, expires, worst
from tests.fakes import T0

EMEA = Place("instance emea", "emea")
CLOUD = Place("cloud")
SECOND = timedelta(seconds=1)


def ending(left: timedelta, steps: tuple[int, ...] = CREDENTIAL_DAYS) -> CheckRow:
    return expires(EMEA, "expiry", "the token", T0 + left, T0, steps=steps, fix="make a new one", code=Code.CREDENTIAL_EXPIRING)


def test_what_ends_is_told_in_steps(subtests: pytest.Subtests) -> None:
    """Each step begins exactly so many days before the end; past it is a failure. The code is on what is to be done only."""
    for left, outcome, words in (
        (timedelta(days=30) + SECOND, Outcome.OK, "in 30 days"),
        (timedelta(days=30), Outcome.WARN, "within 30 days"),
        (timedelta(days=14) + SECOND, Outcome.WARN, "within 30 days"),
        (timedelta(days=14), Outcome.WARN, "within 14 days"),
        (timedelta(days=7), Outcome.WARN, "within 7 days"),
        (timedelta(days=1) + SECOND, Outcome.WARN, "within 7 days"),
        (timedelta(days=1), Outcome.WARN, "within 1 day, on 2026-11-25"),
        (SECOND, Outcome.WARN, "within 1 day"),
        (timedelta(0), Outcome.FAIL, "expired on 2026-11-24"),
        (-timedelta(days=400), Outcome.FAIL, "expired on 2025-10-20"),
    ):
        with subtests.test(left=left, outcome=outcome):
            row = ending(left)
            assert (row.outcome, words in row.seen) == (outcome, True)
            assert (row.code, row.fix) == ((None, "") if outcome is Outcome.OK else (Code.CREDENTIAL_EXPIRING, "make a new one"))


def test_the_words_are_the_same_all_through_a_step() -> None:
    """An alert is told once a step, so its words do not change from day to day."""
    seen = {ending(timedelta(days=left)).seen.partition(",")[0] for left in range(8, 15)}
    assert seen == {"the token expires within 14 days"}


def test_licenses_are_told_earlier() -> None:
    """A license takes a purchase: its first step is 90 days before."""
    assert "within 90 days" in ending(timedelta(days=89), LICENSE_DAYS).seen
    assert "within 3 days" in ending(timedelta(days=3), LICENSE_DAYS).seen


def test_the_worst_outcome() -> None:
    """A failure outweighs warnings, and nothing at all is fine."""
    ok, warn, fail = EMEA.ok("a", "x"), EMEA.warn("a", "x", "y"), EMEA.fail("a", "x", "y", Code.TIMEOUT)
    assert [worst(rows) for rows in ([], [ok], [ok, warn, ok], [warn, fail, ok])] == [Outcome.OK, Outcome.OK, Outcome.WARN, Outcome.FAIL]


def test_alerts_of_rows() -> None:
    """Of each instance and code there is one alert with all that was seen; what has no code, or is fine, alarms nobody."""
    rows = [
        EMEA.ok("clock", "fine"),
        EMEA.warn("scopes", "more than needed", "less"),
        EMEA.warn("expiry", "the token ends", "new token", Code.CREDENTIAL_EXPIRING),
        CLOUD.warn("expiry", "the token ends", "new token", Code.CREDENTIAL_EXPIRING),
        Place("notify mail").fail("connection", "no", "mend", Code.UNREACHABLE),
        CLOUD.warn("connection", "slow", "mend", Code.UNREACHABLE),
    ]
    expiring, unreachable = Code.CREDENTIAL_EXPIRING, Code.UNREACHABLE
    assert alerts(rows) == {
        "emea": [Concern(code=expiring, severity=Severity.WARNING, text="the token ends", next_step="new token")],
        "": [
            Concern(code=expiring, severity=Severity.WARNING, text="cloud: the token ends", next_step="new token"),
            Concern(code=unreachable, severity=Severity.ALERT, text="notify mail: no; cloud: slow", next_step="mend"),
        ],
    }


def test_a_row_in_json_and_back() -> None:
    """The daemon reads what its own daily check prints."""
    rows = [EMEA.ok("clock", "fine"), EMEA.fail("token", "no", "yes", Code.UNAUTHORIZED), Place("cloud").warn("servers", "two", "look")]
    assert [CheckRow.from_json(json.loads(json.dumps(row.as_json()))) for row in rows] == rows
    assert [row.as_json()["next_step"] for row in rows] == [None, "yes", "look"]


def test_a_row_can_be_stored_and_printed() -> None:
    """A file name or a certificate may contain anything: no control character and no half character gets into an alert."""
    row = Place("cloud").fail("files", "found a\udcff\x1b[2J\nb", "remove \u202ea", Code.DISK_LOW)
    assert (row.seen, row.fix) == ("found a b", "remove a")
