"""Messages by mail, through one SMTP server. The only module that imports smtplib.

smtplib blocks, so a thread of its own does the work; where nobody waits for it any more, its connection is broken off.
"""

import asyncio
import re
import secrets
import smtplib
import socket
import ssl
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

import structlog

from licsync_daemon.http.route import tls_context
from licsync_daemon.model.alert import Message
from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.model.instance import Destination, MailNotifier
from licsync_daemon.model.text import clean
from licsync_daemon.system.process import in_own_thread

log = structlog.get_logger()

STEP_S = 20.0  # for one answer of the server
DEADLINE_S = 60.0  # for a whole message
WIDTH = 76
POLICY = SMTP.clone(cte_type="7bit")  # old servers pass on no other


class Mail:
    """One SMTP server (the `Channel` port). A message is one mail to all recipients."""

    name = "mail"

    def __init__(self, to: MailNotifier, *, password: Callable[[], str]) -> None:
        """`password` answers the password of `to.username`, read anew; it is not asked without one."""
        self._to = to
        self._password = password

    async def tell(self, message: Message) -> None:
        """Send a message; it is taken when the server has taken it for at least one recipient.

        Raises:
            RunError: `CREDENTIAL_MISSING`, or a `RemoteError` with what the server said.
        """
        mail = letter(message, self._to)
        refused = await self._signed_in(lambda server: len(server.send_message(mail, self._to.sender, list(self._to.to))))
        if refused:
            log.warning("notify.recipients_refused", channel=self.name, refused=refused, of=len(self._to.to))

    async def try_out(self) -> Mapping[str, Any]:
        """Go as far as a message would begin: the greeting, TLS, the login. Nothing is sent.

        Answers the fields of the server's certificate, as `ssl` reads them; none without TLS.

        Raises:
            RunError: As `tell` does.
        """
        shown: dict[str, Any] = {}

        def look(server: smtplib.SMTP) -> int:
            if isinstance(server.sock, ssl.SSLSocket):
                shown.update(server.sock.getpeercert() or {})
            return server.noop()[0]

        await self._signed_in(look)
        return shown

    async def _signed_in(self, work: Callable[[smtplib.SMTP], int]) -> int:
        session = _Session(self._to, self._password() if self._to.username is not None else "", work)
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await in_own_thread(session.run, "mail")
        except TimeoutError as error:
            raise session.timed_out() from error
        finally:
            session.stop()


