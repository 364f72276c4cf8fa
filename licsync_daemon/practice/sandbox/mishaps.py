"""What each kind of fault does to a response: one function each, in a table."""

import gzip
from collections.abc import Callable

from licsync_daemon.practice.sandbox.faults import Fault
from licsync_daemon.practice.sandbox.http import Reply, github_error
from licsync_daemon.practice.sandbox.server import Exchange

MAINTENANCE = b"""<!DOCTYPE html>
<html><head><title>GitHub Enterprise is currently undergoing maintenance</title></head>
<body><h1>This appliance is being maintained.</h1></body></html>
"""


def perform(fault: Fault, exchange: Exchange) -> int:
    """Apply the fault; return the status, or 0 if no response was sent."""
    return _KINDS[fault.kind](fault, exchange)


def _status(fault: Fault, exchange: Exchange) -> int:
    status = fault.status or (302 if fault.kind == "redirect" else 200 if fault.kind == "body" else 500)
    content_type = fault.content_type if fault.content else None
    exchange.send(Reply(status, fault.content, content_type, tuple((fault.headers or {}).items())))
    return status


def _maintenance(fault: Fault, exchange: Exchange) -> int:
    headers = tuple((fault.headers or {}).items())
    if exchange.request.path.startswith("/api/"):
        exchange.send(github_error(503, "GitHub Enterprise Server is in maintenance mode.", headers))
    else:
        exchange.send(Reply(503, MAINTENANCE, "text/html; charset=utf-8", headers))
    return 503


def _hang(_: Fault, exchange: Exchange) -> int:
    exchange.stopped(None)
    exchange.close()
    return 0


def _reset(fault: Fault, exchange: Exchange) -> int:
    if fault.kind == "lost_reply":
        exchange.answer()
    exchange.abort()
    return 0


def _reset_mid_body(_: Fault, exchange: Exchange) -> int:
    reply = exchange.answer()
    exchange.head(reply, len(reply.body))
    exchange.write(reply.body[: len(reply.body) // 2])
    exchange.stopped(0.05)  # a reset discards bytes that the client has not read yet
    exchange.abort()
    return reply.status


def _short_body(_: Fault, exchange: Exchange) -> int:
    reply = exchange.answer()
    exchange.head(reply, len(reply.body) + 100)
    exchange.write(reply.body)
    exchange.close()
    return reply.status


def _truncated_gzip(_: Fault, exchange: Exchange) -> int:
    reply = exchange.answer()
    packed = gzip.compress(reply.body, mtime=0)
    cut = packed[: max(len(packed) // 2, 12)]
    exchange.head(reply, len(cut), (("Content-Encoding", "gzip"),))
    exchange.write(cut)
    return reply.status


def _slow(_: Fault, exchange: Exchange) -> int:
    reply = exchange.answer()
    exchange.head(reply, len(reply.body))
    for n in range(len(reply.body)):
        if exchange.stopped(0.1):
            break
        exchange.write(reply.body[n : n + 1])
    return reply.status


def _huge(fault: Fault, exchange: Exchange) -> int:
    exchange.head(Reply(fault.status or 200, b"", fault.content_type), None)
    block = (fault.content or b"x" * 1024) * max(1, 65536 // max(1, len(fault.content or b"x" * 1024)))
    chunk = f"{len(block):x}\r\n".encode() + block + b"\r\n"
    while not exchange.stopped(0):
        exchange.write(chunk)  # raises when the client disconnects
    exchange.close()
    return fault.status or 200


_KINDS: dict[str, Callable[[Fault, Exchange], int]] = {
    "status": _status,
    "redirect": _status,
    "body": _status,
    "maintenance": _maintenance,
    "hang": _hang,
    "reset": _reset,
    "lost_reply": _reset,
    "reset_mid_body": _reset_mid_body,
    "short_body": _short_body,
    "truncated_gzip": _truncated_gzip,
    "slow": _slow,
    "huge": _huge,
}
