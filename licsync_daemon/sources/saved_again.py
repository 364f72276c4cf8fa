"""Recognize a report or an export that another program saved again: a spreadsheet, or PowerShell's `>`.

Such a file is refused and named. It may read well, and yet addresses, numbers and flags in it may have been rewritten.
"""

import codecs
import re

from licsync_daemon.sources.users_csv import NEEDED

ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
ARCHIVES = {
    b"PK\x03\x04": "a spreadsheet's workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet's workbook",
    b"\x1f\x8b": "compressed",
}


def beginning_of(beginning: bytes) -> tuple[str, str]:
    """Return the beginning of a file as text, and the name of its encoding; "" for UTF-8."""
    for mark, codec, name in ENCODINGS:
        if beginning.startswith(mark):
            return beginning[len(mark) :].decode(codec, "replace"), name
    for first, codec in enumerate(("utf-16-be", "utf-16-le")):  # without a mark: every second byte of ASCII text is zero
        if beginning[first::2].count(0) > len(beginning) // 4:
            return beginning.decode(codec, "replace"), "UTF-16"
    return beginning.decode("utf-8-sig", "replace"), ""


def is_report(text: str) -> bool:
    """Return whether text begins with the header row of a report, whatever separates its columns."""
    return _cells(_header(text), r"[,;|\t]").issuperset(NEEDED)


def report_fault(text: str, encoding: str) -> str:
    """Return how a report differs from what an instance returns; "" if it does not."""
    header = _header(text)
    if encoding:
        return f"it is {encoding} text"
    if text.lstrip().lower().startswith("sep="):
        return "its first line is `sep=`"
    if "\r" in text.lstrip().partition("\n")[0].rstrip("\r"):
        return "its line ends are single carriage returns (CR)"
    if not (header.startswith('"') and header.count('"') == 2) and _cells(header, ",").issuperset(NEEDED):
        return ""
    used = next((name for mark, name in SEPARATORS.items() if mark in header), None)
    return f"its columns are separated by {used}" if used else "its rows are not separated into columns by commas"


def archive_kind(beginning: bytes) -> str:
    """Return what kind of archive a file is; "" if it is none."""
    return next((what for mark, what in ARCHIVES.items() if beginning.startswith(mark)), "")


def _cells(header: str, separators: str) -> set[str]:
    return {cell.strip().strip('"').lower() for cell in re.split(separators, header)}


def _header(text: str) -> str:
    lines = (line for line in text.splitlines() if line.strip())
    return next((line for line in lines if not line.lower().startswith("sep=")), "")
