"""Confirmation by the cloud: which entry belongs to which instance, the baseline, and when a delivery is confirmed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.run import Baseline, DeliveryOutcome
from licsync_daemon.model.usage import ServerIdentity, SyncEntry, SyncStatus, Upload, UploadState
from licsync_daemon.rules.verdict import (
    Confirmed,
    Refuted,
    Waiting,
    bare_host,
    baseline_of,
    drift,
    entry_of,
    is_comparable,
    judge,
    must_wait_s,
    next_check,
    server_id_of,
)
from tests.fakes import T0, a_baseline, a_delivery, a_status, an_entry

KNOWN = ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea")
UNKNOWN = ServerIdentity(hostname="ghes-emea.example.com", server_id=None)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_hosts_are_compared_bare(subtests: pytest.Subtests) -> None:
    """Case, a port and a final dot make no other host."""
    for host, bare in [
        ("ghes.example.com", "ghes.example.com"),
        (" GHES.Example.COM ", "ghes.example.com"),
        ("ghes.example.com:8443", "ghes.example.com"),
        ("ghes.example.com.", "ghes.example.com"),
        ("ghes.example.com.:443", "ghes.example.com"),
        ("example_host_name_2", "example_host_name_2"),
        ("ghes:abc", "ghes:abc"),
        (":443", ":443"),
        ("", ""),
    ]:
        with subtests.test(host=host, bare=bare):
            assert bare_host(host) == bare


@pytest.mark.parametrize(
    ("identity", "entry", "matches"),
    [
        (KNOWN, an_entry(), True),
        (KNOWN, an_entry(hostname="renamed.example.com"), True),
        (KNOWN, an_entry(hostname=None), True),
        (KNOWN, an_entry(server_id="other"), False),
        (KNOWN, an_entry(server_id="SERVER-EMEA"), False),
        (KNOWN, an_entry(server_id=None), True),
        (KNOWN, an_entry(server_id=None, hostname="GHES-EMEA.example.com:443"), True),
        (KNOWN, an_entry(server_id=None, hostname="other.example.com"), False),
        (KNOWN, an_entry(server_id=None, hostname=None), False),
        (UNKNOWN, an_entry(server_id="anything"), True),
        (UNKNOWN, an_entry(hostname="other.example.com"), False),
    ],
    ids=[
        "both",
        "id, renamed",
        "id, no host",
        "same host, other id",
        "ids have case",
        "no id: host",
        "no id: host as written",
        "no id: other host",
        "nothing to match",
        "id unknown here",
        "id unknown here, other host",
    ],
)
def test_entries_match_by_server_id_else_by_host(identity: ServerIdentity, entry: SyncEntry, matches: bool) -> None:
    """The server ID decides where both sides have one; else the host."""
    assert entry_of(identity, a_status(entry)) == (entry if matches else None)


@pytest.mark.parametrize(
    ("dates", "newest"),
    [((T0, T0 + seconds(1)), 1), ((T0 + seconds(1), T0), 0), ((None, T0), 1), ((T0, None), 0), ((T0, T0), 0)],
    ids=["later", "earlier", "never, then", "then, never", "equal"],
)
def test_of_several_entries_the_newest_counts(dates: tuple[datetime | None, ...], newest: int) -> None:
    """An old row of the same instance does not hide a newer one."""
    entries = [an_entry(date=date, status=f"row {index}") for index, date in enumerate(dates)]
    assert entry_of(KNOWN, a_status(*entries)) == entries[newest]


@pytest.mark.parametrize(
    ("identity", "listed", "found"),
    [
        (KNOWN, (), "server-emea"),
        (KNOWN, (an_entry(server_id="other"),), "server-emea"),
        (UNKNOWN, (an_entry(),), "server-emea"),
        (UNKNOWN, (an_entry(hostname="GHES-EMEA.example.com.:8443"),), "server-emea"),
        (UNKNOWN, (an_entry(), an_entry(date=None)), "server-emea"),
        (UNKNOWN, (an_entry(server_id=None), an_entry()), "server-emea"),
        (UNKNOWN, (an_entry(server_id="x", hostname="other.example.com"), an_entry()), "server-emea"),
        (UNKNOWN, (), Code.SERVER_ID_UNKNOWN),
        (UNKNOWN, (an_entry(server_id=None),), Code.SERVER_ID_UNKNOWN),
        (UNKNOWN, (an_entry(hostname="other.example.com"),), Code.SERVER_ID_UNKNOWN),
        (UNKNOWN, (an_entry(), an_entry(server_id="old-emea")), Code.SERVER_ID_AMBIGUOUS),
    ],
    ids=[
        "configured",
        "configured wins",
        "the only one",
        "host as written",
        "twice the same",
        "one without id",
        "others beside",
        "none",
        "only without id",
        "only others",
        "several",
    ],
)
def test_server_ids(identity: ServerIdentity, listed: tuple[SyncEntry, ...], found: str | Code) -> None:
    """The known server ID, else the only one of this host; with none or several nothing may be sent."""
    if isinstance(found, Code):
        with pytest.raises(RunError) as refused:
            server_id_of(identity, a_status(*listed))
        assert refused.value.code is found
        assert "*Export license usage*" in refused.value.next_step
    else:
        assert server_id_of(identity, a_status(*listed)) == found


def test_ambiguous_server_ids_are_named() -> None:
    """The message lists every candidate in order."""
    with pytest.raises(RunError, match=r"2 servers named ghes-emea\.example\.com: a, b"):
        server_id_of(UNKNOWN, a_status(an_entry(server_id="b"), an_entry(server_id="a")))


def test_the_baseline_is_what_the_cloud_says_now() -> None:
    """The baseline holds the newest date, the reply's own time, and the entry as a whole."""
    entry = an_entry(date=T0 - seconds(5))
    baseline = baseline_of(KNOWN, a_status(entry))
    assert (baseline.date, baseline.answered_at) == (T0 - seconds(5), T0)
    assert baseline.entry != baseline_of(KNOWN, a_status(an_entry())).entry


