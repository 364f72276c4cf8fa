"""Usage, and what the cloud says of it, as values.

Standard library only, as in `runs.py` and `messages.py`. Instants are aware UTC and end in `_at`; durations are `timedelta`. Nothing here
reads a clock or does I/O.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from licsync_daemon.model.decode import printable
from licsync_daemon.model.errors import MAX_SENTENCE, Code

#: Clocks are corrected by seconds all the time; what is dated further ahead than this was written by a clock that was wrong.
CLOCK_SLACK = timedelta(minutes=5)
MAX_ID = 2**63 - 1  # GitHub publishes account ids as int64

# ---------------------------------------------------------------- usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One usable row of a report: a user account on one instance."""

    id: int
    login: str
    email: str  # "" where the account has no address
    suspended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageCounts:
    """What a collection found. `rows == sent + suspended + unusable`.

    Attributes:
        counted: False: the export is opaque and nothing else counts; the other numbers say nothing then.
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
    """Who an instance is towards the cloud. Rows match by `server_id` when both sides have one, else by hostname."""

    hostname: str
    server_id: str | None


# ---------------------------------------------------------------- what the cloud says


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncEntry:
    """One row of `license-sync-status`. All None in the last three: never synced."""

    server_id: str | None
    hostname: str | None
    date: datetime | None  # the cloud's own clock, whole seconds
    status: str | None
    error: str | None
    unreadable: str | None = field(default=None, compare=False)  # what stands for the date if it cannot be read; `date` is None then


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One server as GraphQL's `enterpriseServerInstallations` shows it, those known only from uploads included.

    Attributes:
        accounts: How many accounts the cloud has of it.
        upload_state: The state of its newest upload of user accounts.
        uploaded_at: When that was made, by the cloud's clock.
    """

    hostname: str
    is_connected: bool
    accounts: int | None = None
    upload_state: "UploadState | None" = None
    uploaded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """One reply of `license-sync-status`: every server the cloud knows, and the cloud's own time of answering.

    `exists` is False for an organization: there is no sync status, so nothing can be confirmed by it.
    """

    entries: tuple[SyncEntry, ...]
    answered_at: datetime | None
    exists: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatTotals:
    """Seats of the cloud account, as `consumed-licenses` gives them on every page; None where the reply leaves one out."""

    consumed: int | None
    purchased: int | None
    unusable: tuple[str, ...] = ()  # what is reported and no usable count: "total_seats_consumed: -5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One row of `consumed-licenses`: one consumer of a license, in the cloud, on servers, or both."""

    login: str  # "" for a person known only from servers
    saml_name_id: str
    server_accounts: tuple[tuple[str, str], ...]  # (host as the cloud spells it, account id as text)
    server_emails: tuple[str, ...]
    verified_emails: tuple[str, ...]
    license_type: str
    total_accounts: int | None

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]:
        """What tells two rows apart; no single field does."""
        return (self.login, self.server_accounts, self.server_emails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The servers that the cloud listed when it was asked last, and when that was by our clock."""

    entries: tuple[SyncEntry, ...]
    read_at: datetime


class UploadState(StrEnum):
    """What a delivery endpoint says of an upload."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What an endpoint reports about one upload.

    Attributes:
        state: None if the endpoint reports no states at all.
        said: Quotes a state that is not one of the three.
    """

    state: UploadState | None
    error: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person should know that did not stop the run."""

    code: Code
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text, MAX_SENTENCE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """GitHub's own export of an instance's usage, passed on unchanged.

    Attributes:
        content: From the `{` to the end of the one JSON object, byte for byte.
        server_id, hostname, version: What it says about its instance.
        is_clear: Whether its users are a readable list; else they are one encrypted text.
        is_empty: Whether it holds no user, or no text.
    """

    content: bytes
    server_id: str | None
    hostname: str | None
    version: str | None
    is_clear: bool
    is_empty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a source found out about an instance besides its accounts."""

    collected_at: datetime  # of a file: its content time
    version: str | None
    http_only: bool
    counts: UsageCounts
    newest_activity: datetime | None = None  # of anybody, or when an export was made; None where the source does not show it
    notices: tuple[Notice, ...] = ()
    export: Export | None = None  # where the source gives one; what is delivered is then this


class Added(Enum):
    """What became of an account that was added."""

    NEW = "new"
    DUPLICATE = "duplicate"  # the same account with the same content is there already
    CONFLICT = "conflict"  # the same id is there with other content
