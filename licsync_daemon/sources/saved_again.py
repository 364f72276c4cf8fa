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
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ":": "colons", "^": "carets", "~": "tildes", " ": "blanks"}
OTHERS = {
    b"PK\x03\x04": "a spreadsheet's workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet's workbook",
    **dict.fromkeys((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"LZIP"), "compressed"),
    b"%PDF": "a PDF document",
    b"{\\rtf": "a word processor's document",
    b"-----BEGIN PGP": "encrypted",
}
SEP = re.compile(r'"?sep=', re.IGNORECASE)
HEADER_WITHIN = 20  # lines


def beginning_of(beginning: bytes) -> tuple[str, str]:
    """Return the beginning of a file as text, and the name of its encoding; "" for UTF-8."""
    for mark, codec, name in ENCODINGS:
        if beginning.startswith(mark):
            return beginning[len(mark) :].decode(codec, "replace"), name
    if beginning.count(0) > len(beginning) * 5 // 8:  # without a mark: three of four bytes of ASCII text are zero
        return beginning.decode("utf-32-be" if beginning[:1] == b"\0" else "utf-32-le", "replace"), "UTF-32"
    for first, codec in enumerate(("utf-16-be", "utf-16-le")):  # likewise: every second one
        if beginning[first::2].count(0) > len(beginning) // 4:
            return beginning.decode(codec, "replace"), "UTF-16"
    return beginning.decode("utf-8-sig", "replace"), ""


def is_report(text: str) -> bool:
    """Return whether text begins with the header row of a report, whatever separates its columns and stands before."""
    return _has_names(_header(text))


def report_fault(text: str, encoding: str) -> str:
    """Return how a report differs from what an instance returns; "" if it does not."""
    header = _header(text)
    if encoding:
        return f"it is {encoding} text"
    if SEP.match(text.lstrip()):
        return "its first line is `sep=`"
    if "\r" in text.lstrip().partition("\n")[0].rstrip("\r"):
        return "its line ends are single carriage returns (CR)"
    if text.lstrip().partition("\n")[0].strip() != header.strip():
        return "its first line is not the header row"
    if not (header.startswith('"') and header.count('"') == 2) and _cells(header, ",").issuperset(NEEDED):
        return ""
    used = next((name for mark, name in SEPARATORS.items() if mark in header), None)
    return f"its columns are separated by {used}" if used else "its rows are not separated into columns by commas"


def other_kind(beginning: bytes) -> str:
    """Return what kind of file it is instead of a report or an export, in words; "" if that is not known."""
    start = beginning.removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:1] == b"<":
        return "a web page or an XML document"
    return next((what for mark, what in OTHERS.items() if start.startswith(mark)), "")


def _has_names(header: str) -> bool:
    return _cells(header, r"[,;|\t:^~ ]").issuperset(NEEDED)


def _cells(header: str, separators: str) -> set[str]:
    return {cell.strip().strip('"').lower() for cell in re.split(separators, header)}


def _header(text: str) -> str:
    """Return the first line with the names of the columns that are needed, or the first line that is not blank."""
    lines = [line for line in text.splitlines()[:HEADER_WITHIN] if line.strip()]
    return next((line for line in lines if _has_names(line)), next(iter(lines), ""))
