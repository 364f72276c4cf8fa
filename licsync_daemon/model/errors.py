"""All errors of this program.

LicsyncError                    every error this program raises deliberately
├── ConfigError                 invalid configuration or arguments; all mistakes at once; exit 2
├── InputError                  a file given to a command cannot be used; exit 2
├── LockedError                 another process holds a lock; exit 11
├── StateError                  the state file
│   ├── StateNewerError         written by a newer version; left untouched; exit 2
│   └── StateUnwritableError    disk full, read-only, wrong owner
└── RunError                    one instance failed; has a code, a cause for people, and one next step
    └── RemoteError             a server sent an error or no response; may say when to retry

The failure of one instance is an exception only inside its run; above `sync/run.py` it is a value (`Run.code`). Only `cli/` turns errors
into text and exit codes. `docs/runbook.md` has an entry for every `Code`, which a test checks.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from licsync_daemon.model.decode import printable
from licsync_daemon.model.secrets import conceal, redact

MAX_SENTENCE = 2000  # characters of a cause or a next step


class Code(StrEnum):
    """The name of a cause. Stable: operators search for it, and alerts contain it."""

    # credentials
    CREDENTIAL_MISSING = "credential_missing"
    CREDENTIAL_MALFORMED = "credential_malformed"
    CREDENTIAL_EXPIRING = "credential_expiring"
    CREDENTIAL_ROTATED = "credential_rotated"
    SCOPE_MISSING = "scope_missing"
    # no response, or an incomplete one
    UNREACHABLE = "unreachable"
    TLS_FAILED = "tls_failed"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    REDIRECT_REFUSED = "redirect_refused"
    CERTIFICATE_EXPIRING = "certificate_expiring"
    CLOCK_WRONG = "clock_wrong"
    # an error response
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    API_VERSION_RETIRED = "api_version_retired"
    REJECTED = "rejected"
    RATE_LIMITED = "rate_limited"
    MAINTENANCE = "maintenance"
    SERVER_ERROR = "server_error"
    BAD_RESPONSE = "bad_response"
    STALE_ANSWER = "stale_answer"
    API_DEPRECATED = "api_deprecated"
    # the instance
    GHES_VERSION = "ghes_version"
    LICENSE_EXPIRING = "license_expiring"
    SEATS_LOW = "seats_low"
    SEATS_EXCEEDED = "seats_exceeded"
    OLD_LICENSE_FILE = "old_license_file"
    # the report
    REPORT_TIMEOUT = "report_timeout"
    REPORT_NOT_CSV = "report_not_csv"
    REPORT_HEADER_CHANGED = "report_header_changed"
    REPORT_MALFORMED = "report_malformed"
    REPORT_TRUNCATED = "report_truncated"
    REPORT_CONFLICTING_ROWS = "report_conflicting_rows"
    REPORT_UNUSABLE_ROWS = "report_unusable_rows"
    GHOST_LEFT_OUT = "ghost_left_out"
    TOTAL_UNKNOWN = "total_unknown"
    EMPTY_USAGE = "empty_usage"
    INCOMPLETE_USAGE = "incomplete_usage"
    # exports
    EXPORT_MALFORMED = "export_malformed"
    EXPORT_TOO_LARGE = "export_too_large"
    EXPORT_READABLE = "export_readable"
    NO_NEW_EXPORT = "no_new_export"
    COMMAND_FAILED = "command_failed"
    COMMAND_TIMEOUT = "command_timeout"
    SSH_FAILED = "ssh_failed"
    SSH_KEY_REFUSED = "ssh_key_refused"
    HOST_KEY_UNKNOWN = "host_key_unknown"
    HOST_KEY_CHANGED = "host_key_changed"
    # guards
    SHRUNK_USAGE = "shrunk_usage"
    GROWN_USAGE = "grown_usage"
    BELOW_SEATS = "below_seats"
    STALE_USAGE = "stale_usage"
    SERVER_ID_CHANGED = "server_id_changed"
    SERVER_ID_SHARED = "server_id_shared"
    HOSTNAME_CHANGED = "hostname_changed"
    ABOVE_SEATS = "above_seats"
    VERSION_CHANGED = "version_changed"
    COUNTS_UNKNOWN = "counts_unknown"
    AGE_UNKNOWN = "age_unknown"
    # identity
    SERVER_ID_UNKNOWN = "server_id_unknown"
    SERVER_ID_AMBIGUOUS = "server_id_ambiguous"
    # delivery and read-back
    UPLOAD_TOO_LARGE = "upload_too_large"
    UPLOAD_REFUSED = "upload_refused"
    UPLOAD_CONFLICT = "upload_conflict"
    UPLOAD_FAILED = "upload_failed"
    SYNC_FAILED = "sync_failed"
    NOT_CONFIRMED = "not_confirmed"
    COUNT_DRIFT = "count_drift"
    # syncs by GitHub Connect or by manual upload
    NEVER_SYNCED = "never_synced"
    LATE = "late"
    NOT_CONNECTED = "not_connected"
    NOT_UPLOADED = "not_uploaded"
    OUTBOX_UNWRITABLE = "outbox_unwritable"
    OUTBOX_NOT_CLEANED = "outbox_not_cleaned"
    OVERDUE = "overdue"
    # this program and its host
    DISK_LOW = "disk_low"
    STATE_UNWRITABLE = "state_unwritable"
    STATE_DAMAGED = "state_damaged"
    LOCKED = "locked"
    TOO_MANY_FILES = "too_many_files"
    INTERNAL = "internal"


#: Failures that persist until someone changes something: retried after a restart or a reload, with `--run-now`, and once a day.
PERMANENT = frozenset(
    {
        Code.CREDENTIAL_MISSING,
        Code.CREDENTIAL_MALFORMED,
        Code.TLS_FAILED,
        Code.REDIRECT_REFUSED,
        Code.UNAUTHORIZED,
        Code.FORBIDDEN,
        Code.NOT_FOUND,
        Code.API_VERSION_RETIRED,
        Code.REJECTED,
        Code.REPORT_HEADER_CHANGED,
        Code.EXPORT_TOO_LARGE,
        Code.EXPORT_READABLE,
        Code.SSH_KEY_REFUSED,
        Code.HOST_KEY_UNKNOWN,
        Code.HOST_KEY_CHANGED,
        Code.SERVER_ID_UNKNOWN,
        Code.SERVER_ID_AMBIGUOUS,
        Code.UPLOAD_TOO_LARGE,
        Code.UPLOAD_REFUSED,
    }
)


class LicsyncError(Exception):
    """Base of every error this program raises deliberately."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration: where it is, what is wrong, and what to do."""

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(LicsyncError):
    """Invalid configuration or arguments. `problems` lists every mistake; for a configuration, in the order of the file's tables."""

    def __init__(self, problems: tuple[Problem, ...], headline: str = "the configuration cannot be used") -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems
        self.headline = headline


