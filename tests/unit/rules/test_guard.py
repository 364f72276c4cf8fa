"""Every guard in both directions at its exact thresholds, and what an approval covers."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Guards
from licsync_daemon.model.run import Tripped
from licsync_daemon.model.usage import ServerIdentity, UsageCounts
from licsync_daemon.rules.guard import Neighbor, beyond_approval, guard_identity, guard_usage, next_step, notices
from tests.fakes import T0, a_status, an_entry

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
ME = ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea")


def trip(
    sent: int = 1000,
    before: int | None = None,
    *,
    guards: Guards | None = None,
    newest_activity: datetime | None = None,
    suspended: int = 0,
    **counts: int | None,
) -> dict[Code, tuple[int | None, int | None]]:
    """Return the figures before and after of every guard that trips."""
    found = guard_usage(
        UsageCounts(rows=sent + suspended, sent=sent, suspended=suspended, **counts),  # type: ignore[arg-type]
        before,
        guards or Guards(),
        newest_activity=newest_activity,
        now=T0,
    )
    assert all(one.text for one in found)
    return {one.code: (one.before, one.after) for one in found}


def test_the_number_of_accounts_against_the_last_confirmed_one(subtests: pytest.Subtests) -> None:
    """More than 20 % and 25 accounts fewer, or more than 50 % and 100 more; without a before there is nothing to compare."""
    for before, sent, code in [
        (1000, 1000, None),
        (1000, 800, None),
        (1000, 799, Code.SHRUNK_USAGE),
        (1000, 1, Code.SHRUNK_USAGE),
        (1000, 1500, None),
        (1000, 1501, Code.GROWN_USAGE),
        (100, 75, None),
        (100, 74, Code.SHRUNK_USAGE),
        (26, 1, None),
        (27, 1, Code.SHRUNK_USAGE),
        (125, 100, None),
        (126, 100, Code.SHRUNK_USAGE),
        (200, 300, None),
        (200, 301, Code.GROWN_USAGE),
        (100, 200, None),
        (100, 201, Code.GROWN_USAGE),
        (0, 100, None),
        (0, 101, Code.GROWN_USAGE),
        (None, 10_000, None),
        (None, 1, None),
    ]:
        with subtests.test(before=before, sent=sent, code=code):
            assert trip(sent, before) == ({code: (before, sent)} if code else {})


def test_thresholds_are_the_instance_s_own(subtests: pytest.Subtests) -> None:
    """A share and a number of accounts must both be exceeded, whatever they are set to."""
    for guards, sent, trips in [
        (Guards(shrink_share=0.5, shrink_accounts=0), 500, False),
        (Guards(shrink_share=0.5, shrink_accounts=0), 499, True),
        (Guards(shrink_share=0.0, shrink_accounts=0), 999, True),
        (Guards(shrink_share=0.0, shrink_accounts=1), 999, False),
        (Guards(grow_share=0.0, grow_accounts=0), 1001, True),
        (Guards(grow_share=0.1, grow_accounts=0), 1100, False),
        (Guards(grow_share=0.1, grow_accounts=0), 1101, True),
    ]:
        with subtests.test(guards=guards, sent=sent, trips=trips):
            assert bool(trip(sent, 1000, guards=guards)) is trips


def test_an_empty_usage_always_trips(subtests: pytest.Subtests) -> None:
    """Not one account to send is never sent, however few there were; suspended ones do not count."""
    for before in [None, 0, 1, 1000]:
        with subtests.test(before=before):
            assert trip(0, before) == {Code.EMPTY_USAGE: (before, 0)}
            assert trip(0, before, suspended=40) == {Code.EMPTY_USAGE: (before, 0)}
            assert trip(1, 1) == {}


def test_fewer_accounts_than_used_seats(subtests: pytest.Subtests) -> None:
    """By the thresholds of shrinking, also at the first sync; more accounts than seats is normal."""
    for seats, sent, trips in [
        (1000, 800, False),
        (1000, 799, True),
        (125, 100, False),
        (126, 100, True),
        (26, 1, False),
        (27, 1, True),
        (100, 5000, False),
        (None, 1, False),
    ]:
        with subtests.test(seats=seats, sent=sent, trips=trips):
            assert trip(sent, seats_used=seats) == ({Code.BELOW_SEATS: (seats, sent)} if trips else {})


def test_few_rows_missing_of_a_small_instance(subtests: pytest.Subtests) -> None:
    """More than 20 % and at least 2: a small instance's report is as partial as a large one's. A looser limit of its own counts."""
    for rows, total, guards, trips in [
        (2, 12, None, True),
        (10, 20, None, True),
        (1, 3, None, True),
        (2, 3, None, False),  # one
        (8, 10, None, False),  # exactly 20 %
        (7, 9, None, True),
        (39, 50, None, True),
        (5, 10, Guards(missing_share=0.5), False),
        (4, 10, Guards(missing_share=0.5), True),
    ]:
        with subtests.test(rows=rows, total=total):
            assert (Code.INCOMPLETE_USAGE in trip(rows, total_users=total, guards=guards)) is trips


def test_any_missing_row_is_a_notice(subtests: pytest.Subtests) -> None:
    for rows, total, expected in [
        (10, 10, []),
        (9, 10, [Code.INCOMPLETE_USAGE]),
        (11, 10, []),
        (10, None, []),
        (999, 1000, [Code.INCOMPLETE_USAGE]),
    ]:
        with subtests.test(rows=rows, total=total):
            assert [one.code for one in notices(UsageCounts(rows=rows, sent=rows, total_users=total), T0)] == expected


def test_fewer_rows_than_users(subtests: pytest.Subtests) -> None:
    """More than 1 % and 10 rows missing of what the instance counts; suspended rows are rows."""
    for total, rows, trips in [
        (1000, 990, False),
        (1000, 989, True),
        (100, 90, False),
        (100, 89, True),
        (2000, 1980, False),
        (2000, 1979, True),
        (5, 50, False),
        (None, 2, False),
    ]:
        with subtests.test(total=total, rows=rows, trips=trips):
            expected = {Code.INCOMPLETE_USAGE: (total, rows)} if trips else {}
            assert trip(rows, total_users=total) == expected
            assert trip(rows - 1, suspended=1, total_users=total) == expected


@pytest.mark.parametrize(
    ("age", "limit", "figures"),
    [
        (14 * DAY, 14 * DAY, None),
        (14 * DAY + SECOND, 14 * DAY, (14, 14)),
        (15 * DAY, 14 * DAY, (14, 15)),
        (-DAY, 14 * DAY, None),
        (2 * DAY, DAY, (1, 2)),
    ],
    ids=["at the limit", "just over", "a day over", "in the future", "a limit of its own"],
)
def test_a_stale_report(age: timedelta, limit: timedelta, figures: tuple[int, int] | None) -> None:
    """The newest activity of any user is older than the instance's limit."""
    found = trip(newest_activity=T0 - age, guards=Guards(max_usage_age=limit))
    assert found == ({Code.STALE_USAGE: figures} if figures else {})


