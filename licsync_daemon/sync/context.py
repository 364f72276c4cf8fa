"""What a run may use, besides its instance."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from licsync_daemon.model.instance import Instance
from licsync_daemon.model.ports import Adapters, Clock, HeldExports, Leases, Workspace
from licsync_daemon.model.run import Decision, Holder, Run
from licsync_daemon.model.store import RunStore, StateReader

Observer = Callable[[Run], None]


def ignore(run: Run) -> None:
    """The observer where nobody watches."""


@dataclass(slots=True, kw_only=True)
class RunContext:
    """One for the life of a process, and another one after each reload of the configuration.

    Attributes:
        store: Where runs and delivery records are kept.
        adapters: Opens sources, deliveries, and the cloud, for each run again.
        clock: Time.
        workspace: Room for what a run holds while it lasts.
        exports: Exports of held runs.
        leases: Who may run an instance.
        holder: This process, for the run's row.
        digest_key: Keys the digests of accounts.
        fleet: Every configured instance: the guards look for two with one identity.
        observe: Called with every change of a run, for progress on a terminal.
        history: Where earlier usage is read from, if not from `store`: a dry run records nothing and still compares.
    """

    store: RunStore
    adapters: Adapters
    clock: Clock
    workspace: Workspace
    exports: HeldExports
    leases: Leases
    holder: Holder
    digest_key: bytes
    fleet: tuple[Instance, ...] = ()
    observe: Observer = ignore
    history: StateReader | None = None

    @property
    def known(self) -> StateReader:
        """Where earlier usage is read from."""
        return self.history if self.history is not None else self.store

    def approval_of(self, held: Run) -> Decision | None:
        """Return the approval of a held run that is in force now."""
        approval = self.store.approval(held.run_id)
        return approval if approval is not None and approval.in_force(self.clock.now()) else None


@contextmanager
def hold_free(leases: Leases, instances: Iterable[Instance]) -> Iterator[list[Instance]]:
    """Hold the leases of those instances that no one else holds, and yield these instances."""
    with ExitStack() as stack:
        held = []
        for instance in instances:
            lease = leases.instance(instance.name)
            if lease is not None:
                stack.enter_context(lease)
                held.append(instance)
        yield held
