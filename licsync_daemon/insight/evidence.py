"""The evidence that two seats are one human being, each piece with its value. Pure; nothing here knows how it is weighed."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import log, log2
from typing import NamedTuple

from licsync_daemon.insight.handles import name_parts
from licsync_daemon.insight.patterns import Pattern, glued, patterns
from licsync_daemon.insight.seats import HABIT, Habits, Seat, kind_of
from licsync_daemon.insight.weights import Sign


class Hit(NamedTuple):
    """A login or local part of one seat that the other explains: by the same one, by a pattern of its name, or glued."""

    letters: str
    same: bool
    pattern: Pattern | None


class Fleet(NamedTuple):
    """What a pair is measured against.

    Attributes:
        holders: Letters -> how many seats are called that, or could be by their name.
        words: Word of a name -> how many seats have it. `domains`: the same of domains.
        habits: Of each instance, by its bit. `total`: seats.
    """

    holders: Mapping[str, int]
    words: Mapping[str, int]
    domains: Mapping[str, int]
    habits: Mapping[int, Habits]
    total: int


Values = dict[Sign, float]
UNEXPLAINED_MOST = 4
RARE = 0.1  # a kind of login that fewer than this share of an instance's logins are breaks its habit
_NONE = 9
_KIND = {
    Pattern.FULL: Sign.WHOLE,
    Pattern.FLAST: Sign.INITIAL,
    Pattern.FIRSTL: Sign.INITIAL,
    Pattern.LAST: Sign.HALF,
    Pattern.CUT: Sign.HALF,
    Pattern.FIRST: Sign.HALF,
    Pattern.INITIALS: Sign.HALF,
}


@lru_cache(maxsize=4096)
def words_of(names: tuple[str, ...]) -> frozenset[str]:
    """Return the words of names, in lower-case ASCII."""
    return frozenset(word for name in names for spelling in name_parts(name) for word in spelling if len(word) > 1)


def hits_of(one: Seat, other: Seat) -> list[Hit]:
    """Return what one seat is called and the other explains; of two seats of servers, in both directions."""
    names, own = patterns(other.names), patterns(one.names)
    found = []
    for letters in one.handles:
        same = letters in other.handles
        pattern = _best(names.get(letters), None if other.is_cloud else own.get(letters)) if same else names.get(letters)
        if same or pattern is not None:
            found.append(Hit(letters, same, pattern))
    if not other.is_cloud:
        found += [
            Hit(letters, same=False, pattern=own[letters]) for letters in other.handles if letters not in one.handles and letters in own
        ]
        for a, b in ((one, other), (other, one)):
            for whole in a.handles:
                parts = set(glued(whole))
                found += [
                    Hit(k, same=False, pattern=None)
                    for k in b.handles
                    if k in parts and k not in a.handles and all(h.letters != k for h in found)
                ]
    return sorted(found)


def _best(a: Pattern | None, b: Pattern | None) -> Pattern | None:
    return min((one for one in (a, b) if one is not None), default=None)


def evidence(one: Seat, other: Seat, fleet: Fleet, hits: list[Hit]) -> Values:
    """Return the evidence about a seat of a server and another seat, of a server or of a cloud person."""
    found: Values = {}
    same = max((hit.letters for hit in hits if hit.same), key=lambda letters: (len(letters), letters), default=None)
    best = min((hit.pattern for hit in hits if hit.pattern is not None), default=None)
    if best is not None:
        found[_KIND[best]] = 1.0
    if same is not None:
        found[Sign.SAME] = 1.0
        if one.handles[same] != other.handles[same]:
            found[Sign.NUMBER] = 1.0
    elif any(hit.letters in one.handles and one.handles[hit.letters] for hit in hits):
        found[Sign.NUMBER] = 0.5
    found[Sign.LETTERS] = min(max(len(hit.letters) for hit in hits), 12) / 10
    found[Sign.COMMON] = log2(min(max(fleet.holders.get(hit.letters, 2), 2) for hit in hits) - 1)
    _words(one, other, fleet, hits, found)
    _instances(one, other, fleet, found)
    unexplained = _unexplained(one, other) + (0 if other.is_cloud else _unexplained(other, one))
    if unexplained:
        found[Sign.UNEXPLAINED] = float(min(unexplained, UNEXPLAINED_MOST))
    _domains(one, other, fleet, found)
    _names(one, other, found)
    return found


def _words(one: Seat, other: Seat, fleet: Fleet, hits: list[Hit], found: Values) -> None:
    """Measure how common the rarest word of the name is on which the hits rest."""
    words = words_of(other.names) | (frozenset() if other.is_cloud else words_of(one.names))
    rarest = 0
    for word in words:
        start, number = word[:3], fleet.words[word]
        if not rarest or number < rarest:
            for hit in hits:
                if start in hit.letters:
                    rarest = number
                    break
    if rarest:
        found[Sign.WORD] = log2(rarest)


def _instances(one: Seat, other: Seat, fleet: Fleet, found: Values) -> None:
    """A person has one account an instance, and logins of an instance are made of names as the attributed ones are."""
    occupied = (one.instances & other.instances).bit_count()
    if occupied:
        found[Sign.OCCUPIED] = float(occupied)
    if not other.is_cloud:
        return
    names = patterns(other.names)
    for bit, _, login in one.accounts:
        habits = fleet.habits.get(bit)
        if habits is None or habits.total < HABIT:
            continue
        share = habits.share(kind_of(login, one.local, names))
        if share <= RARE:
            found[Sign.BROKEN_HABIT] = found.get(Sign.BROKEN_HABIT, 0.0) - log(share)


def _unexplained(one: Seat, other: Seat) -> int:
    """Count what one seat is called and the other seat's name and handles do not explain; nothing if the other has no name."""
    if not other.names:
        return 0
    names = patterns(other.names)
    return sum(letters not in other.handles and letters not in names and not _is_glued(letters, other.handles) for letters in one.handles)


def _is_glued(letters: str, handles: Iterable[str]) -> bool:
    parts = glued(letters)
    return bool(parts) and any(one in parts for one in handles)


def _domains(one: Seat, other: Seat, fleet: Fleet, found: Values) -> None:
    limit = max(5, fleet.total // 100)
    shared = [fleet.domains[domain] for domain in one.domains if domain in other.domains and fleet.domains[domain] <= limit]
    if shared:
        found[Sign.DOMAIN] = 1 / (1 + log2(max(min(shared) - 1, 1)))
    for a, b in ((one, other), (other, one)):
        labels = {label for domain in a.domains if fleet.domains[domain] <= 3 for label in domain.split(".")[:-1] if len(label) > 3}
        if labels and (labels & b.handles.keys() or any(patterns(b.names).get(label, _NONE) <= Pattern.CUT for label in labels)):
            found[Sign.LABEL] = 1.0


def _names(one: Seat, other: Seat, found: Values) -> None:
    """Compare display names, where both sides have one."""
    if not one.display or not other.display:
        return
    a, b = name_parts(one.display), name_parts(other.display)
    if any(sorted(x) == sorted(y) for x in a for y in b):
        found[Sign.SAME_NAME] = 1.0
    elif not any(set(x) <= set(y) or set(y) <= set(x) for x in a for y in b):
        found[Sign.OTHER_NAME] = 1.0