def test_every_tripped_guard_is_returned() -> None:
    """One guard does not hide another; of a comparison only one direction trips."""
    found = trip(10, 1000, seats_used=900, total_users=950, newest_activity=T0 - 90 * DAY)
    assert set(found) == {Code.SHRUNK_USAGE, Code.BELOW_SEATS, Code.INCOMPLETE_USAGE, Code.STALE_USAGE}


def test_notices_stop_nothing(subtests: pytest.Subtests) -> None:
    """More accounts than used seats, and an unknown age, stop nothing."""
    for seats, activity, expected in [
        (1000, T0, []),
        (999, T0, [Code.ABOVE_SEATS]),
        (1001, T0, []),
        (None, T0, []),
        (1000, None, [Code.AGE_UNKNOWN]),
        (1, None, [Code.ABOVE_SEATS, Code.AGE_UNKNOWN]),
    ]:
        with subtests.test(seats=seats, activity=activity, expected=expected):
            assert [one.code for one in notices(UsageCounts(rows=1000, sent=1000, seats_used=seats), activity)] == expected


# ---------------------------------------------------------------- identity


def who(
    before: ServerIdentity | None = None, neighbors: Iterable[tuple[str, ServerIdentity]] = (), listed: Iterable[tuple[str | None, str | None]] = (), me: ServerIdentity = ME
) -> dict[Code, str]:  # fmt: skip
    """Return the subject of every guard on the identity that trips."""
    entries = [an_entry(server_id=server_id, hostname=hostname) for server_id, hostname in listed]
    near = [Neighbor(name=name, identity=identity) for name, identity in neighbors]
    found = guard_identity(me, before, near, a_status(*entries))
    assert all(one.text.endswith("?") for one in found)
    assert len({one.code for one in found}) == len(found)
    return {one.code: one.subject for one in found}


def other(server_id: str | None = "server-emea", hostname: str = "ghes-emea.example.com") -> ServerIdentity:
    return ServerIdentity(hostname=hostname, server_id=server_id)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (None, {}),
        (ME, {}),
        (other(None), {}),
        (other(hostname="GHES-EMEA.example.com."), {}),
        (other(hostname="ghes-emea.example.com:443"), {}),
        (other("server-old"), {Code.SERVER_ID_CHANGED: "server-old>server-emea"}),
        (other(hostname="ghes-old.example.com"), {Code.HOSTNAME_CHANGED: "ghes-old.example.com>ghes-emea.example.com"}),
        (
            other("server-old", "ghes-old.example.com"),
            {Code.SERVER_ID_CHANGED: "server-old>server-emea", Code.HOSTNAME_CHANGED: "ghes-old.example.com>ghes-emea.example.com"},
        ),
    ],
    ids=["first sync", "the same", "id not known then", "spelt otherwise", "with a port", "rebuilt", "renamed", "both"],
)
def test_the_identity_against_the_remembered_one(before: ServerIdentity | None, expected: dict[Code, str]) -> None:
    """Another server ID is a rebuilt instance, another hostname a renamed one; spelling is neither."""
    assert who(before) == expected


