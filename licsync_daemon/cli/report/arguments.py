"""The arguments of `report`."""

import argparse
from pathlib import Path

SECTIONS = (
    "causes", "seats", "difference", "accounts", "reasons", "instances", "overlap", "people", "organizations", "cost_centers",
    "duplicates", "fixes", "sources",
)  # fmt: skip


def add_report(report: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of the command."""
    report.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="consumed-licenses and site-admin reports, or folders of them")
    report.add_argument(
        "--server", type=_server, action="append", default=[], metavar="HOST=FILE",
        help="the site-admin report of an instance; may be repeated",
    )  # fmt: skip
    report.add_argument("--format", choices=["table", "html", "csv", "json", "md"], default="table", help="how to print it (default table)")
    report.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to a file that only you can read")
    report.add_argument("--section", choices=SECTIONS, metavar="NAME", help=f"only one table: {', '.join(SECTIONS)}")
    report.add_argument("--people", action="store_true", help="name people; without it, the report has counts only")
    report.add_argument("--price", type=_price, metavar="AMOUNT", help="what a seat costs, to show what the duplicates cost")


def _server(text: str) -> tuple[str, Path]:
    host, _, path = text.partition("=")
    if not (host and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST=FILE")
    return host.lower(), Path(path)


def _price(text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = -1.0
    if not 0 <= price < 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount from 0 to 1,000,000, such as 21 or 19.25")
    return price
