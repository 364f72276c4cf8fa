"""The content of a report: what was found, and its sections as tables. Pure; every format shows these."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from licsync_daemon.cli.terminal import span
from licsync_daemon.insight.decide import LIKELY, SURE
from licsync_daemon.insight.results import Cause, Duplicates, Forecast, Group, Reason, State, Suggestion, Tier, Who
from licsync_daemon.model.decode import printable
from licsync_daemon.model.text import clean

Cell = str | int | float | None

CAUSES = {
    Cause.RENAMED_DOMAIN: "the domain of the addresses was renamed",
    Cause.PRIVATE_ADDRESS: "one side has a private address",
    Cause.NO_LINKED_IDENTITY: "the cloud account has no linked identity",
    Cause.NO_VERIFIED_ADDRESS: "the cloud account shows no address at a verified domain",
    Cause.PLUS_TAG: "the address has a plus tag",
    Cause.OTHER_ADDRESS: "the addresses differ",
    Cause.NO_ADDRESS: "the server account has no address",
    Cause.INVITATION: "invited by address, and a collaborator already",
    Cause.VISUAL_STUDIO: "a Visual Studio subscription that is not matched",
}
WHO = {
    Who.PERSON: "the person",
    Who.IDENTITY_PROVIDER: "the identity-provider team",
    Who.SERVER_ADMIN: "the GHES administrator",
    Who.CLOUD_OWNER: "the enterprise owner",
}
REASONS = {
    Reason.ATTRIBUTED: "GitHub lists the account with a cloud person",
    Reason.NAME_ID: "the address is the SAML NameID of a cloud person",
    Reason.VERIFIED_EMAIL: "the address is a verified address of a cloud person",
    Reason.SERVER_EMAIL: "the address is that of another account of a cloud person",
    Reason.SEVERAL_PEOPLE: "several cloud people have the address",
    Reason.SUSPENDED: "suspended",
    Reason.GHOST: "the built-in account `ghost`",
    Reason.NEVER_SIGNED_IN: "never signed in",
    Reason.VERIFIED_DOMAIN: "the address is at a verified domain, and no cloud person has it",
    Reason.NO_ADDRESS: "the account has no address",
    Reason.HIDDEN_ADDRESS: "no cloud person shows the address, but some show none at all",
    Reason.ALL_ADDRESSES_SHOWN: "no cloud person has the address",
}
ESTIMATE = "an estimate by GitHub's published matching rule; only the next sync of every instance shows the real number"
ALWAYS = frozenset({"stated", "unexplained", "forecast"})  # lines of the difference that stand there even when they are 0


@dataclass(frozen=True, slots=True)
class Section:
    """One table. `personal`: it names people, and is there only where that was asked for."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    note: str = ""
    personal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file that was read, and when it was last changed."""

    path: Path
    what: str
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a format needs. `price` is the cost of a seat; `people` says whether people may be named."""

    at: datetime
    sources: tuple[Source, ...]
    ignored: tuple[tuple[Path, str], ...]
    forecast: Forecast
    duplicates: Duplicates
    groups: tuple[Group, ...]
    people: bool
    price: float | None
    has_cloud: bool
    sections: tuple[Section, ...] = field(init=False)

    def __post_init__(self) -> None:
        wanted = (one for one in _sections(self) if self.people or not one.personal)
        shown = (replace(one, rows=[tuple(_printable(cell, personal=one.personal) for cell in row) for row in one.rows]) for one in wanted)
        object.__setattr__(self, "sections", tuple(shown))

    @property
    def saved(self) -> dict[Tier, int]:
        """Return the seats that the suggestions of each tier free."""
        return {tier: sum(one.saves for one in self.duplicates.suggestions if one.tier is tier) for tier in Tier}


MAX_CELL = 10_000  # characters
MANY = 20  # rows of a table on a first screen


def headline(report: Report) -> list[str]:
    """Return what a person wants to know first: how many seats could be saved, and where the company stands."""
    sure, likely = report.saved[Tier.SURE], report.saved[Tier.LIKELY]
    total = sure + likely
    if total:
        money = f" ({_money(total * report.price)} at {_money(report.price)} each)" if report.price is not None else ""
        seats = "seat" if total == 1 else "seats"
        lines = [f"{total:,} {seats} could be saved{money}: {sure:,} sure, {likely:,} likely. Each is one person who takes two seats."]
    else:
        lines = ["No likely duplicates were found: no person seems to take two seats."]
    forecast = report.forecast
    known = f"; GitHub states {forecast.stated:,}" if forecast.stated is not None else ""
    bought = f"; {forecast.purchased:,} were purchased" if forecast.purchased is not None else ""
    lines.append(f"{forecast.high:,} seats are forecast after the next sync of every instance{known}{bought}.")
    if forecast.low != forecast.high:
        lines.append(f"The forecast is {forecast.low:,} if every hidden address matches a cloud person.")
    never = [one.name for one in forecast.instances if one.never_synced]
    if never and report.has_cloud:
        lines.append(f"Never synced, as far as the cloud's report says: {_some(never)}.")
    if not report.has_cloud:
        lines.append("Without the consumed-licenses report, people are compared between instances only.")
    return lines


