"""A restored copy of an instance has the same server id as its original: held, and rejected."""

import re
from dataclasses import replace

from licsync_daemon.practice.sandbox import Fleet, generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc


def scene() -> Scene:
    """An instance whose server id the cloud tells, and its copy, which is not configured at first."""
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
    """Play it."""
    stage.box.list_server("emea")  # GitHub Connect has synced it once, so the cloud tells its server id
    original, copy = stage.text, stage.box.instances["copy"]
    table = f'[instances.copy]\nhostname = "{copy.hostname}"\nurl = "{copy.url}"\nserver_id = "{copy.server_id}"\n'
    stage.tell("An instance is synced every Tuesday, under the server id that the cloud lists for its hostname.")
    await stage.play(utc("2027-03-04 09:00"))
    stage.tell(
        "On Thursday a backup of emea is restored on another machine, to rehearse an upgrade.\n"
        "Somebody adds it to the configuration, with the server id that its export shows: emea's, from the backup."
    )
    stage.edit(lambda text: f"{text}{table}")
    await stage.play(utc("2027-03-04 09:30"))
    await stage.run_now("copy")
    stage.tell(
        "Sent, it would replace what the cloud holds of emea, until the next sync of emea replaces that again.\n"
        "The copy is not to be counted: the operator rejects it."
    )
    stage.reject(stage.held("copy"), "a rehearsal copy, not to be counted", "CHG-1107")
    stage.status()
    code = await stage.run_now("copy")
    stage.tell("As long as the copy is configured, emea is held as well: nobody can know which of the two is the original.")
    await stage.play(utc("2027-03-09 09:00"))
    stage.tell("The operator takes the copy out of the configuration, and emea is synced as before.")
    stage.edit(lambda _: original)
    await stage.run_now("emea")
    stage.status()
    return Ended(
        "Two machines with one server id would overwrite each other: neither is sent until one is gone; what was rejected stays unsent.",
        code,
    )
