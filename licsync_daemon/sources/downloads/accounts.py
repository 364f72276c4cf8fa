"""The accounts of an instance from its site-admin report `all_users.csv`, with what the report of seats needs of each."""

from collections.abc import Iterator
from dataclasses import dataclass

from licsync_daemon.insight.values import ServerAccount
from licsync_daemon.model.text import clean
from licsync_daemon.sources.downloads.consumed import NO, YES
from licsync_daemon.sources.downloads.table import Table

ROUNDED = "a spreadsheet rounded this number: download the report again, and do not open and save it"


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts in one report, as those of `instance`. May be read again."""

    table: Table
    instance: str

    def __iter__(self) -> Iterator[ServerAccount]:
        cell = self.table.cell
        for line, row in self.table.rows():
            number, suspended = cell(row, "id"), cell(row, "suspended").lower()
            if not (number.isascii() and number.isdigit()):
                step = ROUNDED if "E+" in number.upper() or "." in number else "download the report again"
                raise self.table.error(line, "id", f"`{clean(number)[:40]}` is not a whole number", step)
            if suspended not in YES | NO:
                raise self.table.error(line, "suspended?", f"`{clean(suspended)[:40]}` is neither true nor false")
            yield ServerAccount(
                instance=self.instance,
                id=number,
                login=cell(row, "login"),
                email=cell(row, "email"),
                suspended=suspended in YES,
                dormant=cell(row, "dormant").lower() in YES,
            )
