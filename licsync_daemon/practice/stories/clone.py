"""A restored copy of an instance has the server ID of its original: the run is held, and rejected."""

import re
from dataclasses import replace

from licsync_daemon.practice.sandbox import Fleet, generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc


def scene() -> Scene:
    """Return an instance whose server ID the cloud lists, and a copy of it, which is not configured at first."""
    return Scene(
        start=utc("2027-03-01 08:00"),
        fleet=_with_a_copy(),
        tables={"emea": 'schedule = { day = "tuesday", time = "02:00" }'},
        prepare=lambda text: re.sub(r"(?m)^server_id = .*\n", "", text.partition("[instances.copy]")[0]),
    )


def _with_a_copy() -> Fleet:
    fleet = generate_fleet(seed=1, instances=1, people=400)
    emea = fleet.instances[0]
    return replace(fleet, instances=(emea, replace(emea, name="copy", hostname="ghes-copy.example.com")))


async def play(stage: Stage) -> Ended:
    """Play the story."""
    stage.box.list_server("emea")  # GitHub Connect has synced it once, so the cloud lists its server ID
    original, copy = stage.text, stage.box.instances["copy"]
    table = f'[instances.copy]\nhostname = "{copy.hostname}"\nurl = "{copy.url}"\nserver_id = "{copy.server_id}"\n'
    stage.tell("An instance is synced every Tuesday, under the server ID that the cloud lists.")
    await stage.play(utc("2027-03-04 09:00"))
    stage.tell(
        "On Thursday a backup of emea is restored on another machine for a rehearsal.\n"
        "It is configured as well, with the server ID in its export: that of emea."
    )
    stage.edit(lambda text: f"{text}{table}")
    await stage.play(utc("2027-03-04 09:30"))
    await stage.run_now("copy")
    stage.tell("If sent, its usage would be taken for that of emea.\nThe copy must not be counted: the operator rejects the run.")
    stage.reject(stage.held("copy"), "rehearsal copy", "CHG-1107")
    stage.status()
    code = await stage.run_now("copy")
    stage.tell("While the copy is configured, emea is held too: either could be the original.")
    await stage.play(utc("2027-03-09 09:00"))
    stage.tell("The operator removes the copy from the configuration; emea is synced again.")
    stage.edit(lambda _: original)
    await stage.run_now("emea")
    stage.status()
    return Ended(
        "Of two machines with one server ID, neither is sent until one is removed.",
        code,
    )