NO_DATE = {
    "not listed at that moment": a_status(),
    "a date that could not be read": a_status(an_entry(date=None, unreadable="June 6, 2026")),
    "an organization, before the configuration changed": SyncStatus(entries=(), answered_at=T0, exists=False),
}


@pytest.mark.parametrize("before", NO_DATE.values(), ids=NO_DATE)
def test_no_earlier_sync_confirms_where_the_baseline_lacks_a_date(before: SyncStatus) -> None:
    """A sync of long before the delivery, which the cloud lists again, is not the delivery's; the first one afterwards is."""
    record = a_delivery(baseline=baseline_of(KNOWN, before))
    earlier, later = an_entry(date=T0 - timedelta(days=7)), an_entry(date=T0 + seconds(60))
    assert judge(record, SUCCESS, a_status(earlier)) == Waiting("the cloud's latest sync is from before this delivery")
    assert judge(record, SUCCESS, a_status(later)) == Confirmed(later.date)


def test_the_recorded_sync_stands_in_for_a_missing_date() -> None:
    """What was seen before is the baseline where the cloud lists nothing readable now; otherwise the cloud's own date is."""
    recorded = T0 - timedelta(hours=6)
    assert baseline_of(KNOWN, a_status(), recorded).date == recorded
    assert baseline_of(KNOWN, a_status(an_entry(date=T0 - timedelta(hours=9))), recorded).date == T0 - timedelta(hours=9)
    record = a_delivery(baseline=baseline_of(KNOWN, a_status(), recorded))
    assert isinstance(judge(record, SUCCESS, a_status(an_entry(date=recorded))), Waiting)
    assert isinstance(judge(record, SUCCESS, a_status(an_entry(date=recorded + seconds(1)))), Confirmed)


@pytest.mark.parametrize(
    ("date", "answered_at", "wait_s", "comparable"),
    [
        (None, T0, 0.0, True),
        (T0, None, 0.0, True),
        (T0 - seconds(2), T0, 0.0, True),
        (T0 - seconds(1), T0, 0.0, True),
        (T0, T0, 1.0, True),
        (T0 + seconds(1), T0, 2.0, True),
        (T0 + seconds(5), T0, 6.0, True),
        (T0 + seconds(5.001), T0, 0.0, False),
        (T0 + seconds(6), T0, 0.0, False),
    ],
    ids=["no date", "no Date", "2 s ago", "1 s ago", "same second", "1 s ahead", "5 s ahead", "just over", "6 s ahead"],
)
def test_waiting_for_the_next_second(date: datetime | None, answered_at: datetime | None, wait_s: float, comparable: bool) -> None:
    """Whole seconds: the cloud's clock must have passed the baseline before anything is sent; over 5 s ahead cannot be compared."""
    baseline = a_baseline(date=date, answered_at=answered_at)
    assert must_wait_s(baseline) == wait_s
    assert is_comparable(baseline) is comparable


