"""The `Leases` port as lock files in the state directory. The kernel releases the locks of a process that ends; files are never deleted."""

from dataclasses import dataclass
from pathlib import Path

from licsync_daemon.model.errors import LockedError
from licsync_daemon.model.ports import Clock, Lease
from licsync_daemon.model.run import Holder
from licsync_daemon.system.filelock import FileLock, in_words, is_alive, read_holder, this_process


@dataclass(frozen=True, slots=True)
class FileLeases:
    """The lock files of one state directory; each names its holder."""

    state_dir: Path
    clock: Clock

    def instance(self, name: str) -> Lease | None:
        return self._take(self._of_instance(name))

    def is_alive(self, holder: Holder) -> bool:
        return is_alive(holder)

    def touch(self) -> None:
        """Do nothing: the kernel knows whether this process exists."""

    def holder(self, name: str) -> str:
        return in_words(read_holder(self._of_instance(name)))

    def alerts(self) -> Lease | None:
        return self._take(self.state_dir / "alerts.lock")

    def daemon(self) -> Lease:
        path = self.state_dir / "daemon.lock"
        lease = self._take(path)
        if lease is None:
            raise LockedError(path, in_words(read_holder(path)))
        return lease

    def _of_instance(self, name: str) -> Path:
        return self.state_dir / "locks" / f"{name}.lock"

    def _take(self, path: Path) -> Lease | None:
        return FileLock.take(path, holder=this_process(self.clock.now()))
