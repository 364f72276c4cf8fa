"""A threaded HTTP/1.1 server on loopback for one application, with faults; it stops at once."""

import contextlib
import gzip
import logging
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from licsync_daemon.practice.sandbox.bodies import read_body
from licsync_daemon.practice.sandbox.faults import Fault
from licsync_daemon.practice.sandbox.http import TEXTS, Reply, Request, github_error
from licsync_daemon.practice.sandbox.site import Seen, Site

log = logging.getLogger(__name__)

CONTROL = "/_sandbox/"
GZIP_FROM_BYTES = 1400  # compression gains nothing below the size of a packet
STOP_S = 1.0


class SandboxServer(ThreadingHTTPServer):
    """One loopback port. `stop` closes every connection, including those of hanging requests. `perform` applies a fault."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, site: Site, perform: "Callable[[Fault, Exchange], int]") -> None:
        self.site, self.perform = site, perform
        self._open: set[socket.socket] = set()
        self._aborted: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._accept, name=f"sandbox-{site.name}", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.site.stopping.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.server_address[1]), STOP_S).close()  # wakes the accepting thread
        self._thread.join()
        self.server_close()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, timeout=STOP_S)

    def _accept(self) -> None:
        """Accept connections until `stop`. The loop of the base class would poll."""
        while not self.site.stopping.is_set():
            try:
                connection, address = self.get_request()
            except OSError:  # the client has disconnected, or there are too many open files
                self.site.stopping.wait(0.05)
                continue
            self.process_request(connection, address)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def abort(self, connection: socket.socket) -> None:
        """End the connection with a reset instead of an orderly close."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with self._changed:
            self._aborted.add(connection)

    def shutdown_request(self, request: Any) -> None:
        with self._changed:
            aborted = request in self._aborted
            self._aborted.discard(request)
        if aborted:
            request.close()  # without the shutdown, which would close it in an orderly way
        else:
            super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        """Log an error of the sandbox; errors of clients that disconnect do not come here."""
        log.exception("the sandbox failed on a connection to %s", self.site.name)  # noqa: LOG004 - called inside a handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise a body sent in parts waits for acknowledgments
    server: SandboxServer

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # a client that disconnects is no error
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Print nothing: `note` records the requests."""

    def _serve(self) -> None:
        site = self.server.site
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, read_body(headers, self.rfile, site.max_body_bytes))
        fault = None if request.path.startswith(CONTROL) else site.faults.take(site.name, request.path)
        if fault is None:
            self.send(self.answer(request), request)
        elif self.server.perform(fault, Exchange(self, request)) == 0:
            self.note(request, 0)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that the base class calls

    def answer(self, request: Request) -> Reply:
        try:
            return self.server.site.app(request)
        except Exception:
            log.exception("the sandbox failed on %s %s", request.method, request.path)
            return github_error(500, "Internal error of the sandbox; see its log.")

    def note(self, request: Request, status: int) -> None:
        self.server.site.requests.append(Seen(self.server.site.name, request.method, request.target, status))

    def send(self, reply: Reply, request: Request) -> None:
        body, headers = reply.body, reply.headers
        if reply.status == 200 and "gzip" in request.headers.get("accept-encoding", "").lower() and len(body) >= GZIP_FROM_BYTES:
            body = gzip.compress(body, 1, mtime=0)
            headers = (*headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
        if request.body is None:
            self.close_connection = True
            headers = (*headers, ("Connection", "close"))
        self.note(request, reply.status)
        self.wfile.write(self.head(reply, headers, len(body)) + body)
        self.wfile.flush()
        if request.body is None:
            self._drain()

    def head(self, reply: Reply, headers: tuple[tuple[str, str], ...], length: int | None) -> bytes:
        """Return status line and headers; without a length the body is chunked."""
        site = self.server.site
        reason = TEXTS.get(reply.status) or self.responses.get(reply.status, ("", ""))[0]
        lines = [f"HTTP/1.1 {reply.status} {reason}", "Server: GitHub.com",
                 f"Date: {format_datetime(site.clock.now, usegmt=True)}", f"X-GitHub-Request-Id: {uuid.uuid4()}"]  # fmt: skip
        if reply.content_type is not None:
            lines.append(f"Content-Type: {reply.content_type}")
        lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
        lines.extend(f"{name}: {value}" for name, value in headers)
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _drain(self) -> None:
        """Read the rest of the request for a moment: closing at once would reset the connection before the response is read."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(0.2)
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline and self.connection.recv(65536):
            pass


@dataclass(slots=True)
class Exchange:
    """One request that a fault affects."""

    handler: _Handler
    request: Request

    def answer(self) -> Reply:
        """Process the request and return its true response, unsent."""
        return self.handler.answer(self.request)

    def send(self, reply: Reply) -> None:
        self.handler.send(reply, self.request)

    def head(self, reply: Reply, length: int | None, extra: tuple[tuple[str, str], ...] = ()) -> None:
        self.handler.note(self.request, reply.status)
        self.write(self.handler.head(reply, (*reply.headers, *extra), length))

    def write(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def close(self) -> None:
        self.handler.close_connection = True

    def abort(self) -> None:
        self.close()
        self.handler.server.abort(self.handler.connection)

    def stopped(self, within_s: float | None) -> bool:
        """Wait until the sandbox stops, at most so many seconds; return whether it stops."""
        return self.handler.server.site.stopping.wait(within_s)
