"""A downloaded file of rows: its encoding, separator and header found out, its rows with their lines.

A spreadsheet that saved a file again leaves semicolons or tabs, UTF-16, a `sep=` line or single carriage returns; all of these are read.
A cell that a spreadsheet has rounded, and a file that was cut off, are errors.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from licsync_daemon.model.errors import InputError
from licsync_daemon.sources.saved_again import ENCODINGS, beginning_of, other_kind

BEGINNING = 64 * 1024
MAX_CELL = 100_000  # characters; a person with a thousand accounts needs fewer
AGAIN = "download the report again"
SEPARATORS = ",;\t|"


def normalized(header: str) -> str:
    """Return the name of a column as it is compared: lower case, words joined by `_`.

    Reports of enterprises with data residency say "GitHub" where others say "GitHub com".
    """
    name = re.sub(r"[^a-z0-9]+", "_", header.lower()).strip("_")
    return re.sub(r"^github_(?!com_)", "github_com_", name)


@dataclass(frozen=True, slots=True)
class Table:
    """A file of rows. `columns` are the normalized names and their places; of a repeated name, the first."""

    path: Path
    columns: Mapping[str, int]
    encoding: str
    separator: str
    header_line: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield every row after the header with its line. May be called again.

        Raises:
            InputError: The file cannot be decoded, a cell is too long, a row has too few or too many cells, or the file was cut off.
        """
        width = None
        for line, row in _records(self.path, self.encoding, self.separator):
            if line <= self.header_line:
                width = len(row)
                continue
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != width:
                raise InputError(
                    self.path, f"the row has {len(row)} cells instead of {width}: the file was cut off or changed", AGAIN, line
                )
            yield line, row

    def cell(self, row: Sequence[str], name: str) -> str:
        """Return a cell by the name of its column; "" without that column."""
        place = self.columns.get(name)
        return row[place].strip() if place is not None else ""

    def error(self, line: int, column: str, what: str, step: str = AGAIN) -> InputError:
        """Return an error about one cell."""
        return InputError(self.path, what, step, line, column)


def read_table(path: Path) -> Table:
    """Find out how a file of rows is written, and read its header.

    Raises:
        InputError: It cannot be read, is empty, or is no file of rows.
    """
    text, encoding = _beginning(path)
    separator = ","
    if (marked := re.match(r'\ufeff?"?sep=(.)"?\s', text, re.IGNORECASE)) is not None:
        separator = marked[1]
    else:
        first = text.lstrip("\ufeff").lstrip().splitlines()[0]
        separator = max(SEPARATORS, key=first.count)
    for line, row in _records(path, encoding, separator):
        if any(cell.strip() for cell in row) and not row[0].lstrip("\ufeff").lower().startswith("sep="):
            names = [normalized(cell) for cell in row]
            return Table(path, {name: names.index(name) for name in names if name}, encoding, separator, line)
    raise InputError(path, "the file is empty", AGAIN)


def _beginning(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            raw = file.read(BEGINNING)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "name a file that you may read") from error
    if not raw.strip(b"\0 \r\n\t\xef\xbb\xbf\xff\xfe"):
        raise InputError(path, "the file is empty", AGAIN)
    if kind := other_kind(raw):
        step = "sign in and download it again" if "web page" in kind else "save or unpack it as CSV"
        raise InputError(path, f"this is {kind}, not a report", step)
    text, name = beginning_of(raw)
    if not text.lstrip("\ufeff").strip():
        raise InputError(path, "the file is empty", AGAIN)
    return text, next((codec for _, codec, known in ENCODINGS if known == name and codec.startswith(name.lower())), "utf-8-sig")


def _records(path: Path, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield records with the line on which each begins."""
    csv.field_size_limit(MAX_CELL)
    line = 1
    with path.open(encoding=encoding, newline="") as file:
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        try:
            for row in reader:
                yield line, row
                line = reader.line_num + 1
        except csv.Error as error:
            what = (
                "a cell is longer than 100,000 characters" if "field larger" in str(error) else f"not valid CSV ({error}); a quote is open"
            )
            raise InputError(path, what, AGAIN, line) from error
        except UnicodeError as error:
            step = 'save it as "CSV UTF-8", or download the report again'
            raise InputError(path, "the text is not UTF-8", step, _undecodable_line(path, encoding)) from error
        if lines.last and not lines.last.endswith(("\n", "\r")):
            raise InputError(path, "the file ends in the middle of a line: it was cut off", AGAIN, max(1, line - 1))


def _undecodable_line(path: Path, encoding: str) -> int | None:
    """Return the first line that is no text; None for encodings whose lines are not found by their bytes."""
    if encoding != "utf-8-sig":
        return None
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                return number
    return None


class _Lines:
    """The lines of a file; remembers the last one."""

    def __init__(self, file: Iterator[str]) -> None:
        self._file = file
        self.last = ""

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.last = line
            yield line
