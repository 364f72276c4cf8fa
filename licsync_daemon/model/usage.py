"""Usage and the cloud's data about it, as values.

The rules of all modules here: standard library only; instants are aware UTC and end in `_at`; durations are `timedelta`; nothing reads a
clock or does I/O.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import NamedTuple

from licsync_daemon.model.decode import printable
from licsync_daemon.model.errors import MAX_SENTENCE, Code

#: Clocks are often corrected by seconds; a date further in the future than this was written by a wrong clock.
CLOCK_SLACK = timedelta(minutes=5)
MAX_ID = 2**63 - 1  # GitHub publishes account ids as int64

# ---------------------------------------------------------------- usage


class Account(NamedTuple):
    """One usable row of a report: a user account on one instance. A tuple, because there may be a million."""

    id: int
    login: str
    email: str  # "" without an email address
    suspended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageCounts:
    """The counts of a collection. `rows == sent + suspended + unusable`, and of a report the built-in account `ghost`.

    Attributes:
        counted: False for an encrypted export without a second source of counts; the other numbers are then meaningless.
    """

    rows: int = 0
    sent: int = 0
    suspended: int = 0
    unusable: int = 0
    without_address: int = 0  # of those sent
    total_users: int | None = None  # the instance's own count of its users
    seats_used: int | None = None  # the instance's own count of its seats
    counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """The identity of an instance in the cloud. Entries match by `server_id` if both have one, otherwise by hostname."""

    hostname: str
    server_id: str | None


# ---------------------------------------------------------------- the cloud's data


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncEntry:
    """One row of `license-sync-status`. If date, status and error are None, the server never synced."""

    server_id: str | None
    hostname: str | None
    date: datetime | None  # by the cloud's clock, in whole seconds
    status: str | None
    error: str | None
    unreadable: str | None = field(default=None, compare=False)  # what stands for the date if it cannot be read; `date` is None then


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One server in GraphQL's `enterpriseServerInstallations`, which includes servers known only from uploads.

    Attributes:
        accounts: The number of its accounts in the cloud.
        upload_state: The state of its latest upload of user accounts.
        uploaded_at: When that was made, by the cloud's clock.
    """

    hostname: str
    is_connected: bool
    accounts: int | None = None
    upload_state: "UploadState | None" = None
    uploaded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """One response of `license-sync-status`: every server the cloud lists, and the response's `Date`.

    `exists` is False for an organization, which has no sync status; nothing can be confirmed there.
    """

    entries: tuple[SyncEntry, ...]
    answered_at: datetime | None
    exists: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatTotals:
    """Seats of the cloud account, as on every page of `consumed-licenses`; None if the response omits one."""

    consumed: int | None
    purchased: int | None
    unusable: tuple[str, ...] = ()  # what is reported and no usable count: "total_seats_consumed: -5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One row of `consumed-licenses`: one consumer of a license, in the cloud, on servers, or both."""

    login: str  # "" for a person known only from servers
    saml_name_id: str
    server_accounts: tuple[tuple[str, str], ...]  # (hostname as the cloud spells it, account id as text)
    server_emails: tuple[str, ...]
    verified_emails: tuple[str, ...]
    license_type: str
    total_accounts: int | None

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]:
        """The key that distinguishes two rows; no single field does."""
        return (self.login, self.server_accounts, self.server_emails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The cloud's list of servers as last read, and when it was read, by this machine's clock."""

    entries: tuple[SyncEntry, ...]
    read_at: datetime


class UploadState(StrEnum):
    """The state of an upload at the delivery endpoint."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The status of one upload, as an endpoint reports it.

    Attributes:
        state: None if the endpoint reports no states at all, or cannot be queried.
        said: Quotes a state that is not one of the three.
    """

    state: UploadState | None
    error: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A warning that did not stop the run."""

    code: Code
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text, MAX_SENTENCE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """GitHub's own export of an instance's usage, passed on unchanged.

    Attributes:
        content: From the `{` to the end of the one JSON object, byte for byte.
        server_id, hostname, version: The instance's data in the export.
        is_clear: Whether its users are a readable list rather than encrypted text.
        is_empty: Whether it contains no users, or no text.
    """

    content: bytes
    server_id: str | None
    hostname: str | None
    version: str | None
    is_clear: bool
    is_empty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The result of a collection, besides the accounts."""

    collected_at: datetime  # for a file, the time of its content
    version: str | None
    http_only: bool
    counts: UsageCounts
    newest_activity: datetime | None = None  # of any user, or when the export was made; None if unknown
    notices: tuple[Notice, ...] = ()
    export: Export | None = None  # the export to deliver, if the source gives one


class Present(Enum):
    """Why an account was not added: its id is already present."""

    DUPLICATE = "duplicate"  # with the same content
    CONFLICT = "conflict"  # with other content
