"""Messages by mail, through one SMTP server. The only module that imports aiosmtplib."""

import asyncio
import re
import secrets
import socket
import ssl
import textwrap
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Any, TypeVar

import structlog
from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientsRefused,
    SMTPResponse,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPStatus,
)

from licsync_daemon.http.advice import TEMPORARY
from licsync_daemon.http.connection_errors import unreachable
from licsync_daemon.http.handshake import meaning, reason_of
from licsync_daemon.http.tls import trusting
from licsync_daemon.model.alert import Message
from licsync_daemon.model.causes import causes, out_of_files
from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.model.instance import MailNotifier
from licsync_daemon.model.text import clean
from licsync_daemon.system.process import in_own_thread

log = structlog.get_logger()

T = TypeVar("T")

STEP_S = 20.0  # for one reply of the server
DEADLINE_S = 60.0  # for a whole message
WIDTH = 76
IMPLICIT_TLS = 465  # the port where servers expect TLS at once (RFC 8314)
_METHODS = ", ".join(one.upper() for one in SMTP.AUTH_METHODS)
POLICY = SMTP_POLICY.clone(cte_type="7bit")  # some servers relay nothing else


class Mail:
    """One SMTP server (the `Channel` port). A message is one mail to all recipients."""

    name = "mail"

    def __init__(self, to: MailNotifier, *, password: Callable[[], str]) -> None:
        """`password` reads the password of `to.username` for each message; it is not called without a username."""
        self._to = to
        self._password = password

    async def send(self, message: Message) -> None:
        """Send a message. It is sent once the server has accepted it for at least one recipient.

        Raises:
            RunError: `CREDENTIAL_MISSING`, or a `RemoteError` with the server's message.
        """
        content = letter(message, self._to).as_bytes(policy=POLICY)
        refused, _ = await self._signed_in(lambda server: server.sendmail(self._to.sender, self._to.to, content))
        if refused:
            log.warning("notify.recipients_refused", channel=self.name, refused=len(refused), of=len(self._to.to))

    async def try_out(self) -> Mapping[str, Any]:
        """Connect, start TLS and log in as for a message, but send nothing.

        Return the fields of the server's certificate, as `ssl` reads them; none without TLS.

        Raises:
            RunError: As `tell` does.
        """

        async def work(server: SMTP) -> Mapping[str, Any]:
            await server.noop()
            return server.get_transport_info("peercert") or {}

        return await self._signed_in(work)

    async def _signed_in(self, work: Callable[[SMTP], Awaitable[T]]) -> T:
        """Connect, log in, and do the work, within the deadline.

        Raises:
            RunError: The server cannot be reached, or refused something.
        """
        password = self._password() if self._to.username is not None else ""
        if not password.isascii():
            raise RunError(
                Code.CREDENTIAL_MALFORMED,
                "the password for the mail server contains non-ASCII characters, which SMTP login does not support",
                "choose another password and put it into notify__mail__password",
            )
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._conversation(password, work)
        except (SMTPException, OSError) as error:
            raise self._failure(error) from error

    async def _conversation(self, password: str, work: Callable[[SMTP], Awaitable[T]]) -> T:
        context = trusting(self._to.ca_file)
        server = _Connection(
            hostname=self._to.host,
            port=self._to.port,
            timeout=STEP_S,
            use_tls=self._to.security == "tls",
            start_tls=False,  # `_sign_in` starts TLS and reports a server without it
            tls_context=context,
            local_hostname=await in_own_thread(own_name, "own name"),
        )
        try:
            await server.connect()
            await self._sign_in(server, password)
            result = await work(server)
            with suppress(SMTPException, OSError):  # the work is done; a failing QUIT changes nothing
                await server.execute_command(b"QUIT")
            return result
        finally:
            if isinstance(server.transport, asyncio.WriteTransport):
                server.transport.abort()  # a graceful close would wait for a server that no longer responds
            server.close()

    async def _sign_in(self, server: SMTP, password: str) -> None:
        if self._to.security == "starttls":
            if not await _offers(server, "starttls"):
                raise self._error(
                    Code.TLS_FAILED,
                    "the server does not offer STARTTLS, and nothing is sent unencrypted",
                    'set `notify.mail.security` to "tls" (port 465), or ask the operator of the server',
                )
            await server.starttls()
        if self._to.username is not None:
            if not await _offers(server, "auth"):
                raise self._error(
                    Code.REJECTED, "the server does not offer login", "remove `notify.mail.username`, or use its submission port (587)"
                )
            if not server.supported_auth_methods:
                offered = clean(", ".join(one.upper() for one in server.server_auth_methods)) or "none"
                raise self._error(
                    Code.REJECTED,
                    f"the server offers only login methods that licsync-daemon does not have ({offered}); it has {_METHODS}",
                    "ask the server's operator for a login with a password (for a hosted mailbox often an app password, or SMTP AUTH to be "
                    "enabled for it), or for a relay that this machine may use without a login, and then remove `notify.mail.username`",
                )
            await server.login(self._to.username, password)

    def _failure(self, error: SMTPException | OSError) -> RemoteError:
        """Return the error for a failed conversation."""
        if (own := out_of_files(error)) is not None:
            return own
        # aiosmtplib wraps what goes wrong before the greeting.
        origin = error.__cause__ if type(error) is SMTPConnectError else error
        if isinstance(origin, ssl.SSLError):
            cause = meaning(origin).cause
            step = "if your own CA issued the certificate, set `notify.mail.ca_file`; check `host`, `port` and `security`"
            return self._error(Code.TLS_FAILED, f"{cause} ({reason_of(origin)})", step)
        if isinstance(origin, ConnectionResetError) and self._to.security == "tls":
            step = "check `host`, `port` and `security`: port 465 expects TLS at once, the others expect STARTTLS"
            return self._error(Code.TLS_FAILED, "the connection was reset during the TLS handshake", step)
        if isinstance(origin, TimeoutError | SMTPServerDisconnected) and self._to.security == "starttls" and self._to.port == IMPLICIT_TLS:
            what = f"the server did not begin with a greeting; port {IMPLICIT_TLS} expects TLS at once, not STARTTLS"
            return self._error(Code.TLS_FAILED, what, 'set `notify.mail.security` to "tls", or use port 587')
        if isinstance(origin, TimeoutError):
            return self._error(Code.TIMEOUT, "the server did not reply in time", "check the network and the mail server", transient=True)
        if isinstance(origin, SMTPServerDisconnected):
            return self._error(Code.CONNECTION_LOST, "the connection was lost", TEMPORARY, transient=True)
        if isinstance(origin, SMTPException):
            return self._refusal(origin)
        failed = next((one for one in causes(error) if isinstance(one, OSError) and one.errno is not None), None)
        what = unreachable(self._to.host, failed)
        return self._error(Code.UNREACHABLE, what, "check `notify.mail` host and port, DNS and the firewall", transient=True)

    def _refusal(self, error: SMTPException) -> RemoteError:
        """Return the error for a refusal, quoting the server."""
        status, message = _reply_in(error)
        quoted = clean(message)
        cause = f'the server returned {status}: "{quoted}"' if status else f"the SMTP session failed ({type(error).__name__})"
        if status == SMTPStatus.invalid_response:
            step = "check `notify.mail` host and port: the server there does not speak SMTP, or sends without end"
            return self._error(Code.REJECTED, f'the response is not SMTP: "{quoted}"', step)
        if isinstance(error, SMTPAuthenticationError):
            return self._error(Code.UNAUTHORIZED, cause, "check `notify.mail.username` and the credential notify__mail__password")
        if 400 <= status < 500:
            return self._error(Code.SERVER_ERROR, cause, TEMPORARY, transient=True)
        return self._error(Code.REJECTED, cause, "check `notify.mail` from and to, and which addresses the server accepts")

    def _error(self, code: Code, cause: str, next_step: str, *, transient: bool = False) -> RemoteError:
        return RemoteError(code, f"mail through {self._to.host}: {cause}", next_step, transient=transient)


