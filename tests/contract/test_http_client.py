"""The HTTP client against a real server on loopback: every bound, every refusal, TLS, and proxies."""

import asyncio
import base64
import contextlib
import datetime as dt
import errno
import os
import socket
import ssl
import struct
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from licsync_daemon import __version__
from licsync_daemon.http.advice import Side
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.connection_errors import translated
from licsync_daemon.http.response import Limits
from licsync_daemon.http.route import proxy_address
from licsync_daemon.http.tunnel import Tunnel
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination
from tests.contract.loopback import Respond, Seen, Server, answer, packed, serving

SMALL = Limits(deadline_s=5, wire_bytes=50_000, decoded_bytes=100_000)
MIB = 1024 * 1024


def a_client(server: Server | str, **changes: Any) -> HttpClient:
    url = server if isinstance(server, str) else server.url
    to = {key: changes.pop(key) for key in ("proxy", "ca_file", "client_cert", "client_key") if key in changes}
    return HttpClient(**{"to": Destination(url=url, **to), "side": Side.CLOUD, "authorization": lambda: "Bearer secret", **changes})


async def fetch(client: HttpClient, path: str = "x", limits: Limits = SMALL) -> bytes:
    async with client, client.get(path, operation="the thing", limits=limits) as response:
        return await response.read()


def got(script: Callable[[Server], None], *, limits: Limits = SMALL, **changes: Any) -> tuple[bytes | RemoteError, list[Seen]]:
    """Serve a script, fetch `/x`, and return the body or the error, and what the server received."""

    async def main() -> tuple[bytes | RemoteError, list[Seen]]:
        async with serving() as server:
            script(server)
            try:
                found: bytes | RemoteError = await fetch(a_client(server, **changes), limits=limits)
            except RemoteError as error:
                found = error
            return found, server.seen

    return asyncio.run(main())


def error_of(*answers: bytes | Respond, limits: Limits = SMALL, **changes: Any) -> RemoteError:
    found, _ = got(lambda server: server.on("/x", *answers), limits=limits, **changes)
    assert isinstance(found, RemoteError), found
    return found


def body_of(*answers: bytes | Respond, limits: Limits = SMALL, **changes: Any) -> bytes:
    found, _ = got(lambda server: server.on("/x", *answers), limits=limits, **changes)
    assert isinstance(found, bytes), found
    return found


# ---------------------------------------------------------------- what is sent, what is read


def test_what_a_request_carries() -> None:
    """The program's name, the requested version, the credential, and a verifiable encoding; nothing else identifies this machine."""
    _, (seen,) = got(lambda server: server.on("/x", answer()), headers={"X-GitHub-Api-Version": "2022-11-28"})
    assert seen.headers["user-agent"] == f"licsync-daemon/{__version__}"
    assert seen.headers["x-github-api-version"] == "2022-11-28"
    assert seen.headers["authorization"] == "Bearer secret"
    assert seen.headers["accept-encoding"] == "gzip"
    assert seen.headers["accept"] == "application/json"
    assert set(seen.headers) == {"host", "accept", "accept-encoding", "connection", "user-agent", "authorization", "x-github-api-version"}


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (answer(body=b"plain"), b"plain"),
        (answer(body=b""), b""),
        (answer(body=packed(b"packed"), content_encoding="gzip"), b"packed"),
        (answer(body=packed(b"packed"), content_encoding="GZIP"), b"packed"),
        (answer(body=b"plain", content_encoding="identity"), b"plain"),
        (answer(body=b"5\r\nplain\r\n0\r\n\r\n", content_length="", transfer_encoding="chunked"), b"plain"),
    ],
    ids=["plain", "empty", "gzip", "gzip in capitals", "identity", "chunked"],
)
def test_bodies_that_are_read(raw: bytes, body: bytes) -> None:
    """Plain, compressed and chunked bodies come out whole."""
    assert body_of(raw) == body


def test_a_body_that_ends_with_the_connection_is_read() -> None:
    """Without a length the end of the connection ends the body."""

    async def close(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b"plain", content_length=""))
        writer.close()

    assert body_of(close) == b"plain"


def test_paths_lie_below_the_destination() -> None:
    """A destination with a path of its own keeps it."""

    async def main() -> list[str]:
        async with serving() as server:
            server.on("/api/v3/meta", answer())
            await fetch(a_client(f"{server.url}/api/v3"), "meta")
            return [seen.target for seen in server.seen]

    assert asyncio.run(main()) == ["/api/v3/meta"]


# ---------------------------------------------------------------- bounds


