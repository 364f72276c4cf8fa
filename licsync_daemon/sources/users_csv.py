"""Read the site-admin report `all_users.csv`: complete records from a stream of bytes, each usable or unusable.

Columns as documented under "Accessing reports for your instance" (docs.github.com, checked 2026-11-24). `raw_login` holds JSON inside a
cell, so quotes, commas and line breaks are normal. Only the needed columns leave this module; IP addresses of last logins and activity
are dropped.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

from licsync_daemon.model.decode import read_date
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import Account, Notice
from licsync_daemon.sources.rows import Unusable, usable

ACTIVITY = "last_active"  # optional: shows how old the report is
NEEDED = ("id", "login", "email", "suspended?")
MAX_RECORD_BYTES = 1024 * 1024  # one user; otherwise an unclosed quote would consume the rest of the file
#: The form of dates in reports, up to the day that every month has: a date that is one without looking further; and its zone.
USUAL_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8]) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d( [+-]\d{4}| UTC)", re.ASCII)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_AGAIN = "run the instance again; if the error persists, download the report in a browser and check that line"


@dataclass(slots=True)
class UsersCsvReader:
    """Takes bytes with `feed`, which yields rows once they are complete; `finish` checks that the file was complete."""

    latest: datetime = END_OF_TIME  # activity cannot be later than this
    _pending: bytes = b""
    _line: int = 1
    _pick: Callable[[list[str]], tuple[str, ...]] = itemgetter(0)  # the cells of NEEDED
    _activity: int | None = None
    _width: int | None = None  # the number of columns; None before the header
    #: The newest `last_active` of all users. The user is not kept.
    newest_activity: datetime | None = None
    _unreadable: int = 0  # values of `last_active` that are no date, or later than `latest`
    _newest_cell: str = ""  # the cell of `newest_activity` and its zone, if it has the usual form
    _newest_zone: str = ""

    def feed(self, piece: bytes) -> Iterator[tuple[int, Account | Unusable]]:
        """Yield `(line, row)` for each record that `piece` completes.

        Raises:
            RunError: `REPORT_NOT_CSV`, `REPORT_HEADER_CHANGED` or `REPORT_MALFORMED`.
        """
        self._pending += piece
        end = self._end_of_whole_records()
        whole, self._pending = self._pending[:end], self._pending[end:]
        if len(self._pending) > MAX_RECORD_BYTES:
            raise RunError(Code.REPORT_MALFORMED, f"a record that starts at line {self._line} does not end", _AGAIN)
        if whole:
            yield from self._rows(whole)

    def finish(self) -> None:
        """Check that the file ended at the end of a record and had a header."""
        if self._width is None:
            self._refuse_other_formats(
                self._pending[:80].decode("utf-8", "replace")
            )  # a page or JSON may be a single line without a line break
        if self._pending or self._width is None:
            what = f"ends in the middle of a record, at line {self._line}" if self._pending.strip() else "is empty"
            raise RunError(Code.REPORT_TRUNCATED, f"the report {what}", "run the instance again to request a new report")

    def notices(self) -> tuple[Notice, ...]:
        """Return how many dates of activity could not be read."""
        if not self._unreadable:
            return ()
        text = f"{self._unreadable:,} dates in `{ACTIVITY}` could not be read or are in the future; they do not count for the report's age"
        return (Notice(code=Code.AGE_UNKNOWN, text=text),)

    def _note_activity(self, cell: str) -> None:
        usual = USUAL_DATE.fullmatch(cell)
        if usual is not None and usual[1] == self._newest_zone and cell <= self._newest_cell:
            return  # dates of one form and zone sort as text, which is faster than reading them all
        if not cell.strip():
            return
        moment = read_date(cell)
        if moment is None or moment > self.latest:
            self._unreadable += 1
        elif self.newest_activity is None or moment > self.newest_activity:
            self.newest_activity = moment
            self._newest_cell, self._newest_zone = (cell, usual[1]) if usual is not None else ("", "")

    def _end_of_whole_records(self) -> int:
        """Return the end of the last complete record. A line break inside quotes has an odd number of quotes before it."""
        end = self._pending.rfind(b"\n") + 1
        if self._pending.count(b'"', 0, end) % 2 == 0:
            return end
        whole, quotes, start = 0, 0, 0
        while (stop := self._pending.find(b"\n", start, end) + 1) > 0:
            quotes += self._pending.count(b'"', start, stop)
            start = stop
            if quotes % 2 == 0:
                whole = stop
        return whole

    def _rows(self, whole: bytes) -> Iterator[tuple[int, Account | Unusable]]:
        # Undecodable bytes become lone surrogates, which `_row` finds in the cells that matter.
        text = io.StringIO(whole.decode("utf-8", "surrogateescape"), newline="")
        records = csv.reader(text, strict=True)
        base = self._line
        try:
            for record in records:
                line = self._line
                self._line = base + records.line_num
                if len(record) == self._width:
                    if self._activity is not None:
                        self._note_activity(record[self._activity])
                    number, login, email, flag = self._pick(record)
                    yield line, usable(line, number.strip(), login=login.strip(), email=email.strip(), suspended=flag.strip())
                elif self._width is not None and record:  # csv returns an empty list for an empty line
                    raise RunError(
                        Code.REPORT_MALFORMED, f"the report's line {line} has {len(record)} cells instead of {self._width}", _AGAIN
                    )
                elif any(cell.strip() for cell in record):  # web pages may begin with empty lines
                    self._header(record)
        except csv.Error as error:
            raise RunError(Code.REPORT_MALFORMED, f"the report's line {self._line} is not valid CSV ({error})", _AGAIN) from error

    def _header(self, record: list[str]) -> None:
        names = [name.strip().removeprefix("\ufeff").strip('"').lower() for name in record]
        self._refuse_other_formats(names[0])
        missing = [name for name in NEEDED if names.count(name) != 1]
        if missing:
            raise RunError(
                Code.REPORT_HEADER_CHANGED,
                f"the report's header row has no single column named {', '.join(missing)}",
                "update licsync-daemon; if it is up to date, report the GHES version",
            )
        self._pick = itemgetter(*map(names.index, NEEDED))
        self._activity = names.index(ACTIVITY) if names.count(ACTIVITY) == 1 else None
        self._width = len(names)

    def _refuse_other_formats(self, beginning: str) -> None:
        first = beginning.removeprefix("\ufeff").lstrip()[:1]
        if first in {"<", "{", "["}:
            what = "a web page" if first == "<" else "JSON"
            raise RunError(
                Code.REPORT_NOT_CSV,
                f"the instance returned {what} instead of the report",
                "check that the token belongs to a site administrator and that no sign-in page is in front of the instance",
            )
