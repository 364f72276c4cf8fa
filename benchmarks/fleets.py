"""Fleet folders with a truth, as the evaluation reads them; and the verdict about suggestions.

A folder has `fleet.json`, `INSTANCE/all_users.csv`, `cloud/members.json` and `truth.json` (person -> accounts and cloud login). GitHub's
attribution is played by the published rule: an account whose address is the NameID or any verified address of a member is that member's.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.duplicates import find_duplicates
from licsync_daemon.insight.results import Suggestion
from licsync_daemon.insight.values import Instance, Person, ServerAccount


@dataclass
class FleetFolder:
    """A fleet as the product may see it, and the truth beside it."""

    people: list[Person]
    accounts: list[ServerAccount]
    instances: list[Instance]
    owner: dict[str, str]  # an account's key, or `@LOGIN` -> the person
    seat: dict[str, str]  # the same -> the seat that GitHub counts

    def suggestions(self) -> tuple[Suggestion, ...]:
        """Run the product."""
        cloud = Cloud(self.people, instances=self.instances)
        return find_duplicates(cloud, self.people, self.accounts).suggestions

    @property
    def surplus(self) -> int:
        """Return the seats that people have beyond their first."""
        seats: dict[str, set[str]] = {}
        for end, seat in self.seat.items():
            seats.setdefault(self.owner[end], set()).add(seat)
        return sum(len(one) - 1 for one in seats.values())

    def verdicts(self, suggestions: Sequence[Suggestion]) -> list[tuple[float, bool]]:
        """Return (score, whether it is right) of each suggestion that removes a seat or is wrong, best first."""
        joined = Joined()
        found = []
        for one in sorted(suggestions, key=lambda one: -one.score):
            a, b = one.account, f"@{one.cloud_login}" if one.cloud_login else one.account2
            if a not in self.owner or b not in self.owner:
                continue
            if self.owner[a] != self.owner[b]:
                if self.seat[a] != self.seat[b]:  # else GitHub itself takes them for one
                    found.append((one.score, False))
            elif joined.join(self.seat[a], self.seat[b]):
                found.append((one.score, True))
        return found


class Joined:
    """Which seats were joined already."""

    def __init__(self) -> None:
        self.head: dict[str, str] = {}

    def find(self, one: str) -> str:
        while self.head.get(one, one) != one:
            one = self.head[one]
        return one

    def join(self, a: str, b: str) -> bool:
        """Join two seats; return whether they were apart."""
        a, b = self.find(a), self.find(b)
        if a != b:
            self.head[a] = b
        return a != b


def read_fleet(folder: Path, *, names: bool = False) -> FleetFolder:
    """Read a fleet folder. `names`: accounts have display names too, as GraphQL shows them."""
    fleet = _json(folder / "fleet.json")
    members = _json(folder / "cloud" / "members.json")
    truth = _json(folder / "truth.json")
    owner = {account: person for person, one in truth.items() for account in one["accounts"]}
    owner |= {f"@{one['cloud']}": person for person, one in truth.items() if one["cloud"]}
    instances = [Instance(name=one["name"], hostname=one["hostname"]) for one in fleet["instances"]]
    accounts = [account for one in instances for account in _accounts(folder, one, owner if names else {})]
    claims: dict[str, list[str]] = {}
    for member in sorted(members, key=lambda one: one["login"]):
        for address in (*member["verified_emails"], member["saml_name_id"] or ""):
            if address:
                claims.setdefault(address.casefold(), []).append(member["login"])
    listed: dict[str, list[ServerAccount]] = {}
    joined = Joined()
    counted = [account for account in accounts if not account.suspended]
    for account in counted:
        if account.email:
            joined.join(account.key, account.email.casefold())
        for login in claims.get(account.email.casefold(), ()):
            joined.join(account.key, f"@{login}")
        for login in claims.get(account.email.casefold(), ())[:1]:
            listed.setdefault(login, []).append(account)
    seat = {end: joined.find(end) for end in (*(f"@{member['login']}" for member in members), *(account.key for account in counted))}
    hosts = {one.name: one.hostname for one in instances}
    verified = {domain.casefold() for domain in fleet["verified_domains"]}
    people = [_person(member, verified, listed.get(member["login"], []), hosts) for member in members]
    return FleetFolder(people, accounts, instances, {end: owner[end] for end in seat}, seat)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _accounts(folder: Path, instance: Instance, names: dict[str, str]) -> Iterable[ServerAccount]:
    with (folder / instance.name / "all_users.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield ServerAccount(
                instance=instance.name,
                id=row["id"],
                login=row["login"],
                email=row["email"],
                name=names.get(f"{instance.name}:{row['id']}", ""),
                suspended=row["suspended?"] == "true",
            )


def _person(member: dict[str, Any], verified: set[str], listed: list[ServerAccount], hosts: dict[str, str]) -> Person:
    return Person(
        login=member["login"],
        name=member["name"],
        saml_name_id=member["saml_name_id"] or "",
        verified_emails=tuple(one for one in member["verified_emails"] if one.rpartition("@")[2].casefold() in verified),
        server_ids=tuple((hosts[one.instance], one.id) for one in listed),
        server_emails=tuple(sorted({one.email for one in listed})),
        member_roles=tuple(member["member_roles"]),
        in_cloud=True,
    )
