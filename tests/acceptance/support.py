"""The installed command, run as a person runs it, against a practice fleet in the test's process."""

import base64
import contextlib
import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from licsync_daemon.model.errors import Code, StateUnwritableError
from licsync_daemon.model.instance import Config
from licsync_daemon.model.run import Run, RunState, Trigger
from licsync_daemon.model.usage import UsageCounts
from licsync_daemon.practice.sandbox import Sandbox
from licsync_daemon.practice.sandbox.generator import GIVEN, login_of
from licsync_daemon.practice.sandbox.ghes import Instance
from licsync_daemon.practice.sandbox.http import Request
from licsync_daemon.rules.schedule import slot_at
from licsync_daemon.settings import load_config
from licsync_daemon.state.files import open_for_reading, open_state, prepare_state_dir

COMMAND = Path(sys.executable).with_name("licsync-daemon")
META = "/api/v3/meta"
REPORT = "/stafftools/reports/all_users.csv"
UPLOADS = "/licsync/uploads"
# The invented people of a practice fleet: their logins, and so their addresses, hold this.
#: Logins and addresses of generated people: a given name, a family name and a number.
PEOPLE = re.compile(r"(?:{})-(?:[a-z-]*[a-z]-)?\d+".format("|".join(login_of(name, 0)[:-2] for name in GIVEN)).encode(), re.IGNORECASE)


def environment(**more: str) -> dict[str, str]:
    """Return an environment with nothing of ours in it but what is given."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH"}}
    path = f"{COMMAND.parent}{os.pathsep}{kept.get('PATH', os.defpath)}"  # installed: messages name it without its folder
    return {**kept, "PATH": path, "TERM": "xterm-256color", **more}


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


@dataclass
class Evidence:
    """Everything a test's commands wrote, to be searched for what must never be written."""

    secrets: set[str] = field(default_factory=set)
    places: list[Path] = field(default_factory=list)  # files and folders

    def leaks(self) -> list[str]:
        """Return where a secret, raw or as basic authentication spells it, or a person stands."""
        needles = [secret.encode() for secret in self.secrets]
        needles += [base64.b64encode(f"license-reader:{secret}".encode()).rstrip(b"=")[:-1] for secret in self.secrets]
        contents = {path: path.read_bytes() for path in self._files()}
        found = [f"a secret in {path}" for path, content in contents.items() if any(needle in content for needle in needles)]
        return found + [f"a person in {path}: {match[0]!r}" for path, content in contents.items() if (match := PEOPLE.search(content))]

    def _files(self) -> Iterable[Path]:
        for place in self.places:
            yield from [place] if place.is_file() else (path for path in place.rglob("*") if path.is_file())


class Running:
    """A command at work; its output goes to files."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def end(self, number: int = signal.SIGTERM, within_s: float = 20.0) -> tuple[int, float]:
        """Send a signal; answer the exit code and how many seconds the end took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(within_s), time.monotonic() - began

    def wait(self, within_s: float = 30.0) -> int:
        return self.process.wait(within_s)


class Command:
    """Runs the installed command and keeps what it wrote as evidence."""

    def __init__(self, folder: Path, evidence: Evidence) -> None:
        self._folder = folder
        self.evidence = evidence
        self._started: list[Running] = []

    def run(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, secret_output: bool = False, within_s: float = 60.0
    ) -> Done:
        running = self.start(*arguments, env=env, secret_output=secret_output)
        code = running.wait(within_s)
        return Done(code, running.out, running.err)

    def start(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        before: Iterable[str] = (),
        secret_output: bool = False,
        stdout: int | None = None,
    ) -> Running:
        """Start a command in a session of its own. `before` is a program that starts it; `secret_output` keeps stdout out of the evidence."""
        number = len(self._started)
        out, err = self._folder / f"{number}.out", self._folder / f"{number}.err"
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                [*before, COMMAND, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out_file if stdout is None else stdout,
                stderr=err_file,
                env=environment(**(env or {})),
                start_new_session=True,
            )
        running = Running(process, out, err)
        self._started.append(running)
        if not secret_output:
            self.evidence.places.append(out)
        self.evidence.places.append(err)
        return running

    def close(self) -> None:
        """End what a failed test has left running."""
        for running in self._started:
            if running.process.poll() is None:
                os.killpg(running.process.pid, signal.SIGKILL)  # its whole session: a starter and what it started
                running.process.wait()


def shown_on(terminal: int) -> bytes:
    """Return everything shown on a terminal until no process has its other end open, and close it."""
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # how Linux reports that no process holds the other end any more
        pass
    finally:
        os.close(terminal)
    return shown


def build_report(instance: Instance) -> None:
    """Ask for an instance's report once, so that the tests' commands need not wait for it."""
    instance.report_ready_after = 0.0
    credentials = base64.b64encode(f"{instance.username}:{instance.token}".encode()).decode()
    assert instance(Request("GET", REPORT, {"authorization": f"Basic {credentials}"})).status == 202


