"""A real SMTP server on loopback, in the test's own loop."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Mailbox:
    """What arrived, and how the server behaves: `refuse` are the recipients it refuses, `answer` is its reply to the content."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    over_tls: list[bool] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    password: str = "right"
    refuse: tuple[str, ...] = ()
    answer: str = "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        if address in self.refuse:
            return f"550 5.1.1 <{address}>: no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            letter = message_from_bytes(envelope.content, policy=default)
            assert isinstance(letter, EmailMessage)
            self.raw.append(envelope.content)
            self.letters.append(letter)
            self.recipients.append(envelope.rcpt_tos)
            self.over_tls.append(session.ssl is not None or isinstance(server.transport.get_extra_info("ssl_object"), ssl.SSLObject))
        return self.answer

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
        login = (data.login.decode(), data.password.decode())
        self.logins.append(login)
        is_right = login[1] == self.password
        return AuthResult(success=is_right, handled=False, message=None if is_right else f"535 5.7.8 {login[1]} is not the password")


@asynccontextmanager
async def mail_server(box: Mailbox, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Mailbox]:
    """Serve a mailbox; login is offered over TLS only."""

    def connected() -> SMTP:
        more: dict[str, Any] = {"tls_context": starttls} if starttls else {}
        return SMTP(
            box, hostname="mx.example.com", authenticator=box.authenticate, auth_require_tls=tls is None, **more,
            loop=asyncio.get_running_loop(),
        )  # fmt: skip

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0, ssl=tls)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)
