"""The result of a Connect check for an instance."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import ConnectDelivery, NoSource
from licsync_daemon.model.usage import Installation, ServerIdentity, SyncEntry, SyncStatus, UploadState
from licsync_daemon.rules.connect import LATE_AFTER, ConnectVerdict, anchor_of, installation_of, judge_connect
from licsync_daemon.rules.schedule import WEEK
from tests.fakes import T0, an_instance

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LABS = an_instance("labs", source=NoSource(), delivery=ConnectDelivery())


def seen(
    date: datetime | None,
    status: str | None = "success",
    *,
    error: str | None = None,
    listed: bool = True,
    connected: bool | None = None,
    dates: tuple[datetime, ...] = (),
    before: datetime | None = None,
    disconnected_before: bool = False,
    answered_at: datetime | None = T0,
) -> ConnectVerdict:
    entry = SyncEntry(server_id="server-labs", hostname="ghes-labs.example.com", date=date, status=status, error=error)
    return judge_connect(
        LABS,
        ServerIdentity(hostname=LABS.hostname, server_id=None),
        SyncStatus(entries=(entry,) if listed else (), answered_at=answered_at),
        installations=None if connected is None else (Installation(hostname="GHES-LABS.example.com", is_connected=connected),),
        dates=dates,
        before=before,
        disconnected_before=disconnected_before,
        now=T0 + 365 * DAY,
    )


def test_a_recent_successful_sync_is_current() -> None:
    """Age is the cloud's clock minus the cloud's date; the local clock, a year ahead here, does not matter."""
    assert seen(T0 - 3 * DAY) == ConnectVerdict(T0 - 3 * DAY)


def test_what_is_not_current_says_why_and_what_to_do(subtests: pytest.Subtests) -> None:
    """Each has its code, and one next step in GitHub's own labels."""
    for found, code, words in [
        (seen(None, None), Code.NEVER_SYNCED, "never received a sync"),
        (seen(None, listed=False), Code.NEVER_SYNCED, "lists no server with this hostname"),
        (seen(None, None, connected=True), Code.NEVER_SYNCED, "never received a sync"),
        (seen(None, None, connected=False), Code.NOT_CONNECTED, "not connected"),
        (seen(None, None, disconnected_before=True), Code.NOT_CONNECTED, "not connected"),
        (seen(None, None, disconnected_before=True, connected=True), Code.NEVER_SYNCED, "never received a sync"),
        (seen(T0 - HOUR, "failure", error="quota"), Code.SYNC_FAILED, '"quota"'),
        (seen(T0 - HOUR, "success", error="quota"), Code.SYNC_FAILED, '"quota"'),
        (seen(T0 - 9 * DAY), Code.LATE, "9 days old"),
        (seen(T0 - HOUR, "queued"), Code.LATE, "no successful sync on record"),
        (seen(T0 - HOUR, "queued", before=T0 - 9 * DAY), Code.LATE, "9 days old"),
        (seen(T0 + DAY), Code.BAD_RESPONSE, "in the future by the cloud's own clock"),
    ]:
        with subtests.test(found=found, code=code, words=words):
            assert found.code is code
            assert words in found.cause
            assert "*Sync now*" in found.next_step


def test_a_failed_or_unknown_sync_keeps_the_date_of_the_last_good_one() -> None:
    """The age shown is never that of a sync that did not succeed."""
    assert seen(T0 - HOUR, "failure", before=T0 - 5 * DAY).last_sync == T0 - 5 * DAY
    unknown = seen(T0 - HOUR, "queued", before=T0 - 5 * DAY)
    assert (unknown.last_sync, unknown.code, unknown.notices[0].code) == (T0 - 5 * DAY, None, Code.BAD_RESPONSE)


def test_a_server_that_was_disconnected_warns_while_its_sync_is_young() -> None:
    """The next sync will not come, and that is known before it is missed."""
    found = seen(T0 - DAY, connected=False)
    assert (found.code, [one.code for one in found.notices]) == (None, [Code.NOT_CONNECTED])