class Site:
    """A practice fleet with its configuration, and the command on it."""

    def __init__(self, box: Sandbox, folder: Path, command: Command) -> None:
        self.box = box
        self.folder = folder
        self.command = command
        self.config = box.write_config(folder)
        self.state_dir = folder / "state"
        self.credentials = folder / "credentials"
        command.evidence.places.append(self.state_dir)
        command.evidence.secrets |= {box.cloud_token, box.delivery_token, *(one.token for one in box.instances.values())}

    @property
    def settings(self) -> Config:
        return load_config(self.config, {}).config

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None, secret_output: bool = False) -> Done:
        return self.command.run("--config", self.config, *arguments, env=env, secret_output=secret_output)

    def start(self, *arguments: str | Path, env: Mapping[str, str] | None = None, before: Iterable[str] = ()) -> Running:
        return self.command.start("--config", self.config, *arguments, env=env, before=before)

    def extend(self, name: str, *lines: str) -> None:
        """Add lines to an instance's table."""
        text = self.config.read_text(encoding="utf-8")
        table = f"[instances.{name}]\n"
        self.config.write_text(text.replace(table, table + "\n".join(lines) + "\n"), encoding="utf-8")

    def last(self, name: str) -> Run | None:
        """Read an instance's newest run, as `status` does: without a lock. Asks again where a commit takes long to reach the disk."""
        store = None
        for attempt in range(50):
            try:
                store = open_for_reading(self.state_dir)
                return store.last_run(name) if store is not None else None
            except StateUnwritableError:
                if attempt == 49:
                    raise
            finally:
                if store is not None:
                    store.close()
        return None

    def state(self, name: str) -> str | None:
        run = self.last(name)
        return run.state.value if run else None

    def record(self, *runs: Run) -> None:
        """Write runs to the state, as an earlier process would have."""
        state_dir = self.folder / "state"
        prepare_state_dir(state_dir)
        store = open_state(state_dir, datetime.now(UTC)).store
        try:
            for run in runs:
                store.save_run(run, run.started_at)
        finally:
            store.close()

    def earlier(self, name: str, days: int, state: RunState, **more: Any) -> Run:
        """Return a run of an instance that began so many days ago and ended at once."""
        instance = self.settings.instance(name)
        assert instance is not None
        then = datetime.now(UTC) - timedelta(days=days)
        return Run(
            run_id=f"{name}{days}days", instance=name, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=slot_at(instance.schedule, then),
            started_at=then, ended_at=then if state.is_final else None, state=state, **more,
        )  # fmt: skip

    def make_due(self, *names: str) -> None:
        """Record for each named instance a failure of two days ago in the current slot, so that a daemon tries it at once."""
        for name in names:
            failed = self.earlier(name, 2, RunState.FAILED, code=Code.UNREACHABLE, cause="it was down", next_step="none")
            instance = self.settings.instance(name)
            assert instance is not None
            self.record(replace(failed, slot=slot_at(instance.schedule, datetime.now(UTC))))

    def confirm_last_week(self, name: str) -> int:
        """Record that all accounts of an instance were confirmed a week ago; answer how many."""
        sent = len(self.box.instances[name].as_sent())
        run = self.earlier(name, 8, RunState.CONFIRMED, counts=UsageCounts(rows=sent, sent=sent))
        self.record(replace(run, collected_at=run.started_at))
        return sent

    def shrink(self, name: str, keep: int = 10) -> int:
        """Let all but a few accounts of an instance be gone; answer how many of them are still sent."""
        instance = self.box.instances[name]
        rows = [*csv.reader(io.StringIO(instance.report.csv.decode(), newline=""))]
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows[: keep + 1])
        instance.set_report(text.getvalue().encode())
        build_report(instance)
        return len(instance.as_sent())

    def uploads(self, name: str) -> int:
        server_id = self.box.instances[name].server_id
        return sum(upload.server_id == server_id for upload in self.box.cloud.uploads())

    def asked(self, server: str, path: str = "/") -> list[int]:
        return [seen.status for seen in tuple(self.box.requests) if seen.server == server and seen.path.startswith(path)]


def wait_for(what: Callable[[], object], within_s: float = 15.0) -> None:
    """Ask again and again until the answer is true; fail when it takes too long."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def started(site: Site, **env: str) -> Running:
    """Start a daemon and wait until it serves."""
    running = site.start(env=env)
    wait_for(lambda: "daemon.started" in running.err or running.process.poll() is not None)
    assert running.process.poll() is None, running.err
    return running


def events(running: Running) -> list[str]:
    """Return the events of the log, each line of which is JSON with the same first fields; when it looks next is only sometimes news."""
    lines = [json.loads(line) for line in running.err.splitlines()]
    assert all(set(line) >= {"timestamp", "level", "event"} for line in lines)
    return [line["event"] for line in lines if line["event"] != "run.planned"]


@contextlib.contextmanager
def supervisor(*, abstract: bool) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """Listen as systemd does; yield the address and a reader of every message so far."""
    with tempfile.TemporaryDirectory(prefix="notify-") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = f"{folder}/socket"
        listener.bind(f"\0{name}" if abstract else name)
        listener.setblocking(False)
        heard: list[str] = []

        def read() -> list[str]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(listener.recv(4096).decode())
            return heard

        yield (f"@{name}" if abstract else name), read
