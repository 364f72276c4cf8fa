"""What the rows of a report, or of a clear export, come to: accounts in the spool, counts, and the rows that cannot be used."""

from licsync_daemon.errors import Code, RunError
from licsync_daemon.model import Account, UsageCounts
from licsync_daemon.runs import Notice
from licsync_daemon.sources.users_csv import Unusable
from licsync_daemon.spool import AccountSpool, Added

NAMED_ROWS = 5  # unusable rows that are named; the rest is counted


class Tally:
    """Keeps the accounts and counts every row once: unusable, else suspended, else sent.

    `of` is the word for what is read, `unit` for the number that names one of its rows.
    """

    def __init__(self, spool: AccountSpool, *, of: str = "report", unit: str = "line") -> None:
        self._spool = spool
        self._of = of
        self._unit = unit
        self._rows = self._sent = self._suspended = self._without_address = 0
        self._unusable: list[Unusable] = []
        self._unnamed = 0

    def count(self, line: int, row: Account | Unusable) -> None:
        """Count the row that stands at `line`.

        Raises:
            RunError: `REPORT_CONFLICTING_ROWS`: one id with two contents.
        """
        self._rows += 1
        if isinstance(row, Account):
            match self._spool.add(row):
                case Added.CONFLICT:
                    raise RunError(
                        Code.REPORT_CONFLICTING_ROWS,
                        f"the {self._of} holds the id {row.id} twice with different content, again at {self._unit} {line}",
                        "run it again; if it stays, ask GitHub Support about this account",
                    )
                case Added.DUPLICATE:
                    row = Unusable(line, str(row.id), "the same row stands there twice", self._unit)
                case Added.NEW:
                    self._suspended += row.suspended
                    self._sent += not row.suspended
                    self._without_address += not row.suspended and not row.email
        if isinstance(row, Unusable):
            if len(self._unusable) < NAMED_ROWS:
                self._unusable.append(row)
            else:
                self._unnamed += 1

    def result(self) -> tuple[UsageCounts, tuple[Notice, ...]]:
        unusable = len(self._unusable) + self._unnamed
        named = "; ".join(map(str, self._unusable)) + (f"; and {self._unnamed} more" if self._unnamed else "")
        notices = (Notice(code=Code.REPORT_UNUSABLE_ROWS, text=f"{unusable} unusable: {named}"),) if unusable else ()
        counts = UsageCounts(
            rows=self._rows, sent=self._sent, suspended=self._suspended, unusable=unusable, without_address=self._without_address
        )
        return counts, notices
