"""Stored copies of responses."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from licsync_daemon.http.ages import Ages
from licsync_daemon.model.errors import Code, RemoteError
from tests.fakes import T0, FakeClock

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def dated(ago: timedelta, **more: str) -> dict[str, str]:
    return {"date": format_datetime(T0 - ago, usegmt=True), **more}


def refused(ages: Ages, host: str, headers: dict[str, str], *, may_lag: bool = False) -> RemoteError | None:
    try:
        ages.check(host, headers, "the status", may_lag=may_lag)
    except RemoteError as error:
        if (error.code, error.transient) != (Code.STALE_ANSWER, True):
            raise
        return error
    return None


def test_an_age_over_five_minutes_is_enough(subtests: pytest.Subtests) -> None:
    """Whatever its date says, and also without one."""
    for age, stale in (
        ("301", True),
        ("2592000", True),
        ("9" * 12, True),
        ("9" * 30, True),
        ("301, 0", True),
        ("0, 301", True),
        (" 301 ", True),
        ("old, 301", True),
        ("300, 300", False),
        ("301.5", False),
        ("+301", False),
        ("\u0663\u0660\u0661", False),
        ("300", False),
        ("0", False),
        ("", False),
        ("-5", False),
        ("x", False),
    ):
        with subtests.test(age=age):
            assert (refused(Ages(FakeClock()), "cloud", {"age": age}) is not None) is stale
            assert (refused(Ages(FakeClock()), "cloud", dated(timedelta(0), age=age)) is not None) is stale
    error = refused(Ages(FakeClock()), "cloud", {"age": "2592000"})
    assert error is not None
    assert error.cause == "the status returned a stored copy, 30 days old by its `Age`"


def test_a_date_in_any_form_counts(subtests: pytest.Subtests) -> None:
    """Of several, the earliest: each cache on the way may have added its own. What is no date says nothing."""
    old, new = T0 - HOUR, T0
    for text, stale in (
        (old.isoformat(), True),
        (str(int(old.timestamp())), True),
        (f"{format_datetime(new, usegmt=True)}, {format_datetime(old, usegmt=True)}", True),
        (f"{format_datetime(old, usegmt=True)}, {format_datetime(new, usegmt=True)}", True),
        (f"{new:%a %b %e %H:%M:%S %Y}", False),
        (f"{old:%a %b %e %H:%M:%S %Y}", True),
        ("yesterday", False),
        ("Tue, 99 Foo 2026 99:99:99 GMT", False),
        ("0001-01-01T00:00:00Z", False),
        ("9" * 400, False),
    ):
        with subtests.test(date=text):
            ages = Ages(FakeClock())
            assert refused(ages, "emea", dated(timedelta(0))) is None
            assert (refused(ages, "cloud", {"date": text}) is not None) is stale


def test_our_clock_alone_blocks_nothing() -> None:
    """Who is right cannot be known of two."""
    ages = Ages(FakeClock())
    assert refused(ages, "cloud", dated(HOUR)) is None
    assert refused(ages, "cloud", dated(HOUR)) is None
    assert refused(ages, "emea", dated(2 * HOUR)) is None  # another one that disagrees proves nothing


def test_a_second_server_that_agrees_with_our_clock_decides() -> None:
    """Then the other's date is old; a company's own server may have a wrong clock."""
    ages = Ages(FakeClock())
    assert refused(ages, "emea", dated(timedelta(0))) is None
    assert refused(ages, "cloud", dated(4 * MINUTE)) is None
    assert refused(ages, "cloud", dated(6 * MINUTE)) is not None
    assert refused(ages, "apac", dated(HOUR), may_lag=True) is None
    assert refused(ages, "cloud", dated(-HOUR)) is None  # the future is no stored copy


def test_a_date_behind_the_servers_own_clock_is_old() -> None:
    """Also if it stands still: a live clock goes on."""
    clock = FakeClock()
    ages = Ages(clock)
    assert refused(ages, "cloud", dated(-HOUR)) is None
    assert refused(ages, "cloud", dated(-HOUR + 6 * MINUTE), may_lag=True) is not None
    clock.advance(3600)
    assert refused(ages, "cloud", dated(-HOUR - HOUR)) is None
    clock.advance(7200)
    error = refused(ages, "cloud", dated(-HOUR - HOUR))
    assert error is not None
    assert error.cause == "the status returned a stored copy, 2 hours old by its `Date`, compared with earlier responses"


def test_a_server_whose_clock_is_corrected_is_believed() -> None:
    """A date that agrees with our clock is current, whatever the server's clock showed before."""
    ages = Ages(FakeClock())
    assert refused(ages, "cloud", dated(-1000 * HOUR)) is None
    assert refused(ages, "cloud", dated(timedelta(0))) is None
    assert refused(ages, "cloud", dated(timedelta(0))) is None


def test_a_response_without_a_date_is_accepted() -> None:
    """Nothing can be said about it."""
    for date in ("", "yesterday", "Mon, 01 Jan 0001 00:00:00 GMT"):
        assert refused(Ages(FakeClock()), "cloud", {"date": date}) is None