@pytest.mark.parametrize(
    ("neighbors", "expected"),
    [
        ((), {}),
        ((("apac", other("server-apac", "ghes-apac.example.com")),), {}),
        ((("apac", other(None, "ghes-apac.example.com")),), {}),
        ((("apac", other("server-emea", "ghes-apac.example.com")),), {Code.SERVER_ID_SHARED: "apac"}),
    ],
    ids=["alone", "different", "unknown", "a restored copy"],
)
def test_one_server_id_for_two_instances(neighbors: Iterable[tuple[str, ServerIdentity]], expected: dict[Code, str]) -> None:
    """A neighbor with our server ID is named."""
    assert who(neighbors=neighbors) == expected


def test_two_unknown_server_ids_are_not_the_same() -> None:
    """Not knowing either says nothing."""
    assert who(neighbors=[("apac", other(None, "ghes-apac.example.com"))], me=other(None)) == {}


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ((), {}),
        ((("server-emea", "ghes-emea.example.com"),), {}),
        ((("server-emea", "GHES-emea.example.com:443"),), {}),
        ((("server-apac", "ghes-apac.example.com"),), {}),
        ((("server-emea", None), (None, "ghes-emea.example.com"), (None, None)), {}),
        ((("server-old", "ghes-emea.example.com"),), {Code.SERVER_ID_CHANGED: "server-old>server-emea"}),
        ((("b", "ghes-emea.example.com"), ("a", "ghes-emea.example.com")), {Code.SERVER_ID_CHANGED: "a,b>server-emea"}),
        ((("server-old", "ghes-emea.example.com"), ("server-emea", "ghes-emea.example.com")), {}),
        ((("server-emea", "ghes-old.example.com"),), {Code.HOSTNAME_CHANGED: "ghes-old.example.com>ghes-emea.example.com"}),
        (
            (("server-emea", "ghes-copy.example.com"), ("server-emea", "ghes-emea.example.com")),
            {Code.HOSTNAME_CHANGED: "ghes-copy.example.com>ghes-emea.example.com"},
        ),
    ],
    ids=[
        "nothing", "ourselves", "spelt otherwise", "another", "half known", "rebuilt", "rebuilt twice", "rebuilt, and synced since", "renamed", "a restored copy",
    ],
)  # fmt: skip
def test_the_identity_is_compared_with_the_clouds_list(listed: Iterable[tuple[str | None, str | None]], expected: dict[Code, str]) -> None:
    """A second server ID for the hostname until the cloud lists the own one, and a second hostname for the server ID."""
    assert who(listed=listed) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "trips"),
    [(T0, T0 + SECOND, True), (T0, T0, False), (T0, T0 - SECOND, False), (T0, None, False), (None, T0, True), (None, None, False)],
    ids=["newer", "the same", "older", "never", "ours never", "both never"],
)
def test_another_server_id_that_syncs_under_our_name(ours: datetime | None, theirs: datetime | None, trips: bool) -> None:
    """Whoever synced last under our hostname is behind it: another machine, unless that was before our own last sync."""
    entries = [an_entry(date=ours), an_entry(server_id="server-new", date=theirs)]
    found = guard_identity(ME, ME, (), a_status(*entries))
    assert [(one.code, one.subject) for one in found] == [(Code.SERVER_ID_CHANGED, "server-new>server-emea")] * trips


@pytest.mark.parametrize(
    ("theirs", "trips"), [(T0 + SECOND, True), (T0, True), (T0 - SECOND, False), (None, False)], ids=["newer", "the same", "older", "never"]
)
def test_our_server_id_under_another_name(theirs: datetime | None, trips: bool) -> None:
    """A copy that syncs under another name is noticed; the name from before an approved renaming is not held against us for ever."""
    entries = [an_entry(), an_entry(hostname="ghes-copy.example.com", date=theirs)]
    found = guard_identity(ME, ME, (), a_status(*entries))
    assert [(one.code, one.subject) for one in found] == [(Code.HOSTNAME_CHANGED, "ghes-copy.example.com>ghes-emea.example.com")] * trips


def test_without_a_server_id_the_list_trips_nothing() -> None:
    """An instance without a known server ID cannot have a different one."""
    assert who(listed=[("server-old", "ghes-emea.example.com")], me=other(None)) == {}