def _sections(report: Report) -> Iterable[Section]:
    forecast, price = report.forecast, report.price
    yield Section(
        "causes",
        "Seats to save, by cause",
        ("cause", "seats", "sure", "likely", *(("cost",) if price is not None else ())),
        [
            (CAUSES[one.cause], one.seats, one.sure, one.likely, *((round(one.cost or 0.0, 2),) if price is not None else ()))
            for one in report.groups
        ],
        f"sure: estimated probability of {SURE} or more; likely: {LIKELY} or more; nothing is merged by itself",
    )
    yield Section(
        "seats", "Seats by part", ("seats", "number"), [(one.label, one.number) for one in forecast.seats if one.number], ESTIMATE
    )
    yield Section(
        "difference",
        "From what GitHub states to the forecast",
        ("part", "seats"),
        [(one.label, one.number) for one in forecast.difference if one.number or one.code in ALWAYS],
        "the lines between add up to the difference; `unexplained` is what they do not explain",
    )
    yield Section("accounts", "Accounts on instances", ("accounts", "number"), [(one.label, one.number) for one in forecast.accounts])
    yield Section(
        "reasons", "Why accounts count as they do", ("reason", "accounts"), [(REASONS[one], n) for one, n in forecast.reasons.items()]
    )
    yield Section(
        "instances",
        "Instances",
        ("instance", "accounts", "matched", "server only", "unknowable", "ambiguous", "no seat", "people", "only here", "note"),
        [
            (
                one.name,
                one.accounts,
                *(one.states.get(state, 0) for state in (State.MATCHED, State.SERVER_ONLY, State.UNKNOWABLE, State.AMBIGUOUS)),
                one.states.get(State.NOT_COUNTED, 0),
                one.people,
                one.only_here,
                "never synced" if one.never_synced else "from the cloud's report" if one.from_cloud else "",
            )
            for one in forecast.instances
        ],
    )
    yield Section(
        "overlap",
        "People on two instances",
        ("instance", "and", "people"),
        [(a or "the cloud", b, number) for (a, b), number in forecast.overlap.items() if number],
    )
    if report.has_cloud:
        yield from _consumption(report)
    yield from _people(report.duplicates.suggestions)
    yield Section(
        "sources",
        "Sources",
        ("file", "what", "changed", "age"),
        [(str(one.path), one.what, f"{one.changed_at:%Y-%m-%d %H:%M} UTC", _age(report.at - one.changed_at)) for one in report.sources],
        "the age of a file is that of its last change on this machine",
    )


def _consumption(report: Report) -> Iterable[Section]:
    found = report.forecast.consumption
    yield Section(
        "people",
        "What the consumed licenses say",
        ("people", "number"),
        [
            ("seats in the report", found.seats),
            ("in the cloud only", found.cloud_only),
            ("in the cloud and on instances", found.both),
            ("on instances only", found.server_only),
            ("invited, not joined yet", found.invited),
            ("Visual Studio subscriptions without an account (no seat)", found.visual_studio_unmatched),
            ("cloud people who show no address", found.without_address),
            ("cloud people without a linked identity", found.without_identity),
        ],
    )
    note = "each person counts once in each; people of several count in each"
    yield Section("organizations", "People by organization", ("organization", "people"), list(found.by_organization.items()), note)
    yield Section("cost_centers", "People by cost center", ("cost center", "people"), list(found.by_cost_center.items()))


def _people(suggestions: Sequence[Suggestion]) -> Iterable[Section]:
    yield Section(
        "duplicates",
        "Likely duplicates",
        ("tier", "score", "this seat", "and this one", "change", "who", "evidence"),
        [(one.tier.value, one.score, *ends(one), one.fix, WHO[one.who], "; ".join(one.evidence)) for one in suggestions],
        "best first; the score is the estimated probability of being right",
        personal=True,
    )
    yield Section(
        "fixes",
        "Whom to ask for what",
        ("who", "contact", "change", "this seat", "and this one", "saves", "tier"),
        [
            (WHO[one.who], one.contact, one.fix, *ends(one), one.saves, one.tier.value)
            for one in sorted(suggestions, key=lambda one: (WHO[one.who], one.contact, -one.score))
        ],
        "for a mail merge: one row for each change",
        personal=True,
    )


def ends(one: Suggestion) -> tuple[str, str]:
    """Return the names of the two seats."""
    first = one.account or one.invitation or one.subscription
    return printable(first), printable(f"@{one.cloud_login}" if one.cloud_login else one.account2)


def _printable(cell: Cell, *, personal: bool) -> Cell:
    """Return a cell on one line; an address stays only where people may be named."""
    if not isinstance(cell, str):
        return cell
    return printable(cell, MAX_CELL) if personal else clean(cell, MAX_CELL)


def _age(age: timedelta) -> str:
    return span(max(age, timedelta(0)))


def _money(amount: float) -> str:
    return f"{amount:,.2f}".removesuffix(".00")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more
