"""The evidence about a suggestion, in words for the person who decides."""

from licsync_daemon.insight.evidence import Hit, Values, hits_of
from licsync_daemon.insight.patterns import Pattern
from licsync_daemon.insight.seats import Seat
from licsync_daemon.insight.values import shown
from licsync_daemon.insight.weights import Sign

_PATTERNS = {
    Pattern.FULL: "the whole name",
    Pattern.FLAST: "an initial and the last name",
    Pattern.FIRSTL: "the first name and an initial",
    Pattern.LAST: "the last name",
    Pattern.CUT: "the beginnings of the names",
    Pattern.FIRST: "the first name",
    Pattern.INITIALS: "the initials",
}


def in_words(one: Seat, other: Seat, values: Values) -> tuple[str, ...]:
    """Return the evidence, strongest first, then what speaks against it."""
    found = []
    if values.get(Sign.SAME_NAME):
        found.append(f"both are named {shown(one.display)}")
    hits = sorted(hits_of(one, other), key=lambda hit: (not hit.same, hit.pattern if hit.pattern is not None else 9, -len(hit.letters)))
    found += [_hit(one, other, hit) for hit in hits[:3]]
    shared = sorted(set(one.domains) & set(other.domains))
    if values.get(Sign.DOMAIN):
        found.append(f"both use {shown(shared[0])}, which few others do")
    if values.get(Sign.LABEL):
        found.append("the domain of an address is the other's name")
    if values.get(Sign.NUMBER):
        found.append("but: the numbers in the logins differ")
    if values.get(Sign.OCCUPIED):
        found.append("but: the same person has another account on that instance already")
    if values.get(Sign.UNEXPLAINED):
        found.append("but: another login or address does not fit")
    return tuple(found)


def _hit(one: Seat, other: Seat, hit: Hit) -> str:
    if hit.same:
        return f'both are called "{shown(hit.letters)}"'
    named = other if other.is_cloud or hit.letters in one.handles else one
    name = shown(named.display or (named.names[0].title() if named.names else ""))
    if hit.pattern is None or not name:
        return f'"{shown(hit.letters)}" is an initial and the last name of the other login'
    return f'"{shown(hit.letters)}" is {_PATTERNS[hit.pattern]} of {name}'
