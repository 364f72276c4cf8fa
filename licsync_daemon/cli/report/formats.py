"""A report as JSON, CSV and Markdown. Pure: values in, text out."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from licsync_daemon.cli.report.content import MAX_CELL, Cell, Report, Section, headline
from licsync_daemon.insight.results import Line, Tier
from licsync_daemon.model.decode import printable
from licsync_daemon.model.text import clean, iso

VERSION = 1  # of the JSON; docs/report.schema.json
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # how a cell that a spreadsheet computes begins


def as_csv(section: Section) -> str:
    """Return one table as CSV that a spreadsheet shows and never computes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(section.columns)
    writer.writerows([safe(cell) for cell in row] for row in section.rows)
    return text.getvalue()


def safe(cell: Cell) -> Cell:
    """Return a cell that is no formula in any spreadsheet, on one line and without control characters."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell, MAX_CELL)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def as_markdown(report: Report, sections: Sequence[Section]) -> str:
    """Return the report in Markdown, as GitHub shows it."""
    parts = ["# Who is counted twice", *headline(report)]
    for one in sections:
        rule = ["---:" if all(isinstance(row[place], int | float) for row in one.rows) else "---" for place in range(len(one.columns))]
        rows = [[_escaped(cell) for cell in row] for row in one.rows]
        table = "\n".join("| " + " | ".join(row) + " |" for row in [list(one.columns), rule, *rows])
        parts += [f"## {one.title}", *([f"_{one.note[0].upper()}{one.note[1:]}._"] if one.note else []), table]
    return "\n\n".join(parts) + "\n"


def _escaped(cell: Cell) -> str:
    if isinstance(cell, str):
        text = printable(cell, MAX_CELL)
        return "".join(f"\\{char}" if char in "\\|*_`<>[]#@" else char for char in text)
    return "" if cell is None else f"{cell:,}"


def as_json(report: Report) -> str:
    """Return the report as JSON, of which docs/report.schema.json is the schema."""
    forecast, consumption = report.forecast, report.forecast.consumption
    found: dict[str, Any] = {
        "version": VERSION,
        "at": iso(report.at),
        "is_estimate": True,
        "sources": [
            {
                "file": str(one.path),
                "what": one.what,
                "changed_at": iso(one.changed_at),
                "age_s": int((report.at - one.changed_at).total_seconds()),
            }
            for one in report.sources
        ],
        "ignored": [{"file": str(path), "reason": reason} for path, reason in report.ignored],
        "seats": {
            "forecast": forecast.high,
            "forecast_low": forecast.low,
            "stated": forecast.stated,
            "purchased": forecast.purchased,
            "savable_sure": report.saved[Tier.SURE],
            "savable_likely": report.saved[Tier.LIKELY],
            "price": report.price,
        },
        "seats_by_part": _lines(forecast.seats),
        "difference": _lines(forecast.difference),
        "accounts": _lines(forecast.accounts),
        "reasons": {reason.value: number for reason, number in forecast.reasons.items()},
        "instances": [
            {
                "instance": one.name,
                "hostname": one.hostname,
                "from_cloud": one.from_cloud,
                "never_synced": one.never_synced,
                "accounts": one.accounts,
                "states": {state.value: number for state, number in one.states.items()},
                "people": one.people,
                "only_here": one.only_here,
            }
            for one in forecast.instances
        ],
        "overlap": [
            {"instances": [name for name in pair if name], "in_cloud": not pair[0], "people": n} for pair, n in forecast.overlap.items()
        ],
        "consumption": {
            "seats": consumption.seats,
            "cloud_only": consumption.cloud_only,
            "both": consumption.both,
            "server_only": consumption.server_only,
            "invited": consumption.invited,
            "visual_studio_unmatched": consumption.visual_studio_unmatched,
            "without_address": consumption.without_address,
            "without_identity": consumption.without_identity,
            "by_instance": _named(consumption.by_instance),
            "by_organization": _named(consumption.by_organization),
            "by_cost_center": _named(consumption.by_cost_center),
        }
        if report.has_cloud
        else None,
        "causes": [
            {"cause": one.cause.value, "people": one.people, "seats": one.seats, "sure": one.sure, "likely": one.likely, "cost": one.cost}
            for one in report.groups
        ],
    }
    if report.people:
        found["likely_duplicates"] = [
            {
                **{
                    name: value
                    for name in ("account", "account2", "cloud_login", "invitation", "subscription")
                    if (value := getattr(one, name))
                },
                "tier": one.tier.value,
                "score": one.score,
                "cause": one.cause.value,
                "evidence": list(one.evidence),
                "fix": one.fix,
                "who": one.who.value,
                "contact": one.contact or None,
                "saves": one.saves,
            }
            for one in report.duplicates.suggestions
        ]
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def _lines(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [{"code": one.code, "label": one.label, "number": one.number} for one in lines]


def _named(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"name": clean(name), "people": number} for name, number in counts.items()]
