"""The tally of the rows of a report or an export."""

from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import Account, UsageCounts
from licsync_daemon.sources.rows import NAMED_ROWS, Tally, Unusable
from licsync_daemon.state.spool import AccountSpool
from tests.fakes import an_account


def tally(directory: Path, rows: list[Account | Unusable]) -> tuple[UsageCounts, list[str]]:
    with AccountSpool(directory) as spool:
        found = Tally(spool)
        found.count(enumerate(rows, start=2))
        counts, notices = found.result()
    assert counts.rows == counts.sent + counts.suspended + counts.unusable
    assert all(notice.code is Code.REPORT_UNUSABLE_ROWS for notice in notices)
    return counts, [notice.text for notice in notices]


BAD = Unusable(9, "x", "why")


def test_every_row_is_counted_once(subtests: pytest.Subtests, tmp_path: Path) -> None:
    """A row is unusable, else suspended, else sent; an empty address is no fault."""
    for name, (rows, counts) in {
        "none": ([], UsageCounts()),
        "sent": ([an_account(1)], UsageCounts(rows=1, sent=1)),
        "suspended": ([an_account(1, suspended=True)], UsageCounts(rows=1, suspended=1)),
        "no address": ([an_account(1, email="")], UsageCounts(rows=1, sent=1, without_address=1)),
        "suspended, no address": ([an_account(1, email="", suspended=True)], UsageCounts(rows=1, suspended=1)),
        "unusable": ([BAD], UsageCounts(rows=1, unusable=1)),
        "exact duplicate": ([an_account(1), an_account(1)], UsageCounts(rows=2, sent=1, unusable=1)),
        "suspended duplicates": ([an_account(1, suspended=True)] * 3, UsageCounts(rows=3, suspended=1, unusable=2)),
        "mixed": ([an_account(2), an_account(1), BAD], UsageCounts(rows=3, sent=2, unusable=1)),
    }.items():
        with subtests.test(name):
            assert tally(tmp_path, rows)[0] == counts


def test_one_id_with_two_contents_fails(subtests: pytest.Subtests, tmp_path: Path) -> None:
    """It is unknown which of the two is right, so the report is refused, naming line and id only."""
    for name, other in {
        "address": an_account(1, email="other@example.com"),
        "flag": an_account(1, suspended=True),
        "login": an_account(1, login="other"),
        "no address": an_account(1, email=""),
    }.items():
        with subtests.test(name):
            with pytest.raises(RunError) as refused:
                tally(tmp_path, [an_account(1), other])
            assert refused.value.code is Code.REPORT_CONFLICTING_ROWS
            assert refused.value.cause == "the report contains the id 1 twice with different content, the second time at line 3"


def test_unusable_rows_are_named(subtests: pytest.Subtests, tmp_path: Path) -> None:
    """The first five unusable rows are named, the others counted."""
    for name, (number, text) in {
        "one": (1, "1 unusable: line 0 (id x): why"),
        "five": (NAMED_ROWS, "5 unusable: " + "; ".join(f"line {line} (id x): why" for line in range(5))),
        "six": (NAMED_ROWS + 1, "6 unusable: " + "; ".join(f"line {line} (id x): why" for line in range(5)) + "; and 1 more"),
    }.items():
        with subtests.test(name):
            assert tally(tmp_path, [Unusable(line, "x", "why") for line in range(number)])[1] == [text]


def test_a_clean_report_has_no_notice(tmp_path: Path) -> None:
    """Without an unusable row there is no notice."""
    assert tally(tmp_path, [an_account()])[1] == []


def test_a_duplicate_is_named_by_its_line(tmp_path: Path) -> None:
    """An exact duplicate names the line of the second row."""
    assert tally(tmp_path, [an_account(7), an_account(7)])[1] == ["1 unusable: line 3 (id 7): duplicate row"]


def test_an_export_is_spoken_of_in_its_own_words(tmp_path: Path) -> None:
    """An export's rows are called users, not lines."""
    with AccountSpool(tmp_path) as spool:
        found = Tally(spool, of="export", unit="user")
        found.count([(1, an_account(7)), (2, an_account(7))])
        assert found.result()[1][0].text == "1 unusable: user 2 (id 7): duplicate row"
        with pytest.raises(RunError, match="the export contains the id 7 twice with different content, the second time at user 3"):
            found.count([(3, an_account(7, email="other@example.com"))])
