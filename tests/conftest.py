"""What holds for every test: none of our settings and no proxy from outside, and nothing bound to the log by an earlier test."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from tests import postgresql
from tests.tools import INSTALL


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.Server]:
    """Yield a PostgreSQL that all tests of this process share; none may stop it."""
    with _postgresql() as server:
        yield server


@pytest.fixture
def own_postgresql() -> Iterator[postgresql.Server]:
    """Yield a PostgreSQL that the test may stop."""
    with _postgresql() as server:
        yield server


@contextmanager
def _postgresql() -> Iterator[postgresql.Server]:
    with tempfile.TemporaryDirectory(prefix="licsync-postgresql-") as folder:
        Path(folder).chmod(0o755)  # the server runs as another user
        with postgresql.running(Path(folder) / "server") as server:
            yield server


@pytest.fixture(autouse=True)
def _clean_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("LICSYNC_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    structlog.contextvars.clear_contextvars()
    # Plain tracebacks: the default ones are drawn, and drawing one takes longer than most tests.
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what to install so that the skipped tests run too."""
    skipped = terminalreporter.stats.get("skipped", [])
    packages = {found for report in skipped for found in re.findall(f"{INSTALL}(\\S+)", str(report.longrepr))}
    if packages:
        terminalreporter.section("skipped for want of a program")
        terminalreporter.line(f"Run them after: {INSTALL}{' '.join(sorted(packages))}")
