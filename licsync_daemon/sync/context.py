"""The context of a run: ports and settings that all runs share."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import structlog

from licsync_daemon.model.errors import failure_of
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.ports import Adapters, Clock, HeldExports, Leases, Workspace
from licsync_daemon.model.run import Decision, Holder, Run
from licsync_daemon.model.store import RunStore, StateReader

log = structlog.get_logger()

Observer = Callable[[Run], None]


def ignore(run: Run) -> None:
    """Observe nothing."""


@dataclass(slots=True, kw_only=True)
class RunContext:
    """The context of all runs of a process, until the configuration is reloaded.

    Attributes:
        store: Stores runs and delivery records.
        adapters: Opens sources, deliveries and the cloud for each run.
        clock: The time.
        workspace: Temporary storage of runs.
        exports: The exports of held runs.
        prepared: The exports that wait in an outbox, to put them back.
        leases: The leases of instances.
        holder: This process, to record with its runs.
        digest_key: The key for digests of accounts.
        fleet: Every configured instance; guards detect two with the same identity.
        observe: Called with every change of a run, to show progress on a terminal.
        history: Earlier usage, if not in `store`: a dry run records nothing but compares with it.
    """

    store: RunStore
    adapters: Adapters
    clock: Clock
    workspace: Workspace
    exports: HeldExports
    prepared: HeldExports
    leases: Leases
    holder: Holder
    digest_key: bytes
    fleet: tuple[Instance, ...] = ()
    observe: Observer = ignore
    history: StateReader | None = None

    @property
    def known(self) -> StateReader:
        """The store with earlier usage."""
        return self.history if self.history is not None else self.store

    def approval_of(self, held: Run) -> Decision | None:
        """Return the approval of a held run that is in effect."""
        approval = self.store.approval(held.run_id)
        return approval if approval is not None and approval.in_force(self.clock.now()) else None


@contextmanager
def hold_free(leases: Leases, instances: Iterable[Instance], unusable: dict[str, BaseException] | None = None) -> Iterator[list[Instance]]:
    """Take the leases of all instances that are free, and yield these instances.

    One whose lease cannot be taken because of an error is left out; `unusable` receives the error.
    """
    with ExitStack() as stack:
        held = []
        for instance in instances:
            try:
                lease = leases.instance(instance.name)
            except BaseException as error:  # of any kind: the other instances continue
                failure_of(error)
                log.critical("lease.unusable", instance=instance.name, exc_info=error)
                if unusable is not None:
                    unusable[instance.name] = error
                continue
            if lease is not None:
                stack.enter_context(lease)
                held.append(instance)
        yield held
