"""A report as one HTML page: no script, nothing from elsewhere; charts as inline SVG. The only module that imports jinja2."""

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from licsync_daemon.cli.report.content import CAUSES, ESTIMATE, Report, Section, headline
from licsync_daemon.insight.results import State

MOST_ROWS = 200  # of a table that names people; the whole list is in the CSV
MOST_BARS = 30
LABELS = {
    State.MATCHED: "matched",
    State.SERVER_ONLY: "server only",
    State.UNKNOWABLE: "unknowable",
    State.AMBIGUOUS: "ambiguous",
    State.NOT_COUNTED: "takes no seat",
}


def as_html(report: Report, sections: Sequence[Section]) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("licsync_daemon.cli.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["shown"] = _shown
    return environment.get_template("page.html").render(
        report=report,
        headline=headline(report),
        tables=[_table(one) for one in sections],
        charts=_charts(report) if len(sections) > 1 else {},
        estimate=ESTIMATE,
    )


def _table(section: Section) -> dict[str, Any]:
    limited = section.personal or len(section.rows) > MOST_ROWS
    rows = section.rows[:MOST_ROWS] if limited else section.rows
    numeric = [all(isinstance(row[place], int | float) for row in rows) for place in range(len(section.columns))]
    return {"section": section, "rows": rows, "left_out": len(section.rows) - len(rows), "numeric": numeric}


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}".removesuffix(".0") if isinstance(cell, int | float) else str(cell)


def _charts(report: Report) -> dict[str, Any]:
    forecast = report.forecast
    names = sorted({name for pair in forecast.overlap for name in pair if name})[:12]
    return {
        "seats": {
            "bars": [(one.label, one.number) for one in forecast.seats[:-1] if one.number],
            "purchased": forecast.purchased,
            "total": forecast.high,
        },
        "instances": {
            "labels": LABELS,
            "rows": [
                (one.name, [(state, one.states.get(state, 0)) for state in LABELS], one.accounts) for one in forecast.instances[:MOST_BARS]
            ],
        },
        "overlap": {"names": _short(names), "people": {f"{a}|{b}": n for (a, b), n in forecast.overlap.items()}}
        if len(names) > 1
        else None,
        "causes": [(CAUSES[one.cause], one.sure, one.likely) for one in report.groups],
    }


def _short(names: Sequence[str]) -> dict[str, str]:
    """Return the first label of each host name where these differ, otherwise the whole names."""
    labels = [name.partition(".")[0] for name in names]
    return dict(zip(names, labels if len(set(labels)) == len(names) else names, strict=True))
