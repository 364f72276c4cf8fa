"""What people see on a terminal: nothing is cut, whatever its width."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from licsync_daemon.cli import terminal
from licsync_daemon.model.text import PLAIN, Invocation

ESCAPES = re.compile(r"\x1b\[[\d;]*m")
HEADERS = ("instance", "state", "last sync", "age", "sent", "next", "why")
ROW = ("emea", "failed, overdue", "2027-04-06 02:00", "8d 7h", "195", "2027-04-14 13:21", "retry 13 after connection lost")
RESULTS = ("instance", "accounts", "sent", "suspended", "unusable", "state", "collected", "delivered", "confirmed", "last sync")
RESULT = ("emea", "20,412", "20,398", "14", "0", "confirmed", "09:00:00", "09:00:00", "09:00:00", "09:00:00")

RUNS = ("started", "instance", "state", "code", "sent", "last sync", "why", "run")
RUN = (
    "2027-04-06 02:00",
    "emea",
    "failed",
    "server_id_changed",
    "719",
    "2027-03-30 02:00",
    "retry 13 after connection lost",
    "3f9d5b954ead",
)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        return [ESCAPES.sub("", line).rstrip() for line in self.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@contextmanager
def screen(columns: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """Be a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with redirect_stdout(Screen()) as shown:
        yield shown


TOTALS = ("total", "20,412", "20,398", "14", "0", "", "", "", "", "")


def test_on_every_width_each_word_is_whole(subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells wrap as needed; a terminal that is too narrow for that gets a wrapped paragraph per row."""
    tables: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...] | None, int]] = {
        "status": (HEADERS, ROW, None, 71),
        "run-now": (RESULTS, RESULT, TOTALS, 103),
        "history": (RUNS, RUN, None, 98),
    }
    for name, (headers, row, totals, least) in tables.items():
        for columns in (60, 70, 71, 72, 80, 81, 97, 98, 100, 102, 103, 104, 110, 200):
            with subtests.test(name, columns=columns):
                with screen(columns, monkeypatch) as shown:
                    terminal.print_table(headers, [row], totals=totals)
                words = {word for cell in (*headers[1:], *row, *(totals or ())) for word in cell.split()}
                assert words <= {word.removesuffix(":") for word in " ".join(shown.lines).split()}
                assert max(map(len, shown.lines)) <= columns
                is_table = any(set(line) == {"─", " "} for line in shown.lines)
                assert is_table is (columns >= least)


def test_optional_columns_are_left_out_before_the_table_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The results of `--run-now` are a table on 80 columns too, which says what it leaves out."""
    with screen(80, monkeypatch) as shown:
        terminal.print_table(RESULTS, [RESULT], totals=TOTALS, optional=("collected", "delivered", "confirmed"))
    assert any(set(line) == {"─", " "} for line in shown.lines)
    assert max(map(len, shown.lines)) <= 80
    assert shown.lines[-1] == "not shown at 80 columns: collected, delivered, confirmed"
    with screen(110, monkeypatch) as shown:
        terminal.print_table(RESULTS, [RESULT], totals=TOTALS, optional=("collected", "delivered", "confirmed"))
    assert "collected" in shown.lines[1]
    assert "not shown" not in shown.lines[-1]


def test_a_failure_is_wrapped_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message on stderr too, as far below its beginning as it is indented."""
    monkeypatch.setenv("COLUMNS", "40")
    with redirect_stderr(Screen()) as shown:
        terminal.complain("  cloud.enterprise: missing (for example enterprise = octo)")
    assert shown.lines == ["  cloud.enterprise: missing (for example", "    enterprise = octo)"]


def test_a_reason_gives_way_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instants stay on one line as long as they can."""
    with screen(88, monkeypatch) as shown:
        terminal.print_table(HEADERS, [ROW])
    assert [line for line in shown.lines if "2027-04-06 02:00" in line and "2027-04-14 13:21" in line]
    assert shown.lines[-2].split() == ["overdue", "connection", "lost"]


def test_a_long_line_goes_on_under_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words are not broken, and what follows is set in."""
    with screen(110, monkeypatch) as shown:
        terminal.say("emea: held: " + "word-with-hyphens " * 12, hang=6)
    first, second, third = shown.lines
    assert first.startswith("emea: held: word-with-hyphens ")
    assert second.startswith("      word-with-hyphens")
    assert {*first.split(), *second.split(), *third.split()} == {"emea:", "held:", "word-with-hyphens"}
    assert max(map(len, shown.lines)) <= 110


def test_a_narrow_terminal_has_room_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the beginning, most of the width is left for the words."""
    with screen(20, monkeypatch) as shown:
        terminal.say("2027-04-05 08:01 UTC  emea  first sync", hang=28)
    assert shown.lines == ["2027-04-05 08:01 UTC", "      emea  first", "      sync"]


def test_lines_and_empty_lines_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of several lines keeps them."""
    with screen(110, monkeypatch) as shown:
        terminal.say("one\n\ntwo")
        terminal.say()
    assert shown.lines == ["one", "", "two", ""]


def test_commands_are_printed_as_a_person_types_them(capsys: pytest.CaptureFixture[str]) -> None:
    """In lines, failures, tables and JSON; a text of an older version, which names the program itself, is left alone."""
    said = "$licsync approve 1f; licsync-daemon status"
    terminal.type_commands_as(Invocation(config=Path("/my fleet/config.toml"), owner="licsync"))
    try:
        terminal.say(said)
        terminal.complain(said)
        terminal.print_table(("why",), [(said,)])
        terminal.print_json({"runs": [{"next_step": said}]})
    finally:
        terminal.type_commands_as(PLAIN)
    shown = "sudo -u licsync licsync-daemon --config '/my fleet/config.toml' approve 1f; licsync-daemon status"
    assert capsys.readouterr() == (
        f'{shown}\nwhy\n{shown}\n{{\n  "runs": [\n    {{\n      "next_step": "{shown}"\n    }}\n  ]\n}}\n',
        f"{shown}\n",
    )


@pytest.mark.parametrize("is_screen", [True, False], ids=["terminal", "pipe"])
def test_nothing_that_is_printed_controls_the_terminal(is_screen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file name or a stored text contains: no control character of its own, no bidi control, and no line in a cell."""
    text = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202eb\u2028c\rd"
    with screen(80, monkeypatch) if is_screen else redirect_stdout(io.StringIO()) as shown:
        terminal.say(text)
        terminal.print_table(("name", "why"), [(text, f"{text}\nforged: line")])
        terminal.print_json({"text": text, "more": [text]})
    printed = shown.getvalue()
    lines = ESCAPES.sub("", printed).splitlines()
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("forged") for line in lines)
    assert "2J" not in printed
    assert "title" not in printed