class InputError(LicsyncError):
    """A file given to a command cannot be used: the place, the cause, and the next step."""

    def __init__(self, path: Path, what: str, next_step: str, line: int | None = None, column: str = "") -> None:
        self.path, self.what, self.next_step, self.line, self.column = path, what, next_step, line, column
        place = str(path) + (f", line {line}" if line is not None else "") + (f", column `{column}`" if column else "")
        super().__init__(printable(f"{place}: {what}; {next_step}", 2 * MAX_SENTENCE))


class LockedError(LicsyncError):
    """Another process holds the lock `path`; `holder` names it, if that could be read."""

    def __init__(self, path: Path, holder: str | None, next_step: str = "only one process at a time can use a state directory") -> None:
        super().__init__(f"{path} is held by {holder or 'another process'}; {next_step}")
        self.path = path
        self.holder = holder


class StateError(LicsyncError):
    """The state file cannot be used as it is."""


class StateNewerError(StateError):
    """The state file was written by a newer version of this program; it is left untouched."""


class StateUnwritableError(StateError):
    """The state file cannot be written: the disk is full or read-only, or another user owns the file."""

    next_step = "free disk space or fix the directory's permissions"


class StateUnreachableError(StateUnwritableError):
    """The state in PostgreSQL cannot be used: the server cannot be reached, or the session has ended, and with it all its locks."""

    def __init__(self, cause: str, next_step: str = "check that PostgreSQL runs and can be reached from this machine") -> None:
        super().__init__(cause)
        self.next_step = next_step


class StateDamagedError(StateUnwritableError):
    """SQLite found the state file to be damaged while it was read or written."""


class StateReplacedError(StateUnwritableError):
    """The state file was deleted, moved, or replaced while this process had it open; what is written to it now is lost."""


class RunError(LicsyncError):
    """One instance failed. `code` identifies the cause, `cause` describes it, and `next_step` says what to do."""

    def __init__(self, code: Code, cause: str, next_step: str) -> None:
        self.code = code
        # Whoever quotes a server: no credential and nothing that cannot be printed reaches a log, the state or a message.
        self.cause = printable(redact(printable(cause, 2 * MAX_SENTENCE)), MAX_SENTENCE)
        self.next_step = printable(conceal(next_step), MAX_SENTENCE)
        super().__init__(f"{code}: {self.cause}")


class RemoteError(RunError):
    """A server sent an error or an invalid response, or did not respond.

    Attributes:
        transient: Whether the same request may succeed later without any change.
        retry_after: How long the server asks clients to wait; None if it did not say.
    """

    def __init__(
        self,
        code: Code,
        cause: str,
        next_step: str,
        *,
        transient: bool = False,
        retry_after: timedelta | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(code, cause, next_step)
        self.transient = transient
        self.retry_after = retry_after
        self.status = status


def is_stop(error: BaseException) -> bool:
    """Return whether an exception ends the process or cancels the current task. A `CancelledError` that nobody asked for does neither."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)


def failure_of(error: BaseException) -> RunError:
    """Return what a run fails with because of an exception of any kind.

    Raises:
        BaseException: `error` itself, if it ends the process or cancels the current task.
    """
    if is_stop(error):
        raise error
    if isinstance(error, RunError):
        return error
    if isinstance(error, StateUnwritableError):
        return RunError(Code.STATE_UNWRITABLE, str(error), "free disk space or fix the directory's permissions; the run is then retried")
    return internal_error()


def internal_error() -> RunError:
    """Return the error of a run that failed because of a bug in this program; the log has the traceback."""
    return RunError(Code.INTERNAL, "an error in licsync-daemon itself", "report it with the log of this run")