def test_a_late_sync_is_reported_a_day_after_the_learned_time() -> None:
    """Weekly syncs on one weekday, and one by hand in between: the weekday counts, not seven days after the manual sync."""
    weekly = tuple(T0 - weeks * WEEK for weeks in (1, 2, 3))
    by_hand = T0 - 4 * DAY
    on_time = seen(by_hand, dates=weekly, answered_at=T0 + LATE_AFTER - HOUR)
    late = seen(by_hand, dates=weekly, answered_at=T0 + LATE_AFTER + HOUR)
    assert on_time.notices == ()
    assert [one.code for one in late.notices] == [Code.LATE]
    assert "2026-11-24 02:00" in late.notices[0].text


def test_no_dates_no_anchor() -> None:
    assert anchor_of(()) is None


@pytest.mark.parametrize(("status", "age"), [("success", 9 * DAY), ("failure", HOUR)], ids=["late", "failed"])
def test_a_lost_connection_is_remembered_whatever_else_is_wrong(status: str, age: timedelta) -> None:
    """A later check without GraphQL reads it from the record and gives the next step."""
    first = seen(T0 - age, status, connected=False, before=T0 - 9 * DAY)
    assert Code.NOT_CONNECTED in {one.code for one in first.notices}
    assert "*Enable GitHub Connect*" in first.next_step
    assert github.DISCONNECTED.text.removesuffix(".") in first.next_step


def test_of_several_installations_of_one_hostname_a_connected_one_counts(subtests: pytest.Subtests) -> None:
    """A restored instance leaves its old installation behind; the order in which GraphQL lists them decides nothing."""
    old = Installation(hostname="ghes-labs.example.com", is_connected=False, accounts=5, uploaded_at=T0)
    new = Installation(hostname="GHES-LABS.example.com:443", is_connected=True, accounts=700)
    newer = replace(new, accounts=1, uploaded_at=T0)
    other = Installation(hostname="other.example.com", is_connected=True)
    for expected, those in ((new, (old, new, other)), (newer, (old, new, newer, other)), (old, (old, other)), (None, (other,))):
        for order in permutations(those):
            with subtests.test(order=order):
                assert installation_of(LABS, order) == expected


def test_of_installations_that_differ_in_one_thing_the_order_decides_nothing(subtests: pytest.Subtests) -> None:
    """Connected before disconnected, a newer upload before an older one, a failed one before a successful one, then more accounts."""
    host = "ghes-emea.example.com"

    def one(**changes: object) -> Installation:
        fields = {"hostname": host, "is_connected": True, "accounts": 5, "upload_state": UploadState.SUCCESS, "uploaded_at": T0}
        return Installation(**{**fields, **changes})  # type: ignore[arg-type]

    for better, worse in (
        (one(), one(is_connected=False, uploaded_at=T0 + timedelta(days=1))),
        (one(), one(uploaded_at=T0 - timedelta(days=1), accounts=9)),
        (one(), one(uploaded_at=None)),
        (one(upload_state=UploadState.FAILURE), one()),
        (one(hostname=host.upper()), one(accounts=None)),
    ):
        with subtests.test(better=better):
            assert installation_of(an_instance(), [better, worse]) == installation_of(an_instance(), [worse, better]) == better


def test_a_date_that_cannot_be_read_is_not_never_synced() -> None:
    """It is quoted, also where the server is disconnected, and what was known before stands."""
    entry = SyncEntry(server_id="s", hostname=LABS.hostname, date=None, status="success", error=None, unreadable="June 5, 2026")
    for disconnected in (False, True):
        found = judge_connect(
            LABS,
            ServerIdentity(hostname=LABS.hostname, server_id=None),
            SyncStatus(entries=(entry,), answered_at=T0),
            installations=None,
            dates=(),
            before=T0 - DAY,
            disconnected_before=disconnected,
            now=T0,
        )
        assert (found.last_sync, found.code) == (T0 - DAY, Code.BAD_RESPONSE)
        assert found.cause == 'the date of the latest sync that the cloud reports cannot be read: "June 5, 2026"'
