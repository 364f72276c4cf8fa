"""2,000 instances for a year with outages, at the default schedules and `max_concurrent_runs`, checked against the arithmetic."""

from datetime import datetime, timedelta

import pytest

from licsync_daemon.rules.next_run import RETRY_CAP, STARTUP_DELAY, STARTUP_JITTER_S
from licsync_daemon.rules.schedule import slot_after
from tests.simulations.fleet_year import RUN, START, Outage, Year, fleet, simulate

COUNT, AT_A_TIME = 2000, 4
WEEK, END = timedelta(weeks=1), START + timedelta(weeks=52)
NO_CLOUD = Outage(START + timedelta(weeks=10), START + timedelta(weeks=10, days=3))
NO_DAEMON = Outage(START + timedelta(weeks=30), START + timedelta(weeks=30, days=2))
LOAD = COUNT * RUN / (AT_A_TIME * WEEK)  # share of the time that the runs of a week take


@pytest.fixture(scope="module")
def year() -> Year:
    return simulate(fleet(COUNT), END + timedelta(hours=1), at_a_time=AT_A_TIME, cloud=[NO_CLOUD], daemon=[NO_DAEMON])


def late(year: Year, outage: Outage) -> list[datetime]:
    """Return the starts of the runs whose slots were in an outage."""
    return [at for at, wait in year.waits if outage.includes(at - wait)]


def test_every_slot_of_the_year_is_confirmed_exactly_once(year: Year) -> None:
    for one in fleet(COUNT):
        first = slot_after(one.schedule, START)
        expected = [first + week * WEEK for week in range(52) if first + week * WEEK < END]
        assert [slot for slot in year.confirmed[one.name] if slot < END] == expected, one.name


def test_no_more_runs_at_a_time_than_configured_and_an_outage_reaches_that(year: Year) -> None:
    assert year.peak == AT_A_TIME


def test_catching_up_after_the_daemon_was_away_takes_what_its_missed_runs_take(year: Year) -> None:
    missed = late(year, NO_DAEMON)
    took = max(missed) - NO_DAEMON.end
    assert len(missed) == pytest.approx(COUNT * 2 / 7, rel=0.1)
    shortest = len(missed) * RUN / AT_A_TIME
    assert shortest - RUN <= took <= shortest / (1 - LOAD) * 1.1 + STARTUP_DELAY + timedelta(seconds=STARTUP_JITTER_S)


def test_catching_up_after_the_cloud_was_away_takes_at_most_the_longest_retry_wait_and_the_queue(year: Year) -> None:
    missed = late(year, NO_CLOUD)
    assert len(missed) == pytest.approx(COUNT * 3 / 7, rel=0.1)
    assert min(missed) >= NO_CLOUD.end
    assert max(missed) <= NO_CLOUD.end + RETRY_CAP * 1.1 + len(missed) * RUN / AT_A_TIME / (1 - LOAD)


def test_retries_during_an_outage_are_few(year: Year) -> None:
    """At most 12 within 21 hours and about two a day after that, as RETRY_GROWTH says, for an instance whose slot began the outage."""
    missed = len(late(year, NO_CLOUD))
    assert missed <= year.failed <= missed * (13 + 2 * 3)
