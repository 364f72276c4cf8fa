"""The kinds of misbehavior: what the servers do, and which results of instance `a` are right."""

import base64
import gzip
import json
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import trustme

from tests.faults.servers import CLOUD, CLOUD_TOKEN, DELIVERY_TOKEN, SOURCE_TOKEN, Answer, Fleet, Handler, report

FORGED = "x.example.com\n\x1b]0;owned\x07\u202ella fine\x85next: run rm"
OK = "confirmed"
NOT_SENT = "failed/bad_response"
META, REPORT, LICENSE, USERS = "/meta$", "^/stafftools", "/license$", "/users$"
STATUS, SEATS, GRAPHQL, UPLOAD, UPLOAD_STATE = "license-sync-status", "consumed-licenses", "^/graphql$", "/uploads$", "/uploads/"


@dataclass(frozen=True)
class Kind:
    """One row.

    Attributes:
        right: The results of `a` (`state` or `state/code`) that are right.
        neighbor: The results of `b` that are right. A cloud that fails as a whole fails both; both must then be confirmed in the run after.
    """

    name: str
    prepare: Callable[[Fleet, Path], None]
    right: str
    neighbor: str = OK
    is_slow: bool = False  # ends at the deadline of each request


def at(server: str, path: str, answer: Answer) -> Callable[[Fleet, Path], None]:
    def prepare(fleet: Fleet, _: Path) -> None:
        fleet.instead[server, path] = answer

    return prepare