SUCCESS, PENDING, FAILURE, NO_WORD = (Upload(state=state) for state in (*(UploadState(s) for s in ("SUCCESS", "PENDING", "FAILURE")), None))
BEFORE = an_entry(date=T0 - seconds(1))
NORMAL = baseline_of(KNOWN, a_status(BEFORE))
AHEAD = baseline_of(KNOWN, a_status(an_entry(date=T0 + seconds(6))))


@pytest.mark.parametrize(
    ("baseline", "upload", "entry", "verdict"),
    [
        (NORMAL, SUCCESS, an_entry(), Confirmed),
        (NORMAL, NO_WORD, an_entry(), Confirmed),
        (NORMAL, PENDING, an_entry(), Waiting),
        (NORMAL, FAILURE, an_entry(), DeliveryOutcome.UPLOAD_FAILED),
        (NORMAL, FAILURE, None, DeliveryOutcome.UPLOAD_FAILED),
        (NORMAL, SUCCESS, None, Waiting),
        (NORMAL, SUCCESS, an_entry(date=None, status=None), Waiting),
        (NORMAL, SUCCESS, an_entry(date=T0 - seconds(2)), Waiting),
        (NORMAL, SUCCESS, BEFORE, Waiting),
        (NORMAL, SUCCESS, an_entry(date=T0 - seconds(1), status="failure"), Waiting),
        (NORMAL, SUCCESS, an_entry(date=T0 - seconds(0.999)), Confirmed),
        (NORMAL, SUCCESS, an_entry(status="failure"), DeliveryOutcome.SYNC_FAILED),
        (NORMAL, SUCCESS, an_entry(status="failed", error="quota"), DeliveryOutcome.SYNC_FAILED),
        (NORMAL, PENDING, an_entry(status="error"), DeliveryOutcome.SYNC_FAILED),
        (NORMAL, SUCCESS, an_entry(status="processing"), Waiting),
        (NORMAL, SUCCESS, an_entry(status=None), Waiting),
        (NORMAL, SUCCESS, an_entry(error="but look"), Waiting),
        (a_baseline(), SUCCESS, an_entry(), Confirmed),
        (a_baseline(), NO_WORD, an_entry(), Confirmed),
        (AHEAD, SUCCESS, an_entry(date=T0 + seconds(6)), Waiting),
        (AHEAD, SUCCESS, an_entry(date=T0 + seconds(7)), Confirmed),
        (AHEAD, SUCCESS, an_entry(date=T0 + seconds(1)), Confirmed),
        (AHEAD, NO_WORD, an_entry(date=T0 + seconds(7)), Waiting),
        (AHEAD, PENDING, an_entry(date=T0 + seconds(7)), Waiting),
        (AHEAD, SUCCESS, an_entry(date=T0 + seconds(7), status="failure"), DeliveryOutcome.SYNC_FAILED),
    ],
    ids=[
        "newer and successful",
        "the upload cannot be asked",
        "the upload is pending",
        "the upload failed",
        "the upload failed, no entry",
        "no entry",
        "never synced",
        "older",
        "the same date",
        "an old failure is not ours",
        "barely newer",
        "the sync failed",
        "the sync failed, other word",
        "the sync failed, pending upload",
        "an unknown status",
        "no status",
        "success with an error",
        "nothing before",
        "nothing before, cannot be asked",
        "incomparable, unchanged",
        "incomparable, changed",
        "incomparable, changed to earlier",
        "incomparable, cannot be asked",
        "incomparable, pending",
        "incomparable, failed",
    ],
)
def test_verdicts(baseline: Baseline, upload: Upload, entry: SyncEntry | None, verdict: type | DeliveryOutcome) -> None:
    """Only a newer, successful sync after a successful upload confirms; a failure ends it; anything else keeps waiting."""
    found = judge(a_delivery(baseline=baseline), upload, a_status(*([entry] if entry else [])))
    if isinstance(verdict, DeliveryOutcome):
        assert isinstance(found, Refuted)
        assert found.outcome is verdict
        assert found.code == verdict.value
    else:
        assert isinstance(found, verdict)
    if isinstance(found, Confirmed):
        assert entry is not None
        assert found.last_sync == entry.date


def test_a_sync_of_another_instance_confirms_nothing() -> None:
    """A newer sync under another server ID does not count, even on the same host."""
    other = an_entry(server_id="other", date=T0 + seconds(60))
    assert isinstance(judge(a_delivery(baseline=NORMAL), SUCCESS, a_status(BEFORE, other)), Waiting)


