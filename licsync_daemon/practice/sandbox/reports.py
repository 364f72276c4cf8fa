"""Read the site-admin report `all_users.csv` into accounts."""

import csv
import io
from dataclasses import dataclass, field

COLUMNS = (
    "created_at", "id", "login", "email", "role", "suspended?", "last_logged_ip", "repos", "ssh_keys", "org_memberships",
    "dormant?", "last_active", "raw_login", "2fa_enabled?",
)  # fmt: skip
NEEDED = ("id", "login", "email", "role", "suspended?")
# The flag's spelling is not published; these are the ones an administrator's own report may use.
TRUE_WORDS = frozenset({"true", "1", "yes", "t", "y"})


class ReportError(Exception):
    """A report that cannot be understood; the text says why, without the report's contents."""


@dataclass(frozen=True, slots=True)
class Account:
    """One row of the report; `email` is empty for an account without an address."""

    id: int
    login: str
    email: str
    admin: bool
    suspended: bool

    def as_sent(self) -> dict[str, object]:
        """Write the account as a usage document holds it."""
        return {"id": self.id, "emails": [{"email": self.email, "primary": True}] if self.email else []}


@dataclass(frozen=True, slots=True)
class Report:
    """A report: its bytes as they are served, and what stands in them.

    `rows` counts every row, also those whose id is no number, which `accounts` leaves out: a report of an administrator's
    own may hold anything below its header, and it is served as it is.
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
        ReportError: the bytes are not UTF-8, or the header lacks a column that is needed.
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
            raise ReportError(f"the header row lacks {', '.join(missing)}")
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