class _Connection(SMTP):
    """Ends at a reply 421, with which a server closes the connection: the next command would only report that it is lost, and not why."""

    async def execute_command(self, *args: bytes, **options: Any) -> SMTPResponse:
        response = await super().execute_command(*args, **options)
        if response.code == SMTPStatus.domain_unavailable:
            raise SMTPResponseException(response.code, response.message)
        return response


def letter(message: Message, to: MailNotifier) -> EmailMessage:
    """Return a message as a mail: plain text, with nothing about this machine in its headers, marked as automatic."""
    mail = EmailMessage(policy=POLICY)
    mail["From"] = to.sender
    mail["To"] = ", ".join(to.to)
    mail["Subject"] = clean(message.subject)
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{secrets.token_hex(16)}@{to.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: suppresses out-of-office replies
    mail.set_content("\n".join(line for one in message.lines for line in _wrapped(one)) + "\n")
    return mail


def _wrapped(line: str) -> list[str]:
    """Wrap a line between words, with a hanging indent below the text or list item. Addresses are not broken."""
    printable = "".join(char for char in line if char.isprintable())
    beginning = re.match(r" *(\d+\. )?", printable)
    indent = " " * len(beginning[0] if beginning else "")
    return textwrap.wrap(printable, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]


def own_name() -> str:
    """Return the name for EHLO: this machine's full name, or its address if it has none (RFC 5321, 4.1.3)."""
    name = socket.getfqdn()
    if "." in name:
        return name
    try:
        return f"[{socket.gethostbyname(socket.gethostname())}]"
    except OSError:
        return "[127.0.0.1]"


async def _offers(server: SMTP, extension: str) -> bool:
    with suppress(SMTPHeloError):  # a server without EHLO has no extensions
        await server.ehlo()
    return server.supports_extension(extension)


def _reply_in(error: SMTPException) -> tuple[int, str]:
    """Return the status and message with which a server refused; of several recipients those for the first."""
    if isinstance(error, SMTPRecipientsRefused):
        return next(((one.code, one.message) for one in error.recipients), (0, ""))
    return (error.code, error.message) if isinstance(error, SMTPResponseException) else (0, "")