APPROVE = 'if this is correct: $licsync approve run1 --reason "…"'
LOOK_UP = "compare `server_id` with the one in a new export, and update the configuration if they differ; "


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((Code.SHRUNK_USAGE, Code.BELOW_SEATS), APPROVE),
        ((Code.SERVER_ID_CHANGED,) * 2, LOOK_UP + APPROVE),
        ((Code.SHRUNK_USAGE, Code.SERVER_ID_SHARED), f"disable the instance if it is a copy; {APPROVE}"),
        ((Code.SERVER_ID_SHARED, Code.HOSTNAME_CHANGED), f"disable the instance if it is a copy; {APPROVE}"),
        ((Code.SERVER_ID_CHANGED, Code.HOSTNAME_CHANGED), f"{LOOK_UP}disable the instance if it is a copy; {APPROVE}"),
    ],
    ids=["figures", "rebuilt", "shared", "copied", "rebuilt and renamed"],
)
def test_the_next_step_of_a_held_run(codes: Iterable[Code], expected: str) -> None:
    """The next step says what to check before approving another identity, each check once, and always the command."""
    assert next_step([Tripped(code, "?") for code in codes], "run1") == expected


# ---------------------------------------------------------------- approvals


def tripped(code: Code, before: int | None = None, after: int | None = None, subject: str = "") -> Tripped:
    return Tripped(code, "in words", before=before, after=after, subject=subject)


def test_what_an_approval_covers(subtests: pytest.Subtests) -> None:
    """The same guard, the same identity, and no figure further off than the one a person has seen."""
    for approved, now, covered in [
        (tripped(Code.SHRUNK_USAGE, 1000, 700), tripped(Code.SHRUNK_USAGE, 1000, 700), True),
        (tripped(Code.SHRUNK_USAGE, 1000, 700), tripped(Code.SHRUNK_USAGE, 1000, 701), True),
        (tripped(Code.SHRUNK_USAGE, 1000, 700), tripped(Code.SHRUNK_USAGE, 1000, 699), False),
        (tripped(Code.GROWN_USAGE, 100, 300), tripped(Code.GROWN_USAGE, 100, 300), True),
        (tripped(Code.GROWN_USAGE, 100, 300), tripped(Code.GROWN_USAGE, 100, 299), True),
        (tripped(Code.GROWN_USAGE, 100, 300), tripped(Code.GROWN_USAGE, 100, 301), False),
        (tripped(Code.SHRUNK_USAGE, 1000, 700), tripped(Code.GROWN_USAGE, 1000, 700), False),
        (tripped(Code.EMPTY_USAGE, 1000, 0), tripped(Code.EMPTY_USAGE, 1000, 0), True),
        (tripped(Code.EMPTY_USAGE, None, 0), tripped(Code.EMPTY_USAGE, None, 0), True),
        (tripped(Code.INCOMPLETE_USAGE, 1000, 900), tripped(Code.INCOMPLETE_USAGE, 1000, 900), True),
        (tripped(Code.INCOMPLETE_USAGE, 1000, 900), tripped(Code.INCOMPLETE_USAGE, 1001, 901), True),
        (tripped(Code.INCOMPLETE_USAGE, 1000, 900), tripped(Code.INCOMPLETE_USAGE, 5000, 900), False),
        (tripped(Code.BELOW_SEATS, 1000, 700), tripped(Code.BELOW_SEATS, 1001, 700), False),
        (tripped(Code.STALE_USAGE, 14, 20), tripped(Code.STALE_USAGE, 14, 20), True),
        (tripped(Code.STALE_USAGE, 14, 20), tripped(Code.STALE_USAGE, 14, 21), False),
        (tripped(Code.SERVER_ID_CHANGED, subject="a>b"), tripped(Code.SERVER_ID_CHANGED, subject="a>b"), True),
        (tripped(Code.SERVER_ID_CHANGED, subject="a>b"), tripped(Code.SERVER_ID_CHANGED, subject="a>c"), False),
        (tripped(Code.SERVER_ID_SHARED, subject="apac"), tripped(Code.SERVER_ID_SHARED, subject="labs"), False),
    ]:
        with subtests.test(approved=approved, now=now, covered=covered):
            assert beyond_approval([now], [approved]) == (() if covered else (now,))


def test_every_guard_needs_its_own_approval() -> None:
    """What was approved does not cover what trips besides."""
    shrunk, stale = tripped(Code.SHRUNK_USAGE, 1000, 700), tripped(Code.STALE_USAGE, 14, 20)
    assert beyond_approval([shrunk, stale], [shrunk]) == (stale,)
    assert beyond_approval([shrunk, stale], [stale, shrunk]) == ()
    assert beyond_approval([shrunk], []) == (shrunk,)
    assert beyond_approval([], []) == ()
