"""What a client sees of each kind of fault; and no fault delays the end of the sandbox."""

import socket
import threading
import time
from urllib.parse import urlsplit

import httpx
import pytest

from licsync_daemon.practice.sandbox import Fault, Sandbox

META = "/api/v3/meta"
STATS = "/api/v3/enterprise/stats/users"


@pytest.fixture
def emea(box):
    return box.instances["emea"]


@pytest.fixture
def hit(box, emea, ask):
    """Set one fault, and request the statistics."""

    def hit(kind, path=STATS, **options):
        box.faults.add(Fault("emea", "/", kind, times=1, **options))
        return ask.ghes(emea, path)

    return hit


def test_status(hit):
    reply = hit("status", status=429, headers={"Retry-After": "7"}, body="slow down", content_type="text/plain")

    assert (reply.status_code, reply.headers["retry-after"], reply.text, reply.headers["content-type"]) == (
        429,
        "7",
        "slow down",
        "text/plain",
    )


def test_reset(hit, box):
    with pytest.raises(httpx.ReadError):
        hit("reset")
    assert box.requests[-1].status == 0


def test_reset_in_mid_body(hit):
    with pytest.raises(httpx.ReadError):
        hit("reset_mid_body")


def test_a_short_body(hit):
    with pytest.raises(httpx.RemoteProtocolError):
        hit("short_body")


def test_a_truncated_gzip_stream_arrives_with_a_true_length(box, emea, http, ask):
    ask.report(emea)
    box.faults.add(Fault("emea", "/", "truncated_gzip"))

    with http.stream("GET", f"{emea.url}/stafftools/reports/all_users.csv", auth=(emea.username, emea.token)) as reply:
        raw = b"".join(reply.iter_raw())

    assert reply.headers["content-encoding"] == "gzip"
    assert int(reply.headers["content-length"]) == len(raw)


def test_slow(box, emea, http):
    box.faults.add(Fault("emea", "/", "slow"))

    with http.stream("GET", emea.url + META, auth=(emea.username, emea.token)) as reply:
        started = time.monotonic()
        begun = b"".join(part for _, part in zip(range(3), reply.iter_raw(1), strict=False))

    assert begun == b'{"v'
    assert time.monotonic() - started > 0.15


def test_an_endless_body(box, emea, http):
    box.faults.add(Fault("emea", "/", "huge"))
    size = 0

    with http.stream("GET", emea.url + STATS, auth=(emea.username, emea.token)) as reply:
        for part in reply.iter_bytes():
            size += len(part)
            if size > 5_000_000:
                break

    assert size > 5_000_000


def test_a_request_with_a_lost_reply_is_processed(box, ask, document_of):
    amer = box.instances["amer"]
    box.faults.add(Fault("cloud", "/licsync/uploads", "lost_reply", times=1))

    with pytest.raises(httpx.ReadError):
        ask.deliver(box, document_of(amer))

    assert box.cloud.holdings(amer.server_id) == amer.as_sent()


def test_a_request_that_is_reset_is_not_processed(box, ask, document_of):
    box.faults.add(Fault("cloud", "/licsync/uploads", "reset", times=1))

    with pytest.raises(httpx.ReadError):
        ask.deliver(box, document_of(box.instances["amer"]))

    assert box.cloud.uploads() == []


@pytest.mark.parametrize("kind", ["hang", "huge", "slow"])
def test_no_fault_delays_the_stop(fleet, kind):
    box = Sandbox(fleet)
    box.start()
    box.faults.add(Fault("emea", "/", kind))
    address = urlsplit(box.instances["emea"].url)
    idle = socket.create_connection((address.hostname, address.port))
    busy = socket.create_connection((address.hostname, address.port))
    busy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.05)

    started = time.monotonic()
    box.stop()

    assert time.monotonic() - started < 1.0
    assert [thread for thread in threading.enumerate() if thread.name.startswith("sandbox-")] == []
    idle.close()
    busy.close()


def test_a_hanging_request_is_not_answered(box, emea, http):
    box.faults.add(Fault("emea", "/", "hang"))

    with pytest.raises(httpx.ReadTimeout):
        http.get(emea.url + STATS, auth=(emea.username, emea.token), timeout=0.2)
