"""Several hosts that share a state in PostgreSQL: on one machine, each with a state directory of its own."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import Run, RunState
from licsync_daemon.rules.schedule import slot_at
from licsync_daemon.state.postgresql import connect
from licsync_daemon.state.sql import SqlStore
from tests.acceptance.support import Done, Running, Site, wait_for

DIGEST_KEY = "0123456789abcdef0123456789abcdef"


class Host:
    """The command as it is configured on one host."""

    def __init__(self, site: Site, name: str, address: str) -> None:
        self.site = site
        self.state_dir = site.folder / name
        site.command.evidence.places.append(self.state_dir)
        self.env = {"LICSYNC_STATE": address, "LICSYNC_STATE_DIR": str(self.state_dir), "LICSYNC_DIGEST_KEY": DIGEST_KEY}

    def run(self, *arguments: str | Path, **env: str) -> Done:
        return self.site.run(*arguments, env={**self.env, **env})

    def start(self, *arguments: str | Path, **env: str) -> Running:
        return self.site.start(*arguments, env={**self.env, **env})

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.out, done.err
        return json.loads(done.out)

    def make_due(self, *names: str) -> None:
        """Record for each named instance a failure of two days ago in the current slot, so that a leader tries it at once."""
        for name in names:
            failed = self.site.earlier(name, 2, RunState.FAILED, code=Code.UNREACHABLE, cause="it was down", next_step="none")
            instance = self.site.settings.instance(name)
            assert instance is not None
            self.record(replace(failed, slot=slot_at(instance.schedule, datetime.now(UTC))))

    def record(self, *runs: Run) -> None:
        """Write runs to the state, as an earlier process would have."""
        engine = connect(self.env["LICSYNC_STATE"], None, create=True)
        assert engine is not None
        store = SqlStore(engine)
        for run in runs:
            store.save_run(run, run.started_at)
        store.close()

    def leads(self) -> Running:
        """Start a daemon and wait until it leads."""
        return self._until("daemon.started")

    def stands_by(self) -> Running:
        """Start a daemon and wait until it stands by."""
        return self._until("daemon.stands_by")

    def _until(self, event: str) -> Running:
        running = self.start()
        wait_for(lambda: event in running.err or running.process.poll() is not None, 30)
        assert running.process.poll() is None, running.err
        return running