def test_errors_are_quoted() -> None:
    """The cause quotes the error of a failed upload or a failed sync."""
    upload = judge(a_delivery(baseline=NORMAL), Upload(state=UploadState.FAILURE, error="bad row 7"), a_status())
    sync = judge(a_delivery(baseline=NORMAL), SUCCESS, a_status(an_entry(status="failure", error="quota")))
    assert isinstance(upload, Refuted)
    assert isinstance(sync, Refuted)
    assert upload.cause.endswith(': "bad row 7"')
    assert sync.cause.endswith(': "quota"')


def test_a_failed_sync_of_a_manual_upload_is_uploaded_again_by_a_person() -> None:
    """No run can send it again: the step names who uploads, and where; only with a relay does the next run send."""
    status = a_status(an_entry(status="failure", error="quota"))
    by_person = judge(a_delivery(baseline=NORMAL), Upload(state=None), status, by_person=True)
    by_relay = judge(a_delivery(baseline=NORMAL), SUCCESS, status)
    assert isinstance(by_person, Refuted)
    assert isinstance(by_relay, Refuted)
    assert str(github.UPLOAD) in by_person.next_step
    assert "sends the usage again" not in by_person.next_step
    assert "the next run sends the usage again" in by_relay.next_step


def checks(*, eager: bool, count: int) -> list[float]:
    """The times of the first checks, in seconds after the delivery."""
    now, found = T0, []
    for _ in range(count):
        now = next_check(T0, now, eager=eager)
        found.append((now - T0).total_seconds())
    return found


def test_waits_between_checks_grow_from_5_seconds_to_a_minute() -> None:
    """Checks are at fixed times after the delivery: 5, 10, 20, 40, 80 s, then every minute."""
    assert checks(eager=False, count=8) == [5, 10, 20, 40, 80, 140, 200, 260]


def test_checks_come_sooner_while_a_person_waits() -> None:
    """The first checks come within a second if a person is waiting."""
    assert checks(eager=True, count=11) == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 124, 184]


@pytest.mark.parametrize(
    ("passed_s", "next_s"),
    [(0, 5), (4.999, 5), (5, 10), (5.001, 10), (80, 140), (24 * 3600, 24 * 3600 + 20), (24 * 3600 + 1, 24 * 3600 + 61), (9e8, 9e8 + 60)],
    ids=["at once", "just before", "at a look", "just after", "into minutes", "after a day", "over a day", "after decades"],
)
def test_the_next_check(passed_s: float, next_s: float) -> None:
    """The next check is strictly in the future, and computed without a loop if the clock has jumped."""
    assert next_check(T0, T0 + seconds(passed_s)) == T0 + seconds(next_s)


def test_a_clock_that_was_set_back_delays_no_check() -> None:
    """A delivery dated in the future is checked within seconds."""
    assert next_check(T0 + timedelta(days=300), T0) == T0 + seconds(5)


def test_the_earliest_date_there_is_confirms_where_nothing_was_before() -> None:
    """No sync at all is earlier than any date, the year 1 included, if the cloud does not say when it was asked."""
    date = datetime(1, 1, 1, tzinfo=UTC)
    record = a_delivery(baseline=a_baseline(date=None, entry="", answered_at=None), upload_id="u")
    verdict = judge(record, Upload(state=UploadState.SUCCESS), a_status(an_entry(date=date)))
    assert verdict == Confirmed(date)


def test_drift(subtests: pytest.Subtests) -> None:
    """Fewer accounts in the cloud than were sent is a warning; more is not."""
    for sent, held, warned in [(10, 10, False), (10, 11, False), (10, 9, True), (0, 0, False)]:
        with subtests.test(sent=sent, held=held, warned=warned):
            notice = drift(sent, held)
            assert (notice is not None) is warned
            assert notice is None or notice.code is Code.COUNT_DRIFT


def test_a_date_that_cannot_be_read_keeps_waiting_and_is_quoted() -> None:
    """Neither "no sync" nor a confirmation can be said; a readable date of the same instance counts first."""
    entry = replace(an_entry(date=None), unreadable="June 5, 2026")
    found = judge(a_delivery(), Upload(state=UploadState.SUCCESS), a_status(entry))
    assert found == Waiting('the date of the latest sync that the cloud reports cannot be read: "June 5, 2026"')
    dated = an_entry(date=T0)
    identity = a_delivery().identity
    for order in ((entry, dated), (dated, entry)):
        assert entry_of(identity, a_status(*order)) == dated
    never = an_entry(date=None, status=None)
    for order in ((entry, never), (never, entry)):
        assert entry_of(identity, a_status(*order)) is entry
    signatures = {baseline_of(identity, a_status(one)).entry for one in (entry, never, replace(entry, unreadable="June 6, 2026"))}
    assert len(signatures) == 3