async def silence(_: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(body=b"", content_length="100000"))
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("respond", [silence, drip], ids=["silence", "one byte at a time"])
def test_one_deadline_covers_the_whole_exchange(respond: Respond) -> None:
    """A silent or slow server times out at the deadline, which is transient."""
    began = asyncio.new_event_loop()
    started = began.time()
    error = error_of(respond, limits=Limits(deadline_s=0.3, wire_bytes=MIB, decoded_bytes=MIB))
    assert 0.3 <= began.time() - started < 3
    began.close()
    assert (error.code, error.transient) == (Code.TIMEOUT, True)


def test_the_deadline_covers_what_is_done_with_the_body() -> None:
    """Redirects and every page of the body share the one deadline."""

    async def slow(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(answer(302, location="/x"))
        await writer.drain()

    assert error_of(slow, limits=Limits(deadline_s=0.3, wire_bytes=MIB, decoded_bytes=MIB)).code is Code.TIMEOUT


@pytest.mark.parametrize(("size", "fits"), [(49_999, True), (50_000, True), (50_001, False)])
def test_the_wire_cap(size: int, fits: bool) -> None:
    """Not one byte over the cap is accepted from the wire."""
    raw = answer(body=b"x" * size)
    if fits:
        assert len(body_of(raw)) == size
    else:
        error = error_of(raw)
        assert (error.code, error.transient) == (Code.TOO_LARGE, False)


@pytest.mark.parametrize(("size", "fits"), [(99_999, True), (100_000, True), (100_001, False)])
def test_the_decoded_cap(size: int, fits: bool) -> None:
    """Not one byte over the cap comes out of the decompression."""
    raw = answer(body=packed(b"x" * size), content_encoding="gzip")
    if fits:
        assert len(body_of(raw)) == size
    else:
        assert error_of(raw).code is Code.TOO_LARGE


def test_a_gzip_bomb_costs_no_memory() -> None:
    """A body that unpacks to 256 MiB is refused at the limit, using little more memory than that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(4 * MIB)
    bomb = b"".join(packer.compress(zeros) for _ in range(64)) + packer.flush()
    raw = answer(body=bomb, content_encoding="gzip")
    tracemalloc.start()
    error = error_of(raw, limits=Limits(deadline_s=20, wire_bytes=16 * MIB, decoded_bytes=2 * MIB))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code is Code.TOO_LARGE
    assert peak < len(raw) * 3 + 12 * MIB


# ---------------------------------------------------------------- bodies that are not whole


async def reset(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(body=b"half", content_length="100"))
    await writer.drain()
    writer.transport.abort()


async def short(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(body=b"half", content_length="100"))
    writer.close()


async def hang_up(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize(
    ("raw", "code", "transient"),
    [
        (answer(body=packed(b"x" * 1000)[:-4], content_encoding="gzip"), Code.TRUNCATED, True),
        (answer(body=packed(b"x" * 1000)[:10], content_encoding="gzip"), Code.TRUNCATED, True),
        (answer(body=b"", content_encoding="gzip"), Code.TRUNCATED, True),
        (answer(body=packed(b"whole") + b"more", content_encoding="gzip"), Code.BAD_RESPONSE, False),
        (answer(body=packed(b"whole") + packed(b" and another"), content_encoding="gzip"), Code.BAD_RESPONSE, False),
        (answer(body=b"no gzip at all", content_encoding="gzip"), Code.BAD_RESPONSE, False),
        (answer(body=packed(b"x" * 1000)[:-8] + b"\0" * 8, content_encoding="gzip"), Code.BAD_RESPONSE, False),
        (answer(content_encoding="br"), Code.BAD_RESPONSE, False),
        (short, Code.CONNECTION_LOST, True),
        (reset, Code.CONNECTION_LOST, True),
        (hang_up, Code.CONNECTION_LOST, True),
        (b"garbage\r\n\r\n", Code.CONNECTION_LOST, True),
        (answer(body=b"5\r\npla", content_length="3", transfer_encoding="chunked"), Code.CONNECTION_LOST, True),
    ],
    ids=[
        "gzip without its end",
        "gzip cut early",
        "empty gzip",
        "gzip with a tail",
        "two gzip bodies",
        "no gzip",
        "wrong checksum",
        "unknown encoding",
        "short",
        "reset",
        "hung up",
        "no HTTP",
        "half a chunk",
    ],
)
def test_bodies_that_are_not_whole(raw: bytes | Respond, code: Code, transient: bool) -> None:
    """A truncated or corrupt body is never accepted as a shorter one."""

    async def and_close(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if isinstance(raw, bytes):
            writer.write(raw)
            writer.close()
        else:
            await raw(seen, writer)

    error = error_of(and_close)
    assert (error.code, error.transient) == (code, transient)
    assert error.cause.startswith("the thing")


def test_nobody_there() -> None:
    """A refused connection and an unresolved name are distinguished; both are transient."""

    async def main() -> list[RemoteError]:
        async with serving() as server:
            gone = server.url
        errors = []
        for url in (gone, "http://no-such-host.invalid:1"):
            with pytest.raises(RemoteError) as refused:
                await fetch(a_client(url))
            errors.append(refused.value)
        return errors

    refused, unknown = asyncio.run(main())
    assert (refused.code, refused.transient) == (Code.UNREACHABLE, True)
    assert "connection refused" in refused.cause
    assert (unknown.code, unknown.transient) == (Code.UNREACHABLE, True)
    assert "no-such-host.invalid cannot be resolved" in unknown.cause


# ---------------------------------------------------------------- refusals


def test_a_refusal_quotes_the_far_side() -> None:
    """The error has the status, GitHub's message, and the stated wait."""
    error = error_of(answer(429, b'{"message": "slow down"}', retry_after="7"))
    assert (error.code, error.status, error.retry_after) == (Code.RATE_LIMITED, 429, dt.timedelta(seconds=7))
    assert error.cause == 'the thing returned 429: "slow down"'


@pytest.mark.parametrize(
    "raw",
    [
        answer(502, b"x" * 60_000),
        answer(502, b"not gzip", content_encoding="gzip"),
        answer(502, packed(b"x" * 1000)[:20], content_encoding="gzip"),
        answer(502, b"x", content_encoding="br"),
        short,
    ],
    ids=["long", "no gzip", "cut gzip", "unknown encoding", "short"],
)
def test_a_refusal_is_known_by_its_status_whatever_its_body(raw: bytes | Respond) -> None:
    """A broken error page does not make a transient error permanent."""

    async def bad_gateway(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(502, b"half", content_length="100"))
        writer.close()

    error = error_of(bad_gateway if raw is short else raw)
    assert (error.code, error.status, error.transient) == (Code.SERVER_ERROR, 502, True)


def test_wanted_statuses_are_answers() -> None:
    """An expected status is not an error: the body is read."""

    async def main() -> int:
        async with serving() as server:
            server.on("/x", answer(202, b""))
            async with a_client(server) as client, client.get("x", operation="the thing", wanted=(200, 202)) as response:
                return response.status

    assert asyncio.run(main()) == 202


# ---------------------------------------------------------------- credentials


def rotating(*values: str) -> Callable[[], str]:
    left = list(values)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    ("credentials", "answers", "used", "outcome"),
    [
        (("old", "new"), (401, 200), ["old", "new"], None),
        (("old", "new"), (401, 401, 200), ["old", "new"], Code.UNAUTHORIZED),
        (("old", "new", "newer"), (401, 401, 200), ["old", "new"], Code.UNAUTHORIZED),
        (("same",), (401, 200), ["same"], Code.UNAUTHORIZED),
        (("old", "new"), (403, 200), ["old"], Code.FORBIDDEN),
    ],
    ids=["rotated", "both refused", "rotated twice", "not rotated", "a 403 is no question of the token's age"],
)
def test_a_rotated_credential_is_used_once(
    credentials: tuple[str, ...], answers: tuple[int, ...], used: list[str], outcome: Code | None
) -> None:
    """After a 401 the credential is read again, and used once if it has changed."""
    found, seen = got(lambda server: server.on("/x", *(answer(status) for status in answers)), authorization=rotating(*credentials))
    assert [one.headers["authorization"] for one in seen] == used
    assert (found.code if isinstance(found, RemoteError) else None) is outcome


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_redirects_within_the_origin_are_followed(status: int, absolute: bool) -> None:
    """The body at the end of the redirect is returned, and the credential is sent there."""

    def script(server: Server) -> None:
        server.on("/x", answer(status, location=f"{server.url}/y" if absolute else "/y"))
        server.on("/y", answer(body=b"there"))

    found, seen = got(script)
    assert found == b"there"
    assert [(one.target, one.headers["authorization"]) for one in seen] == [("/x", "Bearer secret"), ("/y", "Bearer secret")]


