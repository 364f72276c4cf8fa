"""One process at work: a state directory on a real disk, and the far side that outlives it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from licsync_daemon.model.instance import Instance
from licsync_daemon.state import rows
from licsync_daemon.state.digest_key import own_digest_key
from licsync_daemon.state.files import Opened, open_state, prepare_state_dir
from licsync_daemon.state.held_exports import HELD, PREPARED, FileHeldExports
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.sqlite import SqliteStore
from licsync_daemon.state.workspace import DiskWorkspace
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.sync.waiting import Result
from licsync_daemon.system.filelock import this_process
from tests.fakes import an_instance
from tests.torture.lasting_world import LastingWorld, QuickClock

EMEA = an_instance("emea")
Tell = Callable[[dict[str, Any]], None]


class TellingStore:
    """A store that says what it is about to write, and that it has been written."""

    def __init__(self, store: SqliteStore, tell: Tell) -> None:
        self._store = store
        self._tell = tell
        self._writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _write(self, write: Callable[[], None], **what: Any) -> None:
        self._writes += 1
        self._tell({"writing": self._writes, **what})
        write()
        self._tell({"written": self._writes})

    def save_run(self, run: Any, at: Any, **more: Any) -> None:
        delivery = more.get("delivery")
        self._write(
            lambda: self._store.save_run(run, at, **more), run=rows.run_row(run), delivery=rows.delivery_row(delivery) if delivery else None
        )

    def save_delivery(self, record: Any) -> None:
        self._write(lambda: self._store.save_delivery(record), delivery=rows.delivery_row(record))

    def stage_digests(self, instance: str, key: str, chunks: Any) -> None:
        self._write(lambda: self._store.stage_digests(instance, key, chunks))


@dataclass
class Desk:
    """What a process works with."""

    context: RunContext
    locks: FileLeases
    clock: QuickClock
    far: LastingWorld
    opened: Opened

    async def run_now(self, *instances: Instance, wait: timedelta = timedelta(minutes=2)) -> list[Result]:
        return await run_now(instances or (EMEA,), self.context, max_concurrent_runs=4, wait=wait)


@contextmanager
def at_a_desk(folder: Path, clock: QuickClock, tell: Tell | None = None) -> Iterator[Desk]:
    """Open the state in `folder`, as a command does, and yield what works on it."""
    state = folder / "state"
    prepare_state_dir(state)
    opened = open_state(state, clock.now())
    try:
        far = LastingWorld(folder, clock)
        store: Any = TellingStore(opened.store, tell) if tell else opened.store
        context = RunContext(
            store=store, adapters=far, clock=clock, workspace=DiskWorkspace(state), exports=FileHeldExports(state / HELD),
            prepared=FileHeldExports(state / PREPARED), leases=FileLeases(state, clock), holder=this_process(clock.now()), digest_key=own_digest_key(state),
            fleet=(EMEA,),
        )  # fmt: skip
        yield Desk(context, FileLeases(state, clock), clock, far, opened)
    finally:
        opened.store.close()
