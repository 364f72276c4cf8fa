"""Properties of the report's parser: the cuts between pieces do not matter, and junk raises nothing but our own error."""

import csv
import io
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.model.decode import read_date
from licsync_daemon.model.errors import RunError
from licsync_daemon.model.usage import Account
from licsync_daemon.sources.rows import Unusable
from licsync_daemon.sources.users_csv import UsersCsvReader

COLUMNS = ["id", "login", "email", "suspended?", "raw_login"]
cells = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('",\n\r ;{}'), max_size=12)
records = st.tuples(st.integers(-1, 2**64).map(str) | cells, cells, cells, st.sampled_from(["true", "false", "", "0"]) | cells, cells)
bytes_of_a_report = st.binary(max_size=60) | st.lists(
    st.sampled_from(
        [b'"', b",", b"\n", b"\r\n", b"\r", b"1", b"true", b"id,login,email,suspended?\n", b"\xff", b"\0", b"<", b"\xef\xbb\xbf"]
    ),
    max_size=40,
).map(b"".join)


def read(pieces: list[bytes]) -> list[tuple[int, Account | Unusable]]:
    reader = UsersCsvReader()
    rows = [row for piece in pieces for row in reader.feed(piece)]
    reader.finish()
    return rows


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(edges)]


def written(rows: list[tuple[str, ...]], line_end: str, bom: str) -> bytes:
    text = io.StringIO(newline="")
    # With "\n" alone Python's writer leaves a lone "\r" unquoted, which reads as the end of a line.
    writer = csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_ALL if line_end == "\n" else csv.QUOTE_MINIMAL)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return (bom + text.getvalue()).encode()


@given(
    st.lists(records, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
    st.lists(st.integers(0, 600), max_size=12),
)
def test_any_cuts_give_the_same_rows(rows: list[tuple[str, ...]], line_end: str, bom: str, places: list[int]) -> None:
    """However a well-formed report is cut into pieces, it gives the same rows on the same lines, one for each record."""
    data = written(rows, line_end, bom)
    whole = read([data])
    assert len(whole) == len(rows)
    assert read(cut(data, places)) == whole
    assert read([data[at : at + 1] for at in range(len(data))]) == whole


@given(st.lists(records, max_size=6))
def test_cells_come_out_as_they_went_in(rows: list[tuple[str, ...]]) -> None:
    """What another program wrote as CSV is read back cell by cell."""
    for (number, login, email, _, _), (_, found) in zip(rows, read([written(rows, "\r\n", "")]), strict=True):
        if isinstance(found, Account):
            assert (found.id, found.login, found.email) == (int(number), login.strip(), email.strip())


@given(bytes_of_a_report, st.lists(st.integers(0, 100), max_size=5))
def test_junk_raises_nothing_but_our_error(data: bytes, places: list[int]) -> None:
    """Any bytes at all are read or refused with a `RunError`."""
    try:
        rows = read(cut(data, places))
    except RunError:
        return
    assert all(isinstance(row, Account | Unusable) for _, row in rows)


@given(st.binary(max_size=200))
def test_junk_after_a_header_raises_nothing_but_our_error(data: bytes) -> None:
    """Any bytes after a good header are read or refused with a `RunError`, and ids are always positive."""
    try:
        rows = read([b"id,login,email,suspended?\n1,mona,mona@example.com,false\n", data])
    except RunError:
        return
    assert all(row.id > 0 for _, row in rows if isinstance(row, Account))


dates = st.builds(
    "{}-{:02}-{:02} {:02}:{:02}:00{}".format,
    st.sampled_from([2025, 2026]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 24),
    st.integers(0, 60),
    st.sampled_from([" +0000", " +0900", " -1130", " UTC", " +0000 ", ""]),
)


@given(st.lists(dates | st.sampled_from(["", " ", "never", "1795000000", "2026-12-31T00:00:00Z"])))
def test_the_newest_activity_is_that_of_all_dates_read_one_by_one(cells: list[str]) -> None:
    """Dates of one form are compared as text, which must find the same newest date and count the same unreadable ones."""
    reader = UsersCsvReader(latest=datetime(2026, 12, 1, tzinfo=UTC))
    text = "id,login,email,suspended?,last_active\n" + "".join(f"{n},u,,false,{cell}\n" for n, cell in enumerate(cells, 1))
    assert len(list(reader.feed(text.encode()))) == len(cells)
    found = [read_date(cell) for cell in cells if cell.strip()]
    known = [moment for moment in found if moment is not None and moment <= reader.latest]
    assert reader.newest_activity == max(known, default=None)
    unreadable = len(found) - len(known)
    assert [notice.text.split()[0] for notice in reader.notices()] == ([f"{unreadable:,}"] if unreadable else [])
