"""Read the site-admin report `all_users.csv` into accounts."""

import csv
import io
from dataclasses import dataclass, field

COLUMNS = (
    "created_at", "id", "login", "email", "role", "suspended?", "last_logged_ip", "repos", "ssh_keys", "org_memberships",
    "dormant?", "last_active", "raw_login", "2fa_enabled?",
)  # fmt: skip
NEEDED = ("id", "login", "email", "role", "suspended?")
# How the report writes flags is not published; an administrator's own report may use any of these.
TRUE_WORDS = frozenset({"true", "1", "yes", "t", "y"})


class ReportError(Exception):
    """A report that cannot be parsed; the message gives the reason, without the report's contents."""


@dataclass(frozen=True, slots=True)
class Account:
    """One row of the report; `email` is empty if the account has no address."""

    id: int
    login: str
    email: str
    admin: bool
    suspended: bool

    def as_sent(self) -> dict[str, object]:
        """Return the account as in a usage document."""
        return {"id": self.id, "emails": [{"email": self.email, "primary": True}] if self.email else []}


@dataclass(frozen=True, slots=True)
class Report:
    """A report: its bytes as served, and its accounts.

    `rows` counts every row, including those without a numeric ID, which `accounts` leaves out: an administrator's own report may
    contain anything below its header, and is served unchanged.
    """

    csv: bytes = field(repr=False)
    accounts: tuple[Account, ...] = field(repr=False)
    rows: int

    @property
    def suspended(self) -> int:
        return sum(account.suspended for account in self.accounts)

    @property
    def admins(self) -> int:
        return sum(account.admin for account in self.accounts)


def read_report(content: bytes) -> Report:
    """Parse a report.

    Raises:
        ReportError: The bytes are not UTF-8, or a required column is missing.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReportError(f"not UTF-8 at byte {error.start}") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(reader, [])
        missing = [name for name in NEEDED if name not in header]
        if missing:
            raise ReportError(f"the header row has no column {', '.join(missing)}")
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise ReportError(f"line {reader.line_num}: {error}") from error
    places = [header.index(name) for name in NEEDED]
    accounts = [account for row in rows if (account := _account(row, places)) is not None]
    return Report(csv=content, accounts=tuple(accounts), rows=len(rows))


def _account(row: list[str], places: list[int]) -> Account | None:
    if max(places) >= len(row):
        return None
    number, login, email, role, suspended = (row[place].strip() for place in places)
    if not (number.isascii() and number.isdigit()):
        return None
    return Account(int(number), login, email, admin=role == "admin", suspended=suspended.lower() in TRUE_WORDS)
