"""What a spreadsheet would find, beside our suggestions: equal logins or local parts, and similar ones (Jaro-Winkler)."""

from collections.abc import Callable, Iterator

from benchmarks.fleets import FleetFolder
from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.results import Cause, State, Suggestion, Tier, Who

SIMILAR = 0.95
SHORTEST = 4  # letters; shorter strings are everybody's


def equal(fleet: FleetFolder) -> list[Suggestion]:
    """Suggest whoever has an equal login or local part."""
    return list(_suggest(fleet, lambda a, b: float(a == b)))


def similar(fleet: FleetFolder) -> list[Suggestion]:
    """Suggest whoever has the most similar login or local part, from a similarity of 0.95 on."""
    return list(_suggest(fleet, jaro_winkler))


def _suggest(fleet: FleetFolder, likeness: Callable[[str, str], float]) -> Iterator[Suggestion]:
    cloud = Cloud(fleet.people, instances=fleet.instances)
    ends = [(f"@{one.login}", {one.login.partition("_")[0], *_locals(*one.verified_emails, one.saml_name_id)}) for one in fleet.people]
    for account in fleet.accounts:
        if cloud.judge(account).state not in (State.SERVER_ONLY, State.UNKNOWABLE):
            continue
        mine = {text for text in (account.login.casefold(), *_locals(account.email)) if len(text) >= SHORTEST}
        best, end = max(
            ((max((likeness(a, b.casefold()) for a in mine for b in theirs), default=0.0), other) for other, theirs in ends),
            default=(0.0, ""),
        )
        if best >= SIMILAR:
            to = {"cloud_login": end[1:]} if end.startswith("@") else {"account2": end}
            yield Suggestion(
                account=account.key, tier=Tier.SURE, score=best, evidence=(), cause=Cause.OTHER_ADDRESS, fix="", who=Who.PERSON, **to
            )  # fmt: skip
        ends.append((account.key, mine))


def _locals(*addresses: str) -> list[str]:
    return [address.casefold().partition("@")[0] for address in addresses if "@" in address]


def jaro_winkler(a: str, b: str) -> float:
    """Return the Jaro-Winkler similarity of two strings, 0 to 1."""
    if a == b:
        return 1.0
    reach = max(len(a), len(b)) // 2 - 1
    taken: set[int] = set()
    mine = []
    for place, letter in enumerate(a):
        for other in range(max(0, place - reach), min(len(b), place + reach + 1)):
            if other not in taken and b[other] == letter:
                taken.add(other)
                mine.append(letter)
                break
    if not mine:
        return 0.0
    theirs = [b[place] for place in sorted(taken)]
    same, moved = len(mine), sum(x != y for x, y in zip(mine, theirs, strict=True)) / 2
    jaro = (same / len(a) + same / len(b) + (same - moved) / same) / 3
    start = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return jaro + min(start, 4) * 0.1 * (1 - jaro)
