"""The rows of a report or a clear export: accounts for the spool, counts, and the unusable rows."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.ports import AccountSink
from licsync_daemon.model.usage import MAX_ID, Account, Notice, Present, UsageCounts

GHOST = "ghost"  # the built-in account that keeps the content of deleted users; reported to consume no license
MAX_DIGITS = len(str(MAX_ID))
NOT_TEXT = re.compile("[\ud800-\udfff\0]")  # could not be decoded, or cannot be stored
NAMED_ROWS = 5  # unusable rows that are named in a notice; the rest are counted


FLAGS = {"true": True, "1": True, "yes": True, "t": True, "false": False, "0": False, "no": False, "f": False}


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that cannot be used, identified by its line (or its number among the users of an export) and id only."""

    line: int
    id: str
    why: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.unit} {self.line} (id {self.id or 'empty'}): {self.why}"


class Tally:
    """Stores the accounts and counts each row once: as unusable, suspended, or sent.

    `of` names what is read, `unit` the number of a row, in messages.
    """

    def __init__(self, spool: AccountSink, *, of: str = "report", unit: str = "line") -> None:
        self._spool = spool
        self._of = of
        self._unit = unit
        self._rows = self._sent = self._suspended = self._without_address = 0
        self._unusable: list[Unusable] = []
        self._unnamed = 0
        self._ghosts = 0

    def count(self, rows: Iterable[tuple[int, Account | Unusable]]) -> None:
        """Count rows, each with its line.

        Raises:
            RunError: `REPORT_CONFLICTING_ROWS`: one id with different contents.
        """
        lines: list[int] = []
        accounts: list[Account] = []
        for line, row in rows:
            self._rows += 1
            if isinstance(row, Unusable):
                self._leave_out(row)
            elif row.login.casefold() == GHOST and self._of == "report":  # an export is passed on unchanged
                self._ghosts += 1
            else:
                lines.append(line)
                accounts.append(row)
        present = self._spool.add(accounts)
        for position, why in present.items():
            account, line = accounts[position], lines[position]
            if why is Present.CONFLICT:
                raise RunError(
                    Code.REPORT_CONFLICTING_ROWS,
                    f"the {self._of} contains the id {account.id} twice with different content, the second time at {self._unit} {line}",
                    "run the instance again; if the error persists, ask GitHub Support about this account",
                )
            self._leave_out(Unusable(line, str(account.id), "duplicate row", self._unit))
        active = [email for position, (_, _, email, suspended) in enumerate(accounts) if not suspended and position not in present]
        self._sent += len(active)
        self._suspended += len(accounts) - len(present) - len(active)
        self._without_address += active.count("")

    def _leave_out(self, row: Unusable) -> None:
        if len(self._unusable) < NAMED_ROWS:
            self._unusable.append(row)
        else:
            self._unnamed += 1

    def result(self) -> tuple[UsageCounts, tuple[Notice, ...]]:
        unusable = len(self._unusable) + self._unnamed
        named = "; ".join(map(str, self._unusable)) + (f"; and {self._unnamed} more" if self._unnamed else "")
        notices: tuple[Notice, ...] = ()
        if unusable:
            notices += (Notice(code=Code.REPORT_UNUSABLE_ROWS, text=f"{unusable} unusable: {named}"),)
        if self._ghosts:
            text = f"{self._ghosts} left out: GitHub's built-in account `{GHOST}`"
            notices += (Notice(code=Code.GHOST_LEFT_OUT, text=text),)
        counts = UsageCounts(
            rows=self._rows, sent=self._sent, suspended=self._suspended, unusable=unusable, without_address=self._without_address
        )
        return counts, notices


def usable(line: int, number: str, *, login: str, email: str, suspended: str, unit: str = "line") -> Account | Unusable:
    """Return the account in four cells, or why they cannot be used."""
    if not (number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS and 0 < int(number) <= MAX_ID):
        return Unusable(line, re.sub(r"[^0-9A-Za-z.+-]", "?", number)[:20], "the id is not a positive number", unit)
    flag = FLAGS.get(suspended)
    if flag is None and (flag := FLAGS.get(suspended.lower())) is None:
        return Unusable(line, number, "the suspended flag is neither true nor false", unit)
    if NOT_TEXT.search(f"{login}{email}"):
        return Unusable(line, number, "a cell is not valid UTF-8", unit)
    return Account(int(number), login, email, flag)