@pytest.mark.parametrize(("hops", "code"), [(3, None), (4, Code.REDIRECT_REFUSED)])
def test_three_redirects_are_the_most(hops: int, code: Code | None) -> None:
    """Three hops are followed, a fourth is not."""

    def script(server: Server) -> None:
        server.on("/x", answer(302, location="/1"))
        for number in range(1, hops):
            server.on(f"/{number}", answer(302, location=f"/{number + 1}"))
        server.on(f"/{hops}", answer(body=b"there"))

    found, seen = got(script)
    assert (found.code if isinstance(found, RemoteError) else None) is code
    assert len(seen) == 4


@pytest.mark.parametrize("location", ["/x", ""], ids=["to itself", "without a place"])
def test_a_redirect_that_never_ends(location: str) -> None:
    """A loop ends after the third hop."""
    error = error_of(answer(302, location=location))
    assert (error.code, error.transient) == (Code.REDIRECT_REFUSED, False)
    assert "too many times" in error.cause


@pytest.mark.parametrize("location", ["https://127.0.0.1:1/", "//elsewhere.example.com/", "ftp://x/", "https:///"])
def test_redirects_elsewhere_are_refused(location: str) -> None:
    """Another host, port or scheme is named and not followed."""
    error = error_of(answer(302, location=location))
    assert (error.code, error.transient) == (Code.REDIRECT_REFUSED, False)


