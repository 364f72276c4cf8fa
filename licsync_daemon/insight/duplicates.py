"""Likely duplicates: one human being who takes two seats, the evidence, and the one change that merges them."""

from collections.abc import Iterable, Sequence

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.decide import SURE, Match, decide
from licsync_daemon.insight.fixes import Company, Fix, fix_of_row, fix_on_servers, fix_to_cloud, is_public, renamed_domains
from licsync_daemon.insight.handles import split_address
from licsync_daemon.insight.pairs import pairs
from licsync_daemon.insight.results import Cause, Duplicates, Group, Suggestion, Tier
from licsync_daemon.insight.seats import INVITATION, Seats, build
from licsync_daemon.insight.values import Person, ServerAccount, shown
from licsync_daemon.insight.words import in_words

CERTAIN = 0.99  # an invitation or subscription under an address that GitHub already matches with one person


def find_duplicates(cloud: Cloud, people: Iterable[Person], accounts: Iterable[ServerAccount]) -> Duplicates:
    """Return the likely duplicates among people and accounts, the same ones for the same input in any order of rows.

    `people` and `accounts` are the same streams that `Cloud` and `forecast` read, from their beginning.
    """
    seats = build(cloud, people, accounts)
    matches = decide(pairs(seats), len(seats.open), len(seats.decoys))
    company = Company(cloud.verified, renamed_domains(_renamed(seats, matches)), seats.links_identities)
    found = [_known(address, login, invited=invited) for address, login, invited in seats.known]
    found += [_suggestion(match, company) for match in matches]
    return Duplicates(
        suggestions=tuple(sorted(found, key=lambda one: -one.score)),
        open_accounts=sum(len(seat.accounts) for seat in seats.open),
        set_aside=seats.set_aside,
    )


def _renamed(seats: Seats, matches: Sequence[Match]) -> dict[tuple[str, str], int]:
    """Count people with equal local parts at two domains: those whom GitHub already joined, and those found."""
    counts = dict(seats.renamed)
    for one, other, *_ in matches:
        (local, domain), (wanted, home) = split_address(one.address), split_address(other.address)
        if local and local == wanted and domain != home and not one.row:
            pair = (domain, home) if other.is_cloud or (home, domain) not in counts else (home, domain)
            counts[pair] = counts.get(pair, 0) + 1
    return {pair: number for pair, number in counts.items() if not any(is_public(domain) for domain in pair)}


def _suggestion(match: Match, company: Company) -> Suggestion:
    one, other = match.one, match.other
    if one.row:
        fix = fix_of_row(one.address, other.id, invited=one.row == INVITATION)
    else:
        fix = fix_to_cloud(one, other, company) if other.is_cloud else fix_on_servers(one, other, company)
    score = round(match.probability, 3)
    return Suggestion(
        account="" if one.row else one.id,
        account2="" if other.is_cloud else other.id,
        cloud_login=other.id[1:] if other.is_cloud else "",
        invitation=one.address if one.row == INVITATION else "",
        subscription=one.address if one.row and one.row != INVITATION else "",
        tier=Tier.SURE if score >= SURE else Tier.LIKELY,
        score=score,
        evidence=in_words(one, other, match.values),
        cause=fix.cause,
        fix=fix.text,
        who=fix.who,
        contact=fix.contact,
    )


def _known(address: str, login: str, *, invited: bool) -> Suggestion:
    fix: Fix = fix_of_row(address, f"@{login}", invited=invited)
    return Suggestion(
        cloud_login=login,
        invitation=address if invited else "",
        subscription="" if invited else address,
        tier=Tier.SURE,
        score=CERTAIN,
        evidence=(f"{shown(address)} is an address of @{shown(login)}",),
        cause=fix.cause,
        fix=fix.text,
        who=fix.who,
    )


def group(suggestions: Sequence[Suggestion], price: float | None = None) -> tuple[Group, ...]:
    """Return suggestions by cause, most seats first; `price` is the cost of one seat."""
    causes: dict[Cause, list[Suggestion]] = {}
    for one in suggestions:
        causes.setdefault(one.cause, []).append(one)
    groups = []
    for cause, found in causes.items():
        seats = sum(one.saves for one in found)
        groups.append(
            Group(
                cause=cause,
                people=len({one.cloud_login or one.account2 for one in found}),
                seats=seats,
                sure=sum(one.tier is Tier.SURE for one in found),
                likely=sum(one.tier is Tier.LIKELY for one in found),
                cost=None if price is None else seats * price,
            )
        )
    return tuple(sorted(groups, key=lambda one: (-one.seats, one.cause.value)))
