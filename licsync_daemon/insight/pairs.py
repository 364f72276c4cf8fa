"""Which pairs of seats are worth a look: those that share something a person is called. Close to linear in the number of seats."""

from collections.abc import Collection, Iterable, Iterator

from licsync_daemon.insight.evidence import Fleet, Values, evidence, hits_of, words_of
from licsync_daemon.insight.patterns import glued, patterns
from licsync_daemon.insight.seats import Seat, Seats

CROWD = 12  # what more seats than this are called says nothing about who is meant


def pairs(seats: Seats) -> Iterator[tuple[Seat, Seat, Values]]:
    """Yield each pair of an open seat and another seat that share something, with the evidence; each pair once, in a fixed order.

    Decoys are paired with everybody in the cloud but their own person.
    """
    index: dict[str, list[int]] = {}
    for place, seat in enumerate(seats.open):
        for letters in seat.handles:
            index.setdefault(letters, []).append(place)
    decoys: dict[str, list[int]] = {}
    for place, (seat, _) in enumerate(seats.decoys):
        for letters in seat.handles:
            decoys.setdefault(letters, []).append(place)
    called = index.keys() | {letters for seat in seats.people for letters in seat.handles}
    either = index.keys() | decoys.keys()
    counted = _Counts()
    to_people = [counted.add(seat, called, either) for seat in seats.people]
    to_open = [counted.add(seat, called, index) for seat in seats.open]
    fleet = Fleet(counted.holders, counted.words, counted.domains, seats.habits, len(seats.people) + len(seats.open))
    for other, keys in zip(seats.people, to_people, strict=True):
        for place in _near(index, keys, fleet):
            yield from _pair(seats.open[place], other, fleet)
        for place in _near(decoys, keys, fleet):
            decoy, person = seats.decoys[place]
            if other.id != person:
                yield from _pair(decoy, other, fleet)
    found: set[tuple[int, int]] = set()
    for place, (seat, keys) in enumerate(zip(seats.open, to_open, strict=True)):
        parts = [part for letters in seat.handles for part in glued(letters) if part in index]
        found.update((min(place, other), max(place, other)) for other in _near(index, keys + parts, fleet) if other != place)
    for place, other_place in sorted(found):
        one, other = seats.open[place], seats.open[other_place]
        if not one.row and not other.row:  # an invitation is compared with the cloud only
            yield from _pair(one, other, fleet)


class _Counts:
    """How many seats could be meant by each handle, word and domain. Only what some seat is called is counted."""

    def __init__(self) -> None:
        self.holders: dict[str, int] = {}
        self.words: dict[str, int] = {}
        self.domains: dict[str, int] = {}

    def add(self, seat: Seat, called: Collection[str], index: Collection[str]) -> list[str]:
        """Count a seat; return what open seats are called that could be the same person."""
        names = patterns(seat.names)
        keys = [letters for letters in names if letters in called]
        keys += [letters for letters in seat.handles if letters not in names]
        for letters in keys:
            self.holders[letters] = self.holders.get(letters, 0) + 1
        for word in words_of(seat.names):
            self.words[word] = self.words.get(word, 0) + 1
        for domain in seat.domains:
            self.domains[domain] = self.domains.get(domain, 0) + 1
        return [letters for letters in keys if letters in index]


def _near(index: dict[str, list[int]], keys: Iterable[str], fleet: Fleet) -> list[int]:
    """Return the open seats that are called one of these; nothing for what could mean a crowd."""
    return sorted({place for letters in keys if fleet.holders[letters] <= CROWD for place in index.get(letters, ())})


def _pair(one: Seat, other: Seat, fleet: Fleet) -> Iterator[tuple[Seat, Seat, Values]]:
    hits = hits_of(one, other)
    if hits:
        yield one, other, evidence(one, other, fleet, hits)