@pytest.mark.parametrize("location", ["http://[::1", "javascript:x", "http://x:port/"])
def test_redirects_to_nowhere_are_refused(location: str) -> None:
    """An invalid address is an error, and nothing is followed."""
    found, seen = got(lambda server: server.on("/x", answer(302, location=location)))
    assert isinstance(found, RemoteError)
    assert len(seen) == 1


def test_no_token_goes_to_another_port() -> None:
    """The server that a redirect points to gets no request."""

    async def main() -> tuple[list[Seen], RemoteError]:
        async with serving() as server, serving() as other:
            server.on("/x", answer(307, location=f"{other.url}/steal"))
            with pytest.raises(RemoteError) as refused:
                await fetch(a_client(server))
            return other.seen, refused.value

    seen, error = asyncio.run(main())
    assert seen == []
    assert "127.0.0.1" in error.cause


# ---------------------------------------------------------------- posting


async def pieces() -> AsyncIterator[bytes]:
    yield b"hello "
    yield b"world"


def post(*answers: bytes, authorization: Callable[[], str] = lambda: "Bearer secret") -> tuple[object, list[Seen]]:
    async def main() -> tuple[object, list[Seen]]:
        async with serving() as server:
            server.on("/uploads", *answers)
            client = a_client(f"{server.url}/uploads", side=Side.DELIVERY, authorization=authorization)
            headers = {"Content-Length": "11", "Content-Type": "application/json", "Idempotency-Key": "k"}
            try:
                async with client:
                    found: object = await client.post(operation="the upload", headers=headers, body=pieces)
            except RemoteError as error:
                found = error.code
            return found, server.seen

    return asyncio.run(main())


def test_a_body_is_streamed_with_its_length() -> None:
    """The document is streamed with its known length and the given headers."""
    found, (seen,) = post(answer(202, b'{"upload_id": "u"}'))
    assert found == (202, {"upload_id": "u"})
    assert (seen.method, seen.body, seen.headers["content-length"], seen.headers["idempotency-key"]) == ("POST", b"hello world", "11", "k")
    assert "transfer-encoding" not in seen.headers


def test_a_rotated_credential_sends_the_body_again_whole() -> None:
    """The second attempt after a 401 sends the whole body again."""
    found, seen = post(answer(401), answer(202, b"{}"), authorization=rotating("old", "new"))
    assert found == (202, {})
    assert [(one.body, one.headers["authorization"]) for one in seen] == [(b"hello world", "old"), (b"hello world", "new")]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (answer(204), Code.REJECTED),
        (answer(307, location="/uploads"), Code.REJECTED),
        (answer(202, b"<html>"), Code.BAD_RESPONSE),
        (answer(413), Code.UPLOAD_TOO_LARGE),
        (answer(422), Code.UPLOAD_REFUSED),
        (answer(409), Code.UPLOAD_CONFLICT),
        (answer(503), Code.SERVER_ERROR),
    ],
    ids=["204", "redirect", "no JSON", "413", "422", "409", "503"],
)
def test_only_a_200_201_or_202_accepts_an_upload(raw: bytes, code: Code) -> None:
    """Every other response is an error with the delivery's own code; an upload follows no redirect."""
    found, seen = post(raw)
    assert found is code
    assert len(seen) == 1


