"""How text fits the width of a terminal: wrapped lines, and the columns of a table. Pure; words and IDs are never broken."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

GAP = 2  # between columns
WORDY = frozenset({"why", "reason", "value", "details"})  # columns that wrap first if a table is wider than the terminal
WORDY_WIDTH = 15  # their minimum
_NO_BREAK = "\N{NO-BREAK SPACE}"


class Fit(NamedTuple):
    """The columns of a table that are shown, by index, and their widths."""

    columns: list[int]
    widths: list[int]


def fit(rows: Sequence[Sequence[str]], width: int, optional: Sequence[str] = ()) -> Fit | None:
    """Fit a table, headers first, into `width`: wrap cells, then leave out `optional` columns one by one. None if it does not fit."""
    for count in range(len(optional) + 1):
        columns = [column for column, header in enumerate(rows[0]) if header not in optional[:count]]
        widths = _widths([[row[column] for column in columns] for row in rows], width)
        if widths is not None:
            return Fit(columns, widths)
    return None


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return column widths with which a table fits, none narrower than its longest word; None if it does not fit."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    least = [max(len(word) for cell in cells for word in (*cell.split(), "")) for cells in zip(*rows, strict=True)]
    over = sum(widths) + GAP * len(widths) - width
    wordy = [column for column, header in enumerate(rows[0]) if header in WORDY]
    others = sorted(set(range(len(widths))) - {*wordy}, key=lambda column: least[column] - widths[column])
    for column in (*wordy, *others):
        floor = max(least[column], WORDY_WIDTH) if column in wordy else least[column]
        given = max(0, min(over, widths[column] - floor))
        widths[column] -= given
        over -= given
    return widths if over <= 0 else None


def paragraphs(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Yield a table that does not fit as one wrapped paragraph per row: `emea  sent: 719  state: confirmed`."""
    for row in rows:
        cells = (_labeled(header, cell) for header, cell in zip(headers[1:], row[1:], strict=True) if cell not in {"", "-"})
        yield from wrapped("  ".join((row[0], *cells)), width, hang=2)


def _labeled(header: str, cell: str) -> str:
    """Return a cell behind its header, which stays on one line with the first word of the cell."""
    return f"{header}: ".replace(" ", _NO_BREAK) + cell if header else cell


def wrapped(line: str, width: int, hang: int = 0) -> list[str]:
    """Wrap a line between words; further lines are indented by `hang`, but by no more than a third of the width."""
    indent = " " * min(hang, width // 3)
    lines = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [one.replace(_NO_BREAK, " ") for one in lines] or [""]
