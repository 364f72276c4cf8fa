"""How long `check` takes for 50 healthy instances at a distance of 200 ms, and whether a dead one delays them."""

import asyncio
import json
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import trustme

from licsync_daemon.monitoring.preflight.rows import Outcome
from licsync_daemon.monitoring.preflight.run import preflight
from licsync_daemon.settings import load_config
from licsync_daemon.system.clock import SystemClock

INSTANCES = 50
ROUND_TRIP_S = 0.2
ANSWERS = {
    "/api/v3/user": {"login": "license-reader"},
    "/api/v3/meta": {"installed_version": "3.19.2"},
    "/api/v3/enterprise/settings/license": {
        "seats": 5000, "seats_used": 100, "expire_at": (datetime.now(UTC) + timedelta(days=300)).isoformat(),
    },
    "/user": {"login": "octo-owner"},
    "/enterprises/octo/license-sync-status": {"server_instances": []},
    "/enterprises/octo/consumed-licenses": {"total_seats_consumed": 100, "total_seats_purchased": 5000, "users": []},
}  # fmt: skip


def fifty_instances() -> None:
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as name, far_away(authority.issue_cert("localhost")) as ports:
        folder = Path(name)
        authority.cert_pem.write_to_path(folder / "ca.pem")
        print(f"check, {INSTANCES} healthy instances over TLS at {ROUND_TRIP_S * 1000:.0f} ms: {took(folder, ports):.1f} s")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            seconds = took(folder, [*ports, silent.getsockname()[1]], dead=1)
        print(f"  the same, beside a dead one that takes connections and is silent: {seconds:.1f} s\n")


def took(folder: Path, ports: list[int], dead: int = 0) -> float:
    """Return how long it takes until all but the dead ones are tested. Each port is an instance's, the first is the cloud's too."""
    config = load_config(write(folder, ports), {}).config
    began = time.perf_counter()
    done_s: list[float] = []
    rows = asyncio.run(preflight(config, {}, SystemClock(), report=lambda _done, _of: done_s.append(time.perf_counter() - began)))
    failed = [row for row in rows if row.outcome is Outcome.FAIL]
    assert len(failed) == dead, failed
    return done_s[-1 - dead]


def write(folder: Path, ports: list[int]) -> Path:
    credentials = folder / "credentials"
    credentials.mkdir(mode=0o700, exist_ok=True)
    for name in ("cloud__token", "defaults__source__token"):
        (credentials / name).write_text("ghp_" + "x" * 36)
    head = f"""
state_dir = "{folder}/state"
credentials_dir = "{credentials}"
cloud = {{ enterprise = "octo", api_url = "https://localhost:{ports[0]}", ca_file = "{folder}/ca.pem" }}
[defaults]
ca_file = "{folder}/ca.pem"
source = {{ kind = "report", username = "license-reader" }}
delivery = {{ kind = "connect" }}
"""
    tables = (f'[instances.ghes{n}]\nhostname = "ghes{n}.example.com"\nurl = "https://localhost:{port}"\n' for n, port in enumerate(ports))
    path = folder / "config.toml"
    path.write_text(head + "\n".join(tables))
    return path


@contextmanager
def far_away(certificate: trustme.LeafCert) -> Iterator[list[int]]:
    """Serve in a thread; yield one port an instance. Every piece of data takes half a round trip, and a connection a whole one."""
    loop = asyncio.new_event_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    async def open_all() -> list[int]:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        relays = [await asyncio.start_server(_Relay(port), "127.0.0.1", 0, backlog=256) for _ in range(INSTANCES)]
        return [relay.sockets[0].getsockname()[1] for relay in relays]

    async def close_all() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop.set_exception_handler(lambda _loop, _what: None)  # connections that are cut are no news here
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with ExitStack() as stack:
        stack.callback(thread.join, 5)
        stack.callback(loop.call_soon_threadsafe, loop.stop)
        stack.callback(lambda: asyncio.run_coroutine_threadsafe(close_all(), loop).result(5))
        yield asyncio.run_coroutine_threadsafe(open_all(), loop).result(10)


class _Relay:
    """Takes its time with everything it passes on to a port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(ROUND_TRIP_S)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))
        finally:
            writer.transport.abort()
            there_writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        await asyncio.sleep(ROUND_TRIP_S / 2)
        writer.write(data)
    writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1].decode().partition("?")[0]
            body = json.dumps(ANSWERS.get(path, {})).encode()
            date = format_datetime(datetime.now(UTC), usegmt=True)
            lines = ("HTTP/1.1 200 OK", f"Date: {date}", "Content-Type: application/json", f"Content-Length: {len(body)}")
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    except (asyncio.IncompleteReadError, OSError):
        writer.close()
