"""Likely duplicates: one human being who takes two seats, the evidence, and the one change that merges them."""

from collections.abc import Iterable, Sequence

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.decide import SURE, decide, log_odds
from licsync_daemon.insight.pairs import pairs
from licsync_daemon.insight.results import Cause, Duplicates, Group, Suggestion, Tier, Who
from licsync_daemon.insight.seats import build
from licsync_daemon.insight.values import Person, ServerAccount


def find_duplicates(cloud: Cloud, people: Iterable[Person], accounts: Iterable[ServerAccount]) -> Duplicates:
    """Return the likely duplicates among people and accounts, the same ones for the same input in any order of rows.

    `people` and `accounts` are the same streams that `Cloud` and `forecast` read, from their beginning.
    """
    seats = build(cloud, people, accounts)
    scored = [(one, other, log_odds(values)) for one, other, values in pairs(seats)]
    matches = decide(scored, len(seats.open))
    suggestions = [
        Suggestion(
            account=match.one.id,
            account2="" if match.other.is_cloud else match.other.id,
            cloud_login=match.other.id[1:] if match.other.is_cloud else "",
            tier=Tier.SURE if match.probability >= SURE else Tier.LIKELY,
            score=round(match.probability, 3),
            evidence=(),
            cause=Cause.OTHER_ADDRESS,
            fix="",
            who=Who.PERSON,
        )
        for match in matches
    ]
    return Duplicates(
        suggestions=tuple(suggestions), open_accounts=sum(len(seat.accounts) for seat in seats.open), set_aside=seats.set_aside
    )


def group(suggestions: Sequence[Suggestion], price: float | None = None) -> tuple[Group, ...]:
    """Return suggestions by cause, most seats first; `price` is the cost of one seat."""
    raise NotImplementedError
