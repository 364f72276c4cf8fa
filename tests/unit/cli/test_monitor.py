"""What `status --check` tells a monitor."""

from dataclasses import replace
from datetime import timedelta

import pytest

from licsync_daemon.cli.monitor import Verdict, judge
from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import InstanceRecord, RunState
from licsync_daemon.monitoring.heartbeat import DaemonView, OlderConfig
from licsync_daemon.monitoring.status import FleetView, fleet_view
from licsync_daemon.state.memory import MemoryStore
from tests.fakes import T0, a_config, a_holder, a_run, an_alert, an_ended_run, an_instance

ALIVE = DaemonView(alive=True, holder=a_holder(since_at=T0 - timedelta(hours=1)), heartbeat_at=T0)
DEAD = DaemonView(alive=False, holder=None, heartbeat_at=None)


def view(store: MemoryStore, daemon: DaemonView = ALIVE) -> FleetView:
    return fleet_view(a_config(an_instance("emea"), an_instance("labs")), store, T0, daemon, lambda _: True)


def fine() -> MemoryStore:
    store = MemoryStore()
    for name in ("emea", "labs"):
        store.save_run(an_ended_run(f"run-{name}", RunState.CONFIRMED, instance=name, last_sync=T0), T0)
        store.save_instance(InstanceRecord(name=name, identity=None, last_sync=T0))
    return store


def test_a_fleet_without_problems_is_fine() -> None:
    assert judge(view(fine())) == (Verdict.OK, "2 instances, no problems")


def test_no_daemon_is_critical() -> None:
    assert judge(view(fine(), DEAD)) == (Verdict.CRITICAL, "no daemon is running")


def test_failed_held_and_overdue_are_critical_and_come_first(subtests: pytest.Subtests) -> None:
    """Also a first failure, which opens no alert yet."""
    cases = {
        "failed": (an_ended_run("run1", RunState.FAILED, code=Code.TIMEOUT, cause="x", next_step="y"), None, "emea: timeout"),
        "held": (a_run(state=RunState.HELD, code=Code.SHRUNK_USAGE, cause="x", next_step="y"), None, "emea: shrunk usage"),
        "overdue": (None, T0 - timedelta(days=20), "emea: overdue"),
    }
    for name, (run, last_sync, words) in cases.items():
        with subtests.test(name):
            store = fine()
            store.save_alert(an_alert(Code.CREDENTIAL_EXPIRING, instance="", severity=Severity.WARNING))
            if run is not None:
                store.save_run(run, T0)
            if last_sync is not None:
                store.save_instance(InstanceRecord(name="emea", identity=None, last_sync=last_sync))
            assert judge(view(store)) == (Verdict.CRITICAL, f"{words}; credential expiring")


def test_a_warning_alone_is_a_warning() -> None:
    """Also a configuration that the daemon has not loaded."""
    store = fine()
    store.save_alert(an_alert(Code.CREDENTIAL_EXPIRING, instance="", severity=Severity.WARNING))
    assert judge(view(store)) == (Verdict.WARNING, "credential expiring")

    older = replace(view(fine()), older=OlderConfig(path=a_config().state_dir / "config.toml", accepted_at=T0))
    verdict, text = judge(older)
    assert verdict is Verdict.WARNING
    assert "the daemon runs with the older configuration" in text
