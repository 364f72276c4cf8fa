"""The seats that are compared: cloud people with what GitHub already joins to them, and open seats of servers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from zlib import crc32

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.handles import handle, is_nobody, split_address
from licsync_daemon.insight.patterns import Pattern, patterns
from licsync_daemon.insight.results import State
from licsync_daemon.insight.values import Person, ServerAccount

SAMPLE = 300  # attributed accounts of an instance that teach its habits; more would teach the same
HABIT = 8  # attributed accounts from which on an instance has habits
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
        address: As compared; `local`: letters of its local part.
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


#: An attributed account: a number to sample by, letters of its login and local part, and the cloud login.
Teacher = tuple[int, str, str, str]


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
    """Everything that is compared, in the order of ids."""

    people: list[Seat]
    open: list[Seat]
    habits: dict[int, Habits]
    bits: dict[str, int]
    set_aside: dict[str, int]


def build(cloud: Cloud, people: Iterable[Person], accounts: Iterable[ServerAccount]) -> Seats:
    """Return the seats of two streams."""
    by_login: dict[str, Seat] = {}
    for person in people:
        if person.login and person.is_cloud:
            by_login[person.login] = _of_person(person)
    opened: dict[str, Seat] = {}
    suspended: dict[str, list[str]] = {}
    teachers: dict[int, list[Teacher]] = {}
    bits: dict[str, int] = {}
    aside: dict[str, int] = {}
    for account in accounts:
        judgement = cloud.judge(account)
        bit = bits.setdefault(account.instance, 1 << len(bits))
        if judgement.state is State.MATCHED:
            _attribute(by_login.get(judgement.logins[0]), account, bit, teachers)
        elif judgement.state in (State.SERVER_ONLY, State.UNKNOWABLE):
            if is_nobody(account.login, account.email):
                aside["role or machine account"] = aside.get("role or machine account", 0) + 1
                continue
            address = account.email.strip().casefold()
            seat = opened.get(address or account.key)
            if seat is None:
                seat = opened[address or account.key] = Seat(account.key, is_cloud=False, address=address)
                seat.add_address(address)
            seat.id = min(seat.id, account.key)
            seat.display = max(seat.display, account.name)
            seat.instances |= bit
            seat.accounts = (*seat.accounts, (bit, account.key, seat.add(account.login)))
        elif judgement.state is State.NOT_COUNTED and account.email:
            suspended.setdefault(account.email.strip().casefold(), []).append(account.login)
    for address, logins in suspended.items():
        if address in opened:
            for login in logins:
                opened[address].add(login)
    found = Seats(sorted(by_login.values(), key=_id), sorted(opened.values(), key=_id), _habits(teachers, by_login), bits, aside)
    _leave_out_companies(found)
    for seat in found.open:
        seat.names = tuple(sorted({*seat.names, *([seat.display] if seat.display else [])}))
        seat.accounts = tuple(sorted(seat.accounts, key=lambda one: one[1]))
    return found


def _id(seat: Seat) -> str:
    return seat.id


def _of_person(person: Person) -> Seat:
    seat = Seat(f"@{person.login}", is_cloud=True, display=person.name, names=(person.name,) if person.name else ())
    seat.add(person.login.partition("_")[0])  # managed users: LOGIN_SHORTCODE
    for address in (*person.verified_emails, person.saml_name_id):
        if address:
            seat.add_address(address)
    return seat


def _attribute(seat: Seat | None, account: ServerAccount, bit: int, teachers: dict[int, list[Teacher]]) -> None:
    """Let an account that GitHub attributes teach: what its person is also called, where the person is, and how logins are made there."""
    if seat is None:
        return
    seat.instances |= bit
    login = seat.add(account.login)
    seat.add_address(account.email)
    sample = teachers.setdefault(bit, [])
    teacher = (crc32(account.key.encode()), login, seat.local, seat.id[1:])
    if len(sample) < SAMPLE:
        heappush(sample, teacher)
    else:
        heappushpop(sample, teacher)


def _habits(teachers: dict[int, list[Teacher]], people: Mapping[str, Seat]) -> dict[int, Habits]:
    found = {}
    for bit, sample in teachers.items():
        habits = found[bit] = Habits()
        for _, login, local, person in sample:
            habits.learn(kind_of(login, local, patterns(people[person].names)))
    return found


def kind_of(login: str, local: str, names: Mapping[str, Pattern]) -> Pattern | str:
    """Return how a login is made (both as letters): by which pattern of a name, like the local part of the address, or neither."""
    if login in names:
        return names[login]
    return "local" if login and login == local else "other"


def _leave_out_companies(seats: Seats) -> None:
    """Drop handles that are the name of a company: people who write `acme@mona.example` share the word, and nothing else."""
    counts: dict[str, int] = {}
    for seat in (*seats.people, *seats.open):
        for domain in seat.domains:
            counts[domain] = counts.get(domain, 0) + 1
    labels = {label for domain, number in counts.items() if number >= COMPANY for label in domain.split(".")[:-1] if len(label) > 3}
    for seat in (*seats.people, *seats.open):
        for letters in [one for one in seat.handles if one in labels]:
            del seat.handles[letters]
