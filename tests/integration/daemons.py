"""A daemon on far sides that are played, for tests that look at it from inside."""

from collections.abc import Iterator
from contextlib import contextmanager

from licsync_daemon.daemon.daemon import Daemon
from licsync_daemon.model.instance import Config
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.sync.fleet import InstanceLocks
from licsync_daemon.sync.run import Runner
from licsync_daemon.system.filelock import FileLock
from licsync_daemon.system.systemd import ServiceManager


@contextmanager
def a_daemon(config: Config, runner: Runner) -> Iterator[Daemon]:
    """Build one over `runner`, its clock and its store, and hold its lock for as long as it is used. The state directory must be there."""
    lock = FileLock.take(config.state_dir / "daemon.lock")
    assert lock is not None
    with lock:
        yield Daemon(
            config,
            runner=runner,
            locks=InstanceLocks(config.state_dir, runner.clock),
            clock=runner.clock,
            lock=lock,
            notifier=ServiceManager({}),
            alerting=Alerting(config, runner.store, runner.clock, ()),
        )
