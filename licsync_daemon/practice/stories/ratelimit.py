"""The cloud asks to be left alone, in each of the ways it can: everybody waits at the same gate, and then goes on."""

from datetime import timedelta

from licsync_daemon.practice.sandbox import Fault, generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc

SYNC_STATUS = "/enterprises/octo-enterprise/license-sync-status"
SLOT = 'schedule = { day = "tuesday", time = "02:00" }'


def scene() -> Scene:
    """Three instances with the same slot."""
    fleet = generate_fleet(seed=1, instances=3, people=300)
    return Scene(start=utc("2027-05-03 08:00"), fleet=fleet, tables={one.name: SLOT for one in fleet.instances})


async def play(stage: Stage) -> Ended:
    """Play it."""
    stage.quiet = True
    await stage.play(utc("2027-05-03 09:00"))
    stage.quiet = False
    stage.tell("Three instances are due at once. The cloud answers the first question with 429 and Retry-After: 120.")
    stage.box.faults.add(Fault("cloud", SYNC_STATUS, "status", times=1, status=429, headers={"Retry-After": "120"}))
    stage.show_next_wait = True
    await stage.play(utc("2027-05-04 09:00"))
    stage.tell("A week later it is a 403 with nothing remaining until ten past two: that is a rate limit as well.")
    reset = str(int(utc("2027-05-11 02:10").timestamp()))
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    stage.box.faults.add(Fault("cloud", SYNC_STATUS, "status", times=1, status=403, headers=headers))
    await stage.play(utc("2027-05-11 09:00"))
    stage.tell("Another week later it asks for an hour, longer than a run may wait: the runs end, and come back then.")
    stage.box.faults.add(Fault("cloud", SYNC_STATUS, "status", times=1, status=429, headers={"Retry-After": "3600"}))
    await stage.play(utc("2027-05-18 02:30"))
    stage.status()
    await stage.play(utc("2027-05-18 09:00"))
    stage.status()
    await stage.play(stage.now + timedelta(minutes=1))
    code = await stage.run_now()
    return Ended("A rate limit is a wait with an end that everybody sees, and never a second knock at a closed door.", code)
