"""A real PostgreSQL on loopback for tests, as this machine's package brings it: one for each worker, one database for each test."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools import skip, tool

USER = "licsync"
FAST = "-c fsync=off -c full_page_writes=off -c shared_buffers=16MB -c max_connections=60 -c autovacuum=off"


class Server:
    """A cluster of its own folder and port."""

    def __init__(self, folder: Path) -> None:
        self._bin = _binaries()
        self._as = _unprivileged(folder)
        self._data = folder / "data"
        self._free: list[str] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._run("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= {FAST}"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self._data / "log"), "-o", options, "start")

    def require_password(self, user: str, password: str) -> None:
        """Create a user who may create databases, and who needs a password from now on."""
        self.sql(f"DROP ROLE IF EXISTS {user}; CREATE ROLE {user} LOGIN SUPERUSER PASSWORD '{password}'")
        rules = self._data / "pg_hba.conf"
        text = rules.read_text()
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{text}")
        self.sql("SELECT pg_reload_conf()")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; `immediate` is a crash."""
        if self._pid_file.exists():
            self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def freeze(self) -> None:
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the address of an empty database; one that an earlier test used is emptied, which is quicker than a new one."""
        if not self._free:
            self._free.append(f"t{secrets.token_hex(6)}")
            self.sql(f"CREATE DATABASE {self._free[-1]}")
        name = self._free.pop()
        try:
            yield self.address(name)
        finally:
            end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid();"
            self.sql(f"{end} SET client_min_messages = error; DROP SCHEMA IF EXISTS licsync CASCADE", name)
            self._free.append(name)

    def address(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement; return its rows as text."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database]
        done = subprocess.run(
            [self._bin / "psql", "-XAtq", *where, "-c", statement], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    @contextmanager
    def holding(self, statement: str, database: str) -> Iterator[None]:
        """Run a statement in a transaction that is open until the end of the context."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database]
        with subprocess.Popen([self._bin / "psql", "-XAtq", *where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
            assert psql.stdin is not None
            assert psql.stdout is not None
            psql.stdin.write(f"BEGIN; {statement}; SELECT 'held';\n")
            psql.stdin.flush()
            while psql.stdout.readline().strip() != "held":
                assert psql.poll() is None
            yield
            psql.stdin.close()

    @property
    def _pid_file(self) -> Path:
        return self._data / "postmaster.pid"

    def _processes(self) -> list[int]:
        postmaster = int(self._pid_file.read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as, self._bin / program, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr


def database_of(address: str) -> str:
    return address.rpartition("/")[2]


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server in a folder, which is deleted with all its data afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4].split(".")[0]))
    if found:
        return found[-1].parent
    return Path(tool("postgres")).parent


def _unprivileged(folder: Path) -> list[str]:
    """Return the words that start a program as a user whom PostgreSQL accepts: it refuses root."""
    if os.geteuid() != 0:
        return []
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        skip("there is no user postgres: apt-get install postgresql")
    os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(0o700)
    return [tool("setpriv"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def wait_until(what: object, within_s: float) -> float:
    """Ask again and again until the answer is true; return the seconds that it took."""
    assert callable(what)
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - began
