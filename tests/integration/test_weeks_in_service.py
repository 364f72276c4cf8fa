"""Weeks in service on simulated time: changes of the clocks, rate limits that several runs share, and long maintenance."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from licsync_daemon.cli.exit import Exit
from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import RunState
from licsync_daemon.practice.sandbox import Fault, generate_fleet
from licsync_daemon.practice.stories.events import Event, Happened, Shown
from licsync_daemon.practice.stories.stage import Scene, Stage, on_stage, utc
from tests.integration.support import SYNC_STATUS

TUESDAY = 'schedule = { day = "tuesday", time = "02:00" }'
LATER = 'schedule = { day = "tuesday", time = "05:00" }'
BERLIN = 'schedule = { timezone = "Europe/Berlin", day = "sunday", time = "02:30" }'


class Service:
    """A fleet in service, and the events of its daemon."""

    def __init__(self, start: str, **tables: str) -> None:
        self.scene = Scene(start=utc(start), fleet=generate_fleet(seed=1, instances=len(tables), people=60), tables=tables)
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = self.events.append

    def live(self, weeks: Callable[[Stage], Awaitable[None]]) -> None:
        async def main() -> None:
            await weeks(stage)

        with on_stage(self.scene, self.on_event) as stage:
            asyncio.run(main())

    def since(self, start: str) -> list[tuple[datetime, str, str]]:
        """Return what happened from a time on: when (in whole minutes), to which instance, and what."""
        happened = (one for one in self.events if isinstance(one, Happened) and one.at >= utc(start))
        return [(one.at.replace(second=0, microsecond=0), one.instance, one.text) for one in happened]

    def status(self, stage: Stage) -> dict[str, tuple[RunState | None, bool]]:
        """Type `status`, and return the state of each instance and whether it is overdue."""
        stage.status()
        shown = self.events[-1]
        assert isinstance(shown, Shown)
        return {one.instance.name: (one.state, one.overdue) for one in shown.view.instances}


@pytest.mark.parametrize(
    ("start", "end", "weekly"),
    [
        ("2027-03-20", "2027-04-05", ["21 Mar 02:30 CET", "28 Mar 03:00 CEST", "04 Apr 02:30 CEST"]),
        ("2027-10-23", "2027-11-08", ["24 Oct 02:30 CEST", "31 Oct 02:30 CEST", "07 Nov 02:30 CET"]),
    ],
    ids=["a time that does not exist", "a time that comes twice"],
)
def test_a_week_has_one_run_at_its_local_time_whatever_the_clocks_do(start: str, end: str, weekly: list[str]) -> None:
    """Sundays at 02:30 in Berlin, over both changes of the clocks: one confirmed run each, and one more when it is asked for."""
    service = Service(f"{start} 12:00", emea=BERLIN)

    async def weeks(stage: Stage) -> None:
        await stage.play(utc(f"{end} 00:00"))
        assert await stage.run_now("emea") is Exit.OK

    service.live(weeks)

    first, *runs = service.since(f"{start} 12:00")
    assert first[2].startswith("first sync → confirmed")
    assert [f"{at.astimezone(ZoneInfo('Europe/Berlin')):%d %b %H:%M %Z}" for at, _, _ in runs] == weekly
    assert {text for _, _, text in runs} == {"weekly slot → confirmed, 53 accounts"}


FLEET = ("amer", "apac", "emea")


def limit(stage: Stage, status: int, **headers: str) -> None:
    """Let the cloud refuse one request with a rate limit."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    stage.box.faults.add(Fault("cloud", SYNC_STATUS, "status", times=1, status=status, headers=given))


def refusals(stage: Stage) -> int:
    return sum(seen.status in {403, 429} for seen in stage.box.requests)


