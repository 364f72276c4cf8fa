"""Usage, and what the cloud says of it, as values.

Standard library only, as in `runs.py` and `messages.py`. Instants are aware UTC and end in `_at`; durations are `timedelta`. Nothing here
reads a clock or does I/O.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Clocks are corrected by seconds all the time; what is dated further ahead than this was written by a clock that was wrong.
CLOCK_SLACK = timedelta(minutes=5)

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
class Identity:
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
    """Answer to a question about one upload. `state` is None where the endpoint cannot be asked."""

    state: UploadState | None
    error: str = ""
