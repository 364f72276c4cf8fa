"""The contract of `Channel` over every implementation, and what each channel does on its wire: real servers on loopback."""

import asyncio
import contextlib
import json
import ssl
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from licsync_daemon.model.alert import Event, Message
from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.model.instance import Destination, MailNotifier, WebhookNotifier
from licsync_daemon.model.ports import Channel
from licsync_daemon.monitoring.alerts import as_json
from licsync_daemon.monitoring.channels.build import channels, mail
from licsync_daemon.monitoring.channels.mail import own_name
from licsync_daemon.settings.credentials import Credentials
from tests.contract.loopback import Server, answer, serving
from tests.contract.smtp_server import Mailbox, mail_server
from tests.fakes import T0, FakeChannel, an_alert

OPENED = Message(
    event=Event.OPENED,
    alert=an_alert(text="früher erreichbar"),
    subject="[licsync] alert: emea: unreachable",
    lines=("früher erreichbar", "", "Next step: look at the network"),
    at=T0,
)
PASSWORD = {"LICSYNC_NOTIFY__MAIL__PASSWORD": "right"}
TO = ("ops@example.com", "second@example.com")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def context_of(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def mail_to(port: int, **changes: Any) -> MailNotifier:
    return MailNotifier(
        **{
            "host": "localhost", "port": port, "security": "none", "sender": "licsync@example.org", "to": TO,
            "password": ("notify__mail__password",), **changes,
        }
    )  # fmt: skip


def built(to: MailNotifier | WebhookNotifier, environ: dict[str, str] | None = None) -> Channel:
    (one,) = channels([to], Credentials(Path("/nonexistent"), environ or {}))
    return one


async def outcome(channel: Channel, *messages: Message) -> RunError | None:
    try:
        for message in messages:
            await channel.send(message)
    except RunError as error:
        return error
    return None


# ---------------------------------------------------------------- the contract


@dataclass
class Channel:
    """An implementation with its server: what has arrived there, and how to make it refuse everything."""

    notifier: Channel
    arrived: Callable[[], list[str]]
    refuse: Callable[[], None]


async def a_fake(stack: AsyncExitStack) -> Channel:
    fake = FakeChannel()

    def refuse() -> None:
        fake.fail = [RemoteError(Code.REJECTED, "no", "look")] * 9

    return Channel(fake, lambda: [one.subject for one in fake.told], refuse)


async def a_mail(stack: AsyncExitStack) -> Channel:
    box = await stack.enter_async_context(mail_server(Mailbox()))

    def refuse() -> None:
        box.answer = "550 5.7.1 no"

    return Channel(built(mail_to(box.port)), lambda: [str(one["Subject"]) for one in box.letters], refuse)


async def a_webhook(stack: AsyncExitStack) -> Channel:
    server = await stack.enter_async_context(serving())
    server.on("/hook", answer())
    refused: list[int] = []

    def refuse() -> None:
        server.on("/hook", answer(400))
        refused.append(len(server.seen))

    def arrived() -> list[str]:
        return [json.loads(one.body)["subject"] for one in (server.seen[: refused[0]] if refused else server.seen)]

    return Channel(built(WebhookNotifier(at=Destination(url=f"{server.url}/hook"))), arrived, refuse)


EVERY = {"fake": a_fake, "mail": a_mail, "webhook": a_webhook}


@pytest.mark.parametrize("kind", EVERY)
def test_a_message_that_was_taken_has_arrived(kind: str) -> None:
    """When `tell` returns, the message has arrived; a second message arrives separately."""

    async def main() -> tuple[str, list[list[str]]]:
        async with AsyncExitStack() as stack:
            channel = await EVERY[kind](stack)
            seen = []
            for message in (OPENED, replace(OPENED, event=Event.CLOSED, subject="[licsync] resolved: emea: unreachable")):
                await channel.notifier.send(message)
                seen.append(channel.arrived())
            return channel.notifier.name, seen

    name, seen = asyncio.run(main())
    assert seen == [[OPENED.subject], [OPENED.subject, "[licsync] resolved: emea: unreachable"]]
    assert name == kind


@pytest.mark.parametrize("kind", EVERY)
def test_a_message_that_was_refused_is_an_error_with_a_next_step(kind: str) -> None:
    """Nothing has arrived, and the caller gets an error with a next step."""

    async def main() -> tuple[RunError | None, list[str]]:
        async with AsyncExitStack() as stack:
            channel = await EVERY[kind](stack)
            channel.refuse()
            return await outcome(channel.notifier, OPENED), channel.arrived()

    error, arrived = asyncio.run(main())
    assert error is not None
    assert (error.code, bool(error.cause), bool(error.next_step), arrived) == (Code.REJECTED, True, True, [])


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept a connection and never reply."""
    try:
        await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_a_far_side_that_says_nothing_holds_nobody_who_cancels(kind: str) -> None:
    """A cancellation ends the call and its connection at once."""

    async def main() -> bool:
        gone = asyncio.Event()
        came = asyncio.Event()

        async def watched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.set()
            try:
                await silent(reader, writer)
            finally:
                gone.set()

        server = await asyncio.start_server(watched, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        channel = built(mail_to(port) if kind == "mail" else WebhookNotifier(at=Destination(url=f"http://127.0.0.1:{port}")))
        task = asyncio.create_task(channel.send(OPENED))
        await asyncio.wait_for(came.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 1)
        await asyncio.wait_for(gone.wait(), 5)
        server.close()
        await server.wait_closed()
        return gone.is_set()

    assert asyncio.run(main())


# ---------------------------------------------------------------- mail


def mailed(
    box: Mailbox, *, environ: dict[str, str] | None = None, message: Message = OPENED,
    starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, **changes: Any,
) -> RunError | None:  # fmt: skip
    """Send a message to a mailbox; return the error."""

    async def main() -> RunError | None:
        async with mail_server(box, starttls=starttls, tls=tls):
            return await outcome(built(mail_to(box.port, **changes), environ), message)

    return asyncio.run(main())


def test_what_a_mail_holds() -> None:
    """Plain text with the message, to all recipients at once; its headers contain nothing about this machine."""
    box = Mailbox()
    assert mailed(box) is None
    (letter,) = box.letters
    assert letter.get_content() == "früher erreichbar\n\nNext step: look at the network\n".replace("\n", "\r\n")
    assert (letter.get_content_type(), letter["From"], letter["To"]) == ("text/plain", "licsync@example.org", ", ".join(TO))
    assert (letter["Subject"], letter["Auto-Submitted"]) == (OPENED.subject, "auto-generated")
    assert parsedate_to_datetime(letter["Date"]) == T0
    assert str(letter["Message-ID"]).startswith("<")
    assert str(letter["Message-ID"]).endswith("@example.org>")
    assert box.recipients == [list(TO)]
    assert set(letter.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    assert box.raw[0].isascii()


def test_two_mails_have_two_ids() -> None:
    """Otherwise a server might drop the second."""
    box = Mailbox()
    mailed(box)
    mailed(box)
    assert len({str(one["Message-ID"]) for one in box.letters}) == 2


def test_no_text_can_add_a_header_or_a_line() -> None:
    """A quoted server message is one printable line in the subject."""
    box = Mailbox()
    evil = replace(OPENED, subject="over\r\nBcc: everybody@example.com\x1b[31m", lines=("text\r\n.\r\nMAIL FROM:<x>\x07",))
    assert mailed(box, message=evil) is None
    (letter,) = box.letters
    assert letter["Bcc"] is None
    assert letter["Subject"] == "over Bcc: [address]"
    assert letter.get_content() == "text.MAIL FROM:<x>\r\n"
    assert box.recipients == [list(TO)]


@pytest.mark.parametrize(("beginning", "indent"), [("", ""), ("   ", "   "), ("1. ", "   ")], ids=["text", "indented", "list item"])
def test_long_lines_are_wrapped_and_addresses_stay_whole(beginning: str, indent: str) -> None:
    """At 76 columns between words, with a hanging indent."""
    box = Mailbox()
    page = "https://github.com/enterprises/" + "octo-" * 20
    item = beginning + "Keep the JSON file that is downloaded. " * 4 + page
    assert mailed(box, message=replace(OPENED, lines=(item,))) is None
    first, *more = box.letters[0].get_content().splitlines()
    assert first.startswith(f"{beginning}Keep the JSON")
    assert all(line.startswith(indent) and line[len(indent)] != " " for line in more)
    assert more[-1] == indent + page
    assert all(len(line) <= 76 for line in (first, *more[:-1]))


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_over_tls_with_a_login(authority: trustme.CA, ca_file: Path, security: str) -> None:
    """The certificate is verified with the private CA before login and mail."""
    box = Mailbox()
    tls = context_of(authority)
    assert mailed(box, environ=PASSWORD, security=security, ca_file=ca_file, username="licsync", **{security: tls}) is None
    assert (box.over_tls, box.logins, len(box.letters)) == ([True], [("licsync", "right")], 1)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("fault", ["unknown authority", "another name"])
def test_a_certificate_that_is_not_the_servers_is_refused(authority: trustme.CA, ca_file: Path, security: str, fault: str) -> None:
    """Neither the password nor the mail is sent; this cannot be disabled."""
    box = Mailbox()
    tls = context_of(trustme.CA()) if fault == "unknown authority" else context_of(authority, "mx.example.com")
    error = mailed(box, environ=PASSWORD, security=security, ca_file=ca_file, username="licsync", **{security: tls})
    assert error is not None
    assert (error.code, box.logins, box.letters) == (Code.TLS_FAILED, [], [])
    assert "certificate" in error.cause


def test_old_tls_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    """TLS 1.2 is the minimum."""
    tls = context_of(authority)
    tls.set_ciphers("DEFAULT:@SECLEVEL=0")
    tls.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    error = mailed(Mailbox(), security="tls", ca_file=ca_file, tls=tls)
    assert error is not None
    assert error.code is Code.TLS_FAILED


def test_a_server_without_starttls_gets_nothing(ca_file: Path) -> None:
    """An attacker who removes STARTTLS from the reply gets neither password nor mail."""
    box = Mailbox()
    error = mailed(box, environ=PASSWORD, security="starttls", ca_file=ca_file, username="licsync")
    assert error is not None
    assert (error.code, box.logins, box.letters) == (Code.TLS_FAILED, [], [])
    assert "does not offer STARTTLS" in error.cause


def test_an_unreadable_authority_is_named(tmp_path: Path) -> None:
    """Before any connection."""
    error = mailed(Mailbox(), security="starttls", ca_file=tmp_path / "none.pem")
    assert error is not None
    assert (error.code, str(tmp_path / "none.pem") in error.cause) == (Code.TLS_FAILED, True)


def test_a_wrong_password_is_no_secret_to_tell(authority: trustme.CA, ca_file: Path) -> None:
    """The error names the credential, not its value, even if the server repeats it."""
    box = Mailbox(password="other")
    tls = context_of(authority)
    error = mailed(box, environ=PASSWORD, security="starttls", ca_file=ca_file, username="licsync", starttls=tls)
    assert error is not None
    assert (error.code, box.letters) == (Code.UNAUTHORIZED, [])
    assert "notify__mail__password" in error.next_step
    assert error.cause == 'mail through localhost: the server returned 535: "5.7.8 [secret] is not the password"'


@pytest.mark.parametrize(("password", "code"), [("right", None), ("other", Code.UNAUTHORIZED)])
def test_signing_in_tells_whether_a_message_would_go(authority: trustme.CA, ca_file: Path, password: str, code: Code | None) -> None:
    """Up to the login all is as for a message, and nothing is sent."""
    box = Mailbox(password=password)

    async def main() -> RunError | None:
        async with mail_server(box, starttls=context_of(authority)):
            to = mail_to(box.port, security="starttls", ca_file=ca_file, username="licsync")
            try:
                await mail(to, Credentials(Path("/nonexistent"), PASSWORD)).try_out()
            except RunError as error:
                return error
        return None

    error = asyncio.run(main())
    assert ((error.code if error else None), set(box.logins), box.letters) == (code, {("licsync", "right")}, [])


@pytest.mark.parametrize(
    ("environ", "code"),
    [({}, Code.CREDENTIAL_MISSING), ({"LICSYNC_NOTIFY__MAIL__PASSWORD": "päss"}, Code.CREDENTIAL_MALFORMED)],
    ids=["none", "beyond ASCII"],
)
def test_a_password_that_cannot_be_used(authority: trustme.CA, ca_file: Path, environ: dict[str, str], code: Code) -> None:
    """The error comes before any connection."""
    box = Mailbox()
    tls = context_of(authority)
    error = mailed(box, environ=environ, security="starttls", ca_file=ca_file, username="licsync", starttls=tls)
    assert error is not None
    assert (error.code, box.logins, "päss" in str(error)) == (code, [], False)


def test_a_server_without_a_login_is_told_apart() -> None:
    """A password is configured, and the server does not offer login."""
    error = mailed(Mailbox(), environ=PASSWORD, username="licsync")
    assert error is not None
    assert (error.code, "does not offer login" in error.cause) == (Code.REJECTED, True)


@pytest.mark.parametrize("offered", ["XOAUTH2", "GSSAPI NTLM", "NTLM"])
def test_login_methods_that_do_not_fit_are_named(offered: str) -> None:
    """A hosted server that takes XOAUTH2 only, one on premises that takes NTLM only: not the addresses are to blame."""
    error = asyncio.run(mail_outcome(replying(HELLO, f"250-mx\r\n250 AUTH {offered}"), username="licsync"))
    assert error is not None
    assert (error.code, "`notify.mail` from and to" in error.next_step) == (Code.REJECTED, False)
    assert offered.replace(" ", ", ") in error.cause


@pytest.mark.parametrize("what", ["closes", "is silent"])
def test_a_port_that_expects_tls_at_once_is_named(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 465 with STARTTLS, both sides wait for the other to begin."""
    monkeypatch.setattr("licsync_daemon.monitoring.channels.mail.STEP_S", 0.2)

    async def main() -> RunError | None:
        served: list[asyncio.Task[Any] | None] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(asyncio.current_task())
            if what == "is silent":
                await reader.read()
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr("licsync_daemon.monitoring.channels.mail.IMPLICIT_TLS", port)
        try:
            return await outcome(built(mail_to(port, security="starttls")), OPENED)
        finally:
            await asyncio.gather(*(task for task in served if task))
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)

    error = asyncio.run(main())
    assert error is not None
    assert (error.code, 'security` to "tls"' in error.next_step) == (Code.TLS_FAILED, True)


