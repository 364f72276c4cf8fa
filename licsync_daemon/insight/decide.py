"""From evidence to probability, and from probabilities to at most one suggestion for each seat. Pure."""

from collections.abc import Iterable
from math import exp, log
from typing import NamedTuple

from licsync_daemon.insight.evidence import Values
from licsync_daemon.insight.seats import DECOY, Seat
from licsync_daemon.insight.weights import WEIGHTS

SURE, LIKELY = 0.82, 0.45
TYPICAL = 0.18  # share of open seats with another half, over the fleets that the weights were fitted on
ADAPT = 0.5  # how far a fleet's own share moves the odds
NEARLY = 0.95  # a rival whose odds reach this share of a pair's odds is as good: neither is suggested
_LIMIT = 30.0


Scored = tuple[Seat, Seat, float]  # a pair and its log-odds


class Match(NamedTuple):
    """Two seats that are probably one human being."""

    one: Seat
    other: Seat
    probability: float
    values: Values


def log_odds(values: Values) -> float:
    return sum(WEIGHTS[sign] * value for sign, value in values.items())


def decide(pairs: Iterable[tuple[Seat, Seat, Values]], open_seats: int, decoys: int = 0) -> list[Match]:
    """Return matches that hold together: a seat is one human being, who has at most one seat in the cloud.

    A pair's probability is its share among all the pairs it competes with, from the side where it does worse.
    """
    weighed, chance = [], []
    for one, other, values in pairs:
        if one.row == DECOY:
            chance.append((one, other, log_odds(values)))
        else:
            weighed.append((one, other, values, log_odds(values)))
    scored = [(one, other, score) for one, other, _, score in weighed]
    shift = _shift(scored, open_seats, chance, decoys)
    odds = [exp(max(-_LIMIT, min(_LIMIT, score + shift))) for _, _, score in scored]
    rivals = _Rivals(scored, odds)
    found = []
    for (one, other, values, _), value in zip(weighed, odds, strict=True):
        sides = [rivals.of(one, other, key) for key in _sides(one, other)]
        if max(best for _, best in sides) < value * NEARLY:
            found.append(Match(one, other, value / (1 + max(total for total, _ in sides)), values))
    return list(_consistent(sorted(found, key=lambda one: (-one.probability, one.one.id, one.other.id))))


class _Rivals:
    """The pairs that a pair competes with, on each of its sides."""

    def __init__(self, scored: list[Scored], odds: list[float]) -> None:
        self.sides: dict[tuple[str, int], list[tuple[float, str]]] = {}
        self.totals: dict[tuple[str, int], float] = {}
        self.allies: dict[str, set[str]] = {}  # pairs of servers' seats that are probably right if nothing else competes
        for (one, other, _), value in zip(scored, odds, strict=True):
            for key in _sides(one, other):
                self.sides.setdefault(key, []).append((value, one.id if key[0] == other.id else other.id))
            if value > 1 and not other.is_cloud:
                self.allies.setdefault(one.id, set()).add(other.id)
                self.allies.setdefault(other.id, set()).add(one.id)
        for key, side in self.sides.items():
            side.sort(reverse=True)
            self.totals[key] = sum(value for value, _ in side)

    def of(self, one: Seat, other: Seat, key: tuple[str, int]) -> tuple[float, float]:
        """Return the sum and the best of the odds of a pair's rivals. Three seats of servers that all resemble each other are no rivals."""
        mine = one.id if key[0] == other.id else other.id
        allies = self.allies.get(mine, set()) | {mine}
        side = self.sides[key]
        best = next((value for value, seat in side if seat not in allies), 0.0)
        known = 0.0
        for value, seat in side if len(allies) > 1 else ():
            known += value if seat in allies and seat != mine else 0.0
        return self.totals[key] - known, best


def _sides(one: Seat, other: Seat) -> list[tuple[str, int]]:
    """Return where the pair meets its rivals: at the seat, and at the cloud person on each instance, or at the other seat."""
    if not other.is_cloud:
        return [(one.id, -1), (other.id, -1)]
    if one.row:
        return [(one.id, 0)]
    return [(one.id, 0), *((other.id, bit) for bit in sorted({bit for bit, _, _ in one.accounts}))]


def _shift(scored: list[Scored], open_seats: int, chance: list[Scored], decoys: int) -> float:
    """Return how much likelier a match is in this fleet than in a typical one, as log-odds, damped: some fleets have many duplicates.

    What fits decoys fits by chance; as much of what fits open seats does, too.
    """
    shift = 0.0
    for _ in range(3):
        by_chance = _fitting(chance, shift) / max(decoys, 1) * open_seats
        share = (max(_fitting(scored, shift) - by_chance, 0.0) + 2) / (open_seats + 6)
        shift = ADAPT * (log(share / (1 - share)) - log(TYPICAL / (1 - TYPICAL)))
    return shift


def _fitting(scored: list[Scored], shift: float) -> float:
    """Return the expected number of seats that another one fits."""
    totals: dict[str, float] = {}
    for one, other, score in scored:
        value = exp(max(-_LIMIT, min(_LIMIT, score + shift)))
        for seat in (one,) if other.is_cloud else (one, other):
            totals[seat.id] = totals.get(seat.id, 0.0) + value
    return sum(total / (1 + total) for total in totals.values())


def _consistent(matches: Iterable[Match]) -> Iterable[Match]:
    """Yield the best matches that join no two cloud people, and none that others already imply."""
    head: dict[str, str] = {}

    def find(seat: str) -> str:
        while head.get(seat, seat) != seat:
            seat = head[seat]
        return seat

    for match in matches:
        if match.probability < LIKELY:
            return
        one, other = find(match.one.id), find(match.other.id)
        if one == other or (one[0] == other[0] == "@"):
            continue
        if one[0] == "@":
            one, other = other, one
        if not match.one.row:  # an invitation and a person are joined, but the person may have accounts and more invitations
            head[one] = other
        yield match