def letter(message: Message, to: MailNotifier) -> EmailMessage:
    """Write a message as a mail: plain text, nothing about this machine in its head, not to be answered by machines."""
    mail = EmailMessage(policy=POLICY)
    mail["From"] = to.sender
    mail["To"] = ", ".join(to.to)
    mail["Subject"] = clean(message.subject)
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{secrets.token_hex(16)}@{to.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice comes back
    mail.set_content("\n".join(line for one in message.lines for line in _wrapped(one)) + "\n")
    return mail


def _wrapped(line: str) -> list[str]:
    """Break a line between words; what follows stands under its beginning, or under that of a list item. Addresses stay whole."""
    printable = "".join(char for char in line if char.isprintable())
    beginning = re.match(r" *(\d+\. )?", printable)
    indent = " " * len(beginning[0] if beginning else "")
    return textwrap.wrap(printable, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]


class _Connected(smtplib.SMTP):
    """SMTP over a connection that was made before, so that it can be broken off at any moment."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        self._connection = connection
        super().__init__(host, timeout=STEP_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - smtplib's own seam, and its signature
        return self._connection


class _Session:
    """One conversation with a mail server. `run` is called in a thread, `stop` in another."""

    def __init__(self, to: MailNotifier, password: str, work: Callable[[smtplib.SMTP], int]) -> None:
        self._to = to
        self._password = password
        self._work = work
        self._what = f"mail through {to.host}"
        self._sockets: list[socket.socket] = []
        self._is_stopped = False

    def run(self) -> int:
        """Sign in, do the work and answer what it answers.

        Raises:
            RunError: The server could not be reached, or refused something.
        """
        if not self._password.isascii():
            raise RunError(
                Code.CREDENTIAL_MALFORMED,
                "the password for the mail server has characters beyond ASCII, which its login cannot carry",
                "choose another password and put it into notify__mail__password",
            )
        try:
            return self._done()
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", None) or error.reason or "handshake failed"
            raise self._error(
                Code.TLS_FAILED,
                f"the certificate or the TLS connection was not accepted ({str(why).replace('_', ' ').lower()})",
                "for a certificate of your own authority set `notify.mail.ca_file`; check `host`, `port` and `security`",
            ) from error
        except smtplib.SMTPException as error:
            raise self._refusal(error) from error
        except TimeoutError as error:
            raise self.timed_out() from error
        except OSError as error:
            unresolved = isinstance(error, socket.gaierror)
            what = "the name cannot be resolved" if unresolved else "it cannot be reached (connection refused or no route)"
            raise self._error(Code.UNREACHABLE, what, "check `notify.mail` host and port, DNS and the firewall", transient=True) from error

    def _done(self) -> int:
        context = tls_context(Destination(url=f"https://{self._to.host}", ca_file=self._to.ca_file))
        connection = socket.create_connection((self._to.host, self._to.port), STEP_S)
        self._hold(connection)
        if self._to.security == "tls":
            connection = context.wrap_socket(connection, server_hostname=self._to.host)
            self._hold(connection)
        try:
            server = _Connected(connection, self._to.host)
        except BaseException:
            connection.close()
            raise
        try:
            server.ehlo_or_helo_if_needed()
            if self._to.security == "starttls":
                self._start_tls(server, context)
            if self._to.username is not None:
                server.login(self._to.username, self._password)
            answer = self._work(server)
            with suppress(smtplib.SMTPException, OSError):  # it was taken; how the server says goodbye changes nothing
                server.quit()
            return answer
        finally:
            server.close()

    def _start_tls(self, server: smtplib.SMTP, context: ssl.SSLContext) -> None:
        if not server.has_extn("starttls"):
            raise self._error(
                Code.TLS_FAILED,
                "the server offers no STARTTLS, and nothing is sent unencrypted",
                'set `notify.mail.security` to "tls" (port 465), or ask who runs the server',
            )
        server.starttls(context=context)
        if server.sock is not None:
            self._hold(server.sock)
        server.ehlo_or_helo_if_needed()

    def stop(self) -> None:
        """Break the connection off, if there still is one or it is just being made: the thread that waits for it then ends."""
        self._is_stopped = True
        for one in self._sockets:
            _break_off(one)

    def _hold(self, connection: socket.socket) -> None:
        self._sockets.append(connection)
        if self._is_stopped:
            _break_off(connection)

    def timed_out(self) -> RemoteError:
        return self._error(Code.TIMEOUT, "the server took too long", "check the network and the mail server", transient=True)

    def _refusal(self, error: smtplib.SMTPException) -> RemoteError:
        """Say in our words what the server refused, with its own, which may hold neither an address nor the password."""
        if isinstance(error.__context__, TimeoutError):
            return self.timed_out()
        if isinstance(error, smtplib.SMTPServerDisconnected):
            return self._error(Code.CONNECTION_LOST, "the connection broke off", "nothing to do if it passes", transient=True)
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return self._error(
                Code.REJECTED, "the server offers no login", "remove `notify.mail.username`, or use its submission port (587)"
            )
        status, said = _answer_of(error)
        quoted = clean(said.replace(self._password, "[secret]") if self._password else said)
        cause = f'it was answered {status}: "{quoted}"' if status else f"it failed ({type(error).__name__})"
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return self._error(Code.UNAUTHORIZED, cause, "check `notify.mail.username` and the credential notify__mail__password")
        if 400 <= status < 500:
            return self._error(Code.SERVER_ERROR, cause, "nothing to do if it passes: it is tried again", transient=True)
        return self._error(Code.REJECTED, cause, "check `notify.mail` from and to, and what the server allows them")

    def _error(self, code: Code, cause: str, next_step: str, *, transient: bool = False) -> RemoteError:
        return RemoteError(code, f"{self._what}: {cause}", next_step, transient=transient)


def _break_off(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _answer_of(error: smtplib.SMTPException) -> tuple[int, str]:
    """Return the status and the words with which a server refused; of several recipients those for the first."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next(((status, said.decode("utf-8", "replace")) for status, said in error.recipients.values()), (0, ""))
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return error.smtp_code, said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return 0, ""