def test_one_good_recipient_is_enough() -> None:
    """The refused ones are logged; the message is sent."""
    box = Mailbox(refuse=(TO[0],))
    assert mailed(box) is None
    assert box.recipients == [[TO[1]]]


def test_without_any_recipient_it_was_not_taken() -> None:
    """The server's message is quoted, without the address."""
    error = mailed(Mailbox(refuse=TO))
    assert error is not None
    assert (error.code, error.cause) == (
        Code.REJECTED,
        'mail through localhost: the server returned 550: "5.1.1 <[address]>: no such mailbox"',
    )


@pytest.mark.parametrize(
    ("said", "code", "transient"),
    [("451 4.7.1 greylisted", Code.SERVER_ERROR, True), ("554 5.7.1 spam", Code.REJECTED, False)],
)
def test_a_refusal_may_pass(said: str, code: Code, transient: bool) -> None:
    """A 4xx reply is transient, a 5xx reply permanent."""
    error = mailed(Mailbox(answer=said))
    assert isinstance(error, RemoteError)
    assert (error.code, error.transient, said[4:] in error.cause) == (code, transient, True)


def test_a_server_that_is_not_there() -> None:
    """Unreachable, with what to check."""

    async def main() -> RunError | None:
        async with mail_server(Mailbox()) as box:
            port = box.port
        return await outcome(built(mail_to(port)), OPENED)

    error = asyncio.run(main())
    assert error is not None
    assert (error.code, "notify.mail" in error.next_step) == (Code.UNREACHABLE, True)


