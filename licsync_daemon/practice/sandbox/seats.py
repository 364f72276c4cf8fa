"""Who consumes a seat: the published de-duplication rule, as a pure function.

Seats = cloud members + distinct casefolded primary addresses of server accounts that match no member's SAML NameID or verified
address + one for each account without an address. Suspended accounts are never sent to the cloud, so they are not part of this.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from licsync_daemon.practice.sandbox.fleet import Member


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """One server account in the cloud. `primary` is its primary address as sent, or empty."""

    hostname: str
    id: int
    primary: str


@dataclass(slots=True)
class Seat:
    """One seat: a cloud member with its server accounts, or (without a member) a person who has server accounts only."""

    member: Member | None
    accounts: list[ServerAccount] = field(default_factory=list)


def primary_address(user: Mapping[str, Any]) -> str:
    """Return the first address marked as primary; it is not published whether there can be several."""
    return next((str(entry["email"]) for entry in user["emails"] if entry["primary"]), "")


def assign_seats(members: Iterable[Member], accounts: Iterable[ServerAccount]) -> Sequence[Seat]:
    """Assign every account to a seat: members by login, then people by address, then accounts without an address.

    An account whose address matches several members goes to the first login, which does not change the number of seats.
    """
    ordered = sorted(members, key=lambda member: member.login)
    cloud = [Seat(member) for member in ordered]
    claims: dict[str, Seat] = {}
    for seat, member in zip(cloud, ordered, strict=True):
        for claim in (*member.verified_emails, *([member.saml_name_id] if member.saml_name_id else ())):
            claims.setdefault(claim.casefold(), seat)
    server_only: dict[str, Seat] = {}
    without_address: list[Seat] = []
    for account in accounts:
        address = account.primary.casefold()
        if not address:
            without_address.append(Seat(None, [account]))
            continue
        seat = claims.get(address) or server_only.setdefault(address, Seat(None))
        seat.accounts.append(account)
    return [*cloud, *(server_only[address] for address in sorted(server_only)), *without_address]
