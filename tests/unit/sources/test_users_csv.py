"""The report `all_users.csv`: every row it may hold, every fault it may have."""

import pytest

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import Account
from licsync_daemon.sources.rows import Unusable
from licsync_daemon.sources.users_csv import MAX_RECORD_BYTES, UsersCsvReader

HEADER = (
    "created_at,id,login,email,role,suspended?,last_logged_ip,repos,ssh_keys,org_memberships,dormant?,last_active,raw_login,2fa_enabled?\n"
)


def row(number: str = "1", login: str = "mona", email: str = "mona@example.com", suspended: str = "false") -> str:
    return f"2020-01-01 00:00:00 UTC,{number},{login},{email},user,{suspended},10.0.0.1,0,0,0,false,2026-01-01,{login},true\n"


Rows = list[tuple[int, Account | Unusable]]


def read(data: bytes | str, size: int = 64 * 1024) -> Rows:
    """Read a whole report, given in pieces of `size` bytes."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    reader = UsersCsvReader()
    rows = [found for at in range(0, len(raw), size) for found in reader.feed(raw[at : at + size])]
    reader.finish()
    return rows


def error_of(data: bytes | str, size: int = 64 * 1024) -> RunError:
    with pytest.raises(RunError) as refused:
        read(data, size)
    return refused.value


def mona(**changes: object) -> Account:
    return Account(**{"id": 1, "login": "mona", "email": "mona@example.com", "suspended": False, **changes})


@pytest.mark.parametrize("size", [1, 7, 64 * 1024], ids=["byte by byte", "in sevens", "whole"])
@pytest.mark.parametrize(
    ("text", "accounts"),
    [
        (row(), [mona()]),
        (row("\u0020 2 "), [mona(id=2)]),
        (row("0042"), [mona(id=42)]),
        (row("9223372036854775807"), [mona(id=2**63 - 1)]),
        (row(email=""), [mona(email="")]),
        (row(login="møna", email="møna@münchen.example"), [mona(login="møna", email="møna@münchen.example")]),
        (row(email='"mona@example.com"'), [mona()]),
        (row(login='"mo,na"'), [mona(login="mo,na")]),
        (row(login='"mo""na"'), [mona(login='mo"na')]),
        (row(login='"mo\nna\n\n"'), [mona(login="mo\nna")]),
        (row(login='"{""a"": ""b\r\nc""}"'), [mona(login='{"a": "b\r\nc"}')]),
        (row().replace("\n", "\r\n"), [mona()]),
        (row() + "\n\r\n" + row("2"), [mona(), mona(id=2)]),
        ("", []),
    ],
    ids=[
        "plain",
        "blanks around the id",
        "zeros before the id",
        "largest id",
        "no address",
        "non-ASCII",
        "quoted",
        "comma",
        "quote",
        "line breaks",
        "JSON with line breaks",
        "CRLF",
        "empty lines",
        "no rows",
    ],
)
def test_rows_are_read_as_they_are_meant(text: str, accounts: list[Account], size: int) -> None:
    """Quotes, line breaks, commas and any alphabet are read correctly, however the bytes arrive."""
    assert [account for _, account in read(HEADER + text, size)] == accounts


@pytest.mark.parametrize("size", [1, 64 * 1024], ids=["byte by byte", "whole"])
@pytest.mark.parametrize("start", ["\ufeff", '\ufeff"created_at"', '"created_at"'], ids=["BOM", "BOM and quotes", "quotes"])
def test_a_header_may_have_a_bom_and_quotes(start: str, size: int) -> None:
    """A byte order mark and quotes in the header row change nothing."""
    header = start + (HEADER.removeprefix("created_at") if start.endswith('"') else HEADER)
    assert read(header + row(), size) == [(2, mona())]


@pytest.mark.parametrize(
    "header", ["ID,Login,EMAIL,Suspended?\r\n", "suspended?,email,extra,login,id\n", " id , login ,email, suspended?\n"]
)
def test_columns_are_found_by_name(header: str) -> None:
    """Order, case, blanks and further columns do not matter."""
    cells = {"id": "1", "login": "mona", "email": "mona@example.com", "suspended?": "false"}
    line = ",".join(cells.get(name.strip().lower(), "x") for name in header.split(","))
    assert [account for _, account in read(header + line + "\n")] == [mona()]


@pytest.mark.parametrize(
    ("flag", "suspended"),
    [(text, True) for text in ("true", "TRUE", "1", "yes", "t", " True ")] + [(text, False) for text in ("false", "False", "0", "no", "f")],
)
def test_row_19_the_suspended_flag_in_several_spellings(flag: str, suspended: bool) -> None:
    """The flag is read in every published spelling, whatever its case."""
    assert read(HEADER + row(suspended=flag)) == [(2, mona(suspended=suspended))]


BAD_ID, BAD_FLAG, BAD_TEXT = (
    "the id is not a positive number",
    "the suspended flag is neither true nor false",
    "a cell is not valid UTF-8",
)


def test_unusable_rows(subtests: pytest.Subtests) -> None:
    """A row that cannot be used is named by its line and id only, and the rows around it are read."""
    for name, (line, unusable) in {
        "empty id": (row(""), Unusable(2, "", BAD_ID)),
        "words": (row("abc"), Unusable(2, "abc", BAD_ID)),
        "zero": (row("0"), Unusable(2, "0", BAD_ID)),
        "negative": (row("-1"), Unusable(2, "-1", BAD_ID)),
        "fraction": (row("1.0"), Unusable(2, "1.0", BAD_ID)),
        "beyond 63 bits": (row("9223372036854775808"), Unusable(2, "9223372036854775808", BAD_ID)),
        "very long": (row("9" * 5000), Unusable(2, "9" * 20, BAD_ID)),
        "other digits": (row("١٢"), Unusable(2, "??", BAD_ID)),
        "an address": (row("mona@example.com"), Unusable(2, "mona?example.com", BAD_ID)),
        "no flag": (row(suspended=""), Unusable(2, "1", BAD_FLAG)),
        "unknown flag": (row(suspended="maybe"), Unusable(2, "1", BAD_FLAG)),
        "a NUL": (row(email="m\0na@example.com"), Unusable(2, "1", BAD_TEXT)),
        "undecodable address": (row(email="EMAIL").encode().replace(b"EMAIL", b"m\xffna@example.com"), Unusable(2, "1", BAD_TEXT)),
        "undecodable login": (row(login="LOGIN").encode().replace(b"LOGIN", b"m\xc3"), Unusable(2, "1", BAD_TEXT)),
        "half a character": (row(email="EMAIL").encode().replace(b"EMAIL", b"\xed\xa0\x80@example.com"), Unusable(2, "1", BAD_TEXT)),
    }.items():
        with subtests.test(name):
            raw = line if isinstance(line, bytes) else line.encode()
            assert read(HEADER.encode() + raw + row("2").encode()) == [(2, unusable), (3, mona(id=2))]


def test_an_unusable_row_says_no_more_than_line_and_id() -> None:
    """The message contains neither login nor address."""
    assert str(Unusable(7, "", BAD_ID)) == "line 7 (id empty): the id is not a positive number"


def test_undecodable_bytes_elsewhere_do_not_matter() -> None:
    """Only the needed columns are checked: a broken cell in another column does not make a row unusable."""
    line = row().encode().replace(b"10.0.0.1", b"\xff\xfe")
    assert read(HEADER.encode() + line) == [(2, mona())]


@pytest.mark.parametrize("size", [1, 64 * 1024], ids=["byte by byte", "whole"])
def test_lines_are_counted_through_line_breaks_in_cells(size: int) -> None:
    """A row is named by the line it starts on, also after cells with line breaks and empty lines."""
    text = HEADER + row(login='"a\nb\r\nc"') + "\n" + row("x") + row("2")
    assert [line for line, _ in read(text, size)] == [2, 8, 9]


@pytest.mark.parametrize("size", [1, 64 * 1024], ids=["byte by byte", "whole"])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (HEADER + row().rstrip("\n") + ",more\n", Code.REPORT_MALFORMED),
        (HEADER + "1,2,3\n", Code.REPORT_MALFORMED),
        (HEADER + row(email='"mona"x'), Code.REPORT_MALFORMED),
        (HEADER.replace("email", "mail") + row(), Code.REPORT_HEADER_CHANGED),
        (HEADER.replace("suspended?", "suspended"), Code.REPORT_HEADER_CHANGED),
        (HEADER.replace("role", "email") + row(), Code.REPORT_HEADER_CHANGED),
        (HEADER.replace(",", ";"), Code.REPORT_HEADER_CHANGED),
        (row() + row("2"), Code.REPORT_HEADER_CHANGED),
        (b"\x89PNG\r\n\x1a\n\0\0", Code.REPORT_HEADER_CHANGED),
        ("<!DOCTYPE html>\n<html>\n<title>Sign in</title>\n", Code.REPORT_NOT_CSV),
        ('\n\n  <html lang="en\n">', Code.REPORT_NOT_CSV),
        ('<html lang="en"><title>Sign in</title></html>', Code.REPORT_NOT_CSV),
        ('\ufeff<?xml version="1.0"?>', Code.REPORT_NOT_CSV),
        ('{"message": "Not Found"}', Code.REPORT_NOT_CSV),
        ('{"message": "Not Found"}\n', Code.REPORT_NOT_CSV),
        ('{\n  "message": "Not Found"\n}\n', Code.REPORT_NOT_CSV),
        ("[1, 2]", Code.REPORT_NOT_CSV),
        ("", Code.REPORT_TRUNCATED),
        ("\n\n", Code.REPORT_TRUNCATED),
        ("id,login", Code.REPORT_TRUNCATED),
        (HEADER.rstrip("\n"), Code.REPORT_TRUNCATED),
        (HEADER + row().rstrip("\n"), Code.REPORT_TRUNCATED),
        (HEADER + row() + row("2")[:40], Code.REPORT_TRUNCATED),
        (HEADER + row() + row("2", email='"a\n'), Code.REPORT_TRUNCATED),
    ],
    ids=[
        "a cell too many",
        "cells missing",
        "text after a quote",
        "column renamed",
        "flag renamed",
        "column twice",
        "semicolons",
        "no header",
        "an image",
        "a page",
        "a page after empty lines",
        "a page on one line",
        "XML with a BOM",
        "JSON without a line end",
        "JSON",
        "JSON on lines",
        "a JSON list",
        "empty",
        "empty lines",
        "half a header",
        "no line end after the header",
        "no line end after a row",
        "half a row",
        "an open quote",
    ],
)
def test_faults_of_the_file(data: str | bytes, code: Code, size: int) -> None:
    """A file that is not the whole report fails with the code of its fault, however it arrives."""
    assert error_of(data, size).code is code


def test_the_line_of_a_fault_is_named() -> None:
    """A wrong cell count is named by line."""
    assert "line 4 has 3 cells instead of 14" in error_of(HEADER + row() + row("2") + "1,2,3\n").cause


def test_a_cut_is_found_at_every_byte() -> None:
    """Wherever a report is cut, either whole rows are missing at its end or it is refused: no half of a row is ever read."""
    whole = (HEADER + row(login='"a\nb"') + row("2", email="")).encode()
    all_rows = read(whole)
    for end in range(len(whole)):
        reader = UsersCsvReader()
        rows = list(reader.feed(whole[:end]))
        assert rows == all_rows[: len(rows)]
        if end not in {len(HEADER), len(HEADER + row(login='"a\nb"'))}:
            with pytest.raises(RunError):
                reader.finish()


@pytest.mark.parametrize("size", [4096, 8 * 1024 * 1024], ids=["in pieces", "whole"])
def test_a_record_that_does_not_end_is_given_up(size: int) -> None:
    """An unclosed quote does not consume the rest of a large file."""
    data = HEADER + row(login='"open') + row("2") * (MAX_RECORD_BYTES // 50)
    assert error_of(data, size).code is Code.REPORT_MALFORMED


def test_a_huge_cell_is_refused() -> None:
    """A cell beyond any account is a fault of the file, not of memory."""
    assert error_of(HEADER + row(login="x" * 500_000)).code is Code.REPORT_MALFORMED