async def mail_outcome(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **changes: Any
) -> RunError | None:  # fmt: skip
    """Send a mail to a server with this behavior; return the error."""
    handlers: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        with suppress(OSError):
            await answer(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        return await outcome(built(mail_to(server.sockets[0].getsockname()[1], **changes), PASSWORD), OPENED)
    finally:
        await asyncio.gather(*(task for task in handlers if task))
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, replies: tuple[str, ...]) -> None:
    for number, reply in enumerate(replies):
        if number > 0:
            await reader.readline()
        writer.write(f"{reply}\r\n".encode())
        await writer.drain()


def replying(*replies: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a server that greets, replies to each command in turn, and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await converse(reader, writer, replies)
        writer.close()

    return serve


HELLO = "220 mx.example.com"
LOST, LATER, NEVER, TLS = Code.CONNECTION_LOST, Code.SERVER_ERROR, Code.REJECTED, Code.TLS_FAILED


def test_a_server_that_ends_the_conversation(subtests: pytest.Subtests) -> None:
    """At each step: the connection, the greeting, the commands, the start of TLS."""
    for name, (replies, changes, code, transient) in {
        "closes at once": ((), {}, LOST, True),
        "closes after the greeting": ((HELLO,), {}, LOST, True),
        "greets with a permanent refusal": (("554 no",), {}, NEVER, False),
        "greets with a temporary refusal": (("421 busy",), {}, LATER, True),
        "greets with something else": (("HTTP/1.1 400 Bad Request",), {}, NEVER, False),
        "knows neither EHLO nor HELO": ((HELLO, "502 no", "502 no"), {}, NEVER, False),
        "refuses the sender": ((HELLO, "250 mx", "550 no", "250 ok", "221 bye"), {}, NEVER, False),
        "closes after a refusal": ((HELLO, "250 mx", "421 busy"), {}, LATER, True),
        "closes at the first recipient": ((HELLO, "250 mx", "250 ok", "421 busy"), {}, LATER, True),
        "closes at the login": ((HELLO, "250-mx\r\n250 AUTH PLAIN LOGIN", "421 busy"), {"username": "licsync"}, LATER, True),
        "closes at EHLO before TLS": ((HELLO, "421 busy"), {"security": "starttls"}, LATER, True),
        "refuses to start TLS": ((HELLO, "250-mx\r\n250 STARTTLS", "454 not now"), {"security": "starttls"}, LATER, True),
        "does not know EHLO, so no TLS": ((HELLO, "502 no"), {"security": "starttls"}, TLS, False),
        "does not know EHLO, so no login": ((HELLO, "502 no"), {"username": "licsync"}, NEVER, False),
        "does not speak TLS": ((HELLO,), {"security": "tls"}, TLS, False),
        "closes instead of TLS": ((), {"security": "tls"}, TLS, False),
    }.items():
        with subtests.test(name):
            error = asyncio.run(mail_outcome(replying(*replies), **changes))
            assert isinstance(error, RemoteError)
            assert (error.code, error.transient) == (code, transient)
            assert error.next_step
            assert "421 busy" not in replies or 'returned 421: "busy"' in error.cause


@pytest.mark.parametrize("step", [0, 1, 2], ids=["greeting", "EHLO", "MAIL"])
@pytest.mark.parametrize(
    "piece", [b"220-" + b"x" * 8000 + b"\r\n", b"220-a\r\n", b"x" * 8000, b"\r\n"], ids=["lines", "short", "no end", "blank"]
)
def test_a_reply_without_end_is_bounded(step: int, piece: bytes) -> None:
    """A mail server that sends for ever, at any step, takes neither the memory nor the time of the daemon."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for reply in (b"220 mx\r\n", b"250 mx\r\n")[:step]:
                writer.write(reply)
                await reader.readline()
            while True:
                writer.write(piece * 50)
                await writer.drain()

    tracemalloc.start()
    try:
        error = asyncio.run(mail_outcome(flood))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(error, RemoteError)
    assert error.code in {Code.REJECTED, Code.SERVER_ERROR}
    assert "not SMTP" in error.cause
    assert peak < 20 * 1024 * 1024


def test_a_server_without_extensions() -> None:
    """HELO is enough for a message without TLS and login."""
    replies = (HELLO, "502 no", "250 mx", "250 ok", "250 ok", "250 ok", "354 go")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await converse(reader, writer, replies)
        while await reader.readline() != b".\r\n":
            pass
        writer.write(b"250 ok\r\n")
        await reader.readline()
        writer.close()

    assert asyncio.run(mail_outcome(serve)) is None


def test_the_name_in_the_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's full name, else its address, since servers refuse a short name."""
    monkeypatch.setattr("socket.getfqdn", lambda: "ghes-tools.example.com")
    assert own_name() == "ghes-tools.example.com"
    monkeypatch.setattr("socket.getfqdn", lambda: "container")
    monkeypatch.setattr("socket.gethostbyname", lambda _: "172.17.0.2")
    assert own_name() == "[172.17.0.2]"


def test_a_server_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline covers the whole message."""
    monkeypatch.setattr("licsync_daemon.monitoring.channels.mail.DEADLINE_S", 0.1)

    error = asyncio.run(mail_outcome(silent))
    assert error is not None
    assert error.code is Code.TIMEOUT


# ---------------------------------------------------------------- webhook


def posted(script: Callable[[Server], None], environ: dict[str, str] | None = None) -> tuple[RunError | None, Server]:
    async def main() -> tuple[RunError | None, Server]:
        async with serving() as server:
            script(server)
            at = Destination(url=f"{server.url}/services/T000/secret", token=("notify__webhook__token",))
            to = WebhookNotifier(at=at, secret_path=("notify__webhook__secret_path",))
            return await outcome(built(to, environ), OPENED), server

    return asyncio.run(main())


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_is_posted(status: int) -> None:
    """The documented object as UTF-8, without a credential unless configured; any 2xx is a success, whatever its body."""
    body = b"" if status == 204 else b"<p>ok</p>"
    error, server = posted(lambda server: server.on("/services/T000/secret", answer(status, body)))
    assert error is None
    (seen,) = server.seen
    assert (seen.method, seen.headers["content-type"], "authorization" in seen.headers) == ("POST", "application/json", False)
    assert json.loads(seen.body) == as_json(OPENED)
    assert "früher".encode() in seen.body


def test_a_token_goes_with_it() -> None:
    """As a bearer."""
    _, server = posted(lambda server: server.on("/services/T000/secret", answer()), {"LICSYNC_NOTIFY__WEBHOOK__TOKEN": "t-1"})
    assert server.seen[0].headers["authorization"] == "Bearer t-1"


@pytest.mark.parametrize("rest", ["/B00/x%2Fy", "?api-version=1&sig=a%2Bb%3D", "/B00?sig=a%2Bb%3D"])
def test_the_rest_of_the_address_is_a_credential(rest: str) -> None:
    """A path, a query or both; sent unchanged."""
    error, server = posted(
        lambda server: server.on("/services/T000/secret" + rest, answer()), {"LICSYNC_NOTIFY__WEBHOOK__SECRET_PATH": rest}
    )
    assert error is None
    assert [one.target for one in server.seen] == ["/services/T000/secret" + rest]


@pytest.mark.parametrize("rest", ["B00", "https://x.example.com/", "/a b", "/ü", "/a#b", ""])
def test_a_rest_of_an_address_that_cannot_be_one(rest: str) -> None:
    """The error does not contain the value, and nothing is sent."""
    error, server = posted(lambda server: None, {"LICSYNC_NOTIFY__WEBHOOK__SECRET_PATH": rest})
    assert error is not None
    assert (error.code, server.seen) == (Code.CREDENTIAL_MALFORMED, [])
    assert not rest or rest not in str(error)


@pytest.mark.parametrize("said", ["Route POST:/services/T000/secret not found", "not signed: sig=T000", "unknown hook T000"])
def test_an_answer_that_repeats_the_address_is_not_quoted(said: str) -> None:
    """Its message may contain the secret."""
    error, _ = posted(lambda server: server.on("/services/T000/secret", answer(404, json.dumps({"message": said}).encode())))
    assert error is not None
    assert error.cause == "the webhook at 127.0.0.1 returned 404"


def test_a_proxy_that_cannot_be_used_does_not_show_the_address() -> None:
    """Only its host."""
    at = Destination(url="https://127.0.0.1/services/T000/secret", proxy="socks5://proxy.example.com")
    error = asyncio.run(outcome(built(WebhookNotifier(at=at)), OPENED))
    assert error is not None
    assert (error.code, "proxy" in error.cause, "T000" in error.cause) == (Code.UNREACHABLE, True, False)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answer(401), Code.UNAUTHORIZED),
        (answer(403), Code.FORBIDDEN),
        (answer(404), Code.NOT_FOUND),
        (answer(503), Code.SERVER_ERROR),
        (answer(302, location="/elsewhere"), Code.REJECTED),
        (answer(400, b'{"message": "invalid_payload"}'), Code.REJECTED),
    ],
    ids=["401", "403", "404", "503", "redirect", "400"],
)
def test_what_a_webhook_refuses(reply: bytes, code: Code) -> None:
    """With cause and next step; the path, which may be a secret, is not shown."""
    error, server = posted(lambda server: server.on("/services/T000/secret", reply))
    assert error is not None
    assert (error.code, len(server.seen)) == (code, 1)
    assert "webhook" in error.cause
    assert "T000" not in error.cause + error.next_step


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"ok", None),
        (b"1", None),
        (b"", None),
        (b'{"ok":true}', None),
        (b"no_service T000", Code.REJECTED),
        (b'{"ok":false,"error":"channel_not_found T000"}', Code.REJECTED),
        (b"Webhook message delivery failed with error: endpoint returned HTTP error 429", Code.RATE_LIMITED),
        (b"<!DOCTYPE html><html><title>Sign in to T000</title></html>", Code.BAD_RESPONSE),
    ],
)
def test_a_2xx_whose_body_says_no_is_a_failure(body: bytes, code: Code | None) -> None:
    """The message was not taken; the body, which may contain the secret, is not quoted."""
    error, server = posted(lambda server: server.on("/services/T000/secret", answer(200, body)))
    assert ((error.code if error else None), len(server.seen)) == (code, 1)
    assert error is None or "T000" not in error.cause + error.next_step


def test_a_body_that_never_ends_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status was 2xx, and what can be read of the body within a moment says nothing else."""
    monkeypatch.setattr("licsync_daemon.http.client.EXCERPT_S", 0.1)

    async def main() -> RunError | None:
        served: list[asyncio.Task[Any] | None] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(asyncio.current_task())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
            await reader.read()  # until the client has had enough
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
            return await outcome(built(WebhookNotifier(at=Destination(url=url))), OPENED)
        finally:
            await asyncio.gather(*(task for task in served if task))
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)

    assert asyncio.run(main()) is None
