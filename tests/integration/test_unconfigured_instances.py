"""Instances that are removed from the configuration while a process works on them: their exports leave the outbox afterwards."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from licsync_daemon.model.instance import Config, Instance, ManualDelivery, SshSource
from licsync_daemon.model.run import RunState, Trigger
from licsync_daemon.model.usage import Export
from licsync_daemon.state.files import prepare_state_dir
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.run import run_instance
from tests.fakes import T0, FakeClock, FakeWorld, a_config, a_context, an_instance
from tests.integration.daemons import a_daemon

EXPORT = Export(
    content=b'{"users": "b3BhcXVl"}', server_id="server-emea", hostname="ghes-emea.example.com", version="3.19.2", is_clear=False,
    is_empty=False,
)  # fmt: skip
APAC = an_instance("apac")


class Shared(MemoryStore):
    """A store in which another process has just written."""

    def changed_elsewhere(self) -> bool:
        return True


class Stage:
    def __init__(self, directory: Path) -> None:
        state_dir, self.outbox = directory / "state", directory / "outbox"
        prepare_state_dir(state_dir)
        self.outbox.mkdir()
        self.world = FakeWorld(FakeClock())
        self.world.exports["emea"] = EXPORT
        self.context: RunContext = a_context(self.world, state_dir, Shared())
        source = SshSource(host="ghes-emea.example.com", known_hosts=Path("/etc/licsync/known_hosts"))
        self.emea = an_instance("emea", source=source, delivery=ManualDelivery(outbox=self.outbox))
        self.before = a_config(self.emea, APAC, state_dir=state_dir)

    def after(self, change: str) -> Config:
        unsynced = replace(self.emea, unsynced_because="it may not leave")
        fleet: tuple[Instance, ...] = (APAC,) if change == "removed" else (unsynced, APAC)
        return replace(self.before, instances=fleet)

    def state(self) -> RunState:
        return self.context.store.runs("emea")[0].state


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.parametrize("change", ["removed", "never to be synced"])
def test_removed_while_the_daemon_runs_it(stage: Stage, change: str) -> None:
    """The run in progress ends with its own configuration; then its export is removed from the outbox."""

    async def main() -> None:
        with a_daemon(stage.before, stage.context) as daemon:
            daemon.alarms.start(paused=True)
            reloaded: list[str] = []

            def interfere(step: str, _: object) -> None:
                if not reloaded:
                    reloaded.append(step)
                    daemon.reload(stage.after(change), stage.context)

            stage.world.interfere = interfere
            await daemon._start("emea")
            await daemon._tasks["emea"]
            daemon.alarms.shut_down()
            assert reloaded

    asyncio.run(main())
    assert (stage.state(), list(stage.outbox.iterdir())) == (RunState.SUPERSEDED, [])


@pytest.mark.parametrize("change", ["removed", "never to be synced"])
def test_removed_while_another_process_runs_it(stage: Stage, change: str) -> None:
    """The daemon detects the other process's changes at its next heartbeat, and removes the export."""
    asyncio.run(run_instance(stage.context, stage.emea, trigger=Trigger.PERSON, reason="asked", slot=T0))

    async def main() -> None:
        with a_daemon(stage.before, stage.context) as daemon:
            daemon.alarms.start(paused=True)
            lock = FileLeases(stage.before.state_dir, stage.context.clock).instance("emea")
            assert lock is not None
            with lock:
                daemon.reload(stage.after(change), stage.context)
                assert daemon._planning is not None
                await daemon._planning
                assert stage.state() is RunState.AWAITING_UPLOAD
            await daemon._beat()
            daemon.alarms.shut_down()

    asyncio.run(main())
    assert (stage.state(), list(stage.outbox.iterdir())) == (RunState.SUPERSEDED, [])
