"""What takes minutes: a database that is away for long, connections that are half open, and a large fleet on a slow network."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hosts import Host
from tests.acceptance.support import UPLOADS, Site, supervisor, wait_for
from tests.acceptance.test_notifications import Hook
from tests.postgresql import Server
from tests.proxy import proxy_to
from tests.tools import unshare

ROOT = Path(__file__).parents[2]
INSTANCES, LATENCY_S, WATCHDOG_S = 2000, 0.0005, 30  # each way


@pytest.fixture
def address(postgresql_server: Server) -> Iterator[str]:
    with postgresql_server.database() as address:
        yield address


@pytest.mark.timeout(300)
def test_a_leader_behind_a_half_open_connection(site: Site, postgresql_server: Server, address: str) -> None:
    """It gives up, and sends nothing; the server ends its session after a minute, and the standby leads."""
    with proxy_to(postgresql_server.port) as proxy:
        a, b = Host(site, "a", re.sub(r":\d+/", f":{proxy.port}/", address)), Host(site, "b", address)
        first, second = a.leads(), b.stands_by()
        began = time.monotonic()
        proxy.swallow()
        wait_for(lambda: "daemon.leads" in second.err, 90)
        assert time.monotonic() - began < 75
        wait_for(lambda: "no answer for" in first.err or "daemon.state_unusable" in first.err, 60)
        assert site.asked("cloud", UPLOADS) == []
        first.end(signal.SIGKILL)
        assert second.end()[0] == 0


@pytest.mark.timeout(300)
def test_a_leader_whose_packets_are_dropped() -> None:
    """Its next call fails within the time that an answer may take, and another session leads soon after the network is back."""
    with tempfile.TemporaryDirectory(prefix="licsync-cut-off-") as folder:
        Path(folder).chmod(0o755)  # the server runs as another user
        words = [*unshare("--net"), sys.executable, "-m", "tests.torture.cut_off", f"{folder}/server"]
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["failed_s"] < 50
    assert found["leads_s"] < 120


@pytest.mark.timeout(600)
def test_2000_instances_with_1_ms_of_latency(site: Site, postgresql_server: Server, address: str, tmp_path: Path) -> None:
    """The daemon is ready within the time that the unit allows, and heartbeats come more often than the watchdog requires."""
    tables = "".join(f'[instances.site{number}]\nhostname = "ghes-{number}.example.com"\n' for number in range(INSTANCES))
    text = site.config.read_text(encoding="utf-8")
    config = tmp_path / "config.toml"
    head = text[: text.index("[instances.")]
    config.write_text(head + tables, encoding="utf-8")
    config.chmod(0o600)
    site.config = config
    with proxy_to(postgresql_server.port, LATENCY_S) as proxy, supervisor(abstract=True) as (notify, read):
        host = Host(site, "a", re.sub(r":\d+/", f":{proxy.port}/", address))
        began = time.monotonic()
        running = host.start(NOTIFY_SOCKET=notify, WATCHDOG_USEC=str(WATCHDOG_S * 1_000_000))
        wait_for(lambda: "daemon.started" in running.err or running.process.poll() is not None, 120)
        ready_s = time.monotonic() - began
        beats: list[float] = []
        for count in range(len(read()) + 1, len(read()) + 7):
            wait_for(partial(has_heard, read, count), WATCHDOG_S)
            beats.append(time.monotonic())
        print(f"ready after {ready_s:.1f} s; longest pause between two heartbeats {max(b - a for a, b in pairwise(beats)):.1f} s")
        assert ready_s < 100  # the watchdog of the unit: 120 s from READY, which is sent when it leads
        running.end(signal.SIGKILL)


def has_heard(read: Callable[[], list[str]], count: int) -> bool:
    return len(read()) >= count


@pytest.mark.timeout(300)
def test_people_are_told_without_the_state(site: Site, own_postgresql: Server, hook: Hook) -> None:
    """A database that is away for longer than a restart takes is told by webhook by each host, and so is its return; nothing is sent or lost."""
    with own_postgresql.database() as address:
        a, b = Host(site, "a", address), Host(site, "b", address)
        first, second = a.leads(), b.stands_by()
        own_postgresql.stop("immediate")
        wait_for(lambda: len(told(hook, "opened")) == 2, 90)
        assert all("PostgreSQL" in json.dumps(one) for one in told(hook, "opened"))
        own_postgresql.start()
        began = time.monotonic()
        wait_for(lambda: any(one.err.count('"daemon.leads"') > (one is first) for one in (first, second)), 20)
        assert time.monotonic() - began < 10
        wait_for(lambda: len(told(hook, "closed")) == 2, 60)
        assert site.asked("cloud", UPLOADS) == []
        for one in (first, second):
            assert one.end()[0] == 0


def told(hook: Hook, event: str) -> list[dict[str, Any]]:
    return [one for one in hook.got if (one["event"], one["code"]) == (event, "state_unwritable")]
