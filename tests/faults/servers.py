"""Servers on loopback that misbehave on purpose: two instances, `a` and its healthy neighbor `b`, their cloud, and the endpoint."""

import gzip
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

ROWS = 60
NAMES = ("a", "b")
CLOUD = "cloud"
CLOUD_TOKEN, DELIVERY_TOKEN, SOURCE_TOKEN = "ghp_CLOUD" + "c" * 31, "relay-secret-0123456789abcdef", "ghp_SRC0" + "s" * 32
SECRETS = {"cloud token": CLOUD_TOKEN, "delivery token": DELIVERY_TOKEN, "source token": SOURCE_TOKEN}
Answer = Callable[["Handler"], None]


def report(rows: int = ROWS) -> bytes:
    """Return an *All users* report."""
    seen = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [f"2024-01-01,{n},u{n},u{n}@corp.example,user,false,{seen}\n" for n in range(1, rows + 1)]
    return "".join(["created_at,id,login,email,role,suspended?,last_active\n", *lines]).encode()


class Handler(BaseHTTPRequestHandler):
    """One connection. The upload that was posted, if any, is in `document`."""

    protocol_version = "HTTP/1.1"
    server: "Server"
    document: Mapping[str, Any]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        with suppress(OSError):
            self.server.fleet.handle(self)

    def do_POST(self) -> None:
        with suppress(OSError):
            body = self._body()
            self.document = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
            self.server.fleet.handle(self)

    def reply(self, status: int, body: object = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a whole response; `headers` replace the usual ones, and those of `""` are left out."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        date = format_datetime(datetime.now(UTC), usegmt=True)
        every = {"Content-Type": "application/json", "Content-Length": str(len(data)), "Date": date, **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in every.items() if value)
        self.raw(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data)
        if not every["Content-Length"]:
            self.close_connection = True

    def raw(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()

    def reset(self) -> None:
        """End the connection with a reset instead of an orderly close."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fleet: "Fleet", name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fleet, self.name = fleet, name
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_: object) -> None:
        pass

    def verify_request(self, request: Any, _: object) -> bool:
        """Refuse the connections of a server that resets them all."""
        if self.name in self.fleet.resets:
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return self.name not in self.fleet.resets


@dataclass
class Fleet:
    """All servers of one row.

    Attributes:
        instead: What a server does instead of its usual response, by its name and a pattern of the path.
        urls: Addresses in place of the servers' own.
        sources: Sources in place of the reports, by instance.
    """

    instead: dict[tuple[str, str], Answer] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    listed: dict[str, Any] = field(default_factory=dict)  # the cloud's entry of each instance, by name
    others: list[Any] = field(default_factory=list)  # further servers that the cloud lists
    seats: dict[str, Any] = field(default_factory=lambda: {"total_seats_consumed": 5, "total_seats_purchased": 10, "users": []})
    resets: set[str] = field(default_factory=set)  # servers that reset every connection at once
    uploads: int = 0
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._servers = {name: Server(self, name) for name in (*NAMES, CLOUD)}
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def url(self, name: str) -> str:
        return self.urls.get(name, f"http://127.0.0.1:{self._servers[name].server_address[1]}")

    def wrap(self, name: str, context: ssl.SSLContext) -> None:
        """Let a server speak TLS."""
        server = self._servers[name]
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.urls[name] = f"https://127.0.0.1:{server.server_address[1]}"

    def handle(self, handler: Handler) -> None:
        name = handler.server.name
        self.asked.append(f"{name} {handler.path}")
        for (server, path), answer in self.instead.items():
            if server == name and re.search(path, handler.path):
                return answer(handler)
        return self.usual(handler)

    def usual(self, handler: Handler) -> None:
        """Respond as a healthy server does."""
        if handler.server.name == CLOUD:
            return self._cloud(handler)
        if handler.path.startswith("/stafftools"):
            return handler.reply(200, report(), {"Content-Type": "text/csv"})
        bodies = {
            "meta": {"installed_version": "3.19.2"},
            "users": {"total_users": ROWS},
            "license": {"seats_used": ROWS, "seats": 100},
        }
        found = bodies.get(handler.path.rpartition("/")[2])
        return handler.reply(200 if found else 404, found or {"message": "Not Found"})

    def listing(self) -> dict[str, Any]:
        return {"server_instances": [*self.listed.values(), *self.others]}

    def sync(self, server_id: str) -> None:
        """Let the newest sync of an instance be now."""
        name = server_id.removeprefix("id-")
        last = {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "status": "success", "error": ""}
        self.listed[name] = {"server_id": server_id, "hostname": f"{name}.example.com", "last_sync": last}

    def _cloud(self, handler: Handler) -> None:
        if handler.command == "POST" and handler.path.endswith("/uploads"):
            self.uploads += 1
            self.sync(handler.document["instance"]["server_id"])
            return handler.reply(202, {"upload_id": f"up-{self.uploads}", "sync_state": "PENDING"})
        if "/uploads/" in handler.path:
            return handler.reply(200, {"sync_state": "SUCCESS"})
        if "license-sync-status" in handler.path:
            return handler.reply(200, self.listing())
        if "consumed-licenses" in handler.path:
            return handler.reply(200, self.seats)
        return handler.reply(404, {"message": "Not Found"})

    def write_config(self, where: Path) -> Path:
        """Write the configuration and the credentials of the command."""
        credentials = where / "credentials"
        credentials.mkdir(mode=0o700)
        tokens = {"cloud__token": CLOUD_TOKEN, "defaults__delivery__token": DELIVERY_TOKEN}
        tokens |= {f"instances__{name}__source__token": SOURCE_TOKEN for name in NAMES if name not in self.sources}
        for name, value in tokens.items():
            (credentials / name).write_text(value)
        parts = [
            f'state_dir = "{where}/state"\ncredentials_dir = "{credentials}"\n[cloud]\nenterprise = "octo"\napi_url = "{self.url(CLOUD)}"\n'
        ]
        parts.append(f'[schedule]\ntimezone = "UTC"\n[defaults]\ndelivery = {{ kind = "http", url = "{self.url(CLOUD)}/uploads" }}\n')
        for name in NAMES:
            source = self.sources.get(name, '{ kind = "report", username = "reader" }')
            parts.append(f'[instances.{name}]\nhostname = "{name}.example.com"\nserver_id = "id-{name}"\nsource = {source}\n')
            if name not in self.sources:
                parts.append(f'url = "{self.url(name)}"\n')
        config = where / "config.toml"
        config.write_text("".join(parts))
        config.chmod(0o600)
        return config