def test_an_upload_is_sent_as_it_is_read() -> None:
    """An endpoint may refuse at once without reading the body; the next step says what that may mean."""
    whole, read = 256, 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(whole):
            read += 1
            yield bytes(MIB // 4)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(413))
        writer.close()

    async def main() -> RemoteError:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/uploads"
            async with a_client(url, side=Side.DELIVERY) as client:
                with pytest.raises(RemoteError) as refused:
                    await client.post(operation="it", headers={"Content-Length": str(whole * MIB // 4)}, body=pieces)
            return refused.value

    error = asyncio.run(main())
    assert read < whole / 2
    assert error.code in {Code.UPLOAD_TOO_LARGE, Code.CONNECTION_LOST}
    assert error.code is Code.UPLOAD_TOO_LARGE or "as too large" in error.next_step


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def over_tls(context: ssl.SSLContext, host: str = "localhost", **changes: Any) -> bytes | RemoteError:
    async def main() -> bytes | RemoteError:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)  # a refused handshake is no news
        async with serving(context, host=host) as server:
            server.on("/x", answer(body=b"private"))
            try:
                return await fetch(a_client(server, **changes))
            except RemoteError as error:
                return error

    return asyncio.run(main())


def refused_over_tls(context: ssl.SSLContext, host: str = "localhost", **changes: Any) -> RemoteError:
    found = over_tls(context, host, **changes)
    assert isinstance(found, RemoteError), found
    assert (found.code, found.transient) == (Code.TLS_FAILED, False)
    for word in ("disable", "insecure", "verify=", "skip", "ignore"):
        assert word not in (found.cause + found.next_step).lower()
    return found


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_an_own_authority_is_accepted(authority: trustme.CA, ca_file: Path, host: str) -> None:
    """With `ca_file` a certificate of a private CA is trusted, for a name and for an address."""
    assert over_tls(server_context(authority.issue_cert(host)), host, ca_file=ca_file) == b"private"


def test_a_certificate_of_ours_is_shown_where_it_is_wanted(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """A relay that requires a client certificate gets it; without one, the connection fails; an unusable one is named."""
    context = server_context(authority.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    ours = authority.issue_cert("licsync.example.com")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    ours.cert_chain_pems[0].write_to_path(cert)
    ours.private_key_pem.write_to_path(key)
    assert over_tls(context, ca_file=ca_file, client_cert=cert, client_key=key) == b"private"
    without = over_tls(context, ca_file=ca_file, side=Side.DELIVERY)
    assert isinstance(without, RemoteError)
    assert without.code in {Code.TLS_FAILED, Code.CONNECTION_LOST}
    assert "`client_cert` and `client_key`" in without.next_step
    unusable = refused_over_tls(context, ca_file=ca_file, client_cert=cert, client_key=ca_file)
    assert "client_key" in unusable.next_step


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("shown", [False, True], ids=["none", "a stranger's"])
def test_a_far_side_that_refuses_our_certificate_is_told_apart(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, version: ssl.TLSVersion, shown: bool
) -> None:
    """The server sends an alert: the client certificate is at fault, not its own. (asyncio's servers close without one.)"""
    context = server_context(authority.issue_cert("localhost"))
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    authority.configure_trust(context)
    stranger = trustme.CA().issue_cert("licsync.example.com")
    stranger.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    stranger.private_key_pem.write_to_path(tmp_path / "key.pem")
    ours = {"client_cert": tmp_path / "cert.pem", "client_key": tmp_path / "key.pem"} if shown else {}

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as shaken:
                    with contextlib.suppress(ssl.SSLError):
                        shaken.do_handshake()
                    while os.read(shaken.fileno(), 4096):  # a reset for what is unread might overtake the alert
                        pass

        threading.Thread(target=refuse, daemon=True).start()
        client = a_client(f"https://localhost:{listener.getsockname()[1]}", side=Side.DELIVERY, ca_file=ca_file, **ours)
        with pytest.raises(RemoteError) as refused:
            asyncio.run(fetch(client))
        listener.shutdown(socket.SHUT_RDWR)

    assert (refused.value.code, refused.value.transient) == (Code.TLS_FAILED, False)
    assert "the server requires a client certificate" in refused.value.cause
    assert "`client_cert` and `client_key`" in refused.value.next_step


def test_a_key_with_a_passphrase_is_refused_instead_of_asked_for(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """OpenSSL would prompt on the terminal; a daemon has none."""
    ours = authority.issue_cert("licsync.example.com")
    key = serialization.load_pem_private_key(ours.private_key_pem.bytes(), None)
    locked = tmp_path / "key.pem"
    encryption = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    cert = tmp_path / "cert.pem"
    ours.cert_chain_pems[0].write_to_path(cert)
    found = refused_over_tls(server_context(authority.issue_cert("localhost")), ca_file=ca_file, client_cert=cert, client_key=locked)
    assert "passphrase" in found.cause


def test_an_unknown_authority_is_refused(authority: trustme.CA) -> None:
    """Without it the same certificate is not."""
    assert "ca_file" in refused_over_tls(server_context(authority.issue_cert("localhost"))).next_step


def test_another_authority_is_refused(ca_file: Path) -> None:
    """A private CA replaces the system's CAs."""
    refused_over_tls(server_context(trustme.CA().issue_cert("localhost")), ca_file=ca_file)


def test_a_wrong_host_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    """A good certificate for another name does not help."""
    assert "hostname mismatch" in refused_over_tls(server_context(authority.issue_cert("other.example.com")), ca_file=ca_file).cause


def test_an_expired_certificate_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    """A certificate past its date is named as such."""
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    expired = authority.issue_cert("localhost", not_before=past - dt.timedelta(days=1), not_after=past)
    assert "expired" in refused_over_tls(server_context(expired), ca_file=ca_file).cause


def test_tls_1_1_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    """A server that supports at most TLS 1.1 is refused."""
    context = server_context(authority.issue_cert("localhost"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    found = over_tls(context, "localhost", ca_file=ca_file)
    assert isinstance(found, RemoteError)
    assert "closed during the TLS handshake" in found.cause  # asyncio's servers send no alert
    assert "TLS 1.2 or later" in found.next_step


def said_at_hello(talk: Callable[[socket.socket], None], side: Side, **changes: Any) -> RemoteError:
    """Return the error for a server that does `talk` instead of a handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    talk(connection)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(RemoteError) as raised:
            asyncio.run(fetch(a_client(f"https://127.0.0.1:{listener.getsockname()[1]}", side=side, **changes)))
        listener.shutdown(socket.SHUT_RDWR)
    return raised.value


def alert(number: int) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(bytes([21, 3, 3, 0, 2, 2, number]))

    return talk


def reset(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def plain(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


HELLO = {  # what a server says: the code, and a part of the cause
    "no common cipher or version": (alert(40), Code.TLS_FAILED, "no TLS version or cipher in common"),
    "too old a version": (alert(70), Code.TLS_FAILED, "no TLS version or cipher in common"),
    "too weak": (alert(71), Code.TLS_FAILED, "no TLS version or cipher in common"),
    "an unknown name": (alert(112), Code.TLS_FAILED, "does not serve this host name"),
    "an error of its own": (alert(80), Code.TLS_FAILED, "the TLS connection failed"),
    "no TLS": (plain, Code.TLS_FAILED, "the response is not TLS"),
    "a reset": (reset, Code.CONNECTION_LOST, "reset during the TLS handshake"),
    "the end": (lambda connection: connection.recv(4096), Code.CONNECTION_LOST, "closed during the TLS handshake"),
}


@pytest.mark.parametrize("what", HELLO)
@pytest.mark.parametrize("side", [Side.CLOUD, Side.INSTANCE, Side.WEBHOOK, Side.DELIVERY])
def test_a_failed_handshake_has_its_true_cause(what: str, side: Side) -> None:
    """None is "connection refused" or a certificate's fault, and only a delivery has a client certificate to set."""
    talk, code, cause = HELLO[what]
    error = said_at_hello(talk, side)
    assert (error.code, cause in error.cause) == (code, True)
    assert "refused" not in error.cause
    assert ("client_cert" in error.next_step) is (side is Side.DELIVERY and what == "no common cipher or version")


@pytest.mark.parametrize("number", [42, 43, 44, 45, 46, 48, 49, 116])
def test_an_alert_about_the_client_certificate_names_it_where_one_can_be_set(number: int) -> None:
    """RFC 8446, 6.2: these are about the certificate of the side that receives the alert."""
    for side in Side:
        error = said_at_hello(alert(number), side)
        assert "client certificate" in error.cause
        assert ("`client_cert`" in error.next_step) is (side is Side.DELIVERY)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_open_files_are_no_fault_of_the_network(number: int) -> None:
    """It is temporary, so it is retried, and has a name of its own."""
    error = httpx.ConnectError("All connection attempts failed")
    error.__context__ = ExceptionGroup("attempts", [OSError(number, "too many open files")])
    found = translated(error, "the thing", Destination(url="https://ghes.invalid"), Side.CLOUD, Tunnel())
    assert (found.code, found.transient, "open files" in found.cause) == (Code.TOO_MANY_FILES, True, True)


@pytest.mark.parametrize("content", [None, "", "no certificate"], ids=["missing", "empty", "other text"])
def test_an_unreadable_authority_is_an_error_before_any_request(tmp_path: Path, content: str | None) -> None:
    """An unusable `ca_file` is named; the system's CAs are not used instead."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    async def main() -> None:
        await fetch(a_client("https://127.0.0.1:1", ca_file=path))

    with pytest.raises(RemoteError) as refused:
        asyncio.run(main())
    assert refused.value.code is Code.TLS_FAILED
    assert str(path) in refused.value.cause


def test_a_plain_server_behind_https_is_a_tls_error(ca_file: Path) -> None:
    """A server without TLS is a TLS failure, not a lost connection."""

    async def main() -> RemoteError:
        ended = asyncio.Event()

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                writer.write(answer(400))
                await reader.read()
            writer.transport.abort()
            ended.set()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            with pytest.raises(RemoteError) as refused:
                await fetch(a_client(f"https://localhost:{server.sockets[0].getsockname()[1]}", ca_file=ca_file))
            await ended.wait()
            await asyncio.sleep(0)
            return refused.value

    assert asyncio.run(main()).code is Code.TLS_FAILED


# ---------------------------------------------------------------- proxies


def through(proxy: Callable[[str], str | None], **changes: Any) -> tuple[bytes | RemoteError, list[Seen]]:
    """Fetch from a name that only the proxy resolves; return the outcome and what the proxy received."""

    async def main() -> tuple[bytes | RemoteError, list[Seen]]:
        async with serving() as server:
            server.on("http://ghes.invalid:80/x", answer(body=b"through the proxy"))
            server.on("http://ghes.invalid/x", answer(body=b"through the proxy"))
            try:
                found: bytes | RemoteError = await fetch(a_client("http://ghes.invalid", proxy=proxy(server.url), **changes))
            except RemoteError as error:
                found = error
            return found, server.seen

    return asyncio.run(main())


def test_a_configured_proxy_is_used() -> None:
    """Requests go through the proxy, which gets no credential of its own where none is set."""
    found, (seen,) = through(lambda url: url, proxy_auth=lambda: "")
    assert found == b"through the proxy"
    assert "proxy-authorization" not in seen.headers


@pytest.mark.parametrize("line", ["user:pass", "user:pa:ss", "üser:pässword"])
def test_a_proxys_credential_is_sent(line: str) -> None:
    """`USER:PASSWORD` becomes basic authentication; further colons belong to the password."""
    _, (seen,) = through(lambda url: url, proxy_auth=lambda: line)
    assert base64.b64decode(seen.headers["proxy-authorization"].removeprefix("Basic ")).decode() == line


@pytest.fixture
def in_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    def set_all(url: str, *, no_proxy: str = "") -> None:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("no_proxy", no_proxy)

    return set_all  # type: ignore[return-value]


def test_the_environments_proxy_is_ignored(in_environment: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables and `.netrc` have no effect unless configured."""
    in_environment("http://127.0.0.1:1")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    found, (seen,) = got(lambda server: server.on("/x", answer(body=b"direct")))
    assert found == b"direct"
    assert seen.headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("with_scheme", [True, False], ids=["with a scheme", "host and port"])
def test_the_environments_proxy_is_used_when_asked_for(in_environment: Callable[..., None], with_scheme: bool) -> None:
    """`proxy = "env"` uses the variables, in both common forms."""

    def opt_in(url: str) -> str:
        in_environment(url if with_scheme else url.removeprefix("http://"))
        return "env"

    found, (seen,) = through(opt_in)
    assert found == b"through the proxy"
    assert seen.target.startswith("http://ghes.invalid")


def test_no_proxy_is_obeyed_when_asked_for(in_environment: Callable[..., None]) -> None:
    """`proxy = "env"` obeys `no_proxy` as well."""
    in_environment("http://127.0.0.1:1", no_proxy="127.0.0.1")
    assert body_of(answer(body=b"direct"), proxy="env") == b"direct"


@pytest.mark.parametrize("address", ["gopher://x:1", "http://[::1", "socks5://127.0.0.1:1"], ids=["scheme", "broken", "socks"])
def test_a_proxy_of_the_environment_that_cannot_be_used(in_environment: Callable[..., None], address: str) -> None:
    """An unusable variable is an error with a next step."""
    in_environment(address)
    with pytest.raises(RemoteError, match=r"proxy address for ghes\.invalid is not usable") as refused:
        asyncio.run(fetch(a_client("http://ghes.invalid", proxy="env")))
    assert refused.value.code is Code.UNREACHABLE
    assert "proxy" in refused.value.next_step


@pytest.mark.parametrize("stray", ["hu@sh", "hu#sh", "hu/sh", "hu?sh", "hu\\sh", "hu sh"])
@pytest.mark.parametrize("scheme", ["http://", "https://", ""])
def test_no_part_of_a_proxys_password_is_shown_or_looked_up(
    in_environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch, stray: str, scheme: str
) -> None:
    """A password with a stray @ # / or ? splits the address elsewhere: a part of it would become the host."""
    in_environment(f"{scheme}svc:{stray}word@127.0.0.1:9")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    with pytest.raises(RemoteError) as refused:
        asyncio.run(fetch(a_client("https://ghes.invalid", proxy="env")))
    assert "proxy address" in refused.value.cause
    assert not any(part in str(refused.value) + refused.value.next_step for part in ("hu", "svc"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.9.10", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("proxy", ["env", "http://192.0.2.1:3128"])
def test_plain_http_to_this_machine_never_goes_through_a_proxy(in_environment: Callable[..., None], host: str, proxy: str) -> None:
    """A proxy elsewhere would read the token in clear; https is encrypted to the destination."""
    in_environment("http://192.0.2.1:3128")
    assert proxy_address(Destination(url=f"http://{host}:8080/uploads", proxy=proxy)) is None
    assert proxy_address(Destination(url="https://relay.example.com/uploads", proxy="http://192.0.2.1:3128")) == "http://192.0.2.1:3128"


def test_a_proxy_that_refuses() -> None:
    """A proxy that requires a credential is distinguished from a destination that is down."""

    async def main() -> RemoteError:
        async with serving() as server:
            server.on("ghes.invalid:443", answer(407))
            with pytest.raises(RemoteError) as refused:
                await fetch(a_client("https://ghes.invalid", proxy=server.url))
            return refused.value

    error = asyncio.run(main())
    assert (error.code, error.transient) == (Code.UNREACHABLE, True)
    assert "`proxy_auth`" in error.next_step


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def at_a_proxy(
    serve: Serve, *, scheme: str = "http", tls: ssl.SSLContext | None = None, limits: Limits = SMALL, **changes: Any
) -> RemoteError:
    """Fetch through a proxy that behaves as `serve`; return the error."""

    async def main() -> RemoteError:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)
        served: list[asyncio.Task[Any] | None] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(asyncio.current_task())
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await serve(reader, writer)
            writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        try:
            address = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(RemoteError) as refused:
                await fetch(a_client("https://ghes.invalid", proxy=address, **changes), limits=limits)
            return refused.value
        finally:
            await asyncio.gather(*(task for task in served if task), return_exceptions=True)
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)

    return asyncio.run(main())


def saying(words: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)  # CONNECT, or the beginning of TLS
        writer.write(words)
        await writer.drain()
        writer.close()

    return serve


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@pytest.mark.parametrize(
    ("serve", "scheme", "code", "words"),
    [
        (closing, "http", Code.CONNECTION_LOST, "closed the connection instead of connecting"),
        (saying(b""), "http", Code.CONNECTION_LOST, "closed the connection instead of connecting"),
        (saying(b"SSH-2.0-x\r\n\r\n"), "http", Code.CONNECTION_LOST, "closed the connection instead of connecting"),
        (hanging, "http", Code.TIMEOUT, "did not connect in time"),
        (closing, "https", None, ""),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "https", None, ""),
        (saying(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), "http", Code.UNREACHABLE, "503 Service Unavailable"),
    ],
    ids=["closes at once", "closes after CONNECT", "another protocol", "silent", "closes instead of TLS", "no TLS", "cannot reach it"],
)
def test_a_dead_proxy_is_named_as_the_proxy(serve: Serve, scheme: str, code: Code | None, words: str) -> None:
    """Not the destination, which nobody has asked yet."""
    error = at_a_proxy(serve, scheme=scheme, limits=Limits(deadline_s=0.5, wire_bytes=1, decoded_bytes=1))
    assert (code is None or error.code is code, "proxy" in error.cause, words in error.cause) == (True, True, True), error.cause
    assert "proxy" in error.next_step


def test_the_login_methods_of_a_proxy_are_named() -> None:
    """A proxy without Basic: no user name and password can help."""
    refusal = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
    error = at_a_proxy(saying(refusal), proxy_auth=lambda: "svc:secret")
    assert (error.code, "Negotiate or NTLM" in error.cause, "no user name and password can help" in error.next_step) == (
        Code.UNREACHABLE,
        True,
        True,
    )


def test_a_proxy_whose_certificate_is_not_trusted_is_named(authority: trustme.CA) -> None:
    """The certificate of the destination is not to blame."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    error = at_a_proxy(hanging, scheme="https", tls=context)
    assert (error.code, "TLS with the proxy 127.0.0.1:" in error.cause, "`ca_file`" in error.next_step) == (Code.TLS_FAILED, True, True)


def test_the_ca_of_the_destination_is_trusted_for_its_proxy_too(authority: trustme.CA, ca_file: Path) -> None:
    """TLS with the proxy succeeds, and its refusal arrives."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    error = at_a_proxy(saying(b"HTTP/1.1 403 By policy\r\n\r\n"), scheme="https", tls=context, ca_file=ca_file)
    assert "the proxy refused the connection (403 By policy)" in error.cause


def test_nothing_is_left_open() -> None:
    """Leaving the client closes its connections: the server sees them end."""

    async def main() -> bool:
        ended = asyncio.Event()

        async def watch(seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(answer())
            await writer.drain()
            asyncio.ensure_future(writer.wait_closed()).add_done_callback(lambda task: (task.exception(), ended.set()))

        async with serving() as server:
            server.on("/x", watch)
            await fetch(a_client(server))
            async with asyncio.timeout(5):
                await ended.wait()
        return True

    assert asyncio.run(main())


@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
def test_a_200_with_a_web_page_is_something_in_between(content_type: str) -> None:
    """A sign-in page in front of GitHub is named as such, whatever it calls itself."""
    page = b"<!DOCTYPE html><html><title>Sign in</title></html>"

    async def main() -> RemoteError:
        async with serving() as server:
            server.on("/x", answer(200, page, content_type=content_type))
            async with a_client(server, side=Side.CLOUD) as client:
                with pytest.raises(RemoteError) as refused:
                    async with client.get("x", operation="the thing") as response:
                        await response.json()
                return refused.value

    error = asyncio.run(main())
    assert (error.code, "web page" in error.cause, "sign-in" in error.next_step) == (Code.BAD_RESPONSE, True, True)