def test_runs_that_start_together_share_the_wait_for_a_rate_limit() -> None:
    """One run meets a 429, a week later a 403 with nothing remaining: the others wait as well, visibly, and ask nothing before its end."""
    service = Service("2027-05-03 08:00", emea=TUESDAY, amer=TUESDAY, apac=TUESDAY)
    waiting: list[dict[str, tuple[RunState | None, bool]]] = []

    def note(event: Event) -> None:
        service.events.append(event)
        if isinstance(event, Happened) and "waiting" in event.text and event.instance == "emea":  # the last one to wait
            waiting.append(service.status(running[0]))

    running: list[Stage] = []
    service.on_event = note

    async def weeks(stage: Stage) -> None:
        running.append(stage)
        await stage.play(utc("2027-05-03 09:00"))
        limit(stage, 429, Retry_After="120")
        await stage.play(utc("2027-05-04 09:00"))
        limit(stage, 403, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(utc("2027-05-11 02:10").timestamp())))
        await stage.play(utc("2027-05-11 09:00"))
        assert refusals(stage) == 2
        assert await stage.run_now() is Exit.OK

    service.live(weeks)

    for day, end, status in (("2027-05-04", "02:02", 429), ("2027-05-11", "02:10", 403)):
        events = [event for event in service.since(f"{day} 02:00") if event[0] < utc(f"{day} 09:00")]
        waits, confirmed = events[:3], events[3:]
        assert [(at, name) for at, name, _ in waits] == [(utc(f"{day} 02:00"), name) for name in FLEET]
        assert all(text.startswith(f"weekly slot: waiting until {end}:0") for _, _, text in waits)
        assert "license-sync-status of octo-enterprise" in waits[0][2]
        assert waits[0][2].endswith(f" {status}")
        assert sum("another run" in text for _, _, text in waits) == 2
        assert sorted(name for _, name, _ in confirmed) == list(FLEET)
        assert {at for at, _, _ in confirmed} == {utc(f"{day} {end}")}
        assert all(text.startswith("weekly slot → confirmed") for _, _, text in confirmed)
    assert waiting == [dict.fromkeys(("emea", "amer", "apac"), (RunState.RUNNING, False))] * 2


def test_a_rate_limit_longer_than_a_run_may_wait_ends_the_runs_and_sets_their_retry() -> None:
    """The cloud asks for an hour: all three fail at once, after one request, and are confirmed when the hour is over."""
    service = Service("2027-05-17 08:00", emea=TUESDAY, amer=TUESDAY, apac=TUESDAY)

    async def weeks(stage: Stage) -> None:
        await stage.play(utc("2027-05-17 09:00"))
        limit(stage, 429, Retry_After="3600")
        await stage.play(utc("2027-05-18 02:30"))
        assert service.status(stage) == dict.fromkeys(("emea", "amer", "apac"), (RunState.FAILED, False))
        await stage.play(utc("2027-05-18 09:00"))
        assert refusals(stage) == 1

    service.live(weeks)

    events = service.since("2027-05-18 02:00")
    failed, confirmed = events[:6], events[6:]
    for name in FLEET:
        first, then = [text for at, one, text in failed if one == name and at == utc("2027-05-18 02:00")]
        assert first.startswith(f"weekly slot → failed ({Code.RATE_LIMITED})")
        assert then == "next 18 May 03:00, in 60 min: retry 1 after rate limited"
    assert sorted(name for _, name, _ in confirmed) == list(FLEET)
    assert all(at == utc("2027-05-18 03:00") and text.startswith("retry 1 after rate limited → confirmed") for at, _, text in confirmed)


def test_maintenance_is_no_failure_until_the_last_sync_is_too_old() -> None:
    """Asked at the stated half hour, then ever less often, up to once an hour; overdue only by age, and no failure is counted."""
    service = Service("2027-06-07 08:00", emea=TUESDAY, amer=LATER)

    async def weeks(stage: Stage) -> None:
        await stage.play(utc("2027-06-14 20:00"))
        stage.box.faults.add(Fault("emea", "/", "maintenance", headers={"Retry-After": "1800"}))
        await stage.play(utc("2027-06-15 08:00"))
        assert service.status(stage) == {"emea": (RunState.FAILED, False), "amer": (RunState.CONFIRMED, False)}
        await stage.play(utc("2027-06-16 09:00"))
        assert service.status(stage) == {"emea": (RunState.FAILED, True), "amer": (RunState.CONFIRMED, False)}
        shown = service.events[-1]
        assert isinstance(shown, Shown)
        assert [one.run.failures for one in shown.view.instances if one.run is not None] == [0, 0]
        assert await stage.run_now() is Exit.SOME_FAILED

    service.live(weeks)

    emea = [(at, text) for at, name, text in service.since("2027-06-15 02:00") if name == "emea"]
    (_, first), (_, then), *again = emea
    assert first.startswith(f"weekly slot → failed ({Code.MAINTENANCE}): ")
    assert "503" in first
    assert then == "next 15 Jun 02:30, in 30 min: retry after maintenance"
    assert all(text.startswith("retry after maintenance → failed again; next ") for _, text in again)
    asked = [utc("2027-06-15 02:00"), *(at for at, _ in again)]
    waits = [(later - earlier) / timedelta(minutes=1) for earlier, later in pairwise(asked)]
    assert [round(wait) for wait in waits[:3]] == [30, 30, 30]
    assert all(30 <= wait <= 67 for wait in waits)
    assert all(53 <= wait <= 67 for wait in waits[6:])
