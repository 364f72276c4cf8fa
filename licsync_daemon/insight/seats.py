"""The seats that are compared: cloud people with what GitHub already joins to them, and open seats of servers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from zlib import crc32

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.handles import handle, is_nobody, name_parts, split_address
from licsync_daemon.insight.patterns import Pattern, patterns
from licsync_daemon.insight.results import State
from licsync_daemon.insight.values import Kind, Person, ServerAccount, address_key

SAMPLE = 300  # attributed accounts of an instance that teach its habits; more would teach the same
HABIT = 8  # attributed accounts from which on an instance has habits
SHARED = 3  # accounts of one address on the same instance from which on it is nobody's own; GitHub allows one
MOST = 100  # accounts of one address that are kept
INVITATION, SUBSCRIPTION, DECOY = "invitation", "subscription", "decoy"
COMPANY = 3  # addresses at one domain from which on its labels are the name of a company, and nobody's handle


@dataclass(slots=True)
class Seat:
    """A cloud person, or the server accounts of one address that match no cloud person.

    Attributes:
        id: `@LOGIN`, or the key of the first account.
        names: The display name, or what logins like `mona.octocat` spell out.
        handles: Everything the person is called: letters -> the number at its ends. Plain values, which cost little memory.
        domains: Of its addresses.
        instances: Bits of the instances on which it has an account.
        accounts: (bit of the instance, key, letters of the login) of a seat of a server.
        address: As written; of a cloud person, one that the cloud shows. `local`: letters of the local part of the last one.
        linked: Whether a cloud person has a linked identity.
        row: `INVITATION` or `SUBSCRIPTION` for a row of the consumed licenses that is no account; `DECOY`: see `Seats.decoys`.
    """

    id: str
    is_cloud: bool
    display: str = ""
    names: tuple[str, ...] = ()
    handles: dict[str, str] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    instances: int = 0
    accounts: tuple[tuple[int, str, str], ...] = ()
    address: str = ""
    local: str = ""
    linked: bool = False
    row: str = ""

    def add(self, text: str) -> str:
        """Add a login or a local part to what the person is called; return its letters, "" if it says nothing."""
        found = handle(text)
        if found is None:
            return ""
        self.handles[found.letters] = max(found.number, self.handles.get(found.letters, ""))
        if len(found.parts) > 1 and len(found.letters) > 4 and not self.is_cloud:
            self.names = (*self.names, " ".join(found.parts))
        return found.letters

    def add_address(self, address: str) -> None:
        """Add an address: its local part is a handle, its domain is kept."""
        local, domain = split_address(address)
        self.local = self.add(local)
        if domain and domain not in self.domains:
            self.domains = (*self.domains, domain)


#: An attributed account: a number to sample by, letters of its login and local part, the cloud login, and its key.
Teacher = tuple[int, str, str, str, str]


@dataclass(slots=True)
class Habits:
    """How the logins of one instance relate to names, learned from the accounts that GitHub attributes: counts by pattern."""

    seen: dict[Pattern | str, int] = field(default_factory=dict)
    total: int = 0

    def learn(self, kind: Pattern | str) -> None:
        self.seen[kind] = self.seen.get(kind, 0) + 1
        self.total += 1

    def share(self, kind: Pattern | str) -> float:
        """Return the share of logins of this kind, never 0 or 1."""
        return (self.seen.get(kind, 0) + 0.5) / (self.total + 1)


@dataclass(slots=True)
class Seats:
    """Everything that is compared, in the order of ids.

    Attributes:
        known: Rows whose person is in the cloud under the very address: (address, login, whether it is an invitation).
        renamed: (domain on a server, domain in the cloud) -> attributed people with equal local parts at both.
        links_identities: Whether any cloud person has a linked identity.
        set_aside: Why open accounts were not compared -> how many.
        decoys: Some attributed accounts as if they were open, each with the id of its person: whoever else fits one does so by chance.
    """

    people: list[Seat]
    open: list[Seat]
    habits: dict[int, Habits]
    known: list[tuple[str, str, bool]]
    renamed: dict[tuple[str, str], int]
    links_identities: bool
    set_aside: dict[str, int]
    decoys: list[tuple[Seat, str]]


def build(cloud: Cloud, people: Iterable[Person], accounts: Iterable[ServerAccount]) -> Seats:
    """Return the seats of two streams."""
    builder = _Builder(cloud)
    for person in people:
        builder.add_person(person)
    for account in accounts:
        builder.add_account(account)
    return builder.finish()


class _Builder:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.people: dict[str, Seat] = {}
        self.open: dict[str, Seat] = {}  # by address; by key without one
        self.rows: list[tuple[str, bool]] = []  # addresses of invitations (True) and of unmatched subscriptions
        self.elsewhere: list[ServerAccount] = []
        self.suspended: dict[str, list[str]] = {}
        self.teachers: dict[int, list[Teacher]] = {}
        self.bits: dict[str, int] = {}
        self.renamed: dict[tuple[str, str], int] = {}
        self.aside: dict[str, int] = {}

    def add_person(self, person: Person) -> None:
        if person.kind is Kind.INVITED:
            self.rows.append((person.login, True))
        elif person.kind is Kind.VISUAL_STUDIO:
            self.rows.append((person.visual_studio_email, False))
        elif person.kind is Kind.SERVER:
            self.elsewhere += self.cloud.accounts_without_file(person)
        else:
            self.people[person.login] = seat = _of_person(person)
            for host in self.cloud.hosts_without_file(person):
                seat.instances |= self._bit(host)

    def add_account(self, account: ServerAccount) -> None:
        judgement = self.cloud.judge(account)
        bit = self._bit(account.instance)
        if judgement.state is State.MATCHED:
            self._attribute(self.people[judgement.logins[0]], account, bit)
        elif judgement.state in (State.SERVER_ONLY, State.UNKNOWABLE):
            self._open(account, bit)
        elif judgement.state is State.NOT_COUNTED and account.email:
            self.suspended.setdefault(address_key(account.email), []).append(account.login)

    def finish(self) -> Seats:
        for account in self.elsewhere:
            self._open(account, self._bit(account.instance))
        for address, logins in self.suspended.items():
            if address in self.open:
                for login in logins:
                    self.open[address].add(login)
        known = [(address, login, invited) for address, invited in self.rows for login in self.cloud.claimed_by(address)[:1]]
        found = [seat for seat in self.open.values() if len(seat.accounts) <= SHARED]
        self._set_aside(
            "address shared by many accounts", sum(len(one.accounts) for one in self.open.values() if len(one.accounts) > SHARED)
        )
        for address, invited in self.rows:
            if not self.cloud.claimed_by(address) and not is_nobody("", address):
                row = Seat(address, is_cloud=False, address=address, row=INVITATION if invited else SUBSCRIPTION)
                row.add_address(address)
                found.append(row)
        everybody = sorted(self.people.values(), key=_id)
        found.sort(key=_id)
        _leave_out_companies([*everybody, *found])
        for seat in found:
            for words in name_parts(seat.display):
                seat.handles.setdefault("".join(words), "")
            seat.names = tuple(sorted({*seat.names, *([seat.display] if seat.display else [])}))
            seat.accounts = tuple(sorted(seat.accounts, key=lambda one: one[1]))
        linked = any(seat.linked for seat in everybody)
        return Seats(everybody, found, _habits(self.teachers, self.people), sorted(known), self.renamed, linked, self.aside, self._decoys())

    def _decoys(self) -> list[tuple[Seat, str]]:
        found = []
        for bit, sample in self.teachers.items():
            for _, login, local, person, key in sample:
                handles = {letters: "" for letters in (login, local) if letters in self.people[person].handles}
                decoy = Seat(key, is_cloud=False, handles=handles, instances=bit, accounts=((bit, key, login),), local=local, row=DECOY)
                found.append((decoy, f"@{person}"))
        return sorted(found, key=lambda one: one[0].id)

    def _bit(self, instance: str) -> int:
        return self.bits.setdefault(instance, 1 << len(self.bits))

    def _set_aside(self, why: str, number: int) -> None:
        if number:
            self.aside[why] = self.aside.get(why, 0) + number

    def _open(self, account: ServerAccount, bit: int) -> None:
        if is_nobody(account.login, account.email):
            self._set_aside("role, list, or machine account", 1)
            return
        key = address_key(account.email) or account.key
        seat = self.open.get(key)
        if seat is None:
            seat = self.open[key] = Seat(account.key, is_cloud=False, address=account.email.strip())
            seat.add_address(account.email)
        if account.key < seat.id:
            seat.id, seat.address = account.key, account.email.strip()
        seat.display = max(seat.display, account.name)
        seat.instances |= bit
        if len(seat.accounts) < MOST:
            seat.accounts = (*seat.accounts, (bit, account.key, seat.add(account.login)))

    def _attribute(self, seat: Seat, account: ServerAccount, bit: int) -> None:
        """Let an account that GitHub attributes teach what its person is also called, where, and how logins are made there."""
        if seat.address and account.email:
            (local, domain), (wanted, home) = split_address(account.email), split_address(seat.address)
            if local == wanted and domain != home:
                self.renamed[domain, home] = self.renamed.get((domain, home), 0) + 1
        seat.instances |= bit
        login = seat.add(account.login)
        seat.add_address(account.email)
        sample = self.teachers.setdefault(bit, [])
        teacher = (crc32(account.key.encode()), login, seat.local, seat.id[1:], account.key)
        if len(sample) < SAMPLE:
            heappush(sample, teacher)
        else:
            heappushpop(sample, teacher)


def _id(seat: Seat) -> str:
    return seat.id


def _of_person(person: Person) -> Seat:
    seat = Seat(f"@{person.login}", is_cloud=True, display=person.name, names=(person.name,) if person.name else ())
    seat.linked = bool(person.saml_name_id)
    seat.add(person.login.partition("_")[0])  # managed users: LOGIN_SHORTCODE
    shown = [one for one in (*person.verified_emails, person.saml_name_id) if one]
    for address in shown:
        seat.add_address(address)
    seat.address = next((one for one in shown if "@" in one), "")
    return seat


def _habits(teachers: dict[int, list[Teacher]], people: Mapping[str, Seat]) -> dict[int, Habits]:
    found = {}
    for bit, sample in teachers.items():
        habits = found[bit] = Habits()
        for _, login, local, person, _ in sample:
            habits.learn(kind_of(login, local, patterns(people[person].names)))
    return found


def kind_of(login: str, local: str, names: Mapping[str, Pattern]) -> Pattern | str:
    """Return how a login is made (both as letters): by which pattern of a name, like the local part of the address, or neither."""
    if login in names:
        return names[login]
    return "local" if login and login == local else "other"


def _leave_out_companies(seats: Iterable[Seat]) -> None:
    """Drop handles that are the name of a company: people who write `acme@mona.example` share the word, and nothing else."""
    seats = list(seats)
    counts: dict[str, int] = {}
    for seat in seats:
        for domain in seat.domains:
            counts[domain] = counts.get(domain, 0) + 1
    labels = {label for domain, number in counts.items() if number >= COMPANY for label in domain.split(".")[:-1] if len(label) > 3}
    for seat in seats:
        for letters in [one for one in seat.handles if one in labels]:
            del seat.handles[letters]
