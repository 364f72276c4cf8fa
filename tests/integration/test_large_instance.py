"""An instance of a hundred thousand accounts is synced like any other."""

from collections.abc import Callable

from licsync_daemon.practice.sandbox import Fleet
from licsync_daemon.practice.sandbox.fleet import FleetInstance
from licsync_daemon.practice.sandbox.reports import read_report
from tests.integration.support import COLUMNS, OK, Practice

ACCOUNTS = 100_000


def test_a_hundred_thousand_accounts(make_practice: Callable[[Fleet], Practice]) -> None:
    """Every account arrives once, and the counts say so."""
    lines = (
        f"2020-01-01T08:00:00Z,{n},user{n},user{n}@example.com,user,{str(n % 20 == 0).lower()},,1,1,1,false,,{{}},true"
        for n in range(1, ACCOUNTS + 1)
    )
    report = read_report((",".join(COLUMNS) + "\n" + "\n".join(lines) + "\n").encode())
    instance = FleetInstance(name="emea", hostname="ghes-emea.example.com", server_id="large", version="3.19.2", report=report)
    practice = make_practice(
        Fleet(enterprise="octo-enterprise", seats_purchased=ACCOUNTS, verified_domains=frozenset(), instances=(instance,), members=())
    )

    outcome = practice.run()

    assert outcome.exit == OK
    counts = outcome["emea"].counts
    assert (counts.rows, counts.sent, counts.suspended, counts.unusable) == (ACCOUNTS, 95_000, 5_000, 0)
    assert practice.sent("emea") == {(n, f"user{n}@example.com") for n in range(1, ACCOUNTS + 1) if n % 20}
    assert practice.box.cloud.seats() == 95_000