def reply(body: object = b"", status: int = 200, **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.reply(status, body, names)


def usual_with(**headers: str) -> Answer:
    """Respond as usual, with these headers in addition."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(handler: Handler) -> None:
        plain = handler.reply
        handler.reply = lambda status, body=b"", more=None: plain(status, body, {**(more or {}), **names})  # type: ignore[method-assign]
        handler.server.fleet.usual(handler)

    return answer


def endless(start: bytes, more: bytes, content_type: str = "application/json") -> Answer:
    def answer(handler: Handler) -> None:
        handler.raw(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode() + start)
        handler.close_connection = True
        while True:
            handler.raw(more)

    return answer


def drip(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
    handler.close_connection = True
    while True:
        handler.raw(b" ")
        time.sleep(0.25)


def bomb(content_type: str) -> Answer:
    """Send a gigabyte of zeros, compressed."""

    def answer(handler: Handler) -> None:
        handler.raw(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Encoding: gzip\r\n\r\n".encode())
        handler.close_connection = True
        packer, zeros = zlib.compressobj(9, zlib.DEFLATED, 31), b"0" * 2**20
        for _ in range(1024):
            handler.raw(packer.compress(zeros))
        handler.raw(packer.flush())

    return answer


def cut(body: bytes, keep: int, *, announced: bool, content_type: str, encoding: str = "") -> Answer:
    """Send the first `keep` bytes of a body and close the connection; `announced`: with the length of the whole body."""

    def answer(handler: Handler) -> None:
        length = f"Content-Length: {len(body)}\r\n" if announced else ""
        packed = f"Content-Encoding: {encoding}\r\n" if encoding else ""
        handler.raw(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n{length}{packed}\r\n".encode() + body[:keep])
        handler.close_connection = True

    return answer


def reset_in_body(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 100000\r\n\r\n" + report()[:900])
    handler.reset()


def early_flood(handler: Handler) -> None:
    while True:
        handler.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)


def huge_headers(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\n")
    for number in range(200_000):
        handler.raw(f"X-Filler-{number}: {'f' * 500}\r\n".encode())


def raw(data: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        handler.raw(data)
        handler.close_connection = True

    return answer


def redirect(to: str) -> Answer:
    return lambda handler: handler.reply(302, b"", {"Location": to})


def elsewhere(handler: Handler) -> None:
    handler.reply(302, b"", {"Location": handler.server.fleet.url("b") + "/api/v3/meta"})


def only_a(answer: Answer) -> Answer:
    """Misbehave with the uploads of `a` and with no other."""

    def chosen(handler: Handler) -> None:
        if handler.document["instance"]["server_id"] == "id-a":
            return answer(handler)
        return handler.server.fleet.usual(handler)

    return chosen


def upload_of_a(**body: object) -> Callable[[Fleet, Path], None]:
    """Accept the upload of `a` without a newer sync, with this response."""
    return at(CLOUD, UPLOAD, only_a(reply({"upload_id": "up-a", "sync_state": "PENDING", **body}, 202)))


def state_of_a(state: object, error: object = "") -> Callable[[Fleet, Path], None]:
    """Let the cloud sync `a`, but let the endpoint report this state of its upload."""

    def prepare(fleet: Fleet, _: Path) -> None:
        def take(handler: Handler) -> None:
            fleet.sync("id-a")
            handler.reply(202, {"upload_id": "up-of-a", "sync_state": "PENDING"})

        fleet.instead[CLOUD, UPLOAD] = only_a(take)
        fleet.instead[CLOUD, "/uploads/up-of-a"] = reply({"sync_state": state, "error": error})

    return prepare


def listed(others: Iterable[Mapping[str, Any]]) -> Callable[[Fleet, Path], None]:
    def prepare(fleet: Fleet, _: Path) -> None:
        fleet.others = list(others)

    return prepare


def other(date: object = "2026-01-01T00:00:00Z", host: object = "other.example.com", status: object = "success") -> dict[str, Any]:
    return {"server_id": "id-other", "hostname": host, "last_sync": {"date": date, "status": status, "error": ""}}


def of_a(**changes: object) -> Callable[[Fleet, Path], None]:
    """Let every sync of `a` be listed with these changes."""

    def prepare(fleet: Fleet, _: Path) -> None:
        def answer(handler: Handler) -> None:
            entries = [
                {**each, "last_sync": {**each["last_sync"], **changes}} if each["server_id"] == "id-a" else each
                for each in fleet.listing()["server_instances"]
            ]
            handler.reply(200, {"server_instances": entries})

        fleet.instead[CLOUD, STATUS] = answer

    return prepare


def seats(**totals: object) -> Callable[[Fleet, Path], None]:
    def prepare(fleet: Fleet, _: Path) -> None:
        fleet.seats |= totals

    return prepare


def many_servers(handler: Handler) -> None:
    fleet = handler.server.fleet
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
    handler.close_connection = True
    rows = [f'{{"server_id": "id-{n:06}", "hostname": "host-{n:06}.example.com", "last_sync": null}}' for n in range(1000)]
    handler.raw(b'{"server_instances": [')
    for block in range(300):
        handler.raw(",".join(rows).replace('"id-', f'"id-{block}-').replace('"host-', f'"host-{block}-').encode() + b",")
    handler.raw(
        json.dumps(fleet.listing()["server_instances"])[1:].encode() + b"}" if fleet.listed else b'{"server_id": "z", "hostname": "z"}]}'
    )


def tls(*, trusted: bool, reset: bool = False) -> Callable[[Fleet, Path], None]:
    def prepare(fleet: Fleet, where: Path) -> None:
        if reset:
            fleet.urls["a"] = fleet.url("a").replace("http:", "https:")
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1" if not trusted else "wrong.example.com").configure_cert(context)
        fleet.wrap("a", context)

    return prepare


def reset_at_hello(fleet: Fleet, _: Path) -> None:
    fleet.resets.add("a")
    fleet.urls["a"] = fleet.url("a").replace("http:", "https:")


def nobody_there(fleet: Fleet, _: Path) -> None:
    fleet.urls["a"] = "http://127.0.0.1:1"


def export(text: bytes) -> Callable[[Fleet, Path], None]:
    """Let `a` have an export in a file."""

    def prepare(fleet: Fleet, where: Path) -> None:
        file = where / "export.json"
        file.write_bytes(text)
        fleet.sources["a"] = f'{{ kind = "file", path = "{file}" }}'

    return prepare


def next_link(to: Callable[[Fleet], str]) -> Answer:
    return lambda handler: handler.reply(
        200, handler.server.fleet.seats, {"Link": f'<{to(handler.server.fleet)}/enterprises/octo/consumed-licenses?page=2>; rel="next"'}
    )


def whole(answer: Answer) -> Callable[[Fleet, Path], None]:
    return at(CLOUD, STATUS, answer)


CSV = "text/csv"
ESCAPED = quote(DELIVERY_TOKEN).replace("-", "%2D") + " " + base64.b64encode(f"reader:{CLOUD_TOKEN}".encode()).decode()
OLD_ISO = (datetime.now(UTC) - timedelta(days=2)).isoformat()
OLD = format_datetime(datetime.now(UTC) - timedelta(days=2), usegmt=True)
DEEP = b"[" * 100_000
KINDS = [
    # an instance
    Kind("reset instead of a response", at("a", META, Handler.reset), "failed/connection_lost"),
    Kind("reset in the report's body", at("a", REPORT, reset_in_body), "failed/connection_lost"),
    Kind(
        "report shorter than its Content-Length",
        at("a", REPORT, cut(report(), 2000, announced=True, content_type=CSV)),
        "failed/connection_lost failed/truncated",
    ),
    Kind(
        "report without Content-Length, cut in a row",
        at("a", REPORT, cut(report(), 2010, announced=False, content_type=CSV)),
        "failed/truncated failed/report_truncated failed/connection_lost",
    ),
    Kind(
        "report without Content-Length, cut after a row",
        at("a", REPORT, cut(report(), report().index(b"2024-01-01,55,"), announced=False, content_type=CSV)),
        "failed/truncated failed/report_truncated failed/connection_lost held",
    ),
    Kind("report with 8 of 60 accounts missing", at("a", REPORT, reply(report(45), Content_Type=CSV)), "held"),
    Kind("endless JSON", at("a", META, endless(b"{", b" " * 65536)), "failed/too_large"),
    Kind(
        "endless cell in the report",
        at("a", REPORT, endless(report()[:200], b"x" * 65536, CSV)),
        "failed/report_truncated failed/report_malformed failed/too_large",
    ),
    Kind("one byte every 250 ms", at("a", META, drip), "failed/timeout", is_slow=True),
    Kind("gzip bomb as JSON (1 GiB)", at("a", META, bomb("application/json")), "failed/too_large"),
    Kind(
        "gzip bomb as the report (1 GiB)",
        at("a", REPORT, bomb(CSV)),
        "failed/too_large failed/report_malformed failed/report_not_csv failed/report_header_changed",
    ),
    Kind(
        "gzip that ends too early",
        at("a", REPORT, cut(gzip.compress(report()), 300, announced=False, content_type=CSV, encoding="gzip")),
        "failed/truncated",
    ),
    Kind("redirect loop", at("a", META, redirect("/api/v3/meta")), "failed/redirect_refused"),
    Kind("redirect to another host", at("a", META, elsewhere), "failed/redirect_refused"),
    Kind(
        "sign-in page instead of the report",
        at("a", REPORT, reply(b"<!DOCTYPE html><html>Sign in</html>", Content_Type="text/html")),
        "failed/bad_response",
    ),
    Kind("sign-in page instead of JSON", at("a", META, reply(b"<!DOCTYPE html><html>Sign in</html>", Content_Type="text/html")), NOT_SENT),
    Kind(
        "flood of 103 Early Hints",
        at("a", META, early_flood),
        "failed/timeout failed/too_large failed/bad_response failed/connection_lost",
        is_slow=True,
    ),
    Kind("100 MB of headers", at("a", META, huge_headers), "failed/too_large failed/bad_response failed/connection_lost"),
    Kind("not HTTP", at("a", META, raw(b"SSH-2.0-OpenSSH_9.2\r\n")), "failed/connection_lost failed/bad_response"),
    Kind(
        "negative Content-Length",
        at("a", META, raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}")),
        "failed/connection_lost failed/bad_response",
    ),
    Kind("empty 200 as JSON", at("a", META, reply()), NOT_SENT),
    Kind("empty 200 as the report", at("a", REPORT, reply(b"", Content_Type=CSV)), "failed/report_truncated"),
    Kind("invalid JSON", at("a", META, reply(b'{"installed_version": ')), NOT_SENT),
    Kind("JSON nested 100,000 levels", at("a", META, reply(DEEP)), NOT_SENT),
    Kind("NaN in JSON", at("a", LICENSE, reply(b'{"seats_used": NaN, "seats": 100}')), f"{NOT_SENT} {OK}"),
    Kind("lone surrogate in the version", at("a", META, reply(b'{"installed_version": "3.19.2\\ud800"}')), f"{OK} {NOT_SENT}"),
    Kind("escape sequence in the version", at("a", META, reply({"installed_version": f"3.19.2{FORGED}"})), f"{OK} {NOT_SENT}"),
    Kind("429 with a year of Retry-After", at("a", META, reply(b"", 429, Retry_After="31536000")), "failed/rate_limited"),
    Kind("503 for ever", at("a", META, reply(b"", 503)), "failed/maintenance"),
    Kind("seats_used that is the endpoint's token", at("a", LICENSE, reply({"seats_used": DELIVERY_TOKEN, "seats": 100})), OK),
    Kind("a version that is the endpoint's token", at("a", META, reply({"installed_version": f"3.19.2 {DELIVERY_TOKEN}"})), OK),
    Kind("seats_used 10**30", at("a", LICENSE, reply({"seats_used": 10**30, "seats": 100})), OK),
    Kind("negative counts", at("a", LICENSE, reply({"seats_used": -7, "seats": -1})), OK),
    Kind(
        "counts as text, a list, a fraction",
        at("a", LICENSE, reply({"seats_used": [1], "seats": 1.5, "days_until_expiration": "x"})),
        f"{OK} {NOT_SENT}",
    ),
    Kind("total_users 10**30", at("a", USERS, reply({"total_users": 10**30})), OK),
    Kind("certificate of an unknown authority", tls(trusted=False), "failed/tls_failed"),
    Kind("certificate for another host", tls(trusted=True), "failed/tls_failed"),
    Kind("plain HTTP on the TLS port", tls(trusted=False, reset=True), "failed/tls_failed failed/connection_lost"),
    Kind("reset at the TLS hello", reset_at_hello, "failed/connection_lost failed/tls_failed"),
    Kind("no server at the address", nobody_there, "failed/unreachable"),
    Kind("stored response: Age of 900,000 s", at("a", META, usual_with(Age="900000")), "failed/stale_answer"),
    Kind(
        "export with a key twice", export(b'{"server_id": "id-a", "server_id": "id-b", "host": "a.example.com"}'), "failed/export_malformed"
    ),
    Kind("export nested 100,000 levels", export(b'{"a":' * 100_000), "failed/export_malformed"),
    # the cloud
    Kind("another server with the date 0001-01-01", listed([other("0001-01-01T00:00:00Z", status="")]), OK),
    Kind("another server with unreadable dates", listed([other("yesterday"), other(10**30), other(True), other({"a": 1})]), OK),
    Kind("a host name that forges lines", listed([other(host=FORGED, status=FORGED)]), OK),
    Kind(
        "a host name with lone surrogates",
        whole(lambda h: h.reply(200, {"server_instances": [*h.server.fleet.listed.values(), other(host="x\ud800y")]})),
        f"{OK} {NOT_SENT}",  # JSON with a lone surrogate is refused as a whole
        f"{OK} {NOT_SENT}",
    ),
    Kind("an unreadable date of the instance", of_a(date="yesterday"), "delivered"),
    Kind("a zero date of the instance", of_a(date="0001-01-01T00:00:00Z"), "delivered"),
    Kind("a status that forges lines", of_a(status=FORGED), "failed/sync_failed delivered"),
    Kind(
        "another server that repeats the endpoint's token",  # which nothing has used yet
        listed([{"server_id": DELIVERY_TOKEN, "hostname": DELIVERY_TOKEN, "last_sync": {"status": f"{'x' * 50}{DELIVERY_TOKEN}"}}]),
        OK,
    ),
    Kind("an error that repeats tokens", of_a(status="failure", error=f"{ESCAPED} and {SOURCE_TOKEN}"), "failed/sync_failed"),
    Kind("a date that repeats a token", of_a(date=DELIVERY_TOKEN), "delivered"),
    Kind("300,000 listed servers", whole(many_servers), f"{OK} failed/too_large {NOT_SENT}", f"{OK} failed/too_large {NOT_SENT}"),
    Kind("stored status: Age of 900,000 s", whole(usual_with(Age="900000")), "failed/stale_answer", "failed/stale_answer"),
    Kind("stored status: two Ages", whole(usual_with(Age="0, 900000")), "failed/stale_answer", "failed/stale_answer"),
    Kind("stored status: Age of 30 digits", whole(usual_with(Age="9" * 30)), "failed/stale_answer", "failed/stale_answer"),
    Kind("Age that is no number", whole(usual_with(Age="old")), OK),
    Kind("Date that is no date", whole(usual_with(Date="yesterday")), OK),
    Kind("stored status: Date in another form", whole(usual_with(Date=OLD_ISO)), "failed/stale_answer", "failed/stale_answer"),
    Kind("stored status: Date two days old", whole(usual_with(Date=OLD)), "failed/stale_answer", "failed/stale_answer"),
    Kind("non-ASCII ETag", whole(usual_with(ETag='"\u00e9tat"')), OK),
    Kind("sign-in page of the cloud", whole(reply(b"<html>unicorn</html>")), NOT_SENT, NOT_SENT),
    Kind("a key twice in the status", whole(reply(b'{"server_instances": [], "server_instances": []}')), NOT_SENT, NOT_SENT),
    Kind("a status nested 100,000 levels", whole(reply(DEEP)), NOT_SENT, NOT_SENT),
    Kind("endless status", whole(endless(b'{"server_instances": [', b" " * 65536)), "failed/too_large", "failed/too_large"),
    Kind(
        "status with 429 and a year of Retry-After",
        whole(reply(b"", 429, Retry_After="31536000")),
        "failed/rate_limited",
        "failed/rate_limited",
    ),
    Kind(
        "503 of the cloud for ever",
        whole(reply(b"", 503)),
        "failed/server_error failed/maintenance",
        "failed/server_error failed/maintenance",
    ),
    Kind("total_seats_consumed 10**30", seats(total_seats_consumed=10**30), OK),
    Kind("negative seats", seats(total_seats_consumed=-5, total_seats_purchased=-1), OK),
    Kind("next link to another host", at(CLOUD, SEATS, next_link(lambda fleet: fleet.url("b"))), OK),
    Kind("next link to the same page", at(CLOUD, SEATS, next_link(lambda fleet: fleet.url(CLOUD))), OK),
    Kind("GraphQL with errors: 5", at(CLOUD, GRAPHQL, reply({"errors": 5})), OK),
    # the endpoint
    Kind("upload state FAILED", state_of_a("FAILED"), "failed/upload_failed"),
    Kind("upload state failure", state_of_a("failure"), "failed/upload_failed"),
    Kind("upload state REJECTED", state_of_a("REJECTED"), "failed/upload_failed"),
    Kind("upload state SUCCESS with an error", state_of_a("SUCCESS", {"code": 7}), "failed/upload_failed"),
    Kind("upload state QUEUED", state_of_a("QUEUED"), "delivered"),
    Kind("upload state that is unknown", state_of_a("COMPLETE-ish"), "delivered"),
    Kind("upload state that is an object", state_of_a({"a": 1}), "delivered"),
    Kind("202 that says FAILURE", upload_of_a(sync_state="FAILURE", error="no"), "failed/upload_failed"),
    Kind("upload_id that is the token", upload_of_a(upload_id=DELIVERY_TOKEN), "failed/bad_response"),
    Kind('upload_id ".."', upload_of_a(upload_id=".."), "failed/bad_response delivered"),
    Kind("upload_id of 100,000 characters", upload_of_a(upload_id="u" * 100_000), "failed/bad_response delivered"),
    Kind("upload_id with line breaks", upload_of_a(upload_id=FORGED), "failed/bad_response delivered"),
    Kind(
        "sign-in page for an upload",
        at(CLOUD, UPLOAD, only_a(reply(b"<html>Sign in</html>"))),
        "failed/bad_response failed/rejected failed/upload_refused",
    ),
    Kind("reset instead of the response to an upload", at(CLOUD, UPLOAD, only_a(Handler.reset)), "failed/connection_lost delivered"),
    Kind("redirect of an upload", at(CLOUD, UPLOAD, only_a(redirect("http://127.0.0.2:1/"))), "failed/redirect_refused failed/rejected"),
    Kind("503 for every upload", at(CLOUD, UPLOAD, only_a(reply(b"", 503))), "failed/server_error failed/maintenance"),
]
